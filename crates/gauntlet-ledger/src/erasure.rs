//! Tombstones: an envelope may hold what a person has a right to see removed. Its bytes go, its entry stays, and a signed statement
//! says who removed it and why. Without one, an absent envelope is a difference.

use std::num::NonZeroUsize;

use gauntlet_core::{Digest, DigestSet};
use gauntlet_trust::dsse::Envelope;
use gauntlet_trust::keys::{SigningKey, VerifyingKey};
use gauntlet_trust::statement::{ResourceDescriptor, Statement};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::record::{EnvelopeDigest, Record};
use crate::tree::Hash;

/// Predicate type of a tombstone.
pub const ERASURE: &str = "https://gauntlet.example/erasure/v1";

/// Kind of a tombstone's record. Its subject is the erased envelope: `sha256` and the digest.
pub const ERASURE_KIND: &str = "erasure";

/// What a tombstone says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// Why the bytes were removed. It stays for ever, so it must not repeat what was erased.
    pub reason: String,
    /// Indices of the entries that name the envelope.
    pub entries: Vec<u64>,
}

impl Erasure {
    /// The signed tombstone for an envelope, and its record. The time is RFC 3339 in UTC with `Z`.
    ///
    /// # Errors
    /// When the key refuses.
    pub(crate) fn sign(&self, erased: &Hash, key: &SigningKey, time: &str) -> Result<(Vec<u8>, Record), Error> {
        let digest = Digest::new(gauntlet_core::Algorithm::Sha256, erased.as_bytes()).map_err(|_| Error::Poisoned)?;
        let subject = ResourceDescriptor { digest: DigestSet::default().with(&digest), ..Default::default() };
        let statement = Statement::new(vec![subject], ERASURE, self);
        let envelope = statement.sign(&[key]).map_err(|error| Error::Sign(error.to_string()))?.to_json();
        let record = Record {
            envelope: EnvelopeDigest(Hash::of(&envelope)),
            key: key.key_id(),
            kind: ERASURE_KIND.to_owned(),
            predicate_type: ERASURE.to_owned(),
            subject: std::collections::BTreeMap::from([("sha256".to_owned(), erased.to_string())]),
            time: time.to_owned(),
        };
        Ok((envelope, record))
    }

    /// Reads a tombstone that one of these keys signed, for exactly this envelope.
    ///
    /// # Errors
    /// Why it does not count, for a message.
    pub fn verify(envelope: &[u8], erased: &Hash, keys: &[VerifyingKey]) -> Result<Self, String> {
        let envelope = Envelope::parse(envelope).map_err(|error| error.to_string())?;
        let verified = envelope.verify(keys, NonZeroUsize::MIN).map_err(|error| error.to_string())?;
        let statement = Statement::from_verified(&verified).map_err(|error| error.to_string())?;
        if statement.predicate_type != ERASURE {
            return Err(format!("it is a statement of type {}", statement.predicate_type));
        }
        let named = |subject: &ResourceDescriptor| {
            subject.digest.get(gauntlet_core::Algorithm::Sha256).and_then(Hash::from_hex) == Some(*erased)
        };
        if !statement.subject.iter().any(named) {
            return Err("it is about another envelope".to_owned());
        }
        let predicate = statement.predicate.ok_or("it gives no reason")?;
        serde_json::from_value(predicate).map_err(|error| error.to_string())
    }
}

/// The envelope that a tombstone's record says was erased.
pub(crate) fn erased_by(record: &Record) -> Option<Hash> {
    (record.kind == ERASURE_KIND).then(|| record.subject.get("sha256").and_then(|digest| Hash::from_hex(digest)))?
}
