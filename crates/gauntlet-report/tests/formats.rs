//! Every format of one result that holds hostile text.

use std::collections::BTreeMap;

use gauntlet_core::{
    Comparison, Coverage, Digest, DigestSet, Finding, Location, Metric, Report, Severity, SkipCode, Subject,
    SubjectKind, Verdict,
};
use gauntlet_report::{
    Decision, HumanOptions, NamedRule, Reason, RunReport, Timing, html, human, json, junit, markdown, sarif,
};

const HOSTILE: &str = "mod\u{1b}[2J\u{202e}el|<script>`@x`";

fn finding(rule: &str, severity: Severity, path: &str, line: Option<u64>) -> Finding {
    Finding {
        rule: rule.to_owned(),
        severity,
        confidence: gauntlet_core::Confidence::High,
        message: format!("calls {HOSTILE} when it is loaded"),
        fix: "Do not load this file; ask where it comes from.".to_owned(),
        references: vec!["CWE-502".to_owned()],
        fingerprint: Digest::sha256(path.as_bytes()).hex().to_owned(),
        suppressed: None,
        location: Location { line, ..Location::file(path.as_ref()) },
    }
}

fn report(check: &str, findings: Vec<Finding>, coverage: Coverage, metrics: Vec<Metric>) -> Report {
    Report {
        check: check.to_owned(),
        check_version: 1,
        config_digest: Digest::sha256(b"config"),
        subject: Subject {
            name: "demo/model".to_owned(),
            kind: SubjectKind::Model,
            digest: DigestSet::sha256_of(b"x"),
        },
        inputs: Vec::new(),
        verdict: Report::judge(&findings, &metrics, &coverage),
        findings,
        metrics,
        coverage,
        figures: Vec::new(),
    }
}

fn sample() -> RunReport {
    let mut pickle =
        finding("artifact/pickle/dangerous-global", Severity::Critical, &format!("models/{HOSTILE} ä%.pkl"), None);
    pickle.location.offset = Some(12);
    pickle.location.member = Some("archive/data.pkl".to_owned());
    let mut known = finding("source/secrets/token", Severity::High, "train.py", Some(3));
    known.suppressed = Some("a test token".to_owned());
    let mut gap = Coverage { looked_at: 2, ..Coverage::default() };
    gap.skip("big.bin", None, SkipCode::Limit, "limit `steps` reached (10)");
    let nulls = Metric::new("null-share", 0.5, "share").field("age").must(Comparison::AtMost, 0.1);
    let reports = vec![
        report("source/secrets", vec![known], Coverage { looked_at: 4, ..Coverage::default() }, vec![]),
        report("data/contract", vec![], Coverage { looked_at: 1, ..Coverage::default() }, vec![nulls]),
        report("artifact/pickle", vec![pickle], gap, vec![]),
    ];
    let decision = |environment: &str, allow, enforced, reasons| Decision {
        environment: environment.to_owned(),
        allow,
        enforced,
        reasons,
        policy_digest: Digest::sha256(b"policy"),
        ledger_index: Some(7),
    };
    let reason = Reason {
        rule: "baseline/failed-check".to_owned(),
        message: "artifact/pickle found something in demo/model".to_owned(),
        needs: "a model without the finding, or a waiver".to_owned(),
    };
    let decisions = vec![decision("staging", false, true, vec![reason]), decision("sandbox", true, false, vec![])];
    let timing = Timing { total_ms: 1234, by_check: BTreeMap::from([("artifact/pickle".to_owned(), 1000)]) };
    RunReport::new("0.1.0", reports, decisions, 7, 123_456, timing)
}

fn rules() -> Vec<NamedRule> {
    vec![NamedRule {
        id: "artifact/pickle/dangerous-global".to_owned(),
        title: "A pickle calls a dangerous function".to_owned(),
        fix: "Do not load it.".to_owned(),
        severity: Severity::Critical,
        references: vec!["CWE-502".to_owned(), "AML.T0011".to_owned()],
    }]
}

/// No format may hand a control or direction character to whoever shows it.
fn assert_harmless(text: &str) {
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
}

#[test]
fn human_text() {
    let text = human(&sample(), &HumanOptions::default());
    assert_harmless(&text);
    insta::assert_snapshot!(text);
}

#[test]
fn colour_only_adds_escapes() {
    let plain = human(&sample(), &HumanOptions::default());
    let colour = human(&sample(), &HumanOptions { colour: true, ..HumanOptions::default() });
    assert_ne!(plain, colour);
    assert_eq!(anstream::adapter::strip_str(&colour).to_string(), plain);
}

#[test]
fn json_is_the_documented_object() {
    let text = json(&sample()).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let schema = serde_json::to_value(gauntlet_report::schema()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<_> = validator.iter_errors(&value).map(|e| e.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(serde_json::from_str::<RunReport>(&text).unwrap(), sample());
    insta::assert_snapshot!(text);
}

#[test]
fn sarif_document() {
    let text = sarif(&sample(), &rules()).unwrap();
    assert_harmless(&text);
    insta::assert_snapshot!(text);
}

#[test]
fn sarif_keeps_within_the_upload_limits_and_keeps_the_worst() {
    let mut run = sample();
    let many = (0..30_000).map(|i| finding("source/secrets/token", Severity::Low, &format!("{i}.py"), Some(1)));
    run.reports[0].findings =
        many.chain([finding("source/secrets/token", Severity::Critical, "worst.py", Some(1))]).collect();
    let value: serde_json::Value = serde_json::from_str(&sarif(&run, &rules()).unwrap()).unwrap();
    let results: Vec<_> =
        value["runs"].as_array().unwrap().iter().flat_map(|r| r["results"].as_array().unwrap()).collect();
    assert_eq!(results.len(), 25_000);
    assert!(results.iter().any(
        |r| r["level"] == "error" && r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "worst.py"
    ));
}

#[test]
fn junit_document() {
    let text = junit(&sample());
    assert_harmless(&text);
    insta::assert_snapshot!(text);
}

#[test]
fn markdown_document() {
    let text = markdown(&sample());
    assert_harmless(&text);
    assert!(!text.contains("<script>"));
    insta::assert_snapshot!(text);
}

#[test]
fn html_document() {
    let text = html(&sample()).unwrap();
    assert_harmless(&text);
    assert!(!text.contains("<script"));
    insta::assert_snapshot!(text);
}

#[test]
fn an_empty_run_is_written_in_every_format() {
    let run = RunReport::new("0.1.0", vec![], vec![], 0, 0, Timing::default());
    assert_eq!(run.verdict, Verdict::Pass);
    for text in [
        human(&run, &HumanOptions::default()),
        json(&run).unwrap(),
        sarif(&run, &[]).unwrap(),
        junit(&run),
        markdown(&run),
        html(&run).unwrap(),
    ] {
        assert!(!text.is_empty());
    }
}
