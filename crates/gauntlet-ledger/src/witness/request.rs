//! The body of an add-checkpoint request.

use crate::checkpoint::{Checkpoint, CheckpointError, parse_decimal};
use crate::note::Note;
use crate::tree::Hash;

/// Largest request that is read, in bytes: the proof, and a checkpoint with some signatures.
pub const MAX_REQUEST: usize = 64 << 10;

/// Most hashes in the proof, by the specification.
const MAX_HASHES: usize = 63;

/// A request that was cut into its parts; nothing is checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size of the tree from which the proof leads.
    pub old: u64,
    /// The consistency proof.
    pub proof: Vec<Hash>,
    /// What the checkpoint says.
    pub checkpoint: Checkpoint,
    /// The signed checkpoint.
    pub note: String,
}

/// Why a request is malformed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Longer than [`MAX_REQUEST`], or more hashes than the specification allows.
    #[error("the request is too large")]
    TooLarge,
    /// Not UTF-8.
    #[error("the request is not UTF-8")]
    Encoding,
    /// A line that does not follow the specification.
    #[error("line {0} is malformed")]
    Line(usize),
    /// The checkpoint is malformed.
    #[error("the checkpoint is malformed: {0}")]
    Checkpoint(#[from] CheckpointError),
}

impl AddCheckpoint {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// When it does not follow the specification.
    pub fn parse(bytes: &[u8]) -> Result<Self, RequestError> {
        if bytes.len() > MAX_REQUEST {
            return Err(RequestError::TooLarge);
        }
        let whole = std::str::from_utf8(bytes).map_err(|_| RequestError::Encoding)?;
        let (head, note) = whole.split_once("\n\n").ok_or(RequestError::Line(1))?;
        let mut lines = head.split('\n').zip(1..);
        let old = lines.next().and_then(|(line, _)| parse_decimal(line.strip_prefix("old ")?));
        let old = old.ok_or(RequestError::Line(1))?;
        let mut proof = Vec::new();
        for (line, number) in lines {
            if proof.len() == MAX_HASHES {
                return Err(RequestError::TooLarge);
            }
            proof.push(Hash::from_base64(line).ok_or(RequestError::Line(number))?);
        }
        let parsed = Note::parse(note.as_bytes()).map_err(CheckpointError::from)?;
        let checkpoint = Checkpoint::parse(parsed.text())?;
        Ok(Self { old, proof, checkpoint, note: note.to_owned() })
    }
}

impl std::fmt::Display for AddCheckpoint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(formatter, "old {}", self.old)?;
        self.proof.iter().try_for_each(|hash| writeln!(formatter, "{}", hash.to_base64()))?;
        write!(formatter, "\n{}", self.note)
    }
}
