//! `gauntlet data contract`: hold, draft, translate; its exit statuses and what it writes.

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
use serde_json::Value;
use support::Sandbox;

fn table() -> Sandbox {
    let sandbox = Sandbox::new();
    let rows: String = (0..200).map(|i| format!("{i},{},{}\n", 20 + i % 40, ["red", "green"][i % 2])).collect();
    sandbox.write("d/people.csv", format!("id,age,colour\n{rows}"));
    sandbox.write("d/colours.csv", "colour\nred\ngreen\n");
    sandbox
}

const SOUND: &str = "contract: 1\ncolumns:\n  id: {type: integer, unique: true}\n  age: {type: integer, range: [20, 59]}\n  \
                     colour: {type: string, references: {path: colours.csv, column: colour}}\n";

#[test]
fn a_table_that_fulfils_its_contract_passes_and_its_twin_does_not() {
    let sandbox = table();
    sandbox.write("d/c.yaml", SOUND);
    sandbox
        .gauntlet(["data", "contract", "d/people.csv", "--contract", "d/c.yaml"])
        .assert()
        .success()
        .stdout(contains("PASS"));
    sandbox.write("d/c.yaml", SOUND.replace("[20, 59]", "[20, 58]"));
    sandbox
        .gauntlet([
            "data",
            "contract",
            "d/people.csv",
            "--contract",
            "d/c.yaml",
            "--results",
            "r.json",
            "--row-report",
            "f.parquet",
        ])
        .assert()
        .code(1)
        .stdout(contains("`age`: 5 of 200 values fail"))
        .stderr(contains("5 failing rows of 200 are in f.parquet"));
    let results: Value = serde_json::from_slice(&fs::read(sandbox.project().join("r.json")).unwrap()).unwrap();
    let rules = results["rules"].as_array().unwrap();
    let age = rules.iter().find(|rule| rule["label"] == "age.range").unwrap();
    assert_eq!(
        (age["evaluated"].as_u64(), age["failing"].as_u64(), age["share"].as_f64()),
        (Some(200), Some(5), Some(0.025))
    );
    assert_eq!(age["first"][0]["row"], 39);
    let report = sandbox.project().join("f.parquet");
    assert_eq!(fs::metadata(&report).unwrap().permissions().mode() & 0o777, 0o600, "it holds values of the data");
    assert!(fs::read(&report).unwrap().starts_with(b"PAR1"));
    sandbox.write("d/colours.csv", "colour\nred\n");
    sandbox
        .gauntlet(["data", "contract", "d/people.csv", "--contract", "d/c.yaml"])
        .assert()
        .code(1)
        .stdout(contains("`colour`: 100 of 200 values fail"));
}

#[test]
fn what_is_wrong_with_the_contract_is_said_before_the_data_is_read() {
    let sandbox = table();
    for (text, what) in [
        (SOUND.replace("range:", "rnage:"), "d/c.yaml:4:24: unknown key `rnage`, did you mean `range`?"),
        (
            SOUND.to_owned() + "rules:\n  - {column: agee, range: [1, 2]}\n",
            "d/c.yaml:7: `range`: there is no column `agee` in `columns`, did you mean `age`?",
        ),
        (
            SOUND.to_owned() + "rules:\n  - {column: colour, pattern: '('}\n",
            "d/c.yaml:7: `pattern`: error: unclosed group",
        ),
        (
            SOUND.to_owned() + "rules:\n  - {expression: 'now() > 1'}\n",
            "d/c.yaml:7: `expression`: there is no function `now` here",
        ),
    ] {
        sandbox.write("d/c.yaml", text);
        sandbox
            .gauntlet(["data", "contract", "d/people.csv", "--contract", "d/c.yaml"])
            .assert()
            .code(2)
            .stderr(contains(what));
    }
    sandbox.write("d/c.yaml", SOUND.replace("age:", "agee:"));
    sandbox
        .gauntlet(["data", "contract", "d/people.csv", "--contract", "d/c.yaml"])
        .assert()
        .code(1)
        .stdout(contains("there is no column `agee`; `age` looks like it").and(contains("d/c.yaml:4")));
    sandbox.gauntlet(["data", "contract", "d/people.csv"]).assert().code(2).stderr(contains("--contract FILE"));
    sandbox.write("d/c.yaml", SOUND);
    sandbox.gauntlet(["data", "contract", "d/none.csv", "--contract", "d/c.yaml"]).assert().code(2);
    sandbox.write("d/people.csv", "id,age,colour\n1,20,red\n2,\"30,red\n");
    sandbox
        .gauntlet(["data", "contract", "d/people.csv", "--contract", "d/c.yaml", "--row-report", "f.parquet"])
        .assert()
        .code(1)
        .stdout(contains("malformed-rows"))
        .stderr(contains("a quote that is never closed"));
    assert!(!sandbox.project().join("f.parquet").exists(), "a partial report is none");
}

#[test]
fn a_sealed_row_report_and_sealed_data_are_read_with_the_identity_alone() {
    use age::secrecy::ExposeSecret as _;
    let sandbox = table();
    let key = age::x25519::Identity::generate();
    let recipient = key.to_public().to_string();
    sandbox.write("key.txt", key.to_string().expose_secret());
    sandbox.write("d/c.yaml", SOUND.replace("[20, 59]", "[20, 58]"));
    let check = ["data", "contract", "d/people.csv", "--contract", "d/c.yaml", "--row-report"];
    sandbox.gauntlet(check).args(["f.parquet.age", "--recipient", &recipient]).assert().code(1);
    let report = fs::read(sandbox.project().join("f.parquet.age")).unwrap();
    assert!(report.starts_with(b"age-encryption.org/v1"));
    // The report is a table like any other: sealed, it needs the identity.
    let read = ["data", "fingerprint", "f.parquet.age"];
    sandbox.gauntlet(read).assert().code(3).stderr(contains("--identity"));
    sandbox.gauntlet(read).args(["--identity", "key.txt"]).assert().success().stdout(contains("5 rows in 1 file"));
    sandbox.gauntlet(read).args(["--identity", "none.txt"]).assert().code(2).stderr(contains("none.txt"));
    sandbox.gauntlet(check).args(["g.parquet", "--recipient", "age2x"]).assert().code(2).stderr(contains("age2x"));
    assert!(!sandbox.project().join("g.parquet").exists());
}

#[test]
fn a_draft_holds_for_its_data_and_is_found_by_the_project() {
    let sandbox = table();
    sandbox.gauntlet(["data", "contract", "d/people.csv", "--infer", "-o", "d/c.yaml"]).assert().success();
    let draft = fs::read_to_string(sandbox.project().join("d/c.yaml")).unwrap();
    assert!(draft.contains("\"id\": {type: integer, nullable: false, unique: true}"), "{draft}");
    assert!(draft.contains("allowed: [\"green\", \"red\"]"), "{draft}");
    sandbox.gauntlet(["data", "contract", "d/people.csv", "--contract", "d/c.yaml"]).assert().success();
    sandbox.write("gauntlet.yaml", "version: 1\nproject: p\nkind: tabular\nrisk: minimal\ndatasets:\n  people: {path: d/people.csv, contract: d/c.yaml}\n");
    sandbox.gauntlet(["data", "contract", "people"]).assert().success();
    sandbox.gauntlet(["data", "contract", "d/people.csv"]).assert().success();
}

#[test]
fn a_suite_is_translated_and_what_cannot_be_is_named() {
    let sandbox = table();
    sandbox.write(
        "suite.json",
        r#"{"expectations": [{"type": "expect_column_values_to_be_between", "kwargs": {"column": "age", "min_value": 20, "max_value": 58}},
            {"type": "expect_column_kl_divergence_to_be_less_than", "kwargs": {"column": "age"}}]}"#,
    );
    sandbox
        .gauntlet(["data", "contract", "--import", "suite.json", "-o", "d/c.yaml"])
        .assert()
        .success()
        .stderr(contains("not translated: expect_column_kl_divergence_to_be_less_than of `age`"));
    sandbox
        .gauntlet(["data", "contract", "d/people.csv", "--contract", "d/c.yaml"])
        .assert()
        .code(1)
        .stdout(contains("`age`: 5 of 200 values fail"));
    sandbox.write("suite.json", "{\"a\": 1}");
    sandbox.gauntlet(["data", "contract", "--import", "suite.json"]).assert().code(2).stderr(contains("neither"));
}
