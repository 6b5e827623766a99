//! `gauntlet data poisoning`, and rows that two datasets of a project share.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod support;

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;
use support::{Sandbox, rules};

/// Customers `ids` as CSV: the label follows from the calls, but for every fortieth row.
fn customers(ids: std::ops::Range<u32>) -> String {
    let mut out = "id,age,calls,total,churn\n".to_owned();
    for id in ids {
        let x = |k: u32| (f64::from(id * k) * 0.618_033_988_749_895).fract();
        let (age, calls, total) =
            (18.0 + (x(1) * 60.0).floor(), (x(7) * 16.0).floor(), (x(13) * 90_000.0).round() / 100.0);
        let churn = (calls > 8.0) != (id % 40 == 0);
        let _ = writeln!(out, "{id},{age},{calls},{total},{}", u8::from(churn));
    }
    out
}

fn report<'a>(result: &'a Value, check: &str, dataset: &str) -> &'a Value {
    let reports = result["reports"].as_array().unwrap();
    let found = reports.iter().find(|r| r["check"] == check && r["subject"]["name"] == format!("p/{dataset}"));
    found.unwrap_or_else(|| panic!("no {check} of {dataset}"))
}

#[test]
fn a_test_set_that_was_trained_on_is_refused_and_a_sound_one_is_not() {
    let sandbox = Sandbox::new();
    let project = |columns: &str| {
        format!(
            "version: 1\nproject: p\nkind: tabular\nrisk: minimal\ndatasets:\n  train: {{path: train.csv}}\n  test: {{path: test.csv, held_out_from: train{columns}}}\n"
        )
    };
    sandbox.write("gauntlet.yaml", project(""));
    sandbox.write("train.csv", customers(0..600));
    sandbox.write("test.csv", customers(600..800));
    let (_, result) = sandbox.json(&["run", "--stage", "data"]);
    let sound = report(&result, "data/leakage", "test");
    assert_eq!((&sound["verdict"], sound["findings"].as_array().map(Vec::len)), (&"pass".into(), Some(0)));
    assert!(sound["inputs"].as_array().unwrap().iter().any(|input| input["name"] == "trained on"));
    let leaked = customers(590..800);
    sandbox.write("test.csv", &leaked);
    let (_, result) = sandbox.json(&["run", "--stage", "data"]);
    let leak = report(&result, "data/leakage", "test");
    assert_eq!(leak["verdict"], "fail", "{leak:#}");
    assert_eq!(leak["findings"][0]["rule"], "data/leakage/row-overlap");
    assert!(leak["findings"][0]["message"].as_str().unwrap().starts_with("10 of 810 rows"), "{leak:#}");
    assert_eq!(leak["findings"][0]["location"]["path"], "test.csv");
    // The same customers with other figures are other rows, and no other customers.
    sandbox.write("test.csv", leaked.replace(",1\n", ",0\n").replace('.', "0."));
    sandbox.write("gauntlet.yaml", project(", columns: {ids: [id]}"));
    let (_, result) = sandbox.json(&["run", "--stage", "data"]);
    let leak = report(&result, "data/leakage", "test");
    assert!(
        leak["findings"].as_array().unwrap().iter().any(|f| f["rule"] == "data/leakage/entity-overlap"),
        "{leak:#}"
    );
    // Without the rows nothing is known.
    sandbox.write("test.csv", "id,age\n1,2\n");
    let (_, result) = sandbox.json(&["run", "--stage", "data"]);
    assert_eq!(report(&result, "data/leakage", "test")["verdict"], "error");
}

#[test]
fn the_reports_do_not_depend_on_the_number_of_threads() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "gauntlet.yaml",
        "version: 1\nproject: p\nkind: tabular\nrisk: minimal\ndatasets:\n  old: {path: old.csv}\n  train: {path: train, label: churn, contract: c.yaml, reference: old, held_out_from: old, columns: {ids: [id]}}\n",
    );
    sandbox.write(
        "c.yaml",
        "contract: 1\ncolumns:\n  id: {type: integer, unique: true}\n  age: {type: integer, range: [20, 70]}\n",
    );
    sandbox.write("old.csv", customers(0..900));
    for (i, ids) in [(0, 1_000..1_700), (1, 1_690..2_500), (2, 880..1_000)] {
        sandbox.write(&format!("train/{i}.csv"), customers(ids));
    }
    let reports = |threads: &str| {
        // Evidence of an earlier run would be its answer.
        let _ = fs::remove_dir_all(sandbox.project().join(".gauntlet"));
        let (_, result) = sandbox.json(&["run", "--stage", "data", "--jobs", threads]);
        serde_json::to_string_pretty(&result["reports"]).unwrap()
    };
    let one = reports("1");
    for check in ["data/drift", "data/leakage/row-overlap", "data/contract/not-unique", "\"profile\""] {
        assert!(one.contains(check), "{check}");
    }
    for threads in ["2", "7"] {
        assert_eq!(reports(threads), one, "{threads} threads");
    }
}

#[test]
fn rows_are_named_taken_out_and_drawn() {
    let sandbox = Sandbox::new();
    let mut text = customers(0..1_000);
    text += customers(100..103).split_once('\n').unwrap().1;
    text += "1000,41,3,9999999,0\n";
    sandbox.write("train.csv", text);
    let ask = ["data", "poisoning", "train.csv", "--label", "churn", "--id", "id"];
    let (_, result) = sandbox.json(&ask);
    let found = rules(&result);
    for rule in ["data/duplicates/exact-duplicate", "data/poisoning/outlier", "data/poisoning/label-error"] {
        assert!(found.contains(&rule.to_owned()), "{rule}: {found:?}");
    }
    let figures: Vec<&str> = result["reports"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|r| r["figures"].as_array().into_iter().flatten())
        .map(|f| f["name"].as_str().unwrap())
        .collect();
    assert_eq!(figures, ["label-balance", "outlier-map"]);
    let page = sandbox.gauntlet(ask).args(["--format", "html"]).output().unwrap().stdout;
    let page = String::from_utf8(page).unwrap();
    assert!(page.contains("Rows of each class of the label") && page.contains("<svg"), "no picture");
    sandbox.gauntlet(ask).args(["--quarantine", "out"]).output().unwrap();
    let clean = fs::read_to_string(sandbox.project().join("out/clean/train.csv")).unwrap();
    assert!(!clean.contains("9999999"));
    let rejected = fs::read_to_string(sandbox.project().join("out/rejected/train.csv")).unwrap();
    assert!(rejected.contains("9999999"));
    assert_eq!(clean.lines().count() + rejected.lines().count(), 1_004 + 2);
}
