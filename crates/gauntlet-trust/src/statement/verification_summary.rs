//! SLSA Verification Summary v1: a decision, kept whether it allows or refuses.

use std::collections::BTreeMap;

use gauntlet_core::Subject;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::predicate::{Members, Predicate, null_is_default};
use super::{ResourceDescriptor, Statement, StatementError};

/// A decision: SLSA Verification Summary.
pub const VERIFICATION_SUMMARY: &str = "https://slsa.dev/verification_summary/v1";

/// The member of a summary of ours that holds what the type has no place for: environment, trust policy, reasons.
pub const DECISION_MEMBER: &str = "https://gauntlet.example/decision/v1";

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
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
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
    pub extensions: Map<String, Value>,
}

/// Who decided, and with which program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verifier {
    /// URI of the policy engine and deployment; a consumer expects a key for it.
    pub id: String,
    /// Component to version.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub version: BTreeMap<String, String>,
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
        Statement::about(subjects.iter().map(|subject| (*subject).into()).collect(), self)
    }
}

impl Predicate for VerificationSummary {
    const TYPES: &'static [&'static str] = &[VERIFICATION_SUMMARY];
    const NAME: &'static str = "verification summary";

    fn check(&self) -> Result<(), StatementError> {
        let member = Members::of::<Self>();
        member.text("verifier.id", &self.verifier.id)?;
        member.text("resourceUri", &self.resource_uri)?;
        member.resource("policy", &self.policy)?;
        member.resources("inputAttestations", &self.input_attestations)?;
        member.time("timeVerified", self.time_verified.as_deref())?;
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
        Ok(())
    }
}

/// `SLSA_<TRACK>_LEVEL_<n>`
fn slsa_track(level: &str) -> Option<&str> {
    level.strip_prefix("SLSA_")?.rsplit_once("_LEVEL_").map(|(track, _)| track)
}

#[cfg(test)]
mod tests {
    use gauntlet_core::{DigestSet, SubjectKind};

    use super::*;

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
            extensions: Map::new(),
        };
        let subject = Subject {
            name: "churn/model".to_owned(),
            kind: SubjectKind::Model,
            digest: DigestSet::sha256_of(b"model"),
        };
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
        let typed: VerificationSummary = back.predicate_as().unwrap();
        assert_eq!(Some(typed), statement.predicate);
    }
}
