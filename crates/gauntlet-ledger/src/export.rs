//! From a ledger to a bundle: which entries go together, with envelopes and proofs to one checkpoint.

use std::collections::BTreeSet;

use gauntlet_trust::dsse::Envelope;
use gauntlet_trust::statement::Statement;
use serde_json::Value;

use crate::bundle::{Bundle, EntryPart, LogPart, MAX_ENTRIES};
use crate::error::Error;
use crate::log::Ledger;
use crate::tree::Hash;

/// Kinds of entries that belong to every selection: whoever judges has to know what was taken back.
const ALWAYS: [&str; 1] = ["revocation"];

/// Which entries to export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All: the only selection that proves that nothing was left out.
    All,
    /// Indices from the first up to, not including, the second.
    Range(u64, u64),
    /// What is said about a subject with this digest (hexadecimal, of any algorithm), everything that those statements name as
    /// their input, and all revocations.
    Subject(String),
}

impl Ledger {
    /// Exports entries with their envelopes and proofs to one checkpoint: the newest cosigned one when it covers them all, else the
    /// newest. An erased envelope is left out; its tombstone is in the bundle.
    ///
    /// # Errors
    /// When the selection is outside the log or larger than a bundle, an envelope is damaged or missing without a tombstone, or
    /// the log cannot be read.
    pub fn export(&self, selection: &Selection) -> Result<Bundle, Error> {
        let mut indices = match selection {
            Selection::All => (0..self.checkpoint().size).collect(),
            Selection::Range(from, to) => {
                let size = self.checkpoint().size;
                if from >= to || *to > size {
                    return Err(crate::tree::ProofError::IndexOutside { index: *to, size }.into());
                }
                (*from..*to).collect()
            }
            Selection::Subject(digest) => self.related(digest)?,
        };
        let mut bundle = Bundle::default();
        let mut tombstones = BTreeSet::new();
        loop {
            if indices.len() > MAX_ENTRIES {
                return Err(Error::TooManyEntries { found: indices.len(), limit: MAX_ENTRIES });
            }
            for index in &indices {
                let digest = self.show(*index)?.envelope.0;
                if bundle.envelopes.contains_key(&digest) || tombstones.contains(&digest) {
                    continue;
                }
                match (self.evidence().get(&digest)?, self.tombstone_of(&digest)?) {
                    (_, Some(_)) => drop(tombstones.insert(digest)),
                    (Some(bytes), None) => drop(bundle.add_envelope(bytes)),
                    (None, None) => return Err(Error::NoEnvelope(digest)),
                }
            }
            let mut more = BTreeSet::new();
            for erased in &tombstones {
                if let Some(tombstone) = self.tombstone_of(erased)? {
                    more.extend(self.by_envelope(&tombstone)?);
                }
            }
            let before = indices.len();
            indices.extend(more);
            if indices.len() == before {
                break;
            }
        }
        let part = self.part(&indices)?;
        bundle.logs.insert(self.verifier_key().name().to_owned(), part);
        Ok(bundle)
    }

    fn part(&self, indices: &BTreeSet<u64>) -> Result<LogPart, Error> {
        let last = indices.last().copied().unwrap_or(0);
        let cosigned = self.cosigned()?.filter(|signed| last < signed.checkpoint.size);
        let view = self.snapshot();
        let (size, checkpoint) = match cosigned {
            Some(signed) => (signed.checkpoint.size, signed.note.to_string()),
            None => (view.checkpoint.size, view.note.clone()),
        };
        let mut part = LogPart { checkpoint, entries: Default::default() };
        for index in indices {
            let proof = crate::tree::inclusion_proof(*index, size, &*view)??;
            part.entries.insert(*index, EntryPart { entry: self.entry(*index)?, proof });
        }
        Ok(part)
    }

    /// Entries about a subject, those that they rest on, and those that belong to every selection.
    fn related(&self, digest: &str) -> Result<BTreeSet<u64>, Error> {
        let wanted = digest.to_ascii_lowercase();
        let mut found = BTreeSet::new();
        let mut always = BTreeSet::new();
        for item in self.iter() {
            let (index, record) = item?;
            if record.subject.values().any(|digest| *digest == wanted) {
                found.insert(index);
            } else if ALWAYS.contains(&record.kind.as_str()) {
                always.insert(index);
            }
        }
        if found.is_empty() {
            return Ok(found);
        }
        let mut looked_at = BTreeSet::new();
        let mut waiting: Vec<u64> = found.iter().copied().collect();
        while let Some(index) = waiting.pop() {
            if !looked_at.insert(index) || looked_at.len() > MAX_ENTRIES {
                continue;
            }
            let digest = self.show(index)?.envelope.0;
            let Some(bytes) = self.evidence().get(&digest)? else { continue };
            for named in self.named_by(&bytes)? {
                if found.insert(named) {
                    waiting.push(named);
                }
            }
        }
        found.extend(always);
        Ok(found)
    }

    /// Entries that a statement names: input attestations by the digest of their envelope, dependencies by subject.
    fn named_by(&self, envelope: &[u8]) -> Result<Vec<u64>, Error> {
        let statement = Envelope::parse(envelope).ok().and_then(|envelope| {
            // Followed to collect evidence, not believed.
            Statement::parse(envelope.unverified_payload()).ok()
        });
        let Some(predicate) = statement.and_then(|statement| statement.predicate) else { return Ok(Vec::new()) };
        let list = |pointer: &str| predicate.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
        let mut named = Vec::new();
        for input in list("/inputAttestations") {
            let digest = input.pointer("/digest/sha256").and_then(Value::as_str).and_then(Hash::from_hex);
            if let Some(digest) = digest {
                named.extend(self.by_envelope(&digest)?);
            }
        }
        for dependency in list("/buildDefinition/resolvedDependencies") {
            let digests = dependency.get("digest").and_then(Value::as_object).cloned().unwrap_or_default();
            for (algorithm, digest) in digests {
                named.extend(self.by_subject(&algorithm, digest.as_str().unwrap_or_default())?);
            }
        }
        Ok(named)
    }
}
