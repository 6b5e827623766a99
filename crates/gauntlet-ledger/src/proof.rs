//! `c2sp.org/tlog-proof@v1`: one file with which a stranger who has the log's key checks that an entry is in the log.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{CheckpointError, SignedCheckpoint, parse_decimal};
use crate::note::{MAX_NOTE, VerifierKey};
use crate::tree::{Hash, MAX_PROOF, ProofError, leaf_hash, verify_inclusion};

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// An inclusion proof with the checkpoint it leads to; nothing is checked until [`ProofFile::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofFile {
    /// Bytes that the log's format may add; we write none.
    pub extra: Option<Vec<u8>>,
    /// Index of the entry, from 0.
    pub index: u64,
    /// Hashes from the leaf to the root.
    pub path: Vec<Hash>,
    /// The signed checkpoint, cosignatures included.
    pub checkpoint: String,
}

/// Why a proof file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofFileError {
    /// It does not follow the specification.
    #[error("line {line} of the proof is malformed")]
    Line {
        /// Number of the line, from 1.
        line: usize,
    },
    /// Larger than any proof.
    #[error("the proof is too large")]
    TooLarge,
    /// Not UTF-8.
    #[error("the proof is not UTF-8")]
    Encoding,
    /// The checkpoint in it is refused.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The hashes do not lead from the entry to the checkpoint.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

impl ProofFile {
    /// Reads a proof file.
    ///
    /// # Errors
    /// When it does not follow the specification. The checkpoint is only read by [`ProofFile::verify`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofFileError> {
        if bytes.len() > MAX_NOTE {
            return Err(ProofFileError::TooLarge);
        }
        let whole = std::str::from_utf8(bytes).map_err(|_| ProofFileError::Encoding)?;
        let (head, checkpoint) = whole.split_once("\n\n").ok_or(ProofFileError::Line { line: 1 })?;
        let mut lines = head.split('\n').enumerate().map(|(index, line)| (index + 1, line)).peekable();
        if lines.next().is_none_or(|(_, line)| line != HEADER) {
            return Err(ProofFileError::Line { line: 1 });
        }
        let mut extra = None;
        if let Some((line, base64)) = lines.next_if(|(_, line)| line.starts_with("extra ")) {
            extra = Some(STANDARD.decode(&base64["extra ".len()..]).map_err(|_| ProofFileError::Line { line })?);
        }
        let index = lines
            .next()
            .and_then(|(_, line)| parse_decimal(line.strip_prefix("index ")?))
            .ok_or(ProofFileError::Line { line: if extra.is_some() { 3 } else { 2 } })?;
        let mut path = Vec::new();
        for (line, hash) in lines {
            if path.len() == MAX_PROOF {
                return Err(ProofFileError::TooLarge);
            }
            path.push(Hash::from_base64(hash).ok_or(ProofFileError::Line { line })?);
        }
        Ok(Self { extra, index, path, checkpoint: checkpoint.to_owned() })
    }

    /// Checks the checkpoint under the log's key, and that this entry stands at the index. Witness signatures by `others` are in
    /// the result; how many are needed is the caller's policy.
    ///
    /// # Errors
    /// When the checkpoint is refused or the hashes lead elsewhere.
    pub fn verify(
        &self,
        entry: &[u8],
        log: &VerifierKey,
        others: &[VerifierKey],
    ) -> Result<SignedCheckpoint, ProofFileError> {
        let signed = SignedCheckpoint::open(self.checkpoint.as_bytes(), log, others)?;
        let tree = &signed.checkpoint;
        verify_inclusion(&leaf_hash(entry), self.index, tree.size, &self.path, &tree.root)?;
        Ok(signed)
    }
}

impl fmt::Display for ProofFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(formatter, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(formatter, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(formatter, "{}", hash.to_base64()))?;
        write!(formatter, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::note::SignerKey;
    use crate::tree::node_hash;

    fn two_entries() -> (ProofFile, SignerKey) {
        let key = SignerKey::new("log", SigningKey::from_bytes(&[7; 32])).unwrap();
        let (left, right) = (leaf_hash(b"a"), leaf_hash(b"b"));
        let checkpoint = Checkpoint { origin: "log".into(), size: 2, root: node_hash(&left, &right) };
        let checkpoint = checkpoint.sign(&key).unwrap().to_string();
        (ProofFile { extra: None, index: 1, path: vec![left], checkpoint }, key)
    }

    #[test]
    fn proofs_round_trip_and_verify() {
        let (mut proof, key) = two_entries();
        for extra in [None, Some(b"more".to_vec())] {
            proof.extra = extra;
            let read = ProofFile::parse(proof.to_string().as_bytes()).unwrap();
            assert_eq!(read, proof);
            read.verify(b"b", &key.verifier(), &[]).unwrap();
            assert_eq!(read.verify(b"c", &key.verifier(), &[]), Err(ProofFileError::Proof(ProofError::Root)));
        }
    }

    #[test]
    fn refuses_other_shapes() {
        let good = two_entries().0.to_string();
        for (broken, line) in [
            (good.replace("@v1", "@v2"), 1),
            (good.replace("index 1", "index 01"), 2),
            (good.replace("index 1\n", ""), 2),
            (good.replace("index 1", "extra !\nindex 1"), 2),
            (good.replace("index 1\n", "index 1\nxx\n"), 3),
            (good.replace("\n\n", "\n"), 1),
        ] {
            assert_eq!(ProofFile::parse(broken.as_bytes()), Err(ProofFileError::Line { line }), "{broken}");
        }
        let long =
            good.replace("index 1\n", &format!("index 1\n{}", format!("{}\n", Hash::of(b"").to_base64()).repeat(64)));
        assert_eq!(ProofFile::parse(long.as_bytes()), Err(ProofFileError::TooLarge));
    }
}
