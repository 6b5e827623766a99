//! Why bytes are not a model that can be read.

use std::io;

use gauntlet_limits::LimitHit;
use gauntlet_protobuf::WireError;

/// Why bytes are not a model that can be read.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// The medium failed.
    #[error("{0}")]
    Io(#[source] io::Error),
    /// A budget ran out.
    #[error("{0}")]
    Limit(#[from] LimitHit),
    /// The protobuf wire format is broken.
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
    /// Well-formed protobuf without a graph: some other message.
    #[error("no graph: not an ONNX model")]
    NotModel,
}

impl From<io::Error> for OnnxError {
    fn from(error: io::Error) -> Self {
        LimitHit::in_io(&error).map_or(Self::Io(error), Self::Limit)
    }
}

impl From<WireError> for OnnxError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Io(error) => Self::Io(error),
            WireError::Limit(hit) => Self::Limit(hit),
            WireError::Malformed { what, offset } => Self::Malformed { what, offset },
            WireError::Truncated { offset, wanted, left } => Self::Truncated { offset, wanted, left },
        }
    }
}
