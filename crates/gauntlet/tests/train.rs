//! `gauntlet train` end to end with shell scripts. Python and the worse programs are in tests/interop/train.sh.
//!
//! Where the system refuses to confine anything these tests say so and end; with `GAUNTLET_CI` set they fail instead.

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

/// Always low: what is not contained must not hurt.
const LIMITS: &str = "wall=20s,cpus=1,memory=256MiB,processes=64,disk=8MiB";

const PROJECT: &str = "version: 1\nproject: p\nkind: tabular\nrisk: minimal\nenvironments: {local: {}}\n";

/// Exit status and result; `None` where the system confines nothing.
fn train(sandbox: &Sandbox, args: &[&str]) -> Option<(i32, Value)> {
    let output = sandbox
        .gauntlet(["train", "--quiet", "--format", "json", "--limits", LIMITS].iter().chain(args).copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("refuses to confine") || said.contains("could not be set up") {
        assert!(std::env::var_os("GAUNTLET_CI").is_none(), "nothing can be confined here: {said}");
        eprintln!("skipped: {said}");
        return None;
    }
    let value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{said}", String::from_utf8_lossy(&output.stdout)));
    Some((output.status.code().unwrap(), value))
}

/// What held a limit, by the messages of the confinement report and its record; `not-enforced` findings included.
fn message(result: &Value, rule: &str) -> String {
    let findings = result["reports"].as_array().unwrap().iter().flat_map(|r| r["findings"].as_array().unwrap());
    findings
        .filter(|f| f["rule"] == rule)
        .map(|f| f["message"].as_str().unwrap().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_run_reads_its_inputs_and_hands_back_its_outputs() {
    let sandbox = Sandbox::new();
    sandbox.write("data/in.csv", "1\n2\n");
    sandbox
        .write("train.sh", "#!/bin/sh\nset -e\nmkdir -p models\nwc -l < data/in.csv > models/count\necho loss=0.5\n");
    let Some((exit, result)) =
        train(&sandbox, &["--input", "data/in.csv", "--output", "models", "--", "sh", "train.sh"])
    else {
        return;
    };
    assert_eq!(exit, 0, "{result:#}");
    assert_eq!(fs::read_to_string(sandbox.project().join("models/count")).unwrap().trim(), "2");
    let checks: Vec<_> = result["reports"].as_array().unwrap().iter().map(|r| r["check"].as_str().unwrap()).collect();
    for check in ["train/admission", "train/confinement", "train/record", "train/anomaly"] {
        assert!(checks.contains(&check), "{checks:?}");
    }
    assert_eq!(result["decisions"][0]["allow"], true);
    let log = sandbox.gauntlet(["ledger", "log"]).output().unwrap();
    let log = String::from_utf8_lossy(&log.stdout).into_owned();
    assert!(log.contains("admission") && log.contains("provenance"), "{log}");
}

#[test]
fn provenance_is_replayed_and_compared() {
    let sandbox = Sandbox::new();
    sandbox.write("gauntlet.yaml", format!("{PROJECT}training: {{command: [sh, train.sh], outputs: [m.json]}}\n"));
    sandbox.write("train.sh", "echo '{\"w\": [1.5, 2.5]}' > m.json\n");
    let provenance = sandbox.config().with_extension("dsse");
    let file = provenance.to_str().unwrap();
    let Some((exit, result)) = train(&sandbox, &["--provenance", file]) else { return };
    assert_eq!(exit, 0, "{result:#}");
    let (exit, result) = train(&sandbox, &["--replay", file]).unwrap();
    assert_eq!(exit, 0, "{result:#}");
    let replay = result["reports"].as_array().unwrap().iter().find(|r| r["check"] == "train/replay").unwrap();
    assert_eq!(replay["metrics"][0]["name"], "same-bytes");
    // A model that was edited afterwards is not what the run made, and numbers say so.
    sandbox.write("train.sh", "echo '{\"w\": [1.5, 2.75]}' > m.json\n");
    let (exit, result) = train(&sandbox, &["--replay", file]).unwrap();
    assert_eq!(exit, 1);
    let found = rules(&result);
    assert!(found.contains(&"train/replay/changed-input".to_owned()), "{found:?}");
    assert!(found.contains(&"train/replay/other-numbers".to_owned()), "{found:?}");
    assert!(
        fs::read_to_string(sandbox.project().join("m.json")).unwrap().contains("2.5]"),
        "a replay takes nothing over"
    );
}

#[test]
fn undeclared_data_is_not_there_and_known() {
    let sandbox = Sandbox::new();
    sandbox.write("secret.csv", "1\n");
    let Some((exit, result)) = train(&sandbox, &["--", "sh", "-c", "cat secret.csv; exit 0"]) else { return };
    assert_eq!(exit, 1);
    assert!(message(&result, "train/record/undeclared-read").contains("secret.csv"), "{result:#}");
}

#[test]
fn full_scratch_ends_the_run_by_the_size_of_its_file_system() {
    let sandbox = Sandbox::new();
    let Some((exit, result)) = train(&sandbox, &["--", "sh", "-c", "cat /dev/zero > /tmp/big; sleep 9"]) else {
        return;
    };
    assert_eq!(exit, 1);
    let said = message(&result, "train/confinement/over-limit");
    assert!(said.contains("limit of disk (8MiB; held by tmpfs size)"), "{said}");
}

#[test]
fn time_ends_the_run_by_a_timer_with_everything_it_started() {
    let sandbox = Sandbox::new();
    let script = "setsid sleep 3333 & sleep 100";
    let Some((exit, result)) = train(&sandbox, &["--limits", "wall=500ms", "--", "sh", "-c", script]) else { return };
    assert_eq!(exit, 1);
    let said = message(&result, "train/confinement/over-limit");
    assert!(said.contains("limit of wall (500ms; held by timer"), "{said}");
}

#[test]
fn what_outlives_the_command_is_killed_and_told() {
    let sandbox = Sandbox::new();
    let script = "setsid sleep 3334 >/dev/null 2>&1 & echo done";
    let Some((exit, result)) = train(&sandbox, &["--", "sh", "-c", script]) else { return };
    assert_eq!(exit, 0, "{result:#}");
    assert!(message(&result, "train/confinement/left-behind").contains("1 processes"), "{result:#}");
}

#[test]
fn scratch_alone_can_be_written() {
    let sandbox = Sandbox::new();
    sandbox.write("data/in.csv", "1\n");
    let script = "for f in /x /usr/x /etc/x /work/data/in.csv /proc/sys/kernel/hostname; do \
                  if echo x 2>/dev/null > $f; then exit 9; fi; done; echo x > /work/x && echo x > /tmp/x && echo x > /dev/shm/x";
    let Some((exit, result)) = train(&sandbox, &["--input", "data/in.csv", "--", "sh", "-c", script]) else { return };
    assert_eq!(message(&result, "train/record/command-failed"), "");
    assert_eq!(exit, 0, "{result:#}");
    assert_eq!(fs::read_to_string(sandbox.project().join("data/in.csv")).unwrap(), "1\n");
}

#[test]
fn a_project_at_risk_is_admitted_by_its_evidence_alone() {
    let sandbox = Sandbox::example("scorecard");
    let (exit, result) = match train(&sandbox, &["--purpose", "sell", "--", "sh", "-c", "true"]) {
        Some(answer) => answer,
        None => return,
    };
    assert_eq!(exit, 1);
    let why = result["decisions"][0]["reasons"].to_string();
    assert!(why.contains("policy/train/check-failed") && why.contains("data/manifest"), "{why}");
    assert!(rules(&result).contains(&"train/admission/refused".to_owned()));
    sandbox.write("other.csv", "1\n");
    sandbox.write("requirements.txt", "numpy\n");
    let (exit, result) = train(&sandbox, &["--input", "other.csv", "--", "sh", "-c", "true"]).unwrap();
    let why = result["decisions"][0]["reasons"].to_string();
    assert_eq!(exit, 1);
    assert!(
        why.contains("policy/train/undeclared-input") && why.contains("policy/train/unpinned-environment"),
        "{why}"
    );
    assert!(!sandbox.project().join("models").exists());
}

#[test]
fn only_the_stage_that_is_asked_for_executes_anything() {
    let sandbox = Sandbox::new();
    sandbox.write("gauntlet.yaml", format!("{PROJECT}training: {{command: [sh, train.sh], outputs: [m.json]}}\n"));
    sandbox.write("train.sh", "echo '{}' > m.json\n");
    sandbox.json(&["run"]);
    assert!(!sandbox.project().join("m.json").exists(), "a plain run executes nothing");
    if train(&sandbox, &["--", "true"]).is_none() {
        return;
    }
    let (_, result) = sandbox.json(&["run", "--stage", "train", "--stage", "source"]);
    assert!(sandbox.project().join("m.json").exists(), "{result:#}");
    let checks: Vec<_> = result["reports"].as_array().unwrap().iter().map(|r| r["check"].as_str().unwrap()).collect();
    assert!(checks.contains(&"train/record") && checks.contains(&"source/secrets"), "{checks:?}");
}

#[test]
fn wrong_usage_is_told_apart() {
    let sandbox = Sandbox::new();
    sandbox.write("data/in.csv", "1\n");
    for args in [
        vec!["train"],
        vec!["train", "--limits", "ram=1", "--", "true"],
        vec!["train", "--limits", "memory=lots", "--", "true"],
        vec!["train", "--output", "../x", "--", "true"],
        vec!["train", "--output", ".git/x", "--", "true"],
        vec!["train", "--input", "data", "--output", "data/x", "--", "true"],
        vec!["train", "--input", "absent", "--", "true"],
        vec!["train", "--input", "/", "--", "true"],
        vec!["train", "--network", "https://x", "--", "true"],
        vec!["train", "--env", "NOT_SET_ANYWHERE", "--", "true"],
        vec!["train", "--limits", "gpus=64", "--", "true"],
        vec!["train", "--runner", "kubernetes", "--", "true"],
        vec!["train", "--replay", "absent.json"],
    ] {
        let output = sandbox.gauntlet(&args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn other_runners_get_the_same_limits() {
    let sandbox = Sandbox::new();
    let image = format!("registry.example/python@sha256:{}", "a".repeat(64));
    sandbox.write(
        "gauntlet.yaml",
        format!("{PROJECT}training: {{command: [python3, train.py], image: '{image}', limits: {{memory: 1GiB, wall: 2h, processes: 64}}}}\n"),
    );
    let output = sandbox.gauntlet(["train", "--runner", "kubernetes"]).output().unwrap();
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(list["items"][0]["spec"]["activeDeadlineSeconds"], 7_200);
    assert_eq!(
        list["items"][0]["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"],
        "1073741824"
    );
    let output = sandbox.gauntlet(["train", "--runner", "podman"]).output().unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    assert!(
        line.contains("--memory 1073741824") && line.contains("--pids-limit 64") && line.contains(&image),
        "{line}"
    );
}
