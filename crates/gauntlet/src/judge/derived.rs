//! What one gate found inside its subject and another gate judges, under the subject's own name and digest.

use std::collections::BTreeMap;
use std::path::Path;

use gauntlet_core::{Derived, Facts, Location, SkipCode, Stage, Tree, TreeOptions};
use serde_json::json;

use super::{Bench, Judged, extract, report};
use crate::gates::GATES;
use crate::plan::Task;

/// Hands each derived thing to its gate. Files of the subject's own tree that the gate sees anyway are left out.
pub(super) fn judge(task: &Task, derived: Vec<Derived>, bench: &Bench<'_>) -> Vec<(Task, Judged)> {
    let mut by_stage: BTreeMap<Stage, Vec<Derived>> = BTreeMap::new();
    for one in derived {
        // `scan` gives the whole tree to every gate; a model of a project is seen by the artifact gate alone.
        if one.location.member.is_some() || task.declared {
            by_stage.entry(one.stage).or_default().push(one);
        }
    }
    by_stage.into_iter().filter_map(|(stage, derived)| judge_stage(task, stage, &derived, bench)).collect()
}

fn judge_stage(task: &Task, stage: Stage, derived: &[Derived], bench: &Bench<'_>) -> Option<(Task, Judged)> {
    let (_, gate) = GATES.iter().find(|(known, _)| *known == stage)?;
    let mut inner = Task {
        stage,
        gate,
        subject: task.subject.clone(),
        tree: Tree::default(),
        config: json!({"derived": true}),
        declared: false,
    };
    let mut facts = match unpack(derived, bench) {
        Ok((_folder, tree)) => {
            inner.tree = tree;
            extract(&inner, bench)
        }
        // Without a place to unpack to, nothing was looked at.
        Err(why) => {
            let mut facts = Facts::new(gate.extractor.name(), gate.extractor.version());
            for check in gate.checks {
                facts.coverage_mut(check.info().id).skip("", None, SkipCode::Unreadable, why.clone());
            }
            facts
        }
    };
    relocate(&mut facts, derived);
    inner.tree = Tree::default();
    let reports = gate.checks.iter().filter_map(|check| report(&inner, *check, &facts, bench)).collect();
    Some((inner, Judged { reports, facts, derived: Vec::new() }))
}

/// Gives each thing a folder of its own, called by its number: names may be hostile, and may repeat.
fn unpack(derived: &[Derived], bench: &Bench<'_>) -> Result<(tempfile::TempDir, Tree), String> {
    let write = || -> std::io::Result<tempfile::TempDir> {
        let folder = tempfile::tempdir()?;
        for (number, one) in derived.iter().enumerate() {
            let own = folder.path().join(number.to_string());
            std::fs::create_dir(&own)?;
            std::fs::write(own.join(safe_name(&one.name)), &one.bytes)?;
        }
        Ok(folder)
    };
    let folder = write().map_err(|error| format!("cannot unpack: {error}"))?;
    let tree = Tree::read(folder.path(), &TreeOptions::default(), bench.limits);
    tree.map(|tree| (folder, tree)).map_err(|error| error.to_string())
}

/// The name without what a file system or a walk would take for something else.
fn safe_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    let name: String = name.chars().map(plain).collect();
    let tail = name.get(name.len().saturating_sub(100)..).unwrap_or("").trim_start_matches('.');
    if tail.is_empty() { "unnamed".to_owned() } else { tail.to_owned() }
}

/// Puts every fact and gap where the thing was found.
fn relocate(facts: &mut Facts, derived: &[Derived]) {
    let found = |path: &str| -> Option<&Location> {
        let number: usize = Path::new(path).iter().next()?.to_str()?.parse().ok()?;
        derived.get(number).map(|one| &one.location)
    };
    for row in &mut facts.rows {
        if let Some(location) = row.location.path.as_deref().and_then(found) {
            row.location.path.clone_from(&location.path);
            row.location.path_bytes.clone_from(&location.path_bytes);
            row.location.member.clone_from(&location.member);
        }
    }
    for skipped in facts.coverage.values_mut().flat_map(|coverage| &mut coverage.skipped) {
        if let Some(location) = found(&skipped.path) {
            skipped.path = location.path.clone().unwrap_or_default();
            skipped.member.clone_from(&location.member);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_in_their_folder() {
        assert_eq!(safe_name("../../x.py"), "_.._x.py");
        assert_eq!((safe_name(""), safe_name("..")), ("unnamed".into(), "unnamed".into()));
        assert_eq!(safe_name("...hidden.py"), "hidden.py");
        assert!(safe_name(&"a".repeat(5000)).len() <= 100);
    }
}
