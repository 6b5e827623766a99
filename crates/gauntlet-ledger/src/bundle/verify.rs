//! Checking what a bundle holds of logs: checkpoints under given keys, and every inclusion proof.

use crate::bundle::{Bundle, BundleError, LogPart};
use crate::checkpoint::SignedCheckpoint;
use crate::note::{KeyKind, VerifierKey};
use crate::record::Record;
use crate::tree::{leaf_hash, verify_inclusion};

/// A log whose checkpoint and entries were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedLog<'a> {
    /// The checkpoint, with every signature by the log's key and by given witness keys; a witness's time is in it.
    pub checkpoint: SignedCheckpoint,
    /// Entries that are proven to be under the checkpoint, by index.
    pub entries: Vec<LoggedEntry<'a>>,
    /// Every entry up to the checkpoint is here: nothing can have been left out.
    pub complete: bool,
}

/// An entry that is in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedEntry<'a> {
    /// Index of the entry, from 0.
    pub index: u64,
    /// What it says. The log vouches that it was appended, not that it is true.
    pub record: Record,
    /// The bytes of the envelope that it names. `None`: they are not in the bundle, so the entry proves only that it exists.
    pub envelope: Option<&'a [u8]>,
}

/// A log whose part of the bundle proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedLog {
    /// Name of the log.
    pub origin: String,
    /// Why: [`BundleError::UnknownLog`] when no key was given for it, else what is false.
    pub reason: BundleError,
}

impl Bundle {
    /// Checks all logs: each checkpoint under the one key of `logs` that has its origin as name, then every proof. Cosignatures
    /// by `witnesses` are in the result; how many are needed is the caller's policy. One false proof refuses the whole log.
    pub fn verify_logs(
        &self,
        logs: &[VerifierKey],
        witnesses: &[VerifierKey],
    ) -> (Vec<VerifiedLog<'_>>, Vec<RefusedLog>) {
        let (mut verified, mut refused) = (Vec::new(), Vec::new());
        for (origin, part) in &self.logs {
            // A log may have changed its key: whichever of its keys fits counts, and the last reason is told.
            let mut outcome = Err(BundleError::UnknownLog { origin: origin.clone() });
            for key in logs.iter().filter(|key| key.name() == origin && key.kind() == KeyKind::Ed25519) {
                outcome = self.verify_log(part, key, witnesses);
                if outcome.is_ok() {
                    break;
                }
            }
            match outcome {
                Ok(log) => verified.push(log),
                Err(reason) => refused.push(RefusedLog { origin: origin.clone(), reason }),
            }
        }
        (verified, refused)
    }

    fn verify_log(
        &self,
        part: &LogPart,
        key: &VerifierKey,
        witnesses: &[VerifierKey],
    ) -> Result<VerifiedLog<'_>, BundleError> {
        let origin = || key.name().to_owned();
        let checkpoint = SignedCheckpoint::open(part.checkpoint.as_bytes(), key, witnesses)
            .map_err(|source| BundleError::Checkpoint { origin: origin(), source })?;
        let tree = &checkpoint.checkpoint;
        let mut entries = Vec::with_capacity(part.entries.len());
        for (index, entry) in &part.entries {
            verify_inclusion(&leaf_hash(&entry.entry), *index, tree.size, &entry.proof, &tree.root)
                .map_err(|source| BundleError::Proof { origin: origin(), index: *index, source })?;
            let record = Record::parse(&entry.entry).map_err(|source| BundleError::Record {
                origin: origin(),
                index: *index,
                source,
            })?;
            // Envelopes are kept under the digest of their bytes, so finding one is checking it.
            let envelope = self.envelopes.get(&record.envelope.0).map(Vec::as_slice);
            entries.push(LoggedEntry { index: *index, record, envelope });
        }
        let complete = tree.size == entries.len() as u64;
        Ok(VerifiedLog { checkpoint, entries, complete })
    }
}
