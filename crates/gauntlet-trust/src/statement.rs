//! in-toto Statements v1: what is said about which subject, as bytes that a DSSE envelope carries.
//!
//! Statements are written in canonical JSON without a clock, so that equal evidence has equal bytes.

use gauntlet_core::{Digest, DigestSet, Report, Subject, Summary, Verdict, canonical};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::dsse::{DsseError, Envelope, IN_TOTO, Verified};
use crate::keys::Signer;
use crate::shown;
use crate::strict_json::{self, Bounds, JsonError};

/// The statement type.
pub const TYPE: &str = "https://in-toto.io/Statement/v1";
/// One gate run.
pub const TEST_RESULT: &str = "https://in-toto.io/attestation/test-result/v0.1";
/// A decision: SLSA Verification Summary.
pub const VERIFICATION_SUMMARY: &str = "https://slsa.dev/verification_summary/v1";
/// A pointer to a large document.
pub const REFERENCE: &str = "https://in-toto.io/attestation/reference/v0.1";
/// A CycloneDX bill of materials. Spellings with a version behind are read alike.
pub const CYCLONEDX: &str = "https://cyclonedx.org/bom";
/// The member of a test result that holds what test-result has no place for.
pub const REPORT_MEMBER: &str = "https://gauntlet.example/report/v1";

/// A statement: subjects, and one claim about them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statement<P = Value> {
    #[serde(rename = "_type")]
    kind: String,
    /// What the claim is about. Matched by digest; names are for people.
    pub subject: Vec<ResourceDescriptor>,
    /// Which kind of claim.
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// The claim. Some predicate types have none.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub predicate: Option<P>,
}

fn none<P>() -> Option<P> {
    None
}

/// A thing named by digest, place or content. Unknown members are dropped when read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceDescriptor {
    /// A name for people and for telling subjects of one statement apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it is known under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// Its digests.
    #[serde(default, skip_serializing_if = "DigestSet::is_empty")]
    pub digest: DigestSet,
    /// Its bytes in base64, when they are few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Where it can be fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download_location: Option<String>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<serde_json::Map<String, Value>>,
}

impl ResourceDescriptor {
    /// A name with digests, which is how everything of ours is named.
    #[must_use]
    pub fn named(name: impl Into<String>, digest: DigestSet) -> Self {
        Self { name: Some(name.into()), digest, ..Self::default() }
    }
}

impl From<&Subject> for ResourceDescriptor {
    fn from(subject: &Subject) -> Self {
        Self::named(&subject.name, subject.digest.clone())
    }
}

impl<P: Serialize> Statement<P> {
    /// A statement about `subject`.
    #[must_use]
    pub fn new(subject: Vec<ResourceDescriptor>, predicate_type: &str, predicate: P) -> Self {
        Self { kind: TYPE.to_owned(), subject, predicate_type: predicate_type.to_owned(), predicate: Some(predicate) }
    }

    /// The canonical bytes: sorted members, no white space, UTF-8.
    ///
    /// # Errors
    /// [`StatementError`] when there is no subject, a subject has no digest, or the predicate is no JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StatementError> {
        check_subjects(&self.subject)?;
        canonical::to_vec(self).map_err(StatementError::Write)
    }

    /// Signs the canonical bytes as an in-toto DSSE envelope.
    ///
    /// # Errors
    /// [`StatementError`] as for [`Self::to_bytes`], or when a key refuses.
    pub fn sign(&self, keys: &[&dyn Signer]) -> Result<Envelope, StatementError> {
        Ok(Envelope::sign(IN_TOTO, self.to_bytes()?, keys)?)
    }
}

impl Statement {
    /// Reads the payload of a verified envelope.
    ///
    /// # Errors
    /// [`StatementError`] when the payload is of another type or no statement with at least one subject by digest.
    pub fn from_verified(verified: &Verified<'_, '_>) -> Result<Self, StatementError> {
        if verified.payload_type != IN_TOTO {
            return Err(StatementError::Type { what: "payload", found: verified.payload_type.to_owned() });
        }
        Self::parse(verified.payload)
    }

    /// Reads a statement from bytes that may come from anybody: for showing and indexing. To decide, take
    /// [`Self::from_verified`].
    ///
    /// # Errors
    /// As [`Self::from_verified`].
    pub fn parse(payload: &[u8]) -> Result<Self, StatementError> {
        let statement: Self = strict_json::from_slice(payload, &Bounds::DOCUMENT)?;
        if statement.kind != TYPE {
            return Err(StatementError::Type { what: "statement", found: statement.kind });
        }
        if !matches!(statement.predicate, None | Some(Value::Object(_))) {
            return Err(StatementError::PredicateShape);
        }
        check_subjects(&statement.subject)?;
        Ok(statement)
    }

    /// Whether the statement speaks about `digest`, by in-toto's matching rule.
    #[must_use]
    pub fn is_about(&self, digest: &DigestSet) -> bool {
        self.subject.iter().any(|subject| subject.digest.matches(digest))
    }

    /// Whether the predicate is a CycloneDX document, also under a versioned type such as `…/bom/v1.6`.
    #[must_use]
    pub fn is_bom(&self) -> bool {
        self.predicate_type.strip_prefix(CYCLONEDX).is_some_and(|rest| rest.is_empty() || rest.starts_with("/v"))
    }
}

fn check_subjects(subjects: &[ResourceDescriptor]) -> Result<(), StatementError> {
    if subjects.is_empty() || subjects.iter().any(|subject| subject.digest.is_empty()) {
        return Err(StatementError::Subject);
    }
    Ok(())
}

/// The predicate of a gate run (test-result v0.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestResult {
    /// `PASSED`, `WARNED` or `FAILED`.
    pub result: TestOutcome,
    /// Everything the run depended on. A policy must check these too, or a gate passes with an easy configuration.
    pub configuration: Vec<ResourceDescriptor>,
    /// Checks that passed.
    #[serde(default)]
    pub passed_tests: Vec<String>,
    /// Checks that warned.
    #[serde(default)]
    pub warned_tests: Vec<String>,
    /// Checks that failed or could not answer.
    #[serde(default)]
    pub failed_tests: Vec<String>,
    /// What the type has no place for.
    #[serde(rename = "https://gauntlet.example/report/v1", default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Value>,
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
        passed_tests: listed(TestOutcome::Passed),
        warned_tests: listed(TestOutcome::Warned),
        failed_tests: listed(TestOutcome::Failed),
        report: Some(member),
    };
    Ok(Statement::new(vec![ResourceDescriptor::from(&report.subject)], TEST_RESULT, predicate))
}

/// The predicate of a decision (SLSA Verification Summary v1). Refusals are written too: they are evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerificationSummary {
    /// Who decided.
    pub verifier: Verifier,
    /// When, RFC 3339 in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_verified: Option<String>,
    /// Where a consumer fetches the subject.
    pub resource_uri: String,
    /// The exact policy bytes, by digest.
    pub policy: ResourceDescriptor,
    /// Every envelope that was used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub input_attestations: Vec<ResourceDescriptor>,
    /// The answer.
    pub verification_result: VerificationResult,
    /// What was reached; exactly `FAILED` when refused.
    pub verified_levels: Vec<String>,
    /// Release of SLSA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slsa_version: Option<String>,
    /// Members whose names are URIs, for what the type has no place for.
    #[serde(flatten)]
    pub extensions: serde_json::Map<String, Value>,
}

/// Who decided, and with which program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verifier {
    /// URI of the policy engine and deployment; a consumer expects a key for it.
    pub id: String,
    /// Component to version.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub version: std::collections::BTreeMap<String, String>,
}

/// The answer of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum VerificationResult {
    /// Allowed.
    Passed,
    /// Refused.
    Failed,
}

impl VerificationSummary {
    /// The statement of this decision about `subjects`.
    ///
    /// # Errors
    /// [`StatementError::Levels`] when `verified_levels` contradicts the result: a refusal carries exactly `FAILED`, a
    /// pass does not, and a SLSA track is named at most once.
    pub fn statement(self, subjects: &[&Subject]) -> Result<Statement<Self>, StatementError> {
        let failed = self.verified_levels.iter().any(|level| level == "FAILED");
        let consistent = match self.verification_result {
            VerificationResult::Failed => failed && self.verified_levels.len() == 1,
            VerificationResult::Passed => !failed,
        };
        let mut tracks: Vec<_> = self.verified_levels.iter().filter_map(|level| slsa_track(level)).collect();
        tracks.sort_unstable();
        if !consistent || tracks.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(StatementError::Levels);
        }
        Ok(Statement::new(subjects.iter().map(|s| (*s).into()).collect(), VERIFICATION_SUMMARY, self))
    }
}

/// `SLSA_<TRACK>_LEVEL_<n>`
fn slsa_track(level: &str) -> Option<&str> {
    level.strip_prefix("SLSA_")?.rsplit_once("_LEVEL_").map(|(track, _)| track)
}

/// The predicate that points to documents too large to carry (reference v0.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// Who says so.
    pub attester: Attester,
    /// The documents: place, media type and digest of each.
    pub references: Vec<ResourceDescriptor>,
}

/// Who makes a reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attester {
    /// URI.
    pub id: String,
}

/// Why a statement could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// A payload or statement of another type.
    #[error("{what} type {} is not an in-toto statement v1", shown(found))]
    Type {
        /// Which type.
        what: &'static str,
        /// What it was.
        found: String,
    },
    /// No subject, or one without digest.
    #[error("a statement needs at least one subject, and each needs a digest")]
    Subject,
    /// The predicate is not an object.
    #[error("the predicate is not an object")]
    PredicateShape,
    /// Levels that contradict the result.
    #[error("verified levels contradict the result, or name a SLSA track twice")]
    Levels,
    /// Not strict JSON, or of another shape.
    #[error("not a statement: {0}")]
    Json(#[from] JsonError),
    /// Cannot be expressed in JSON.
    #[error("writing the statement: {0}")]
    Write(#[source] serde_json::Error),
    /// The envelope could not be made.
    #[error(transparent)]
    Envelope(#[from] DsseError),
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use gauntlet_core::{Coverage, Input, Metric, SkipCode, SubjectKind};

    use super::*;
    use crate::keys::{KeyKind, SigningKey};

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
        insta::assert_snapshot!(bytes, @r#"{"_type":"https://in-toto.io/Statement/v1","predicate":{"configuration":[{"digest":{"sha256":"a330395cc0a53ad1207736546afff4735940937564bbf75ce1edad40780d9139"},"name":"allow-list"},{"digest":{"sha256":"b79606fb3afea5bd1609ed40b622142f1c98125abcfe89a76a661b0e8e343910"},"name":"config"}],"failedTests":["artifact/pickle"],"https://gauntlet.example/report/v1":{"check":"artifact/pickle","check_version":2,"config_digest":"sha256:b79606fb3afea5bd1609ed40b622142f1c98125abcfe89a76a661b0e8e343910","coverage":{"complete":false,"looked_at":3,"skipped":1},"findings":{"critical":0,"high":0,"info":0,"low":0,"medium":0},"local":true,"metrics":[{"field":null,"high":null,"low":null,"name":"opcodes","op":null,"threshold":null,"unit":"opcodes","value":12.0}],"report":{"sha256":"454349e422f05297191ead13e21d3db520e5abef52055e4964b82fb213f593a1"},"verdict":"error"},"passedTests":[],"result":"FAILED","warnedTests":[]},"predicateType":"https://in-toto.io/attestation/test-result/v0.1","subject":[{"digest":{"sha256":"9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4"},"name":"churn/model"}]}"#);
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
    fn signed_statements_are_read_back_after_verification_only() {
        let key = SigningKey::generate(KeyKind::P256).unwrap();
        let statement = test_result(&report(Verdict::Pass), &Digest::sha256(b"r"), None, false).unwrap();
        let envelope = statement.sign(&[&key]).unwrap();
        assert_eq!(envelope, statement.sign(&[&key]).unwrap(), "no clock, no chance");
        let trusted = [key.verifying_key().clone()];
        let verified = envelope.verify(&trusted, NonZeroUsize::MIN).unwrap();
        let back = Statement::from_verified(&verified).unwrap();
        assert!(back.is_about(&DigestSet::sha256_of(b"model")));
        assert!(!back.is_about(&DigestSet::sha256_of(b"other")));
    }

    #[test]
    fn broken_statements_are_refused() {
        let refused = |text: &str| Statement::parse(text.as_bytes()).unwrap_err().to_string();
        let subject = r#""subject":[{"digest":{"sha256":"00"}}],"predicateType":"t""#;
        assert!(Statement::parse(format!(r#"{{"_type":"{TYPE}",{subject}}}"#).as_bytes()).is_ok());
        assert!(refused(&format!(r#"{{"_type":"https://in-toto.io/Statement/v0.1",{subject}}}"#)).contains("v0.1"));
        assert!(refused(&format!(r#"{{"_type":"{TYPE}",{subject},"predicate":3}}"#)).contains("not an object"));
        assert!(refused(&format!(r#"{{"_type":"{TYPE}",{subject},"subject":[]}}"#)).contains("twice"));
        assert!(refused(&format!(r#"{{"_type":"{TYPE}","subject":[],"predicateType":"t"}}"#)).contains("subject"));
        let undigested = format!(r#"{{"_type":"{TYPE}","subject":[{{"name":"x"}}],"predicateType":"t"}}"#);
        assert!(refused(&undigested).contains("digest"));
    }

    #[test]
    fn summaries_whose_levels_contradict_them_are_not_written() {
        let summary = |result, levels: &[&str]| VerificationSummary {
            verifier: Verifier { id: "https://gauntlet.example/policy/v1".to_owned(), version: [].into() },
            time_verified: Some("2026-01-01T00:00:00Z".to_owned()),
            resource_uri: "registry://models/tiny@prod".to_owned(),
            policy: ResourceDescriptor::named("baseline", DigestSet::sha256_of(b"policy")),
            input_attestations: Vec::new(),
            verification_result: result,
            verified_levels: levels.iter().map(|l| (*l).to_owned()).collect(),
            slsa_version: Some("1.1".to_owned()),
            extensions: serde_json::Map::new(),
        };
        let subject = report(Verdict::Pass).subject;
        let written = |s: VerificationSummary| s.statement(&[&subject]).is_ok();
        use VerificationResult::{Failed, Passed};
        assert!(written(summary(Passed, &["SLSA_BUILD_LEVEL_1", "GAUNTLET_SCAN_PASSED"])));
        assert!(written(summary(Failed, &["FAILED"])));
        assert!(!written(summary(Failed, &["GAUNTLET_SCAN_PASSED"])));
        assert!(!written(summary(Passed, &["FAILED"])));
        assert!(!written(summary(Passed, &["SLSA_BUILD_LEVEL_1", "SLSA_BUILD_LEVEL_2"])));
        let statement = summary(Failed, &["FAILED"]).statement(&[&subject]).unwrap();
        let back = Statement::parse(&statement.to_bytes().unwrap()).unwrap();
        assert_eq!(back.predicate_type, VERIFICATION_SUMMARY);
        let typed: VerificationSummary = serde_json::from_value(back.predicate.unwrap()).unwrap();
        assert_eq!(Some(typed), statement.predicate);
    }

    #[test]
    fn versioned_bom_types_are_boms() {
        let is = |kind: &str| Statement::new(vec![], kind, json!({})).is_bom();
        assert!(is(CYCLONEDX) && is("https://cyclonedx.org/bom/v1.6"));
        assert!(!is("https://cyclonedx.org/bomb") && !is(TEST_RESULT));
    }
}
