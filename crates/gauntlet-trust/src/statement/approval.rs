//! An approval: a person answers, in a role, for a subject going to an environment.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::StatementError;
use super::predicate::{Members, Predicate};

/// An approval of exactly the statement's subjects.
pub const APPROVAL: &str = "https://gauntlet.example/approval/v1";

/// The predicate of an approval. Who approved is told by the signature, not by a member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// Approved as; the trust policy must give the signer this role.
    pub role: String,
    /// For which environment.
    pub environment: String,
    /// When it was given, RFC 3339 in UTC: the signer's word.
    pub issued: String,
    /// When it ends, RFC 3339 in UTC; absent for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Members that this type does not name.
    #[serde(flatten)]
    pub extensions: Map<String, Value>,
}

impl Predicate for Approval {
    const TYPES: &'static [&'static str] = &[APPROVAL];
    const NAME: &'static str = "approval";

    fn check(&self) -> Result<(), StatementError> {
        let member = Members::of::<Self>();
        member.text("role", &self.role)?;
        member.text("environment", &self.environment)?;
        member.time("issued", Some(&self.issued))?;
        member.time("expires", self.expires.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::predicate::read;
    use super::*;

    #[test]
    fn role_environment_and_times_are_required() {
        let good = json!({"role": "security", "environment": "production", "issued": "2026-01-01T00:00:00Z"});
        assert!(read::<Approval>(good.clone()).is_ok());
        for (member, wrong) in
            [("role", json!("")), ("environment", json!(null)), ("issued", json!("today")), ("expires", json!("never"))]
        {
            let mut value = good.clone();
            value[member] = wrong;
            assert!(read::<Approval>(value).unwrap_err().to_string().contains("approval"), "{member}");
        }
    }
}
