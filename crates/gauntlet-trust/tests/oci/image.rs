//! Images: a signature by key, found by tag or as a referrer, means the image that its signed bytes name.

use std::path::Path;

use gauntlet_core::Verdict;
use gauntlet_trust::dsse::{Envelope, IN_TOTO};
use gauntlet_trust::keys::{KeyKind, SigningKey, VerifyingKey};
use gauntlet_trust::oci::{SignedImage, verify_image};
use gauntlet_trust::oms::{ReasonCode, VerifyOptions};
use serde_json::{Value, json};

use super::{MANIFEST, blob, digest_of, image, layout, typed};

fn key() -> SigningKey {
    SigningKey::generate(KeyKind::P256).unwrap()
}

fn encode(bytes: &[u8]) -> String {
    // The product's own encoder is private; an envelope shows it.
    let envelope = Envelope::sign("t", bytes.to_vec(), &[&key()]).unwrap().to_json();
    let envelope: Value = serde_json::from_slice(&envelope).unwrap();
    envelope["payload"].as_str().unwrap().to_owned()
}

fn payload(digest: &str, kind: &str) -> String {
    json!({"critical": {"identity": {"docker-reference": "registry.example/train"},
                        "image": {"docker-manifest-digest": digest}, "type": kind}, "optional": null})
    .to_string()
}

/// The manifest of a `.sig` tag over `payload`.
fn sig(root: &Path, payload: &str, key: &SigningKey) -> Value {
    let layer = typed(blob(root, payload.as_bytes()), "application/vnd.dev.cosign.simplesigning.v1+json");
    let mut layer = layer;
    layer["annotations"] =
        json!({"dev.cosignproject.cosign/signature": encode(&key.sign(payload.as_bytes()).unwrap())});
    let config = typed(blob(root, b"{\"config\":{}}"), "application/vnd.oci.image.config.v1+json");
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
    typed(blob(root, manifest.to_string().as_bytes()), MANIFEST)
}

/// A newer bundle as a referrer of `image`, about `digest`.
fn bundle(root: &Path, image: &Value, digest: &str, predicate_type: &str, key: &SigningKey) -> Value {
    let statement = json!({"_type": "https://in-toto.io/Statement/v1", "subject": [{"digest": {"sha256": digest}}],
                           "predicateType": predicate_type, "predicate": {}});
    let envelope = Envelope::sign(IN_TOTO, statement.to_string().into_bytes(), &[key]).unwrap();
    let envelope: Value = serde_json::from_slice(&envelope.to_json()).unwrap();
    let media_type = "application/vnd.dev.sigstore.bundle.v0.3+json";
    let bundle = json!({"mediaType": media_type, "verificationMaterial": {"publicKey": {"hint": "x"}}, "dsseEnvelope": envelope});
    let layer = typed(blob(root, bundle.to_string().as_bytes()), media_type);
    let config = typed(blob(root, b"{}"), "application/vnd.oci.empty.v1+json");
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": media_type, "config": config,
                          "layers": [layer], "subject": image});
    typed(blob(root, manifest.to_string().as_bytes()), MANIFEST)
}

fn judge(root: &Path, image: &Value, keys: &[&SigningKey]) -> SignedImage {
    let keys: Vec<VerifyingKey> = keys.iter().map(|key| key.verifying_key().clone()).collect();
    verify_image(root, &digest_of(image), &keys, &VerifyOptions::default())
}

const KIND: &str = "cosign container image signature";
const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

#[test]
fn a_payload_by_a_trusted_key_about_the_image_passes() {
    let (folder, key, other) = (tempfile::tempdir().unwrap(), key(), key());
    let root = folder.path();
    let image = image(root, b"layer");
    let signed = sig(root, &payload(image["digest"].as_str().unwrap(), KIND), &key);
    layout(root, &[image.clone(), signed]);
    let found = judge(root, &image, &[&other, &key]);
    assert_eq!(found.package.verdict, Verdict::Pass, "{:?}", found.package.reasons);
    assert_eq!(found.image.verdict, Verdict::Pass, "{:?}", found.image.reasons);
    assert_eq!(found.image.signers, [key.key_id()]);
    assert_eq!(found.reference.as_deref(), Some("registry.example/train"));
    let found = judge(root, &image, &[&other]);
    assert_eq!((found.image.verdict, found.image.reasons[0].code), (Verdict::Fail, ReasonCode::BadSignature));
    assert_eq!(judge(root, &image, &[]).image.verdict, Verdict::Fail);
}

#[test]
fn a_bundle_that_refers_to_the_image_passes() {
    let (folder, key, other) = (tempfile::tempdir().unwrap(), key(), key());
    let root = folder.path();
    let image = image(root, b"layer");
    let hex = digest_of(&image).hex().to_owned();
    let signed = bundle(root, &image, &hex, SIGN, &key);
    layout(root, &[image.clone(), signed]);
    let found = judge(root, &image, &[&key]);
    assert_eq!(found.image.verdict, Verdict::Pass, "{:?} {:?}", found.image.reasons, found.package.reasons);
    assert_eq!(judge(root, &image, &[&other]).image.verdict, Verdict::Fail);
}

#[test]
fn signatures_about_something_else_do_not_count() {
    let (folder, key) = (tempfile::tempdir().unwrap(), key());
    let root = folder.path();
    let (image, other) = (image(root, b"layer"), image(root, b"other layer"));
    let digest = image["digest"].as_str().unwrap();
    let other_digest = other["digest"].as_str().unwrap();
    let other_hex = digest_of(&other).hex().to_owned();
    let hex = digest_of(&image).hex().to_owned();
    let cases = [
        sig(root, &payload(other_digest, KIND), &key),
        sig(root, &payload(digest, "atomic container signature"), &key),
        sig(root, "{}", &key),
        sig(root, &format!("{} {}", payload(digest, KIND), "{}"), &key),
        sig(root, &payload(&digest.to_uppercase(), KIND), &key),
        bundle(root, &image, &other_hex, SIGN, &key),
        bundle(root, &image, &hex, "https://slsa.dev/provenance/v1", &key),
        // Refers to the other image, whatever its statement says.
        bundle(root, &other, &hex, SIGN, &key),
    ];
    for (i, case) in cases.into_iter().enumerate() {
        layout(root, &[image.clone(), other.clone(), case]);
        let found = judge(root, &image, &[&key]);
        assert_eq!(found.image.verdict, Verdict::Fail, "case {i}");
        assert!(found.image.signers.is_empty());
    }
}

#[test]
fn an_edited_payload_or_image_is_found() {
    let (folder, key) = (tempfile::tempdir().unwrap(), key());
    let root = folder.path();
    let (image, other) = (image(root, b"layer"), image(root, b"evil layer"));
    let good = payload(image["digest"].as_str().unwrap(), KIND);
    let mut signed: Value = {
        let descriptor = sig(root, &good, &key);
        let hex = digest_of(&descriptor).hex().to_owned();
        serde_json::from_slice(&std::fs::read(root.join("blobs/sha256").join(hex)).unwrap()).unwrap()
    };
    // The signature of the good image over a payload that names the other.
    let edited = payload(other["digest"].as_str().unwrap(), KIND);
    let annotations = signed["layers"][0]["annotations"].clone();
    signed["layers"][0] = typed(blob(root, edited.as_bytes()), "application/vnd.dev.cosign.simplesigning.v1+json");
    signed["layers"][0]["annotations"] = annotations;
    let manifest = typed(blob(root, signed.to_string().as_bytes()), MANIFEST);
    layout(root, &[image.clone(), other.clone(), manifest]);
    let found = judge(root, &other, &[&key]);
    assert_eq!((found.image.verdict, found.image.reasons[0].code), (Verdict::Fail, ReasonCode::BadSignature));

    let signed = sig(root, &good, &key);
    layout(root, &[image.clone(), signed]);
    let layer = gauntlet_trust::oci::BlobDigest::of(b"layer");
    std::fs::write(root.join("blobs/sha256").join(layer.hex()), b"lAyer").unwrap();
    let found = judge(root, &image, &[&key]);
    assert_eq!(found.package.verdict, Verdict::Fail);
    assert!(found.package.reasons.iter().any(|reason| reason.code == ReasonCode::DigestMismatch));
}

#[test]
fn an_image_that_is_not_there_or_not_signed_fails() {
    let (folder, key) = (tempfile::tempdir().unwrap(), key());
    let root = folder.path();
    let image = image(root, b"layer");
    layout(root, std::slice::from_ref(&image));
    let found = judge(root, &image, &[&key]);
    assert_eq!((found.image.verdict, found.image.reasons[0].code), (Verdict::Fail, ReasonCode::MissingFile));
    let absent = json!({"digest": gauntlet_trust::oci::BlobDigest::of(b"absent").to_string()});
    assert_eq!(judge(root, &absent, &[&key]).image.verdict, Verdict::Fail);
}
