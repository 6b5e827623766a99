//! What others declare of a table's columns: a Feast repository, an MLflow model signature, a TFX schema. Read, never run.

mod feast;
mod mlflow;
mod textproto;
mod tfx;

use std::io::Read;
use std::path::Path;

use gauntlet_core::{Limits, SkipCode, Tree, TreeOptions, open_regular};
use serde::{Deserialize, Serialize};

use crate::config::{SideRef, read};
use crate::facts::{Lines, SideFile};
use crate::manifest::Class;

/// Columns of one definition; a longer one is refused.
const MAX_COLUMNS: usize = 10_000;
/// Largest file of a Feast repository that is read.
const MAX_FILE: u64 = 1 << 20;
/// Most files of one.
const MAX_FILES: usize = 500;

/// A definition of columns that lies outside of the manifest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeclaredSchema {
    /// Who declares: `the Feast repository`, `the MLflow signature`, `the TFX schema`.
    pub origin: String,
    /// The columns, by name.
    pub columns: Vec<DeclaredColumn>,
    /// The column to be predicted, where the definition says so.
    pub label: Option<String>,
}

/// One declared column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeclaredColumn {
    /// Its name.
    pub name: String,
    /// Word of the contract's vocabulary for its type; `None` where the definition leaves it open.
    pub family: Option<String>,
    /// Whether every table has to have it.
    pub required: bool,
    /// Its class, from a tag or annotation.
    pub class: Option<Class>,
    /// Where it stands.
    pub line: Option<u64>,
}

/// Why a definition could not be read, and where.
pub(crate) type Problem = (Option<u64>, String);

/// Reads a definition by what its name says it is: `MLmodel` and JSON are MLflow's, `.pbtxt` is TFX's.
///
/// # Errors
/// Each problem with its line.
pub fn read_declared(name: &str, bytes: &[u8], limits: &Limits) -> Result<DeclaredSchema, Vec<(Option<u64>, String)>> {
    let text = std::str::from_utf8(bytes).map_err(|e| one(None, format!("is not UTF-8 (byte {})", e.valid_up_to())))?;
    let file = name.rsplit('/').next().unwrap_or(name);
    let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    let schema = match ending.as_str() {
        "pbtxt" | "textproto" => tfx::read(text),
        "py" => feast::read(&[(name.to_owned(), text.to_owned())], limits),
        _ if file == "MLmodel" || matches!(ending.as_str(), "json" | "yaml" | "yml") => mlflow::read(name, bytes),
        _ => Err(one(None, "is no definition that is read: a Feast repository (its folder or feature_store.yaml), an MLflow `MLmodel` or signature (JSON), a TFX `schema.pbtxt`".to_owned())),
    }?;
    finish(schema)
}

fn one(line: Option<u64>, what: String) -> Vec<Problem> {
    vec![(line, what)]
}

/// Sorts and refuses what contradicts itself.
fn finish(mut schema: DeclaredSchema) -> Result<DeclaredSchema, Vec<Problem>> {
    if schema.columns.is_empty() {
        return Err(one(None, "declares no columns".to_owned()));
    }
    if schema.columns.len() > MAX_COLUMNS {
        let what = format!("declares {} columns; at most {MAX_COLUMNS} are read", schema.columns.len());
        return Err(one(None, what));
    }
    schema.columns.sort_by(|a, b| a.name.cmp(&b.name).then(a.line.cmp(&b.line)));
    let mut merged: Vec<DeclaredColumn> = Vec::new();
    for column in schema.columns {
        match merged.last_mut().filter(|last| last.name == column.name) {
            None => merged.push(column),
            Some(last) => {
                if let (Some(a), Some(b)) = (&last.family, &column.family)
                    && a != b
                {
                    let shown: String = column.name.chars().take(64).collect();
                    return Err(one(column.line, format!("declares the column `{shown}` as {a} and as {b}")));
                }
                last.family = last.family.take().or(column.family);
                last.class = last.class.max(column.class);
                last.required |= column.required;
            }
        }
    }
    schema.columns = merged;
    Ok(schema)
}

/// Reads the definition that the configuration names: a file, or a Feast repository by its folder or its
/// `feature_store.yaml`.
pub(crate) fn side_schema(
    root: &Path,
    side: Option<&SideRef>,
    limits: &Limits,
) -> (SideFile<DeclaredSchema>, Option<(SkipCode, String)>) {
    let Some(side) = side else { return (SideFile::Missing, None) };
    let path = side.path.clone();
    let sha256 = side.sha256.to_ascii_lowercase();
    let outcome = if root.join(&side.path).is_dir() {
        match repository(&root.join(&side.path), &sha256, limits) {
            Ok(files) => feast::read(&files, limits).and_then(finish),
            Err(reason) => return (SideFile::Unread, Some(reason)),
        }
    } else {
        match read(root, side, limits) {
            Ok(bytes) => read_declared(&path, &bytes, limits),
            Err(reason) => return (SideFile::Unread, Some(reason)),
        }
    };
    match outcome {
        Ok(content) => (SideFile::Read { path, sha256, content: Box::new(content), lines: Lines::new() }, None),
        Err(problems) => (SideFile::Invalid { path, problems }, None),
    }
}

/// The Python files of a folder that has the digest `expected` (`dirHash1` over all its files).
fn repository(folder: &Path, expected: &str, limits: &Limits) -> Result<Vec<(String, String)>, (SkipCode, String)> {
    let unreadable = |error: &dyn std::fmt::Display| (SkipCode::Unreadable, error.to_string());
    let tree = Tree::read(folder, &TreeOptions::default(), limits).map_err(|e| unreadable(&e))?;
    let hashes: Vec<Option<String>> =
        tree.files.iter().map(|file| file.sha256(&tree.root).ok().map(hex::encode)).collect();
    let digest = tree.digest(&hashes);
    if !digest.iter().any(|(_, hex)| hex == expected) {
        return Err((SkipCode::Changed, "changed since the run began; run again when nothing writes to it".to_owned()));
    }
    let mut out = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.extension().is_some_and(|e| e == "py")) {
        let (path, _) = gauntlet_core::display_path(&file.path);
        if file.size > MAX_FILE || out.len() >= MAX_FILES {
            let what = format!("{path}: at most {MAX_FILES} Python files of {MAX_FILE} bytes are read");
            return Err((SkipCode::Limit, what));
        }
        let mut text = String::new();
        let handle = open_regular(&tree.root, file).map_err(|e| unreadable(&e))?;
        handle.take(MAX_FILE).read_to_string(&mut text).map_err(|e| unreadable(&format!("{path}: {e}")))?;
        out.push((path, text));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TFX: &str = "feature { name: \"age\" type: INT presence { min_fraction: 1.0 } }";

    #[test]
    fn contradictions_and_emptiness_are_refused() {
        let read = |text: &str| read_declared("schema.pbtxt", text.as_bytes(), &Limits::default());
        assert_eq!(read(TFX).unwrap().columns.len(), 1);
        assert_eq!(read(&format!("{TFX} {TFX}")).unwrap().columns.len(), 1);
        let both = format!("{TFX} feature {{ name: \"age\" type: FLOAT }}");
        assert_eq!(read(&both).unwrap_err()[0].1, "declares the column `age` as integer and as float");
        assert_eq!(read("").unwrap_err()[0].1, "declares no columns");
        assert!(read_declared("a.txt", b"x", &Limits::default()).is_err());
        assert!(read_declared("schema.pbtxt", b"\xff", &Limits::default()).is_err());
    }

    /// Truncations, flips and splices of sound definitions are answered, whatever they say.
    #[test]
    fn mutated_definitions_neither_panic_nor_hang() {
        let seeds = [
            ("schema.pbtxt", TFX.repeat(4)),
            ("MLmodel", "signature:\n  inputs: '[{\"type\": \"long\", \"name\": \"a\"}]'\n".to_owned()),
            (
                "f.py",
                "from feast import Field\nField(name='a', dtype=Int64, tags={'classification': 'secret'})\n".to_owned(),
            ),
        ];
        let mut state = 0x2545_F491_4F6C_DD1Du64;
        let mut next = move |n: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % n.max(1) as u64) as usize
        };
        for round in 0..600 {
            let (name, text) = &seeds[round % seeds.len()];
            let mut bytes = text.clone().into_bytes();
            for _ in 0..1 + next(4) {
                let at = next(bytes.len());
                match next(4) {
                    0 => bytes.truncate(at),
                    1 => bytes.splice(at..at, b"{<[\"'".iter().copied().cycle().take(1 + next(40))).for_each(drop),
                    2 if !bytes.is_empty() => bytes[at] ^= 1 << next(8),
                    _ => bytes.extend_from_slice(text.as_bytes()),
                }
            }
            let _ = read_declared(name, &bytes, &Limits::default());
        }
    }
}
