//! `gauntlet data profile`, `fingerprint` and `diff` through the built program.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

mod support;

use std::fmt::Write as _;

use support::Sandbox;

const CONTRACT: &str = "contract: 1\ncolumns:\n  id: {type: integer}\n  fee: {type: float}\n  plan: {type: string}\n  mail: {type: string}\n";

fn table(rows: std::ops::Range<u32>) -> String {
    let mut out = "id,fee,plan,mail\n".to_owned();
    for i in rows {
        let _ =
            writeln!(out, "{i},{},{},person{i}@example.org", f64::from(i % 50) / 4.0, ["basic", "pro"][i as usize % 2]);
    }
    out
}

fn text(sandbox: &Sandbox, args: &[&str], code: i32) -> String {
    let output = sandbox.gauntlet(args).assert().code(code).get_output().clone();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_profile_is_shown_masked_stored_and_shown_again() {
    let sandbox = Sandbox::new();
    sandbox.write("t.csv", table(0..3_000));
    sandbox.write("c.yaml", CONTRACT);
    let args = ["data", "profile", "t.csv", "--contract", "c.yaml", "-o", "t.profile"];
    let shown = text(&sandbox, &args, 0);
    assert!(shown.contains("3000 rows, 4 columns") && shown.contains("basic 50.0 %"), "{shown}");
    assert!(!shown.contains("@example.org"), "{shown}");
    let (code, view) = sandbox.json(&["data", "profile", "t.profile"]);
    assert_eq!((code, &view["rows"]), (0, &3_000.into()));
    let fee = &view["columns"][1];
    assert_eq!((&fee["distinct"], &fee["numbers"]["zero"]), (&50.into(), &60.into()));
    assert_eq!(fee["bars"].as_array().unwrap().iter().map(|bar| bar["count"].as_u64().unwrap()).sum::<u64>(), 3_000);
    let mail = &view["columns"][3];
    assert_eq!(mail["patterns"][0]["value"], "a9@a.a");
    assert!(!view.to_string().contains("person1"), "{view}");
    let json: serde_json::Value =
        serde_json::from_str(&text(&sandbox, &["data", "profile", "t.profile", "--format", "canonical"], 0)).unwrap();
    assert_eq!(json["content_hash"], view["content_hash"]);
    // A damaged file is no profile, and is not taken for data.
    let mut bytes = std::fs::read(sandbox.project().join("t.profile")).unwrap();
    let last = bytes.len() - 20;
    bytes[last] ^= 1;
    sandbox.write("bad.profile", bytes);
    assert!(text(&sandbox, &["data", "profile", "bad.profile"], 3).contains("damaged"));
}

#[test]
fn a_fingerprint_ignores_order_and_sees_a_cell() {
    let sandbox = Sandbox::new();
    sandbox.write("a.csv", table(0..500));
    let rows = table(0..500);
    let (head, body) = rows.split_once('\n').unwrap();
    let mut lines: Vec<&str> = body.lines().collect();
    lines.reverse();
    sandbox.write("b.csv", format!("{head}\n{}\n", lines.join("\n")));
    sandbox.write("c.csv", rows.replace("\n7,", "\n8,"));
    let of = |name: &str| sandbox.json(&["data", "fingerprint", name]).1;
    let (a, b, c) = (of("a.csv"), of("b.csv"), of("c.csv"));
    assert_eq!((&a["content_hash"], &a["sketch_sha256"]), (&b["content_hash"], &b["sketch_sha256"]));
    assert_ne!(a["file_set_sha256"], b["file_set_sha256"]);
    assert_ne!(a["content_hash"], c["content_hash"]);
    assert_eq!(a["files"][0]["path"], "a.csv");
    sandbox.write("ragged.csv", "x,y\n1\n");
    assert!(text(&sandbox, &["data", "fingerprint", "ragged.csv"], 3).contains("1 of 2 fields"));
    text(&sandbox, &["data", "fingerprint"], 2);
}

#[test]
fn a_difference_is_told_by_rows_and_columns() {
    let sandbox = Sandbox::new();
    sandbox.write("a.csv", table(0..1_000));
    sandbox.write("b.csv", table(100..1_200).replace("\n150,", "\n150,9"));
    assert!(
        text(&sandbox, &["data", "diff", "a.csv", "a.csv", "--exit-code"], 0)
            .starts_with("the same content: 1000 rows")
    );
    let shown = text(&sandbox, &["data", "diff", "a.csv", "b.csv", "--key", "id"], 0);
    assert!(shown.contains("899 the same, 1 changed, 100 gone, 200 new"), "{shown}");
    assert!(shown.contains("first changed: b.csv row 50") && shown.contains("fee: 1 cells changed"), "{shown}");
    text(&sandbox, &["data", "diff", "a.csv", "b.csv", "--exit-code"], 1);
    let (_, diff) = sandbox.json(&["data", "diff", "a.csv", "b.csv"]);
    assert_eq!((&diff["rows"]["same"], &diff["rows"]["removed"]), (&899.into(), &101.into()));
    assert!(text(&sandbox, &["data", "diff", "a.csv", "b.csv", "--key", "ids"], 2).contains("did you mean `id`?"));
    text(&sandbox, &["data", "diff", "a.csv", "none.csv"], 3);
}
