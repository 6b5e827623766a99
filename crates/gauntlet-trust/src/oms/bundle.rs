//! The signature file: a Sigstore bundle around a DSSE envelope.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::ReasonCode;
use crate::dsse::{DsseError, Envelope, RawEnvelope};
use crate::keys::{KeyError, VerifyingKey};
use crate::shown;
use crate::strict_json::{self, Bounds};

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// Older spellings, which only bundles of the Sigstore method have.
const SIGSTORE_MEDIA_TYPES: [&str; 3] = [
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
];

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

pub(super) struct Bundle {
    pub(super) method: Method,
    /// Which key the bundle says it is signed with: [`hint`] of it. Never a reason to trust a key.
    pub(super) hint: Option<String>,
    pub(super) envelope: Envelope,
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
        let (method, hint) = material.method()?;
        let media_type = raw.media_type.as_deref().unwrap_or_default();
        let old = method == Method::Sigstore && SIGSTORE_MEDIA_TYPES.contains(&media_type);
        if media_type != MEDIA_TYPE && !old {
            let message = format!("media type {} is none of a bundle signed by {}", shown(media_type), method.as_str());
            return Err((ReasonCode::WrongType, message));
        }
        let envelope = raw.dsse_envelope.ok_or_else(|| malformed("`dsseEnvelope` is missing".to_owned()))?;
        let envelope = envelope.decode().map_err(|e: DsseError| malformed(e.to_string()))?;
        Ok(Self { method, hint, envelope })
    }
}

/// How the format names a key: lower-case hex SHA-256 over the PEM text of its SubjectPublicKeyInfo.
pub(super) fn hint(key: &VerifyingKey) -> Result<String, KeyError> {
    Ok(hex::encode(Sha256::digest(key.to_pem()?)))
}

/// The bytes of a bundle signed with a key; equal arguments give equal bytes.
pub(super) fn write(hint: String, envelope: &Envelope) -> Result<Vec<u8>, serde_json::Error> {
    let mut envelope = envelope.raw();
    // The format has no use for key ids; the hint says it all.
    envelope.clear_key_ids();
    serde_json::to_vec(&WrittenBundle {
        media_type: MEDIA_TYPE,
        verification_material: WrittenMaterial { public_key: WrittenKey { hint }, tlog_entries: [] },
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
    x509_certificate_chain: Option<IgnoredAny>,
    certificate: Option<IgnoredAny>,
}

/// Old files hold `rawBytes` and `keyDetails` here. A key out of the bundle says nothing, so neither is read.
#[derive(Deserialize)]
struct RawPublicKey {
    hint: Option<String>,
}

impl RawMaterial {
    fn method(self) -> Result<(Method, Option<String>), Refusal> {
        match (self.public_key, self.x509_certificate_chain, self.certificate) {
            (Some(key), None, None) => Ok((Method::Key, key.hint.filter(|hint| !hint.is_empty()))),
            (None, Some(_), None) => Ok((Method::Certificate, None)),
            (None, None, Some(_)) => Ok((Method::Sigstore, None)),
            (None, None, None) => Err((ReasonCode::Malformed, "`verificationMaterial` names no method".to_owned())),
            _ => Err((ReasonCode::Malformed, "`verificationMaterial` names several methods".to_owned())),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenBundle<'a> {
    media_type: &'static str,
    verification_material: WrittenMaterial,
    dsse_envelope: RawEnvelope<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenMaterial {
    public_key: WrittenKey,
    tlog_entries: [(); 0],
}

#[derive(Serialize)]
struct WrittenKey {
    hint: String,
}
