//! Why a container, or one member of it, was not read.

use std::io;

use gauntlet_limits::LimitHit;

use crate::Container;

/// Why a container, or one member of it, was not read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The medium failed, or a compressed stream is damaged.
    #[error("{0}")]
    Io(#[source] io::Error),
    /// A budget ran out; what lies behind was not looked at.
    #[error("{0}")]
    Limit(#[from] LimitHit),
    /// The bytes are not the container they were read as.
    #[error("not a {0} container")]
    Not(Container),
    /// The structure is broken at `offset`.
    #[error("malformed at offset {offset}: {what}")]
    Malformed {
        /// Which structure, and what is wrong with it.
        what: &'static str,
        /// Byte offset in the container.
        offset: u64,
    },
    /// A header says that the member is encrypted (only with [`crate::Trust::Strict`]).
    #[error("member is encrypted")]
    Encrypted,
    /// The compression method is none of stored and deflate.
    #[error("unknown compression method {0}")]
    UnknownMethod(u16),
    /// Recognised, but there is no reader for it.
    #[error("{0} containers are not supported")]
    Unsupported(Container),
}

impl From<io::Error> for ArchiveError {
    fn from(error: io::Error) -> Self {
        LimitHit::in_io(&error).map_or(Self::Io(error), Self::Limit)
    }
}
