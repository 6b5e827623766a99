//! One run of the program, exactly as its JSON output shows it. A stable interface: members are added, never changed.

use std::collections::BTreeMap;

use gauntlet_core::{Digest, Report, Summary, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Everything that a run found and decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunReport {
    /// Version of this document: 1.
    pub schema: u32,
    /// Who wrote it.
    pub tool: Tool,
    /// The worst verdict of all reports.
    pub verdict: Verdict,
    /// One for each check and subject.
    pub reports: Vec<Report>,
    /// One for each environment.
    pub decisions: Vec<DecisionView>,
    /// Totals.
    pub summary: Summary,
    /// How long it took. Never part of anything signed.
    pub timing: Timing,
}

/// The program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// `gauntlet`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The decision for one environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DecisionView {
    /// What it is for.
    pub environment: String,
    /// Whether the subjects may go there.
    pub allow: bool,
    /// Whether the exit status follows it.
    pub enforced: bool,
    /// Every reason against.
    pub reasons: Vec<ReasonView>,
    /// Digest of the exact policy.
    pub policy_digest: Digest,
    /// Where it stands in the ledger; null when it was not recorded.
    pub ledger_index: Option<u64>,
}

/// Why something is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReasonView {
    /// Rule id.
    pub rule: String,
    /// What is wrong.
    pub message: String,
    /// What would be needed.
    pub needs: String,
}

/// Wall-clock times in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timing {
    /// The whole run.
    pub total_ms: f64,
    /// By check id; the sum over subjects, so it may exceed the total.
    pub by_check: BTreeMap<String, f64>,
}

impl RunReport {
    /// A run of `reports`; the verdict is the worst of them, `pass` without any.
    #[must_use]
    pub fn new(
        tool: Tool,
        reports: Vec<Report>,
        decisions: Vec<DecisionView>,
        summary: Summary,
        timing: Timing,
    ) -> Self {
        let verdict = reports.iter().map(|report| report.verdict).max().unwrap_or(Verdict::Pass);
        Self { schema: 1, tool, verdict, reports, decisions, summary, timing }
    }
}

/// The JSON Schema of the document.
#[must_use]
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(RunReport)
}
