//! An artifact by its digests, made in one pass over its bytes.

use std::io::{self, Read};

use gauntlet_core::DigestSet;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::keys::KeyKind;

/// The digests of an artifact that a bundle may be about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactDigest {
    /// By the names of in-toto.
    all: DigestSet,
    pub(super) sha256: Vec<u8>,
    /// By the hash of the signer's key.
    pub(super) signed: Vec<u8>,
}

impl ArtifactDigest {
    /// An artifact of which only the SHA-256 is known: enough for signers that sign it, as Sigstore's tools do.
    #[must_use]
    pub fn from_sha256(digest: [u8; 32]) -> Self {
        let all = [("sha256".to_owned(), hex::encode(digest))].into_iter().collect();
        Self { all, sha256: digest.to_vec(), signed: digest.to_vec() }
    }

    /// Hashes an artifact in one pass as the subjects of statements name it. Signatures over the artifact itself need
    /// [`Bundle::hash`].
    ///
    /// # Errors
    /// What the reader fails with.
    pub fn for_statements(artifact: impl Read) -> io::Result<Self> {
        Self::read(artifact, None, true)
    }

    /// `kind`: of the signer's key, whose hash is needed. Statements name what npm publishes by SHA-512 alone.
    pub(super) fn read(mut artifact: impl Read, kind: Option<KeyKind>, statement: bool) -> io::Result<Self> {
        let mut sha256 = Sha256::new();
        let mut sha384 = (kind == Some(KeyKind::P384)).then(Sha384::new);
        let mut sha512 = (kind == Some(KeyKind::P521) || statement).then(Sha512::new);
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = match artifact.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let piece = buffer.get(..read).unwrap_or_default();
            sha256.update(piece);
            sha384.iter_mut().for_each(|hasher| hasher.update(piece));
            sha512.iter_mut().for_each(|hasher| hasher.update(piece));
        }
        let sha256 = sha256.finalize().to_vec();
        let sha384 = sha384.map(|hasher| hasher.finalize().to_vec());
        let sha512 = sha512.map(|hasher| hasher.finalize().to_vec());
        let named = [("sha256", Some(&sha256)), ("sha384", sha384.as_ref()), ("sha512", sha512.as_ref())];
        let all = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), hex::encode(value?)))).collect();
        let signed = match kind {
            Some(KeyKind::P384) => sha384.unwrap_or_default(),
            Some(KeyKind::P521) => sha512.unwrap_or_default(),
            _ => sha256.clone(),
        };
        Ok(Self { all, sha256, signed })
    }

    /// SHA-256, and what else was needed.
    #[must_use]
    pub fn digests(&self) -> &DigestSet {
        &self.all
    }
}
