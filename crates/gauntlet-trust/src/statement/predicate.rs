//! What all predicate types share: which types they are, which members they must have, and the table of known types.
//!
//! in-toto's parsing rules hold for all: members that a type does not name are no error, and an optional member that is
//! null means the same as one that is absent.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::document::{BillOfMaterials, Exploitability, SpdxDocument};
use super::{
    Approval, AttributeReport, Link, Provenance, Reference, Release, ResourceDescriptor, Revocation, RuntimeTrace,
    SimpleVerificationResult, StatementError, TestResult, VerificationSummary, Vulnerabilities, Waiver,
};

/// A typed predicate.
pub trait Predicate: Serialize + DeserializeOwned {
    /// The predicate types that are read as this; the first is the one that is written.
    const TYPES: &'static [&'static str];
    /// What it is called in messages.
    const NAME: &'static str;

    /// Checks what the shape alone does not say: required members that are empty, times, contradictions.
    ///
    /// # Errors
    /// [`StatementError::Member`] names the first member that is wrong.
    fn check(&self) -> Result<(), StatementError>;
}

/// A predicate type that we know the rules of.
#[derive(Debug)]
pub struct KnownType {
    /// What it is called in messages.
    pub name: &'static str,
    /// The predicate types, the one that is written first.
    pub types: &'static [&'static str],
    pub(super) check: fn(Value) -> Result<(), StatementError>,
}

/// All predicate types that are checked before they are signed and when they are read.
pub static KNOWN: &[KnownType] = &[
    known::<TestResult>(),
    known::<VerificationSummary>(),
    known::<Provenance>(),
    known::<Vulnerabilities>(),
    known::<AttributeReport>(),
    known::<Reference>(),
    known::<Release>(),
    known::<SimpleVerificationResult>(),
    known::<Link>(),
    known::<RuntimeTrace>(),
    known::<BillOfMaterials>(),
    known::<SpdxDocument>(),
    known::<Exploitability>(),
    known::<Approval>(),
    known::<Waiver>(),
    known::<Revocation>(),
];

/// The known type that `predicate_type` is one spelling of.
#[must_use]
pub fn known_type(predicate_type: &str) -> Option<&'static KnownType> {
    KNOWN.iter().find(|known| known.types.contains(&predicate_type))
}

const fn known<P: Predicate>() -> KnownType {
    KnownType { name: P::NAME, types: P::TYPES, check: |value| read::<P>(value).map(drop) }
}

/// Reads and checks a predicate.
pub(super) fn read<P: Predicate>(value: Value) -> Result<P, StatementError> {
    let predicate: P =
        serde_json::from_value(value).map_err(|source| StatementError::Shape { predicate: P::NAME, source })?;
    predicate.check()?;
    Ok(predicate)
}

/// Reads an optional member that is null as if it were absent.
pub(super) fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Checks of single members that name the predicate in what they refuse.
#[derive(Clone, Copy)]
pub(super) struct Members {
    predicate: &'static str,
}

impl Members {
    pub(super) fn of<P: Predicate>() -> Self {
        Self { predicate: P::NAME }
    }

    pub(super) fn wrong(self, member: impl Into<String>, problem: &'static str) -> StatementError {
        StatementError::Member { predicate: self.predicate, member: member.into(), problem }
    }

    /// A required text.
    pub(super) fn text(self, member: &str, text: &str) -> Result<(), StatementError> {
        if text.trim().is_empty() { Err(self.wrong(member, "is missing or empty")) } else { Ok(()) }
    }

    /// A required URI: RFC 3986, with a scheme.
    pub(super) fn uri(self, member: &str, text: &str) -> Result<(), StatementError> {
        self.text(member, text)?;
        let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
        let formed = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
            && !text.chars().any(|c| c.is_whitespace() || c.is_control());
        if formed { Ok(()) } else { Err(self.wrong(member, "is not a URI")) }
    }

    /// A time, where there is one: RFC 3339 in UTC, written with `Z`.
    pub(super) fn time(self, member: &str, text: Option<&str>) -> Result<(), StatementError> {
        match text {
            Some(text) if !text.ends_with(['Z', 'z']) || text.parse::<jiff::Timestamp>().is_err() => {
                Err(self.wrong(member, "is not a time of RFC 3339 in UTC such as 2026-01-31T12:00:00Z"))
            }
            _ => Ok(()),
        }
    }

    /// A descriptor with at least one of `uri`, `digest` and `content`.
    pub(super) fn resource(self, member: &str, resource: &ResourceDescriptor) -> Result<(), StatementError> {
        if resource.names_something() { Ok(()) } else { Err(self.wrong(member, "has neither uri, digest nor content")) }
    }

    /// A list of such descriptors.
    pub(super) fn resources(self, member: &str, list: &[ResourceDescriptor]) -> Result<(), StatementError> {
        list.iter().enumerate().try_for_each(|(index, resource)| self.resource(&format!("{member}[{index}]"), resource))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_predicate_type_is_claimed_twice() {
        let all: Vec<_> = KNOWN.iter().flat_map(|known| known.types).collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        assert!(KNOWN.iter().all(|known| !known.types.is_empty()));
    }

    #[test]
    fn an_empty_predicate_is_refused_by_every_type() {
        for known in KNOWN {
            assert!((known.check)(serde_json::json!({})).is_err(), "{}", known.name);
        }
    }

    #[test]
    fn no_mutated_predicate_breaks_a_reader() {
        let seed = br#"{"scanner":{"uri":"pkg:pypi/x@1","db":{"lastUpdate":"2026-01-01T00:00:00Z"},"result":[{"id":"A",
            "severity":[{"method":"m","score":"1"}]}]},"metadata":{"scanStartedOn":"2026-01-01T00:00:00Z","scanFinishedOn":
            "2026-01-01T00:00:00Z"},"buildDefinition":{"buildType":"a:b","externalParameters":{}},"runDetails":{"builder":
            {"id":"c:d"}},"attributes":[{"attribute":"x"}],"purl":"pkg:pypi/x@1","name":"n","result":"PASSED","configuration":[]}"#;
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap()
        };
        let accepted = |value: &Value| KNOWN.iter().filter(|known| (known.check)(value.clone()).is_ok()).count();
        assert!(accepted(&serde_json::from_slice(seed).unwrap()) >= 6);
        for _ in 0..2_000 {
            let mut bytes = seed.to_vec();
            let at = next() % bytes.len();
            match next() % 3 {
                0 => bytes[at] = b'0' + u8::try_from(next() % 10).unwrap(),
                1 => bytes[at] ^= 1 << (next() % 8),
                _ => {
                    let tail = bytes.split_off(at);
                    bytes.extend_from_slice(&seed[next() % seed.len()..]);
                    bytes.extend(tail);
                }
            }
            if let Ok(value) = serde_json::from_slice(&bytes) {
                accepted(&value);
            }
        }
    }

    #[test]
    fn times_and_uris_have_a_form() {
        let members = Members { predicate: "p" };
        for time in ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.52Z"] {
            assert!(members.time("t", Some(time)).is_ok(), "{time}");
        }
        for time in ["", "Z", "2026-01-31", "2026-01-31T12:00:00+01:00", "2026-13-31T12:00:00Z", "yesterday"] {
            assert!(members.time("t", Some(time)).is_err(), "{time}");
        }
        for uri in ["https://a.example/x", "pkg:pypi/a@1", "urn:x"] {
            assert!(members.uri("u", uri).is_ok(), "{uri}");
        }
        for uri in ["", "a", ":x", "1a:x", "https://a b", "a\n:b"] {
            assert!(members.uri("u", uri).is_err(), "{uri}");
        }
    }
}
