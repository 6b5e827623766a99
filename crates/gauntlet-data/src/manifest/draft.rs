//! Writes the manifest that a program can write: files, hashes, sizes, rows. What only a person knows is marked.

use std::path::{Component, Path, PathBuf};

use gauntlet_core::{Limits, Tree, TreeOptions, display_path};

use gauntlet_sketch::SketchOptions;

use super::FILL_IN;
use crate::facts::Format;
use crate::profiling::{ReadOptions, profile_of, sketch_sha256};
use crate::table::{format_of, open_all};

/// Why a draft could not be written.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// A data file does not lie in the manifest's folder or below.
    #[error("{} does not lie below the folder of the manifest, {}", path.display(), folder.display())]
    Outside {
        /// The file.
        path: PathBuf,
        /// The manifest's folder.
        folder: PathBuf,
    },
    /// A data file cannot be read.
    #[error("{path}: {what}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        what: String,
    },
    /// There is no table to draft from.
    #[error("no CSV or Parquet file to draft a contract from")]
    NoTable,
    /// The engine stopped.
    #[error("the scan stopped: {0}")]
    Scan(String),
}

/// The text of a manifest for `files` (paths relative to `root`) that is to lie at `manifest` (relative to `root` too).
/// Accepted by [`super::Manifest::parse`]; `data/manifest` fails it until a person has replaced every `FILL-IN`.
///
/// # Errors
/// [`DraftError`] when a file cannot be read or lies elsewhere.
pub fn draft_manifest(
    root: &Path,
    files: &[PathBuf],
    manifest: &Path,
    name: &str,
    limits: &Limits,
) -> Result<String, DraftError> {
    let folder = manifest.parent().unwrap_or(Path::new(""));
    let mut listed = String::new();
    for file in files {
        let relative = below(folder, file)?;
        let path = display_path(file).0;
        let unreadable = |what: String| DraftError::Unreadable { path: path.clone(), what };
        let tree =
            Tree::read(&root.join(file), &TreeOptions::default(), limits).map_err(|e| unreadable(e.to_string()))?;
        let [found] = tree.files.as_slice() else { return Err(unreadable("is no single file".to_owned())) };
        let hash = found.sha256(&tree.root).map_err(|e| unreadable(e.to_string()))?;
        listed.push_str(&format!(
            "  - path: {}\n    sha256: {}\n    size: {}\n",
            quoted(&relative),
            hex::encode(hash),
            found.size
        ));
        if format_of(file) != Format::Other {
            let rows =
                open_all(root, std::slice::from_ref(file), limits).and_then(|table| crate::scan::count_rows(&table))?;
            listed.push_str(&format!("    rows: {rows}\n"));
        }
    }
    let fingerprint = fingerprint(root, files, limits)?;
    Ok(format!(
        "# Where this data comes from and what it may be used for. Drafted by `gauntlet`: a person has to replace\n\
         # every {FILL_IN}; until then the check data/manifest fails.\n\
         gauntlet_dataset: 1\n\
         name: {}\n\
         version: \"1\"\n\
         files:\n{listed}{fingerprint}\
         source:\n\
         \x20 uri: {FILL_IN}             # where the data comes from, such as https://… or urn:…\n\
         \x20 collected: [{FILL_IN}, {FILL_IN}]   # first and last day, YYYY-MM-DD\n\
         \x20 method: {FILL_IN}          # how it was collected\n\
         license:\n\
         \x20 spdx: {FILL_IN}            # SPDX expression such as CC-BY-4.0, or LicenseRef-…\n\
         consent:\n\
         \x20 basis: {FILL_IN}           # consent, contract, legal, public or synthetic\n\
         \x20 record: {FILL_IN}          # URI of the record that proves it; remove the line for public or synthetic data\n\
         \x20 purposes: [{FILL_IN}]      # what it may be used for, such as train\n\
         \x20 expires: {FILL_IN}         # last day of use, YYYY-MM-DD; `never` unless the basis is consent\n\
         # column and allowed           (under consent) per-row consent; expires_column for a last day per row\n\
         personal_data:\n\
         \x20 columns: {{}}                # column: plain, hashed, masked, encrypted or tokenised\n",
        quoted(name)
    ))
}

/// What identifies the content, where it does not depend on types that a contract gives to texts.
fn fingerprint(root: &Path, files: &[PathBuf], limits: &Limits) -> Result<String, DraftError> {
    let table = match open_all(root, files, limits) {
        Ok(table) if table.columns.iter().all(|column| !column.text_file) => table,
        // Files that form no table together are listed all the same.
        _ => return Ok(String::new()),
    };
    let profile = profile_of(&table, &ReadOptions::default(), &SketchOptions::default())
        .map_err(|error| DraftError::Scan(error.to_string()))?;
    Ok(format!(
        "fingerprint:\n  content_hash: {}\n  sketch_sha256: {}\n",
        quoted(&profile.content.to_string()),
        sketch_sha256(&profile)
    ))
}

/// `file` relative to `folder`.
fn below(folder: &Path, file: &Path) -> Result<String, DraftError> {
    let clean = |path: &Path| path.components().filter(|c| *c != Component::CurDir).collect::<PathBuf>();
    let outside = || DraftError::Outside { path: file.to_owned(), folder: folder.to_owned() };
    let inner = clean(file).strip_prefix(clean(folder)).map(Path::to_owned).map_err(|_| outside())?;
    inner.to_str().map(str::to_owned).ok_or_else(outside)
}

/// A YAML scalar that reads back as this text whatever it holds: JSON strings are YAML.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
