//! `.gauntlet-bundle`: evidence that travels. Envelopes, the log entries that name them, inclusion proofs, signed checkpoints,
//! certificates, time stamps and reports in one file, with which a stranger who has nothing but trusted keys can judge.
//!
//! Nothing in a bundle is a root of trust: log keys, witness keys, signers and certificate authorities come from the caller.

mod error;
mod verify;
mod wire;

use std::collections::{BTreeMap, BTreeSet};

pub use error::BundleError;
pub use verify::{LoggedEntry, RefusedLog, VerifiedLog};

use crate::checkpoint::Checkpoint;
use crate::evidence::MAX_ENVELOPE;
use crate::tree::Hash;

/// Media type of a bundle, its first member.
pub const MEDIA_TYPE: &str = "application/vnd.gauntlet.bundle.v1+json";

/// Ending of a bundle's file name, with its dot.
pub const EXTENSION: &str = ".gauntlet-bundle";

/// Largest bundle, in bytes.
pub const MAX_BUNDLE: usize = 256 << 20;

/// Most log entries in one bundle, those of all logs together.
pub const MAX_ENTRIES: usize = 100_000;

/// Most envelopes, reports or time stamps in one bundle, each.
pub const MAX_BLOBS: usize = 100_000;

/// Most logs in one bundle.
pub const MAX_LOGS: usize = 64;

/// Most certificates in one bundle, and the largest one in bytes.
pub const MAX_CERTIFICATES: usize = 1_000;
const MAX_CERTIFICATE: usize = 64 << 10;

/// Largest RFC 3161 token, in bytes.
const MAX_TOKEN: usize = 256 << 10;

/// The content of a bundle. Its shape was checked when it was read; no signature and no proof was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bundle {
    /// Logs with entries from them, by origin.
    pub logs: BTreeMap<String, LogPart>,
    /// DSSE envelopes by the SHA-256 of their bytes. An envelope that no entry names was never logged.
    pub envelopes: BTreeMap<Hash, Vec<u8>>,
    /// Certificates in DER: untrusted intermediates and leaves, never roots.
    pub certificates: BTreeSet<Vec<u8>>,
    /// RFC 3161 time stamp tokens in DER.
    pub timestamps: BTreeMap<TimestampOf, Vec<u8>>,
    /// Full reports by the SHA-256 of their bytes, as statements name them.
    pub reports: BTreeMap<Hash, Vec<u8>>,
}

/// What a bundle holds of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPart {
    /// The signed checkpoint with its cosignatures, to which all proofs lead.
    pub checkpoint: String,
    /// Entries by index.
    pub entries: BTreeMap<u64, EntryPart>,
}

/// One log entry with its inclusion proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryPart {
    /// The exact bytes of the entry, which are a [`crate::record::Record`].
    pub entry: Vec<u8>,
    /// Hashes from the leaf to the root of the part's checkpoint.
    pub proof: Vec<Hash>,
}

/// Which signature a time stamp is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimestampOf {
    /// SHA-256 of the envelope.
    pub envelope: Hash,
    /// Place of the signature in the envelope, from 0; the token is over its raw bytes.
    pub signature: u32,
    /// Place of the token among those over the same signature, from 0, in the order of their bytes.
    pub number: u32,
}

impl Bundle {
    /// Reads a bundle. There is one spelling of each content, and no other is read: unknown or doubled members, another
    /// order or white space are refused.
    ///
    /// # Errors
    /// When it is too large or malformed. Signatures and proofs are only checked by [`Bundle::verify_logs`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        let bundle = wire::parse(bytes)?;
        bundle.check()?;
        // One spelling: what was read must be what would be written.
        let mut compare = wire::Compare::new(bytes);
        wire::write(&bundle, &mut compare).map_err(|_| BundleError::Spelling)?;
        if compare.is_whole() { Ok(bundle) } else { Err(BundleError::Spelling) }
    }

    /// The bytes of the bundle; equal content gives equal bytes.
    ///
    /// # Errors
    /// When the content breaks a limit that [`Bundle::parse`] holds it to.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BundleError> {
        self.check()?;
        let mut bytes = Vec::new();
        wire::write(self, &mut bytes).map_err(|error| BundleError::Json(error.to_string()))?;
        if bytes.len() > MAX_BUNDLE {
            return Err(BundleError::Limit { what: "bytes", allowed: MAX_BUNDLE });
        }
        Ok(bytes)
    }

    /// Adds an envelope and gives its digest.
    pub fn add_envelope(&mut self, envelope: Vec<u8>) -> Hash {
        let digest = Hash::of(&envelope);
        self.envelopes.insert(digest, envelope);
        digest
    }

    /// Adds a report and gives its digest.
    pub fn add_report(&mut self, report: Vec<u8>) -> Hash {
        let digest = Hash::of(&report);
        self.reports.insert(digest, report);
        digest
    }

    fn check(&self) -> Result<(), BundleError> {
        let limit = |what, found: usize, allowed: usize| {
            if found <= allowed { Ok(()) } else { Err(BundleError::Limit { what, allowed }) }
        };
        limit("logs", self.logs.len(), MAX_LOGS)?;
        limit("entries", self.logs.values().map(|log| log.entries.len()).sum(), MAX_ENTRIES)?;
        limit("envelopes", self.envelopes.len(), MAX_BLOBS)?;
        limit("reports", self.reports.len(), MAX_BLOBS)?;
        limit("time stamps", self.timestamps.len(), MAX_BLOBS)?;
        limit("certificates", self.certificates.len(), MAX_CERTIFICATES)?;
        let blobs = self.envelopes.values().chain(self.reports.values());
        limit("bytes in an envelope or report", blobs.map(Vec::len).max().unwrap_or(0), MAX_ENVELOPE as usize)?;
        let longest = self.certificates.iter().map(Vec::len).max().unwrap_or(0);
        limit("bytes in a certificate", longest, MAX_CERTIFICATE)?;
        limit("bytes in a time stamp", self.timestamps.values().map(Vec::len).max().unwrap_or(0), MAX_TOKEN)?;
        for (origin, log) in &self.logs {
            log.check(origin)?;
        }
        self.check_timestamps()
    }

    /// Adds a token over a signature of an envelope; adding it again changes nothing.
    pub fn add_timestamp(&mut self, envelope: Hash, signature: u32, token: Vec<u8>) {
        let range =
            TimestampOf { envelope, signature, number: 0 }..=TimestampOf { envelope, signature, number: u32::MAX };
        let mut tokens: BTreeSet<Vec<u8>> = self.timestamps.range(range).map(|(_, token)| token.clone()).collect();
        tokens.insert(token);
        for (number, token) in (0..).zip(tokens) {
            self.timestamps.insert(TimestampOf { envelope, signature, number }, token);
        }
    }

    /// Tokens over one signature are numbered without gaps in the order of their bytes, and only envelopes of the bundle have them.
    fn check_timestamps(&self) -> Result<(), BundleError> {
        let mut earlier: Option<(TimestampOf, &[u8])> = None;
        for (of, token) in &self.timestamps {
            let follows = match earlier {
                Some((before, smaller)) if (before.envelope, before.signature) == (of.envelope, of.signature) => {
                    before.number.checked_add(1) == Some(of.number) && smaller < token.as_slice()
                }
                _ => of.number == 0,
            };
            if !follows || !self.envelopes.contains_key(&of.envelope) {
                return Err(BundleError::Timestamp { envelope: of.envelope });
            }
            earlier = Some((*of, token));
        }
        Ok(())
    }
}

impl LogPart {
    fn check(&self, origin: &str) -> Result<(), BundleError> {
        let refuse = |problem: String| BundleError::Log { origin: origin.to_owned(), problem };
        let checkpoint = self.unverified_checkpoint().map_err(|error| refuse(error.to_string()))?;
        if checkpoint.origin != origin {
            return Err(refuse(format!("its checkpoint is of {}", checkpoint.origin)));
        }
        for (index, entry) in &self.entries {
            if *index >= checkpoint.size {
                return Err(refuse(format!("entry {index} is not in a log of {} entries", checkpoint.size)));
            }
            crate::record::Record::parse(&entry.entry).map_err(|error| refuse(format!("entry {index}: {error}")))?;
            if entry.proof.len() > crate::tree::MAX_PROOF {
                return Err(refuse(format!("the proof of entry {index} is too long")));
            }
        }
        Ok(())
    }

    /// What the checkpoint says before anybody has vouched for it.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn unverified_checkpoint(&self) -> Result<Checkpoint, crate::checkpoint::CheckpointError> {
        let note = crate::note::Note::parse(self.checkpoint.as_bytes())?;
        Checkpoint::parse(note.text())
    }

    /// Whether every entry of the log up to the checkpoint is here, so that nothing can have been left out.
    pub fn is_complete(&self) -> bool {
        // Indices are distinct and below the size, so their number decides.
        self.unverified_checkpoint().is_ok_and(|checkpoint| checkpoint.size == self.entries.len() as u64)
    }
}
