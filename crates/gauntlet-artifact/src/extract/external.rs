//! Files that a model keeps its weights in: whose they are, and whether they are as long as the model says.

use std::collections::{BTreeMap, BTreeSet};

use gauntlet_core::{Facts, Location, SkipCode, SkipReason, Tree};

use super::NO_FORMAT;
use crate::checks::{ARCHIVE, ONNX};
use crate::facts::{CoremlFact, ExternalRangeFact, OnnxFact, OpenvinoFact, TfjsFact};

/// Notes what only the files of a subject together can tell.
pub(super) fn note(facts: &mut Facts, tree: &Tree) {
    note_ranges(facts, tree);
    note_owned(facts);
}

/// Holds where tensors are said to lie against the size of the file that they lie in.
fn note_ranges(facts: &mut Facts, tree: &Tree) {
    let sizes: BTreeMap<String, u64> =
        tree.files.iter().filter_map(|file| Some((Location::file(&file.path).path?, file.size))).collect();
    let mut found: Vec<(Location, ExternalRangeFact)> = Vec::new();
    for (location, fact) in facts.of::<OnnxFact>().flatten() {
        let (Some(path), None, OnnxFact::Model { facts: model, .. }) = (&location.path, &location.member, &fact) else {
            continue;
        };
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut worst: BTreeMap<String, ExternalRangeFact> = BTreeMap::new();
        for external in model.external.iter().filter(|external| external.problems.is_empty()) {
            let name = external.location.trim_start_matches("./");
            let file = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
            let Some(size) = sizes.get(&file) else { continue };
            // Without a length the tensor goes to the end of the file, and needs what its type and dimensions ask for.
            let length = external.length.or(external.expected.map(i128::from)).unwrap_or(0);
            let end = external.offset.unwrap_or(0).saturating_add(length);
            if end <= i128::from(*size) {
                continue;
            }
            let end = u64::try_from(end).unwrap_or(u64::MAX);
            let seen = worst.entry(file.clone()).or_insert_with(|| ExternalRangeFact {
                file,
                tensor: external.tensor.clone(),
                end,
                size: *size,
                tensors: 0,
            });
            seen.tensors += 1;
            if end > seen.end {
                (seen.end, seen.tensor) = (end, external.tensor.clone());
            }
        }
        found.extend(worst.into_values().map(|fact| (location.clone(), fact)));
    }
    for (location, fact) in found {
        facts.push(ONNX, location, &fact);
    }
}

/// Raw weights that a model of this subject names are no open question: they are numbers of that model.
fn note_owned(facts: &mut Facts) {
    let mut named = BTreeSet::new();
    let mut beside = |location: &Location, names: &mut dyn Iterator<Item = &String>| {
        let (Some(path), None) = (&location.path, &location.member) else { return };
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for name in names.filter(|name| !name.split('/').any(|part| part == "..")) {
            let name = name.trim_start_matches("@model_path/").trim_start_matches("./");
            named.insert(if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") });
        }
    };
    for (location, fact) in facts.of::<TfjsFact>().flatten() {
        beside(location, &mut fact.paths.iter());
    }
    for (location, CoremlFact(fact)) in facts.of::<CoremlFact>().flatten() {
        beside(location, &mut fact.files.iter());
    }
    for (location, fact) in facts.of::<OnnxFact>().flatten() {
        let (Some(path), None, OnnxFact::Model { facts: model, .. }) = (&location.path, &location.member, &fact) else {
            continue;
        };
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for external in model.external.iter().filter(|external| external.problems.is_empty()) {
            let name = external.location.trim_start_matches("./");
            named.insert(if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") });
        }
    }
    for (location, OpenvinoFact(_)) in facts.of::<OpenvinoFact>().flatten() {
        if let (Some(path), None) = (&location.path, &location.member) {
            named.extend(path.strip_suffix(".xml").map(|stem| format!("{stem}.bin")));
        }
    }
    for skipped in &mut facts.coverage_mut(ARCHIVE).skipped {
        let raw = skipped.member.is_none() && skipped.reason.code == SkipCode::Unsupported;
        if raw && skipped.reason.detail == NO_FORMAT && named.contains(&skipped.path) {
            skipped.reason = SkipReason::new(SkipCode::Ignored, "weights of the model that names them");
        }
    }
}
