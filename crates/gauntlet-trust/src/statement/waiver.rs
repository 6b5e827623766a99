//! A waiver: a person accepts a finding for a while, in an environment, and says why.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::StatementError;
use super::predicate::{Members, Predicate};

/// A waiver for exactly the statement's subjects.
pub const WAIVER: &str = "https://gauntlet.example/waiver/v1";

/// The predicate of a waiver. It always ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiver {
    /// The rule that is waived, such as `artifact/pickle/unknown-import`.
    pub rule: String,
    /// Fingerprint of the one finding that is waived; absent: all findings of the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// For which environment.
    pub environment: String,
    /// Waived as; the trust policy must give the signer this role.
    pub role: String,
    /// Why it can be borne.
    pub reason: String,
    /// When it was given, RFC 3339 in UTC: the signer's word.
    pub issued: String,
    /// When it ends, RFC 3339 in UTC.
    pub expires: String,
    /// Members that this type does not name.
    #[serde(flatten)]
    pub extensions: Map<String, Value>,
}

impl Predicate for Waiver {
    const TYPES: &'static [&'static str] = &[WAIVER];
    const NAME: &'static str = "waiver";

    fn check(&self) -> Result<(), StatementError> {
        let member = Members::of::<Self>();
        for (name, text) in [("environment", &self.environment), ("role", &self.role), ("reason", &self.reason)] {
            member.text(name, text)?;
        }
        if !gauntlet_core::valid_rule_id(&self.rule) {
            return Err(member.wrong("rule", "is no rule id of the form area/check/rule-name"));
        }
        let hex = |text: &String| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        if self.fingerprint.as_ref().is_some_and(|text| !hex(text)) {
            return Err(member.wrong("fingerprint", "is not 64 hex digits"));
        }
        member.time("issued", Some(&self.issued))?;
        member.time("expires", Some(&self.expires))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::predicate::read;
    use super::*;

    #[test]
    fn a_waiver_names_one_rule_a_reason_and_its_end() {
        let good = json!({
            "rule": "artifact/pickle/unknown-import", "environment": "staging", "role": "security", "reason": "known",
            "issued": "2026-01-01T00:00:00Z", "expires": "2026-02-01T00:00:00Z", "fingerprint": "a".repeat(64),
        });
        assert!(read::<Waiver>(good.clone()).is_ok());
        for (member, wrong) in [
            ("rule", json!("artifact/*")),
            ("reason", json!(" ")),
            ("expires", json!(null)),
            ("expires", json!("never")),
            ("fingerprint", json!("ab")),
            ("role", json!("")),
        ] {
            let mut value = good.clone();
            value[member] = wrong;
            assert!(read::<Waiver>(value).unwrap_err().to_string().contains("waiver"), "{member}");
        }
    }
}
