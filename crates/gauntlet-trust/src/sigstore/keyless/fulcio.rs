//! Asking Fulcio for a certificate: a certificate request signed with the new key shows that we have it.

use der::asn1::{BitString, ObjectIdentifier, SetOfVec};
use der::pem::LineEnding;
use der::{Decode as _, Encode as _, EncodePem as _};
use serde::Deserialize;
use serde_json::json;
use x509_cert::name::Name;
use x509_cert::request::{CertReq, CertReqInfo, Version};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use super::{IdentityToken, KeylessError, Place};
use crate::base64;
use crate::keys::{KeyError, SigningKey};
use crate::strict_json::{self, Bounds};
use crate::x509::Certificate;

const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

/// The certificate that Fulcio issues for `key` to whoever `token` proves to be.
pub(super) fn certificate(place: &Place, key: &SigningKey, token: &IdentityToken) -> Result<Certificate, KeylessError> {
    let request = request(key)?;
    let body = json!({
        "credentials": { "oidcIdentityToken": token.secret() },
        "certificateSigningRequest": base64::encode(request.as_bytes()),
    });
    let place = place.join("api/v2/signingCert");
    let answer = place.post(body.to_string().into_bytes())?;
    let answer: Answer = strict_json::from_slice(&answer, &Bounds::RECORD).map_err(|e| place.odd(e.to_string()))?;
    let issued = answer.embedded.ok_or_else(|| place.odd("no certificate with an embedded certificate time stamp"))?;
    let pem = issued.chain.certificates.first().ok_or_else(|| place.odd("an empty chain"))?;
    let all = Certificate::all_from_pem(pem.as_bytes()).map_err(|e| place.odd(e.to_string()))?;
    let [certificate] = all.as_slice() else { return Err(place.odd("several certificates in one")) };
    match certificate.public_key() {
        Ok(public) if public == *key.verifying_key() => Ok(certificate.clone()),
        _ => Err(place.odd("a certificate for another key")),
    }
}

/// A certificate request (RFC 2986) in PEM. Its subject is empty: the name comes from the token.
fn request(key: &SigningKey) -> Result<String, KeylessError> {
    let failed = |_: der::Error| KeylessError::Key(KeyError::Crypto);
    let info = CertReqInfo {
        version: Version::V1,
        subject: Name::default(),
        public_key: SubjectPublicKeyInfoOwned::from_der(key.verifying_key().spki_der()).map_err(failed)?,
        attributes: SetOfVec::default(),
    };
    let signature = key.sign(&info.to_der().map_err(failed)?)?;
    let request = CertReq {
        info,
        algorithm: AlgorithmIdentifierOwned { oid: ECDSA_SHA256, parameters: None },
        signature: BitString::from_bytes(&signature).map_err(failed)?,
    };
    request.to_pem(LineEnding::LF).map_err(failed)
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "signedCertificateEmbeddedSct")]
    embedded: Option<Issued>,
}

#[derive(Deserialize)]
struct Issued {
    chain: Chain,
}

#[derive(Deserialize)]
struct Chain {
    certificates: Vec<String>,
}
