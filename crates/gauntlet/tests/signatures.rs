//! Model signatures through the built program: all interoperability vectors, and what only the command line decides.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

#[path = "../../gauntlet-trust/tests/oms/common.rs"]
#[allow(dead_code, reason = "the other users of the file need the rest")]
mod common;
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{apply, cases, copy_model, read, vectors};
use predicates::str::contains;
use serde_json::Value;
use support::Sandbox;

/// Verdict and reason codes of `gauntlet verify --format json`.
fn judge(program: &Path, case: &Value, document: &Value) -> (i32, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let bundle = read(case["bundle"].as_str().unwrap());
    let mut model = copy_model(case["model"].as_str().unwrap(), folder.path());
    for op in case["tree_ops"].as_array().into_iter().flatten() {
        model = apply(op, model, &bundle);
    }
    let options = &case["options"];
    let signature = match options["signature_path"].as_str() {
        Some(inside) => model.join(inside),
        None => vectors().join(case["bundle"].as_str().unwrap()),
    };
    let mut command = Command::new(program);
    command.args(["verify", "--format", "json", "--config-dir"]).arg(folder.path().join("config"));
    command.arg(&model).arg("--signature").arg(signature);
    let trust = case.get("trust").unwrap_or(&document["default_trust"]);
    if let Some(key) = trust["public_key"].as_str() {
        command.arg("--key").arg(vectors().join(key));
    }
    for ca in trust["ca"].as_array().into_iter().flatten() {
        command.arg("--ca").arg(vectors().join(ca.as_str().unwrap()));
    }
    if options["ignore_unsigned_files"] == true {
        command.arg("--ignore-unsigned");
    }
    if options["allow_symlinks"] == true {
        command.arg("--allow-symlinks");
    }
    command.arg("--at").arg(options.get("now").unwrap_or(&document["test_clock"]).as_str().unwrap());
    let output = command.output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let findings = told["reports"][0]["findings"].as_array().cloned().unwrap_or_default();
    let rules = findings.iter().filter_map(|finding| finding["rule"].as_str());
    let codes = rules.filter_map(|rule| rule.strip_prefix("trust/signature/").map(str::to_owned)).collect();
    (output.status.code().unwrap(), codes)
}

#[test]
fn the_program_gives_every_vector_its_exit_status_and_reason() {
    let document = cases();
    let program = PathBuf::from(env!("CARGO_BIN_EXE_gauntlet"));
    let mut wrong = Vec::new();
    let all = document["cases"].as_array().unwrap();
    for case in all {
        let (status, codes) = judge(&program, case, &document);
        let also = case["also_acceptable"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let verdict = match status {
            0 => "pass",
            1 => "fail",
            _ => "no verdict",
        };
        let fits = also.chain(case["expect"].as_str()).any(|one| one == verdict);
        let wanted: Vec<&str> =
            case["reason_any_of"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let reason = status != 1 || codes.iter().any(|code| wanted.contains(&code.as_str()));
        if !fits || !reason {
            wrong.push(format!("{}: exit {status} {codes:?}, expected {} {wanted:?}", case["id"], case["expect"]));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(all.len(), 120);
}

fn vector(name: &str) -> PathBuf {
    vectors().join(name)
}

/// The vectors' leaf key, readable by its owner only, as a key has to be.
fn leaf_key(sandbox: &Sandbox) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = sandbox.write("leaf.pem", String::from_utf8(read("keys/leaf.key.pem")).unwrap());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

#[test]
fn a_model_is_signed_and_verified_by_certificate() {
    let sandbox = Sandbox::new();
    let key = leaf_key(&sandbox);
    sandbox.write("model/a.bin", "one");
    let sign = |certificate: &str, at: &str| {
        let mut command = sandbox.gauntlet(["sign", "model", "--at", at, "--key"]);
        command.arg(&key).arg("--certificate").arg(vector(certificate));
        command.arg("--chain").arg(vector("keys/intermediate.crt.pem"));
        command
    };
    let verify = |ca: &str, at: &str| {
        let mut command = sandbox.gauntlet(["verify", "model", "--format", "json", "--at", at, "--ca"]);
        command.arg(vector(ca));
        command
    };
    let now = "2026-11-21T00:00:00Z";
    sign("keys/leaf.crt.pem", now).assert().success().stdout(contains("CN=dev test signer"));
    verify("keys/root.crt.pem", now).assert().success().stdout(contains("certified by CN=dev test root"));
    verify("keys/other-root.crt.pem", now).assert().code(1).stdout(contains("trust/signature/untrusted-chain"));
    verify("keys/root.crt.pem", "2050-01-01").assert().code(1).stdout(contains("trust/signature/expired"));
    verify("keys/root.crt.pem", "2020-01-01").assert().code(1).stdout(contains("trust/signature/not-yet-valid"));
    verify("keys/leaf.pub.pem", now).assert().code(2).stderr(contains("no certificate in it"));
    // What no verifier would take is not signed.
    sign("keys/leaf.crt.pem", "2050-01-01").assert().code(2).stderr(contains("ended on"));
    sign("keys/leaf.crt.pem", "2020-01-01").assert().code(2).stderr(contains("begins only on"));
    sign("keys/root.crt.pem", now).assert().code(2).stderr(contains("another key"));
    sign("keys/leaf-no-sign-usage.crt.pem", now).assert().code(2).stderr(contains("digitalSignature"));
}

#[test]
fn somebody_has_to_be_trusted_and_some_key_has_to_sign() {
    let sandbox = Sandbox::new();
    sandbox.write("model.bin", "weights");
    sandbox.gauntlet(["verify", "model.bin"]).assert().code(2).stderr(contains("--key"));
    sandbox.gauntlet(["sign", "model.bin"]).assert().code(2).stderr(contains("--key"));
    let uri = "pkcs11:token=t?pin-value=1234";
    let refused = sandbox.gauntlet(["sign", "model.bin", "--pkcs11", uri]).assert().code(2);
    refused.stderr(contains("--pin-env"));
    let refused = sandbox.gauntlet(["sign", "model.bin", "--pkcs11", "pkcs11:token=t"]).assert().code(2);
    refused.stderr(contains("--pkcs11-module"));
    let key = leaf_key(&sandbox);
    let mut both = sandbox.gauntlet(["sign", "model.bin", "--pkcs11", "pkcs11:token=t", "--key"]);
    both.arg(&key).assert().code(2).stderr(contains("cannot be used with"));
    let mut dead = sandbox.gauntlet(["sign", "model.bin", "--timestamp", "http://127.0.0.1:1/", "--key"]);
    dead.arg(&key).assert().code(3).stderr(contains("no time stamp"));
    assert!(!sandbox.project().join("model.bin.sig").exists());
}
