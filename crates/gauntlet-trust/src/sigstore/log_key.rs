//! Keys of logs: which log, which key, and when it counts.

use webpki::ring;
use x509_cert::der::Decode as _;
use x509_cert::spki::SubjectPublicKeyInfoRef;

use super::Window;
use crate::keys::VerifyingKey;

/// `rsaEncryption`.
const RSA: &str = "1.2.840.113549.1.1.1";

/// A log of the trusted root.
#[derive(Clone, Debug)]
pub(super) struct LogKey {
    /// How entries and certificates name the log.
    pub(super) id: Vec<u8>,
    pub(super) key: PublicKey,
    pub(super) window: Window,
}

/// A key of any kind that logs sign with.
#[derive(Clone, Debug)]
pub(super) enum PublicKey {
    /// ECDSA or Ed25519.
    Modern(VerifyingKey),
    /// RSA with PKCS#1 v1.5 and SHA-256, as the DER of an `RSAPublicKey`. Old logs have it.
    Rsa(Vec<u8>),
}

impl PublicKey {
    /// Reads a `publicKey` of a trusted root: a SubjectPublicKeyInfo, or a bare `RSAPublicKey` where `details` begins
    /// with `PKCS1_`.
    pub(super) fn read(raw: &[u8], details: &str) -> Result<Self, String> {
        if details.starts_with("PKCS1_") {
            return Ok(Self::Rsa(raw.to_vec()));
        }
        let info = SubjectPublicKeyInfoRef::from_der(raw).map_err(|e| format!("a key that is malformed: {e}"))?;
        if info.algorithm.oid.to_string() == RSA {
            let key = info.subject_public_key.as_bytes().ok_or("an RSA key that is malformed")?;
            return Ok(Self::Rsa(key.to_vec()));
        }
        VerifyingKey::from_spki_der(raw).map(Self::Modern).map_err(|e| e.to_string())
    }

    /// Whether `signature` is this key's over `message`.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Modern(key) => key.verify(message, signature),
            Self::Rsa(key) => ring::RSA_PKCS1_2048_8192_SHA256.verify_signature(key, message, signature).is_ok(),
        }
    }
}
