//! One record of a CSV file: where its fields lie. Strict where readers disagree, because a row that two programs read
//! differently is a row that was not checked.

use std::borrow::Cow;

use memchr::{memchr, memchr3};

/// Where one field lies in the bytes of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    start: usize,
    end: usize,
    /// Written in quotes: an empty one is an empty text, not a null.
    pub(crate) quoted: bool,
    /// Holds doubled quotes.
    escaped: bool,
}

impl Field {
    /// The field's value.
    pub(crate) fn value<'a>(&self, record: &'a str) -> Cow<'a, str> {
        let text = record.get(self.start..self.end).unwrap_or_default();
        if self.escaped { Cow::Owned(text.replace("\"\"", "\"")) } else { Cow::Borrowed(text) }
    }

    /// Whether the field is a null: nothing at all between two delimiters.
    pub(crate) fn is_null(&self) -> bool {
        !self.quoted && self.start == self.end
    }
}

/// What stands at the start of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A record: `content` bytes without and `whole` bytes with its line end.
    Record {
        /// Bytes of the record itself.
        content: usize,
        /// Bytes up to the next record.
        whole: usize,
    },
    /// The buffer ends inside a record.
    More,
    /// What readers do not agree about.
    Bad(&'static str),
}

/// Finds the record at the start of `bytes`. `last` says that nothing follows the buffer.
pub(crate) fn split(bytes: &[u8], delimiter: u8, last: bool, fields: &mut Vec<Field>) -> Step {
    fields.clear();
    let mut at = 0;
    loop {
        let (field, end) = match field(bytes, at, delimiter, last) {
            Ok(found) => found,
            Err(step) => return step,
        };
        fields.push(field);
        match bytes.get(end) {
            None if last => return Step::Record { content: end, whole: end },
            None => return Step::More,
            Some(b'\n') => return Step::Record { content: end, whole: end + 1 },
            Some(b'\r') => {
                return match bytes.get(end + 1) {
                    Some(b'\n') => Step::Record { content: end, whole: end + 2 },
                    None if last => Step::Record { content: end, whole: end + 1 },
                    None => Step::More,
                    Some(_) => Step::Bad("a carriage return without line feed outside quotes"),
                };
            }
            Some(_) => at = end + 1,
        }
    }
}

/// The field at `at` and where it ends (at a delimiter, a line end or the end of the buffer).
fn field(bytes: &[u8], at: usize, delimiter: u8, last: bool) -> Result<(Field, usize), Step> {
    if bytes.get(at) == Some(&b'"') {
        return quoted(bytes, at + 1, delimiter, last);
    }
    let rest = bytes.get(at..).unwrap_or_default();
    match memchr3(delimiter, b'\n', b'\r', rest) {
        Some(n) => Ok((Field { start: at, end: at + n, quoted: false, escaped: false }, at + n)),
        None if last => Ok((Field { start: at, end: bytes.len(), quoted: false, escaped: false }, bytes.len())),
        None => Err(Step::More),
    }
}

fn quoted(bytes: &[u8], start: usize, delimiter: u8, last: bool) -> Result<(Field, usize), Step> {
    let (mut at, mut escaped) = (start, false);
    loop {
        let Some(n) = memchr(b'"', bytes.get(at..).unwrap_or_default()) else {
            return Err(if last { Step::Bad("a quote that is never closed") } else { Step::More });
        };
        let close = at + n;
        match bytes.get(close + 1) {
            Some(b'"') => {
                escaped = true;
                at = close + 2;
            }
            Some(&b) if b == delimiter || b == b'\n' || b == b'\r' => {
                return Ok((Field { start, end: close, quoted: true, escaped }, close + 1));
            }
            None if last => return Ok((Field { start, end: close, quoted: true, escaped }, close + 1)),
            None => return Err(Step::More),
            Some(_) => return Err(Step::Bad("text behind a closing quote")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Step, Vec<String>) {
        let mut fields = Vec::new();
        let step = split(text.as_bytes(), b',', true, &mut fields);
        (step, fields.iter().map(|f| if f.is_null() { "∅".into() } else { f.value(text).into_owned() }).collect())
    }

    #[test]
    fn fields_quotes_and_nulls() {
        assert_eq!(parse("a,b\nc").1, ["a", "b"]);
        assert_eq!(parse("a,,\"\"\r\nx").1, ["a", "∅", ""]);
        assert_eq!(parse("\"a,\nb\",\"x\"\"y\"").1, ["a,\nb", "x\"y"]);
        assert_eq!(parse("5\" pipe,x").1, ["5\" pipe", "x"]);
        assert_eq!(parse("a,b\r\nc").0, Step::Record { content: 3, whole: 5 });
        assert_eq!(parse("a,").1, ["a", "∅"]);
    }

    #[test]
    fn what_readers_disagree_about_is_refused() {
        assert_eq!(parse("\"a\"b,c").0, Step::Bad("text behind a closing quote"));
        assert_eq!(parse("\"a,b\nc,d").0, Step::Bad("a quote that is never closed"));
        assert!(matches!(parse("a\rb,c").0, Step::Bad(_)));
    }

    #[test]
    fn a_cut_buffer_asks_for_more() {
        let text = b"\"a\"\"b\",c\r\n";
        let mut fields = Vec::new();
        for cut in 0..text.len() {
            assert_eq!(split(&text[..cut], b',', false, &mut fields), Step::More, "{cut}");
        }
        assert_eq!(split(text, b',', false, &mut fields), Step::Record { content: 8, whole: 10 });
    }
}
