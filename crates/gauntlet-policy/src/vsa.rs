//! The decision as a SLSA Verification Summary (VSA v1, slsa.dev/spec/v1.1/verification_summary). Signing is the caller's job.

use std::collections::{BTreeMap, BTreeSet};

use gauntlet_core::{Digest, DigestSet, Verdict};
use gauntlet_trust::statement::{ResourceDescriptor, VerificationResult, VerificationSummary, Verifier};
use serde_json::{Map, Value};

use crate::decision::Decision;
use crate::input::PolicyInput;

/// `verifier.id`: this policy engine and the meaning of its levels.
pub const VERIFIER_ID: &str = "https://gauntlet.example/policy/v1";

/// What a summary says besides the decision and its input.
#[derive(Clone, Debug)]
pub struct SummaryContext<'a> {
    /// Version of the program.
    pub tool_version: &'a str,
    /// What a consumer fetches, and for where: `gauntlet:churn/classifier@production`.
    pub resource_uri: &'a str,
    /// Members whose names are URIs, for what SLSA has no place for.
    pub extensions: Map<String, Value>,
}

/// The SLSA summary of `decision`, which was made over `input`.
#[must_use]
pub fn verification_summary(
    decision: &Decision,
    input: &PolicyInput,
    context: SummaryContext<'_>,
) -> VerificationSummary {
    let attestations = input.envelopes();
    VerificationSummary {
        verifier: Verifier {
            id: VERIFIER_ID.to_owned(),
            version: BTreeMap::from([("gauntlet".to_owned(), context.tool_version.to_owned())]),
        },
        time_verified: Some(input.time.to_string()),
        resource_uri: context.resource_uri.to_owned(),
        policy: resource(format!("gauntlet:policy/{}", decision.policy_digest.hex()), &decision.policy_digest),
        input_attestations: attestations
            .iter()
            .map(|(index, digest)| resource(format!("ledger://{index}"), digest))
            .collect(),
        verification_result: if decision.allow { VerificationResult::Passed } else { VerificationResult::Failed },
        verified_levels: if decision.allow { levels(input) } else { vec!["FAILED".to_owned()] },
        slsa_version: Some("1.1".to_owned()),
        extensions: context.extensions,
    }
}

fn resource(uri: String, digest: &Digest) -> ResourceDescriptor {
    ResourceDescriptor { uri: Some(uri), digest: DigestSet::default().with(digest), ..ResourceDescriptor::default() }
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
