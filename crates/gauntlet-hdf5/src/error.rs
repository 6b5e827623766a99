//! What can go wrong: as a whole ([`Hdf5Error`]), and in places ([`Problem`]).

use std::io;

use gauntlet_limits::LimitHit;
use serde::{Deserialize, Serialize};

/// Why nothing can be said about a file.
#[derive(Debug, thiserror::Error)]
pub enum Hdf5Error {
    /// No superblock signature at 0, 512, 1024, 2048, ...
    #[error("no HDF5 signature")]
    NotHdf5,
    /// The medium failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A place in the file that could not be read as the specification says. What is behind it was not seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Of what kind.
    pub kind: ProblemKind,
    /// Path of the object being read.
    pub object: String,
    /// Absolute byte offset of the structure, when one was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// Kinds of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// A structure leaves the file or its own bounds.
    Truncated,
    /// Contradicts the specification.
    Malformed,
    /// A version, message or feature that this reader does not know.
    Unsupported,
    /// A stated checksum is wrong: the library refuses the file, other readers may not.
    Checksum,
    /// A limit was reached.
    Limit,
}

/// Why reading one structure stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Everything stops.
    Limit(LimitHit),
    /// Everything stops, and there are no facts.
    Io(io::Error),
    /// This structure cannot be read; others can.
    Bad(ProblemKind, String),
}

impl Stop {
    pub(crate) fn bad(kind: ProblemKind, what: impl Into<String>) -> Self {
        Self::Bad(kind, what.into())
    }

    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        Self::bad(ProblemKind::Malformed, what)
    }

    pub(crate) fn unsupported(what: impl Into<String>) -> Self {
        Self::bad(ProblemKind::Unsupported, what)
    }
}

impl From<LimitHit> for Stop {
    fn from(hit: LimitHit) -> Self {
        Self::Limit(hit)
    }
}
