//! The answer of one check about one subject.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::Digest;
use crate::finding::Finding;
use crate::metric::{Figure, Metric};
use crate::severity::{Severity, Verdict};
use crate::subject::Subject;

/// A declared input of a check, named by digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Input {
    /// What it is, such as `manifest` or `evaluation-date`.
    pub name: String,
    /// Its digest.
    pub digest: Digest,
}

/// Why something was not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SkipCode {
    /// The configuration excludes it.
    Excluded,
    /// It is of no concern to this check, or looked at under another name.
    Ignored,
    /// The system refused to read it.
    Unreadable,
    /// It ends before it should.
    Truncated,
    /// It does not follow its format.
    Malformed,
    /// A limit was hit.
    Limit,
    /// It is encrypted.
    Encrypted,
    /// A format we recognise or suspect and cannot read.
    Unsupported,
    /// A socket, pipe or device.
    SpecialFile,
    /// A link that leaves the subject, dangles or goes round in a circle.
    Link,
    /// It changed while it was read.
    Changed,
}

impl SkipCode {
    const ALL: [(Self, &'static str); 11] = [
        (Self::Excluded, "excluded"),
        (Self::Ignored, "ignored"),
        (Self::Unreadable, "unreadable"),
        (Self::Truncated, "truncated"),
        (Self::Malformed, "malformed"),
        (Self::Limit, "limit"),
        (Self::Encrypted, "encrypted"),
        (Self::Unsupported, "unsupported"),
        (Self::SpecialFile, "special-file"),
        (Self::Link, "link"),
        (Self::Changed, "changed"),
    ];

    /// The word in front of the colon.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(code, _)| *code == self).map_or("unreadable", |(_, word)| word)
    }

    /// Whether the question is answered all the same: excluded on purpose, or none of this check's business.
    #[must_use]
    pub fn answered(self) -> bool {
        matches!(self, Self::Excluded | Self::Ignored)
    }
}

/// A [`SkipCode`] with details, written `limit: limit `steps` reached (20000000)`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "String")]
pub struct SkipReason {
    /// The class of reason.
    pub code: SkipCode,
    /// What exactly; may be empty.
    pub detail: String,
}

impl SkipReason {
    /// A reason with details.
    pub fn new(code: SkipCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.detail.is_empty() {
            f.write_str(self.code.as_str())
        } else {
            write!(f, "{}: {}", self.code.as_str(), self.detail)
        }
    }
}

impl FromStr for SkipReason {
    type Err = std::convert::Infallible;

    /// A word we do not know counts as unreadable: an unknown reason must not turn into an answer.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (word, detail) = text.split_once(": ").unwrap_or((text, ""));
        Ok(match SkipCode::ALL.iter().find(|(_, known)| *known == word) {
            Some((code, _)) => Self::new(*code, detail),
            None => Self::new(SkipCode::Unreadable, text),
        })
    }
}

impl Serialize for SkipReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SkipReason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Something that was not looked at, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Skipped {
    /// Path of the file; empty for the subject as a whole.
    pub path: String,
    /// Member of a container.
    pub member: Option<String>,
    /// Why.
    pub reason: SkipReason,
}

/// What a check looked at and what not. Not looked at is never shown as clean.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Coverage {
    /// Files (or tables) that were looked at to the end.
    pub looked_at: u64,
    /// The rest.
    pub skipped: Vec<Skipped>,
}

impl Coverage {
    /// Notes one thing that was not looked at.
    pub fn skip(&mut self, path: impl Into<String>, member: Option<String>, code: SkipCode, detail: impl Into<String>) {
        self.skipped.push(Skipped { path: path.into(), member, reason: SkipReason::new(code, detail) });
    }

    /// Whether every declared question was answered.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.skipped.iter().all(|s| s.reason.code.answered())
    }

    /// Adds what another pass looked at.
    pub fn merge(&mut self, other: Self) {
        self.looked_at += other.looked_at;
        self.skipped.extend(other.skipped);
    }
}

/// The answer of one check about one subject: a function of the declared inputs and the check's version, nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Check id, such as `artifact/pickle`.
    pub check: String,
    /// Version of the check's rules.
    pub check_version: u32,
    /// Digest of the configuration it ran under.
    pub config_digest: Digest,
    /// What was judged.
    pub subject: Subject,
    /// Everything else that went in.
    pub inputs: Vec<Input>,
    /// The answer.
    pub verdict: Verdict,
    /// Worst first, suppressed last.
    pub findings: Vec<Finding>,
    /// What was measured.
    pub metrics: Vec<Metric>,
    /// What was looked at.
    pub coverage: Coverage,
    /// What to draw.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<Figure>,
}

impl Report {
    /// The verdict that findings, metrics and coverage amount to.
    #[must_use]
    pub fn judge(findings: &[Finding], metrics: &[Metric], coverage: &Coverage) -> Verdict {
        let from_findings = findings.iter().filter(|f| f.suppressed.is_none()).map(|f| match f.severity {
            Severity::Critical | Severity::High => Verdict::Fail,
            Severity::Medium | Severity::Low => Verdict::Warn,
            Severity::Info => Verdict::Pass,
        });
        let from_metrics = metrics.iter().map(|m| if m.missed() { Verdict::Fail } else { Verdict::Pass });
        let from_coverage = if coverage.complete() { Verdict::Pass } else { Verdict::Error };
        from_findings.chain(from_metrics).chain([from_coverage]).max().unwrap_or(Verdict::Pass)
    }

    /// Findings that count.
    pub fn open_findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|f| f.suppressed.is_none())
    }
}

/// Totals of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Unsuppressed findings of this severity.
    pub critical: u64,
    /// Unsuppressed findings of this severity.
    pub high: u64,
    /// Unsuppressed findings of this severity.
    pub medium: u64,
    /// Unsuppressed findings of this severity.
    pub low: u64,
    /// Unsuppressed findings of this severity.
    pub info: u64,
    /// Files of all subjects, each counted once.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Summary {
    /// Counts unsuppressed findings.
    #[must_use]
    pub fn of<'a>(reports: impl IntoIterator<Item = &'a Report>, files: u64, bytes: u64) -> Self {
        let mut sum = Self { files, bytes, ..Self::default() };
        for finding in reports.into_iter().flat_map(Report::open_findings) {
            *match finding.severity {
                Severity::Critical => &mut sum.critical,
                Severity::High => &mut sum.high,
                Severity::Medium => &mut sum.medium,
                Severity::Low => &mut sum.low,
                Severity::Info => &mut sum.info,
            } += 1;
        }
        sum
    }

    /// All findings together.
    #[must_use]
    pub fn findings(&self) -> u64 {
        self.critical + self.high + self.medium + self.low + self.info
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_reason_is_unanswered() {
        let reason: SkipReason = "too shiny: really".parse().unwrap();
        assert!(!reason.code.answered());
        assert_eq!(reason.detail, "too shiny: really");
    }

    #[test]
    fn reasons_round_trip() {
        for (code, _) in SkipCode::ALL {
            for detail in ["", "a: b"] {
                let reason = SkipReason::new(code, detail);
                assert_eq!(reason.to_string().parse::<SkipReason>().unwrap(), reason);
            }
        }
    }

    #[test]
    fn an_unread_file_is_never_a_pass() {
        let mut coverage = Coverage { looked_at: 5, ..Coverage::default() };
        coverage.skip("a", None, SkipCode::Excluded, "");
        assert_eq!(Report::judge(&[], &[], &coverage), Verdict::Pass);
        coverage.skip("b", None, SkipCode::Limit, "steps");
        assert_eq!(Report::judge(&[], &[], &coverage), Verdict::Error);
    }
}
