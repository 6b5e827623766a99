//! The seam between reading and judging: an [`Extractor`] turns bytes into facts, a [`Check`] turns facts into findings.

use std::path::Path;

use gauntlet_limits::Limits;
use jiff::Timestamp;
use serde_json::Value;

use crate::facts::{FactRow, Facts};
use crate::finding::Draft;
use crate::masked::MaskKey;
use crate::metric::{Figure, Metric};
use crate::relation::Relation;
use crate::report::{Coverage, Input};
use crate::rule::RuleInfo;
use crate::stage::Stage;
use crate::subject::Subject;
use crate::tree::{Tree, TreeFile};

/// One gate: one reader of its subjects and the checks that judge what was read.
pub struct Gate {
    /// Reads subjects.
    pub extractor: &'static dyn Extractor,
    /// Judges facts; one line a check.
    pub checks: &'static [&'static dyn Check],
}

/// Turns the bytes of a subject into typed facts. The only layer that touches the subject; it never judges.
pub trait Extractor: Send + Sync {
    /// Stable name, such as `artifact`.
    fn name(&self) -> &'static str;

    /// Raised whenever the same bytes would give other facts: stored facts of another version are not used.
    fn version(&self) -> u32;

    /// Reads the target. Never fails as a whole: what could not be read is coverage.
    fn extract(&self, target: &Target<'_>, context: &Context<'_>) -> Facts;

    /// The rows of typed relations that one fact amounts to; none for kinds that no relation is about.
    ///
    /// # Errors
    /// When the fact does not have the shape of its kind: another version wrote it.
    fn relations(&self, _row: &FactRow) -> Result<Vec<Relation>, serde_json::Error> {
        Ok(Vec::new())
    }
}

/// Turns facts into findings: a pure function without files, clock or environment.
pub trait Check: Send + Sync {
    /// The constant part.
    fn info(&self) -> &'static CheckInfo;

    /// Judges. Coverage comes from the facts; what a rule could not answer is added to it here.
    fn judge(&self, facts: &Facts, judging: &Judging<'_>) -> Judgement;

    /// Inputs besides subject and configuration, such as `evaluation-date`. They are part of the report and of the cache key.
    fn inputs(&self, _facts: &Facts, _judging: &Judging<'_>) -> Vec<Input> {
        Vec::new()
    }
}

/// The constant part of a check.
#[derive(Debug)]
pub struct CheckInfo {
    /// `area/name`, stable.
    pub id: &'static str,
    /// Raised whenever the same facts would give another report.
    pub version: u32,
    /// Where it belongs.
    pub stage: Stage,
    /// The question it asks, in a few words.
    pub title: &'static str,
    /// Its rules.
    pub rules: &'static [RuleInfo],
    /// Its manual page (Markdown), with a section for each rule.
    pub page: &'static str,
}

impl CheckInfo {
    /// The rule called `name` (last part of its id). A check names its rules in one table, so a missing one is a slip
    /// that the registry's test finds.
    #[must_use]
    pub fn rule(&self, name: &str) -> Option<&'static RuleInfo> {
        self.rules.iter().find(|rule| rule.id.rsplit('/').next() == Some(name))
    }
}

/// What an extractor reads.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// The subject, already named by digest.
    pub subject: &'a Subject,
    /// The folder that paths are relative to.
    pub root: &'a Path,
    /// The subject's files, links and what the walk could not enter.
    pub tree: &'a Tree,
    /// The gate's configuration for this subject as canonical JSON. Side files that are read (manifest, contract) stand in
    /// it as `{"path": …, "sha256": …}`, with the path relative to `root`.
    pub config: &'a Value,
}

/// What an extractor needs besides the target.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Budget for untrusted bytes.
    pub limits: &'a Limits,
    /// Masks values of people and secrets before they become facts.
    pub mask: &'a MaskKey,
    /// Where to say how far it is.
    pub progress: &'a dyn Progress,
}

/// Listens to how far a run is.
pub trait Progress: Send + Sync {
    /// `file` is done.
    fn file_done(&self, file: &TreeFile);
}

/// Listens to nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn file_done(&self, _file: &TreeFile) {}
}

/// What a check may know besides the facts.
#[derive(Clone, Copy)]
pub struct Judging<'a> {
    /// The gate's configuration for this subject.
    pub config: &'a Value,
    /// The date of the evaluation; whoever uses it names it in [`Check::inputs`].
    pub now: Timestamp,
}

/// What a check concluded.
#[derive(Debug, Default)]
pub struct Judgement {
    /// What was seen.
    pub findings: Vec<Draft>,
    /// What was measured.
    pub metrics: Vec<Metric>,
    /// What to draw.
    pub figures: Vec<Figure>,
    /// Questions the rules could not answer, on top of the extractor's coverage.
    pub coverage: Coverage,
}
