//! The JSON of a bundle: members in a fixed order, maps as sorted lists, no white space, one LF at the end.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gauntlet_trust::strict_json::{self, Bounds};
use serde::{Deserialize, Serialize, Serializer};

use crate::bundle::{Bundle, BundleError, EntryPart, LogPart, MAX_BUNDLE, MEDIA_TYPE, TimestampOf};
use crate::tree::Hash;

/// Depth 6 is what a bundle has. An entry and its proof are about 30 values.
const BOUNDS: Bounds = Bounds { bytes: MAX_BUNDLE, depth: 8, nodes: 8_000_000, members: 8 };

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WireBundle<'a> {
    #[serde(borrow)]
    media_type: Cow<'a, str>,
    #[serde(borrow)]
    logs: Vec<WireLog<'a>>,
    #[serde(borrow)]
    envelopes: Vec<Blob<'a>>,
    #[serde(borrow)]
    certificates: Vec<Blob<'a>>,
    #[serde(borrow)]
    timestamps: Vec<WireTimestamp<'a>>,
    #[serde(borrow)]
    reports: Vec<Blob<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireLog<'a> {
    #[serde(borrow)]
    origin: Cow<'a, str>,
    #[serde(borrow)]
    checkpoint: Cow<'a, str>,
    #[serde(borrow)]
    entries: Vec<WireEntry<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireEntry<'a> {
    index: u64,
    #[serde(borrow)]
    entry: Cow<'a, str>,
    #[serde(borrow)]
    proof: Vec<Cow<'a, str>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireTimestamp<'a> {
    #[serde(borrow)]
    envelope: Cow<'a, str>,
    signature: u32,
    #[serde(borrow)]
    token: Blob<'a>,
}

/// Base64 in the file; encoded while it is written, so that large envelopes are not copied.
#[derive(Deserialize)]
#[serde(transparent)]
struct Blob<'a>(#[serde(borrow)] Cow<'a, str>);

impl Serialize for Blob<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Blob<'_> {
    fn of(bytes: &[u8]) -> Self {
        Self(Cow::Owned(STANDARD.encode(bytes)))
    }

    fn decode(&self, what: &'static str) -> Result<Vec<u8>, BundleError> {
        STANDARD.decode(self.0.as_bytes()).map_err(|_| BundleError::Encoding(what))
    }
}

/// Reads the shape. Order and spelling are the caller's to compare.
pub(super) fn parse(bytes: &[u8]) -> Result<Bundle, BundleError> {
    let wire: WireBundle<'_> =
        strict_json::from_slice(bytes, &BOUNDS).map_err(|error| BundleError::Json(error.to_string()))?;
    if wire.media_type != MEDIA_TYPE {
        return Err(BundleError::Version(
            wire.media_type.chars().take(80).collect::<String>().escape_debug().to_string(),
        ));
    }
    let mut bundle = Bundle::default();
    for log in wire.logs {
        let mut entries = BTreeMap::new();
        for entry in log.entries {
            let proof = entry.proof.iter().map(|hash| Hash::from_base64(hash)).collect::<Option<_>>();
            let proof = proof.ok_or(BundleError::Encoding("a hash of a proof"))?;
            let part = EntryPart { entry: entry.entry.into_owned().into_bytes(), proof };
            if entries.insert(entry.index, part).is_some() {
                return Err(BundleError::Twice("an entry"));
            }
        }
        let part = LogPart { checkpoint: log.checkpoint.into_owned(), entries };
        if bundle.logs.insert(log.origin.into_owned(), part).is_some() {
            return Err(BundleError::Twice("a log"));
        }
    }
    for blob in &wire.envelopes {
        bundle.add_envelope(blob.decode("an envelope")?);
    }
    for blob in &wire.reports {
        bundle.add_report(blob.decode("a report")?);
    }
    for blob in &wire.certificates {
        bundle.certificates.insert(blob.decode("a certificate")?);
    }
    let mut number = 0;
    let mut earlier = None;
    for stamp in &wire.timestamps {
        let envelope = Hash::from_hex(&stamp.envelope).ok_or(BundleError::Encoding("an envelope's digest"))?;
        let of = (envelope, stamp.signature);
        number = if earlier == Some(of) { number + 1 } else { 0 };
        earlier = Some(of);
        let of = TimestampOf { envelope, signature: stamp.signature, number };
        if bundle.timestamps.insert(of, stamp.token.decode("a time stamp")?).is_some() {
            return Err(BundleError::Twice("a time stamp"));
        }
    }
    Ok(bundle)
}

/// Writes the one spelling, blob by blob.
pub(super) fn write(bundle: &Bundle, out: &mut impl Write) -> io::Result<()> {
    write!(out, "{{\"mediaType\":\"{MEDIA_TYPE}\",\"logs\":")?;
    list(out, &bundle.logs, |out, (origin, log)| write_log(out, origin, log))?;
    out.write_all(b",\"envelopes\":")?;
    list(out, bundle.envelopes.values(), |out, bytes| json(out, &Blob::of(bytes)))?;
    out.write_all(b",\"certificates\":")?;
    list(out, &bundle.certificates, |out, bytes| json(out, &Blob::of(bytes)))?;
    out.write_all(b",\"timestamps\":")?;
    list(out, &bundle.timestamps, |out, (of, token)| {
        let envelope = Cow::Owned(of.envelope.to_string());
        json(out, &WireTimestamp { envelope, signature: of.signature, token: Blob::of(token) })
    })?;
    out.write_all(b",\"reports\":")?;
    list(out, bundle.reports.values(), |out, bytes| json(out, &Blob::of(bytes)))?;
    out.write_all(b"}\n")
}

fn write_log(out: &mut impl Write, origin: &str, log: &LogPart) -> io::Result<()> {
    out.write_all(b"{\"origin\":")?;
    json(out, &origin)?;
    out.write_all(b",\"checkpoint\":")?;
    json(out, &log.checkpoint)?;
    out.write_all(b",\"entries\":")?;
    list(out, &log.entries, |out, (index, part)| {
        let entry = std::str::from_utf8(&part.entry).map_err(io::Error::other)?;
        let proof = part.proof.iter().map(|hash| Cow::Owned(hash.to_base64())).collect();
        json(out, &WireEntry { index: *index, entry: Cow::Borrowed(entry), proof })
    })?;
    out.write_all(b"}")
}

fn list<T, W: Write>(
    out: &mut W,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut W, T) -> io::Result<()>,
) -> io::Result<()> {
    out.write_all(b"[")?;
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            out.write_all(b",")?;
        }
        write(out, item)?;
    }
    out.write_all(b"]")
}

fn json(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(out, value).map_err(io::Error::from)
}

/// Compares what is written with bytes that are there, without a second copy of them.
pub(super) struct Compare<'a>(&'a [u8]);

impl<'a> Compare<'a> {
    pub(super) fn new(expected: &'a [u8]) -> Self {
        Self(expected)
    }

    /// Whether everything expected was written.
    pub(super) fn is_whole(&self) -> bool {
        self.0.is_empty()
    }
}

impl Write for Compare<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.strip_prefix(bytes).ok_or_else(|| io::Error::other("the bytes differ"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
