//! What verifying a ledger can find.

use std::path::PathBuf;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::record::RecordError;
use crate::tree::Hash;

/// What verifying found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// The newest signed checkpoint, published or in the journal; `None` when none can be trusted.
    pub checkpoint: Option<Checkpoint>,
    /// Entries that were derived.
    pub entries: u64,
    /// Envelopes that are intact.
    pub envelopes: u64,
    /// Envelopes whose bytes were erased, each with a valid tombstone.
    pub erased: u64,
    /// Intact envelopes that no entry names: they were stored, but their append did not happen.
    pub unreferenced: u64,
    /// Durable entries whose files an interrupted append did not write yet; the next opening does.
    pub unfinished: u64,
    /// Everything that is not as it must be, in the order of discovery; the first 10,000.
    pub differences: Vec<Difference>,
    /// Differences beyond those listed.
    pub more_differences: u64,
}

/// One thing that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The file it is about.
    pub path: PathBuf,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a file of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It must be there.
    #[error("missing")]
    Missing,
    /// It must not be there.
    #[error("not a file of this ledger")]
    Unexpected,
    /// It is there, but cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// Its content is not what the entries lead to.
    #[error("the content is not what the entries of the log lead to")]
    Content,
    /// An entry bundle that cannot be cut into its entries.
    #[error("does not hold its {expected} entries")]
    Bundle {
        /// Entries that the name and the size of the log demand.
        expected: u64,
    },
    /// The bundle and the journal hold another entry at the same index.
    #[error("entry {index} differs from the one in the journal")]
    Entry {
        /// Index of the entry.
        index: u64,
    },
    /// An entry that is not a record.
    #[error("entry {index}: {source}")]
    Record {
        /// Index of the entry.
        index: u64,
        /// Why.
        source: RecordError,
    },
    /// Entries from here on are lost, so nothing after them can be derived.
    #[error("the entries from {index} on are lost; what follows could not be derived")]
    Lost {
        /// Index of the first lost entry.
        index: u64,
    },
    /// A signed checkpoint that is refused.
    #[error("{0}")]
    Checkpoint(CheckpointError),
    /// A checkpoint whose root is not that of the entries.
    #[error("the root over the first {size} entries is not the signed one")]
    Root {
        /// Entries that the checkpoint covers.
        size: u64,
    },
    /// The journal is malformed or does not go on where it must.
    #[error("{0}")]
    Journal(String),
    /// The journal ends before the published checkpoint: acknowledged entries are gone from it.
    #[error("the journal ends at {found} entries, the checkpoint covers {published}")]
    JournalShort {
        /// Entries of the published checkpoint.
        published: u64,
        /// Entries up to the end of the journal.
        found: u64,
    },
    /// The envelope that an entry names is not in the evidence store.
    #[error("the envelope of entry {index} is missing")]
    EnvelopeMissing {
        /// Index of the entry.
        index: u64,
    },
    /// The envelope is not there, and its tombstone does not count.
    #[error("the envelope of entry {index} is missing, and its tombstone does not count: {reason}")]
    Tombstone {
        /// Index of the entry.
        index: u64,
        /// Why.
        reason: String,
    },
    /// The envelope was erased by a valid tombstone, but its bytes are still, or again, there.
    #[error("the envelope was erased, but its bytes are there; `ledger erase` removes them")]
    NotErased,
    /// The list of witness keys is malformed.
    #[error("not a list of witness keys")]
    Witnesses,
    /// A commit of a ledger in an object store that does not fit.
    #[error("{0}")]
    Commit(String),
    /// An envelope with other bytes than its name says.
    #[error("the envelope holds other bytes: their digest is sha256:{found}")]
    EnvelopeChanged {
        /// Digest of the bytes.
        found: Hash,
    },
    /// The name of the ledger is not that of its key and checkpoints.
    #[error("not the name in the ledger's checkpoints")]
    Origin,
    /// The log has fewer entries than were seen before.
    #[error("rolled back: {found} entries, {remembered} were seen before")]
    RolledBack {
        /// Entries of the remembered head.
        remembered: u64,
        /// Entries now.
        found: u64,
    },
}
