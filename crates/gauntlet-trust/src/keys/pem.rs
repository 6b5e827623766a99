//! Keys in PEM: PKCS#8 plain and encrypted, SEC1 (`EC PRIVATE KEY`), SubjectPublicKeyInfo.

use pkcs8::der::{Decode as _, pem::PemLabel as _};
use pkcs8::pkcs5::pbes2::{self, Kdf};
use pkcs8::pkcs5::scrypt;
use pkcs8::spki::SubjectPublicKeyInfoRef;
use pkcs8::{
    EncodePrivateKey as _, EncryptedPrivateKeyInfo, LineEnding, ObjectIdentifier, PrivateKeyInfo, SecretDocument,
};
use rand_core::{OsRng, RngCore as _};
use zeroize::Zeroizing;

use super::{KeyError, KeyKind, Public, Secret, SigningKey, VerifyingKey};

const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const CURVES: [(ObjectIdentifier, KeyKind); 3] = [
    (ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"), KeyKind::P256),
    (ObjectIdentifier::new_unwrap("1.3.132.0.34"), KeyKind::P384),
    (ObjectIdentifier::new_unwrap("1.3.132.0.35"), KeyKind::P521),
];

/// What an encrypted key file may make us spend: 1 GiB for scrypt, ten million rounds of PBKDF2.
const SCRYPT_BYTES: u128 = 1 << 30;
const PBKDF2_ROUNDS: u32 = 10_000_000;

impl SigningKey {
    /// Reads a private key in PEM: PKCS#8, encrypted PKCS#8 (PBES2 with scrypt or PBKDF2), or SEC1.
    ///
    /// # Errors
    /// [`KeyError`]; [`KeyError::PassphraseNeeded`] when the key is encrypted and `passphrase` is absent.
    pub fn from_pem(text: &str, passphrase: Option<&Zeroizing<String>>) -> Result<Self, KeyError> {
        let block = private_block(text)?;
        let (label, document) = SecretDocument::from_pem(block).map_err(malformed)?;
        match label {
            PrivateKeyInfo::PEM_LABEL => from_pkcs8(document.as_bytes()),
            EncryptedPrivateKeyInfo::PEM_LABEL => {
                let passphrase = passphrase.ok_or(KeyError::PassphraseNeeded)?;
                from_pkcs8(decrypt(document.as_bytes(), passphrase)?.as_bytes())
            }
            "EC PRIVATE KEY" => from_sec1(document.as_bytes()),
            other => Err(KeyError::Unsupported(format!("a PEM block `{other}` as private key"))),
        }
    }

    /// Writes the private key as PKCS#8 PEM, encrypted (scrypt, AES-256-CBC) when a passphrase is given.
    ///
    /// # Errors
    /// [`KeyError::Crypto`] when encoding or encryption fails.
    pub fn to_pem(&self, passphrase: Option<&Zeroizing<String>>) -> Result<Zeroizing<String>, KeyError> {
        let document = match &self.secret {
            Secret::P256(key) => p256::SecretKey::from(key.as_nonzero_scalar()).to_pkcs8_der(),
            Secret::P384(key) => p384::SecretKey::from(key.as_nonzero_scalar()).to_pkcs8_der(),
            Secret::P521(key) => key.to_pkcs8_der(),
            // Without the public half (version 1), because OpenSSL before 3.0 refuses version 2.
            Secret::Ed25519(key) => {
                ed25519_dalek::pkcs8::KeypairBytes { secret_key: key.to_bytes(), public_key: None }.to_pkcs8_der()
            }
        }
        .map_err(|_| KeyError::Crypto)?;
        let (label, document) = match passphrase {
            None => (PrivateKeyInfo::PEM_LABEL, document),
            Some(passphrase) => {
                let info = PrivateKeyInfo::from_der(document.as_bytes()).map_err(|_| KeyError::Crypto)?;
                (EncryptedPrivateKeyInfo::PEM_LABEL, encrypt(&info, passphrase).map_err(|_| KeyError::Crypto)?)
            }
        };
        document.to_pem(label, LineEnding::LF).map_err(|_| KeyError::Crypto)
    }
}

impl VerifyingKey {
    /// Reads a public key in PEM (`PUBLIC KEY`, SubjectPublicKeyInfo).
    ///
    /// # Errors
    /// [`KeyError`]; a private key given by mistake is refused by name.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let (label, document) = SecretDocument::from_pem(text.trim_start()).map_err(malformed)?;
        match label {
            "PUBLIC KEY" => Self::from_spki_der(document.as_bytes()),
            other if other.ends_with("PRIVATE KEY") => {
                Err(KeyError::Malformed("this is a private key where a public key is wanted".to_owned()))
            }
            other => Err(KeyError::Unsupported(format!("a PEM block `{other}` as public key"))),
        }
    }

    /// Reads a DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// [`KeyError`] when it is none, or of a kind we do not use.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(malformed)?;
        let kind = kind(info.algorithm.oid, info.algorithm.parameters.and_then(|p| p.decode_as().ok()))?;
        Self::new(match kind {
            KeyKind::P256 => Public::P256(p256::PublicKey::try_from(info).map_err(malformed)?.into()),
            KeyKind::P384 => Public::P384(p384::PublicKey::try_from(info).map_err(malformed)?.into()),
            KeyKind::P521 => Public::p521(&p521::PublicKey::try_from(info).map_err(malformed)?)?,
            KeyKind::Ed25519 => Public::Ed25519(ed25519_dalek::VerifyingKey::try_from(info).map_err(malformed)?),
        })
    }
}

/// Tools write an `EC PARAMETERS` block in front of a SEC1 key; it says nothing that the key does not.
fn private_block(text: &str) -> Result<&str, KeyError> {
    let starts: Vec<usize> = text.match_indices("-----BEGIN ").map(|(at, _)| at).take(3).collect();
    let parameters = |at: usize| text[at..].starts_with("-----BEGIN EC PARAMETERS-----");
    match starts.as_slice() {
        [only] => Ok(&text[*only..]),
        [first, second] if parameters(*first) => Ok(&text[*second..]),
        [] => Err(KeyError::Malformed("no BEGIN line".to_owned())),
        _ => Err(KeyError::Malformed("more than one PEM block".to_owned())),
    }
}

fn from_pkcs8(der: &[u8]) -> Result<SigningKey, KeyError> {
    let info = PrivateKeyInfo::from_der(der).map_err(malformed)?;
    SigningKey::from_secret(
        match kind(info.algorithm.oid, info.algorithm.parameters.and_then(|p| p.decode_as().ok()))? {
            KeyKind::P256 => Secret::P256(p256::SecretKey::try_from(info).map_err(malformed)?.into()),
            KeyKind::P384 => Secret::P384(p384::SecretKey::try_from(info).map_err(malformed)?.into()),
            KeyKind::P521 => Secret::P521(p521::SecretKey::try_from(info).map_err(malformed)?),
            KeyKind::Ed25519 => Secret::Ed25519(ed25519_dalek::SigningKey::try_from(info).map_err(malformed)?),
        },
    )
}

/// The curve is inside the structure and each type checks it, so at most one of the three takes the key.
fn from_sec1(der: &[u8]) -> Result<SigningKey, KeyError> {
    let secret = if let Ok(key) = p256::SecretKey::from_sec1_der(der) {
        Secret::P256(key.into())
    } else if let Ok(key) = p384::SecretKey::from_sec1_der(der) {
        Secret::P384(key.into())
    } else {
        let key = p521::SecretKey::from_sec1_der(der);
        Secret::P521(key.map_err(|_| KeyError::Malformed("no SEC1 key on P-256, P-384 or P-521".to_owned()))?)
    };
    SigningKey::from_secret(secret)
}

fn kind(algorithm: ObjectIdentifier, curve: Option<ObjectIdentifier>) -> Result<KeyKind, KeyError> {
    if algorithm == ED25519 {
        return Ok(KeyKind::Ed25519);
    }
    if algorithm != EC {
        return Err(KeyError::Unsupported(format!("key algorithm {algorithm}")));
    }
    let curve = curve.ok_or_else(|| KeyError::Unsupported("an elliptic curve that is not named".to_owned()))?;
    let known = CURVES.iter().find(|(oid, _)| *oid == curve);
    known.map(|(_, kind)| *kind).ok_or_else(|| KeyError::Unsupported(format!("curve {curve}")))
}

/// N = 2^14 because OpenSSL, and with it most other tools, refuses to spend more than 32 MiB on a key file; p = 5 makes up
/// for it (the pair is one of those that OWASP's Password Storage Cheat Sheet calls equal to N = 2^17, p = 1).
fn encrypt(info: &PrivateKeyInfo<'_>, passphrase: &Zeroizing<String>) -> pkcs8::Result<SecretDocument> {
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    OsRng.fill_bytes(&mut salt);
    OsRng.fill_bytes(&mut iv);
    let cost = scrypt::Params::new(14, 8, 5, 32).map_err(|_| pkcs8::Error::ParametersMalformed)?;
    let parameters = pbes2::Parameters::scrypt_aes256cbc(cost, &salt, &iv)?;
    info.encrypt_with_params(parameters, passphrase.as_bytes())
}

fn decrypt(der: &[u8], passphrase: &Zeroizing<String>) -> Result<SecretDocument, KeyError> {
    let info = EncryptedPrivateKeyInfo::from_der(der).map_err(malformed)?;
    let scheme = info
        .encryption_algorithm
        .pbes2()
        .ok_or_else(|| KeyError::Unsupported("key encryption other than PBES2".to_owned()))?;
    match &scheme.kdf {
        Kdf::Scrypt(scrypt) => {
            let (n, r, p) = (scrypt.cost_parameter, u128::from(scrypt.block_size), u128::from(scrypt.parallelization));
            if u128::from(n) * r * p * 128 > SCRYPT_BYTES {
                return Err(KeyError::TooCostly(format!("scrypt N {n}, r {r}, p {p}")));
            }
        }
        Kdf::Pbkdf2(pbkdf2) => {
            if pbkdf2.iteration_count > PBKDF2_ROUNDS {
                return Err(KeyError::TooCostly(format!("PBKDF2 with {} rounds", pbkdf2.iteration_count)));
            }
        }
        _ => return Err(KeyError::Unsupported("this key derivation".to_owned())),
    }
    info.decrypt(passphrase.as_bytes()).map_err(|_| KeyError::WrongPassphrase)
}

fn malformed(error: impl std::fmt::Display) -> KeyError {
    KeyError::Malformed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_round_trip_through_pem() {
        for kind in [KeyKind::P256, KeyKind::P384, KeyKind::P521, KeyKind::Ed25519] {
            let key = SigningKey::generate(kind).unwrap();
            let back = SigningKey::from_pem(&key.to_pem(None).unwrap(), None).unwrap();
            assert_eq!(back.sign(b"m").unwrap(), key.sign(b"m").unwrap());
            let public = VerifyingKey::from_pem(&key.verifying_key().to_pem().unwrap()).unwrap();
            assert_eq!(&public, key.verifying_key());
        }
    }

    #[test]
    fn encrypted_keys_need_their_passphrase() {
        let key = SigningKey::generate(KeyKind::Ed25519).unwrap();
        let right = Zeroizing::new("correct horse".to_owned());
        let pem = key.to_pem(Some(&right)).unwrap();
        assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
        assert_ne!(pem, key.to_pem(Some(&right)).unwrap(), "salted");
        assert_eq!(SigningKey::from_pem(&pem, Some(&right)).unwrap().key_id(), key.key_id());
        let wrong = Zeroizing::new("wrong".to_owned());
        assert!(matches!(SigningKey::from_pem(&pem, Some(&wrong)), Err(KeyError::WrongPassphrase)));
        assert!(matches!(SigningKey::from_pem(&pem, None), Err(KeyError::PassphraseNeeded)));
    }

    #[test]
    fn key_files_may_not_ask_for_endless_work() {
        let key = SigningKey::generate(KeyKind::P256).unwrap().to_pem(None).unwrap();
        let (_, plain) = SecretDocument::from_pem(&key).unwrap();
        let info = PrivateKeyInfo::from_der(plain.as_bytes()).unwrap();
        let cheap = scrypt::Params::new(1, 1, 1, 32).unwrap();
        let parameters = pbes2::Parameters::scrypt_aes256cbc(cheap, b"salt", &[0; 16]).unwrap();
        let encrypted = info.encrypt_with_params(parameters, b"p").unwrap();
        let mut parsed = EncryptedPrivateKeyInfo::from_der(encrypted.as_bytes()).unwrap();
        let pbes2::Kdf::Scrypt(mut scrypt) = parsed.encryption_algorithm.pbes2().unwrap().kdf.clone() else {
            unreachable!()
        };
        scrypt.cost_parameter = 1 << 40;
        let encryption = pbes2::EncryptionScheme::Aes256Cbc { iv: &[0; 16] };
        parsed.encryption_algorithm = pbes2::Parameters { kdf: scrypt.into(), encryption }.into();
        let costly = SecretDocument::encode_msg(&parsed).unwrap();
        let error = decrypt(costly.as_bytes(), &Zeroizing::new("p".to_owned())).unwrap_err();
        assert!(matches!(error, KeyError::TooCostly(_)), "{error}");
    }

    #[test]
    fn sec1_keys_are_read_also_behind_parameters() {
        let secret = p384::SecretKey::random(&mut OsRng);
        let pem = secret.to_sec1_pem(LineEnding::LF).unwrap();
        assert_eq!(SigningKey::from_pem(&pem, None).unwrap().kind(), KeyKind::P384);
        let with = format!("-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n{}", *pem);
        assert_eq!(SigningKey::from_pem(&with, None).unwrap().kind(), KeyKind::P384);
    }

    #[test]
    fn mutated_pem_gives_an_error_or_a_key_and_never_a_panic() {
        let key = SigningKey::generate(KeyKind::P256).unwrap();
        let (private, public) = (key.to_pem(None).unwrap(), key.verifying_key().to_pem().unwrap());
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap()
        };
        for _ in 0..400 {
            for seed in [private.as_str(), public.as_str()] {
                let mut bytes = seed.as_bytes().to_vec();
                let at = next() % bytes.len();
                match next() % 3 {
                    0 => bytes.truncate(at),
                    1 => bytes[at] = b' ' + u8::try_from(next() % 90).unwrap(),
                    _ => bytes.extend_from_within(at..),
                }
                let text = String::from_utf8(bytes).unwrap();
                let _ = (SigningKey::from_pem(&text, None), VerifyingKey::from_pem(&text));
            }
        }
    }

    #[test]
    fn a_private_key_is_no_public_key() {
        let pem = SigningKey::generate(KeyKind::P256).unwrap().to_pem(None).unwrap();
        assert!(VerifyingKey::from_pem(&pem).unwrap_err().to_string().contains("private key where a public"));
    }
}
