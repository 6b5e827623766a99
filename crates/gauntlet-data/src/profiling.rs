//! Profiles and fingerprints of tables, outside of a gate's run.

use std::fmt::Write as _;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gauntlet_core::{Limits, Tree, TreeOptions, display_path, sha256_hex};
use gauntlet_sketch::{Profile, SketchOptions};
use serde::Serialize;

use crate::contract::Contract;
use crate::facts::Format;
use crate::manifest::DraftError;
use crate::scan::{self, Questions};
use crate::table::{Table, format_of, open_all};

/// Largest stored profile that is read.
const MAX_PROFILE: u64 = 1 << 30;

/// Why a table has no profile.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// A path does not exist or cannot be walked.
    #[error("{path}: {what}")]
    Unreadable {
        /// The file.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// No file of a table format is among the paths.
    #[error("no file of a format that is read as a table is there")]
    NoTable,
    /// A stored profile cannot be read.
    #[error("{path}: {source}")]
    Profile {
        /// The file.
        path: String,
        /// What is wrong.
        source: gauntlet_sketch::DecodeError,
    },
    /// Two tables cannot be compared as asked.
    #[error("{0}")]
    Question(String),
    /// The engine's word.
    #[error("the scan stopped: {0}")]
    Scan(String),
}

impl From<DraftError> for ProfileError {
    fn from(error: DraftError) -> Self {
        match error {
            DraftError::Unreadable { path, what } => Self::Unreadable { path, what },
            DraftError::NoTable => Self::NoTable,
            other => Self::Scan(other.to_string()),
        }
    }
}

/// How a table is read.
#[derive(Debug, Default)]
pub struct ReadOptions<'a> {
    /// Says what the cells of text files are.
    pub contract: Option<&'a Contract>,
    /// Threads; all cores without a number.
    pub partitions: Option<usize>,
}

impl ReadOptions<'_> {
    pub(crate) fn partitions(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
        self.partitions.unwrap_or_else(cores).clamp(1, 64)
    }
}

/// One file of a fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileDigest {
    /// Path as given, or below the folder given.
    pub path: String,
    /// Hex SHA-256 of the bytes.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

/// What identifies a dataset: its bytes, its content, its distributions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fingerprint {
    /// SHA-256 over the lines `sha256  size  path` of all files, sorted by path.
    pub file_set_sha256: String,
    /// Files.
    pub files: Vec<FileDigest>,
    /// Identity of the content, whatever the files' layout and format.
    pub content_hash: String,
    /// Rows.
    pub rows: u64,
    /// SHA-256 of the canonical profile.
    pub sketch_sha256: String,
}

/// The profile of the table that the files at these paths, or below them, form together. Nothing is left out: a row that
/// cannot be read is an error.
///
/// # Errors
/// When there is no table, or it cannot be read to its end.
pub fn profile(
    paths: &[PathBuf],
    read: &ReadOptions<'_>,
    sketch: &SketchOptions,
    limits: &Limits,
) -> Result<Profile, ProfileError> {
    let table = open_table(paths, read, limits)?;
    profile_of(&table, read, sketch)
}

/// The fingerprint of the table that the files at these paths, or below them, form together.
///
/// # Errors
/// As [`profile`], and when a file cannot be hashed.
pub fn fingerprint(paths: &[PathBuf], read: &ReadOptions<'_>, limits: &Limits) -> Result<Fingerprint, ProfileError> {
    let table = open_table(paths, read, limits)?;
    let profile = profile_of(&table, read, &SketchOptions::default())?;
    let mut files = Vec::new();
    for file in &table.files {
        let hash = table.sha256(file).map_err(|error| ProfileError::Unreadable {
            path: file.path.clone(),
            what: error.to_string(),
        })?;
        files.push(FileDigest { path: file.path.clone(), sha256: hex::encode(hash), size: file.tree.size });
    }
    files.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
    Ok(Fingerprint {
        file_set_sha256: file_set_sha256(&files),
        files,
        content_hash: profile.content.to_string(),
        rows: profile.rows(),
        sketch_sha256: sketch_sha256(&profile),
    })
}

/// SHA-256 over the lines `sha256  size  path\n`. Files are sorted by path already.
#[must_use]
pub fn file_set_sha256(files: &[FileDigest]) -> String {
    let mut lines = String::new();
    for file in files {
        let _ = writeln!(lines, "{}  {}  {}", file.sha256, file.size, file.path);
    }
    sha256_hex(lines.as_bytes())
}

/// SHA-256 of the canonical form of a profile.
#[must_use]
pub fn sketch_sha256(profile: &Profile) -> String {
    sha256_hex(profile.canonical_json().as_bytes())
}

/// Reads a stored profile.
///
/// # Errors
/// When the file cannot be read or is no profile.
pub fn read_profile(path: &Path) -> Result<Profile, ProfileError> {
    let name = display_path(path).0;
    let unreadable = |what: String| ProfileError::Unreadable { path: name.clone(), what };
    let size = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if size > MAX_PROFILE {
        return Err(unreadable(format!("{size} bytes; a profile has at most {MAX_PROFILE}")));
    }
    let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    Profile::from_bytes(&bytes).map_err(|source| ProfileError::Profile { path: name, source })
}

/// Stores a profile so that [`read_profile`] reads it.
///
/// # Errors
/// The system's word.
pub fn write_profile(path: &Path, profile: &Profile) -> std::io::Result<()> {
    gauntlet_core::write_durably(path, &profile.to_bytes(), 0o644)
}

/// Whether the file at `path` begins as a stored profile does.
#[must_use]
pub fn is_profile(path: &Path) -> bool {
    use std::io::Read as _;
    let mut head = Vec::new();
    let file = std::fs::File::open(path).ok().filter(|file| file.metadata().is_ok_and(|m| m.is_file()));
    file.is_some_and(|file| file.take(32).read_to_end(&mut head).is_ok()) && Profile::is_profile(&head)
}

/// Opens the table of some paths: files as they are, of folders every file of a table format.
pub(crate) fn open_table(
    paths: &[PathBuf],
    read: &ReadOptions<'_>,
    limits: &Limits,
) -> Result<Arc<Table>, ProfileError> {
    let mut files = Vec::new();
    for path in paths {
        let unreadable = |what: String| ProfileError::Unreadable { path: display_path(path).0, what };
        if path.is_dir() {
            let tree =
                Tree::read(path, &TreeOptions::default(), limits).map_err(|error| unreadable(error.to_string()))?;
            let found = tree.files.iter().filter(|file| format_of(&file.path) != Format::Other);
            files.extend(found.map(|file| path.join(&file.path)));
        } else if format_of(path) == Format::Other {
            return Err(unreadable("no format that is read as a table".to_owned()));
        } else {
            files.push(path.clone());
        }
    }
    let table = open_all(Path::new("."), &files, limits)?;
    match (read.contract, Arc::try_unwrap(table)) {
        (Some(contract), Ok(mut table)) => {
            table.apply_types(contract);
            Ok(Arc::new(table))
        }
        (_, Ok(table)) => Ok(Arc::new(table)),
        (_, Err(shared)) => Ok(shared),
    }
}

/// The profile of an open table.
pub(crate) fn profile_of(
    table: &Arc<Table>,
    read: &ReadOptions<'_>,
    sketch: &SketchOptions,
) -> Result<Profile, ProfileError> {
    let questions = Questions {
        contract: None,
        consent: None,
        sketch: Some(sketch),
        personal: false,
        partitions: read.partitions(),
    };
    let answers =
        scan::run(table, &questions).map_err(|error| ProfileError::Scan(error.to_string().chars().take(300).collect()))?;
    if let Some(problem) = answers.problems.into_iter().next() {
        return Err(ProfileError::Unreadable { path: problem.path, what: problem.what });
    }
    answers.profile.ok_or_else(|| ProfileError::Scan("no answer".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Project, parquet};

    fn read(partitions: usize) -> ReadOptions<'static> {
        ReadOptions { contract: None, partitions: Some(partitions) }
    }

    fn print(paths: &[PathBuf], read: &ReadOptions<'_>) -> Fingerprint {
        fingerprint(paths, read, &Limits::default()).unwrap()
    }

    #[test]
    fn a_profile_does_not_depend_on_threads() {
        let project = Project::new().file("a.parquet", parquet(5_000, 300)).file("b.parquet", parquet(2_000, 2_000));
        let paths = [project.root().join("data")];
        let sketch = SketchOptions { kll: Some(200), ..SketchOptions::default() };
        let bytes = |partitions| profile(&paths, &read(partitions), &sketch, &Limits::default()).unwrap().to_bytes();
        let one = bytes(1);
        for partitions in [2, 7] {
            assert_eq!(bytes(partitions), one, "{partitions}");
        }
        let stored = project.root().join("t.profile");
        let profile = Profile::from_bytes(&one).unwrap();
        write_profile(&stored, &profile).unwrap();
        assert!(is_profile(&stored) && !is_profile(&project.root().join("data/a.parquet")));
        assert_eq!(read_profile(&stored).unwrap().to_bytes(), one);
    }

    #[test]
    fn content_is_recognised_in_other_row_groups_files_and_formats() {
        let base = Project::new().file("a.parquet", parquet(1_000, 1_000));
        let chunks = Project::new().file("a.parquet", parquet(1_000, 7));
        let of = |project: &Project| print(&[project.root().join("data")], &read(2));
        let (one, other) = (of(&base), of(&chunks));
        assert_eq!((&one.content_hash, &one.sketch_sha256), (&other.content_hash, &other.sketch_sha256));
        assert_ne!(one.file_set_sha256, other.file_set_sha256);
        let shorter = Project::new().file("a.parquet", parquet(999, 1_000));
        assert_ne!(of(&shorter).content_hash, one.content_hash);

        let mut csv = "id,age,plan,charge\n".to_owned();
        for i in 0..1_000 {
            let age = if i % 10 == 3 { String::new() } else { (i % 80).to_string() };
            let charge = if i == 7 { "NaN".to_owned() } else { i.to_string() };
            let _ = writeln!(csv, "{i},{age},{},{charge}", ["basic", "pro"][i % 2]);
        }
        let text = Project::new().file("a.csv", csv);
        let contract = Contract::parse(
            "c.yaml",
            b"contract: 1\ncolumns:\n  id: {type: integer}\n  age: {type: integer}\n  charge: {type: float}\n",
        )
        .unwrap();
        let typed = ReadOptions { contract: Some(&contract), partitions: Some(1) };
        let paths = [text.root().join("data")];
        assert_eq!(print(&paths, &typed).content_hash, one.content_hash);
        assert_eq!(print(&paths, &typed).sketch_sha256, one.sketch_sha256);
        assert_ne!(print(&paths, &read(1)).content_hash, one.content_hash);
    }

    #[test]
    fn what_cannot_be_read_whole_has_no_fingerprint() {
        let mut bytes = parquet(1_000, 100);
        let half = bytes.len() / 2;
        bytes.truncate(half);
        let broken = Project::new().file("a.parquet", bytes);
        let ragged = Project::new().file("a.csv", "x,y\n1,2\n3\n");
        let none = Project::new().file("a.txt", "x\n");
        for (project, word) in [(broken, "a.parquet"), (ragged, "a.csv"), (none, "no file")] {
            let error = fingerprint(&[project.root().join("data")], &read(2), &Limits::default()).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn a_table_without_rows_has_a_profile() {
        let project = Project::new().file("a.parquet", parquet(0, 10));
        let profile = profile(&[project.root().join("data")], &read(2), &SketchOptions::default(), &Limits::default());
        let profile = profile.unwrap();
        assert_eq!((profile.rows(), profile.columns.len()), (0, 4));
        assert_eq!(profile.column("id").unwrap().sketch.quantile(0.5), None);
    }
}
