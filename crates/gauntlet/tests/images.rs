//! Images of a project: their signature is evidence, and a decision about training or deployment asks for it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod support;

use std::path::Path;

use gauntlet_core::sha256_hex;
use gauntlet_trust::dsse::Envelope;
use gauntlet_trust::keys::{KeyKind, SigningKey};
use serde_json::{Value, json};
use support::{Sandbox, rules};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn key() -> SigningKey {
    SigningKey::generate(KeyKind::P256).unwrap()
}

fn blob(layout: &Path, media_type: &str, bytes: &[u8]) -> Value {
    let digest = sha256_hex(bytes);
    std::fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    std::fs::write(layout.join("blobs/sha256").join(&digest), bytes).unwrap();
    json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len()})
}

fn manifest(layout: &Path, layer: &Value) -> Value {
    let config = blob(layout, "application/vnd.oci.image.config.v1+json", b"{\"architecture\":\"amd64\"}");
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
    blob(layout, MANIFEST, manifest.to_string().as_bytes())
}

/// A layout with an image that `key` signed in cosign's way; gives the image's digest.
fn signed_image(layout: &Path, key: &SigningKey) -> String {
    let image = manifest(layout, &blob(layout, "application/vnd.oci.image.layer.v1.tar", b"layer"));
    let digest = image["digest"].as_str().unwrap().to_owned();
    let payload = json!({"critical": {"identity": {"docker-reference": "registry.example/train"},
        "image": {"docker-manifest-digest": digest}, "type": "cosign container image signature"}, "optional": null});
    let mut layer = blob(layout, "application/vnd.dev.cosign.simplesigning.v1+json", payload.to_string().as_bytes());
    // The payload of an envelope is base64 of what it is given.
    let signature = key.sign(payload.to_string().as_bytes()).unwrap();
    let envelope = Envelope::sign("t", signature, &[key]).unwrap().to_json();
    let envelope: Value = serde_json::from_slice(&envelope).unwrap();
    layer["annotations"] = json!({"dev.cosignproject.cosign/signature": envelope["payload"]});
    let mut tagged = manifest(layout, &layer);
    let name = format!("{}.sig", digest.replace(':', "-"));
    tagged["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    std::fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let index = json!({"schemaVersion": 2, "manifests": [image, tagged]});
    std::fs::write(layout.join("index.json"), index.to_string()).unwrap();
    digest
}

/// An example with an image beside it.
fn project(example: &str, signer: &SigningKey, trusted: &SigningKey) -> Sandbox {
    let sandbox = Sandbox::example(example);
    let digest = signed_image(&sandbox.project().join("images/serve"), signer);
    sandbox.write("images/build.pub.pem", trusted.verifying_key().to_pem().unwrap());
    let file = sandbox.project().join("gauntlet.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let image = format!(
        "images:\n  serve:\n    reference: registry.example/train@{digest}\n    layout: images/serve\n    keys: [images/build.pub.pem]\n"
    );
    std::fs::write(&file, text + &image).unwrap();
    sandbox
}

fn reasons(result: &Value) -> String {
    result["decisions"].to_string()
}

#[test]
fn an_image_by_a_trusted_key_may_be_deployed() {
    let key = key();
    let sandbox = project("churn", &key, &key);
    let (status, result) = sandbox.json(&["run"]);
    assert_eq!(status, 0, "{}", reasons(&result));
    let about = |check: &str| {
        let reports = result["reports"].as_array().unwrap();
        reports.iter().find(|r| r["check"] == check && r["subject"]["kind"] == "image").cloned().unwrap()
    };
    assert_eq!(about("trust/image")["verdict"], "pass");
    assert_eq!(about("trust/package")["subject"]["name"], "churn/serve");
    let entries = |sandbox: &Sandbox| {
        let output = sandbox.gauntlet(["ledger", "log", "--json"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().count()
    };
    let before = entries(&sandbox);
    assert_eq!(sandbox.json(&["run"]).0, 0);
    assert_eq!(entries(&sandbox), before, "the same answer is recorded once");
}

#[test]
fn an_image_by_a_stranger_or_changed_since_may_not() {
    let sandbox = project("churn", &key(), &key());
    let (status, result) = sandbox.json(&["run"]);
    assert_eq!(status, 1);
    assert!(rules(&result).contains(&"trust/image/bad-signature".to_owned()), "{:?}", rules(&result));
    assert!(reasons(&result).contains("trust/image failed for churn/serve"), "{}", reasons(&result));

    let key = key();
    let changed = project("churn", &key, &key);
    let blobs = changed.project().join("images/serve/blobs/sha256");
    std::fs::write(blobs.join(sha256_hex(b"layer")), b"other").unwrap();
    let (status, result) = changed.json(&["run"]);
    assert_eq!(status, 1);
    assert!(reasons(&result).contains("trust/package failed for churn/serve"), "{}", reasons(&result));
}

#[test]
fn a_training_run_is_admitted_in_a_verified_image_only() {
    let (key, stranger) = (key(), key());
    for (trusted, verified) in [(&key, true), (&stranger, false)] {
        let sandbox = project("scorecard", &key, trusted);
        let file = sandbox.project().join("gauntlet.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        let digest = text.split("train@").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
        let image = format!("training:\n  image: registry.example/train@{digest}\n");
        std::fs::write(&file, text.replace("training:\n", &image)).unwrap();
        let output = sandbox.gauntlet(["train", "--admit", "admission.json", "--format", "json"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(!said.contains("image-unverified"), verified, "{said}");
        assert_eq!(output.status.code() == Some(0), verified, "{said}");
    }
}

#[test]
fn a_key_that_counts_in_one_environment_carries_no_image_into_another() {
    let (build, ana) = (key(), key());
    let sandbox = project("churn", &build, &build);
    let pem = |key: &SigningKey| key.verifying_key().to_pem().unwrap().trim_end().replace('\n', "\n          ");
    let policy = format!(
        "version: 1\nname: acme\nenvironments:\n  staging: {{}}\n  production: {{signers: [ana]}}\npeople:\n  \
         - id: build\n    name: B\n    keys:\n      - |\n          {}\n  \
         - id: ana\n    name: A\n    keys:\n      - |\n          {}\n",
        pem(&build),
        pem(&ana)
    );
    let file = sandbox.config().parent().unwrap().join("trust.yaml");
    std::fs::write(&file, policy).unwrap();
    let (_, result) = sandbox.json(&["run", "--for", "staging", "--trust-policy", file.to_str().unwrap()]);
    let decisions = result["decisions"].as_array().unwrap();
    let refused = |environment: &str| {
        let decision = decisions.iter().find(|decision| decision["environment"] == environment).unwrap();
        decision["reasons"].to_string().contains("trust/image failed")
    };
    assert!(!refused("staging") && refused("production"), "{}", reasons(&result));
}
