//! Why a bundle is refused.

use crate::checkpoint::CheckpointError;
use crate::record::RecordError;
use crate::tree::{Hash, ProofError};

/// Why a bundle, or what it holds of a log, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// More than a bundle may hold.
    #[error("a bundle has at most {allowed} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much is taken.
        allowed: usize,
    },
    /// Not JSON of a bundle's shape.
    #[error("not a bundle: {0}")]
    Json(String),
    /// Another or a newer format.
    #[error("not a bundle of a version that this program reads: its mediaType is {0}")]
    Version(String),
    /// JSON of the right shape in another spelling or order than a bundle's.
    #[error("the bundle is not in its canonical spelling")]
    Spelling,
    /// A member that is not strict base64 or hexadecimal.
    #[error("{0} in the bundle is not spelled as it must be")]
    Encoding(&'static str),
    /// A member stands twice.
    #[error("{0} stands twice in the bundle")]
    Twice(&'static str),
    /// A log's part is malformed.
    #[error("log {origin}: {problem}")]
    Log {
        /// Name of the log.
        origin: String,
        /// What is wrong.
        problem: String,
    },
    /// A time stamp over an envelope that is not in the bundle, twice the same, or out of order.
    #[error(
        "a time stamp over the envelope sha256:{envelope} belongs to nothing in the bundle, stands twice or out of order"
    )]
    Timestamp {
        /// SHA-256 of the envelope.
        envelope: Hash,
    },
    /// No key for this log was given, so its entries prove nothing.
    #[error("no key is known for the log {origin}")]
    UnknownLog {
        /// Name of the log.
        origin: String,
    },
    /// The checkpoint is refused.
    #[error("log {origin}: {source}")]
    Checkpoint {
        /// Name of the log.
        origin: String,
        /// Why.
        source: CheckpointError,
    },
    /// An entry is not in the log that signed the checkpoint.
    #[error("log {origin}, entry {index}: {source}")]
    Proof {
        /// Name of the log.
        origin: String,
        /// Index of the entry.
        index: u64,
        /// Why.
        source: ProofError,
    },
    /// An entry is not a record.
    #[error("log {origin}, entry {index}: {source}")]
    Record {
        /// Name of the log.
        origin: String,
        /// Index of the entry.
        index: u64,
        /// Why.
        source: RecordError,
    },
}
