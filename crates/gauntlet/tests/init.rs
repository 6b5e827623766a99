//! `gauntlet init` in a folder with data, notebooks and models.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests fail the test"
)]

mod support;

use std::fs;

use predicates::prelude::*;
use predicates::str::contains;
use support::{Sandbox, repository, rules};

fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    let rows: String = (0..50).map(|i| format!("{i},{},{}\n", 20 + i % 40, ["red", "green"][i % 2])).collect();
    sandbox.write("data/people.csv", format!("id,age,colour\n{rows}"));
    for part in 0..6 {
        sandbox.write(&format!("parts/{part}.csv"), format!("id,value\n{part},1.5\n"));
    }
    sandbox.write("train.ipynb", r#"{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}"#);
    fs::create_dir(sandbox.project().join("models")).unwrap();
    let model = repository().join("examples/churn/models/churn.onnx");
    fs::copy(model, sandbox.project().join("models/churn.onnx")).unwrap();
    sandbox
}

#[test]
fn what_it_writes_runs_and_fails_only_for_what_a_person_must_say() {
    let sandbox = project();
    sandbox.gauntlet(["init"]).assert().success().stdout(contains("2 dataset(s), 1 model(s), 1 notebook(s)"));
    let (exit, result) = sandbox.json(&["run"]);
    assert_eq!(exit, 1, "{result:#}");
    let found = rules(&result);
    assert!(found.iter().all(|rule| rule.starts_with("data/manifest/")), "{found:?}");
    let text = result["reports"].to_string();
    for field in ["licen", "consent", "source"] {
        assert!(text.contains(field), "nobody is told to fill in {field}: {text}");
    }
}

#[test]
fn once_filled_in_it_is_allowed() {
    let sandbox = project();
    sandbox.gauntlet(["init"]).assert().success();
    for manifest in ["data/people.manifest.yaml", "parts/manifest.yaml"] {
        let path = sandbox.project().join(manifest);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("FILL-IN"), "{text}");
        fs::write(&path, filled(&text)).unwrap();
    }
    let file = sandbox.project().join("gauntlet.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("owners: {}", "owners: {model: ana, security: bo}")).unwrap();
    let (exit, result) = sandbox.json(&["run"]);
    assert_eq!(exit, 0, "{result:#}");
}

/// What a person would write.
fn filled(text: &str) -> String {
    text.lines()
        .map(|line| {
            let key = line.trim_start().split(':').next().unwrap_or("").trim_start_matches("- ");
            let value = match key {
                "uri" => "https://example.org/people",
                "collected" => "[2026-01-01, 2026-02-01]",
                "method" => "made up for a test",
                "spdx" => "CC0-1.0",
                "basis" => "synthetic",
                "purposes" => "[train]",
                "expires" => "2999-01-01",
                _ => "none",
            };
            match line.split_once(':') {
                Some((head, rest)) if rest.contains("FILL-IN") => format!("{head}: {value}\n"),
                _ => format!("{line}\n"),
            }
        })
        .collect()
}

#[test]
fn nothing_is_overwritten_unless_asked() {
    let sandbox = project();
    sandbox.write("gauntlet.yaml", "mine\n");
    sandbox.gauntlet(["init"]).assert().code(2).stderr(contains("--force").and(contains("gauntlet.yaml")));
    assert_eq!(fs::read_to_string(sandbox.project().join("gauntlet.yaml")).unwrap(), "mine\n");
    assert!(!sandbox.project().join("data/people.manifest.yaml").exists());
    sandbox.gauntlet(["init", "--force"]).assert().success();
}
