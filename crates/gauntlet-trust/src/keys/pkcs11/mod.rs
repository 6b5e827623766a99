//! Keys that never leave their hardware: a token behind a PKCS#11 module (OASIS PKCS#11 2.40 and 3.x).
//!
//! The token signs the digest (`CKM_ECDSA`); hashing and encoding happen here. Opening a key runs the module's code in
//! this process, so a module is only ever named by the caller, never found by searching.

mod uri;

use std::path::{Path, PathBuf};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;
use pkcs8::der::asn1::{AnyRef, BitStringRef, OctetStringRef};
use pkcs8::der::{Decode as _, Encode as _};
use pkcs8::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use super::{KeyError, KeyKind, Signer, VerifyingKey};
use crate::shown;
use crate::x509::Certificate;
pub use uri::Pkcs11Uri;

/// An ECDSA key in a token, ready to sign.
pub struct Pkcs11Key {
    session: Session,
    handle: ObjectHandle,
    public: VerifyingKey,
}

/// Asks for the PIN of the token with this label; called at most once, and not at all when the token needs none or has
/// a keypad of its own.
pub type AskPin<'a> = &'a dyn Fn(&str) -> Result<Zeroizing<String>, KeyError>;

impl Pkcs11Key {
    /// Opens the one private key that `uri` names.
    ///
    /// `module` is the module's library; without it the URI must name one (`module-path`).
    ///
    /// # Errors
    /// [`KeyError::Token`] when the module cannot be loaded, no token or key fits or several do, the PIN is wrong (it
    /// is tried once, since a few wrong ones lock a token), or the key is of a kind that is not used here.
    pub fn open(uri: &Pkcs11Uri, module: Option<&Path>, pin: AskPin<'_>) -> Result<Self, KeyError> {
        let module = self::module(uri, module)?;
        let context = Pkcs11::new(&module).map_err(|e| token(format!("cannot load {}: {e}", module.display())))?;
        match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            // Another key of this process came from the same module.
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(token(format!("{} does not start: {error}", module.display()))),
        }
        let (slot, info) = find_token(&context, uri)?;
        let session = context.open_ro_session(slot).map_err(failed("open a session"))?;
        if info.login_required() {
            log_in(&session, &info, pin)?;
        }
        let handle = find_key(&session, uri)?;
        let public = public_key(&session, handle)?;
        Ok(Self { session, handle, public })
    }
}

impl Signer for Pkcs11Key {
    fn verifying_key(&self) -> &VerifyingKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let digest = match self.public.kind() {
            KeyKind::P256 => Sha256::digest(message).to_vec(),
            KeyKind::P384 => Sha384::digest(message).to_vec(),
            KeyKind::P521 => Sha512::digest(message).to_vec(),
            KeyKind::Ed25519 => return Err(KeyError::Unsupported("Ed25519 in a token".to_owned())),
        };
        let raw = self.session.sign(&Mechanism::Ecdsa, self.handle, &digest).map_err(failed("sign"))?;
        let signature = der_of(self.public.kind(), &raw)?;
        // Public and private key are two objects there, and only their owner says that they belong together.
        match self.public.verify(message, &signature) {
            true => Ok(signature),
            false => Err(token("the signature does not fit the public key that the token holds under the same name")),
        }
    }
}

impl std::fmt::Debug for Pkcs11Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pkcs11Key").field("public", &self.public).finish_non_exhaustive()
    }
}

/// PKCS#11 gives r and s side by side; everything else wants them in DER.
fn der_of(kind: KeyKind, raw: &[u8]) -> Result<Vec<u8>, KeyError> {
    let odd = |_| token("the token answered with something other than an ECDSA signature");
    Ok(match kind {
        KeyKind::P256 => p256::ecdsa::Signature::from_slice(raw).map_err(odd)?.to_der().as_bytes().to_vec(),
        KeyKind::P384 => p384::ecdsa::Signature::from_slice(raw).map_err(odd)?.to_der().as_bytes().to_vec(),
        KeyKind::P521 => p521::ecdsa::Signature::from_slice(raw).map_err(odd)?.to_der().as_bytes().to_vec(),
        KeyKind::Ed25519 => return Err(KeyError::Unsupported("Ed25519 in a token".to_owned())),
    })
}

fn module(uri: &Pkcs11Uri, given: Option<&Path>) -> Result<PathBuf, KeyError> {
    match (given, &uri.module_path) {
        (Some(given), Some(named)) if given != named => {
            Err(token(format!("the URI names the module {}, the caller {}", named.display(), given.display())))
        }
        (Some(path), _) => Ok(path.to_owned()),
        (None, Some(path)) => Ok(path.clone()),
        (None, None) => Err(token(
            "which module? name its library, such as /usr/lib/softhsm/libsofthsm2.so, with --pkcs11-module or as \
             `?module-path=` in the URI",
        )),
    }
}

fn find_token(context: &Pkcs11, uri: &Pkcs11Uri) -> Result<(Slot, TokenInfo), KeyError> {
    let mut fitting = Vec::new();
    let mut others = Vec::new();
    for slot in context.get_slots_with_token().map_err(failed("list the slots"))? {
        let info = context.get_token_info(slot).map_err(failed("read a token's label"))?;
        if !info.token_initialized() {
            continue;
        }
        if uri.fits_token(slot.id(), &info) { fitting.push((slot, info)) } else { others.push(shown(info.label())) }
    }
    match fitting.len() {
        1 => fitting.pop().ok_or_else(|| token("no token fits the URI")),
        0 if others.is_empty() => Err(token("the module sees no token")),
        0 => Err(token(format!("no token fits the URI; the module sees {}", others.join(", ")))),
        several => Err(token(format!("{several} tokens fit the URI: add `serial=` or `slot-id=`"))),
    }
}

fn log_in(session: &Session, info: &TokenInfo, pin: AskPin<'_>) -> Result<(), KeyError> {
    let label = info.label();
    if info.user_pin_locked() {
        return Err(token(format!("the PIN of {} is locked", shown(label))));
    }
    let given =
        if info.protected_authentication_path() { None } else { Some(AuthPin::new(pin(label)?.as_str().into())) };
    match session.login(UserType::User, given.as_ref()) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinLenRange | RvError::PinInvalid, _)) => {
            let last = if info.user_pin_final_try() { "; it is locked now, or nearly" } else { "" };
            Err(token(format!("the PIN of {} is wrong{last}", shown(label))))
        }
        Err(Error::Pkcs11(RvError::PinLocked, _)) => Err(token(format!("the PIN of {} is locked", shown(label)))),
        Err(error) => Err(token(format!("cannot log in to {}: {error}", shown(label)))),
    }
}

fn find_key(session: &Session, uri: &Pkcs11Uri) -> Result<ObjectHandle, KeyError> {
    let mut template = vec![Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::KeyType(KeyType::EC)];
    template.extend(uri.object.clone().map(|label| Attribute::Label(label.into_bytes())));
    template.extend(uri.id.clone().map(Attribute::Id));
    let found = session.find_objects(&template).map_err(failed("look for the key"))?;
    let [handle] = found.as_slice() else {
        return Err(token(match found.len() {
            0 => "no elliptic-curve private key in the token fits the URI".to_owned(),
            several => format!("{several} private keys fit the URI: name one with `object=` or `id=`"),
        }));
    };
    let wants = [AttributeType::Sign, AttributeType::AlwaysAuthenticate];
    for attribute in session.get_attributes(*handle, &wants).map_err(failed("read the key's attributes"))? {
        match attribute {
            Attribute::Sign(false) => return Err(token("the key may not sign (CKA_SIGN)")),
            Attribute::AlwaysAuthenticate(true) => {
                return Err(token(
                    "the key wants its PIN for each signature (CKA_ALWAYS_AUTHENTICATE), which is not supported",
                ));
            }
            _ => {}
        }
    }
    Ok(*handle)
}

/// The public half, from wherever the token keeps it: the public key object, the private key itself, a certificate.
fn public_key(session: &Session, private: ObjectHandle) -> Result<VerifyingKey, KeyError> {
    let read =
        |handle, wants: &[AttributeType]| session.get_attributes(handle, wants).map_err(failed("read the public key"));
    // Objects that belong together have the same identifier, or where there is none the same label.
    let mut same = Vec::new();
    for attribute in read(private, &[AttributeType::Id, AttributeType::Label])? {
        match &attribute {
            Attribute::Id(id) if !id.is_empty() => same = vec![attribute],
            Attribute::Label(label) if !label.is_empty() && same.is_empty() => same = vec![attribute],
            _ => {}
        }
    }
    let find = |class| {
        let mut template = vec![Attribute::Class(class)];
        template.extend(same.iter().cloned());
        session.find_objects(&template).map_err(failed("look for the public key"))
    };
    if same.is_empty() {
        return Err(token("the key has neither an identifier nor a label, so its public key cannot be found"));
    }
    if let [public] = find(ObjectClass::PUBLIC_KEY)?.as_slice() {
        let (mut parameters, mut point) = (None, None);
        for attribute in read(*public, &[AttributeType::EcParams, AttributeType::EcPoint])? {
            match attribute {
                Attribute::EcParams(der) => parameters = Some(der),
                Attribute::EcPoint(der) => point = Some(der),
                _ => {}
            }
        }
        if let (Some(parameters), Some(point)) = (parameters, point) {
            return from_point(&parameters, &point);
        }
    }
    if let Ok(attributes) = read(private, &[AttributeType::PublicKeyInfo])
        && let Some(Attribute::PublicKeyInfo(spki)) = attributes.first()
        && !spki.is_empty()
    {
        return VerifyingKey::from_spki_der(spki);
    }
    if let [certificate] = find(ObjectClass::CERTIFICATE)?.as_slice()
        && let Some(Attribute::Value(der)) = read(*certificate, &[AttributeType::Value])?.first()
    {
        let certificate = Certificate::from_der(der).map_err(|e| token(format!("the token's certificate: {e}")))?;
        return certificate.public_key();
    }
    Err(token("the token holds neither the public key nor a certificate under the same identifier"))
}

const EC: pkcs8::ObjectIdentifier = pkcs8::ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// `CKA_EC_PARAMS` is the DER of the curve, `CKA_EC_POINT` a DER OCTET STRING around the point; some tokens leave the
/// wrapping out.
fn from_point(parameters: &[u8], point: &[u8]) -> Result<VerifyingKey, KeyError> {
    let odd = |e: pkcs8::der::Error| token(format!("the token's public key is malformed: {e}"));
    let curve = AnyRef::from_der(parameters).map_err(odd)?;
    let point = OctetStringRef::from_der(point).map_or(point, |inner| inner.as_bytes());
    let info = SubjectPublicKeyInfoRef {
        algorithm: AlgorithmIdentifierRef { oid: EC, parameters: Some(curve) },
        subject_public_key: BitStringRef::from_bytes(point).map_err(odd)?,
    };
    VerifyingKey::from_spki_der(&info.to_der().map_err(odd)?)
}

fn token(what: impl Into<String>) -> KeyError {
    KeyError::Token(what.into())
}

fn failed(what: &'static str) -> impl Fn(Error) -> KeyError {
    move |error| token(format!("cannot {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SigningKey;

    #[test]
    fn points_are_read_wrapped_and_bare() {
        for kind in [KeyKind::P256, KeyKind::P384, KeyKind::P521] {
            let key = SigningKey::generate(kind).unwrap().verifying_key().clone();
            let info = SubjectPublicKeyInfoRef::from_der(key.spki_der()).unwrap();
            let parameters = info.algorithm.parameters.unwrap().to_der().unwrap();
            let point = info.subject_public_key.raw_bytes();
            let wrapped = OctetStringRef::new(point).unwrap().to_der().unwrap();
            assert_eq!(from_point(&parameters, &wrapped).unwrap(), key);
            assert_eq!(from_point(&parameters, point).unwrap(), key);
            assert!(from_point(&parameters, &point[1..]).is_err());
            assert!(from_point(&parameters, b"").is_err());
            assert!(from_point(b"", point).is_err());
        }
    }

    #[test]
    fn raw_signatures_become_der() {
        let raw = [1; 64];
        let der = der_of(KeyKind::P256, &raw).unwrap();
        assert_eq!((der[0], der.len()), (0x30, 70));
        assert!(der_of(KeyKind::P256, &raw[1..]).is_err());
        assert!(der_of(KeyKind::P384, &raw).is_err());
        assert!(der_of(KeyKind::P256, &[0; 64]).is_err(), "r and s are above 0");
    }

    #[test]
    fn a_module_is_named_once_and_never_searched_for() {
        let uri = |text: &str| text.parse::<Pkcs11Uri>().unwrap();
        let error = module(&uri("pkcs11:token=t"), None).unwrap_err().to_string();
        assert!(error.contains("--pkcs11-module"), "{error}");
        let named = uri("pkcs11:token=t?module-path=/a.so");
        assert_eq!(module(&named, None).unwrap(), Path::new("/a.so"));
        assert_eq!(module(&named, Some(Path::new("/a.so"))).unwrap(), Path::new("/a.so"));
        assert!(module(&named, Some(Path::new("/b.so"))).is_err());
        let pin = |_: &str| Ok(Zeroizing::new(String::new()));
        let error = Pkcs11Key::open(&uri("pkcs11:token=t?module-path=/nowhere.so"), None, &pin).unwrap_err();
        assert!(error.to_string().contains("cannot load /nowhere.so"), "{error}");
    }
}
