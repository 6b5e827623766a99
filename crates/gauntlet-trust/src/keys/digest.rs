//! Checking a signature over bytes that were hashed while they were streamed by.

use p256::ecdsa::signature::hazmat::PrehashVerifier as _;

use super::{Public, VerifyingKey};

impl VerifyingKey {
    /// As [`Self::verify`], given the digest by the hash of this key's kind instead of the message; for P-384 also that by
    /// SHA-256, which releases of sigstore-python before 2 signed. Always false for Ed25519, which signs no digests.
    pub(crate) fn verify_digest(&self, digest: &[u8], signature: &[u8]) -> bool {
        match &self.public {
            Public::P256(key) => {
                digest.len() == 32
                    && p256::ecdsa::Signature::from_der(signature).is_ok_and(|s| key.verify_prehash(digest, &s).is_ok())
            }
            Public::P384(key) => {
                matches!(digest.len(), 32 | 48)
                    && p384::ecdsa::Signature::from_der(signature).is_ok_and(|s| key.verify_prehash(digest, &s).is_ok())
            }
            Public::P521(key) => {
                digest.len() == 64
                    && p521::ecdsa::Signature::from_der(signature).is_ok_and(|s| key.verify_prehash(digest, &s).is_ok())
            }
            Public::Ed25519(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256, Sha384, Sha512};

    use crate::keys::{KeyKind, SigningKey};

    #[test]
    fn digests_verify_as_their_message_does() {
        for kind in [KeyKind::P256, KeyKind::P384, KeyKind::P521, KeyKind::Ed25519] {
            let key = SigningKey::generate(kind).unwrap();
            let signature = key.sign(b"message").unwrap();
            let digests = [
                Sha256::digest(b"message").to_vec(),
                Sha384::digest(b"message").to_vec(),
                Sha512::digest(b"message").to_vec(),
            ];
            let held: Vec<usize> = digests
                .iter()
                .filter(|digest| key.verifying_key().verify_digest(digest, &signature))
                .map(Vec::len)
                .collect();
            let expected = match kind {
                KeyKind::P256 => vec![32],
                KeyKind::P384 => vec![48],
                KeyKind::P521 => vec![64],
                KeyKind::Ed25519 => vec![],
            };
            assert_eq!(held, expected, "{kind:?}");
        }
    }
}
