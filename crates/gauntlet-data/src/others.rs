//! The tables that foreign keys of a contract refer to: opened only when their bytes are those that the configuration names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gauntlet_core::{Limits, SkipCode, Tree, TreeOptions};
use serde::Deserialize;

use crate::config::SideRef;
use crate::scan::Others;
use crate::table::{Problem, Table, open_all};

/// Another table of the configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct OtherRef {
    /// What the contract calls it.
    pub(crate) table: String,
    /// Its files.
    pub(crate) files: Vec<SideRef>,
}

/// Opens them; what cannot be opened is a problem, and the rules that need it cannot be judged.
pub(crate) fn open(root: &Path, references: &[OtherRef], limits: &Limits) -> (Others, Vec<Problem>) {
    let (mut others, mut problems) = (Others::new(), Vec::new());
    for reference in references {
        let problem =
            |path: &str, code, what: String| Problem { path: path.to_owned(), code, what, rows: 0, schema: false };
        let changed = reference.files.iter().find_map(|file| match digest(root, file, limits) {
            Ok(seen) if seen.eq_ignore_ascii_case(&file.sha256) => None,
            Ok(_) => Some(problem(&file.path, SkipCode::Changed, "changed since the run began".to_owned())),
            Err(what) => Some(problem(&file.path, SkipCode::Unreadable, what)),
        });
        if let Some(changed) = changed {
            problems.push(changed);
            continue;
        }
        let files: Vec<PathBuf> = reference.files.iter().map(|file| PathBuf::from(&file.path)).collect();
        match open_all(root, &files, limits) {
            Ok(table) => {
                others.insert(reference.table.clone(), table);
            }
            Err(error) => problems.push(problem(&reference.table, SkipCode::Unreadable, error.to_string())),
        }
    }
    (others, problems)
}

/// The table in one file, when its bytes are those that the configuration names.
///
/// # Errors
/// The reason in a sentence.
pub(crate) fn table(root: &Path, side: &SideRef, limits: &Limits) -> Result<Arc<Table>, String> {
    let failed = |what: String| format!("{}: {what}", side.path);
    if !digest(root, side, limits).map_err(failed)?.eq_ignore_ascii_case(&side.sha256) {
        return Err(failed("changed since the run began; run again when nothing writes to it".to_owned()));
    }
    open_all(root, &[PathBuf::from(&side.path)], limits).map_err(|e| failed(e.to_string()))
}

fn digest(root: &Path, file: &SideRef, limits: &Limits) -> Result<String, String> {
    let tree = Tree::read(&root.join(&file.path), &TreeOptions::default(), limits).map_err(|e| e.to_string())?;
    let [found] = tree.files.as_slice() else { return Err("is no single file".to_owned()) };
    found.sha256(&tree.root).map(hex::encode).map_err(|e| e.to_string())
}
