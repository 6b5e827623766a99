//! Taking files apart: one JSON document, JSON Lines, the answer of GitHub's interface, or a map of tags.

use std::collections::BTreeMap;

use gauntlet_core::Digest;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Found, Source};
use crate::base64;
use crate::dsse::Envelope;
use crate::sigstore::Bundle;
use crate::strict_json::{self, Bounds, JsonError};

/// Bytes of the largest file that is read.
const MAX_BYTES: usize = 64 << 20;
/// Attestations in one file.
const MAX_FOUND: usize = 10_000;

/// Why a file of attestations cannot be read. One that is broken makes the whole file broken: leaving it out would hide it.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Too many bytes or attestations.
    #[error("more than {allowed} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// The bound.
        allowed: usize,
    },
    /// One of them.
    #[error("attestation {number}: {what}")]
    Attestation {
        /// Which one, from 1.
        number: usize,
        /// What is wrong with it.
        what: String,
    },
    /// A tag.
    #[error("tag `{name}`: {what}")]
    Tag {
        /// Its name.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// Not JSON of a known shape.
    #[error("neither an envelope nor a Sigstore bundle nor a list of them: {0}")]
    Json(#[from] JsonError),
    /// Nothing is in it.
    #[error("the file holds no attestation")]
    Empty,
}

/// What the tags of an MLflow run hold.
#[derive(Clone, Debug, Default)]
pub struct Tags {
    /// Attestations, with the tag each was in.
    pub attestations: Vec<(String, Found)>,
    /// Digests. Anybody who may set a tag may set these, so they only say what to look for.
    pub digests: Vec<TagDigest>,
}

/// A tag whose value is a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagDigest {
    /// Name of the tag.
    pub tag: String,
    /// The digest; nobody has vouched for it.
    pub digest: Digest,
}

/// Reads every attestation of a file: an envelope, a Sigstore bundle, JSON Lines of either, or the answer of GitHub's
/// interface (`{"attestations": [{"bundle": …}]}`).
///
/// # Errors
/// [`ReadError`] when one of them is malformed, or there is none.
pub fn read(bytes: &[u8]) -> Result<Vec<Found>, ReadError> {
    if bytes.len() > MAX_BYTES {
        return Err(ReadError::Limit { what: "bytes", allowed: MAX_BYTES });
    }
    // A document may span lines, so whether the whole is one decides.
    let whole = strict_json::from_slice::<Shape<'_>>(bytes, &Bounds::DOCUMENT);
    let refusal = match whole {
        Ok(shape) => return shape.read(bytes),
        Err(refusal) => refusal,
    };
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).collect();
    match lines.len() {
        0 => return Err(ReadError::Empty),
        1 => return Err(refusal.into()),
        n if n > MAX_FOUND => return Err(ReadError::Limit { what: "attestations", allowed: MAX_FOUND }),
        _ => {}
    }
    lines.iter().enumerate().map(|(i, line)| one(line, i + 1)).collect()
}

/// Reads the tags of a run: a JSON object of names and texts, or MLflow's list of `{"key", "value"}`. Attestations stand in
/// them as JSON or as base64 of it, digests as `sha256:<hex>`; other tags are passed over.
///
/// # Errors
/// [`ReadError`] when it is no map of tags, or a tag that begins like an attestation is none.
pub fn read_tags(bytes: &[u8]) -> Result<Tags, ReadError> {
    let tags = match strict_json::from_slice::<RawTags>(bytes, &Bounds::DOCUMENT)? {
        RawTags::Map(tags) => tags,
        RawTags::List(list) | RawTags::Run { tags: list } => {
            let mut tags = BTreeMap::new();
            for tag in list {
                if let Some(twice) = tags.insert(tag.key.clone(), tag.value) {
                    drop(twice);
                    return Err(ReadError::Tag { name: tag.key, what: "is there twice".to_owned() });
                }
            }
            tags
        }
    };
    let mut found = Tags::default();
    for (name, value) in tags {
        let value = value.trim();
        if let Ok(digest) = value.parse::<Digest>() {
            found.digests.push(TagDigest { tag: name, digest });
            continue;
        }
        let decoded = base64::decode(value).ok().filter(|bytes| bytes.first() == Some(&b'{'));
        let document = match &decoded {
            Some(bytes) => bytes.as_slice(),
            None => value.as_bytes(),
        };
        if looks_like_one(document) {
            let broken = |error: ReadError| ReadError::Tag { name: name.clone(), what: error.to_string() };
            let all = read(document).map_err(broken)?;
            found.attestations.extend(all.into_iter().map(|one| (name.clone(), one)));
        }
    }
    Ok(found)
}

/// Other tools keep JSON in tags, too; only what has the members of an attestation is held to be one.
fn looks_like_one(document: &[u8]) -> bool {
    let text = String::from_utf8_lossy(document);
    text.starts_with('{')
        && (text.contains("\"payloadType\"")
            || text.contains("\"dsseEnvelope\"")
            || text.contains("\"verificationMaterial\""))
}

fn one(bytes: &[u8], number: usize) -> Result<Found, ReadError> {
    let broken = |what: String| ReadError::Attestation { number, what };
    let shape: Shape<'_> = strict_json::from_slice(bytes, &Bounds::DOCUMENT).map_err(|e| broken(e.to_string()))?;
    let mut all = shape.read(bytes).map_err(|e| match e {
        ReadError::Attestation { what, .. } => broken(what),
        other => broken(other.to_string()),
    })?;
    match (all.pop(), all.is_empty()) {
        (Some(found), true) => Ok(found),
        _ => Err(broken("a line holds one attestation".to_owned())),
    }
}

/// Enough of a document to tell what it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape<'a> {
    #[serde(borrow)]
    payload_type: Option<&'a RawValue>,
    #[serde(borrow)]
    verification_material: Option<&'a RawValue>,
    #[serde(borrow)]
    attestations: Option<Vec<GitHub<'a>>>,
}

#[derive(Deserialize)]
struct GitHub<'a> {
    #[serde(borrow)]
    bundle: &'a RawValue,
}

impl Shape<'_> {
    fn read(&self, bytes: &[u8]) -> Result<Vec<Found>, ReadError> {
        let envelope = |bytes: &[u8]| {
            let what = |e: crate::dsse::DsseError| ReadError::Attestation { number: 1, what: e.to_string() };
            Envelope::parse(bytes).map(|envelope| Found { source: Source::Envelope(envelope) }).map_err(what)
        };
        let bundle = |bytes: &[u8], number| {
            let what = |e: crate::sigstore::Failure| ReadError::Attestation { number, what: e.message };
            Bundle::parse(bytes).map(|bundle| Found { source: Source::Bundle(Box::new(bundle)) }).map_err(what)
        };
        match (self.payload_type, self.verification_material, &self.attestations) {
            (Some(_), None, None) => Ok(vec![envelope(bytes)?]),
            (None, Some(_), None) => Ok(vec![bundle(bytes, 1)?]),
            (None, None, Some(all)) if all.is_empty() => Err(ReadError::Empty),
            (None, None, Some(all)) if all.len() > MAX_FOUND => {
                Err(ReadError::Limit { what: "attestations", allowed: MAX_FOUND })
            }
            (None, None, Some(all)) => {
                all.iter().enumerate().map(|(i, one)| bundle(one.bundle.get().as_bytes(), i + 1)).collect()
            }
            (None, None, None) => Err(ReadError::Empty),
            _ => {
                let what = "is an envelope and a bundle at once".to_owned();
                Err(ReadError::Attestation { number: 1, what })
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawTags {
    Run { tags: Vec<RawTag> },
    List(Vec<RawTag>),
    Map(BTreeMap<String, String>),
}

#[derive(Deserialize)]
struct RawTag {
    key: String,
    value: String,
}
