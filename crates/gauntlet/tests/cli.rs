//! Small commands through the built program.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests fail the test"
)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use predicates::prelude::*;
use predicates::str::contains;
use support::{Sandbox, repository};

#[test]
fn keys_are_made_once_with_mode_0600() {
    let sandbox = Sandbox::new();
    for algorithm in ["ecdsa-p256", "ed25519"] {
        let args = ["key", "generate", algorithm, "--algorithm", algorithm, "--no-passphrase"];
        sandbox.gauntlet(args).assert().success().stdout(contains("Key id"));
        let private = sandbox.config().join(format!("keys/{algorithm}.pem"));
        assert_eq!(fs::metadata(&private).unwrap().permissions().mode() & 0o777, 0o600);
        sandbox.gauntlet(args).assert().code(2).stderr(contains("exists"));
    }
}

#[test]
fn an_encrypted_key_needs_its_passphrase() {
    let sandbox = Sandbox::new();
    sandbox.gauntlet(["key", "generate", "k", "--passphrase-env", "P"]).env("P", "correct horse").assert().success();
    let key = sandbox.config().join("keys/k.pem");
    assert!(fs::read_to_string(&key).unwrap().contains("ENCRYPTED"));
    sandbox.write("model.bin", "weights");
    let sign = |value: &str| {
        let mut command = sandbox.gauntlet(["sign", "model.bin", "--passphrase-env", "P", "--key"]);
        command.arg(&key).env("P", value);
        command
    };
    sign("wrong").assert().code(2).stderr(contains("passphrase"));
    assert!(!sandbox.project().join("model.bin.sig").exists());
    sign("correct horse").assert().success();
}

#[test]
fn a_signed_folder_verifies_until_anything_changes() {
    let sandbox = Sandbox::new();
    sandbox.gauntlet(["key", "generate", "k", "--no-passphrase"]).assert().success();
    let (private, public) = (sandbox.config().join("keys/k.pem"), sandbox.config().join("keys/k.pub.pem"));
    sandbox.write("model/a.bin", "one");
    sandbox.write("model/sub/b.bin", "two");
    sandbox.gauntlet(["sign", "model", "--key"]).arg(&private).assert().success();
    assert!(sandbox.project().join("model/model.sig").exists());
    let verify = || {
        let mut command = sandbox.gauntlet(["verify", "model", "--key"]);
        command.arg(&public);
        command
    };
    verify().assert().success().stdout(contains("PASS"));
    sandbox.write("model/a.bin", "changed");
    sandbox.write("model/extra.bin", "new");
    fs::remove_file(sandbox.project().join("model/sub/b.bin")).unwrap();
    verify()
        .assert()
        .code(1)
        .stdout(contains("trust/signature/digest-mismatch"))
        .stdout(contains("trust/signature/unexpected-file"))
        .stdout(contains("trust/signature/missing-file"))
        .stdout(contains("model/extra.bin"));
}

#[test]
fn reference_signatures_verify() {
    let sandbox = Sandbox::new();
    let vectors = repository().join("testdata/vectors/oms");
    let verify = |key: &str| {
        let mut command = sandbox.gauntlet(["verify"]);
        command.arg(vectors.join("models/tiny-llm"));
        command.arg("--signature").arg(vectors.join("bundles/ref-key-p256.sig"));
        command.arg("--key").arg(vectors.join("keys").join(key));
        command
    };
    verify("p256.pub.pem").assert().success();
    verify("p384.pub.pem").assert().code(1).stdout(contains("trust/signature/wrong-key"));
}

#[test]
fn rules_have_pages() {
    let sandbox = Sandbox::new();
    let output = sandbox.gauntlet(["rule", "list"]).output().unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    assert!(list.lines().count() > 20);
    for id in list.lines().filter_map(|line| line.split_whitespace().next()) {
        let assert = sandbox.gauntlet(["rule", "show", id]).assert().success();
        assert.stdout(contains("Fix: ").and(predicate::function(|text: &str| text.len() > 200)));
    }
    sandbox
        .gauntlet(["rule", "show", "artifact/pickel"])
        .assert()
        .code(2)
        .stderr(contains("did you mean `artifact/pickle`?"));
}

#[test]
fn shipped_policies_pass_their_tests() {
    let sandbox = Sandbox::new();
    let policies = repository().join("policies");
    sandbox.gauntlet(["policy", "test"]).arg(&policies).assert().success().stdout(contains(" passed, 0 failed"));
}

#[test]
fn a_failing_policy_test_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("p/own.rego", "package gauntlet.own\n\nviolations contains {\"rule\": \"a\", \"message\": \"b\", \"needs\": \"c\"} if input.bad\n");
    sandbox.write("p/own_test.rego", "package gauntlet.own_test\n\nimport data.gauntlet.own\n\ntest_wrong if count(own.violations) == 1 with input as {\"bad\": false}\n");
    sandbox.gauntlet(["policy", "test", "p"]).assert().code(1).stdout(contains("test_wrong"));
}

#[test]
fn config_show_names_origins() {
    let sandbox = Sandbox::example("churn");
    sandbox
        .gauntlet(["config", "show"])
        .assert()
        .success()
        .stdout(contains("environment production").and(contains("gauntlet.yaml")));
}

#[test]
fn wrong_usage_exits_2_and_missing_paths_are_named() {
    let sandbox = Sandbox::new();
    sandbox.gauntlet(["scan"]).assert().code(2);
    sandbox.gauntlet(["scan", "gone"]).assert().code(2).stderr(contains("gone"));
    sandbox.gauntlet(["--version"]).assert().success().stdout(contains(env!("CARGO_PKG_VERSION")));
    sandbox.gauntlet(["ledger", "log"]).assert().code(2).stderr(contains("gauntlet run"));
}

#[test]
fn strict_makes_unknown_imports_high() {
    let sandbox = Sandbox::new();
    sandbox.write("model.pkl", b"\x80\x02cmypkg.model\nNet\n.");
    let (exit, _) = sandbox.json(&["scan", "model.pkl"]);
    let (strict_exit, _) = sandbox.json(&["scan", "model.pkl", "--strict"]);
    assert_eq!((exit, strict_exit), (0, 1));
}

#[test]
fn structure_only_makes_no_digest_and_says_so() {
    let sandbox = Sandbox::new();
    sandbox.write("model.pkl", b"\x80\x02}.");
    let (exit, scan) = sandbox.json(&["scan", "model.pkl", "--structure-only"]);
    let report = &scan["reports"][0];
    assert_eq!((exit, &report["subject"]["digest"]), (0, &serde_json::json!({})));
    let skipped = report["coverage"]["skipped"].as_array().unwrap();
    assert!(skipped.iter().any(|s| s["reason"].as_str().unwrap().contains("no digest")), "{skipped:?}");
}

#[test]
fn scripts_inside_models_are_judged_by_the_source_gate() {
    let sandbox = Sandbox::new();
    let script = "import pickle, sys\ndef load():\n    return pickle.load(open(sys.argv[1], 'rb'))\n";
    // A tar of one member: name, mode, owner, size, time, checksum, type.
    let mut header = vec![0_u8; 512];
    header[..10].copy_from_slice(b"handler.py");
    header[100..107].copy_from_slice(b"0000644");
    header[124..135].copy_from_slice(format!("{:011o}", script.len()).as_bytes());
    header[148..156].copy_from_slice(b"        ");
    header[156] = b'0';
    header[257..263].copy_from_slice(b"ustar\0");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut tar = [&header[..], script.as_bytes()].concat();
    tar.resize(512 + 512 + 1024, 0);
    sandbox.write("model.nemo", tar);
    let (exit, scan) = sandbox.json(&["scan", "model.nemo"]);
    let reports = scan["reports"].as_array().unwrap();
    let report = reports.iter().find(|report| report["check"] == "source/deserialization").unwrap();
    let place = &report["findings"][0]["location"];
    assert_eq!((exit, &place["path"], &place["member"]), (1, &"model.nemo".into(), &"handler.py".into()));
}

#[test]
fn fail_on_changes_the_exit_status_and_not_the_verdict() {
    let sandbox = Sandbox::new();
    sandbox.write("load.py", "import pickle, sys\npickle.load(open(sys.argv[1], 'rb'))\n");
    let (exit, strict) = sandbox.json(&["scan", "."]);
    let (relaxed_exit, relaxed) = sandbox.json(&["scan", ".", "--fail-on", "critical"]);
    assert_eq!((exit, relaxed_exit), (1, 0));
    assert_eq!(strict["verdict"], relaxed["verdict"]);
}
