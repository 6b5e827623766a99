//! Evidence of others, end to end: what goes in, what is signed, what is refused.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use predicates::str::contains;
use serde_json::{Value, json};
use support::Sandbox;

const JUNIT: &str = "<testsuite name='pytest' tests='2' failures='1' errors='0'><testcase classname='t' name='good'/>\
    <testcase classname='t' name='bad'><failure/></testcase></testsuite>";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("model.bin", b"weights");
    sandbox
}

/// The statement inside an envelope.
fn statement(envelope: &[u8]) -> Value {
    let envelope: Value = serde_json::from_slice(envelope).unwrap();
    let payload = envelope["payload"].as_str().unwrap();
    serde_json::from_slice(&base64(payload)).unwrap()
}

/// Standard alphabet with padding; enough for a test.
fn base64(text: &str) -> Vec<u8> {
    let value = |c: u8| {
        u32::try_from(
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
                .iter()
                .position(|a| *a == c)
                .unwrap_or(0),
        )
        .unwrap()
    };
    let mut out = Vec::new();
    for chunk in text.as_bytes().chunks(4) {
        let bits = chunk.iter().fold(0, |bits, c| (bits << 6) | value(*c));
        let padding = chunk.iter().filter(|c| **c == b'=').count();
        out.extend_from_slice(&bits.to_be_bytes()[1..4 - padding]);
    }
    out
}

#[test]
fn junit_becomes_an_entry_of_the_ledger_once() {
    let sandbox = sandbox();
    sandbox.write("results.xml", JUNIT);
    let args = ["attest", "model.bin", "--junit", "results.xml", "--configuration", "results.xml"];
    let (exit, first) = sandbox.json(&args);
    assert_eq!((exit, first["result"].as_str(), first["ledger_index"].as_u64()), (0, Some("FAILED"), Some(0)));
    assert_eq!(first["predicate_type"], "https://in-toto.io/attestation/test-result/v0.1");
    let (_, again) = sandbox.json(&args);
    assert_eq!((&again["envelope"], &again["ledger_index"]), (&first["envelope"], &first["ledger_index"]));
    let envelope = first["envelope"].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
    let file = sandbox.project().join(format!(".gauntlet/evidence/{envelope}.dsse.json"));
    let statement = statement(&std::fs::read(file).unwrap());
    assert_eq!(statement["predicate"]["failedTests"], json!(["t::bad"]));
    assert_eq!(statement["predicate"]["configuration"][0]["name"], "results.xml");
    assert_eq!(statement["subject"][0]["name"], "model.bin");
    sandbox.gauntlet(["ledger", "verify"]).assert().success();
    sandbox.gauntlet(["ledger", "log"]).assert().success().stdout(contains("attestation"));
}

#[test]
fn files_that_contradict_themselves_are_refused() {
    let sandbox = sandbox();
    sandbox.write("results.xml", JUNIT.replace("failures='1'", "failures='3'"));
    let attest = |args: &[&str]| sandbox.gauntlet(["attest", "model.bin"].iter().chain(args)).assert().code(2);
    attest(&["--junit", "results.xml"]).stderr(contains("states 2 tests and 3 failures"));
    sandbox.write("scan.sarif", r#"{"version":"2.1.0","runs":[]}"#);
    attest(&["--sarif", "scan.sarif"]).stderr(contains("holds no run"));
    sandbox.write(
        "vulns.json",
        r#"{"scanner":{"uri":"pkg:pypi/x@1","db":{"lastUpdate":"yesterday"},"result":[]},"metadata":
        {"scanStartedOn":"2026-01-01T00:00:00Z","scanFinishedOn":"2026-01-01T00:00:00Z"}}"#,
    );
    attest(&["--vulns", "vulns.json"]).stderr(contains("lastUpdate"));
    sandbox.write("twice.json", r#"{"attributes":[],"attributes":[]}"#);
    attest(&["--predicate", "twice.json", "--type", "https://in-toto.io/attestation/scai/v0.3"])
        .stderr(contains("twice"));
    assert!(!sandbox.project().join(".gauntlet").exists(), "nothing was recorded");
}

#[test]
fn what_only_our_own_commands_say_cannot_be_attested() {
    let sandbox = sandbox();
    sandbox.write(
        "forged.json",
        r#"{"result":"PASSED","configuration":[],"https://gauntlet.example/report/v1":{"check":"artifact/onnx"}}"#,
    );
    let kind = "https://in-toto.io/attestation/test-result/v0.1";
    let forged = ["attest", "model.bin", "--predicate", "forged.json", "--type", kind];
    sandbox.gauntlet(forged).assert().code(2).stderr(contains("never attested"));
    sandbox.write("p.json", "{}");
    let approval = ["attest", "model.bin", "--predicate", "p.json", "--type", "https://gauntlet.example/approval/v1"];
    sandbox.gauntlet(approval).assert().code(2).stderr(contains("never attested"));
    sandbox.gauntlet(["attest", "model.bin", "--predicate", "p.json", "--type", "no uri"]).assert().code(2);
    sandbox
        .gauntlet(["attest", "model.bin", "--predicate", "p.json", "--type", "https://other.example/x/v1"])
        .assert()
        .success();
}

#[test]
fn bundles_get_one_line_for_each_envelope() {
    let sandbox = sandbox();
    sandbox.write("results.xml", JUNIT);
    sandbox.write("claim.json", r#"{"attributes":[{"attribute":"NO_PICKLE"}]}"#);
    let scai = "https://in-toto.io/attestation/scai/v0.3";
    for args in
        [&["--junit", "results.xml"][..], &["--predicate", "claim.json", "--type", scai], &["--junit", "results.xml"]]
    {
        sandbox.gauntlet(["attest", "model.bin", "-o", "all.intoto.jsonl"].iter().chain(args)).assert().success();
    }
    let bundle = std::fs::read_to_string(sandbox.project().join("all.intoto.jsonl")).unwrap();
    let kinds: Vec<_> = bundle.lines().map(|line| statement(line.as_bytes())["predicateType"].clone()).collect();
    assert_eq!(kinds, ["https://in-toto.io/attestation/test-result/v0.1", scai]);
    sandbox.write("all.intoto.jsonl", "not an envelope\n");
    let args = ["attest", "model.bin", "-o", "all.intoto.jsonl", "--junit", "results.xml"];
    sandbox.gauntlet(args).assert().code(2).stderr(contains("line 1"));
    assert!(!sandbox.project().join(".gauntlet").exists(), "a file is no ledger");
}

#[test]
fn a_step_is_recorded_with_its_exit_status() {
    let sandbox = sandbox();
    let step = |script: &str| {
        let args = [
            "attest",
            "model.bin",
            "--step",
            "quantise",
            "--material",
            "model.bin",
            "-o",
            "step.json",
            "--",
            "sh",
            "-c",
            script,
        ];
        let exit = sandbox.gauntlet(args).output().unwrap();
        (exit.status.code(), statement(&std::fs::read(sandbox.project().join("step.json")).unwrap()))
    };
    let (exit, good) = step("echo done; echo why >&2");
    assert_eq!(exit, Some(0));
    let predicate = &good["predicate"];
    assert_eq!(predicate["command"], json!(["sh", "-c", "echo done; echo why >&2"]));
    assert_eq!(predicate["byproducts"]["return-value"], 0);
    assert_eq!(
        (&predicate["byproducts"]["stdout"]["bytes"], &predicate["byproducts"]["stderr"]["bytes"]),
        (&json!(5), &json!(4))
    );
    assert_eq!(predicate["materials"][0]["digest"]["sha256"], good["subject"][0]["digest"]["sha256"]);
    let (exit, bad) = step("exit 7");
    assert_eq!((exit, &bad["predicate"]["byproducts"]["return-value"]), (Some(1), &json!(7)));
}

#[test]
fn documents_about_another_subject_are_refused() {
    let sandbox = sandbox();
    let bom = |hex: &str| {
        format!(
            r#"{{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{{"component":{{"type":"machine-learning-model","name":"m",
            "hashes":[{{"alg":"SHA-256","content":"{hex}"}}]}}}}}}"#
        )
    };
    sandbox.write("bom.json", bom(&"ab".repeat(32)));
    let args = ["attest", "model.bin", "--cyclonedx", "bom.json"];
    sandbox.gauntlet(args).assert().code(1).stderr(contains("another SHA-256"));
    let subject =
        ["attest", "--digest", &format!("sha256:{}", "ab".repeat(32)), "--name", "m", "--cyclonedx", "bom.json"];
    sandbox.gauntlet(subject).assert().success().stdout(contains("https://cyclonedx.org/bom"));
    sandbox.gauntlet(["attest", "--digest", "sha256:xy", "--cyclonedx", "bom.json"]).assert().code(2);
    sandbox.gauntlet(["attest", "model.bin"]).assert().code(2);
}
