//! SARIF 2.1.0, within GitHub code scanning's limits: at most 25,000 results and 20 runs a file, 20 tags a rule.
//!
//! One run a gate, so that uploads of one gate replace just that gate's results.

use std::collections::BTreeMap;

use gauntlet_core::{Finding, Location, Report, Severity};
use serde_json::{Value, json};

use crate::escape::terminal;
use crate::run::{NamedRule, RunReport};

const MAX_RESULTS: usize = 25_000;
const MAX_TAGS: usize = 20;
const MAX_MESSAGE: usize = 2_000;
const MAX_NOTIFICATIONS: usize = 1_000;

/// The result as SARIF. `rules` describes the rules that findings refer to.
///
/// # Errors
/// When the document cannot be written as JSON.
pub fn sarif(run: &RunReport, rules: &[NamedRule]) -> Result<String, serde_json::Error> {
    let mut gates: BTreeMap<&str, Vec<&Report>> = BTreeMap::new();
    for report in &run.reports {
        gates.entry(report.check.split('/').next().unwrap_or("gauntlet")).or_default().push(report);
    }
    let mut room = MAX_RESULTS;
    let mut runs: Vec<Value> =
        gates.iter().map(|(gate, reports)| gate_run(run, gate, reports, rules, &mut room)).collect();
    if runs.is_empty() {
        runs.push(gate_run(run, "gauntlet", &[], rules, &mut room));
    }
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": runs,
    });
    let mut text = serde_json::to_string_pretty(&document)?;
    text.push('\n');
    Ok(text)
}

fn gate_run(run: &RunReport, gate: &str, reports: &[&Report], rules: &[NamedRule], room: &mut usize) -> Value {
    let mut findings: Vec<&Finding> = reports.iter().flat_map(|r| &r.findings).collect();
    // When there is no room for all, the worst must be in.
    findings.sort_by_key(|f| (f.suppressed.is_some(), std::cmp::Reverse(f.severity)));
    let total = findings.len();
    findings.truncate(*room);
    *room -= findings.len();
    let mut ids: Vec<&str> = findings.iter().map(|f| f.rule.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    let described: Vec<Value> = ids.iter().map(|id| rule(id, rules, &findings)).collect();
    let results: Vec<Value> = findings.iter().map(|f| result(f, ids.iter().position(|id| *id == f.rule))).collect();
    let mut notifications = notifications(reports);
    if total > findings.len() {
        let text = format!("{} more findings did not fit; see the JSON report", total - findings.len());
        notifications.push(json!({"level": "warning", "message": {"text": text}}));
    }
    let complete = reports.iter().all(|r| r.coverage.complete());
    json!({
        "tool": {"driver": {
            "name": "Gauntlet",
            "version": run.tool.version,
            "semanticVersion": run.tool.version,
            "rules": described,
        }},
        "automationDetails": {"id": format!("gauntlet/{gate}/")},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": complete, "toolExecutionNotifications": notifications}],
        "results": results,
        "properties": {"verdict": reports.iter().map(|r| r.verdict).max()},
    })
}

fn rule(id: &str, rules: &[NamedRule], findings: &[&Finding]) -> Value {
    let known = rules.iter().find(|rule| rule.id == id);
    let worst = findings.iter().filter(|f| f.rule == id).map(|f| f.severity).max();
    let severity = worst.or(known.map(|k| k.severity)).unwrap_or(Severity::Medium);
    let references = known.map(|k| k.references.as_slice()).unwrap_or_default();
    let tags: Vec<String> = std::iter::once("security".to_owned())
        .chain(references.iter().map(|reference| match reference.strip_prefix("CWE-") {
            // The spelling that code scanning understands.
            Some(number) => format!("external/cwe/cwe-{number}"),
            None => reference.clone(),
        }))
        .take(MAX_TAGS)
        .collect();
    let title = known.map_or(id, |k| k.title.as_str());
    let fix = known.map_or("", |k| k.fix.as_str());
    json!({
        "id": id,
        "name": id,
        "shortDescription": {"text": title},
        "fullDescription": {"text": if fix.is_empty() { title } else { fix }},
        "help": {"text": format!("{title}. {fix} Run `gauntlet rule show {id}` for the whole page.")},
        "defaultConfiguration": {"level": level(severity)},
        "properties": {"tags": tags, "security-severity": security_severity(severity)},
    })
}

fn result(finding: &Finding, rule_index: Option<usize>) -> Value {
    let mut value = json!({
        "ruleId": finding.rule,
        "level": level(finding.severity),
        "message": {"text": message(finding)},
        "locations": [location(&finding.location)],
        "partialFingerprints": {
            "primaryLocationLineHash": format!("{}:1", finding.fingerprint.get(..16).unwrap_or(&finding.fingerprint)),
            "gauntlet/v1": finding.fingerprint,
        },
        "properties": {"severity": finding.severity, "confidence": finding.confidence},
    });
    if let Some(index) = rule_index {
        value["ruleIndex"] = json!(index);
    }
    if let Some(why) = &finding.suppressed {
        value["suppressions"] = json!([{"kind": "inSource", "justification": terminal(why)}]);
    }
    value
}

/// The message names what SARIF's own location has no place for.
fn message(finding: &Finding) -> String {
    let mut text = terminal(&finding.message);
    let place = &finding.location;
    let parts = [
        place.member.as_ref().map(|m| format!("member {}", terminal(m))),
        place.cell.map(|c| format!("cell {c}{}", place.cell_line.map(|l| format!(", line {l}")).unwrap_or_default())),
        place.field.as_ref().map(|f| format!("field {}", terminal(f))),
        place.row.map(|r| format!("row {r}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if !parts.is_empty() {
        text.push_str(&format!(" ({})", parts.join(", ")));
    }
    if !finding.fix.is_empty() {
        text.push_str(&format!(" Fix: {}", terminal(&finding.fix)));
    }
    match text.char_indices().nth(MAX_MESSAGE) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

fn location(place: &Location) -> Value {
    let path = place.path.as_deref().unwrap_or_default();
    let mut physical = json!({"artifactLocation": artifact(path)});
    // A finding without a line belongs to the whole file; code scanning wants a line all the same.
    let mut region = json!({"startLine": place.line.unwrap_or(1).max(1)});
    if let (Some(_), Some(column)) = (place.line, place.column) {
        region["startColumn"] = json!(column.max(1));
    }
    if let (None, Some(offset)) = (place.line, place.offset) {
        region = json!({"startLine": 1, "byteOffset": offset});
    }
    physical["region"] = region;
    let mut value = json!({"physicalLocation": physical});
    if let Some(member) = &place.member {
        value["logicalLocations"] = json!([{"fullyQualifiedName": terminal(member), "kind": "member"}]);
    }
    value
}

fn artifact(path: &str) -> Value {
    if let Some(absolute) = path.strip_prefix('/') {
        json!({"uri": format!("file:///{}", percent(absolute))})
    } else {
        json!({"uri": percent(if path.is_empty() { "." } else { path }), "uriBaseId": "%SRCROOT%"})
    }
}

/// RFC 3986: everything but unreserved characters and `/` is encoded.
fn percent(path: &str) -> String {
    path.bytes().fold(String::with_capacity(path.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

/// What was not looked at.
fn notifications(reports: &[&Report]) -> Vec<Value> {
    let mut gaps: Vec<(String, String)> = reports
        .iter()
        .flat_map(|r| &r.coverage.skipped)
        .filter(|s| !s.reason.code.answered())
        .map(|s| (s.path.clone(), format!("not looked at: {}", terminal(&s.reason.to_string()))))
        .collect();
    gaps.sort();
    gaps.dedup();
    gaps.truncate(MAX_NOTIFICATIONS);
    gaps.into_iter()
        .map(|(path, text)| {
            json!({"level": "error", "message": {"text": format!("{}: {text}", terminal(&path))},
                "locations": [{"physicalLocation": {"artifactLocation": artifact(&path)}}]})
        })
        .collect()
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium | Severity::Low => "warning",
        Severity::Info => "note",
    }
}

/// Code scanning sorts by this score (text): over 9 critical, 7 to 8.9 high, 4 to 6.9 medium, below low.
fn security_severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "3.0",
        Severity::Info => "0.0",
    }
}
