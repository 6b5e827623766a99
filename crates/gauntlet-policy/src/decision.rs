//! The decision: computed from what the packs answered, with every reason and what would be needed.

use gauntlet_core::{Digest, canonical};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::input::PolicyInput;
use crate::outcome::{Outcome, Violation};
use crate::pack::PolicySet;

/// Why something is refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// Rule id `area/check/rule-name`.
    pub rule: String,
    /// What is wrong.
    pub message: String,
    /// What would be needed.
    pub needs: String,
}

impl From<&Violation> for Reason {
    fn from(violation: &Violation) -> Self {
        let Violation { rule, message, needs } = violation.clone();
        Self { rule, message, needs }
    }
}

/// The answer for one environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// What it is for.
    pub environment: String,
    /// Whether the subjects may go there. True only without any reason.
    pub allow: bool,
    /// Whether this run's exit status follows it.
    pub enforced: bool,
    /// Every reason against, refusals first.
    pub reasons: Vec<Reason>,
    /// SHA-256 of the exact policy, see [`PolicySet::bytes`].
    pub policy_digest: Digest,
    /// Where it stands in the ledger, once it does.
    pub ledger_index: Option<u64>,
}

impl Decision {
    /// Computes the decision.
    #[must_use]
    pub fn new(environment: &str, enforced: bool, policy: &PolicySet, outcome: &Outcome) -> Self {
        let refusals = outcome.refusals.iter().map(Violation::from);
        let reasons: Vec<Reason> =
            refusals.map(|v| Reason::from(&v)).chain(outcome.violations.iter().map(Reason::from)).collect();
        Self {
            environment: environment.to_owned(),
            allow: outcome.allow() && reasons.is_empty(),
            enforced,
            reasons,
            policy_digest: policy.digest().clone(),
            ledger_index: None,
        }
    }

    /// Names question and answer: equal for two decisions exactly when environment, policy, input (but for the time) and
    /// answer are equal. A decision is recorded again only when this differs.
    ///
    /// # Errors
    /// When the input cannot be expressed in JSON.
    pub fn identity(&self, input: &PolicyInput) -> Result<Digest, serde_json::Error> {
        let mut input = serde_json::to_value(input)?;
        if let Some(members) = input.as_object_mut() {
            members.remove("time");
        }
        canonical::digest(&serde_json::json!({
            "environment": self.environment,
            "policy": self.policy_digest,
            "input": input,
            "allow": self.allow,
            "reasons": self.reasons,
        }))
    }
}
