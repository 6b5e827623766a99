//! Models whose bytes come over the network: what is listed there, and streams of ranges.
//!
//! Nothing that a source says is believed: names are checked before a disk is touched, sizes are bounds and not facts,
//! and every byte counts only once its digest is the signed one.

mod remote;

use std::io;
use std::ops::Range;

use gauntlet_core::{LimitHit, Limits};

pub use gauntlet_remote::{Address, AddressError};
pub use remote::{Remote, RemoteOptions};

/// One object of a source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Relative to the model, with `/`; not yet checked.
    pub name: String,
    /// Bytes that the source says it has.
    pub size: u64,
}

/// Takes a piece of a stream; an error ends the stream.
pub type Take<'t> = dyn FnMut(&[u8]) -> io::Result<()> + 't;

/// A model that is read by name and range.
pub trait Source: Send + Sync {
    /// The base name of the model, for people.
    fn name(&self) -> &str;

    /// The one file that the model consists of, unless it is a folder.
    fn single(&self) -> Option<&str>;

    /// Everything in the folder; `None` where the server has no means to say what it holds.
    ///
    /// # Errors
    /// [`SourceError`], also when there is nothing at all.
    fn list(&self, limits: &Limits) -> Result<Option<Vec<Entry>>, SourceError>;

    /// Bytes of one object; `None` when it is not there.
    ///
    /// # Errors
    /// [`SourceError`] when that cannot be told.
    fn size(&self, name: &str) -> Result<Option<u64>, SourceError>;

    /// Hands `range` of an object of `size` bytes to `take`, piece by piece and in order: exactly as many bytes as the
    /// range has, or an error. Never waits without end.
    ///
    /// # Errors
    /// What the source, the connection or `take` says.
    fn read(&self, name: &str, size: u64, range: Range<u64>, take: &mut Take<'_>) -> io::Result<()>;
}

/// Why a source could not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// There is nothing at the address.
    #[error("there is nothing at {0}")]
    Nothing(String),
    /// The server listed a name that no model has: empty parts, `.` or `..`, control characters.
    #[error("the server lists an unsafe name: {0}")]
    UnsafeName(String),
    /// More objects than anybody signs.
    #[error(transparent)]
    Limit(#[from] LimitHit),
    /// No answer in time.
    #[error("no answer for {0} s")]
    Silent(u64),
    /// The server or the connection failed.
    #[error("{0}")]
    Failed(String),
}

impl From<gauntlet_remote::StoreError> for SourceError {
    fn from(error: gauntlet_remote::StoreError) -> Self {
        match error {
            gauntlet_remote::StoreError::UnsafeName(name) => Self::UnsafeName(name),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<SourceError> for io::Error {
    fn from(error: SourceError) -> Self {
        let kind = match error {
            SourceError::Nothing(_) => io::ErrorKind::NotFound,
            SourceError::Silent(_) => io::ErrorKind::TimedOut,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
