//! Takes the rows that were found out of a dataset.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gauntlet_core::{Facts, Limits};

use super::SuspectFact;
use crate::quarantine::{QuarantineError, QuarantineOptions, Quarantined, Reject, Rows, write};
use crate::table::{open_all, place};

/// Rules whose rows are taken out. The others say something of a column, a class or a source as a whole.
const TAKEN: [&str; 9] = [
    "poisoning/label-error",
    "poisoning/one-way-flow",
    "poisoning/split-class",
    "poisoning/image-patch",
    "poisoning/trigger",
    "poisoning/outlier",
    "duplicates/exact-duplicate",
    "duplicates/conflicting-label",
    "leakage/row-overlap",
];

/// Writes the clean and the rejected part of the files, with the reasons that `facts` hold.
///
/// # Errors
/// [`QuarantineError`]; also when facts name fewer rows than were found, because the rest would pass for clean.
pub fn quarantine_suspects(
    root: &Path,
    files: &[PathBuf],
    facts: &Facts,
    folder: &Path,
    options: &QuarantineOptions,
    limits: &Limits,
) -> Result<Quarantined, QuarantineError> {
    let judge = |what: String| QuarantineError::Judge(what);
    let mut rejected: BTreeMap<(String, u64), Vec<String>> = BTreeMap::new();
    for fact in facts.of::<SuspectFact>() {
        let (_, fact) = fact.map_err(|e| judge(e.to_string()))?;
        if !TAKEN.contains(&fact.rule.as_str()) {
            continue;
        }
        if (fact.first.len() as u64) < fact.rows {
            return Err(judge(format!("{}: {} rows are too many to be taken out one by one", fact.rule, fact.rows)));
        }
        for row in fact.first {
            let reasons = rejected.entry((row.path, row.row)).or_default();
            let reason = format!("data/{}: {}", fact.rule, row.reason);
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
    }
    let table = open_all(root, files, limits).map_err(|e| judge(e.to_string()))?;
    let paths = table.files.iter().map(|file| file.path.clone()).collect();
    write(&table, &mut ByRow { paths, rejected }, folder, options)
}

/// Rejected rows by file and number.
struct ByRow {
    paths: Vec<String>,
    rejected: BTreeMap<(String, u64), Vec<String>>,
}

impl Reject for ByRow {
    fn reject(&mut self, rows: &Rows<'_>) -> Result<Vec<(usize, String)>, String> {
        let mut out = Vec::new();
        for (index, &at) in rows.places.iter().enumerate() {
            let (file, row) = place(at);
            let Some(path) = self.paths.get(file) else { continue };
            if let Some(reasons) = self.rejected.get(&(path.clone(), row)) {
                out.extend(reasons.iter().map(|reason| (index, reason.clone())));
            }
        }
        Ok(out)
    }
}
