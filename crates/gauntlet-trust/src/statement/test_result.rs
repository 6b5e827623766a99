//! test-result v0.1: one gate run, ours or one of others.

use gauntlet_core::{Digest, DigestSet, Report, Summary, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::predicate::{Members, Predicate, null_is_default};
use super::{ResourceDescriptor, Statement, StatementError};

/// One gate run.
pub const TEST_RESULT: &str = "https://in-toto.io/attestation/test-result/v0.1";
/// The member of a test result that holds what test-result has no place for.
pub const REPORT_MEMBER: &str = "https://gauntlet.example/report/v1";

/// The predicate of a gate run (test-result v0.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestResult {
    /// `PASSED`, `WARNED` or `FAILED`.
    pub result: TestOutcome,
    /// Everything the run depended on. A policy must check these too, or a gate passes with an easy configuration.
    pub configuration: Vec<ResourceDescriptor>,
    /// Where the full result can be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Checks that passed.
    #[serde(default, deserialize_with = "null_is_default")]
    pub passed_tests: Vec<String>,
    /// Checks that warned.
    #[serde(default, deserialize_with = "null_is_default")]
    pub warned_tests: Vec<String>,
    /// Checks that failed or could not answer.
    #[serde(default, deserialize_with = "null_is_default")]
    pub failed_tests: Vec<String>,
    /// What the type has no place for.
    #[serde(rename = "https://gauntlet.example/report/v1", default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Value>,
    /// Members that this type does not name.
    #[serde(flatten)]
    pub extensions: Map<String, Value>,
}

impl Predicate for TestResult {
    const TYPES: &'static [&'static str] = &[TEST_RESULT];
    const NAME: &'static str = "test result";

    fn check(&self) -> Result<(), StatementError> {
        let member = Members::of::<Self>();
        member.resources("configuration", &self.configuration)?;
        if self.result == TestOutcome::Passed && !self.failed_tests.is_empty() {
            return Err(member.wrong("failedTests", "is not empty although the result is PASSED"));
        }
        Ok(())
    }
}

/// The outcome of a gate run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TestOutcome {
    /// Nothing to object.
    Passed,
    /// Findings of medium or low.
    Warned,
    /// Findings of high or above, a missed threshold, or an unanswered question.
    Failed,
}

impl From<Verdict> for TestOutcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Self::Passed,
            Verdict::Warn => Self::Warned,
            Verdict::Error | Verdict::Fail => Self::Failed,
        }
    }
}

/// The statement of one check report. The full report and the facts lie elsewhere, named by `report_digest` and
/// `facts_digest`; `local` says that the signing key is a development key that nobody vouched for.
///
/// # Errors
/// [`StatementError::Write`] when a metric cannot be expressed in JSON.
pub fn test_result(
    report: &Report,
    report_digest: &Digest,
    facts_digest: Option<&Digest>,
    local: bool,
) -> Result<Statement<TestResult>, StatementError> {
    let configuration = report
        .inputs
        .iter()
        .map(|input| (input.name.as_str(), &input.digest))
        .chain([("config", &report.config_digest)])
        .map(|(name, digest)| ResourceDescriptor::named(name, DigestSet::default().with(digest)))
        .collect();
    let summary = Summary::of([report], 0, 0);
    let mut member = json!({
        "check": report.check,
        "check_version": report.check_version,
        "verdict": report.verdict,
        "config_digest": report.config_digest,
        "report": DigestSet::default().with(report_digest),
        "metrics": serde_json::to_value(&report.metrics).map_err(StatementError::Write)?,
        "findings": {
            "critical": summary.critical, "high": summary.high, "medium": summary.medium,
            "low": summary.low, "info": summary.info,
        },
        "coverage": {
            "looked_at": report.coverage.looked_at,
            "skipped": report.coverage.skipped.len(),
            "complete": report.coverage.complete(),
        },
        "local": local,
    });
    if let (Some(facts), Some(object)) = (facts_digest, member.as_object_mut()) {
        let facts = serde_json::to_value(DigestSet::default().with(facts)).map_err(StatementError::Write)?;
        object.insert("facts".to_owned(), facts);
    }
    let result = TestOutcome::from(report.verdict);
    let listed = |outcome| if result == outcome { vec![report.check.clone()] } else { Vec::new() };
    let predicate = TestResult {
        result,
        configuration,
        url: None,
        passed_tests: listed(TestOutcome::Passed),
        warned_tests: listed(TestOutcome::Warned),
        failed_tests: listed(TestOutcome::Failed),
        report: Some(member),
        extensions: Map::new(),
    };
    Ok(Statement::new(vec![ResourceDescriptor::from(&report.subject)], TEST_RESULT, predicate))
}

#[cfg(test)]
mod tests {
    use gauntlet_core::{Coverage, Input, Metric, SkipCode, Subject, SubjectKind};

    use super::*;

    fn report(verdict: Verdict) -> Report {
        let mut coverage = Coverage { looked_at: 3, ..Coverage::default() };
        coverage.skip("b", None, SkipCode::Limit, "");
        Report {
            check: "artifact/pickle".to_owned(),
            check_version: 2,
            config_digest: Digest::sha256(b"config"),
            subject: Subject {
                name: "churn/model".to_owned(),
                kind: SubjectKind::Model,
                digest: DigestSet::sha256_of(b"model"),
            },
            inputs: vec![Input { name: "allow-list".to_owned(), digest: Digest::sha256(b"list") }],
            verdict,
            findings: Vec::new(),
            metrics: vec![Metric::new("opcodes", 12.0, "opcodes")],
            coverage,
            figures: Vec::new(),
        }
    }

    #[test]
    fn a_report_becomes_a_test_result() {
        let statement = test_result(&report(Verdict::Error), &Digest::sha256(b"r"), None, true).unwrap();
        let bytes = String::from_utf8(statement.to_bytes().unwrap()).unwrap();
        insta::assert_snapshot!(bytes, @r#"{"_type":"https://in-toto.io/Statement/v1","predicate":{"configuration":[{"digest":{"sha256":"a330395cc0a53ad1207736546afff4735940937564bbf75ce1edad40780d9139"},"name":"allow-list"},{"digest":{"sha256":"b79606fb3afea5bd1609ed40b622142f1c98125abcfe89a76a661b0e8e343910"},"name":"config"}],"failedTests":["artifact/pickle"],"https://gauntlet.example/report/v1":{"check":"artifact/pickle","check_version":2,"config_digest":"sha256:b79606fb3afea5bd1609ed40b622142f1c98125abcfe89a76a661b0e8e343910","coverage":{"complete":false,"looked_at":3,"skipped":1},"findings":{"critical":0,"high":0,"info":0,"low":0,"medium":0},"local":true,"metrics":[{"field":null,"high":null,"low":null,"name":"opcodes","op":null,"threshold":null,"unit":"opcodes","value":12.0}],"report":{"sha256":"454349e422f05297191ead13e21d3db520e5abef52055e4964b82fb213f593a1"},"verdict":"error"},"passedTests":[],"result":"FAILED","warnedTests":[]},"predicateType":"https://in-toto.io/attestation/test-result/v0.1","subject":[{"annotations":{"https://gauntlet.example/subject-kind/v1":"model"},"digest":{"sha256":"9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4"},"name":"churn/model"}]}"#);
    }

    #[test]
    fn verdicts_become_outcomes() {
        for (verdict, word, list) in [
            (Verdict::Pass, "PASSED", "passedTests"),
            (Verdict::Warn, "WARNED", "warnedTests"),
            (Verdict::Error, "FAILED", "failedTests"),
            (Verdict::Fail, "FAILED", "failedTests"),
        ] {
            let facts = Digest::sha256(b"f");
            let statement = test_result(&report(verdict), &Digest::sha256(b"r"), Some(&facts), false).unwrap();
            let value = serde_json::to_value(&statement).unwrap();
            let predicate = &value["predicate"];
            assert_eq!(predicate["result"], word);
            assert_eq!(predicate[list], json!(["artifact/pickle"]));
            assert_eq!(predicate[REPORT_MEMBER]["verdict"], verdict.as_str());
            assert_eq!(predicate[REPORT_MEMBER]["facts"]["sha256"], facts.hex());
            let typed: TestResult = serde_json::from_value(predicate.clone()).unwrap();
            assert_eq!(Some(typed), statement.predicate);
        }
    }

    #[test]
    fn a_result_that_contradicts_its_lists_is_refused() {
        let read = |text: &str| super::super::predicate::read::<TestResult>(serde_json::from_str(text).unwrap());
        let typed = read(r#"{"result":"WARNED","configuration":[],"passedTests":null,"x":1}"#).unwrap();
        assert_eq!((typed.passed_tests.len(), typed.extensions.len()), (0, 1));
        for (text, why) in [
            (r#"{"result":"PASSED","configuration":[],"failedTests":["a"]}"#, "failedTests"),
            (r#"{"result":"PASSED"}"#, "configuration"),
            (r#"{"configuration":[]}"#, "result"),
            (r#"{"result":"passed","configuration":[]}"#, "passed"),
            (r#"{"result":"PASSED","configuration":[{"name":"x"}]}"#, "configuration[0]"),
        ] {
            assert!(read(text).unwrap_err().to_string().contains(why), "{text}");
        }
    }
}
