//! Who stands behind a new signature: a key, a certificate, or whoever implements [`Endorse`].

use serde_json::{Value, json};

use super::OmsError;
use super::bundle::hint;
use crate::base64;
use crate::dsse::{DsseError, Envelope, IN_TOTO};
use crate::keys::{KeyKind, Signer};
use crate::timestamp::TimeStampError;
use crate::x509::{Certificate, MAX_INTERMEDIATES, Purpose};

/// Signs the statement about a model and says what vouches for the signature.
pub trait Endorse {
    /// Asked before anything is hashed: whether this endorser can sign models at all.
    ///
    /// # Errors
    /// [`OmsError`] when it cannot.
    fn ready(&self) -> Result<(), OmsError>;

    /// Signs `payload`, an in-toto statement.
    ///
    /// # Errors
    /// [`OmsError`] when the key, or whoever has to vouch for it, refuses.
    fn endorse(&self, payload: Vec<u8>) -> Result<Endorsed, OmsError>;
}

/// A signed statement and the `verificationMaterial` that goes into the bundle beside it.
#[derive(Clone, Debug)]
pub struct Endorsed {
    /// The statement with its one signature.
    pub envelope: Envelope,
    /// JSON object; its members in alphabetical order, so that equal signatures give equal bytes.
    pub material: Value,
}

/// A bare key, known to verifiers beforehand.
#[derive(Clone, Copy)]
pub struct KeyEndorser<'a>(pub &'a dyn Signer);

/// A key with a certificate, and those that lead on to an authority.
#[derive(Clone)]
pub struct CertificateEndorser<'a> {
    signer: &'a dyn Signer,
    certificates: Vec<Certificate>,
}

/// Gives the answer of a time stamping authority over the bytes that it is handed.
pub type AskStamp<'a> = &'a dyn Fn(&[u8]) -> Result<Vec<u8>, TimeStampError>;

/// Another endorser, with a time stamp over its signature.
#[derive(Clone, Copy)]
pub struct TimeStamped<'a> {
    /// Who signs.
    pub endorser: &'a dyn Endorse,
    /// Where the stamp comes from.
    pub stamp: AskStamp<'a>,
}

impl Endorse for KeyEndorser<'_> {
    fn ready(&self) -> Result<(), OmsError> {
        ready(self.0)
    }

    fn endorse(&self, payload: Vec<u8>) -> Result<Endorsed, OmsError> {
        let material = json!({ "publicKey": { "hint": hint(self.0.verifying_key())? }, "tlogEntries": [] });
        Ok(Endorsed { envelope: sign(self.0, payload)?, material })
    }
}

impl<'a> CertificateEndorser<'a> {
    /// `certificates`: that of `signer` first, then its issuers. Self-signed ones among these are left out, because a
    /// verifier trusts only those that it has itself.
    ///
    /// # Errors
    /// [`OmsError::OtherCertificate`] when the first is for another key, [`OmsError::Certificate`] when there is none,
    /// it is not for signing, or there are too many.
    pub fn new(signer: &'a dyn Signer, certificates: Vec<Certificate>) -> Result<Self, OmsError> {
        let mut all = certificates.into_iter();
        let leaf = all.next().ok_or_else(|| OmsError::Certificate("there is none".to_owned()))?;
        let key = leaf.public_key().map_err(|e| OmsError::Certificate(e.to_string()))?;
        if key != *signer.verifying_key() {
            return Err(OmsError::OtherCertificate { certificate: key.key_id(), key: signer.key_id() });
        }
        Purpose::ModelSigning.check(&leaf).map_err(|e| OmsError::Certificate(e.to_string()))?;
        let mut certificates = vec![leaf];
        certificates.extend(all.filter(|issuer| !issuer.is_self_issued()));
        if certificates.len() > MAX_INTERMEDIATES + 1 {
            return Err(OmsError::Certificate(format!("more than {MAX_INTERMEDIATES} issuers")));
        }
        Ok(Self { signer, certificates })
    }
}

impl Endorse for CertificateEndorser<'_> {
    fn ready(&self) -> Result<(), OmsError> {
        ready(self.signer)
    }

    fn endorse(&self, payload: Vec<u8>) -> Result<Endorsed, OmsError> {
        let raw = |one: &Certificate| json!({ "rawBytes": base64::encode(one.der()) });
        let chain: Vec<Value> = self.certificates.iter().map(raw).collect();
        let material = json!({ "tlogEntries": [], "x509CertificateChain": { "certificates": chain } });
        Ok(Endorsed { envelope: sign(self.signer, payload)?, material })
    }
}

impl Endorse for TimeStamped<'_> {
    fn ready(&self) -> Result<(), OmsError> {
        self.endorser.ready()
    }

    fn endorse(&self, payload: Vec<u8>) -> Result<Endorsed, OmsError> {
        let mut endorsed = self.endorser.endorse(payload)?;
        let mut stamps = Vec::new();
        for signature in endorsed.envelope.signatures() {
            stamps.push(json!({ "signedTimestamp": base64::encode(&(self.stamp)(&signature.bytes)?) }));
        }
        if let Value::Object(material) = &mut endorsed.material {
            material.insert("timestampVerificationData".to_owned(), json!({ "rfc3161Timestamps": stamps }));
            // Whether a map keeps its order is a choice of whoever builds the program; the bytes must not depend on it.
            material.sort_keys();
        }
        Ok(endorsed)
    }
}

/// The format knows the NIST curves only.
fn ready(signer: &dyn Signer) -> Result<(), OmsError> {
    match signer.kind() {
        KeyKind::Ed25519 => Err(OmsError::KeyKind(KeyKind::Ed25519.as_str())),
        KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => Ok(()),
    }
}

fn sign(signer: &dyn Signer, payload: Vec<u8>) -> Result<Envelope, OmsError> {
    Envelope::sign(IN_TOTO, payload, &[signer]).map_err(|error| match error {
        DsseError::Key(key) => OmsError::Key(key),
        other => OmsError::Endorsement(other.to_string()),
    })
}
