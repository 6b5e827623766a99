//! The entry of the log: a small record that names an envelope by digest. It holds digests and names of types, never personal data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::tile::MAX_ENTRY;
use crate::tree::Hash;

/// Longest text in a record besides the subject digests, in bytes.
const MAX_TEXT: usize = 1024;

/// Most digests of one subject.
const MAX_DIGESTS: usize = 16;

/// One entry of the log. In the log it stands as compact JSON with sorted members, and no other spelling is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    // Members stand in sorted order, because serde writes them in this order.
    /// SHA-256 of the bytes of the DSSE envelope.
    pub envelope: EnvelopeDigest,
    /// Key id of the signer of the envelope: what the envelope says, not what was verified.
    pub key: String,
    /// What the evidence is, in kebab-case, such as `report`, `decision`, `approval`.
    pub kind: String,
    /// The predicate type of the statement, a URI.
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// Digests of the subject: algorithm (`sha256`, `dirHash1`) to lower-case hexadecimal.
    pub subject: BTreeMap<String, String>,
    /// When it was appended, RFC 3339 in UTC with `Z`. The caller's clock.
    pub time: String,
}

/// The SHA-256 of an envelope; in JSON `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct EnvelopeDigest(pub Hash);

/// Why bytes are not a record, or a record cannot be logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Longer than an entry may be.
    #[error("a record has at most {MAX_ENTRY} bytes, this one has {found}")]
    TooLarge {
        /// Its length in bytes.
        found: usize,
    },
    /// Not JSON of the record's shape.
    #[error("not a record: {0}")]
    Json(String),
    /// JSON of the right shape in another spelling than the log's.
    #[error("the record is not in its canonical spelling")]
    Spelling,
    /// A member whose content is not allowed.
    #[error("the record's {member} {problem}")]
    Member {
        /// Which member.
        member: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl Record {
    /// Reads an entry of the log. Only the canonical spelling is read, so doubled or unknown members cannot hide.
    ///
    /// # Errors
    /// When it is not a record.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > MAX_ENTRY {
            return Err(RecordError::TooLarge { found: bytes.len() });
        }
        let record: Self = serde_json::from_slice(bytes).map_err(|error| RecordError::Json(error.to_string()))?;
        if record.to_bytes()? == bytes { Ok(record) } else { Err(RecordError::Spelling) }
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// When a member's content is not allowed.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RecordError> {
        self.check()?;
        let bytes = serde_json::to_vec(self).map_err(|error| RecordError::Json(error.to_string()))?;
        if bytes.len() > MAX_ENTRY { Err(RecordError::TooLarge { found: bytes.len() }) } else { Ok(bytes) }
    }

    fn check(&self) -> Result<(), RecordError> {
        let member = |member, fits: bool, problem| {
            if fits { Ok(()) } else { Err(RecordError::Member { member, problem }) }
        };
        let kebab = |text: &str| {
            text.starts_with(|first: char| first.is_ascii_lowercase())
                && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        let plain =
            |text: &str| !text.is_empty() && text.len() <= MAX_TEXT && text.bytes().all(|byte| byte.is_ascii_graphic());
        member("kind", kebab(&self.kind) && self.kind.len() <= MAX_TEXT, "is not a kebab-case word")?;
        member("key", plain(&self.key), "is empty, too long or holds other than visible ASCII")?;
        member("predicateType", plain(&self.predicate_type), "is empty, too long or holds other than visible ASCII")?;
        member("subject", !self.subject.is_empty(), "holds no digest")?;
        member("subject", self.subject.len() <= MAX_DIGESTS, "holds more than 16 digests")?;
        for (algorithm, digest) in &self.subject {
            member("subject", algorithm.len() <= 64 && plain(algorithm), "names an algorithm that is no plain word")?;
            let hex = digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            member(
                "subject",
                hex && (32..=128).contains(&digest.len()),
                "holds a digest that is not lower-case hexadecimal",
            )?;
        }
        member("time", is_utc_time(&self.time), "is not RFC 3339 in UTC with a Z")
    }
}

impl From<EnvelopeDigest> for String {
    fn from(digest: EnvelopeDigest) -> Self {
        format!("sha256:{}", digest.0)
    }
}

impl TryFrom<String> for EnvelopeDigest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let hash = text.strip_prefix("sha256:").and_then(Hash::from_hex);
        hash.map(Self).ok_or("an envelope digest is sha256: and 64 hexadecimal digits")
    }
}

/// Whether a text is `YYYY-MM-DDThh:mm:ss[.fraction]Z` of a day that exists. Leap seconds are refused: no clock of ours gives them.
fn is_utc_time(text: &str) -> bool {
    let Some((seconds, fraction)) = text.strip_suffix('Z').and_then(|text| text.split_at_checked(19)) else {
        return false;
    };
    let fraction_fits = fraction.is_empty()
        || (fraction.len() <= 10
            && fraction
                .strip_prefix('.')
                .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())));
    let bytes = seconds.as_bytes();
    let shape = b"0000-00-00T00:00:00"
        .iter()
        .zip(bytes)
        .all(|(shape, byte)| if *shape == b'0' { byte.is_ascii_digit() } else { shape == byte });
    if !shape || !fraction_fits {
        return false;
    }
    let number =
        |range: std::ops::Range<usize>| bytes[range].iter().fold(0u32, |sum, byte| sum * 10 + u32::from(byte - b'0'));
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day) && number(11..13) < 24 && number(14..16) < 60 && number(17..19) < 60
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record() -> Record {
        Record {
            envelope: EnvelopeDigest(Hash::of(b"envelope")),
            key: "a1b2".into(),
            kind: "report".into(),
            predicate_type: "https://in-toto.io/attestation/test-result/v0.1".into(),
            subject: BTreeMap::from([("dirHash1".to_owned(), Hash::of(b"model").to_string())]),
            time: "2026-01-02T03:04:05Z".into(),
        }
    }

    #[test]
    fn stands_as_compact_json_with_sorted_members() {
        let bytes = record().to_bytes().unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let sorted: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(sorted.to_string(), text);
        assert_eq!(Record::parse(&bytes).unwrap(), record());
    }

    #[test]
    fn refuses_other_spellings_of_the_same_record() {
        let good = String::from_utf8(record().to_bytes().unwrap()).unwrap();
        for broken in [
            good.replace(':', ": "),
            good.replace("\"kind\":\"report\"", "\"kind\":\"report\",\"kind\":\"report\""),
            good.replace("\"kind\":", "\"more\":1,\"kind\":"),
            good.replace("report", "r\\u0065port"),
            good.replace("dirHash1\":", "dirHash1\":\"00000000000000000000000000000000\",\"dirHash1\":"),
            format!("{good} "),
            format!("{good}{good}"),
            String::new(),
        ] {
            assert!(Record::parse(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn refuses_members_that_could_carry_other_things() {
        type Change = fn(&mut Record);
        let changes: [(&str, Change); 8] = [
            ("kind", |record| record.kind = "Report of A. Person".into()),
            ("key", |record| record.key = "a key".into()),
            ("key", |record| record.key = "k".repeat(2000)),
            ("predicateType", |record| record.predicate_type = String::new()),
            ("subject", |record| record.subject.clear()),
            ("subject", |record| drop(record.subject.insert("sha256".into(), "ABCDEF".into()))),
            ("time", |record| record.time = "yesterday".into()),
            ("time", |record| record.time = "2026-01-02T03:04:05+00:00".into()),
        ];
        for (expected, change) in changes {
            let mut record = record();
            change(&mut record);
            let error = record.to_bytes().unwrap_err();
            assert!(matches!(error, RecordError::Member { member, .. } if member == expected), "{expected}: {error}");
        }
    }

    #[test]
    fn knows_the_days_that_exist() {
        for good in ["2024-02-29T00:00:00Z", "2000-02-29T23:59:59.5Z", "2026-12-31T23:59:59.123456789Z"] {
            assert!(is_utc_time(good), "{good}");
        }
        for bad in [
            "2026-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:0\u{660}Z",
            "",
            "Z",
        ] {
            assert!(!is_utc_time(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_back(key in "[!-~]{1,80}", kind in "[a-z][a-z0-9-]{0,20}", digest in any::<[u8; 32]>()) {
            let record = Record { key, kind, envelope: EnvelopeDigest(digest.into()), ..record() };
            let bytes = record.to_bytes().unwrap();
            prop_assert_eq!(Record::parse(&bytes).unwrap(), record);
        }
    }
}
