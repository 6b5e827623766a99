//! The signature file: a Sigstore bundle around a DSSE envelope.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::ReasonCode;
use crate::base64;
use crate::dsse::{DsseError, Envelope, RawEnvelope};
use crate::keys::{KeyError, VerifyingKey};
use crate::shown;
use crate::strict_json::{self, Bounds};
use crate::x509::{Certificate, MAX_INTERMEDIATES};

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// Older spellings, which only bundles of the Sigstore method have.
const SIGSTORE_MEDIA_TYPES: [&str; 3] = [
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
];

/// Each may cost the check of a chain.
const MAX_TIME_STAMPS: usize = 8;

/// How a bundle is signed, read from what its `verificationMaterial` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// A bare public key, known to the verifier beforehand.
    Key,
    /// A chain of certificates to a root that the verifier names.
    Certificate,
    /// A short-lived certificate for an identity, with a transparency log entry.
    Sigstore,
}

impl Method {
    /// The word in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Certificate => "certificate",
            Self::Sigstore => "sigstore",
        }
    }
}

/// A signature file, parsed; nothing in it is believed.
pub(super) struct Bundle {
    pub(super) material: Material,
    /// RFC 3161 answers over the signature, each as it stands in the file.
    pub(super) time_stamps: Vec<Vec<u8>>,
    pub(super) envelope: Envelope,
}

/// What a bundle says about who signed it.
pub(super) enum Material {
    /// Which key the bundle says it is signed with: [`hint`] of it. Never a reason to trust a key.
    Key(Option<String>),
    /// The signer's certificate and those that may stand between it and a trusted authority.
    Certificates { leaf: Box<Certificate>, intermediates: Vec<Certificate> },
    /// Read by the `sigstore` module from the bytes of the bundle.
    Sigstore,
}

impl Material {
    pub(super) fn method(&self) -> Method {
        match self {
            Self::Key(_) => Method::Key,
            Self::Certificates { .. } => Method::Certificate,
            Self::Sigstore => Method::Sigstore,
        }
    }
}

/// Why a bundle was refused before any signature was tried.
pub(super) type Refusal = (ReasonCode, String);

impl Bundle {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let malformed = |message: String| (ReasonCode::Malformed, message);
        let raw: RawBundle<'_> = strict_json::from_slice(bytes, &Bounds::DOCUMENT)
            .map_err(|e| malformed(format!("the signature file is not a bundle: {e}")))?;
        let material =
            raw.verification_material.ok_or_else(|| malformed("`verificationMaterial` is missing".to_owned()))?;
        let media_type = raw.media_type.as_deref().unwrap_or_default();
        let old = SIGSTORE_MEDIA_TYPES.contains(&media_type);
        let (material, time_stamps) = material.read(old)?;
        let method = material.method();
        if media_type != MEDIA_TYPE && !(old && method == Method::Sigstore) {
            let message = format!("media type {} is none of a bundle signed by {}", shown(media_type), method.as_str());
            return Err((ReasonCode::WrongType, message));
        }
        let envelope = raw.dsse_envelope.ok_or_else(|| malformed("`dsseEnvelope` is missing".to_owned()))?;
        let envelope = envelope.decode().map_err(|e: DsseError| malformed(e.to_string()))?;
        Ok(Self { material, time_stamps, envelope })
    }
}

/// How the format names a key: lower-case hex SHA-256 over the PEM text of its SubjectPublicKeyInfo.
pub(super) fn hint(key: &VerifyingKey) -> Result<String, KeyError> {
    Ok(hex::encode(Sha256::digest(key.to_pem()?)))
}

/// The bytes of a bundle; equal arguments give equal bytes.
pub(super) fn write(material: &serde_json::Value, envelope: &Envelope) -> Result<Vec<u8>, serde_json::Error> {
    let mut envelope = envelope.raw();
    // The format has no use for key ids; the material says it all.
    envelope.clear_key_ids();
    serde_json::to_vec(&WrittenBundle {
        media_type: MEDIA_TYPE,
        verification_material: material,
        dsse_envelope: envelope,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawBundle<'a> {
    #[serde(borrow)]
    media_type: Option<Cow<'a, str>>,
    verification_material: Option<RawMaterial>,
    #[serde(borrow)]
    dsse_envelope: Option<RawEnvelope<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMaterial {
    public_key: Option<RawPublicKey>,
    x509_certificate_chain: Option<RawChain>,
    certificate: Option<IgnoredAny>,
    timestamp_verification_data: Option<RawTimeStamps>,
}

/// Old files hold `rawBytes` and `keyDetails` here. A key out of the bundle says nothing, so neither is read.
#[derive(Deserialize)]
struct RawPublicKey {
    hint: Option<String>,
}

#[derive(Deserialize)]
struct RawChain {
    certificates: Vec<RawCertificate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawCertificate {
    raw_bytes: String,
}

#[derive(Deserialize)]
struct RawTimeStamps {
    #[serde(rename = "rfc3161Timestamps")]
    rfc3161: Option<Vec<RawTimeStamp>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawTimeStamp {
    signed_timestamp: String,
}

impl RawMaterial {
    /// `old`: in bundles of that age Sigstore kept its certificate in a chain, too.
    fn read(self, old: bool) -> Result<(Material, Vec<Vec<u8>>), Refusal> {
        let malformed = |message: String| (ReasonCode::Malformed, message);
        let material = match (self.public_key, self.x509_certificate_chain, self.certificate) {
            (Some(key), None, None) => Material::Key(key.hint.filter(|hint| !hint.is_empty())),
            (None, Some(_), None) if old => Material::Sigstore,
            (None, Some(chain), None) => chain.read().map_err(malformed)?,
            (None, None, Some(_)) => Material::Sigstore,
            (None, None, None) => return Err(malformed("`verificationMaterial` names no method".to_owned())),
            _ => return Err(malformed("`verificationMaterial` names several methods".to_owned())),
        };
        let stamps = self.timestamp_verification_data.and_then(|data| data.rfc3161).unwrap_or_default();
        if stamps.len() > MAX_TIME_STAMPS {
            return Err(malformed(format!("more than {MAX_TIME_STAMPS} time stamps")));
        }
        let decode = |stamp: &RawTimeStamp| base64::decode(&stamp.signed_timestamp);
        let stamps = stamps.iter().map(decode).collect::<Result<_, _>>();
        Ok((material, stamps.map_err(|_| malformed("a time stamp is not base64".to_owned()))?))
    }
}

impl RawChain {
    fn read(&self) -> Result<Material, String> {
        if self.certificates.len() > MAX_INTERMEDIATES + 1 {
            return Err(format!("more than {} certificates", MAX_INTERMEDIATES + 1));
        }
        let read = |raw: &RawCertificate| {
            let der = base64::decode(&raw.raw_bytes).map_err(|_| "a certificate is not base64".to_owned())?;
            Certificate::from_der(&der).map_err(|e| e.to_string())
        };
        let mut all = self.certificates.iter().map(read).collect::<Result<Vec<_>, String>>()?.into_iter();
        let leaf = all.next().ok_or("the chain of certificates is empty")?;
        Ok(Material::Certificates { leaf: Box::new(leaf), intermediates: all.collect() })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenBundle<'a> {
    media_type: &'static str,
    verification_material: &'a serde_json::Value,
    dsse_envelope: RawEnvelope<'a>,
}
