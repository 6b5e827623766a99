//! Every format of one run whose names and messages were chosen by somebody hostile.

#![expect(clippy::unwrap_used, reason = "fixtures outside of test functions")]

use std::collections::BTreeMap;

use gauntlet_core::{
    Comparison, Confidence, Coverage, Digest, DigestSet, Figure, Finding, Input, Location, Metric, Report, RuleInfo,
    Series, Severity, SkipCode, Subject, SubjectKind, Summary, Verdict,
};
use gauntlet_report::{
    DecisionView, ReasonView, RunReport, Timing, Tool, html, human, json, junit, markdown, sarif, schema,
};
use serde_json::Value;

static RULE: RuleInfo = RuleInfo {
    id: "artifact/pickle/dangerous-global",
    severity: Severity::Critical,
    title: "a pickle calls a dangerous function when it is loaded",
    fix: "do not load this file; ask for safetensors",
    references: &["CWE-502", "OWASP ML06:2023", "MITRE ATLAS AML.T0010"],
    since: "0.1.0",
    renamed_from: &[],
    retired: None,
};

/// Terminal escapes, bidi override, markup of every format, a table border, a mention, a newline.
const HOSTILE: &str = "a\u{1b}[2J\u{202e}|<script>alert(\"1\")</script>&{{ 7*7 }}`@org`\n](http://evil.example)'--%";

fn subject(name: &str, kind: SubjectKind) -> Subject {
    Subject { name: name.into(), kind, digest: DigestSet::sha256_of(name.as_bytes()) }
}

fn finding(rule: &str, severity: Severity, message: &str, location: Location) -> Finding {
    Finding {
        rule: rule.into(),
        severity,
        confidence: Confidence::High,
        message: message.into(),
        fix: "do not load this file; ask for safetensors".into(),
        references: vec!["CWE-502".into()],
        fingerprint: gauntlet_core::sha256_hex(message.as_bytes()),
        suppressed: None,
        location,
    }
}

fn report(check: &str, subject: Subject, findings: Vec<Finding>, coverage: Coverage) -> Report {
    let verdict = Report::judge(&findings, &[], &coverage);
    Report {
        check: check.into(),
        check_version: 1,
        config_digest: Digest::sha256(b"{}"),
        subject,
        inputs: vec![Input { name: "allow-list".into(), digest: Digest::sha256(b"list") }],
        verdict,
        findings,
        metrics: Vec::new(),
        coverage,
        figures: Vec::new(),
    }
}

fn run() -> RunReport {
    let model = || subject("churn/classifier", SubjectKind::Model);
    let dangerous = finding(
        RULE.id,
        Severity::Critical,
        "calls os.system with 1 argument when it is loaded",
        Location {
            path: Some("models/m.pt".into()),
            member: Some("archive/data.pkl".into()),
            offset: Some(12),
            ..Location::default()
        },
    );
    let hostile = finding(
        "artifact/pickle/unknown-global",
        Severity::Medium,
        HOSTILE,
        Location { path: Some(HOSTILE.into()), path_bytes: Some("61ff2f62".into()), ..Location::default() },
    );
    let mut suppressed = finding(
        "source/secrets/token",
        Severity::High,
        "a token ghp_…#1a2b3c4d",
        Location { path: Some("src/a b.py".into()), line: Some(3), column: Some(7), ..Location::default() },
    );
    suppressed.suppressed = Some(format!("test value {HOSTILE}"));
    let notebook = finding(
        "source/deserialization/pickle-load",
        Severity::High,
        "loads a pickle from a network address",
        Location {
            path: Some("train.ipynb".into()),
            line: Some(41),
            cell: Some(2),
            cell_line: Some(5),
            ..Location::default()
        },
    );
    let mut gaps = Coverage { looked_at: 3, skipped: Vec::new() };
    gaps.skip("models/huge.bin", None, SkipCode::Limit, "limit `steps` reached (20000000)");
    gaps.skip(HOSTILE, Some(HOSTILE.into()), SkipCode::Malformed, HOSTILE);
    gaps.skip("docs/x", None, SkipCode::Excluded, "");
    let looked = |looked_at| Coverage { looked_at, skipped: Vec::new() };

    let source = || subject("churn/source", SubjectKind::Source);
    let mut contract = report("data/contract", subject("churn/customers", SubjectKind::Dataset), vec![], looked(1));
    contract.metrics.push(Metric::new("null-share", 0.25, "share").field("age").must(Comparison::AtMost, 0.1));
    contract.metrics.push(Metric::new("rows", f64::NAN, "rows"));
    contract.verdict = Verdict::Fail;
    contract.figures.push(Figure {
        series: vec![
            Series { name: "train".into(), x: vec![0.0, 50.0, 100.0], y: vec![10.0, 20.0, 30.0] },
            Series { name: "test".into(), x: vec![0.0, 100.0], y: vec![5.0, 5.0] },
        ],
        ..Figure::new("ages", format!("ages {HOSTILE}"), "age", "rows")
    });
    let reports = vec![
        report("source/secrets", source(), vec![suppressed], looked(4)),
        report("source/deserialization", source(), vec![notebook], looked(4)),
        contract,
        report("artifact/pickle", model(), vec![dangerous, hostile], gaps),
        report("artifact/onnx", model(), vec![], looked(0)),
    ];
    let reason = |rule: &str, message: &str, needs: &str| ReasonView {
        rule: rule.into(),
        message: message.into(),
        needs: needs.into(),
    };
    let decisions = vec![
        DecisionView {
            environment: "production".into(),
            allow: false,
            enforced: false,
            reasons: vec![reason(
                "policy/high-risk/card-missing",
                "model card missing for churn/classifier",
                "a model card",
            )],
            policy_digest: Digest::sha256(b"policy"),
            ledger_index: None,
        },
        DecisionView {
            environment: "staging".into(),
            allow: false,
            enforced: true,
            reasons: vec![
                reason("policy/baseline/check-failed", "artifact/pickle failed", "fix what artifact/pickle found"),
                reason("policy/own/hostile", HOSTILE, HOSTILE),
            ],
            policy_digest: Digest::sha256(b"policy"),
            ledger_index: Some(7),
        },
        DecisionView {
            environment: "lab".into(),
            allow: true,
            enforced: false,
            reasons: vec![],
            policy_digest: Digest::sha256(b"policy"),
            ledger_index: Some(8),
        },
    ];
    let summary = Summary::of(&reports, 8, 1_234_567);
    let timing = Timing {
        total_ms: 1_234.0,
        by_check: BTreeMap::from([("artifact/pickle".to_owned(), 12.5), ("data/contract".to_owned(), 30.0)]),
    };
    RunReport::new(Tool { name: "gauntlet".into(), version: "0.1.0".into() }, reports, decisions, summary, timing)
}

fn no_control_characters(text: &str) {
    assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{text:?}");
}

#[test]
fn human() {
    let text = human::render(&run(), &human::Style { width: 80, colour: false }).unwrap();
    no_control_characters(&text);
    insta::assert_snapshot!(text);
}

#[test]
fn human_colours_only_when_told() {
    let text = human::render(&run(), &human::Style { width: 80, colour: true }).unwrap();
    let plain = text.replace("\u{1b}[0m", "");
    let plain =
        ["1;31", "33", "1;32", "2", "1"].iter().fold(plain, |t, code| t.replace(&format!("\u{1b}[{code}m"), ""));
    assert_ne!(plain, text);
    no_control_characters(&plain);
    assert_eq!(plain, human::render(&run(), &human::Style { width: 80, colour: false }).unwrap());
}

#[test]
fn human_says_when_all_is_well_and_when_nothing_was_done() {
    let mut run = run();
    run.decisions.clear();
    run.reports.clear();
    run.verdict = Verdict::Pass;
    assert!(human::render(&run, &human::Style::default()).unwrap().starts_with("NOTHING was checked\n"));
    run.reports.push(report("artifact/onnx", subject("m", SubjectKind::Model), vec![], Coverage::default()));
    assert!(human::render(&run, &human::Style::default()).unwrap().starts_with("PASS\n"));
}

#[test]
fn human_stays_short_on_a_flood() {
    let mut run = run();
    let one = run.reports[3].findings[0].clone();
    run.reports[3].findings = vec![one; 100_000];
    let text = human::render(&run, &human::Style::default()).unwrap();
    assert!(text.lines().count() < 400);
    assert!(text.contains("and 99950 more findings"));
}

#[test]
fn json() {
    let text = json::render(&run()).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    let validator = jsonschema::validator_for(schema().as_value()).unwrap();
    let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    let again: RunReport = serde_json::from_value(value).unwrap();
    assert_eq!(json::render(&again).unwrap(), text);
    insta::assert_snapshot!(text);
}

#[test]
fn json_readers_ignore_unknown_members() {
    let mut value = serde_json::to_value(run()).unwrap();
    value["later"] = true.into();
    value["reports"][0]["later"] = true.into();
    assert!(serde_json::from_value::<RunReport>(value).is_ok());
}

fn sarif_errors(text: &str) -> Vec<String> {
    let mut sarif: Value =
        serde_json::from_str(include_str!("../../../testdata/schemas/sarif-2.1.0-rtm.5.json")).unwrap();
    // The schema's own pattern for two members that we do not write is no regular expression (`…{2}]?$`).
    for owner in ["run", "toolComponent"] {
        let language = sarif.pointer_mut(&format!("/definitions/{owner}/properties/language")).unwrap();
        assert!(language.as_object_mut().unwrap().remove("pattern").is_some());
    }
    let validator = jsonschema::draft4::new(&sarif).unwrap();
    let value: Value = serde_json::from_str(text).unwrap();
    validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn sarif() {
    let text = sarif::render(&run(), &[&RULE]).unwrap();
    assert_eq!(sarif_errors(&text), Vec::<String>::new());
    let value: Value = serde_json::from_str(&text).unwrap();
    let messages = value["runs"].as_array().unwrap().iter().flat_map(|run| run["results"].as_array().unwrap());
    assert!(messages.map(|result| &result["message"]).all(|message| !message.to_string().contains("](")));
    insta::assert_json_snapshot!(value);
}

#[test]
fn sarif_stays_within_the_limits_of_its_reader() {
    let mut run = run();
    let mut worst = run.reports[3].findings[0].clone();
    worst.severity = Severity::High;
    run.reports[3].findings = vec![worst.clone(); 25_100];
    worst.severity = Severity::Critical;
    run.reports[3].findings.push(worst);
    for n in 0..30 {
        run.reports.push(report(&format!("gate{n}/x"), subject("s", SubjectKind::Files), vec![], Coverage::default()));
    }
    let text = sarif::render(&run, &[&RULE]).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    let runs = value["runs"].as_array().unwrap();
    assert!(runs.len() <= 20);
    let artifact = runs.iter().find(|run| run["automationDetails"]["id"] == "gauntlet/artifact/").unwrap();
    let results = artifact["results"].as_array().unwrap();
    assert_eq!(results.len(), 25_000);
    assert_eq!(results[0]["properties"]["severity"], "critical", "the worst stay");
    let notes = artifact["invocations"][0]["toolExecutionNotifications"].to_string();
    assert!(notes.contains("101 findings of the least severity are left out"), "{}", &notes[..200]);
    let ids: Vec<&str> = runs.iter().map(|run| run["automationDetails"]["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&"gauntlet/more/"), "no report is lost");
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), ids.len());
}

#[test]
fn junit() {
    let text = junit::render(&run()).unwrap();
    no_control_characters(&text);
    well_formed(&text);
    insta::assert_snapshot!(text);
}

/// Elements nest, attributes are quoted, references are known.
fn well_formed(text: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>").unwrap();
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at);
        assert!(!before.contains('>'), "{before}");
        let end = tag.find('>').unwrap();
        let inside = &tag[1..end];
        let name = inside.trim_start_matches('/').split([' ', '/']).next().unwrap();
        assert!(["testsuites", "testsuite", "testcase", "failure", "error", "skipped", "system-out"].contains(&name));
        assert_eq!(inside.matches('"').count() % 2, 0, "{inside}");
        if inside.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !inside.ends_with('/') {
            open.push(name);
        }
        rest = &tag[end + 1..];
    }
    assert!(open.is_empty());
    for reference in text.split('&').skip(1) {
        let name = reference.split(';').next().unwrap();
        assert!(["amp", "lt", "gt", "quot", "#39"].contains(&name), "{name}");
    }
}

#[test]
fn markdown() {
    let text = markdown::render(&run()).unwrap();
    no_control_characters(&text);
    for forbidden in ["<script", "@org", "](http", "`"] {
        assert!(!text.contains(forbidden), "{forbidden}");
    }
    let columns = |line: &str| line.matches('|').count();
    assert!(text.lines().filter(|line| line.starts_with('|')).all(|line| matches!(columns(line), 4 | 6)));
    insta::assert_snapshot!(text);
}

#[test]
fn markdown_fits_a_comment() {
    let mut run = run();
    let mut one = run.reports[3].findings[0].clone();
    one.message = "|".repeat(5_000);
    run.reports[3].findings = vec![one; 1_000];
    let text = markdown::render(&run).unwrap();
    assert!(text.chars().count() < 65_536);
    assert!(text.contains("does not fit"));
}

#[test]
fn html() {
    let text = html::render(&run()).unwrap();
    no_control_characters(&text);
    for forbidden in ["<script", "http://", "https://", "src=", "href=", "onload", "49}}"] {
        assert!(!text.to_lowercase().contains(forbidden), "{forbidden}");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn every_format_takes_an_empty_run() {
    let run = RunReport::new(
        Tool { name: "gauntlet".into(), version: "0.1.0".into() },
        vec![],
        vec![],
        Summary::default(),
        Timing::default(),
    );
    human::render(&run, &human::Style { width: 0, colour: true }).unwrap();
    json::render(&run).unwrap();
    assert_eq!(sarif_errors(&sarif::render(&run, &[]).unwrap()), Vec::<String>::new());
    well_formed(&junit::render(&run).unwrap());
    markdown::render(&run).unwrap();
    html::render(&run).unwrap();
}
