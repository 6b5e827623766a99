//! Sigstore through the built program: genuine bundles of files, and what only the command line decides.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod support;

use std::path::PathBuf;

use predicates::prelude::*;
use predicates::str::contains;
use support::{Sandbox, repository};

const ISSUER: &str = "https://github.com/login/oauth";
const IDENTITY: &str = "w.vollprecht@gmail.com";

fn file(path: &str) -> PathBuf {
    repository().join("testdata/sigstore").join(path)
}

/// `gauntlet verify` of a blob that somebody signed with cosign.
fn verify(sandbox: &Sandbox, artifact: PathBuf, options: &[&str]) -> assert_cmd::Command {
    let mut command = sandbox.gauntlet(["verify", "--at", "2026-11-21T00:00:00Z"]);
    command.arg(artifact).arg("--signature").arg(file("bundles/cosign-blob.json"));
    command.arg("--trusted-root").arg(file("roots/public-good.json")).args(options);
    command
}

#[test]
fn a_file_that_somebody_signed_with_cosign_is_verified_by_identity() {
    let sandbox = Sandbox::new();
    let blob = || file("bundles/cosign-blob.artifact");
    verify(&sandbox, blob(), &["--identity", IDENTITY, "--issuer", ISSUER])
        .assert()
        .success()
        .stdout(contains(IDENTITY).and(contains("2025-12-03T18:36:42Z")));
    verify(&sandbox, blob(), &["--identity-regexp", r".*@gmail\.com", "--issuer", ISSUER]).assert().success();
    for (options, reason) in [
        (["--identity", "somebody@gmail.com", "--issuer", ISSUER], "trust/signature/wrong-identity"),
        (["--identity-regexp", "vollprecht", "--issuer", ISSUER], "trust/signature/wrong-identity"),
        (["--identity", IDENTITY, "--issuer", "https://accounts.google.com"], "trust/signature/wrong-issuer"),
    ] {
        verify(&sandbox, blob(), &options).assert().code(1).stdout(contains(reason));
    }
    let changed = sandbox.write("blob", "changed");
    verify(&sandbox, changed, &["--identity", IDENTITY, "--issuer", ISSUER])
        .assert()
        .code(1)
        .stdout(contains("trust/signature/digest-mismatch").and(contains("trust/signature/bad-signature")));
}

#[test]
fn before_it_was_signed_nothing_is_known_of_the_file() {
    let sandbox = Sandbox::new();
    verify(
        &sandbox,
        file("bundles/cosign-blob.artifact"),
        &["--identity", IDENTITY, "--issuer", ISSUER, "--at", "2025-12-03T18:36:41Z"],
    )
    .assert()
    .code(2);
    let mut command =
        sandbox.gauntlet(["verify", "--at", "2025-12-03T18:36:41Z", "--identity", IDENTITY, "--issuer", ISSUER]);
    command.arg(file("bundles/cosign-blob.artifact")).arg("--signature").arg(file("bundles/cosign-blob.json"));
    command.arg("--trusted-root").arg(file("roots/public-good.json"));
    command.assert().code(1).stdout(contains("trust/signature/no-time"));
}

#[test]
fn wrong_usage_is_told_before_anything_is_read() {
    let sandbox = Sandbox::new();
    let blob = || file("bundles/cosign-blob.artifact");
    // Nobody is trusted without a name and whoever vouches for it.
    for options in [
        vec![],
        vec!["--identity", IDENTITY],
        vec!["--issuer", ISSUER],
        vec!["--identity", "", "--issuer", ISSUER],
        vec!["--identity-regexp", "(", "--issuer", ISSUER],
        vec!["--identity", IDENTITY, "--identity-regexp", ".*", "--issuer", ISSUER],
    ] {
        verify(&sandbox, blob(), &options).assert().code(2);
    }
    let mut command = sandbox.gauntlet(["verify", "--identity", IDENTITY, "--issuer", ISSUER]);
    command.arg(blob()).arg("--trusted-root").arg(file("bundles/cosign-blob.json"));
    command.arg("--signature").arg(file("bundles/cosign-blob.json")).assert().code(2).stderr(contains("trusted root"));
    let keyless =
        |options: &[&str]| sandbox.gauntlet(["sign", "--keyless", "x"].iter().chain(options)).assert().code(2);
    keyless(&[]);
    let urls = ["--fulcio-url", "https://f.example", "--rekor-url", "https://r.example"];
    keyless(&urls).stderr(contains("id-token: write"));
    keyless(&[&urls[..], &["--identity-token-env", "ABSENT"]].concat()).stderr(contains("ABSENT"));
    keyless(&["--fulcio-url", "http://f.example", "--rekor-url", "https://r.example"]).stderr(contains("https"));
}

#[test]
fn a_statement_about_the_file_counts_as_its_signature() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.gauntlet([
        "verify",
        "--at",
        "2026-11-21T00:00:00Z",
        "--issuer",
        "https://token.actions.githubusercontent.com",
    ]);
    command.args(["--identity-regexp", r"https://github\.com/sigstore-conformance/.*"]);
    command.arg(file("bundles/a.txt")).arg("--signature").arg(file("bundles/provenance-v03.json"));
    command.arg("--trusted-root").arg(file("roots/public-good.json"));
    command.assert().success();
}

#[test]
fn an_attestation_of_another_tool_counts_for_the_file_that_it_is_about() {
    use gauntlet_core::DigestSet;
    use gauntlet_trust::dsse::{Envelope, IN_TOTO};
    use gauntlet_trust::keys::{KeyKind, SigningKey};

    let sandbox = Sandbox::new();
    let key = SigningKey::generate(KeyKind::P256).unwrap();
    let public = sandbox.write("witness.pub", key.verifying_key().to_pem().unwrap());
    let other =
        sandbox.write("other.pub", SigningKey::generate(KeyKind::P256).unwrap().verifying_key().to_pem().unwrap());
    let line = |content: &[u8]| {
        let statement = serde_json::json!({
            "_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://witness.testifysec.com/attestation-collection/v0.1",
            "subject": [{ "name": "model.bin", "digest": DigestSet::sha256_of(content) }], "predicate": {},
        });
        Envelope::sign(IN_TOTO, statement.to_string().into_bytes(), &[&key]).unwrap().to_json()
    };
    let lines = [line(b"other"), b"\n".to_vec(), line(b"model"), b"\n".to_vec()].concat();
    sandbox.write("model.intoto.jsonl", lines);
    sandbox.write("model.bin", "model");
    let verify = |key: &PathBuf| {
        let mut command = sandbox.gauntlet(["verify", "model.bin", "--signature", "model.intoto.jsonl", "--key"]);
        command.arg(key).assert()
    };
    verify(&public).success();
    verify(&other).code(1).stdout(contains("trust/signature/bad-signature"));
    sandbox.write("model.bin", "changed");
    verify(&public).code(1).stdout(contains("trust/signature/digest-mismatch"));
}
