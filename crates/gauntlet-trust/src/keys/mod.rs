//! Signing and verifying keys: ECDSA on the NIST curves and Ed25519, from and to PEM.

mod deterministic;
mod digest;
mod file;
mod pem;
mod pkcs11;
mod store;

use std::cell::OnceCell;
use std::fmt;
use std::path::PathBuf;

use ed25519_dalek::Signer as _;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use pkcs8::{EncodePublicKey as _, LineEnding};
use rand_core::OsRng;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

pub use file::{read_private, read_public, write_private, write_public};
pub use pkcs11::{AskPin, Pkcs11Key, Pkcs11Uri};
pub use store::{KeyStore, LocalKey, StoredKey};
pub use zeroize::Zeroizing;

/// Which kind of key; each kind signs with one hash only (SHA-256, -384 or -512 by curve).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// ECDSA on P-256 with SHA-256.
    #[default]
    P256,
    /// ECDSA on P-384 with SHA-384.
    P384,
    /// ECDSA on P-521 with SHA-512.
    P521,
    /// Ed25519 (RFC 8032).
    Ed25519,
}

impl KeyKind {
    /// How the kind is written for people and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P256 => "ecdsa-p256",
            Self::P384 => "ecdsa-p384",
            Self::P521 => "ecdsa-p521",
            Self::Ed25519 => "ed25519",
        }
    }
}

impl std::str::FromStr for KeyKind {
    type Err = KeyError;

    fn from_str(name: &str) -> Result<Self, KeyError> {
        [Self::P256, Self::P384, Self::P521, Self::Ed25519]
            .into_iter()
            .find(|kind| kind.as_str() == name)
            .ok_or_else(|| KeyError::Unsupported(format!("key kind `{name}`")))
    }
}

/// Whatever signs: a key in memory, or one that never leaves its hardware.
pub trait Signer {
    /// The public half.
    fn verifying_key(&self) -> &VerifyingKey;

    /// Signs `message`: DER for ECDSA, 64 raw bytes for Ed25519.
    ///
    /// # Errors
    /// [`KeyError`] when the library or the hardware refuses.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError>;

    /// Which kind of key this is.
    fn kind(&self) -> KeyKind {
        self.verifying_key().kind()
    }

    /// [`VerifyingKey::key_id`] of the public half.
    fn key_id(&self) -> String {
        self.verifying_key().key_id()
    }
}

impl Signer for SigningKey {
    fn verifying_key(&self) -> &VerifyingKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        Self::sign(self, message)
    }
}

/// A private key in memory. It wipes itself when dropped and never shows itself.
pub struct SigningKey {
    secret: Secret,
    public: VerifyingKey,
}

enum Secret {
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    P521(p521::SecretKey),
    Ed25519(ed25519_dalek::SigningKey),
}

impl SigningKey {
    /// A new key from the system's random numbers.
    ///
    /// # Errors
    /// [`KeyError::Crypto`] when the key cannot be encoded, which would be a fault of a library.
    pub fn generate(kind: KeyKind) -> Result<Self, KeyError> {
        Self::from_secret(match kind {
            KeyKind::P256 => Secret::P256(p256::ecdsa::SigningKey::random(&mut OsRng)),
            KeyKind::P384 => Secret::P384(p384::ecdsa::SigningKey::random(&mut OsRng)),
            KeyKind::P521 => Secret::P521(p521::SecretKey::random(&mut OsRng)),
            KeyKind::Ed25519 => Secret::Ed25519(ed25519_dalek::SigningKey::generate(&mut OsRng)),
        })
    }

    fn from_secret(secret: Secret) -> Result<Self, KeyError> {
        let public = match &secret {
            Secret::P256(key) => VerifyingKey::new(Public::P256(*key.verifying_key())),
            Secret::P384(key) => VerifyingKey::new(Public::P384(*key.verifying_key())),
            Secret::P521(key) => VerifyingKey::new(Public::p521(&key.public_key())?),
            Secret::Ed25519(key) => VerifyingKey::new(Public::Ed25519(key.verifying_key())),
        }?;
        Ok(Self { secret, public })
    }

    /// The public half.
    #[must_use]
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.public
    }

    /// Which kind of key this is.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.public.kind()
    }

    /// [`VerifyingKey::key_id`] of the public half.
    #[must_use]
    pub fn key_id(&self) -> String {
        self.public.key_id()
    }

    /// Signs `message`: DER for ECDSA, 64 raw bytes for Ed25519. The same key and message give the same bytes
    /// (RFC 6979, RFC 8032).
    ///
    /// # Errors
    /// [`KeyError::Crypto`] when the library refuses.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        Ok(match &self.secret {
            Secret::P256(key) => {
                let signature: p256::ecdsa::Signature = key.try_sign(message)?;
                signature.to_der().as_bytes().to_vec()
            }
            Secret::P384(key) => {
                let signature: p384::ecdsa::Signature = key.try_sign(message)?;
                signature.to_der().as_bytes().to_vec()
            }
            Secret::P521(key) => deterministic::sign_p521(key, message)?.to_der().as_bytes().to_vec(),
            Secret::Ed25519(key) => key.try_sign(message)?.to_bytes().to_vec(),
        })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// A public key. Two are equal when they are the same point, however they were encoded.
#[derive(Clone)]
pub struct VerifyingKey {
    public: Public,
    /// DER SubjectPublicKeyInfo, always encoded by us (uncompressed point), so that the key id is canonical.
    spki: Vec<u8>,
}

#[derive(Clone)]
enum Public {
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    P521(p521::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

impl Public {
    fn p521(key: &p521::PublicKey) -> Result<Self, KeyError> {
        Ok(Self::P521(p521::ecdsa::VerifyingKey::from_affine(*key.as_affine())?))
    }
}

impl VerifyingKey {
    fn new(public: Public) -> Result<Self, KeyError> {
        let document = match &public {
            Public::P256(key) => p256::PublicKey::from(key).to_public_key_der(),
            Public::P384(key) => p384::PublicKey::from(key).to_public_key_der(),
            Public::P521(key) => {
                p521::PublicKey::from_affine(*key.as_affine()).map_err(|_| KeyError::Crypto)?.to_public_key_der()
            }
            Public::Ed25519(key) => key.to_public_key_der(),
        };
        let spki = document.map_err(|_| KeyError::Crypto)?.into_vec();
        Ok(Self { public, spki })
    }

    /// Which kind of key this is.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        match self.public {
            Public::P256(_) => KeyKind::P256,
            Public::P384(_) => KeyKind::P384,
            Public::P521(_) => KeyKind::P521,
            Public::Ed25519(_) => KeyKind::Ed25519,
        }
    }

    /// Lower-case hex SHA-256 of the DER SubjectPublicKeyInfo: how evidence and policy name this key.
    #[must_use]
    pub fn key_id(&self) -> String {
        hex::encode(Sha256::digest(&self.spki))
    }

    /// The DER SubjectPublicKeyInfo, points uncompressed.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// SubjectPublicKeyInfo in PEM: 64 columns, LF, a final LF.
    ///
    /// # Errors
    /// [`KeyError::Crypto`] when encoding fails, which would be a fault of a library.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        pkcs8::Document::try_from(self.spki.as_slice())
            .and_then(|document| document.to_pem("PUBLIC KEY", LineEnding::LF))
            .map_err(|_| KeyError::Crypto)
    }

    /// Whether `signature` (DER for ECDSA, raw for Ed25519) is this key's over `message`. Anything that does not
    /// parse is simply no valid signature.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verify_hashed(&Message::new(message), signature)
    }

    /// As [`Self::verify`], for a message that many keys and signatures are tried on.
    pub(crate) fn verify_hashed(&self, message: &Message<'_>, signature: &[u8]) -> bool {
        match &self.public {
            Public::P256(key) => p256::ecdsa::Signature::from_der(signature)
                .is_ok_and(|s| key.verify_prehash(message.sha256(), &s).is_ok()),
            Public::P384(key) => p384::ecdsa::Signature::from_der(signature)
                .is_ok_and(|s| key.verify_prehash(message.sha384(), &s).is_ok()),
            Public::P521(key) => p521::ecdsa::Signature::from_der(signature)
                .is_ok_and(|s| key.verify_prehash(message.sha512(), &s).is_ok()),
            // Strict: keys of small order would verify signatures over any message.
            Public::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|s| key.verify_strict(message.bytes, &s).is_ok()),
        }
    }
}

/// A message that is hashed once, however many ECDSA signatures are tried on it. (Ed25519 hashes anew each time.)
pub(crate) struct Message<'a> {
    bytes: &'a [u8],
    sha256: OnceCell<Vec<u8>>,
    sha384: OnceCell<Vec<u8>>,
    sha512: OnceCell<Vec<u8>>,
}

impl<'a> Message<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, sha256: OnceCell::new(), sha384: OnceCell::new(), sha512: OnceCell::new() }
    }

    fn sha256(&self) -> &[u8] {
        self.sha256.get_or_init(|| Sha256::digest(self.bytes).to_vec())
    }

    fn sha384(&self) -> &[u8] {
        self.sha384.get_or_init(|| Sha384::digest(self.bytes).to_vec())
    }

    fn sha512(&self) -> &[u8] {
        self.sha512.get_or_init(|| Sha512::digest(self.bytes).to_vec())
    }
}

impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl Eq for VerifyingKey {}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({} {})", self.kind().as_str(), self.key_id())
    }
}

/// Why a key could not be read, written or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The key file or its folder.
        path: PathBuf,
        /// What it said.
        #[source]
        source: std::io::Error,
    },
    /// Somebody else can read the private key.
    #[error("{}: private key is open to others (mode {mode:04o}): run `chmod 600` on it, and replace the key if others had access", path.display())]
    TooOpen {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A key file with this name is there and was not to be replaced.
    #[error("{}: exists and is not overwritten", path.display())]
    Exists {
        /// The taken path.
        path: PathBuf,
    },
    /// Another error, with the file it happened on.
    #[error("{}: {source}", path.display())]
    InFile {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<KeyError>,
    },
    /// The bytes are no key of the expected form.
    #[error("not a key in PEM: {0}")]
    Malformed(String),
    /// A well-formed key of a kind we do not use.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// The key is encrypted and no passphrase was given.
    #[error("the private key is encrypted: a passphrase is needed")]
    PassphraseNeeded,
    /// Decryption failed.
    #[error("the passphrase is wrong, or the encrypted key is damaged")]
    WrongPassphrase,
    /// The key derivation would cost more memory or time than a key file may ask for.
    #[error("the key file asks for an excessive key derivation ({0})")]
    TooCostly(String),
    /// A key name that is no plain file name.
    #[error("`{0}` is no key name: use letters, digits, `.`, `_` and `-`, not starting with a dot")]
    BadName(String),
    /// A `pkcs11:` URI that names no key.
    #[error("not a PKCS#11 URI: {0}")]
    Uri(String),
    /// A token or its module did not do what was asked.
    #[error("{0}")]
    Token(String),
    /// A cryptographic library refused.
    #[error("the cryptographic operation failed")]
    Crypto,
}

impl From<p256::ecdsa::Error> for KeyError {
    fn from(_: p256::ecdsa::Error) -> Self {
        Self::Crypto
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [KeyKind; 4] = [KeyKind::P256, KeyKind::P384, KeyKind::P521, KeyKind::Ed25519];

    #[test]
    fn every_kind_signs_the_same_bytes_again_and_verifies() {
        for kind in KINDS {
            let key = SigningKey::generate(kind).unwrap();
            let signature = key.sign(b"message").unwrap();
            assert_eq!(signature, key.sign(b"message").unwrap(), "{kind:?} is deterministic");
            assert!(key.verifying_key().verify(b"message", &signature));
            assert!(!key.verifying_key().verify(b"massage", &signature));
            assert!(!key.verifying_key().verify(b"message", &signature[1..]));
            assert!(!key.verifying_key().verify(b"message", b""));
        }
    }

    #[test]
    fn keys_of_one_kind_do_not_verify_each_other() {
        for kind in KINDS {
            let signature = SigningKey::generate(kind).unwrap().sign(b"m").unwrap();
            assert!(!SigningKey::generate(kind).unwrap().verifying_key().verify(b"m", &signature));
        }
    }

    #[test]
    fn debug_shows_only_the_public_half() {
        let key = SigningKey::generate(KeyKind::Ed25519).unwrap();
        let Secret::Ed25519(secret) = &key.secret else { unreachable!() };
        let shown = format!("{key:?}");
        assert!(shown.contains(&key.key_id()));
        assert!(!shown.contains(&hex::encode(secret.to_bytes())));
    }
}
