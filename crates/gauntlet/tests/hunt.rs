//! Asking stored facts after the files are gone, end to end.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::Sandbox;

/// Imports a class of scikit-learn, and calls a function that nobody knows.
const MODEL: &[u8] = b"csklearn.linear_model._base\nLinearRegression\n0cacme.models\nload_all\n(S'weights'\ntR.";

/// A project that was run, and of which only the state folder is left.
fn gone() -> Sandbox {
    let sandbox = Sandbox::example("churn");
    sandbox.write("models/side.pkl", MODEL);
    let (_, result) = sandbox.json(&["run"]);
    assert!(result["reports"].as_array().unwrap().len() > 5, "{result:#}");
    for entry in fs::read_dir(sandbox.project()).unwrap() {
        let path = entry.unwrap().path();
        match path.file_name().unwrap().to_str().unwrap() {
            ".gauntlet" => {}
            _ if path.is_dir() => fs::remove_dir_all(path).unwrap(),
            _ => fs::remove_file(path).unwrap(),
        }
    }
    sandbox
}

fn stored(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .flat_map(|subject| fs::read_dir(subject.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn a_rule_and_a_query_find_a_model_that_is_no_longer_there() {
    let sandbox = gone();
    let (exit, result) = sandbox.json(&["hunt", "artifact/pickle/unknown-call"]);
    assert_eq!(exit, 1, "{result:#}");
    assert_eq!((&result["unanswered"], &result["not_admitted"]), (&json!([]), &json!([])));
    let [subject] = result["subjects"].as_array().unwrap().as_slice() else { panic!("{result:#}") };
    assert_eq!((&subject["name"], &subject["admitted"]), (&json!("churn/source"), &json!(true)));
    let finding = &subject["findings"][0];
    assert_eq!(finding["rule"], "artifact/pickle/unknown-call");
    assert_eq!(finding["location"]["path"], "models/side.pkl");
    assert!(finding["message"].as_str().unwrap().contains("acme.models"), "{finding}");

    let (exit, result) = sandbox.json(&["hunt", "artifact/pickle/dangerous-global"]);
    assert_eq!((exit, &result["subjects"]), (0, &json!([])));
    let (exit, _) = sandbox.json(&["hunt", "artifact/pickle/unknown-call", "--fail-on", "critical"]);
    assert_eq!(exit, 0);

    let sql = "select subject_name, path, name, called, arguments like '''w%#%''' as masked from imports \
               where module like 'sklearn.%' or module = 'acme.models' order by name";
    let (exit, result) = sandbox.json(&["hunt", "--sql", sql]);
    assert_eq!(exit, 0, "{result:#}");
    assert_eq!(result["columns"], json!(["subject_name", "path", "name", "called", "masked"]));
    let expected = json!([
        ["churn/source", "models/side.pkl", "LinearRegression", false, null],
        ["churn/source", "models/side.pkl", "load_all", true, true],
    ]);
    assert_eq!(result["rows"], expected);
    let operators = "select count(*) > 0 as some from operators where framework = 'onnx'";
    assert_eq!(sandbox.json(&["hunt", "--sql", operators]).1["rows"], json!([[true]]));
    let subjects = "select subject_name, kind from subjects order by 1";
    let expected = json!([["churn/churn", "model"], ["churn/source", "source"], ["churn/train", "dataset"]]);
    assert_eq!(sandbox.json(&["hunt", "--sql", subjects]).1["rows"], expected);
}

#[test]
fn a_changed_file_of_facts_is_unanswered() {
    let sandbox = gone();
    let files = stored(&sandbox.project().join(".gauntlet/facts"));
    for file in &files {
        let mut bytes = fs::read(file).unwrap();
        bytes[10] ^= 1;
        fs::write(file, bytes).unwrap();
    }
    let (exit, result) = sandbox.json(&["hunt", "artifact/pickle/unknown-call"]);
    assert_eq!((exit, &result["subjects"]), (3, &json!([])));
    let unanswered = result["unanswered"].as_array().unwrap();
    assert_eq!(unanswered.len(), 2, "{result:#}");
    for one in unanswered {
        assert!(one["why"].as_str().unwrap().contains("was changed"), "{one}");
        assert!(one["why"].as_str().unwrap().contains(one["facts"].as_str().unwrap()), "{one}");
    }
    let (exit, result) = sandbox.json(&["hunt", "--sql", "select * from facts"]);
    assert_eq!((exit, result["unanswered"].as_array().unwrap().len()), (3, files.len()));
}

#[test]
fn deleting_the_facts_of_a_subject_does_not_make_it_clean() {
    let sandbox = gone();
    fs::remove_dir_all(sandbox.project().join(".gauntlet/facts")).unwrap();
    fs::create_dir(sandbox.project().join(".gauntlet/facts")).unwrap();
    assert_eq!(sandbox.json(&["hunt", "artifact/pickle"]).0, 3);
}

#[test]
fn a_sweep_leaves_facts_that_can_be_asked_without_evidence() {
    let sandbox = Sandbox::new();
    sandbox.write("a/one.pkl", MODEL);
    sandbox.write("b/two.pkl", b"\x80\x04N.");
    let scan = ["scan", "a", "b", "--facts", "../sweep", "-q"];
    sandbox.gauntlet(scan).assert().code(0);
    let before = stored(&sandbox.project().join("../sweep"));
    sandbox.gauntlet(scan).assert().code(0);
    assert_eq!(stored(&sandbox.project().join("../sweep")), before, "equal files have equal facts");
    fs::remove_dir_all(sandbox.project().join("a")).unwrap();
    let (exit, result) = sandbox.json(&["hunt", "artifact/pickle/unknown-call", "--facts", "../sweep"]);
    assert_eq!(exit, 1, "{result:#}");
    let subject = &result["subjects"][0];
    assert_eq!((&subject["name"], &subject["admitted"]), (&json!("a"), &json!(false)));
    let sql = "select subject_name, count(*) from formats group by 1 order by 1";
    let (_, result) = sandbox.json(&["hunt", "--facts", "../sweep", "--sql", sql]);
    assert_eq!(result["rows"], json!([["a", 1], ["b", 1]]));
}

#[test]
fn wrong_questions_are_usage_errors() {
    let sandbox = gone();
    let refused = |args: &[&str]| {
        let output = sandbox.gauntlet(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(refused(&["hunt", "artifact/pickle/unknown-cal"]).contains("did you mean `artifact/pickle/unknown-call`"));
    assert!(refused(&["hunt", "--sql", "drop table imports"]).contains("DDL"));
    assert!(refused(&["hunt", "--sql", "select x from imports"]).contains("--tables"));
    assert!(refused(&["hunt"]).contains("--sql"));
    assert!(refused(&["hunt", "artifact/pickle", "-C", "/"]).contains("no ledger"));
    assert!(refused(&["hunt", "artifact/pickle", "--facts", "nowhere"]).contains("no folder"));
    refused(&["hunt", "artifact/pickle", "--sql", "select 1"]);
}

#[test]
fn several_projects_are_asked_at_once_in_every_format() {
    let sandbox = gone();
    let other = sandbox.project().join("../other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("gauntlet.yaml"), "version: 1\nproject: other\nkind: tabular\nrisk: minimal\n").unwrap();
    fs::write(other.join("m.pkl"), MODEL).unwrap();
    sandbox.gauntlet(["run", "../other"]).output().unwrap();
    let args = ["hunt", "artifact/pickle/unknown-call", "-C", ".", "-C", "../other"];
    let (exit, result) = sandbox.json(&args);
    assert_eq!(exit, 1, "{result:#}");
    let projects: Vec<&Value> = result["subjects"].as_array().unwrap().iter().map(|s| &s["project"]).collect();
    assert_eq!(projects, [&json!("."), &json!("../other")]);

    let human = sandbox.gauntlet(args).output().unwrap();
    let human = String::from_utf8(human.stdout).unwrap();
    assert!(human.starts_with("artifact/pickle/unknown-call: 2 findings in 2 subjects"), "{human}");
    let csv = sandbox.gauntlet(args.iter().copied().chain(["--format", "csv"])).output().unwrap();
    let csv = String::from_utf8(csv.stdout).unwrap();
    assert_eq!((csv.lines().count(), csv.lines().next().unwrap().split(',').count()), (3, 15), "{csv}");
    let tables = sandbox.gauntlet(["hunt", "--tables"]).output().unwrap();
    let tables = String::from_utf8(tables.stdout).unwrap();
    for table in ["imports:", "calls:", "operators:", "layers:", "templates:", "links:", "conflicts:", "tensors:"] {
        assert!(tables.contains(table), "{table}");
    }
}

#[test]
fn the_manual_lists_every_table_and_column() {
    let page = fs::read_to_string(support::repository().join("docs/src/reference/hunt-tables.md")).unwrap();
    let sandbox = Sandbox::new();
    let (_, result) = sandbox.json(&["hunt", "--tables"]);
    for table in result["tables"].as_array().unwrap() {
        let name = table["name"].as_str().unwrap();
        assert!(page.contains(&format!("## `{name}`")), "{name}");
        for column in table["columns"].as_array().unwrap() {
            let row = format!("| `{}` | {} |", column["name"].as_str().unwrap(), column["type"].as_str().unwrap());
            assert!(page.contains(&row), "{name}: {row}");
        }
    }
}
