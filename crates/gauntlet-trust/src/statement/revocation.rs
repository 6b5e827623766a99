//! A revocation: a signed statement that a subject, a piece of evidence or a key no longer counts.

use gauntlet_core::{Algorithm, Digest, DigestSet};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::predicate::{Members, Predicate};
use super::{ResourceDescriptor, Statement, StatementError};
use crate::trust_policy::{Revoked, RevokedThing};

/// A revocation of the statement's subjects.
pub const REVOCATION: &str = "https://gauntlet.example/revocation/v1";

/// The predicate of a revocation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revocation {
    /// What the statement's subjects are.
    pub revokes: RevokedKind,
    /// Why, for people.
    pub reason: String,
    /// From when on, RFC 3339 in UTC; absent for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// When it was made, RFC 3339 in UTC: the signer's word.
    pub issued: String,
    /// Members that this type does not name.
    #[serde(flatten)]
    pub extensions: Map<String, Value>,
}

/// What the subjects of a revocation are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevokedKind {
    /// Things that were judged, by any of their digests.
    Subject,
    /// Envelopes, by the `sha256` of their bytes.
    Envelope,
    /// Keys, by the `sha256` of their SubjectPublicKeyInfo.
    Key,
}

impl Predicate for Revocation {
    const TYPES: &'static [&'static str] = &[REVOCATION];
    const NAME: &'static str = "revocation";

    fn check(&self) -> Result<(), StatementError> {
        let member = Members::of::<Self>();
        member.text("reason", &self.reason)?;
        member.time("from", self.from.as_deref())?;
        member.time("issued", Some(&self.issued))
    }
}

impl Revocation {
    /// A revocation from a moment on, with what it is about.
    #[must_use]
    pub fn new(revoked: &Revoked, issued: Timestamp) -> (Self, ResourceDescriptor) {
        let (revokes, digest) = match &revoked.what {
            RevokedThing::Subject(digest) => (RevokedKind::Subject, DigestSet::default().with(digest)),
            RevokedThing::Envelope(digest) => (RevokedKind::Envelope, DigestSet::default().with(digest)),
            RevokedThing::Key(id) => {
                let bytes = hex::decode(id).unwrap_or_default();
                let digest = Digest::new(Algorithm::Sha256, &bytes).ok();
                (RevokedKind::Key, digest.iter().fold(DigestSet::default(), DigestSet::with))
            }
        };
        let time = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let predicate = Self {
            revokes,
            reason: revoked.reason.clone(),
            from: revoked.from.map(time),
            issued: time(issued),
            extensions: Map::new(),
        };
        (predicate, ResourceDescriptor { digest, ..ResourceDescriptor::default() })
    }

    /// Everything that a statement revokes. A subject with several digests is revoked by each of them.
    ///
    /// # Errors
    /// [`StatementError`] when it is no revocation, or names an envelope or key without a `sha256`.
    pub fn of(statement: &Statement) -> Result<Vec<Revoked>, StatementError> {
        let predicate: Self = statement.predicate_as()?;
        let member = Members::of::<Self>();
        let time = |text: &String| text.parse::<Timestamp>().map_err(|_| member.wrong("from", "is not a time"));
        let from = predicate.from.as_ref().map(time).transpose()?;
        let mut revoked = Vec::new();
        for subject in &statement.subject {
            let digests =
                subject.digest.iter().filter_map(|(name, hex)| format!("{name}:{hex}").parse::<Digest>().ok());
            let before = revoked.len();
            for digest in digests {
                let what = match (predicate.revokes, digest.algorithm()) {
                    (RevokedKind::Subject, _) => RevokedThing::Subject(digest),
                    (RevokedKind::Envelope, Algorithm::Sha256) => RevokedThing::Envelope(digest),
                    (RevokedKind::Key, Algorithm::Sha256) => RevokedThing::Key(digest.hex().to_owned()),
                    _ => continue,
                };
                revoked.push(Revoked { what, from, reason: predicate.reason.clone() });
            }
            if revoked.len() == before {
                return Err(member.wrong("subject", "has no digest by which it could be revoked"));
            }
        }
        Ok(revoked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let time = |text: &str| gauntlet_core::parse_time(text).unwrap();
        let digest = Digest::sha256(b"x");
        for what in [
            RevokedThing::Key(digest.hex().to_owned()),
            RevokedThing::Envelope(digest.clone()),
            RevokedThing::Subject(digest.clone()),
        ] {
            let revoked = Revoked { what, from: Some(time("2026-01-01")), reason: "leaked".into() };
            let (predicate, subject) = Revocation::new(&revoked, time("2026-01-02"));
            let statement = Statement::about(vec![subject], predicate).unwrap();
            let read = Statement::parse(&statement.to_bytes().unwrap()).unwrap();
            assert_eq!(Revocation::of(&read).unwrap(), [revoked]);
        }
    }

    #[test]
    fn a_revocation_that_revokes_nothing_is_refused() {
        let predicate = serde_json::json!({"revokes": "key", "reason": "x", "issued": "2026-01-01T00:00:00Z"});
        let subject =
            |digest: serde_json::Value| serde_json::from_value(serde_json::json!({"digest": digest})).unwrap();
        let of = |digest| Revocation::of(&Statement::new(vec![subject(digest)], REVOCATION, predicate.clone()));
        assert!(of(serde_json::json!({"sha1": "00"})).unwrap_err().to_string().contains("no digest"));
        assert!(of(serde_json::json!({"sha256": "0".repeat(64)})).is_ok());
        let other = Statement::new(vec![], "t", predicate.clone());
        assert!(Revocation::of(&other).is_err());
    }
}
