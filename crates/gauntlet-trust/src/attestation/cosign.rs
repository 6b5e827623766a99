//! Signatures of container images by cosign's key method: a small JSON text names the image's manifest by digest, and the
//! key signs that text.
//!
//! Format: "simple signing" of containers/image, with cosign's `type`. The signature stands in base64 in the annotation
//! [`SIGNATURE_ANNOTATION`] of the layer that holds the text; finding that layer is the caller's work.

use gauntlet_core::{Algorithm, Digest};
use serde::Deserialize;

use crate::base64;
use crate::keys::VerifyingKey;
use crate::shown;
use crate::strict_json::{self, Bounds, JsonError};

/// The annotation of a layer that holds the signature over it.
pub const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";
/// Media type of the layer.
pub const PAYLOAD_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

const TYPE: &str = "cosign container image signature";
/// Bytes of the largest text; genuine ones have some 250.
const MAX_PAYLOAD: usize = 64 << 10;

/// An image signature that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSignature {
    /// Key id of the trusted key that signed.
    pub key_id: String,
    /// The name under which the image was signed; often empty, and no proof of where it came from.
    pub reference: String,
    /// What the signer added, such as the commit.
    pub optional: serde_json::Map<String, serde_json::Value>,
}

/// Why an image signature does not count.
#[derive(Debug, thiserror::Error)]
pub enum ImageSignatureError {
    /// The annotation is not base64.
    #[error("the signature is not base64")]
    Base64,
    /// No trusted key signed the text.
    #[error("no trusted key signed this")]
    Untrusted,
    /// The text is not what cosign signs.
    #[error("the signed text is malformed: {0}")]
    Malformed(#[from] JsonError),
    /// Another type of signature.
    #[error("type {0} is not a signature of a container image")]
    Type(String),
    /// The text names something that is no SHA-256 digest.
    #[error("the signed text names the image by {0}, which is no SHA-256 digest")]
    Digest(String),
    /// The text is about another image.
    #[error("the signature is about {signed}, not {expected}")]
    OtherImage {
        /// What was signed.
        signed: String,
        /// What was asked about.
        expected: String,
    },
}

/// Checks that one of `keys` signed that the image has the manifest `digest`. `payload` is the layer's bytes, `signature`
/// the text of its annotation. The text is read only once its signature holds.
///
/// # Errors
/// [`ImageSignatureError`].
pub fn verify(
    payload: &[u8],
    signature: &str,
    keys: &[VerifyingKey],
    digest: &Digest,
) -> Result<ImageSignature, ImageSignatureError> {
    let signature = base64::decode(signature.trim()).map_err(|_| ImageSignatureError::Base64)?;
    let signer = keys.iter().find(|key| key.verify(payload, &signature)).ok_or(ImageSignatureError::Untrusted)?;
    let bounds = Bounds { bytes: MAX_PAYLOAD, ..Bounds::RECORD };
    let text: Payload = strict_json::from_slice(payload, &bounds)?;
    if text.critical.kind != TYPE {
        return Err(ImageSignatureError::Type(shown(&text.critical.kind)));
    }
    let named = text.critical.image.manifest_digest;
    let signed: Digest = named.parse().map_err(|_| ImageSignatureError::Digest(shown(&named)))?;
    if signed.algorithm() != Algorithm::Sha256 {
        return Err(ImageSignatureError::Digest(shown(&named)));
    }
    if signed != *digest {
        return Err(ImageSignatureError::OtherImage { signed: signed.to_string(), expected: digest.to_string() });
    }
    Ok(ImageSignature {
        key_id: signer.key_id(),
        reference: text.critical.identity.reference,
        optional: text.optional.unwrap_or_default(),
    })
}

#[derive(Deserialize)]
struct Payload {
    critical: Critical,
    optional: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Deserialize)]
struct Critical {
    #[serde(default)]
    identity: Reference,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Default, Deserialize)]
struct Reference {
    #[serde(rename = "docker-reference", default)]
    reference: String,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    manifest_digest: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{KeyKind, SigningKey};

    fn text(digest: &str, kind: &str) -> Vec<u8> {
        format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"example.org/train"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"{kind}"}},"optional":{{"commit":"abc"}}}}"#
        )
        .into_bytes()
    }

    #[test]
    fn a_signature_vouches_for_one_manifest_only() {
        let key = SigningKey::generate(KeyKind::P256).unwrap();
        let keys = [SigningKey::generate(KeyKind::P256).unwrap().verifying_key().clone(), key.verifying_key().clone()];
        let digest = Digest::sha256(b"manifest");
        let judge = |payload: &[u8], digest: &Digest, keys: &[VerifyingKey]| {
            verify(payload, &base64::encode(&key.sign(payload).unwrap()), keys, digest)
        };
        let payload = text(&digest.to_string(), TYPE);
        let held = judge(&payload, &digest, &keys).unwrap();
        assert_eq!((held.key_id, held.reference.as_str()), (key.key_id(), "example.org/train"));
        assert_eq!(held.optional["commit"], "abc");

        let other = Digest::sha256(b"other");
        assert!(matches!(judge(&payload, &other, &keys), Err(ImageSignatureError::OtherImage { .. })));
        assert!(matches!(judge(&payload, &digest, &keys[..1]), Err(ImageSignatureError::Untrusted)));
        let good = base64::encode(&key.sign(&payload).unwrap());
        let swapped = text(&other.to_string(), TYPE);
        assert!(matches!(verify(&swapped, &good, &keys, &other), Err(ImageSignatureError::Untrusted)));
        assert!(matches!(verify(&payload, "%", &keys, &digest), Err(ImageSignatureError::Base64)));
        let kind = text(&digest.to_string(), "atomic container signature");
        assert!(matches!(judge(&kind, &digest, &keys), Err(ImageSignatureError::Type(_))));
        for named in ["", "sha256:00", "sha512:00", &digest.to_string()[7..]] {
            assert!(
                matches!(judge(&text(named, TYPE), &digest, &keys), Err(ImageSignatureError::Digest(_))),
                "{named}"
            );
        }
        let twice = [b"{\"critical\":{}," as &[u8], &payload[1..]].concat();
        assert!(matches!(judge(&twice, &digest, &keys), Err(ImageSignatureError::Malformed(_))));
    }
}
