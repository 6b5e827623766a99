//! The protobuf wire format: fields of a message, one after another, contents left where they are.
//!
//! Sub-messages are ranges to be walked when wanted; nothing recurses. Groups (deprecated) are passed over.

use std::cell::RefCell;
use std::io;

use gauntlet_limits::{Budget, Limit, ReadAt};

use crate::WireError;

const PAGE: usize = 64 << 10;

/// A range of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
}

impl Span {
    fn end(self) -> u64 {
        self.offset.saturating_add(self.len)
    }
}

/// The content of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2: text, bytes, a message or packed numbers.
    Bytes(Span),
    /// Wire type 5.
    Fixed32(u32),
    /// Wire types 3 and 4: a group that was passed over.
    Group,
}

impl Value {
    /// The varint, reinterpreted as `int64`.
    #[must_use]
    pub fn int(self) -> Option<i64> {
        match self {
            Self::Varint(n) => Some(n.cast_signed()),
            _ => None,
        }
    }

    /// The range of a length-delimited field.
    #[must_use]
    pub fn span(self) -> Option<Span> {
        match self {
            Self::Bytes(span) => Some(span),
            _ => None,
        }
    }
}

/// A file seen through one page, which all walkers share, so that small neighbouring messages cost one read.
pub struct Source<'a> {
    bytes: &'a dyn ReadAt,
    budget: &'a Budget,
    page: RefCell<Page>,
}

#[derive(Default)]
struct Page {
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Source<'a> {
    /// Reads from `bytes`, spending a step of `budget` a field.
    #[must_use]
    pub fn new(bytes: &'a dyn ReadAt, budget: &'a Budget) -> Self {
        Self { bytes, budget, page: RefCell::default() }
    }

    /// The whole file.
    #[must_use]
    pub fn whole(&self) -> Span {
        Span { offset: 0, len: self.bytes.size() }
    }

    /// The budget that fields are charged to.
    #[must_use]
    pub fn budget(&self) -> &'a Budget {
        self.budget
    }

    /// Walks the message in `span`.
    #[must_use]
    pub fn fields(&self, span: Span) -> Fields<'_, 'a> {
        Fields { source: self, at: span.offset, end: span.end().min(self.bytes.size()) }
    }

    /// Walks varints packed into `span`.
    #[must_use]
    pub fn packed(&self, span: Span) -> Packed<'_, 'a> {
        Packed(self.fields(span))
    }

    /// Loads `span`.
    ///
    /// # Errors
    /// [`WireError::Limit`] above `limits.header_bytes`; I/O errors.
    pub fn load(&self, span: Span) -> Result<Vec<u8>, WireError> {
        let len = usize::try_from(span.len).unwrap_or(usize::MAX);
        self.budget.limits().check(Limit::HeaderBytes, span.len)?;
        let page = self.page.borrow();
        if let Some(start) = span.offset.checked_sub(page.start).and_then(|n| usize::try_from(n).ok())
            && let Some(known) = page.bytes.get(start..start.saturating_add(len))
        {
            return Ok(known.to_vec());
        }
        drop(page);
        Ok(self.bytes.read_block(span.offset, span.len, self.budget.limits())?)
    }

    fn byte(&self, at: u64) -> io::Result<u8> {
        let mut page = self.page.borrow_mut();
        let inside = at >= page.start && at - page.start < page.bytes.len() as u64;
        if !inside {
            let len = self.bytes.size().saturating_sub(at).min(PAGE as u64);
            page.bytes.resize(usize::try_from(len).unwrap_or(PAGE), 0);
            page.start = at;
            let mut block = std::mem::take(&mut page.bytes);
            self.bytes.read_exact_at(at, &mut block)?;
            page.bytes = block;
        }
        let index = usize::try_from(at - page.start).unwrap_or(usize::MAX);
        page.bytes.get(index).copied().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// The fields of one message.
pub struct Fields<'s, 'a> {
    source: &'s Source<'a>,
    at: u64,
    end: u64,
}

impl Fields<'_, '_> {
    /// The next field's number and content; `None` at the end of the message.
    ///
    /// # Errors
    /// Malformed or truncated fields, the step budget, I/O errors. The walk cannot go on behind an error.
    pub fn next_field(&mut self) -> Result<Option<(u32, Value)>, WireError> {
        if self.at >= self.end {
            return Ok(None);
        }
        let (number, wire) = self.tag()?;
        let value = match wire {
            3 => self.skip_group(number)?,
            4 => return Err(self.malformed("end of a group that was not begun")),
            _ => self.value(wire)?,
        };
        Ok(Some((number, value)))
    }

    fn tag(&mut self) -> Result<(u32, u8), WireError> {
        self.source.budget.steps(1)?;
        let start = self.at;
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|n| *n > 0 && *n < 1 << 29);
        let number = number.ok_or(WireError::Malformed { what: "field number", offset: start })?;
        Ok((number, (tag & 7) as u8))
    }

    fn value(&mut self, wire: u8) -> Result<Value, WireError> {
        match wire {
            0 => self.varint().map(Value::Varint),
            1 => self.fixed::<8>().map(|raw| Value::Fixed64(u64::from_le_bytes(raw))),
            2 => {
                let len = self.varint()?;
                let left = self.end - self.at;
                if len > left {
                    return Err(WireError::Truncated { offset: self.at, wanted: len, left });
                }
                let span = Span { offset: self.at, len };
                self.at += len;
                Ok(Value::Bytes(span))
            }
            5 => self.fixed::<4>().map(|raw| Value::Fixed32(u32::from_le_bytes(raw))),
            _ => Err(self.malformed("wire type")),
        }
    }

    /// Counts begun groups instead of recursing into them.
    fn skip_group(&mut self, number: u32) -> Result<Value, WireError> {
        let mut open = vec![number];
        while let Some(innermost) = open.last().copied() {
            if self.at >= self.end {
                return Err(self.malformed("group without an end"));
            }
            match self.tag()? {
                (inner, 3) => {
                    self.source.budget.limits().check(Limit::Nodes, open.len() as u64)?;
                    open.push(inner);
                }
                (inner, 4) if inner == innermost => {
                    open.pop();
                }
                (_, 4) => return Err(self.malformed("end of another group")),
                (_, wire) => {
                    self.value(wire)?;
                }
            }
        }
        Ok(Value::Group)
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        let start = self.at;
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            if self.at >= self.end {
                return Err(WireError::Malformed { what: "varint without an end", offset: start });
            }
            let byte = self.source.byte(self.at)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError::Malformed { what: "varint above 10 bytes", offset: start })
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        if self.end - self.at < N as u64 {
            return Err(self.malformed("fixed-width number is cut"));
        }
        let mut raw = [0; N];
        for byte in &mut raw {
            *byte = self.source.byte(self.at)?;
            self.at += 1;
        }
        Ok(raw)
    }

    fn malformed(&self, what: &'static str) -> WireError {
        WireError::Malformed { what, offset: self.at }
    }
}

/// Varints one after another.
pub struct Packed<'s, 'a>(Fields<'s, 'a>);

impl Packed<'_, '_> {
    /// The next number; `None` at the end.
    ///
    /// # Errors
    /// As [`Fields::next_field`].
    pub fn next_varint(&mut self) -> Result<Option<u64>, WireError> {
        if self.0.at >= self.0.end {
            return Ok(None);
        }
        self.0.source.budget.steps(1)?;
        self.0.varint().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(bytes: &[u8]) -> Result<Vec<(u32, Value)>, WireError> {
        let (bytes, budget) = (bytes.to_vec(), Budget::default());
        let source = Source::new(&bytes, &budget);
        let mut fields = source.fields(source.whole());
        let mut found = Vec::new();
        while let Some(field) = fields.next_field()? {
            found.push(field);
        }
        Ok(found)
    }

    #[test]
    fn reads_every_wire_type_and_passes_over_groups() {
        let bytes =
            [&[0x08, 0x96, 1][..], &[0x12, 2, b'h', b'i'], &[0x1d, 1, 0, 0, 0], &[0x23, 0x2b, 0x2c, 0x24]].concat();
        let found = walk(&bytes).unwrap();
        assert_eq!(
            found,
            [
                (1, Value::Varint(150)),
                (2, Value::Bytes(Span { offset: 5, len: 2 })),
                (3, Value::Fixed32(1)),
                (4, Value::Group)
            ]
        );
    }

    #[test]
    fn broken_fields_say_where() {
        assert!(matches!(walk(&[0x12, 5, 1]), Err(WireError::Truncated { offset: 2, wanted: 5, left: 1 })));
        assert!(matches!(walk(&[0x80]), Err(WireError::Malformed { offset: 0, .. })));
        assert!(matches!(walk(&[0xff; 11]), Err(WireError::Malformed { .. })));
        assert!(matches!(walk(&[0x00, 0]), Err(WireError::Malformed { what: "field number", .. })));
        assert!(matches!(walk(&[0x0c]), Err(WireError::Malformed { .. })));
        assert!(matches!(walk(&[0x0b].repeat(10)), Err(WireError::Malformed { .. })));
        assert!(matches!(walk(&[0x0e]), Err(WireError::Malformed { what: "wire type", .. })));
        assert!(matches!(walk(&[0x0d, 1]), Err(WireError::Malformed { .. })));
    }
}
