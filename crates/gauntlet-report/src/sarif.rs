//! SARIF 2.1.0 for code scanning, within GitHub's limits: 20 runs, 25,000 results a run, 20 tags a rule, 10 MB compressed.

use std::collections::BTreeMap;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use gauntlet_core::{Confidence, Finding, Location, Report, RuleInfo, Severity, Verdict};
use serde_json::{Value, json};

use crate::error::RenderError;
use crate::run::RunReport;
use crate::text::visible;
use crate::view;

/// GitHub's limits, see its page "SARIF support for code scanning".
const MAX_RUNS: usize = 20;
const MAX_RESULTS: usize = 25_000;
const MAX_TAGS: usize = 20;
const MAX_COMPRESSED: usize = 10_000_000;
const MAX_NOTIFICATIONS: usize = 1_000;

/// Writes the run as SARIF. `rules` describes the rules of all checks; a rule that is not among them gets its id only.
///
/// # Errors
/// [`RenderError::Json`], and [`RenderError::TooLarge`] when even ten results a run exceed what GitHub takes.
pub fn render(run: &RunReport, rules: &[&RuleInfo]) -> Result<String, RenderError> {
    within(run, rules, MAX_COMPRESSED)
}

/// Halves the number of results until the compressed document fits.
fn within(run: &RunReport, rules: &[&RuleInfo], limit: usize) -> Result<String, RenderError> {
    let mut most = MAX_RESULTS;
    loop {
        let text = serde_json::to_string(&document(run, rules, most))? + "\n";
        // What is short enough as it stands need not be compressed to see.
        if text.len() <= limit || compressed_length(&text) <= limit {
            return Ok(text);
        }
        if most < 10 {
            return Err(RenderError::TooLarge { limit });
        }
        most /= 2;
    }
}

fn compressed_length(text: &str) -> usize {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    match encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()) {
        Ok(bytes) => bytes.len(),
        // Writing to memory does not fail; were it to, the document would count as too long.
        Err(_) => usize::MAX,
    }
}

fn document(run: &RunReport, rules: &[&RuleInfo], most: usize) -> Value {
    let rules: BTreeMap<&str, &RuleInfo> = rules.iter().map(|rule| (rule.id, *rule)).collect();
    let mut gates: BTreeMap<&str, Vec<&Report>> = BTreeMap::new();
    for report in &run.reports {
        gates.entry(report.check.split('/').next().unwrap_or_default()).or_default().push(report);
    }
    // More gates than runs share the last one, so that none is lost.
    while gates.len() > MAX_RUNS - 1 {
        let Some((_, reports)) = gates.pop_last() else { break };
        gates.entry("").or_default().extend(reports);
    }
    let mut runs: Vec<Value> = gates.iter().map(|(gate, reports)| gate_run(run, gate, reports, &rules, most)).collect();
    runs.push(policy_run(run, &rules, most));
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": runs,
    })
}

fn gate_run(run: &RunReport, gate: &str, reports: &[&Report], rules: &BTreeMap<&str, &RuleInfo>, most: usize) -> Value {
    let mut found: Vec<(&Report, &Finding)> =
        reports.iter().flat_map(|report| report.findings.iter().map(move |finding| (*report, finding))).collect();
    found.sort_by_key(|(_, finding)| (finding.suppressed.is_some(), std::cmp::Reverse(finding.severity)));
    let mut table = Rules::new(rules);
    let mut results: Vec<Value> = Vec::new();
    for report in reports {
        for metric in report.metrics.iter().filter(|metric| metric.missed()) {
            let rule = format!("{}/missed-threshold", report.check);
            let message = view::metric(metric);
            let index = table.index(&rule, Severity::High);
            results.push(plain_result(&rule, index, &message, &report.subject.name));
        }
    }
    results.truncate(most);
    let room = most - results.len();
    results.extend(found.iter().take(room).map(|(report, finding)| {
        let index = table.index(&finding.rule, finding.severity);
        result(report, finding, index)
    }));
    let mut notes: Vec<Value> = Vec::new();
    if found.len() > room {
        let text = format!("{} findings of the least severity are left out", found.len() - room);
        notes.push(json!({"level": "error", "message": {"text": text}}));
    }
    let gaps = reports.iter().flat_map(|report| {
        let unanswered = report.coverage.skipped.iter().filter(|skipped| !skipped.reason.code.answered());
        unanswered.map(move |skipped| (report, skipped))
    });
    for (report, skipped) in gaps.take(MAX_NOTIFICATIONS) {
        let text = format!("{} did not look at {}", visible(&report.check), view::gap(skipped));
        let uri = uri(&skipped.path, None, &report.subject.name);
        notes.push(json!({
            "level": "error",
            "message": {"text": no_links(&text)},
            "locations": [{"physicalLocation": {"artifactLocation": artifact(&uri)}}],
        }));
    }
    let answered = reports.iter().all(|report| report.verdict != Verdict::Error);
    one_run(run, gate, answered, table, results, notes)
}

/// The decision that is enforced; the others are not this commit's fault.
fn policy_run(run: &RunReport, rules: &BTreeMap<&str, &RuleInfo>, most: usize) -> Value {
    let mut table = Rules::new(rules);
    let decision = view::enforced(run).filter(|decision| !decision.allow);
    let results = decision.iter().flat_map(|decision| decision.reasons.iter().take(most).map(move |r| (decision, r)));
    let results: Vec<Value> = results
        .map(|(decision, reason)| {
            let index = table.index(&reason.rule, Severity::High);
            let message = format!(
                "{}: {}. Needed: {}",
                visible(&decision.environment),
                visible(&reason.message),
                visible(&reason.needs)
            );
            plain_result(&reason.rule, index, &message, "gauntlet.yaml")
        })
        .collect();
    one_run(run, "policy", true, table, results, Vec::new())
}

fn one_run(
    run: &RunReport,
    gate: &str,
    answered: bool,
    rules: Rules<'_>,
    results: Vec<Value>,
    notes: Vec<Value>,
) -> Value {
    json!({
        "tool": {"driver": {
            "name": visible(&run.tool.name),
            "version": visible(&run.tool.version),
            "semanticVersion": visible(&run.tool.version),
            "rules": rules.descriptors,
        }},
        // GitHub tells runs of one tool apart by what stands in front of the last slash.
        "automationDetails": {"id": format!("gauntlet/{}/", if gate.is_empty() { "more".to_owned() } else { visible(gate) })},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {"%SRCROOT%": {"description": {"text": "the folder that the run was started in"}}},
        "invocations": [{"executionSuccessful": answered, "toolExecutionNotifications": notes}],
        "results": results,
    })
}

/// The rules that results of one run refer to, in the order of first use.
struct Rules<'a> {
    known: &'a BTreeMap<&'a str, &'a RuleInfo>,
    at: BTreeMap<String, usize>,
    descriptors: Vec<Value>,
}

impl<'a> Rules<'a> {
    fn new(known: &'a BTreeMap<&'a str, &'a RuleInfo>) -> Self {
        Self { known, at: BTreeMap::new(), descriptors: Vec::new() }
    }

    fn index(&mut self, id: &str, severity: Severity) -> usize {
        if let Some(at) = self.at.get(id) {
            return *at;
        }
        let at = self.descriptors.len();
        self.at.insert(id.to_owned(), at);
        self.descriptors.push(descriptor(id, severity, self.known.get(id).copied()));
        at
    }
}

fn descriptor(id: &str, severity: Severity, info: Option<&RuleInfo>) -> Value {
    let severity = info.map_or(severity, |info| info.severity);
    let mut tags = vec!["security".to_owned()];
    for reference in info.iter().flat_map(|info| info.references) {
        tags.push(match reference.strip_prefix("CWE-") {
            Some(number) => format!("external/cwe/cwe-{number}"),
            None => (*reference).to_owned(),
        });
    }
    tags.truncate(MAX_TAGS);
    let mut properties = json!({"tags": tags, "problem.severity": problem(severity)});
    if let Some(score) = score(severity) {
        properties["security-severity"] = score.into();
    }
    let mut rule = json!({
        "id": visible(id),
        "defaultConfiguration": {"level": level(severity)},
        "properties": properties,
    });
    if let Some(info) = info {
        rule["shortDescription"] = json!({"text": info.title});
        rule["fullDescription"] = json!({"text": info.title});
        rule["help"] = json!({"text": info.fix, "markdown": info.fix});
    }
    rule
}

fn result(report: &Report, finding: &Finding, rule_index: usize) -> Value {
    let Location { path, path_bytes, member, line, column, offset, cell, cell_line, field, row, case } =
        &finding.location;
    let uri = uri(path.as_deref().unwrap_or(""), path_bytes.as_deref(), &report.subject.name);
    // GitHub shows nothing without a line; where a finding has none, it is about the file.
    let mut region = json!({"startLine": line.unwrap_or(1).max(1)});
    if let (Some(_), Some(column)) = (line, column) {
        region["startColumn"] = (*column).max(1).into();
    }
    let parts = [("member", member), ("element", field), ("function", case)];
    let mut logical = vec![json!({"name": visible(&report.subject.name), "kind": "module"})];
    logical.extend(
        parts.iter().filter_map(|(kind, name)| name.as_ref().map(|name| json!({"name": visible(name), "kind": kind}))),
    );
    let numbers = [("offset", offset), ("cell", cell), ("cellLine", cell_line), ("row", row)];
    let mut properties = json!({
        "severity": finding.severity,
        "confidence": finding.confidence,
        "fix": visible(&finding.fix),
        "references": finding.references.iter().map(|r| visible(r)).collect::<Vec<_>>(),
    });
    for (name, number) in numbers {
        if let Some(number) = number {
            properties[name] = (*number).into();
        }
    }
    let place = view::place(&finding.location);
    let text = format!("{} ({place})\n{}", visible(&finding.message), visible(&finding.fix));
    let mut result = json!({
        "ruleId": visible(&finding.rule),
        "ruleIndex": rule_index,
        "level": level(finding.severity),
        "rank": rank(finding.confidence),
        "message": {"text": no_links(&text)},
        "locations": [{
            "physicalLocation": {"artifactLocation": artifact(&uri), "region": region},
            "logicalLocations": logical,
        }],
        "partialFingerprints": {
            "primaryLocationLineHash": format!("{}:1", visible(&finding.fingerprint)),
            "gauntletFinding/v1": visible(&finding.fingerprint),
        },
        "properties": properties,
    });
    if let Some(why) = &finding.suppressed {
        result["suppressions"] = json!([{"kind": "inSource", "justification": visible(why)}]);
    }
    result
}

/// A result that is about a subject as a whole.
fn plain_result(rule: &str, rule_index: usize, message: &str, subject: &str) -> Value {
    let fingerprint = gauntlet_core::sha256_hex(format!("{rule}\n{subject}\n{message}").as_bytes());
    json!({
        "ruleId": visible(rule),
        "ruleIndex": rule_index,
        "level": "error",
        "message": {"text": no_links(message)},
        "locations": [{
            "physicalLocation": {"artifactLocation": artifact(&uri("", None, subject)), "region": {"startLine": 1}},
        }],
        "partialFingerprints": {"primaryLocationLineHash": format!("{fingerprint}:1")},
    })
}

/// Plain messages may embed links, `[text](target)` (SARIF section 3.11.6); none of ours does.
fn no_links(text: &str) -> String {
    text.replace("](", "] (")
}

fn artifact(uri: &str) -> Value {
    if uri.starts_with("file:") { json!({"uri": uri}) } else { json!({"uri": uri, "uriBaseId": "%SRCROOT%"}) }
}

/// A relative reference below `%SRCROOT%`, or a `file:` URI for an absolute path. `bytes` is the raw path in hex, for names
/// that are no UTF-8; without any path it is the subject that is named.
fn uri(path: &str, bytes: Option<&str>, subject: &str) -> String {
    let raw = bytes.and_then(unhex);
    let path = match &raw {
        Some(raw) => raw.as_slice(),
        None if path.is_empty() => subject.as_bytes(),
        None => path.as_bytes(),
    };
    let (prefix, mut path) = match path.strip_prefix(b"/") {
        Some(rest) => ("file:///", rest),
        None => ("", path),
    };
    while let Some(rest) = path.strip_prefix(b"./") {
        path = rest;
    }
    let mut uri = prefix.to_owned();
    for byte in path {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(char::from(*byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    // An empty first segment would make it an authority, or nothing at all.
    if prefix.is_empty() && (uri.is_empty() || uri.starts_with('/')) { format!(".{uri}") } else { uri }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| !digits.is_empty() && digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "note",
    }
}

fn problem(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "recommendation",
    }
}

/// GitHub reads above 9 as critical, from 7 as high, from 4 as medium, above 0 as low.
fn score(severity: Severity) -> Option<&'static str> {
    match severity {
        Severity::Critical => Some("9.5"),
        Severity::High => Some("8.0"),
        Severity::Medium => Some("5.5"),
        Severity::Low => Some("2.0"),
        Severity::Info => None,
    }
}

fn rank(confidence: Confidence) -> f64 {
    match confidence {
        Confidence::High => 90.0,
        Confidence::Medium => 60.0,
        Confidence::Low => 30.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_hold_no_byte_that_means_something_else() {
        assert_eq!(uri("a b/ä%.py", None, ""), "a%20b/%C3%A4%25.py");
        assert_eq!(uri("x", Some("612fff"), ""), "a/%FF");
        assert_eq!(uri("javascript:alert(1)", None, ""), "javascript%3Aalert%281%29");
        assert_eq!(uri("./././a", None, ""), "a");
        assert_eq!(uri("/etc/x", None, ""), "file:///etc/x");
        assert_eq!(uri("", None, "churn/m"), "churn/m");
        assert_eq!(uri("", None, ""), ".");
        assert_eq!(uri(".//evil.example/x", None, ""), "./evil.example/x");
        assert_eq!(uri("x", Some("zz"), ""), "x");
    }

    #[test]
    fn leaves_out_what_its_reader_would_refuse() {
        let finding = |n: usize| Finding {
            rule: "a/b/c".into(),
            severity: Severity::Low,
            confidence: Confidence::Low,
            // Does not compress below half its length.
            message: gauntlet_core::sha256_hex(&n.to_le_bytes()).repeat(2),
            fix: String::new(),
            references: Vec::new(),
            fingerprint: gauntlet_core::sha256_hex(&n.to_be_bytes()),
            suppressed: None,
            location: Location::default(),
        };
        let subject = gauntlet_core::Subject {
            name: "s".into(),
            kind: gauntlet_core::SubjectKind::Files,
            digest: gauntlet_core::DigestSet::default(),
        };
        let report = Report {
            check: "a/b".into(),
            check_version: 1,
            config_digest: gauntlet_core::Digest::sha256(b""),
            subject,
            inputs: Vec::new(),
            verdict: Verdict::Warn,
            findings: (0..500).map(finding).collect(),
            metrics: Vec::new(),
            coverage: gauntlet_core::Coverage::default(),
            figures: Vec::new(),
        };
        let tool = crate::Tool { name: "gauntlet".into(), version: "0".into() };
        let run = RunReport::new(tool, vec![report], vec![], Default::default(), Default::default());
        let all = within(&run, &[], MAX_COMPRESSED).unwrap();
        let limit = compressed_length(&all) / 2;
        let some = within(&run, &[], limit).unwrap();
        assert!(compressed_length(&some) <= limit && some.len() > 1_000);
        assert!(some.contains("findings of the least severity are left out"));
        assert!(matches!(within(&run, &[], 10), Err(RenderError::TooLarge { limit: 10 })));
    }
}
