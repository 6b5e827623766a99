//! Protobuf's text format, encoded into the wire format by a schema, so that one reader serves both.
//!
//! As tolerant as the parsers of frameworks and more: fields that the schema does not know are passed over.
//! <https://protobuf.dev/reference/protobuf/textformat-spec/>

use gauntlet_limits::{Limit, LimitHit, Limits};

/// How a field is encoded.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Text or bytes.
    Text,
    /// An integer or bool; an enumeration's name becomes the number given here, or 0.
    Number(&'static [(&'static str, u64)]),
    /// A message, by its index in the schema.
    Message(usize),
}

/// Fields of a message: name, number, kind.
pub(crate) type Message = &'static [(&'static str, u32, Kind)];

/// Why a text is no message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TextError {
    #[error("malformed protobuf text at byte {offset}: {what}")]
    Malformed { what: &'static str, offset: usize },
    #[error(transparent)]
    Limit(#[from] LimitHit),
}

/// Encodes a text as message `root` of `schema`. What was encoded before an error comes back with it.
pub(crate) fn encode(
    text: &[u8],
    schema: &'static [Message],
    root: usize,
    limits: &Limits,
) -> (Vec<u8>, Option<TextError>) {
    let mut encoder = Encoder { lexer: Lexer { text, at: 0 }, schema, root, open: Vec::new(), out: Vec::new() };
    let error = encoder.run(limits).err();
    // Messages that an error left open hold facts all the same.
    while let Some(open) = encoder.open.pop() {
        encoder.close(open);
    }
    (encoder.out, error)
}

/// Names of fields with their depth (0 and 1) and the outer name, as far as the text tokenises; `None` when its beginning
/// is no text of this format.
pub(crate) fn outline(text: &[u8]) -> Option<Vec<(String, String)>> {
    let mut lexer = Lexer { text, at: 0 };
    let (mut names, mut depth, mut outer) = (Vec::new(), 0u32, String::new());
    let mut last = None;
    let mut seen = 0;
    while let Ok(Some(token)) = lexer.next() {
        seen += 1;
        match &token {
            Token::Open => {
                if depth == 0 {
                    outer = last.take().unwrap_or_default();
                    names.push((outer.clone(), String::new()));
                }
                depth += 1;
            }
            Token::Close => depth = depth.checked_sub(1)?,
            Token::Mark(b':') => {
                if let Some(name) = last.take() {
                    match depth {
                        0 => names.push((name, String::new())),
                        1 => names.push((outer.clone(), name)),
                        _ => {}
                    }
                }
            }
            Token::Word(word) => last = Some(word.clone()),
            _ => last = None,
        }
        // A text of this format begins with a name and what it is given.
        if seen == 1 && !matches!(token, Token::Word(_) | Token::Mark(b'[')) {
            return None;
        }
    }
    (!names.is_empty()).then_some(names)
}

/// A text or number of a message, whatever the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scalar {
    /// Names of the fields around it and its own, joined with dots.
    pub path: String,
    /// Text as it is meant, or the word.
    pub value: String,
}

/// Every scalar of a text in its order. What was read before an error comes back with it.
pub(crate) fn scalars(text: &[u8], limits: &Limits) -> (Vec<Scalar>, Option<TextError>) {
    let (mut out, mut lexer) = (Vec::new(), Lexer { text, at: 0 });
    let error = read_scalars(&mut lexer, &mut out, limits).err();
    (out, error)
}

fn read_scalars(lexer: &mut Lexer<'_>, out: &mut Vec<Scalar>, limits: &Limits) -> Result<(), TextError> {
    // Names of open messages, and whether they stand in a list, where the name stays.
    let (mut open, mut name): (Vec<(String, bool)>, String) = (Vec::new(), String::new());
    // A word is a value behind a colon and in a list, else a name.
    let (mut valued, mut list) = (false, false);
    let mut token = lexer.next()?;
    while let Some(now) = token {
        let mut next = None;
        match now {
            Token::Open => {
                // Paths grow with depth: text of a word a level must not make them quadratic.
                limits.check(Limit::Depth, open.len() as u64 / 8)?;
                open.push((std::mem::take(&mut name), list));
                (valued, list) = (false, false);
            }
            Token::Close => {
                (name, list) = open.pop().ok_or_else(|| lexer.malformed("an end without a beginning"))?;
                valued = list;
            }
            Token::Mark(b':') => valued = true,
            Token::Mark(b'[') => (valued, list) = (true, true),
            Token::Mark(b']') => (valued, list) = (false, false),
            Token::Mark(b'-') => {}
            Token::Mark(_) => valued = list,
            Token::Text(mut text) => {
                let mut behind = lexer.next()?;
                // Neighbouring literals are one.
                while let Some(Token::Text(more)) = behind {
                    text.extend(more);
                    behind = lexer.next()?;
                }
                next = Some(behind);
                push_scalar(out, &open, &name, String::from_utf8_lossy(&text).into_owned(), limits)?;
                valued = list;
            }
            Token::Word(word) if valued => {
                push_scalar(out, &open, &name, word, limits)?;
                valued = list;
            }
            Token::Word(word) => name = word,
        }
        token = match next {
            Some(next) => next,
            None => lexer.next()?,
        };
    }
    if open.is_empty() { Ok(()) } else { Err(lexer.malformed("a message without an end")) }
}

fn push_scalar(
    out: &mut Vec<Scalar>,
    open: &[(String, bool)],
    name: &str,
    value: String,
    limits: &Limits,
) -> Result<(), TextError> {
    limits.check(Limit::Nodes, out.len() as u64 + 1)?;
    let mut path: String = open.iter().flat_map(|(outer, _)| [outer.as_str(), "."]).collect();
    path.push_str(name);
    out.push(Scalar { path, value });
    Ok(())
}

/// A message that is being filled; the fields so far are in `bytes`.
struct Open {
    number: u32,
    /// `None` inside of a field that the schema does not know.
    message: Option<Message>,
    bytes: Vec<u8>,
    in_list: bool,
}

struct Encoder<'t> {
    lexer: Lexer<'t>,
    schema: &'static [Message],
    root: usize,
    open: Vec<Open>,
    out: Vec<u8>,
}

impl Encoder<'_> {
    fn run(&mut self, limits: &Limits) -> Result<(), TextError> {
        let mut token = self.lexer.next()?;
        loop {
            token = match token {
                None if self.open.is_empty() => return Ok(()),
                None => return Err(self.lexer.malformed("a message without an end")),
                Some(Token::Close) => {
                    let open = self.open.pop().ok_or_else(|| self.lexer.malformed("an end without a beginning"))?;
                    let in_list = open.in_list;
                    let number = open.number;
                    let message = open.message;
                    self.close(open);
                    let next = self.lexer.next()?;
                    if in_list { self.next_in_list(next, number, message)? } else { next }
                }
                Some(Token::Mark(b',' | b';')) => self.lexer.next()?,
                Some(Token::Word(name)) => self.field(&name, limits)?,
                Some(Token::Mark(b'[')) => {
                    self.extension()?;
                    self.value(0, None, limits)?
                }
                Some(_) => return Err(self.lexer.malformed("a value without a name")),
            };
        }
    }

    /// `[type.url/Name]`, an extension or the content of an `Any`.
    fn extension(&mut self) -> Result<(), TextError> {
        loop {
            match self.lexer.next()? {
                Some(Token::Mark(b']')) => return Ok(()),
                Some(Token::Word(_) | Token::Mark(b'/' | b'.' | b'-')) => {}
                _ => return Err(self.lexer.malformed("the name of an extension")),
            }
        }
    }

    fn field(&mut self, name: &str, limits: &Limits) -> Result<Option<Token>, TextError> {
        let message = match self.open.last() {
            Some(open) => open.message,
            None => self.schema.get(self.root).copied(),
        };
        let known = message.and_then(|message| message.iter().find(|field| field.0 == name));
        let (number, kind) = known.map_or((0, None), |field| (field.1, Some(field.2)));
        self.value(number, kind, limits)
    }

    /// Reads what follows a field's name and returns the token behind it.
    fn value(&mut self, number: u32, kind: Option<Kind>, limits: &Limits) -> Result<Option<Token>, TextError> {
        let mut token = self.lexer.next()?;
        if matches!(token, Some(Token::Mark(b':'))) {
            token = self.lexer.next()?;
        }
        match token {
            Some(Token::Open) => {
                self.begin(number, kind, false, limits)?;
                self.lexer.next()
            }
            Some(Token::Mark(b'[')) => {
                let mut token = self.lexer.next()?;
                loop {
                    token = match token {
                        Some(Token::Mark(b']')) => return self.lexer.next(),
                        Some(Token::Mark(b',')) => self.lexer.next()?,
                        Some(Token::Open) => {
                            self.begin(number, kind, true, limits)?;
                            return self.lexer.next();
                        }
                        Some(scalar) => self.scalar(scalar, number, kind)?,
                        None => return Err(self.lexer.malformed("a list without an end")),
                    };
                }
            }
            Some(scalar @ (Token::Word(_) | Token::Text(_) | Token::Mark(b'-'))) => self.scalar(scalar, number, kind),
            _ => Err(self.lexer.malformed("a name without a value")),
        }
    }

    /// After a message in a list: the next one, or the list's end.
    fn next_in_list(
        &mut self,
        token: Option<Token>,
        number: u32,
        message: Option<Message>,
    ) -> Result<Option<Token>, TextError> {
        let token = if matches!(token, Some(Token::Mark(b','))) { self.lexer.next()? } else { token };
        match token {
            Some(Token::Open) => {
                self.open.push(Open { number, message, bytes: Vec::new(), in_list: true });
                self.lexer.next()
            }
            Some(Token::Mark(b']')) => self.lexer.next(),
            _ => Err(self.lexer.malformed("a list without an end")),
        }
    }

    fn begin(&mut self, number: u32, kind: Option<Kind>, in_list: bool, limits: &Limits) -> Result<(), TextError> {
        limits.check(Limit::Nodes, self.open.len() as u64 + 1)?;
        let message = match kind {
            Some(Kind::Message(index)) => self.schema.get(index).copied(),
            _ => None,
        };
        self.open.push(Open { number, message, bytes: Vec::new(), in_list });
        Ok(())
    }

    fn close(&mut self, open: Open) {
        if open.number > 0 && open.message.is_some() {
            let out = self.buffer();
            varint(out, u64::from(open.number) << 3 | 2);
            varint(out, open.bytes.len() as u64);
            out.extend_from_slice(&open.bytes);
        }
    }

    fn scalar(&mut self, token: Token, number: u32, kind: Option<Kind>) -> Result<Option<Token>, TextError> {
        let mut token = token;
        let negative = matches!(token, Token::Mark(b'-'));
        if negative {
            token = self.lexer.next()?.ok_or_else(|| self.lexer.malformed("a sign without a number"))?;
        }
        match token {
            Token::Text(mut text) => {
                // Neighbouring literals are one.
                let mut next = self.lexer.next()?;
                while let Some(Token::Text(more)) = next {
                    text.extend(more);
                    next = self.lexer.next()?;
                }
                if let Some(Kind::Text) = kind {
                    let out = self.buffer();
                    varint(out, u64::from(number) << 3 | 2);
                    varint(out, text.len() as u64);
                    out.extend_from_slice(&text);
                }
                Ok(next)
            }
            Token::Word(word) => {
                if let Some(Kind::Number(names)) = kind {
                    let named = names.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
                    let value = named.or_else(|| integer(&word)).unwrap_or_default();
                    let value = if negative { value.wrapping_neg() } else { value };
                    let out = self.buffer();
                    varint(out, u64::from(number) << 3);
                    varint(out, value);
                }
                self.lexer.next()
            }
            _ => Err(self.lexer.malformed("a name without a value")),
        }
    }

    fn buffer(&mut self) -> &mut Vec<u8> {
        match self.open.last_mut() {
            Some(open) => &mut open.bytes,
            None => &mut self.out,
        }
    }
}

fn integer(word: &str) -> Option<u64> {
    match word {
        "true" | "True" | "t" => Some(1),
        "false" | "False" | "f" => Some(0),
        _ => match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => word.parse().ok(),
        },
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 127 {
        out.push((value & 127) as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// `{` or `<`.
    Open,
    /// `}` or `>`.
    Close,
    Text(Vec<u8>),
    /// A name or a number.
    Word(String),
    Mark(u8),
}

struct Lexer<'t> {
    text: &'t [u8],
    at: usize,
}

impl Lexer<'_> {
    fn malformed(&self, what: &'static str) -> TextError {
        TextError::Malformed { what, offset: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Result<Option<Token>, TextError> {
        while let Some(byte) = self.peek() {
            match byte {
                b'#' => {
                    let rest = self.text.get(self.at..).unwrap_or_default();
                    self.at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                }
                b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c => self.at += 1,
                _ => break,
            }
        }
        let Some(byte) = self.peek() else { return Ok(None) };
        let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'+');
        Ok(Some(match byte {
            b'{' | b'<' => self.one(Token::Open),
            b'}' | b'>' => self.one(Token::Close),
            b'"' | b'\'' => Token::Text(self.literal(byte)?),
            b':' | b',' | b';' | b'[' | b']' | b'-' | b'/' => self.one(Token::Mark(byte)),
            _ if word(byte) => {
                let start = self.at;
                // An exponent may have a sign; a name has none.
                while self.peek().is_some_and(word) {
                    self.at += 1;
                }
                let bytes = self.text.get(start..self.at).unwrap_or_default();
                let number =
                    bytes.first().is_some_and(u8::is_ascii_digit) && bytes.last().is_some_and(|b| b | 32 == b'e');
                if number && self.peek() == Some(b'-') {
                    self.at += 1;
                    while self.peek().is_some_and(|b| b.is_ascii_digit()) {
                        self.at += 1;
                    }
                }
                Token::Word(String::from_utf8_lossy(bytes).into_owned())
            }
            _ => return Err(self.malformed("a character outside of the format")),
        }))
    }

    fn one(&mut self, token: Token) -> Token {
        self.at += 1;
        token
    }

    fn literal(&mut self, quote: u8) -> Result<Vec<u8>, TextError> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            let byte = self.peek().ok_or_else(|| self.malformed("a literal without an end"))?;
            self.at += 1;
            match byte {
                b'\n' => return Err(self.malformed("a literal without an end")),
                b'\\' => self.escape(&mut out)?,
                _ if byte == quote => return Ok(out),
                _ => out.push(byte),
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), TextError> {
        let byte = self.peek().ok_or_else(|| self.malformed("a literal without an end"))?;
        self.at += 1;
        match byte {
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'a' => out.push(7),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'v' => out.push(11),
            b'x' | b'X' => out.push(self.digits(16, 2, 0)? as u8),
            b'0'..=b'7' => out.push(self.digits(8, 2, u32::from(byte - b'0'))? as u8),
            b'u' | b'U' => {
                let code = self.digits(16, if byte == b'u' { 4 } else { 8 }, 0)?;
                let char = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            }
            other => out.push(other),
        }
        Ok(())
    }

    fn digits(&mut self, radix: u32, most: usize, start: u32) -> Result<u32, TextError> {
        let mut value = start;
        for _ in 0..most {
            let Some(digit) = self.peek().and_then(|b| char::from(b).to_digit(radix)) else { break };
            self.at += 1;
            value = value.wrapping_mul(radix).wrapping_add(digit);
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static SCHEMA: &[Message] =
        &[&[("name", 1, Kind::Text), ("inner", 2, Kind::Message(0)), ("kind", 3, Kind::Number(&[("BIG", 7)]))]];

    fn wire(text: &str) -> Vec<u8> {
        let (bytes, error) = encode(text.as_bytes(), SCHEMA, 0, &Limits::default());
        assert!(error.is_none(), "{error:?}");
        bytes
    }

    #[test]
    fn every_way_of_writing_a_field_is_read() {
        assert_eq!(wire("name: \"a\" 'b' # comment\n"), b"\x0a\x02ab");
        assert_eq!(wire(r#"name: "\x41\102\n""#), b"\x0a\x03AB\n");
        assert_eq!(wire("inner { name: 'x' } inner: < kind: BIG >"), b"\x12\x03\x0a\x01x\x12\x02\x18\x07");
        assert_eq!(
            wire("inner: [{ name: 'x' }, { kind: 3 }], kind: [1, 2];"),
            b"\x12\x03\x0a\x01x\x12\x02\x18\x03\x18\x01\x18\x02"
        );
        assert_eq!(wire("unknown { name: 'x' deep { a: [1, 2] b: -1.5e-7 } } name: 'y'"), b"\x0a\x01y");
        assert_eq!(wire("[type.googleapis.com/a.B] { name: 'x' } name: 'y'"), b"\x0a\x01y");
        assert_eq!(wire(""), b"");
    }

    #[test]
    fn what_came_before_an_error_is_kept() {
        let (bytes, error) = encode(b"inner { name: 'x' kind: }", SCHEMA, 0, &Limits::default());
        assert_eq!(bytes, b"\x12\x03\x0a\x01x");
        assert!(matches!(error, Some(TextError::Malformed { .. })));
        for broken in ["}", "inner {", "name 'x", "name: 'x\n'", ": 1", "name: [1", "inner: [{}", "\u{1}"] {
            assert!(encode(broken.as_bytes(), SCHEMA, 0, &Limits::default()).1.is_some(), "{broken}");
        }
        let deep = "inner {".repeat(1_000_000);
        assert!(matches!(encode(deep.as_bytes(), SCHEMA, 0, &Limits::default()).1, Some(TextError::Limit(_))));
    }

    #[test]
    fn the_outline_tells_messages_apart() {
        let names = outline(b"node { op: 'A' attr { key: 'b' } } versions { producer: 1 } x: 1").unwrap();
        let names: Vec<_> = names.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(names, [("node", ""), ("node", "op"), ("versions", ""), ("versions", "producer"), ("x", "")]);
        assert!(outline(b"{\"a\": 1}").is_none());
        assert!(outline(b"# only a comment").is_none());
    }

    #[test]
    fn mutated_texts_end() {
        let seed = b"inner { name: \"a\\x41\" kind: BIG } inner: [{ name: 'x' }, < kind: -3 >] [a.b/C] { } # end\n";
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).unwrap()
        };
        for _ in 0..5_000 {
            let mut bytes = seed.to_vec();
            for _ in 0..=next(4) {
                let at = next(bytes.len());
                match next(3) {
                    0 => bytes.truncate(at + 1),
                    1 => bytes[at] ^= 1 << next(8),
                    _ => drop(bytes.splice(at..at, seed[next(seed.len())..].iter().copied())),
                }
            }
            let _ = encode(&bytes, SCHEMA, 0, &Limits::default());
            let _ = outline(&bytes);
        }
    }
}
