//! What can go wrong with a ledger, sorted by who has to act.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::checkpoint::CheckpointError;
use crate::lock::LockError;
use crate::note::NoteError;
use crate::record::RecordError;
use crate::tree::{Hash, ProofError};

/// Why the ledger refuses.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused; nothing is known about the content.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The object store refused or did not answer; nothing is known about the content.
    #[error("{path}: {source}", path = path.display())]
    Store {
        /// The object.
        path: PathBuf,
        /// What the store said.
        source: Box<object_store::Error>,
    },
    /// A URL that names no ledger.
    #[error("{url} {problem}")]
    Url {
        /// The URL, without credentials.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Other writers were faster, again and again.
    #[error("the ledger {origin} is written to by others all the time; nothing was appended")]
    Contended {
        /// Name of the ledger.
        origin: String,
    },
    /// More entries than one bundle holds.
    #[error("a bundle holds at most {limit} entries, {found} were selected")]
    TooManyEntries {
        /// Entries of the selection.
        found: usize,
        /// Most entries.
        limit: usize,
    },
    /// Evidence that was erased is not taken in again.
    #[error("the envelope sha256:{0} was erased; the ledger does not take it in again")]
    Erased(Hash),
    /// What is to be erased must be in the log, and must not itself be a tombstone.
    #[error("the envelope sha256:{envelope} cannot be erased: {problem}")]
    CannotErase {
        /// The envelope.
        envelope: Hash,
        /// Why.
        problem: &'static str,
    },
    /// A statement of the ledger's own could not be signed.
    #[error("the statement could not be signed: {0}")]
    Sign(String),
    /// The place holds another ledger than was asked for.
    #[error("{place} holds the ledger {found}, not {expected}")]
    OtherLedger {
        /// Folder or URL.
        place: String,
        /// Name of the ledger there.
        found: String,
        /// Name that was asked for.
        expected: String,
    },
    /// A file of the ledger does not hold what it must. Run `verify` for all differences.
    #[error("{path}: {problem}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A checkpoint is refused.
    #[error("{path}: {source}", path = path.display())]
    Checkpoint {
        /// The file that holds it.
        path: PathBuf,
        /// Why.
        source: CheckpointError,
    },
    /// The ledger has fewer entries than were seen before.
    #[error("the ledger {origin} was rolled back: it has {found} entries, {remembered} were seen before")]
    RolledBack {
        /// Name of the ledger.
        origin: String,
        /// Entries of the remembered head.
        remembered: u64,
        /// Entries now.
        found: u64,
    },
    /// The ledger has other entries than were seen before.
    #[error(
        "the ledger {origin} was rolled back or rewritten: its first {remembered} entries are not those seen before"
    )]
    Rewritten {
        /// Name of the ledger.
        origin: String,
        /// Entries of the remembered head.
        remembered: u64,
    },
    /// Another process writes, for longer than the caller waits.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// There is no ledger in the folder.
    #[error("{path}: no ledger here", path = .0.display())]
    NoLedger(PathBuf),
    /// A newer or unknown format, which is never rewritten.
    #[error("{path}: the ledger has an unknown format; a newer gauntlet may have written it", path = .0.display())]
    UnknownFormat(PathBuf),
    /// The log key is not on this machine, so nothing can be appended or verified here.
    #[error("{path}: the key of the ledger {origin} is not here", path = path.display())]
    NoKey {
        /// Name of the ledger.
        origin: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The log key is readable by others.
    #[error("{path}: the log key must be readable by its owner only (mode 0600)", path = .0.display())]
    KeyMode(PathBuf),
    /// A name that no log can have.
    #[error(transparent)]
    Name(#[from] NoteError),
    /// A record that cannot be logged.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A record names an envelope that is not in the evidence store.
    #[error("the envelope sha256:{0} is not in the evidence store")]
    NoEnvelope(Hash),
    /// A record was handed in with another envelope than it names.
    #[error("the record names the envelope sha256:{named}, but sha256:{found} was handed in")]
    WrongEnvelope {
        /// Digest of the bytes.
        found: Hash,
        /// Digest in the record.
        named: Hash,
    },
    /// Larger than the evidence store takes.
    #[error("an envelope has at most {limit} bytes, this one has {found}")]
    EnvelopeTooLarge {
        /// Bytes of the envelope.
        found: u64,
        /// Most bytes taken.
        limit: u64,
    },
    /// An index or sizes outside the log.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The ledger was opened for reading.
    #[error("the ledger was opened for reading only")]
    ReadOnly,
    /// An earlier append through this handle failed half-way; open the ledger anew, which recovers.
    #[error("an earlier append failed; the ledger must be opened anew")]
    Poisoned,
    /// The append failed together with those of other threads.
    #[error("the entry was not acknowledged: {0}")]
    Append(#[source] Arc<Error>),
    /// The entry is durable, but the tiles could not be written; the next opening writes them.
    #[error("the entry is durable, but the files of the log could not be written: {0}")]
    Unpublished(#[source] Box<Error>),
}

impl Error {
    /// Whether this says that the ledger is not what it must be (exit status 1), and not that it could not be judged or used.
    pub fn is_verdict(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::Checkpoint { .. } | Self::RolledBack { .. } | Self::Rewritten { .. } => true,
            Self::Append(source) => source.is_verdict(),
            Self::Unpublished(source) => source.is_verdict(),
            _ => false,
        }
    }

    pub(crate) fn io(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.as_ref().to_owned(), source }
    }

    pub(crate) fn store(path: impl AsRef<Path>) -> impl FnOnce(object_store::Error) -> Self {
        move |source| Self::Store { path: path.as_ref().to_owned(), source: Box::new(source) }
    }

    pub(crate) fn damaged(path: impl Into<PathBuf>, problem: impl Into<String>) -> Self {
        Self::Damaged { path: path.into(), problem: problem.into() }
    }
}
