//! Digests name subjects. A file is its SHA-256; a folder its `dirHash1`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// A digest algorithm, named as in-toto's digest set names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Algorithm {
    /// SHA-256 over the bytes of a file, or the OpenSSF model root over those of a folder.
    #[serde(rename = "sha256")]
    Sha256,
    /// SHA-256 over the lines `<hex sha256>  <path>\n` sorted by path bytes; binds names.
    #[serde(rename = "dirHash1")]
    DirHash1,
    /// BLAKE2b with 64 bytes.
    #[serde(rename = "blake2b")]
    Blake2b,
    /// BLAKE3 with 32 bytes.
    #[serde(rename = "blake3")]
    Blake3,
}

impl Algorithm {
    /// The name in digest sets and in front of the colon.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::DirHash1 => "dirHash1",
            Self::Blake2b => "blake2b",
            Self::Blake3 => "blake3",
        }
    }

    /// Digest length in bytes.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::Blake2b => 64,
            _ => 32,
        }
    }
}

impl FromStr for Algorithm {
    type Err = DigestError;

    fn from_str(name: &str) -> Result<Self, DigestError> {
        [Self::Sha256, Self::DirHash1, Self::Blake2b, Self::Blake3]
            .into_iter()
            .find(|a| a.as_str() == name)
            .ok_or_else(|| DigestError { text: name.to_owned() })
    }
}

/// Algorithm and value, printed `sha256:<hex>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "String")]
pub struct Digest {
    algorithm: Algorithm,
    hex: String,
}

impl Digest {
    /// A digest from raw bytes.
    ///
    /// # Errors
    /// [`DigestError`] when the length does not fit the algorithm.
    pub fn new(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, DigestError> {
        if bytes.len() == algorithm.size() {
            Ok(Self { algorithm, hex: hex::encode(bytes) })
        } else {
            Err(DigestError { text: format!("{}:{}", algorithm.as_str(), hex::encode(bytes)) })
        }
    }

    /// SHA-256 of bytes in memory.
    #[must_use]
    pub fn sha256(bytes: &[u8]) -> Self {
        Self { algorithm: Algorithm::Sha256, hex: sha256_hex(bytes) }
    }

    /// The algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The value in lower-case hex.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.hex
    }
}

/// Lower-case hex SHA-256 of bytes in memory.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.as_str(), self.hex)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    /// Takes hex in any case, as readers of other people's digests must.
    fn from_str(text: &str) -> Result<Self, DigestError> {
        let wrong = || DigestError { text: text.to_owned() };
        let (name, value) = text.split_once(':').ok_or_else(wrong)?;
        let algorithm: Algorithm = name.parse().map_err(|_| wrong())?;
        let bytes = hex::decode(value).map_err(|_| wrong())?;
        Self::new(algorithm, &bytes).map_err(|_| wrong())
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A text that should be a digest and is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a digest of the form sha256:<64 hex digits>")]
pub struct DigestError {
    /// What was given.
    pub text: String,
}

/// in-toto's digest set: algorithm name to lower-case hex. Names we do not know are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct DigestSet(BTreeMap<String, String>);

impl DigestSet {
    /// The set `{sha256: …}` of bytes in memory.
    #[must_use]
    pub fn sha256_of(bytes: &[u8]) -> Self {
        Self::default().with(&Digest::sha256(bytes))
    }

    /// Adds or replaces one digest.
    #[must_use]
    pub fn with(mut self, digest: &Digest) -> Self {
        self.0.insert(digest.algorithm.as_str().to_owned(), digest.hex.clone());
        self
    }

    /// The hex value for an algorithm.
    #[must_use]
    pub fn get(&self, algorithm: Algorithm) -> Option<&str> {
        self.0.get(algorithm.as_str()).map(String::as_str)
    }

    /// The digest that caches, decisions and approvals key on: `dirHash1` where there is one (it binds file names,
    /// which the OpenSSF root does not), else `sha256`.
    #[must_use]
    pub fn primary(&self) -> Option<Digest> {
        [Algorithm::DirHash1, Algorithm::Sha256, Algorithm::Blake3, Algorithm::Blake2b].into_iter().find_map(
            |algorithm| {
                let bytes = hex::decode(self.get(algorithm)?).ok()?;
                Digest::new(algorithm, &bytes).ok()
            },
        )
    }

    /// in-toto's rule: every algorithm that both sets hold is equal, and at least one is shared.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        let mut shared =
            self.0.iter().filter_map(|(name, value)| other.0.get(name).map(|o| value.eq_ignore_ascii_case(o)));
        let mut any = false;
        shared.all(|equal| {
            any = true;
            equal
        }) && any
    }

    /// Name and value of every digest, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// Whether there is no digest at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, String)> for DigestSet {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

/// `dirHash1` over (path bytes, hex SHA-256 of the content or of a link's target text); order of the input is free.
#[must_use]
pub fn dir_hash<'a>(entries: impl IntoIterator<Item = (&'a [u8], &'a str)>) -> Digest {
    let mut entries: Vec<_> = entries.into_iter().collect();
    entries.sort_unstable();
    let mut hash = Sha256::new();
    for (path, hex) in entries {
        hash.update(hex.as_bytes());
        hash.update(b"  ");
        hash.update(path);
        hash.update(b"\n");
    }
    Digest { algorithm: Algorithm::DirHash1, hex: hex::encode(hash.finalize()) }
}

/// What a model signature leaves out by default, at the top of the model only.
pub const MODEL_IGNORED: [&str; 4] = [".git", ".gitattributes", ".github", ".gitignore"];

/// The root digest that an OpenSSF model signature over whole files (method `files`, SHA-256) has for these files:
/// SHA-256 over their raw digests in the order of their names. What is left out by default is left out here; `None`
/// when nothing remains or a digest is no SHA-256.
#[must_use]
pub fn model_root<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<Digest> {
    let top = |path: &'a str| path.split_once('/').map_or(path, |(top, _)| top);
    let mut files: Vec<_> = files.into_iter().filter(|(path, _)| !MODEL_IGNORED.contains(&top(path))).collect();
    files.sort_unstable();
    let mut hash = Sha256::new();
    for (_, hex) in &files {
        hash.update(hex::decode(hex).ok().filter(|bytes| bytes.len() == 32)?);
    }
    (!files.is_empty()).then(|| Digest { algorithm: Algorithm::Sha256, hex: hex::encode(hash.finalize()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_form_round_trips(bytes in proptest::collection::vec(any::<u8>(), 32..=32)) {
            for algorithm in [Algorithm::Sha256, Algorithm::DirHash1, Algorithm::Blake3] {
                let digest = Digest::new(algorithm, &bytes).unwrap();
                prop_assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest.clone());
                let json = serde_json::to_string(&digest).unwrap();
                prop_assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
            }
        }

        #[test]
        fn any_text_parses_or_is_refused(text in ".{0,80}") {
            let _ = text.parse::<Digest>();
        }
    }

    #[test]
    fn sets_match_on_every_shared_algorithm() {
        let a = DigestSet::from_iter([("sha256".into(), "AA".into()), ("x".into(), "1".into())]);
        let b = DigestSet::from_iter([("sha256".into(), "aa".into()), ("y".into(), "2".into())]);
        let c = DigestSet::from_iter([("x".into(), "2".into()), ("sha256".into(), "aa".into())]);
        assert!(a.matches(&b));
        assert!(!a.matches(&c));
        assert!(!a.matches(&DigestSet::default()));
    }

    #[test]
    fn dir_hash_binds_names() {
        let one = dir_hash([(b"a".as_slice(), "00"), (b"b".as_slice(), "11")]);
        assert_eq!(one, dir_hash([(b"b".as_slice(), "11"), (b"a".as_slice(), "00")]));
        assert_ne!(one, dir_hash([(b"a".as_slice(), "00"), (b"c".as_slice(), "11")]));
    }
}
