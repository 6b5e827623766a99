//! A commit to a log in an object store: one object `journal/<index of its first entry>` that can be created only once. It holds
//! the entries and a statement by the log key about the tree after them, which is no checkpoint: a commit that lost the race
//! was never a state of the log, and a log must not sign two checkpoints that do not fit together.

use bytes::Bytes;

use crate::checkpoint::parse_decimal;
use crate::frontier::{Finished, Frontier};
use crate::journal::MAX_FRAME_ENTRIES;
use crate::note::{Note, SignerKey, VerifierKey};
use crate::tile::MAX_ENTRY;
use crate::tree::Hash;

/// First line of the statement. It holds a space, which the origin of a checkpoint cannot.
const HEADER: &str = "gauntlet-ledger commit/v1";

/// Longest statement with its signature, in bytes.
const MAX_STATEMENT: usize = 4096;

/// Largest commit, in bytes.
pub(crate) const MAX_COMMIT: u64 = (4 + MAX_STATEMENT + MAX_FRAME_ENTRIES + MAX_ENTRY + 2) as u64;

/// Entries that were appended together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Commit {
    /// Index of the first entry.
    pub(crate) start: u64,
    /// Entries of the log after this commit, and the root over them.
    pub(crate) size: u64,
    pub(crate) root: Hash,
    /// Number of the lease under which it was made; it never falls from commit to commit.
    pub(crate) fence: u64,
    /// Random name of the writer: two writers never make the same bytes.
    pub(crate) writer: String,
    pub(crate) entries: Vec<Vec<u8>>,
}

/// Why bytes are not the next commit of a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CommitError {
    #[error("not a commit of this ledger")]
    Shape,
    #[error("the commit is not signed by the log")]
    Signature,
    #[error("the commit does not follow from the entries before it")]
    Content,
}

impl Commit {
    /// Name of the commit that begins at an index.
    pub(crate) fn name(start: u64) -> String {
        format!("journal/{start:020}")
    }

    /// The bytes: length of the statement in 32 bits, the statement as a signed note, each entry with its 16-bit length.
    pub(crate) fn to_bytes(&self, key: &SignerKey) -> Result<Bytes, crate::note::NoteError> {
        let mut note = Note::new(self.text(key.verifier().name()))?;
        note.sign(key);
        let note = note.to_string();
        let mut bytes = (note.len() as u32).to_be_bytes().to_vec();
        bytes.extend(note.as_bytes());
        for entry in &self.entries {
            bytes.extend((entry.len() as u16).to_be_bytes());
            bytes.extend(entry);
        }
        Ok(Bytes::from(bytes))
    }

    /// Reads a commit and checks its signature.
    pub(crate) fn parse(bytes: &[u8], key: &VerifierKey) -> Result<Self, CommitError> {
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or(CommitError::Shape)?;
        let length = u32::from_be_bytes(*length) as usize;
        if length > MAX_STATEMENT {
            return Err(CommitError::Shape);
        }
        let (note, mut rest) = rest.split_at_checked(length).ok_or(CommitError::Shape)?;
        let note = Note::parse(note).map_err(|_| CommitError::Shape)?;
        note.verify(std::slice::from_ref(key)).map_err(|_| CommitError::Signature)?;
        if note.signatures().len() != 1 {
            return Err(CommitError::Shape);
        }
        let mut entries = Vec::new();
        while !rest.is_empty() {
            let (length, after) = rest.split_first_chunk::<2>().ok_or(CommitError::Shape)?;
            let (entry, after) =
                after.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(CommitError::Shape)?;
            entries.push(entry.to_vec());
            rest = after;
        }
        let commit = Self::parse_text(note.text(), key.name(), entries).ok_or(CommitError::Shape)?;
        let count = commit.size.checked_sub(commit.start);
        // One spelling, and no commit without an entry.
        let fits = count == Some(commit.entries.len() as u64) && count != Some(0);
        if fits && commit.text(key.name()) == note.text() { Ok(commit) } else { Err(CommitError::Shape) }
    }

    /// Adds the entries to the tree before this commit; refused when the tree after them is not the signed one.
    pub(crate) fn apply(&self, frontier: &mut Frontier, finished: &mut Finished) -> Result<(), CommitError> {
        if self.start != frontier.size() {
            return Err(CommitError::Content);
        }
        for entry in &self.entries {
            frontier.push(entry, finished);
        }
        if frontier.size() == self.size && frontier.root() == self.root { Ok(()) } else { Err(CommitError::Content) }
    }

    fn text(&self, origin: &str) -> String {
        let Self { start, size, root, fence, writer, entries: _ } = self;
        format!(
            "{HEADER}\n{origin}\nstart {start}\nsize {size}\nroot {}\nfence {fence}\nwriter {writer}\n",
            root.to_base64()
        )
    }

    fn parse_text(text: &str, origin: &str, entries: Vec<Vec<u8>>) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != HEADER || lines.next()? != origin {
            return None;
        }
        let mut value = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        Some(Self {
            start: parse_decimal(value("start")?)?,
            size: parse_decimal(value("size")?)?,
            root: Hash::from_base64(value("root")?)?,
            fence: parse_decimal(value("fence")?)?,
            writer: value("writer")?.to_owned(),
            entries,
        })
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::checkpoint::Checkpoint;

    fn key() -> SignerKey {
        SignerKey::new("example.org/log", SigningKey::from_bytes(&[7; 32])).unwrap()
    }

    fn commit() -> Commit {
        let mut frontier = Frontier::default();
        let entries: Vec<Vec<u8>> = vec![b"one".to_vec(), b"two".to_vec()];
        entries.iter().for_each(|entry| frontier.push(entry, &mut Vec::new()));
        Commit { start: 0, size: 2, root: frontier.root(), fence: 7, writer: "abc".into(), entries }
    }

    #[test]
    fn reads_what_it_wrote_and_is_no_checkpoint() {
        let bytes = commit().to_bytes(&key()).unwrap();
        let read = Commit::parse(&bytes, &key().verifier()).unwrap();
        assert_eq!(read, commit());
        read.apply(&mut Frontier::default(), &mut Vec::new()).unwrap();
        assert!(Checkpoint::parse(&commit().text("example.org/log")).is_err());
    }

    #[test]
    fn every_changed_byte_is_refused() {
        let bytes = commit().to_bytes(&key()).unwrap();
        for at in 0..bytes.len() {
            for mask in [1, 0x80] {
                let mut broken = bytes.to_vec();
                broken[at] ^= mask;
                let refused = Commit::parse(&broken, &key().verifier())
                    .and_then(|commit| commit.apply(&mut Frontier::default(), &mut Vec::new()));
                assert!(refused.is_err(), "byte {at}");
            }
            assert!(Commit::parse(&bytes[..at], &key().verifier()).is_err(), "cut at {at}");
        }
        let mut later = Frontier::default();
        later.push(b"zero", &mut Vec::new());
        assert_eq!(commit().apply(&mut later, &mut Vec::new()), Err(CommitError::Content));
    }
}
