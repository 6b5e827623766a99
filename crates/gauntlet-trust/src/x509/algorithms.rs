//! Signature algorithms of certificates and time stamps: RSA, ECDSA and Ed25519 from *ring*, and the combinations of
//! curve and hash that it lacks.
//!
//! Names and parameters: RFC 5758 (ECDSA), RFC 4055 (RSA), RFC 8410 (Ed25519). SHA-1 and MD5 are not among them.

use der::asn1::ObjectIdentifier;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use rustls_pki_types::{AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm, alg_id};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use webpki::{EndEntityCert, ring};

use super::{Certificate, ChainError};

/// Whatever may sign a certificate.
pub(super) static ALGORITHMS: [&dyn SignatureVerificationAlgorithm; 19] = [
    ring::ECDSA_P256_SHA256,
    ring::ECDSA_P256_SHA384,
    ring::ECDSA_P384_SHA256,
    ring::ECDSA_P384_SHA384,
    ring::ED25519,
    ring::RSA_PKCS1_2048_8192_SHA256,
    ring::RSA_PKCS1_2048_8192_SHA384,
    ring::RSA_PKCS1_2048_8192_SHA512,
    ring::RSA_PKCS1_2048_8192_SHA256_ABSENT_PARAMS,
    ring::RSA_PKCS1_2048_8192_SHA384_ABSENT_PARAMS,
    ring::RSA_PKCS1_2048_8192_SHA512_ABSENT_PARAMS,
    ring::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    ring::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    ring::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
    &Ecdsa { curve: Curve::P256, hash: Hash::Sha512 },
    &Ecdsa { curve: Curve::P384, hash: Hash::Sha512 },
    &Ecdsa { curve: Curve::P521, hash: Hash::Sha256 },
    &Ecdsa { curve: Curve::P521, hash: Hash::Sha384 },
    &Ecdsa { curve: Curve::P521, hash: Hash::Sha512 },
];

/// What a CMS signer names as signature algorithm, for which hash (RFC 5754, RFC 5753, RFC 8419).
const SIGNED: [(&str, Option<Hash>, AlgorithmIdentifier); 10] = [
    ("1.2.840.10045.4.3.2", Some(Hash::Sha256), alg_id::ECDSA_SHA256),
    ("1.2.840.10045.4.3.3", Some(Hash::Sha384), alg_id::ECDSA_SHA384),
    ("1.2.840.10045.4.3.4", Some(Hash::Sha512), alg_id::ECDSA_SHA512),
    ("1.2.840.113549.1.1.11", Some(Hash::Sha256), alg_id::RSA_PKCS1_SHA256),
    ("1.2.840.113549.1.1.12", Some(Hash::Sha384), alg_id::RSA_PKCS1_SHA384),
    ("1.2.840.113549.1.1.13", Some(Hash::Sha512), alg_id::RSA_PKCS1_SHA512),
    // `rsaEncryption` leaves the hash to the digest algorithm.
    ("1.2.840.113549.1.1.1", Some(Hash::Sha256), alg_id::RSA_PKCS1_SHA256),
    ("1.2.840.113549.1.1.1", Some(Hash::Sha384), alg_id::RSA_PKCS1_SHA384),
    ("1.2.840.113549.1.1.1", Some(Hash::Sha512), alg_id::RSA_PKCS1_SHA512),
    ("1.3.101.112", None, alg_id::ED25519),
];

/// Whether `signature` over `message` is by the key of `certificate`, made with the algorithm and hash that a CMS
/// signer names. For what is signed with a key whose kind our own formats do not have, such as RSA.
///
/// # Errors
/// [`ChainError::Unsupported`] for an algorithm or a key that is not handled, [`ChainError::BadSignature`] else.
pub(crate) fn verify_signed(
    certificate: &Certificate,
    algorithm: ObjectIdentifier,
    hash: Hash,
    message: &[u8],
    signature: &[u8],
) -> Result<(), ChainError> {
    let name = algorithm.to_string();
    let wanted = SIGNED.iter().find(|(oid, of, _)| *oid == name && of.is_none_or(|of| of == hash));
    let (_, _, wanted) =
        wanted.ok_or_else(|| ChainError::Unsupported(format!("signature algorithm {name} with {hash:?}")))?;
    let der = CertificateDer::from(certificate.der());
    let entity = EndEntityCert::try_from(&der).map_err(|e| ChainError::Unsupported(format!("{e:?}")))?;
    let mut fitting = ALGORITHMS.iter().filter(|known| known.signature_alg_id() == *wanted);
    match fitting.any(|known| entity.verify_signature(*known, message, signature).is_ok()) {
        true => Ok(()),
        false => Err(ChainError::BadSignature),
    }
}

/// A hash that may be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// By its object identifier (NIST).
    pub(crate) fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        match oid.to_string().as_str() {
            "2.16.840.1.101.3.4.2.1" => Some(Self::Sha256),
            "2.16.840.1.101.3.4.2.2" => Some(Self::Sha384),
            "2.16.840.1.101.3.4.2.3" => Some(Self::Sha512),
            _ => None,
        }
    }

    pub(crate) fn of(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha384 => Sha384::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Curve {
    P256,
    P384,
    P521,
}

/// ECDSA of a curve with a hash of another size (FIPS 186-5, section 6.4: the leftmost bits count).
#[derive(Debug)]
struct Ecdsa {
    curve: Curve,
    hash: Hash,
}

impl SignatureVerificationAlgorithm for Ecdsa {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        match self.curve {
            Curve::P256 => alg_id::ECDSA_P256,
            Curve::P384 => alg_id::ECDSA_P384,
            Curve::P521 => alg_id::ECDSA_P521,
        }
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        match self.hash {
            Hash::Sha256 => alg_id::ECDSA_SHA256,
            Hash::Sha384 => alg_id::ECDSA_SHA384,
            Hash::Sha512 => alg_id::ECDSA_SHA512,
        }
    }

    fn verify_signature(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let hash = self.hash.of(message);
        let held = match self.curve {
            Curve::P256 => p256::ecdsa::VerifyingKey::from_sec1_bytes(public_key).is_ok_and(|key| {
                p256::ecdsa::Signature::from_der(signature).is_ok_and(|s| key.verify_prehash(&hash, &s).is_ok())
            }),
            Curve::P384 => p384::ecdsa::VerifyingKey::from_sec1_bytes(public_key).is_ok_and(|key| {
                p384::ecdsa::Signature::from_der(signature).is_ok_and(|s| key.verify_prehash(&hash, &s).is_ok())
            }),
            Curve::P521 => {
                // As a number it stays the same with zeroes in front; the library refuses much shorter ones.
                let mut padded = [0; P521_BYTES];
                padded[P521_BYTES - hash.len()..].copy_from_slice(&hash);
                p521::ecdsa::VerifyingKey::from_sec1_bytes(public_key).is_ok_and(|key| {
                    p521::ecdsa::Signature::from_der(signature).is_ok_and(|s| key.verify_prehash(&padded, &s).is_ok())
                })
            }
        };
        if held { Ok(()) } else { Err(InvalidSignature) }
    }
}

/// Bytes of a field element of P-521.
const P521_BYTES: usize = 66;
