//! Cosign signatures of images, by key: the payload in `sha256-<digest>.sig` and the bundle of newer releases.
//!
//! Format: cosign's `specs/SIGNATURE_SPEC.md` and the Sigstore bundle as an OCI 1.1 referrer. A name or tag finds a
//! candidate; only the signed bytes say which image is meant.

use std::num::NonZeroUsize;

use gauntlet_core::Algorithm;
use serde::Deserialize;

use super::{BlobDigest, Descriptor, Layout, ManifestKind, SIGSTORE_BUNDLE, SIMPLE_SIGNING};
use crate::base64;
use crate::dsse::IN_TOTO;
use crate::keys::VerifyingKey;
use crate::oms::bundle_envelope;
use crate::statement::Statement;
use crate::strict_json::{self, Bounds};

/// Where cosign puts a signature over the payload.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// What a payload must say to be about an image.
const KIND: &str = "cosign container image signature";
/// Predicate type of an image signature in a bundle.
const SIGN_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";
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
                SIMPLE_SIGNING => simple(layout, layer, image, keys),
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

/// `{"critical": {"identity", "image", "type"}, "optional"}`, signed as bytes.
#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    identity: Option<Identity>,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Identity {
    #[serde(rename = "docker-reference")]
    reference: Option<String>,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest", alias = "Docker-manifest-digest")]
    digest: String,
}

fn simple(
    layout: &Layout,
    layer: &Descriptor,
    image: &BlobDigest,
    keys: &[VerifyingKey],
) -> Result<Option<Candidate>, String> {
    let payload = layout.read_blob(layer, MAX_BYTES).map_err(|error| format!("its payload: {error}"))?;
    let signature = layer.annotations.get(SIGNATURE).ok_or("a payload without a signature")?;
    let signature = base64::decode(signature).map_err(|_| "its signature is not base64")?;
    // First whose signature it is, then what it says.
    let signer = keys.iter().find(|key| key.verify(&payload, &signature));
    let said: Payload = strict_json::from_slice(&payload, &Bounds::RECORD).map_err(|error| match signer {
        Some(_) => format!("its payload: {error}"),
        None => "no trusted key made it".to_owned(),
    })?;
    if said.critical.image.digest.parse::<BlobDigest>().ok().as_ref() != Some(image) {
        return Ok(None);
    }
    let signer = signer.ok_or("no trusted key made it")?;
    if said.critical.kind != KIND {
        return Err("its payload is of another kind than an image signature".to_owned());
    }
    let reference = said.critical.identity.and_then(|identity| identity.reference);
    Ok(Some(Candidate::Good { key_id: signer.key_id(), reference }))
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
    if statement.predicate_type != SIGN_PREDICATE || !about {
        return Ok(None);
    }
    let key_id = verified.signers.first().map(|key| key.key_id()).unwrap_or_default();
    Ok(Some(Candidate::Good { key_id, reference: None }))
}
