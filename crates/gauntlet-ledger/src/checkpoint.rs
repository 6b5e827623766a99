//! C2SP tlog-checkpoint: the signed statement of a log's size and root. Exactly three lines; extensions are refused.

use crate::note::{KeyKind, Note, NoteError, SignerKey, Verified, VerifierKey, is_key_name};
use crate::tree::{Hash, empty_root};

/// What a log says about itself at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the log, a URL without scheme; also the name of its key.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
}

/// A checkpoint whose log signature was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// All signatures by known keys, the log's own among them.
    pub signatures: Vec<Verified>,
    /// The whole signed note.
    pub note: Note,
}

/// Why a checkpoint is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The signed note around it is malformed, or a signature fails.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text is not origin, size and root on three lines.
    #[error("a checkpoint has exactly three lines: origin, size without leading zeroes, base64 root")]
    Text,
    /// An empty tree with a root that is not the empty one.
    #[error("the checkpoint of an empty log has another root than the empty tree")]
    EmptyRoot,
    /// It is the checkpoint of another log.
    #[error("the checkpoint is of {found}, expected {expected}")]
    Origin {
        /// Origin in the checkpoint.
        found: String,
        /// Name of the log key.
        expected: String,
    },
    /// Only others signed, not the log.
    #[error("the log {origin} did not sign this checkpoint")]
    NotByLog {
        /// Origin of the log.
        origin: String,
    },
}

impl Checkpoint {
    /// Reads the text of a checkpoint, strictly.
    ///
    /// # Errors
    /// When it does not consist of the three lines.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::Text)?.split('\n');
        let (Some(origin), Some(size), Some(root), None) = (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(CheckpointError::Text);
        };
        let size = parse_decimal(size).ok_or(CheckpointError::Text)?;
        let root = Hash::from_base64(root).ok_or(CheckpointError::Text)?;
        if !is_key_name(origin) {
            return Err(CheckpointError::Text);
        }
        if size == 0 && root != empty_root() {
            return Err(CheckpointError::EmptyRoot);
        }
        Ok(Self { origin: origin.to_owned(), size, root })
    }

    /// The three lines.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root.to_base64())
    }

    /// The note without a signature yet.
    pub(crate) fn into_note(self) -> Result<Note, NoteError> {
        Note::new(self.text())
    }

    /// The signed note by the log's key.
    ///
    /// # Errors
    /// When the origin cannot stand in a note.
    pub fn sign(&self, key: &SignerKey) -> Result<Note, NoteError> {
        let mut note = Note::new(self.text())?;
        note.sign(key);
        Ok(note)
    }
}

impl SignedCheckpoint {
    /// Reads a signed checkpoint of the log with this key; signatures by `others` (witnesses) are checked as well.
    ///
    /// # Errors
    /// When it is malformed, of another log, not signed by the log, or a known signature fails.
    pub fn open(bytes: &[u8], log: &VerifierKey, others: &[VerifierKey]) -> Result<Self, CheckpointError> {
        let note = Note::parse(bytes)?;
        let checkpoint = Checkpoint::parse(note.text())?;
        if checkpoint.origin != log.name() || log.kind() != KeyKind::Ed25519 {
            return Err(CheckpointError::Origin { found: checkpoint.origin, expected: log.name().to_owned() });
        }
        let keys: Vec<VerifierKey> = std::iter::once(log).chain(others).cloned().collect();
        let signatures = note.verify(&keys)?;
        if !signatures.iter().any(|signature| signature.key == *log) {
            return Err(CheckpointError::NotByLog { origin: checkpoint.origin });
        }
        Ok(Self { checkpoint, signatures, note })
    }
}

/// Reads a decimal number in its only spelling.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    fn key() -> SignerKey {
        SignerKey::new("example.org/log", SigningKey::from_bytes(&[7; 32])).unwrap()
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: "example.org/log".into(), size: 12, root: Hash::of(b"root") }
    }

    #[test]
    fn the_reference_reads_our_checkpoints() {
        let made = checkpoint();
        let theirs = tlog_tiles::checkpoint::Checkpoint::from_bytes(made.text().as_bytes()).unwrap();
        assert_eq!((theirs.origin(), theirs.size(), theirs.hash().0), ("example.org/log", 12, *made.root.as_bytes()));
    }

    #[test]
    fn opens_only_what_the_log_signed() {
        let note = checkpoint().sign(&key()).unwrap();
        let opened = SignedCheckpoint::open(note.to_string().as_bytes(), &key().verifier(), &[]).unwrap();
        assert_eq!(opened.checkpoint, checkpoint());

        let other = SignerKey::new("witness", SigningKey::from_bytes(&[8; 32])).unwrap();
        let mut cosigned = Note::new(checkpoint().text()).unwrap();
        cosigned.add(other.cosign(cosigned.text(), 1));
        let refused =
            SignedCheckpoint::open(cosigned.to_string().as_bytes(), &key().verifier(), &[other.cosignature_verifier()]);
        assert_eq!(refused, Err(CheckpointError::NotByLog { origin: "example.org/log".into() }));
    }

    #[test]
    fn refuses_other_texts() {
        let good = checkpoint().text();
        for broken in [
            "".to_owned(),
            good.replace("12", "012"),
            good.replace("12", "+12"),
            good.replace("12", ""),
            good.replace("12", "18446744073709551616"),
            good.replace("example.org/log", ""),
            good.replace("example", "exam ple"),
            good.replace("=\n", "\n"),
            format!("{good}extension\n"),
            good.trim_end().to_owned(),
        ] {
            assert_eq!(Checkpoint::parse(&broken), Err(CheckpointError::Text), "{broken:?}");
        }
        assert_eq!(Checkpoint::parse(&good.replace("12", "0")), Err(CheckpointError::EmptyRoot));
    }
}
