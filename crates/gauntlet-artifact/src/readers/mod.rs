//! Readers of model formats: one file a family, one line each in [`READERS`] or [`DOCUMENTS`].
//!
//! A reader turns bytes into facts and hands embedded parts on; it never judges. Pickles, containers, safetensors, ONNX
//! and NumPy arrays are routed by [`crate::extract`] itself.
#![allow(dead_code, reason = "the families that use all of it arrive one by one")]

mod gguf;
mod java;
mod openvino;
mod pmml;
mod rdata;
mod torch7;

use std::io::Read;

use gauntlet_core::{Limit, SkipCode};
use gauntlet_limits::Budget;

use crate::extract::{Content, Place, Walk};
use crate::formats::json::Document;
use crate::formats::xml::XmlError;

/// Bytes that hold the declaration of an XML document.
const PROLOG: usize = 200;

/// Formats with a native reader, recognised by content.
#[rustfmt::skip]
pub(crate) static READERS: &[&dyn Reader] = &[
    &gguf::Gguf,
    &java::Java,
    &openvino::Openvino,
    &pmml::Pmml,
    &rdata::RData,
    &torch7::Torch7,
];

/// Families of JSON documents.
#[rustfmt::skip]
pub(crate) static DOCUMENTS: &[&dyn DocumentReader] = &[
];

/// The beginning of a file or member.
pub(crate) struct Head<'a> {
    /// At most [`crate::extract::PREFIX`] bytes.
    pub prefix: &'a [u8],
    /// The prefix is everything.
    pub complete: bool,
    /// Size in bytes, when known without unpacking.
    pub size: Option<u64>,
    /// What the file or member is called.
    pub name: &'a str,
}

impl Head<'_> {
    /// The last ending in lower case, without its dot; empty when there is none.
    pub(crate) fn ending(&self) -> String {
        ending(self.name)
    }

    /// The last part of the name.
    pub(crate) fn base(&self) -> &str {
        base(self.name)
    }
}

/// Reads one format.
pub(crate) trait Reader: Sync {
    /// Name of the format, as people write it.
    fn format(&self) -> &'static str;

    /// The check that judges it; gaps in reading are its coverage.
    fn check(&self) -> &'static str;

    /// Endings (lower case, no dot) that promise this format. A file with such an ending and no known content is given to
    /// the reader all the same, so that it can say what is broken.
    fn endings(&self) -> &'static [&'static str];

    /// Whether the content begins like this format. May look at the name, and must not be fooled by it.
    fn recognises(&self, head: &Head<'_>) -> bool;

    /// Reads it: pushes facts, counts coverage, hands embedded parts to [`Walk::part`].
    fn read(&self, walk: &mut Walk<'_>, content: &Content<'_>, place: &Place);
}

/// Reads one family of JSON documents.
pub(crate) trait DocumentReader: Sync {
    /// Name of the format, as people write it.
    fn format(&self) -> &'static str;

    /// The check that judges it.
    fn check(&self) -> &'static str;

    /// Whether a loader of this family would read a document of this name; a broken one is then an open question.
    fn expects(&self, name: &str) -> bool;

    /// Whether the document is of this family, by content or by name.
    fn concerns(&self, name: &str, document: &Document) -> bool;

    /// Reads it: pushes facts, counts coverage, hands embedded parts to [`Walk::part`].
    fn read(&self, walk: &mut Walk<'_>, document: &Document, place: &Place);
}

/// The last part of a name, whatever separates its parts.
pub(crate) fn base(name: &str) -> &str {
    name.rsplit(['/', '\\', '!']).next().unwrap_or(name)
}

/// The last ending of a name in lower case, without its dot.
pub(crate) fn ending(name: &str) -> String {
    base(name).rsplit_once('.').map_or_else(String::new, |(_, ending)| ending.to_ascii_lowercase())
}

impl Walk<'_> {
    /// Looks into what stands behind a value that says where it ends.
    fn behind(&mut self, content: &Content<'_>, end: u64, place: &Place) {
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
    fn xml<F>(
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
