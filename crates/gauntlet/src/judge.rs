//! One subject before one gate: read once, judge with every check, state what was not looked at.

mod derived;

use gauntlet_core::{
    Check, Context, Coverage, Digest, Facts, Input, Judging, Limits, MaskKey, Report, SkipCode, Stage, Target,
    canonical, seal,
};
use jiff::Timestamp;

use crate::plan::Task;
use crate::progress::Meter;

/// What judging needs besides the task.
pub(crate) struct Bench<'a> {
    /// Budget for untrusted bytes.
    pub(crate) limits: &'a Limits,
    /// Masks values of people and secrets.
    pub(crate) mask: &'a MaskKey,
    /// When this run judges.
    pub(crate) now: Timestamp,
    /// Where to say how far it is.
    pub(crate) meter: &'a Meter,
}

/// The answers of one gate about one subject.
pub(crate) struct Judged {
    /// One for each check that applies.
    pub(crate) reports: Vec<Report>,
    /// What the reports rest on.
    pub(crate) facts: Facts,
    /// What other gates say of things inside the subject.
    pub(crate) derived: Vec<(Task, Judged)>,
}

/// Reads the subject and judges it.
pub(crate) fn judge(task: &Task, bench: &Bench<'_>) -> Judged {
    bench.meter.step(&format!("{} {}", task.stage, task.subject.name));
    let mut facts = extract(task, bench);
    let derived = derived::judge(task, std::mem::take(&mut facts.derived), bench);
    if task.declared && task.stage == Stage::Source {
        // A repository without Python has no unsafe Python: that is an answer, and policy asks for it.
        for check in task.gate.checks {
            facts.coverage_mut(check.info().id);
        }
    }
    let mut reports: Vec<Report> =
        task.gate.checks.iter().filter_map(|check| report(task, *check, &facts, bench)).collect();
    if task.declared && reports.is_empty() {
        reports.extend(nothing_read(task, bench));
    }
    Judged { reports, facts, derived }
}

fn extract(task: &Task, bench: &Bench<'_>) -> Facts {
    let target = Target { subject: &task.subject, root: &task.tree.root, tree: &task.tree, config: &task.config };
    let context = Context { limits: bench.limits, mask: bench.mask, progress: bench.meter };
    let mut facts = task.gate.extractor.extract(&target, &context);
    facts.normalise();
    facts
}

/// The report that says that no check could read anything here: silence would look like approval.
pub(crate) fn nothing_read(task: &Task, bench: &Bench<'_>) -> Option<Report> {
    let check = task.gate.checks.first()?.info();
    let mut facts = Facts::new(task.gate.extractor.name(), task.gate.extractor.version());
    let coverage = facts.coverage_mut(check.id);
    if task.tree.files.is_empty() && task.tree.skipped.is_empty() {
        coverage.skip("", None, SkipCode::Unsupported, "there are no files here to look at");
    }
    for file in task.tree.files.iter().take(1_000) {
        let (path, _) = gauntlet_core::display_path(&file.path);
        coverage.skip(path, None, SkipCode::Unsupported, "no check can read this format");
    }
    let (findings, metrics, figures) = (Vec::new(), Vec::new(), Vec::new());
    let mut coverage = coverage.clone();
    coverage.skipped.extend(task.tree.skipped.iter().cloned());
    Some(Report {
        check: check.id.to_owned(),
        check_version: check.version,
        config_digest: config_digest(task, bench.limits),
        subject: task.subject.clone(),
        inputs: Vec::new(),
        verdict: Report::judge(&findings, &metrics, &coverage),
        findings,
        metrics,
        coverage,
        figures,
    })
}

/// Digest of everything that configures a gate for a subject.
pub(crate) fn config_digest(task: &Task, limits: &Limits) -> Digest {
    let config = serde_json::json!({"config": task.config, "limits": limits, "extractor": task.gate.extractor.name(),
        "extractor_version": task.gate.extractor.version()});
    // A JSON value with text keys always serialises.
    canonical::digest(&config).unwrap_or_else(|_| Digest::sha256(b""))
}

fn report(task: &Task, check: &dyn Check, facts: &Facts, bench: &Bench<'_>) -> Option<Report> {
    let info = check.info();
    let mut coverage: Coverage = facts.coverage.get(info.id)?.clone();
    // A check of one file format has nothing to say about a subject without such a file.
    let optional = !task.declared || task.stage == Stage::Artifact;
    if optional && coverage == Coverage::default() {
        return None;
    }
    let judging = Judging { config: &task.config, now: bench.now };
    let judgement = check.judge(facts, &judging);
    coverage.merge(judgement.coverage);
    coverage.skipped.extend(task.tree.skipped.iter().cloned());
    coverage.skipped.sort();
    coverage.skipped.dedup();
    let findings = seal(judgement.findings);
    let mut inputs = side_inputs(task);
    inputs.extend(check.inputs(facts, &judging));
    inputs.sort();
    Some(Report {
        check: info.id.to_owned(),
        check_version: info.version,
        config_digest: config_digest(task, bench.limits),
        subject: task.subject.clone(),
        inputs,
        verdict: Report::judge(&findings, &judgement.metrics, &coverage),
        findings,
        metrics: judgement.metrics,
        coverage,
        figures: judgement.figures,
    })
}

/// Side files of the configuration are declared inputs.
fn side_inputs(task: &Task) -> Vec<Input> {
    let Some(config) = task.config.as_object() else { return Vec::new() };
    config
        .iter()
        .filter_map(|(name, value)| {
            let digest = format!("sha256:{}", value.get("sha256")?.as_str()?).parse().ok()?;
            Some(Input { name: name.clone(), digest })
        })
        .collect()
}
