//! A dataset given by path, before one gate.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use gauntlet_core::{
    DigestSet, Gate, Limits, MaskKey, Severity, Stage, Subject, SubjectKind, Tree, TreeOptions, display_path,
};
use serde_json::Value;

use crate::cli::{Global, OutputArgs};
use crate::commands;
use crate::exit::{Exit, UsageError};
use crate::hashing::hash_tree;
use crate::judge::{self, Bench, Judged};
use crate::plan::{self, Task};
use crate::progress::Meter;
use crate::result::{self, RunResult};

/// The files at these paths, named as the user named them.
pub(crate) fn files(paths: &[PathBuf], limits: &Limits) -> anyhow::Result<Tree> {
    let mut whole = Tree { root: PathBuf::from("."), ..Tree::default() };
    for path in paths {
        if !path.exists() {
            return Err(UsageError::new(format!("{} is not there", path.display())).into());
        }
        let tree = Tree::read(path, &TreeOptions::default(), limits)?;
        let prefix = if tree.single_file { path.parent().unwrap_or(Path::new("")) } else { path };
        let tree = plan::rebase(tree, Path::new("."), prefix);
        whole.files.extend(tree.files);
        whole.links.extend(tree.links);
        whole.skipped.extend(tree.skipped);
    }
    // In the order given: the rows of a stream have one.
    let mut seen = BTreeSet::new();
    whole.files.retain(|file| seen.insert(file.path.clone()));
    Ok(whole)
}

/// Judges a dataset by one gate, prints the answer, and says whether anything is at or above `fail_on`.
pub(crate) fn judge(
    paths: &[PathBuf],
    config: Value,
    gate: &'static Gate,
    limits: &Limits,
    fail_on: Severity,
    output: &OutputArgs,
    global: &Global,
) -> anyhow::Result<Exit> {
    let (judged, answer) = judged(paths, config, gate, limits, fail_on, global)?;
    answer.deliver(judged, output, global)
}

/// What is said beside the reports.
pub(crate) struct Answer {
    started: Instant,
    files: u64,
    bytes: u64,
    exit: Exit,
}

/// As [`judge`], before anything is printed.
pub(crate) fn judged(
    paths: &[PathBuf],
    config: Value,
    gate: &'static Gate,
    limits: &Limits,
    fail_on: Severity,
    global: &Global,
) -> anyhow::Result<(Judged, Answer)> {
    let started = Instant::now();
    let meter = Meter::new(!global.quiet && !global.no_progress);
    let tree = files(paths, limits)?;
    let hashes = hash_tree(&tree, None, &meter);
    let digest = digest(&tree, &hashes);
    let (files, bytes) = (tree.files.len() as u64, tree.bytes());
    let tree = plan::note_unreadable(tree, &hashes);
    let name = paths.first().map(|path| display_path(path).0).unwrap_or_default();
    let subject = Subject { name, kind: SubjectKind::Dataset, digest };
    let task = Task { stage: Stage::Data, gate, subject, tree, config, declared: true };
    let mask = MaskKey::for_project("");
    let bench = Bench { limits, mask: &mask, now: commands::run::clock(global)?.now(), meter: &meter };
    let judged = judge::judge(&task, &bench);
    meter.finish();
    let exit = commands::scan::exit(&judged.reports, fail_on);
    Ok((judged, Answer { started, files, bytes, exit }))
}

/// Of one file its own digest, of several that of a folder: whatever order they were given in.
fn digest(tree: &Tree, hashes: &[Result<String, String>]) -> DigestSet {
    let mut files: Vec<_> = tree.files.iter().cloned().zip(plan::readable(hashes)).collect();
    files.sort_by(|(a, _), (b, _)| a.path.as_os_str().cmp(b.path.as_os_str()));
    let (files, hashes): (Vec<_>, Vec<_>) = files.into_iter().unzip();
    Tree { single_file: files.len() == 1, files, ..tree.clone() }.digest(&hashes)
}

impl Answer {
    /// Prints the reports.
    pub(crate) fn deliver(self, judged: Judged, output: &OutputArgs, global: &Global) -> anyhow::Result<Exit> {
        let mut outcome = RunResult::about(self.files, self.bytes);
        outcome.time(&judged.reports, self.started.elapsed());
        outcome.reports = judged.reports;
        result::deliver(outcome, self.started, output, global)?;
        Ok(self.exit)
    }
}
