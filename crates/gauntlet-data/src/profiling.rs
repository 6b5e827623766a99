//! Profiles and fingerprints of tables, outside of a gate's run.

use std::fmt::Write as _;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use gauntlet_core::{display_path, sha256_hex};
use gauntlet_sketch::{Profile, SketchOptions};
use serde::Serialize;

use crate::cluster::Cluster;
use crate::contract::Contract;
use crate::facts::Format;
use crate::scan::{self, Others, PeopleQuestions, Questions};
use crate::table::{FileDigest, Location, OpenError, OpenOptions, Table, digest_of_rows, format_of, open, sources};

/// Largest stored profile that is read.
const MAX_PROFILE: u64 = 1 << 30;

/// Why a table has no profile.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// A file cannot be read to its end.
    #[error("{path}: {what}")]
    Unreadable {
        /// The file.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// A dataset cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
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

/// How a table is read.
#[derive(Debug, Default)]
pub struct ReadOptions<'a> {
    /// Limits, keys, and whether text cells get types by themselves.
    pub open: OpenOptions,
    /// Says what the cells of text files are.
    pub contract: Option<&'a Contract>,
    /// Threads; all cores without a number.
    pub partitions: Option<usize>,
    /// Who reads instead of this process.
    pub cluster: Option<Arc<dyn Cluster>>,
}

impl ReadOptions<'_> {
    pub(crate) fn partitions(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
        self.partitions.unwrap_or_else(cores).clamp(1, 64)
    }
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

/// The profile of the table that everything at these locations forms together. Nothing is left out: a row that
/// cannot be read is an error.
///
/// # Errors
/// When there is no table, or it cannot be read to its end.
pub fn profile(
    locations: &[Location],
    read: &ReadOptions<'_>,
    sketch: &SketchOptions,
) -> Result<Profile, ProfileError> {
    let table = open_table(locations, read)?;
    profile_of(&table, read, sketch)
}

/// The fingerprint of the table that everything at these locations forms together.
///
/// # Errors
/// As [`profile`], and when a file cannot be hashed.
pub fn fingerprint(locations: &[Location], read: &ReadOptions<'_>) -> Result<Fingerprint, ProfileError> {
    let table = open_table(locations, read)?;
    let profile = profile_of(&table, read, &SketchOptions::default())?;
    let mut files = Vec::new();
    for file in &table.files {
        let Some(source) = &file.source else {
            files.push(digest_of_rows(&table)?);
            continue;
        };
        let unreadable = |(_, what)| ProfileError::Unreadable { path: file.path.clone(), what };
        let sha256 = hex::encode(source.sha256().map_err(unreadable)?);
        let (path, version) = (file.path.clone(), source.version());
        files.push(FileDigest { path, sha256, size: source.size(), version });
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

/// Opens everything at some locations as one table.
pub(crate) fn open_table(locations: &[Location], read: &ReadOptions<'_>) -> Result<Arc<Table>, ProfileError> {
    let table = match locations {
        [location] => open(location, &read.open)?,
        locations => {
            let mut found = Vec::new();
            for location in locations {
                let sources = sources(location, &read.open)?;
                if sources.is_empty() {
                    let what = "a table of a database is a dataset by itself; give no other location".to_owned();
                    return Err(ProfileError::Question(what));
                }
                found.extend(sources.into_iter().filter(|source| format_of(source.name()) != Format::Other));
            }
            let (table, problems) = Table::from_sources(found);
            match problems.into_iter().next() {
                Some(problem) => return Err(ProfileError::Unreadable { path: problem.path, what: problem.what }),
                None if table.files.is_empty() => {
                    return Err(OpenError::NoTable("these locations".to_owned()).into());
                }
                None => Arc::new(table),
            }
        }
    };
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
        others: &Others::default(),
        people: PeopleQuestions::default(),
        sketch: Some(sketch),
        personal: false,
        partitions: read.partitions(),
        cluster: read.cluster.as_deref(),
    };
    let answers = scan::run(table, &questions).map_err(|error| ProfileError::Scan(scan::words(&error).1))?;
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
        ReadOptions { partitions: Some(partitions), ..ReadOptions::default() }
    }

    fn data(project: &Project) -> [Location; 1] {
        [project.root().join("data").to_str().unwrap().parse().unwrap()]
    }

    fn print(locations: &[Location], read: &ReadOptions<'_>) -> Fingerprint {
        fingerprint(locations, read).unwrap()
    }

    #[test]
    fn a_profile_does_not_depend_on_threads() {
        let project = Project::new().file("a.parquet", parquet(5_000, 300)).file("b.parquet", parquet(2_000, 2_000));
        let paths = data(&project);
        let sketch = SketchOptions { kll: Some(200), ..SketchOptions::default() };
        let bytes = |partitions| profile(&paths, &read(partitions), &sketch).unwrap().to_bytes();
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
        let of = |project: &Project| print(&data(project), &read(2));
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
        let typed = ReadOptions { contract: Some(&contract), ..read(1) };
        let paths = data(&text);
        assert_eq!(print(&paths, &typed).content_hash, one.content_hash);
        assert_eq!(print(&paths, &typed).sketch_sha256, one.sketch_sha256);
        assert_ne!(print(&paths, &read(1)).content_hash, one.content_hash);
    }

    #[test]
    fn a_declared_fingerprint_is_held_against_the_table() {
        let project = Project::new().file("a.parquet", parquet(500, 100));
        let known = print(&data(&project), &read(1));
        let (content, sketch) = (&known.content_hash, &known.sketch_sha256);
        let judged = |content: &str, sketch: &str| {
            let more = format!("fingerprint: {{content_hash: '{content}', sketch_sha256: '{sketch}'}}\n");
            let project = Project::new().file("a.parquet", parquet(500, 77)).sound_manifest(&more);
            project.check("data/manifest").1
        };
        assert_eq!(judged(content, sketch), "looked at 1");
        let rows = judged(&content.replace(":500:", ":499:"), sketch);
        assert!(
            rows.contains("fingerprint-mismatch") && rows.contains("describes 499 rows, the table has 500"),
            "{rows}"
        );
        assert!(judged("abc", sketch).contains("is no content hash"));
        assert!(judged(content, &"0".repeat(64)).contains("that of the table"));
        let other = Project::new().file("a.csv", "x\n1\n");
        let other = print(&data(&other), &read(1)).content_hash;
        assert!(judged(&other, sketch).contains("describes 1 rows"));
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
            let error = fingerprint(&data(&project), &read(2)).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn a_table_without_rows_has_a_profile() {
        let project = Project::new().file("a.parquet", parquet(0, 10));
        let profile = profile(&data(&project), &read(2), &SketchOptions::default());
        let profile = profile.unwrap();
        assert_eq!((profile.rows(), profile.columns.len()), (0, 4));
        assert_eq!(profile.column("id").unwrap().sketch.quantile(0.5), None);
    }
}
