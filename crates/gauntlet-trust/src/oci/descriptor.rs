//! References to blobs: media type, digest, size.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::shown;

/// The digest of a blob: SHA-256, the one algorithm that every registry must know and the only one that is read here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobDigest {
    hex: String,
}

/// What is wrong with a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlobDigestError {
    /// An algorithm that is not read.
    #[error("digest algorithm {0} is not read, only sha256")]
    Algorithm(String),
    /// Not an algorithm, a colon and lower-case hex of the right length.
    #[error("{0} is no digest `sha256:` with 64 lower-case hex digits")]
    Malformed(String),
}

impl BlobDigest {
    /// The digest of bytes in memory.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { hex: hex::encode(Sha256::digest(bytes)) }
    }

    pub(super) fn from_bytes(digest: &[u8; 32]) -> Self {
        Self { hex: hex::encode(digest) }
    }

    /// A blob's file name in `blobs/sha256`.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.hex
    }
}

impl FromStr for BlobDigest {
    type Err = BlobDigestError;

    fn from_str(text: &str) -> Result<Self, BlobDigestError> {
        let malformed = || BlobDigestError::Malformed(shown(text));
        let (algorithm, hex) = text.split_once(':').ok_or_else(malformed)?;
        if algorithm != "sha256" {
            return Err(BlobDigestError::Algorithm(shown(algorithm)));
        }
        // The specification has lower case only: one digest, one spelling, one file name.
        if hex.len() != 64 || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(malformed());
        }
        Ok(Self { hex: hex.to_owned() })
    }
}

impl fmt::Display for BlobDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex)
    }
}

impl Serialize for BlobDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BlobDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A reference to a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is said to be.
    pub media_type: String,
    /// The digest of its bytes.
    pub digest: BlobDigest,
    /// How many they are.
    pub size: u64,
    /// The artifact type of the manifest that is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// What else is said about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The bytes themselves, in base64; must be those of the digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<String>,
}

impl Descriptor {
    /// A reference to these bytes.
    #[must_use]
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, BlobDigest::of(bytes), bytes.len() as u64)
    }

    pub(super) fn new(media_type: &str, digest: BlobDigest, size: u64) -> Self {
        let media_type = media_type.to_owned();
        Self { media_type, digest, size, artifact_type: None, annotations: BTreeMap::new(), data: None }
    }

    pub(super) fn annotated(mut self, name: &str, value: impl Into<String>) -> Self {
        self.annotations.insert(name.to_owned(), value.into());
        self
    }
}

/// Go writes an absent map as `null`.
pub(super) fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_have_one_spelling() {
        let hex = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b";
        let digest: BlobDigest = format!("sha256:{hex}").parse().unwrap();
        assert_eq!(digest, BlobDigest::of(b"1"));
        assert_eq!(digest.to_string(), format!("sha256:{hex}"));
        for odd in [
            hex.to_owned(),
            format!("SHA256:{hex}"),
            format!("sha256:{}", hex.to_uppercase()),
            format!("sha256:{hex}0"),
            format!("sha256:../{}", &hex[3..]),
            format!("sha512:{hex}{hex}"),
            format!("sha256+b64u:{hex}"),
            format!("sha256:sha256:{hex}"),
            "sha256:".to_owned(),
            String::new(),
        ] {
            assert!(odd.parse::<BlobDigest>().is_err(), "{odd}");
        }
    }

    #[test]
    fn sizes_are_whole_numbers() {
        let digest = BlobDigest::of(b"1");
        for size in ["-1", "1.5", "1e3", "18446744073709551616", "\"1\"", "null"] {
            let text = format!(r#"{{"mediaType":"m","digest":"{digest}","size":{size}}}"#);
            assert!(serde_json::from_str::<Descriptor>(&text).is_err(), "{size}");
        }
    }
}
