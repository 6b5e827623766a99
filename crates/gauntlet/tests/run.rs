//! The main job, end to end, on the examples.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests fail the test"
)]

mod support;

use std::fs;

use serde_json::Value;
use support::{Sandbox, rules};

fn decision<'a>(result: &'a Value, environment: &str) -> &'a Value {
    result["decisions"].as_array().unwrap().iter().find(|d| d["environment"] == environment).unwrap()
}

fn reasons(decision: &Value) -> Vec<String> {
    decision["reasons"].as_array().unwrap().iter().map(|r| r["rule"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn churn_is_allowed_for_staging_and_refused_for_production() {
    let sandbox = Sandbox::example("churn");
    let (exit, result) = sandbox.json(&["run"]);
    assert_eq!(exit, 0, "{result:#}");
    let staging = decision(&result, "staging");
    assert_eq!((&staging["allow"], &staging["enforced"]), (&Value::Bool(true), &Value::Bool(true)));
    let production = decision(&result, "production");
    assert_eq!((&production["allow"], &production["enforced"]), (&Value::Bool(false), &Value::Bool(false)));
    let why = production["reasons"].to_string();
    for missing in ["card", "security", "legal", "local"] {
        assert!(why.contains(missing), "production does not name {missing}: {why}");
    }
    let (exit, _) = sandbox.json(&["run", "--for", "production"]);
    assert_eq!(exit, 1);
}

#[test]
fn the_json_is_the_documented_object() {
    let sandbox = Sandbox::example("churn");
    let (_, result) = sandbox.json(&["run"]);
    let schema: Value =
        serde_json::from_slice(&fs::read(support::repository().join("docs/schemas/output.schema.json")).unwrap())
            .unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<_> = validator.iter_errors(&result).map(|e| e.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    for member in ["schema", "tool", "verdict", "reports", "decisions", "summary", "timing"] {
        assert!(!result[member].is_null(), "{member}");
    }
}

#[test]
fn the_sarif_is_valid() {
    let sandbox = Sandbox::example("pretrained-image-classifier/as-found");
    let output = sandbox.gauntlet(["run", "--format", "sarif"]).output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let schema = fs::read(support::repository().join("testdata/schemas/sarif-2.1.0-rtm.5.json")).unwrap();
    let mut schema: Value = serde_json::from_slice(&schema).unwrap();
    for owner in ["run", "toolComponent"] {
        // The standard's own pattern for language tags is no regular expression.
        schema
            .pointer_mut(&format!("/definitions/{owner}/properties/language"))
            .unwrap()
            .as_object_mut()
            .unwrap()
            .remove("pattern");
    }
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<_> = validator.iter_errors(&document).map(|e| e.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let results =
        document["runs"].as_array().unwrap().iter().map(|r| r["results"].as_array().unwrap().len()).sum::<usize>();
    assert!(results > 0);
}

#[test]
fn an_unchanged_project_appends_nothing_and_answers_the_same() {
    let sandbox = Sandbox::example("churn");
    let (_, first) = sandbox.json(&["run"]);
    let entries = |s: &Sandbox| {
        String::from_utf8(s.gauntlet(["ledger", "log"]).output().unwrap().stdout).unwrap().lines().count()
    };
    let before = entries(&sandbox);
    let (_, second) = sandbox.json(&["run"]);
    assert_eq!(entries(&sandbox), before);
    for member in ["reports", "decisions", "summary", "verdict"] {
        assert_eq!(first[member], second[member], "{member}");
    }
    // Judging anew gives the same bytes, so there is nothing to append either.
    let (_, third) = sandbox.json(&["run", "--no-cache"]);
    assert_eq!(entries(&sandbox), before);
    assert_eq!(first["reports"], third["reports"]);
}

#[test]
fn a_changed_file_is_judged_anew() {
    let sandbox = Sandbox::example("churn");
    let (exit, _) = sandbox.json(&["run"]);
    assert_eq!(exit, 0);
    sandbox.write("helper.py", "import pickle, sys\nmodel = pickle.load(open(sys.argv[1], 'rb'))\n");
    let (exit, result) = sandbox.json(&["run"]);
    assert_eq!(exit, 1, "{result:#}");
    assert!(rules(&result).iter().any(|r| r.starts_with("source/deserialization/")), "{:?}", rules(&result));
}

#[test]
fn a_swapped_data_file_fails_the_manifest() {
    let sandbox = Sandbox::example("churn");
    let data = fs::read_dir(sandbox.project().join("data")).unwrap();
    let parquet = data.map(|e| e.unwrap().path()).find(|p| p.ends_with("train.parquet")).unwrap();
    let mut bytes = fs::read(&parquet).unwrap();
    bytes.push(0);
    fs::write(&parquet, bytes).unwrap();
    let (exit, result) = sandbox.json(&["run"]);
    assert_eq!(exit, 1);
    assert!(rules(&result).iter().any(|r| r.starts_with("data/manifest/")), "{:?}", rules(&result));
}

#[test]
fn a_forged_cache_is_not_believed() {
    let sandbox = Sandbox::example("pretrained-image-classifier/as-found");
    let (exit, honest) = sandbox.json(&["run"]);
    assert_eq!(exit, 1);
    // The developer turns every kept report into a pass, and the cache entries' digests with them.
    let state = sandbox.project().join(".gauntlet");
    for entry in fs::read_dir(state.join("evidence/reports")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"critical\"", "\"info\"").replace("\"fail\"", "\"pass\"")).unwrap();
    }
    let (exit, result) = sandbox.json(&["run"]);
    assert_eq!(exit, 1);
    assert_eq!(result["reports"], honest["reports"]);
}

#[test]
fn a_state_folder_of_somebody_else_is_refused() {
    let theirs = Sandbox::example("churn");
    theirs.json(&["run"]);
    let ours = Sandbox::example("churn");
    let copied = std::process::Command::new("cp")
        .args(["-r".as_ref(), theirs.project().join(".gauntlet").as_os_str(), ours.project().as_os_str()])
        .status()
        .unwrap();
    assert!(copied.success());
    let output = ours.gauntlet(["run"]).output().unwrap();
    assert_ne!(output.status.code(), Some(0), "a ledger whose key we do not have must not be continued");
}

#[test]
fn a_rolled_back_ledger_is_noticed() {
    let sandbox = Sandbox::example("churn");
    sandbox.json(&["run"]);
    let (project, saved) = (sandbox.project().join(".gauntlet/ledger"), sandbox.config().join("saved"));
    let cp = |from: &std::path::Path, to: &std::path::Path| {
        assert!(std::process::Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
    };
    cp(&project, &saved);
    sandbox.write("notes.py", "x = 1\n");
    sandbox.json(&["run"]);
    fs::remove_dir_all(&project).unwrap();
    cp(&saved, &project);
    let output = sandbox.gauntlet(["run"]).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    let output = sandbox.gauntlet(["ledger", "verify"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn two_runs_in_one_folder_never_corrupt_it() {
    let sandbox = Sandbox::example("churn");
    let children: Vec<_> = (0..4)
        .map(|i| {
            std::process::Command::new(assert_cmd::cargo::cargo_bin!("gauntlet"))
                .args(["run", "--quiet", "--at", &format!("2026-01-0{}T00:00:00Z", i + 1)])
                .env("GAUNTLET_CONFIG_DIR", sandbox.config())
                .current_dir(sandbox.project())
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    sandbox.gauntlet(["ledger", "verify"]).assert().success();
}

#[test]
fn as_found_is_refused_and_its_twin_allowed() {
    let sandbox = Sandbox::example("pretrained-image-classifier/as-found");
    let (exit, result) = sandbox.json(&["run"]);
    assert_eq!(exit, 1);
    let found = rules(&result);
    assert!(found.iter().any(|r| r.starts_with("artifact/pickle/")), "{found:?}");
    assert!(found.iter().any(|r| r.starts_with("data/personal-data/")), "{found:?}");
    let text = String::from_utf8(sandbox.gauntlet(["run"]).output().unwrap().stdout).unwrap();
    assert!(text.starts_with("REFUSED for staging"), "{text}");
    assert!(!text.contains("@example."), "a person's address is shown: {text}");

    let twin = Sandbox::example("pretrained-image-classifier/fixed");
    let (exit, result) = twin.json(&["run"]);
    assert_eq!(exit, 0, "{result:#}");
}

#[test]
fn every_format_is_written_to_a_file() {
    let sandbox = Sandbox::example("churn");
    for (format, begins) in [
        ("human", "ALLOWED"),
        ("json", "{"),
        ("sarif", "{"),
        ("junit", "<?xml"),
        ("markdown", "## Gauntlet"),
        ("html", "<!doctype html>"),
    ] {
        let out = sandbox.config().with_file_name(format);
        let output = sandbox.gauntlet(["run", "--format", format, "--output"]).arg(&out).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stdout.is_empty());
        assert!(fs::read_to_string(&out).unwrap().starts_with(begins), "{format}");
    }
}

#[test]
fn configuration_mistakes_are_named_and_exit_2() {
    let sandbox = Sandbox::new();
    let output = sandbox.gauntlet(["run"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("gauntlet init"));

    sandbox.write("gauntlet.yaml", "version: 1\nproject: p\nkind: tabular\nrisk: high\nmodles: {}\n");
    let output = sandbox.gauntlet(["run"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains("gauntlet.yaml:5:1: unknown key `modles`, did you mean `models`?"), "{message}");
}

#[test]
fn decisions_are_signed_verification_summaries() {
    let sandbox = Sandbox::example("churn");
    let (_, result) = sandbox.json(&["run"]);
    let index = decision(&result, "production")["ledger_index"].to_string();
    let output = sandbox.gauntlet(["ledger", "show", &index]).output().unwrap();
    let entry: Value = serde_json::from_slice(&output.stdout).unwrap();
    let statement = &entry["statement"];
    assert_eq!(statement["predicateType"], "https://slsa.dev/verification_summary/v1");
    assert_eq!(statement["predicate"]["verificationResult"], "FAILED");
    assert_eq!(statement["predicate"]["verifiedLevels"], serde_json::json!(["FAILED"]));
    assert!(!statement["predicate"]["inputAttestations"].as_array().unwrap().is_empty());
    assert!(!reasons(decision(&result, "production")).is_empty());
}
