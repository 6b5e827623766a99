//! SCAI v0.3: single claims such as "no pickle opcodes" or "trained in an enclave", each with its evidence.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::predicate::{Members, Predicate};
use super::{ResourceDescriptor, StatementError};

/// Single claims about a subject.
pub const SCAI: &str = "https://in-toto.io/attestation/scai/v0.3";

/// The predicate of SCAI v0.3; v0.2, under its longer name, has the same members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttributeReport {
    /// The claims, at least one.
    pub attributes: Vec<AttributeAssertion>,
    /// Who or what made the subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub producer: Option<ResourceDescriptor>,
    /// Members that this type does not name.
    #[serde(flatten)]
    pub extensions: Map<String, Value>,
}

/// One claim.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AttributeAssertion {
    /// What is claimed.
    pub attribute: String,
    /// Of what, when not of the whole subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ResourceDescriptor>,
    /// Under which conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Map<String, Value>>,
    /// What supports it. Without, only the signer's word does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<ResourceDescriptor>,
}

impl Predicate for AttributeReport {
    const TYPES: &'static [&'static str] = &[SCAI, "https://in-toto.io/attestation/scai/attribute-report/v0.2"];
    const NAME: &'static str = "attribute report";

    fn check(&self) -> Result<(), StatementError> {
        let member = Members::of::<Self>();
        if self.attributes.is_empty() {
            return Err(member.wrong("attributes", "is empty"));
        }
        for (index, claim) in self.attributes.iter().enumerate() {
            member.text(&format!("attributes[{index}].attribute"), &claim.attribute)?;
            for (name, resource) in [("target", &claim.target), ("evidence", &claim.evidence)] {
                if let Some(resource) = resource {
                    member.resource(&format!("attributes[{index}].{name}"), resource)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::predicate::read;
    use super::*;

    #[test]
    fn a_report_holds_at_least_one_claim() {
        let claim = json!({"attributes": [{"attribute": "NO_PICKLE", "conditions": {"depth": 3}, "evidence": null}]});
        assert_eq!(read::<AttributeReport>(claim).unwrap().attributes[0].attribute, "NO_PICKLE");
        for broken in [
            json!({"attributes": []}),
            json!({"attributes": [{"attribute": " "}]}),
            json!({"attributes": [{"attribute": "A", "evidence": {"name": "report"}}]}),
            json!({"attributes": [{"attribute": "A", "conditions": "often"}]}),
        ] {
            assert!(read::<AttributeReport>(broken.clone()).is_err(), "{broken}");
        }
    }
}
