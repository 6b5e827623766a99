//! Other people's descriptions of datasets, read and written: Croissant, Hugging Face dataset cards, DVC.
//! What they say of files is held against the files, and what they cannot say is left for a person.

mod card;
mod croissant;
mod dvc;
mod weak;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use gauntlet_core::project::expand_path;
use gauntlet_core::{Limits, Tree, TreeFile, TreeOptions, display_path};

use super::{Manifest, ManifestFile};
use crate::facts::Format;
use crate::table::format_of;

/// Most files that one description may list.
const MAX_FILES: usize = 100_000;

/// A description of a dataset in another tool's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignFormat {
    /// Croissant 1.0 and 1.1, JSON-LD.
    Croissant,
    /// Front matter of a Hugging Face dataset card.
    HuggingFace,
    /// A `.dvc` file.
    Dvc,
}

impl ForeignFormat {
    /// The format that a file's name announces.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        match ending.as_str() {
            "json" | "jsonld" => Some(Self::Croissant),
            "md" => Some(Self::HuggingFace),
            "dvc" => Some(Self::Dvc),
            _ => None,
        }
    }

    /// In words.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Croissant => "Croissant",
            Self::HuggingFace => "Hugging Face dataset card",
            Self::Dvc => "DVC",
        }
    }
}

/// Why a description could not be read, written or held against its files.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// It does not follow its format.
    #[error("{file}: {what}")]
    Malformed {
        /// The description.
        file: String,
        /// What is wrong.
        what: String,
    },
    /// A file that it describes cannot be read.
    #[error("{path}: {what}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        what: String,
    },
    /// The manifest holds what the format cannot express.
    #[error("cannot be written as {format}: {what}")]
    Inexpressible {
        /// The format.
        format: &'static str,
        /// What.
        what: String,
    },
}

fn malformed(file: &str, what: impl Into<String>) -> ForeignError {
    ForeignError::Malformed { file: file.to_owned(), what: what.into() }
}

/// A hash by MD5, as DVC and old Croissant files carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Weak {
    hex: String,
    /// DVC before version 3: line ends of texts are made one before hashing.
    dos2unix: bool,
    /// It is the hash of a list of the folder's files.
    folder: bool,
}

/// A description as it was read, before any file was looked at.
#[derive(Debug)]
struct Described {
    manifest: Manifest,
    weak: BTreeMap<String, Weak>,
    /// Patterns of files, with their split.
    patterns: Vec<(String, Option<String>)>,
    notes: Vec<String>,
}

impl Described {
    fn new() -> Self {
        Self { manifest: Manifest::empty(), weak: BTreeMap::new(), patterns: Vec::new(), notes: Vec::new() }
    }
}

/// How far a file is the one that a description speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// SHA-256 agrees.
    Verified,
    /// MD5 agrees, which an attacker can arrange.
    Weak,
    /// There is no hash to compare with.
    Unverifiable,
    /// Hash or size differ.
    Mismatch,
    /// It is not there.
    Missing,
}

/// One file held against its description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignFile {
    /// Path relative to the folder of the description.
    pub path: String,
    /// The outcome.
    pub state: FileState,
    /// In words.
    pub what: String,
}

/// A manifest made from another tool's description.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The manifest. Files without a hash that somebody vouches for have no SHA-256.
    pub manifest: Manifest,
    /// File by file.
    pub files: Vec<ForeignFile>,
    /// What could not be taken over, and what is weak.
    pub notes: Vec<String>,
}

/// Reads the description `file` in `folder` and holds the files that it names against it.
///
/// # Errors
/// [`ForeignError`] when it does not follow its format or a file cannot be read. Files that differ are no error.
pub fn import_manifest(
    format: ForeignFormat,
    folder: &Path,
    file: &str,
    bytes: &[u8],
    limits: &Limits,
) -> Result<Imported, ForeignError> {
    let mut described = read(format, file, bytes)?;
    if described.manifest.files.len() > MAX_FILES {
        return Err(malformed(file, format!("lists more than {MAX_FILES} files")));
    }
    expand(&mut described, folder, file)?;
    let mut files = Vec::new();
    let mut listed = Vec::new();
    for entry in std::mem::take(&mut described.manifest.files) {
        let weak = described.weak.get(&entry.path);
        if weak.is_some_and(|weak| weak.folder) {
            let weak = weak.cloned().unwrap_or(Weak { hex: String::new(), dos2unix: false, folder: true });
            listed.extend(open_folder(folder, &entry, &weak, limits, &mut files)?);
        } else {
            listed.push(check(folder, entry, weak, limits, &mut files)?);
        }
    }
    described.manifest.files = listed;
    if files.iter().any(|f| f.state == FileState::Weak) {
        described.notes.push(
            "MD5 is weak: it shows damage, not tampering; the SHA-256 was made from the files as they lie here"
                .to_owned(),
        );
    }
    Ok(Imported { manifest: described.manifest, files, notes: described.notes })
}

/// Reads a description alone; nothing else is opened.
fn read(format: ForeignFormat, file: &str, bytes: &[u8]) -> Result<Described, ForeignError> {
    match format {
        ForeignFormat::Croissant => croissant::read(file, bytes),
        ForeignFormat::HuggingFace => card::read(file, bytes),
        ForeignFormat::Dvc => dvc::read(file, bytes),
    }
}

/// Whether a description can be read by itself; what fuzzing asks.
#[must_use]
pub fn foreign_is_readable(format: ForeignFormat, bytes: &[u8]) -> bool {
    read(format, "x", bytes).is_ok()
}

/// Writes a manifest in another tool's format. `columns` are names with words of the contract's vocabulary for types.
/// Files are read where the format wants a hash that the manifest has not.
///
/// # Errors
/// [`ForeignError`] when the format cannot express the manifest, or a file cannot be read.
pub fn export_manifest(
    format: ForeignFormat,
    manifest: &Manifest,
    columns: &[(String, String)],
    folder: &Path,
) -> Result<String, ForeignError> {
    match format {
        ForeignFormat::Croissant => croissant::write(manifest, columns),
        ForeignFormat::HuggingFace => card::write(manifest, columns),
        ForeignFormat::Dvc => dvc::write(manifest, folder),
    }
}

/// Turns patterns into the files that they match here.
fn expand(described: &mut Described, folder: &Path, file: &str) -> Result<(), ForeignError> {
    for (pattern, split) in std::mem::take(&mut described.patterns) {
        let Some(clean) = inside(&pattern) else {
            return Err(malformed(file, format!("`{}` leads out of its folder", shown(&pattern))));
        };
        let clean = clean.to_string_lossy().into_owned();
        let found = if clean.contains(['*', '?']) {
            let located = gauntlet_core::yaml::Located { value: clean, line: 0, column: 0 };
            match expand_path(folder, &located) {
                Ok(found) => found,
                Err(error) => {
                    described.notes.push(format!("the files of `{}` are not listed: {error}", shown(&pattern)));
                    continue;
                }
            }
        } else {
            vec![PathBuf::from(clean)]
        };
        for path in found {
            let path = display_path(&path).0;
            if described.manifest.files.len() > MAX_FILES {
                return Err(malformed(file, format!("`{}` matches more than {MAX_FILES} files", shown(&pattern))));
            }
            if !described.manifest.files.iter().any(|f| f.path == path) {
                described.manifest.files.push(ManifestFile {
                    path,
                    sha256: None,
                    size: None,
                    rows: None,
                    split: split.clone(),
                });
            }
        }
    }
    Ok(())
}

fn shown(text: &str) -> String {
    text.chars().take(120).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A path of a description, when it stays in its folder.
fn inside(path: &str) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(part) => out.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!out.as_os_str().is_empty()).then_some(out)
}

/// The single regular file at `path`; `None` when nothing is there.
fn single(folder: &Path, path: &Path, limits: &Limits) -> Result<Option<(Tree, TreeFile)>, ForeignError> {
    let whole = folder.join(path);
    if std::fs::symlink_metadata(&whole).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
        return Ok(None);
    }
    let unreadable = |what: String| ForeignError::Unreadable { path: display_path(path).0, what };
    let mut tree = Tree::read(&whole, &TreeOptions::default(), limits).map_err(|e| unreadable(e.to_string()))?;
    match tree.files.pop().filter(|_| tree.single_file) {
        Some(found) => Ok(Some((tree, found))),
        None => Err(unreadable("is no single file".to_owned())),
    }
}

/// Holds one file against its entry; the entry comes back with what is known.
fn check(
    folder: &Path,
    mut entry: ManifestFile,
    weak: Option<&Weak>,
    limits: &Limits,
    out: &mut Vec<ForeignFile>,
) -> Result<ManifestFile, ForeignError> {
    let mut say = |path: &str, state, what: String| out.push(ForeignFile { path: path.to_owned(), state, what });
    let Some(path) = inside(&entry.path) else {
        say(&entry.path, FileState::Missing, "leads out of the folder of its description".to_owned());
        entry.sha256 = None;
        return Ok(entry);
    };
    let Some((tree, found)) = single(folder, &path, limits)? else {
        say(&entry.path, FileState::Missing, "is not there".to_owned());
        return Ok(entry);
    };
    let unreadable = |e: std::io::Error| ForeignError::Unreadable { path: display_path(&path).0, what: e.to_string() };
    if entry.size.is_some_and(|size| size != found.size) {
        let what = format!("has {} bytes; its description says {}", found.size, entry.size.unwrap_or_default());
        say(&entry.path, FileState::Mismatch, what);
        return Ok(entry);
    }
    let hash = hex::encode(found.sha256(&tree.root).map_err(unreadable)?);
    let listed = entry.sha256.as_deref().map(|h| h.trim().to_ascii_lowercase());
    match (&listed, weak) {
        (Some(listed), _) if *listed == hash => say(&entry.path, FileState::Verified, "SHA-256 agrees".to_owned()),
        (Some(listed), _) => {
            let short = |hex: &str| hex.chars().take(16).collect::<String>();
            let what = format!("has SHA-256 {}…; its description says {}…", short(&hash), short(listed));
            say(&entry.path, FileState::Mismatch, what);
            return Ok(entry);
        }
        (None, Some(weak)) => {
            let seen = weak::of_file(&tree.root, &found, weak.dos2unix).map_err(unreadable)?;
            if seen != weak.hex {
                say(
                    &entry.path,
                    FileState::Mismatch,
                    format!("has MD5 {seen}; its description says {}", shown(&weak.hex)),
                );
                return Ok(entry);
            }
            say(&entry.path, FileState::Weak, "only MD5 vouches for it, and agrees".to_owned());
            entry.sha256 = Some(hash);
        }
        (None, None) => {
            say(&entry.path, FileState::Unverifiable, "its description has no hash".to_owned());
        }
    }
    entry.size = Some(found.size);
    Ok(entry)
}

/// The files of a folder that DVC follows as one thing.
fn open_folder(
    folder: &Path,
    entry: &ManifestFile,
    weak: &Weak,
    limits: &Limits,
    out: &mut Vec<ForeignFile>,
) -> Result<Vec<ManifestFile>, ForeignError> {
    let mut say = |state, what: String| out.push(ForeignFile { path: entry.path.clone(), state, what });
    let Some(path) = inside(&entry.path).filter(|path| folder.join(path).is_dir()) else {
        say(FileState::Missing, "is no folder here".to_owned());
        return Ok(vec![entry.clone()]);
    };
    let unreadable = |what: String| ForeignError::Unreadable { path: entry.path.clone(), what };
    let tree =
        Tree::read(&folder.join(&path), &TreeOptions::default(), limits).map_err(|e| unreadable(e.to_string()))?;
    let hash = weak::of_folder(&tree, weak.dos2unix).map_err(|e| unreadable(e.to_string()))?;
    if hash != weak.hex {
        say(FileState::Mismatch, format!("its files have the MD5 {hash}; its description says {}", shown(&weak.hex)));
        return Ok(vec![entry.clone()]);
    }
    say(FileState::Weak, format!("only MD5 vouches for its {} files, and agrees", tree.files.len()));
    let mut listed = Vec::new();
    for file in &tree.files {
        let sha256 = file.sha256(&tree.root).map_err(|e| unreadable(e.to_string()))?;
        listed.push(ManifestFile {
            path: display_path(&path.join(&file.path)).0,
            sha256: Some(hex::encode(sha256)),
            size: Some(file.size),
            rows: None,
            split: entry.split.clone(),
        });
    }
    Ok(listed)
}

/// The media type of a data file, for formats that ask for it.
fn media_type(path: &str) -> &'static str {
    match format_of(Path::new(path)) {
        Format::Csv if path.to_ascii_lowercase().ends_with(".tsv") => "text/tab-separated-values",
        Format::Csv => "text/csv",
        Format::Parquet => "application/x-parquet",
        _ if path.ends_with(".jsonl") => "application/jsonlines",
        _ if path.ends_with(".json") => "application/json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests;
