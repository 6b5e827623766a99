//! The whole result of one command: exactly the JSON of `--format json`.

use std::collections::BTreeMap;

use gauntlet_core::{Digest, Report, Severity, Summary, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Everything one command found. A stable interface; readers ignore members they do not know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunReport {
    /// Version of this format: 1.
    pub schema: u32,
    /// Who says so.
    pub tool: Tool,
    /// The worst verdict of all reports.
    pub verdict: Verdict,
    /// The answers, in stage order.
    pub reports: Vec<Report>,
    /// The decision for each environment; empty when nothing was decided.
    pub decisions: Vec<Decision>,
    /// Totals.
    pub summary: Summary,
    /// How long it took; the only part that differs between equal runs.
    pub timing: Timing,
}

/// The program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// `gauntlet`
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The decision for one environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// Which one.
    pub environment: String,
    /// Whether the subjects may go there.
    pub allow: bool,
    /// Whether the exit status follows it.
    pub enforced: bool,
    /// Every reason for a refusal; empty exactly when allowed.
    pub reasons: Vec<Reason>,
    /// Digest of the exact policy that decided.
    pub policy_digest: Digest,
    /// Where the decision stands in the ledger.
    pub ledger_index: Option<u64>,
}

/// One reason for a refusal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// The policy rule.
    pub rule: String,
    /// What is wrong or missing.
    pub message: String,
    /// What would be needed.
    pub needs: String,
}

/// Wall-clock time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Timing {
    /// Milliseconds of the whole command.
    pub total_ms: u64,
    /// Milliseconds by check id. Checks of one gate share its reading, so each shows the whole gate.
    pub by_check: BTreeMap<String, u64>,
}

/// What formats with a rule table (SARIF) say about a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedRule {
    /// `area/check/rule-name`
    pub id: String,
    /// What is found.
    pub title: String,
    /// What to do.
    pub fix: String,
    /// Severity unless a finding says otherwise.
    pub severity: Severity,
    /// CWE, OWASP, ATLAS, CVE ids.
    pub references: Vec<String>,
}

impl RunReport {
    /// A result with its verdict and totals worked out.
    #[must_use]
    pub fn new(
        version: &str,
        reports: Vec<Report>,
        decisions: Vec<Decision>,
        files: u64,
        bytes: u64,
        timing: Timing,
    ) -> Self {
        Self {
            schema: 1,
            tool: Tool { name: "gauntlet".to_owned(), version: version.to_owned() },
            verdict: reports.iter().map(|r| r.verdict).max().unwrap_or(Verdict::Pass),
            summary: Summary::of(&reports, files, bytes),
            reports,
            decisions,
            timing,
        }
    }
}

/// The JSON Schema of `--format json`.
#[must_use]
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(RunReport)
}
