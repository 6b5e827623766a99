//! Cosign signatures of images, by key: the payload in `sha256-<digest>.sig` and the bundle of newer releases.
//!
//! Format: cosign's `specs/SIGNATURE_SPEC.md` and the Sigstore bundle as an OCI 1.1 referrer. A name or tag finds a
//! candidate; only the signed bytes say which image is meant.

use std::num::NonZeroUsize;

use gauntlet_core::{Algorithm, Digest};

use super::{BlobDigest, Descriptor, Layout, ManifestKind, SIGSTORE_BUNDLE};
use crate::attestation;
use crate::attestation::cosign::{ImageSignature, ImageSignatureError, PAYLOAD_TYPE, SIGNATURE_ANNOTATION};
use crate::dsse::IN_TOTO;
use crate::keys::VerifyingKey;
use crate::oms::bundle_envelope;
use crate::statement::{IMAGE_SIGNATURE, Statement};

/// Bytes of the largest payload or bundle that is read.
const MAX_BYTES: usize = 1 << 20;
/// Signatures that are tried; each may cost one check a key.
const MAX_SIGNATURES: usize = 256;

/// A signature that was found in the layout.
pub(super) enum Candidate {
    /// Good, by this key, over this image, which it calls so.
    Good { key_id: String, reference: Option<String> },
    /// Looked at and not good: where, why.
    Bad { path: String, why: String },
}

/// Every signature in the layout that could be about `image`, judged under `keys`.
pub(super) fn signatures(layout: &Layout, image: &BlobDigest, keys: &[VerifyingKey]) -> Vec<Candidate> {
    let mut found = Vec::new();
    for (digest, manifest) in &layout.manifests {
        if manifest.kind != ManifestKind::Image {
            continue;
        }
        let about = manifest.subject.as_ref().is_none_or(|subject| subject.digest == *image);
        for layer in manifest.layers.iter().filter(|_| about) {
            let verdict = match layer.media_type.as_str() {
                PAYLOAD_TYPE => simple(layout, layer, image, keys),
                SIGSTORE_BUNDLE if manifest.subject.is_some() => bundle(layout, layer, image, keys),
                _ => continue,
            };
            let path = format!("blobs/sha256/{}", digest.hex());
            match verdict {
                Ok(Some(good)) => found.push(good),
                // About something else, which is no fault.
                Ok(None) => {}
                Err(why) => found.push(Candidate::Bad { path, why }),
            }
            if found.len() >= MAX_SIGNATURES {
                return found;
            }
        }
    }
    found
}

fn simple(
    layout: &Layout,
    layer: &Descriptor,
    image: &BlobDigest,
    keys: &[VerifyingKey],
) -> Result<Option<Candidate>, String> {
    let payload = layout.read_blob(layer, MAX_BYTES).map_err(|error| format!("its payload: {error}"))?;
    let signature = layer.annotations.get(SIGNATURE_ANNOTATION).ok_or("a payload without a signature")?;
    let digest: Digest = image.to_string().parse().map_err(|_| "the image has no SHA-256 digest")?;
    match attestation::cosign::verify(&payload, signature, keys, &digest) {
        Ok(ImageSignature { key_id, reference, .. }) => {
            let reference = Some(reference).filter(|reference| !reference.is_empty());
            Ok(Some(Candidate::Good { key_id, reference }))
        }
        Err(ImageSignatureError::OtherImage { .. }) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

fn bundle(
    layout: &Layout,
    layer: &Descriptor,
    image: &BlobDigest,
    keys: &[VerifyingKey],
) -> Result<Option<Candidate>, String> {
    let bytes = layout.read_blob(layer, MAX_BYTES).map_err(|error| format!("its bundle: {error}"))?;
    let envelope = bundle_envelope(&bytes)?;
    let verified = match envelope.verify(keys, NonZeroUsize::MIN) {
        Ok(verified) => verified,
        Err(_) => return Err("no trusted key made it".to_owned()),
    };
    if verified.payload_type != IN_TOTO {
        return Ok(None);
    }
    let statement: Statement = Statement::from_verified(&verified).map_err(|error| error.to_string())?;
    let named = |sha256: Option<&str>| sha256.is_some_and(|hex| hex.eq_ignore_ascii_case(image.hex()));
    let about = statement.subject.iter().any(|subject| named(subject.digest.get(Algorithm::Sha256)));
    if statement.predicate_type != IMAGE_SIGNATURE || !about {
        return Ok(None);
    }
    let key_id = verified.signers.first().map(|key| key.key_id()).unwrap_or_default();
    Ok(Some(Candidate::Good { key_id, reference: None }))
}
