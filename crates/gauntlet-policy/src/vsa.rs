//! The decision as a SLSA Verification Summary (VSA v1, slsa.dev/spec/v1.1/verification_summary). Signing is the caller's job.

use std::collections::{BTreeMap, BTreeSet};

use gauntlet_core::{Digest, DigestSet, Verdict};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decision::Decision;
use crate::input::PolicyInput;

/// `predicateType` of the statement.
pub const VERIFICATION_SUMMARY_TYPE: &str = "https://slsa.dev/verification_summary/v1";
/// `verifier.id`: this policy engine and the meaning of its levels.
pub const VERIFIER_ID: &str = "https://gauntlet.example/policy/v1";

/// The predicate. Members as the specification names them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerificationSummary {
    /// Who decided.
    pub verifier: Verifier,
    /// When, RFC 3339.
    pub time_verified: Timestamp,
    /// What a consumer fetches, and for where.
    pub resource_uri: String,
    /// By which policy: a URI and the digest of its exact bytes.
    pub policy: PolicyReference,
    /// Every envelope that was used.
    pub input_attestations: Vec<InputAttestation>,
    /// `PASSED` or `FAILED`.
    pub verification_result: String,
    /// `GAUNTLET_<GATE>_PASSED` for every gate that passed, or `FAILED`.
    pub verified_levels: Vec<String>,
    /// Version of SLSA.
    pub slsa_version: String,
}

/// Who decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verifier {
    /// A URI.
    pub id: String,
    /// Component to version.
    pub version: BTreeMap<String, String>,
}

/// The policy that was evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyReference {
    /// Where it lies.
    pub uri: String,
    /// Its digest.
    pub digest: DigestSet,
}

/// An envelope that went into the decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputAttestation {
    /// Its place in the ledger, `ledger://17`.
    pub uri: String,
    /// Digest of its bytes.
    pub digest: DigestSet,
}

/// What a summary says besides the decision and its input.
#[derive(Clone, Debug)]
pub struct SummaryContext<'a> {
    /// Version of the program.
    pub tool_version: &'a str,
    /// What a consumer fetches, and for where: `gauntlet:churn/classifier@production`.
    pub resource_uri: &'a str,
}

impl VerificationSummary {
    /// Builds the predicate of `decision`, which was made over `input`.
    #[must_use]
    pub fn new(decision: &Decision, input: &PolicyInput, context: &SummaryContext<'_>) -> Self {
        let hex = decision.policy_digest.hex();
        let levels = if decision.allow { levels(input) } else { vec!["FAILED".to_owned()] };
        Self {
            verifier: Verifier {
                id: VERIFIER_ID.to_owned(),
                version: BTreeMap::from([("gauntlet".to_owned(), context.tool_version.to_owned())]),
            },
            time_verified: input.time,
            resource_uri: context.resource_uri.to_owned(),
            policy: PolicyReference {
                uri: format!("gauntlet:policy/{hex}"),
                digest: DigestSet::default().with(&decision.policy_digest),
            },
            input_attestations: input
                .envelopes()
                .iter()
                .map(|(index, envelope)| attestation(*index, envelope))
                .collect(),
            verification_result: if decision.allow { "PASSED" } else { "FAILED" }.to_owned(),
            verified_levels: levels,
            slsa_version: "1.1".to_owned(),
        }
    }
}

fn attestation(index: u64, envelope: &Digest) -> InputAttestation {
    InputAttestation { uri: format!("ledger://{index}"), digest: DigestSet::default().with(envelope) }
}

/// A gate passed when it gave evidence and none of it failed or stayed without answer.
fn levels(input: &PolicyInput) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut failed = BTreeSet::new();
    for evidence in input.subjects.iter().flat_map(|subject| &subject.evidence) {
        let gate = evidence.check.split('/').next().unwrap_or_default();
        seen.insert(gate);
        if !matches!(evidence.verdict, Verdict::Pass | Verdict::Warn) {
            failed.insert(gate);
        }
    }
    seen.difference(&failed)
        .map(|gate| format!("GAUNTLET_{}_PASSED", gate.to_ascii_uppercase().replace('-', "_")))
        .collect()
}
