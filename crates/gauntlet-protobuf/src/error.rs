//! Why bytes are no message.

use std::io;

use gauntlet_limits::LimitHit;

/// Why bytes are no message.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The medium failed.
    #[error("{0}")]
    Io(#[source] io::Error),
    /// A budget ran out.
    #[error("{0}")]
    Limit(#[from] LimitHit),
    /// The wire format is broken.
    #[error("malformed protobuf at offset {offset}: {what}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
        /// Byte offset in the file.
        offset: u64,
    },
    /// A field reaches behind the message that holds it.
    #[error("truncated at offset {offset}: a field of {wanted} bytes has {left}")]
    Truncated {
        /// Where the field's content starts.
        offset: u64,
        /// Its stated length.
        wanted: u64,
        /// What is there.
        left: u64,
    },
}

impl WireError {
    /// The bytes themselves are at fault, not a budget or the medium.
    #[must_use]
    pub fn is_malformed(&self) -> bool {
        matches!(self, Self::Malformed { .. } | Self::Truncated { .. })
    }
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        LimitHit::in_io(&error).map_or(Self::Io(error), Self::Limit)
    }
}
