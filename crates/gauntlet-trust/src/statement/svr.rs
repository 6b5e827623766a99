//! svr: a small summary of what was verified, which does not speak SLSA. Read only; our decisions are summaries (VSA).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::predicate::{Members, Predicate};
use super::{ResourceDescriptor, StatementError};

/// A simple verification result.
pub const SVR: &str = "https://in-toto.io/attestation/svr/v0.2";

/// The predicate of svr v0.2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SimpleVerificationResult {
    /// Who verified, against what.
    pub verifier: SvrVerifier,
    /// When, RFC 3339 in UTC.
    pub time_created: String,
    /// What held.
    pub properties: Vec<String>,
    /// Members that this type does not name.
    #[serde(flatten)]
    pub extensions: Map<String, Value>,
}

/// Who verified, against what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SvrVerifier {
    /// URI of the verifier.
    pub id: String,
    /// The policies; may be empty, never absent.
    pub policies: Vec<ResourceDescriptor>,
    /// Members that this type does not name.
    #[serde(flatten)]
    pub extensions: Map<String, Value>,
}

impl Predicate for SimpleVerificationResult {
    const TYPES: &'static [&'static str] = &[SVR];
    const NAME: &'static str = "verification result";

    fn check(&self) -> Result<(), StatementError> {
        let member = Members::of::<Self>();
        member.text("verifier.id", &self.verifier.id)?;
        member.resources("verifier.policies", &self.verifier.policies)?;
        member.time("timeCreated", Some(&self.time_created))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::predicate::read;
    use super::*;

    #[test]
    fn policies_may_be_empty_but_not_absent() {
        let result = |verifier: Value| {
            read::<SimpleVerificationResult>(json!({
                "verifier": verifier, "timeCreated": "2026-01-01T00:00:00Z", "properties": ["A"],
            }))
        };
        assert!(result(json!({"id": "https://v.example", "policies": []})).is_ok());
        assert!(result(json!({"id": "https://v.example"})).unwrap_err().to_string().contains("policies"));
        assert!(result(json!({"id": "", "policies": []})).is_err());
    }
}
