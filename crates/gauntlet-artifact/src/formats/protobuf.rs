//! The first bytes of a protobuf message, for telling messages apart: fields as far as they are there.

/// Fields looked at in one message.
const FIELDS: usize = 512;
/// Messages of one kind looked at in one message.
const TRIALS: usize = 64;

/// The fields of a message as far as its bytes are there.
pub(crate) struct Fields<'p>(Vec<(u32, Field<'p>)>);

enum Field<'p> {
    Number,
    /// Content, and whether all of it is there.
    Bytes(&'p [u8], bool),
}

impl<'p> Fields<'p> {
    /// `None` when a field is malformed.
    pub(crate) fn of(message: &'p [u8]) -> Option<Self> {
        let (mut rest, mut fields) = (message, Vec::new());
        while !rest.is_empty() && fields.len() < FIELDS {
            let Some((tag, after)) = varint(rest) else { return cut(rest).then_some(Self(fields)) };
            let number = u32::try_from(tag >> 3).ok().filter(|n| *n > 0 && *n < 1 << 29)?;
            rest = after;
            let field = match tag & 7 {
                0 => {
                    let Some((_, after)) = varint(rest) else { return cut(rest).then_some(Self(fields)) };
                    rest = after;
                    Field::Number
                }
                kind @ (1 | 5) => {
                    let Some(after) = rest.get(if kind == 1 { 8 } else { 4 }..) else { return Some(Self(fields)) };
                    rest = after;
                    Field::Number
                }
                2 => {
                    let Some((len, after)) = varint(rest) else { return cut(rest).then_some(Self(fields)) };
                    let len = usize::try_from(len).ok().filter(|len| *len < 1 << 40)?;
                    let content = after.get(..len);
                    rest = after.get(len..).unwrap_or_default();
                    Field::Bytes(content.unwrap_or(after), content.is_some())
                }
                _ => return None,
            };
            fields.push((number, field));
        }
        Some(Self(fields))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Numbers of the fields that hold a number.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.0.iter().filter(|(_, field)| matches!(field, Field::Number)).map(|(n, _)| *n)
    }

    /// Numbers of the fields that hold bytes, cut ones included.
    pub(crate) fn bytes(&self) -> impl Iterator<Item = u32> {
        self.0.iter().filter(|(_, field)| matches!(field, Field::Bytes(..))).map(|(n, _)| *n)
    }

    /// No field has a higher number.
    pub(crate) fn all_within(&self, highest: u32) -> bool {
        self.0.iter().all(|(n, _)| *n <= highest)
    }

    /// Contents of a field that may be messages, cut ones included.
    pub(crate) fn messages(&self, number: u32) -> impl Iterator<Item = &'p [u8]> {
        let fields = self.0.iter().filter(move |(n, _)| *n == number);
        let bytes = fields.filter_map(|(_, field)| match field {
            Field::Bytes(bytes, _) => Some(*bytes),
            Field::Number => None,
        });
        bytes.take(TRIALS)
    }

    /// Contents of a field that are texts without control characters.
    pub(crate) fn texts(&self, number: u32) -> impl Iterator<Item = &'p str> {
        let fields = self.0.iter().filter(move |(n, _)| *n == number);
        let texts = fields.filter_map(|(_, field)| match field {
            Field::Bytes(bytes, true) => std::str::from_utf8(bytes).ok(),
            _ => None,
        });
        texts.filter(|text| !text.is_empty() && !text.chars().any(char::is_control)).take(TRIALS)
    }
}

/// A number that the end of the bytes cuts, not one that is too long.
fn cut(rest: &[u8]) -> bool {
    rest.len() < 10 && rest.iter().all(|byte| byte & 0x80 != 0)
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index).min(63);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}
