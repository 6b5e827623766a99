//! Text format of protocol buffers, as a tree: names, scalars, messages. Nothing is known of any message type.

/// Deepest nesting.
const MAX_DEPTH: usize = 32;
/// Most fields of one document.
const MAX_FIELDS: usize = 500_000;

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) line: u64,
    pub(super) value: Value,
}

/// Its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A number, a word or a text, without quotes.
    Scalar(String),
    Message(Vec<Field>),
}

impl Field {
    /// The fields of a message; none of a scalar.
    pub(super) fn fields(&self) -> &[Self] {
        match &self.value {
            Value::Message(fields) => fields,
            Value::Scalar(_) => &[],
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            Value::Message(_) => None,
        }
    }
}

/// Reads a whole document.
///
/// # Errors
/// The line and what is wrong there.
pub(super) fn parse(text: &str) -> Result<Vec<Field>, (u64, String)> {
    let mut reader = Reader { bytes: text.as_bytes(), text, at: 0, line: 1, fields: 0 };
    let fields = reader.message(None, 0)?;
    Ok(fields)
}

struct Reader<'a> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
    line: u64,
    fields: usize,
}

type Step<T> = Result<T, (u64, String)>;

impl Reader<'_> {
    fn fail<T>(&self, what: &str) -> Step<T> {
        Err((self.line, what.to_owned()))
    }

    fn peek(&mut self) -> Option<u8> {
        while let Some(&b) = self.bytes.get(self.at) {
            match b {
                b'\n' => self.line += 1,
                b'#' => {
                    while self.bytes.get(self.at + 1).is_some_and(|&b| b != b'\n') {
                        self.at += 1;
                    }
                }
                b' ' | b'\t' | b'\r' | b',' | b';' => {}
                _ => return Some(b),
            }
            self.at += 1;
        }
        None
    }

    /// Fields up to `end`, or to the end of the document.
    fn message(&mut self, end: Option<u8>, depth: usize) -> Step<Vec<Field>> {
        if depth > MAX_DEPTH {
            return self.fail("messages are nested too deep");
        }
        let mut out = Vec::new();
        loop {
            match (self.peek(), end) {
                (None, None) => return Ok(out),
                (None, Some(_)) => return self.fail("a message is not closed"),
                (Some(b), Some(end)) if b == end => {
                    self.at += 1;
                    return Ok(out);
                }
                (Some(_), _) => {}
            }
            self.fields += 1;
            if self.fields > MAX_FIELDS {
                return self.fail("more fields than are read");
            }
            let line = self.line;
            let name = self.name()?;
            let mut values = Vec::new();
            let colon = self.peek() == Some(b':');
            self.at += usize::from(colon);
            if self.peek() == Some(b'[') {
                self.at += 1;
                while self.peek() != Some(b']') {
                    values.push(self.value(true, depth)?);
                    if values.len() > MAX_FIELDS {
                        return self.fail("more values than are read");
                    }
                }
                self.at += 1;
            } else {
                values.push(self.value(colon, depth)?);
            }
            out.extend(values.into_iter().map(|value| Field { name: name.clone(), line, value }));
        }
    }

    fn name(&mut self) -> Step<String> {
        if self.peek() == Some(b'[') {
            // An extension: its name in brackets.
            let rest = &self.bytes[self.at..];
            let Some(close) = rest.iter().take(256).position(|&b| b == b']') else {
                return self.fail("the name of an extension is not closed");
            };
            let name = self.text.get(self.at..=self.at + close).unwrap_or_default().to_owned();
            self.at += close + 1;
            return Ok(name);
        }
        let word = self.word();
        if word.is_empty() { self.fail("a field name is expected") } else { Ok(word) }
    }

    fn word(&mut self) -> String {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(|&b| b.is_ascii_alphanumeric() || b"_.+-/".contains(&b)) {
            self.at += 1;
        }
        self.text.get(start..self.at).unwrap_or_default().to_owned()
    }

    fn value(&mut self, scalar: bool, depth: usize) -> Step<Value> {
        match self.peek() {
            Some(open @ (b'{' | b'<')) => {
                self.at += 1;
                let end = if open == b'{' { b'}' } else { b'>' };
                Ok(Value::Message(self.message(Some(end), depth + 1)?))
            }
            Some(b'"' | b'\'') if scalar => {
                let mut text = String::new();
                // Texts behind each other are one.
                while let Some(quote @ (b'"' | b'\'')) = self.peek() {
                    self.quoted(quote, &mut text)?;
                }
                Ok(Value::Scalar(text))
            }
            Some(_) if scalar => {
                let word = self.word();
                if word.is_empty() { self.fail("a value is expected") } else { Ok(Value::Scalar(word)) }
            }
            _ => self.fail("`:` and a value, or `{` is expected"),
        }
    }

    fn quoted(&mut self, quote: u8, out: &mut String) -> Step<()> {
        self.at += 1;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let Some(c) = rest.chars().next() else { return self.fail("a text is not closed") };
            self.at += c.len_utf8();
            match c {
                '\n' => return self.fail("a text is not closed on its line"),
                '\\' => {
                    let escaped = self.bytes.get(self.at).copied();
                    self.at += usize::from(escaped.is_some_and(|b| b.is_ascii()));
                    match escaped {
                        Some(b'n') => out.push('\n'),
                        Some(b't') => out.push('\t'),
                        Some(b @ (b'"' | b'\'' | b'\\' | b'?')) => out.push(char::from(b)),
                        // Octal and hexadecimal bytes occur in no name; their digits stay as they are written.
                        Some(b) if b.is_ascii() => {
                            out.push('\\');
                            out.push(char::from(b));
                        }
                        _ => return self.fail("a text ends in a backslash"),
                    }
                }
                c if c == char::from(quote) => return Ok(()),
                c => out.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_lists_texts_and_comments_are_read() {
        let text = "a: 1 # one\nb { c: \"x\\\"y\" 'z' d <e: TRUE> }\nf: [1, 2.5]\n[ext.name]: -3;";
        let fields = parse(text).unwrap();
        let names: Vec<_> = fields.iter().map(|f| (f.name.as_str(), f.line)).collect();
        assert_eq!(names, [("a", 1), ("b", 2), ("f", 3), ("f", 3), ("[ext.name]", 4)]);
        assert_eq!(fields[1].fields()[0].text(), Some("x\"yz"));
        assert_eq!(fields[1].fields()[1].fields()[0].text(), Some("TRUE"));
        assert_eq!(fields[4].text(), Some("-3"));
    }

    #[test]
    fn what_is_no_text_format_is_named_with_its_line() {
        for (text, line) in
            [("a", 1), ("a {", 1), ("\n}", 2), ("a: \"x\n\"", 1), ("a: [1", 1), ("a:\n\n{ b: }", 3), ("a: \"x\\", 1)]
        {
            assert_eq!(parse(text).unwrap_err().0, line, "{text:?}");
        }
        assert!(parse(&"a {".repeat(100_000)).unwrap_err().1.contains("too deep"));
    }
}
