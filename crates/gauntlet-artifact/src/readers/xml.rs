//! What readers of XML share, and the search behind a value that says where it ends.

use std::io::Read;

use gauntlet_core::{Limit, SkipCode};
use gauntlet_limits::Budget;

use crate::extract::{Content, Place, Walk};
use crate::formats::xml::XmlError;

/// Bytes that hold the declaration of an XML document.
const PROLOG: usize = 200;

impl Walk<'_> {
    /// Looks into what stands behind a value that says where it ends.
    pub(super) fn behind(&mut self, content: &Content<'_>, end: u64, place: &Place) {
        let open = || {
            let mut stream = content.open()?;
            stream.skip(end)?;
            Ok(stream)
        };
        let rest = Content::Packed(&open);
        match rest.prefix(1) {
            Ok(prefix) if prefix.bytes.is_empty() => {}
            _ => self.examine(&rest, &place.part(end)),
        }
    }

    /// Reads an XML document with `read`; what ended it early is coverage of `check`.
    pub(super) fn xml<F>(
        &mut self,
        content: &Content<'_>,
        place: &Place,
        check: &'static str,
        read: impl FnOnce(&mut dyn Read, &Budget) -> (F, Result<(), XmlError>),
    ) -> Option<F> {
        let start = content.prefix(PROLOG).map(|prefix| prefix.bytes).unwrap_or_default();
        let opened = content.open();
        let mut stream = match opened {
            Ok(stream) => stream,
            Err(error) => {
                self.failed(check, place, &error);
                return None;
            }
        };
        let limits = self.budget.limits();
        let (facts, done) = match Encoding::of(&start) {
            Encoding::Utf8 => read(&mut stream, self.budget),
            encoding => {
                let mut bytes = Vec::new();
                let taken = stream.take(limits.header_bytes.saturating_add(1)).read_to_end(&mut bytes);
                if let Err(error) = taken {
                    self.io_failed(check, place, &error);
                }
                if let Err(hit) = limits.check(Limit::HeaderBytes, bytes.len() as u64) {
                    self.limit(check, place, hit);
                    return None;
                }
                read(&mut encoding.decode(&bytes).as_bytes(), self.budget)
            }
        };
        match done {
            Ok(()) => self.looked_at(check),
            Err(XmlError::Io(error)) => self.io_failed(check, place, &error),
            Err(XmlError::Malformed(what)) => self.skip(check, place, SkipCode::Malformed, format!("no XML: {what}")),
        }
        Some(facts)
    }
}

/// How the characters of an XML document are written.
#[derive(Clone, Copy)]
enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
    /// One byte a character; which ones beyond ASCII does not matter here.
    Bytes,
}

impl Encoding {
    fn of(start: &[u8]) -> Self {
        let declared = String::from_utf8_lossy(start).to_ascii_lowercase();
        let declared = declared.strip_prefix("<?xml").and_then(|rest| rest.split("?>").next()).unwrap_or_default();
        match start {
            [0xff, 0xfe, ..] => Self::Utf16Le,
            [0xfe, 0xff, ..] => Self::Utf16Be,
            _ if ["iso-8859", "windows-125", "latin"].iter().any(|name| declared.contains(name)) => Self::Bytes,
            _ => Self::Utf8,
        }
    }

    fn decode(self, bytes: &[u8]) -> String {
        let wide = |unit: fn([u8; 2]) -> u16| {
            let units = bytes.as_chunks::<2>().0.iter().map(|pair| unit(*pair));
            char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        };
        match self {
            Self::Utf16Le => wide(u16::from_le_bytes),
            Self::Utf16Be => wide(u16::from_be_bytes),
            Self::Bytes => bytes.iter().map(|byte| char::from(*byte)).collect(),
            Self::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
        }
    }
}
