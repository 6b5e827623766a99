//! `gauntlet data drift`, `watch` and `detect`, and `data/drift` in a run.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod support;

use serde_json::Value;
use support::{Sandbox, repository, rules};

/// A sandbox with the two tables that SciPy was asked about.
fn pair() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["reference.parquet", "current.parquet"] {
        let from = repository().join("testdata/vectors/drift/pair").join(name);
        sandbox.write(name, std::fs::read(from).unwrap());
    }
    sandbox
}

fn metric(result: &Value, name: &str, field: &str) -> f64 {
    let metrics = result["reports"][0]["metrics"].as_array().unwrap();
    let found = metrics.iter().find(|m| m["name"] == name && m["field"] == field);
    found.unwrap_or_else(|| panic!("no {name} of {field}"))["value"].as_f64().unwrap()
}

#[test]
fn a_drifted_batch_is_refused_with_its_causes() {
    let sandbox = pair();
    let compare = ["data", "drift", "--reference", "reference.parquet", "--current"];
    let (exit, result) = sandbox.json(&[&compare[..], &["current.parquet", "--metrics", "all", "--explain"]].concat());
    assert_eq!((exit, &result["verdict"]), (1, &Value::from("fail")));
    assert!((metric(&result, "psi", "const_moved") - 18.418_838_675_877_97).abs() < 1e-9);
    assert!(metric(&result, "psi@quantile_bins", "const_moved").abs() < 1e-12);
    assert!(rules(&result).contains(&"data/drift/dataset-drift".to_owned()));
    let first = result["reports"][0]["metrics"].as_array().unwrap().iter().find(|m| m["name"] == "cause").unwrap();
    assert!(["const_moved", "out_of_range"].contains(&first["field"].as_str().unwrap()), "{first}");
    let (exit, result) = sandbox.json(&[&compare[..], &["reference.parquet"]].concat());
    assert_eq!((exit, &result["verdict"]), (0, &Value::from("pass")), "{result:#}");
}

#[test]
fn mistakes_on_the_command_line_are_told() {
    let sandbox = pair();
    let says = |args: &[&str]| {
        let output = sandbox.gauntlet(args).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let both = ["data", "drift", "--reference", "reference.parquet", "--current", "current.parquet"];
    let (exit, text) = says(&[&both[..], &["--metrics", "pzi"]].concat());
    assert!(exit == 2 && text.contains("did you mean `psi`?"), "{text}");
    let (exit, text) = says(&["data", "drift", "--reference", "gone.parquet", "--current", "current.parquet"]);
    assert!(exit == 2 && text.contains("gone.parquet"), "{text}");
    let (exit, text) = says(&["data", "detect", "--detector", "adwim", "--column", "x", "current.parquet"]);
    assert!(exit == 2 && text.contains("detectors are adwin"), "{text}");
    let (exit, text) =
        says(&["data", "detect", "--detector", "adwin", "--delta", "7", "--column", "num_same", "current.parquet"]);
    assert!(exit == 2 && text.contains("delta is 7"), "{text}");
    sandbox.write("cut.parquet", &std::fs::read(sandbox.project().join("current.parquet")).unwrap()[..5_000]);
    let (exit, _) = says(&["data", "drift", "--reference", "reference.parquet", "--current", "cut.parquet"]);
    assert_eq!(exit, 3);
}

#[test]
fn a_detection_is_a_finding_with_its_item_and_stream() {
    let sandbox = Sandbox::new();
    let streams = repository().join("testdata/vectors/drift/streams/streams.csv");
    sandbox.write("streams.csv", std::fs::read(streams).unwrap());
    let (exit, result) =
        sandbox.json(&["data", "detect", "--detector", "hddm-a", "--column", "x", "--group", "stream", "streams.csv"]);
    assert_eq!(exit, 1);
    let found: Vec<u64> = result["reports"][0]["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|f| f["rule"] == "data/drift/stream-change" && f["location"]["case"] == "bern_slow")
        .map(|f| f["location"]["row"].as_u64().unwrap())
        .collect();
    assert_eq!(found, [1274, 1586]);
}

#[test]
fn a_watched_stream_alarms_after_two_bad_windows_of_three_and_goes_on_where_it_stopped() {
    let sandbox = Sandbox::new();
    let rows = |from: u32, to: u32, shift: f64| {
        let mut text = "x,word\n".to_owned();
        for i in from..to {
            let x = (f64::from(i) * 0.618_033_988_749_895).fract() + shift;
            text += &format!("{x},{}\n", ["a", "b", "c"][i as usize % 3]);
        }
        text
    };
    sandbox.write("reference.csv", rows(0, 3_000, 0.0));
    sandbox.write("good.csv", rows(3_000, 4_500, 0.0));
    sandbox.write("bad.csv", rows(4_500, 7_000, 0.5).replace(",a", ",zz"));
    let watch = |files: &[&str], state: &str| {
        let args = ["data", "watch", "--reference", "reference.csv", "--state", state, "--window-rows", "1000"];
        sandbox.json(&[&args[..], files].concat())
    };
    let (exit, result) = watch(&["good.csv"], "state.json");
    assert_eq!(exit, 0, "{result:#}");
    let (exit, result) = watch(&["bad.csv"], "state.json");
    assert_eq!(exit, 1, "{result:#}");
    let alarms = |result: &Value| {
        let findings = result["reports"][0]["findings"].as_array().unwrap().clone();
        let alarms = findings.iter().filter(|f| f["rule"] == "data/drift/window-alarm");
        alarms.map(|f| f["location"]["case"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // Windows 1 (half of it old), 2 and 3 of all rows.
    assert_eq!(alarms(&result).last().map(String::as_str), Some("window 3"));
    let (_, whole) = watch(&["good.csv", "bad.csv"], "other.json");
    assert_eq!(alarms(&whole), ["window 2", "window 3"]);
    let state = std::fs::read(sandbox.project().join("state.json")).unwrap();
    sandbox.write("state.json", &state[..state.len() / 2]);
    let args = ["data", "watch", "--reference", "reference.csv", "--state", "state.json", "good.csv"];
    let output = sandbox.gauntlet(args).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("damaged"));
}

#[test]
fn a_run_compares_a_dataset_with_its_reference_and_refuses() {
    let sandbox = pair();
    let manifest = |name: &str| {
        let bytes = std::fs::read(sandbox.project().join(name)).unwrap();
        let output = sandbox.gauntlet(["data", "manifest", name]).output().unwrap();
        assert!(!bytes.is_empty() && output.status.success());
    };
    manifest("reference.parquet");
    let project = |reference: &str| {
        format!(
            "version: 1\nproject: p\nkind: tabular\nrisk: minimal\ndatasets:\n  train: {{path: reference.parquet}}\n  batch: {{path: current.parquet{reference}}}\npolicy: {{packs: [baseline]}}\nenvironments: {{staging: {{}}}}\n"
        )
    };
    sandbox.write("gauntlet.yaml", project(", reference: train"));
    let (_, result) = sandbox.json(&["run", "--stage", "data"]);
    let reports = result["reports"].as_array().unwrap();
    let drift: Vec<&Value> = reports.iter().filter(|r| r["check"] == "data/drift").collect();
    assert_eq!(drift.len(), 1, "only the dataset with a reference is compared");
    assert_eq!((&drift[0]["subject"]["name"], &drift[0]["verdict"]), (&"p/batch".into(), &"fail".into()));
    assert!(drift[0]["inputs"].as_array().unwrap().iter().any(|i| i["name"] == "reference"));
    sandbox.write("gauntlet.yaml", project(", reference: trian"));
    let output = sandbox.gauntlet(["run"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("trian"));
}
