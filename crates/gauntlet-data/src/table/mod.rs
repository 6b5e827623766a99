//! The files of a dataset as one table: which columns it has, and which pieces it is read in.

pub(crate) mod csv;
mod parquet;
mod provider;
mod record;
mod types;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::parquet::arrow::arrow_reader::ArrowReaderMetadata;
use arrow::datatypes::DataType;
use gauntlet_core::{Limits, SkipCode, Tree, TreeFile, TreeOptions, display_path, open_regular};

use crate::contract::Contract;
use crate::facts::Format;
use crate::manifest::DraftError;
use csv::{CsvError, CsvReader, shorten};
pub(crate) use provider::{Map, PART, POSITION, Scan, place, raw_name, typed_name};
pub(crate) use types::{family, normal_type, typed};

/// A file, or a part of one, that could not be read as it should.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    /// Path relative to the root.
    pub(crate) path: String,
    /// Class of reason.
    pub(crate) code: SkipCode,
    /// What exactly.
    pub(crate) what: String,
    /// Rows concerned, 0 for the file as a whole.
    pub(crate) rows: u64,
    /// Whether it is the schema that differs from the first file's.
    pub(crate) schema: bool,
}

/// One readable file of the table.
#[derive(Debug)]
pub(crate) struct DataFile {
    /// As it was walked.
    pub(crate) tree: TreeFile,
    /// For people.
    pub(crate) path: String,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Csv {
        delimiter: u8,
    },
    /// `starts` holds the number of the first row of each row group.
    Parquet {
        metadata: ArrowReaderMetadata,
        starts: Vec<u64>,
    },
}

/// One column of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// As stored.
    pub(crate) stored: DataType,
    /// As it is scanned: dictionaries and wide texts are plain.
    pub(crate) scanned: DataType,
    /// The type that a CSV column is read as because the contract says so.
    pub(crate) typed: Option<DataType>,
    /// Whether it comes from text without types.
    pub(crate) text_file: bool,
}

impl Column {
    /// The type that rules see.
    pub(crate) fn rule_type(&self) -> &DataType {
        self.typed.as_ref().unwrap_or(&self.scanned)
    }
}

/// The files of a dataset that could be opened and agree about their columns.
#[derive(Debug)]
pub(crate) struct Table {
    root: PathBuf,
    pub(crate) files: Vec<DataFile>,
    pub(crate) columns: Vec<Column>,
}

impl Table {
    /// Opens every file far enough to know its columns. A file that cannot be opened or has other columns than the first
    /// one is a problem and no part of the table.
    pub(crate) fn open(root: &Path, files: &[(&TreeFile, Format)], limits: &Limits) -> (Self, Vec<Problem>) {
        let mut table = Self { root: root.to_owned(), files: Vec::new(), columns: Vec::new() };
        let mut problems = Vec::new();
        for (file, format) in files {
            let path = display_path(&file.path).0;
            let problem = |code, what| Problem { path: path.clone(), code, what, rows: 0, schema: false };
            match open(root, file, *format, limits) {
                Err((code, what)) => problems.push(problem(code, what)),
                Ok((body, columns)) => {
                    if table.files.is_empty() {
                        table.columns = columns;
                    } else if let Some(what) = difference(&table.columns, &columns) {
                        let what = format!("{what} than {}; the file was not scanned", table.files[0].path);
                        problems.push(Problem { schema: true, ..problem(SkipCode::Malformed, what) });
                        continue;
                    }
                    table.files.push(DataFile { tree: (*file).clone(), path, body });
                }
            }
        }
        (table, problems)
    }

    /// Lets the contract say what the cells of CSV columns are.
    pub(crate) fn apply_types(&mut self, contract: &Contract) {
        for column in self.columns.iter_mut().filter(|column| column.text_file) {
            column.typed = contract.columns.get(&column.name).and_then(types::contract_type);
        }
    }

    /// The column called `name`.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// SHA-256 of a file's bytes.
    pub(crate) fn sha256(&self, file: &DataFile) -> std::io::Result<[u8; 32]> {
        file.tree.sha256(&self.root)
    }

    fn open_file(&self, file: &DataFile) -> std::io::Result<File> {
        open_regular(&self.root, &file.tree)
    }
}

/// The table that the files at these paths (relative to `root`) form; files of other formats are left out.
///
/// # Errors
/// When there is no table, or a file of it cannot be opened.
pub(crate) fn open_all(root: &Path, files: &[PathBuf], limits: &Limits) -> Result<Arc<Table>, DraftError> {
    let mut walked = Vec::new();
    for file in files.iter().filter(|file| format_of(file) != Format::Other) {
        let unreadable = |what: String| DraftError::Unreadable { path: display_path(file).0, what };
        let tree =
            Tree::read(&root.join(file), &TreeOptions::default(), limits).map_err(|e| unreadable(e.to_string()))?;
        let Some(found) = tree.files.into_iter().next().filter(|_| tree.single_file) else {
            return Err(unreadable("is no single file".to_owned()));
        };
        walked.push((TreeFile { path: file.clone(), ..found }, format_of(file)));
    }
    let borrowed: Vec<_> = walked.iter().map(|(file, format)| (file, *format)).collect();
    let (table, problems) = Table::open(root, &borrowed, limits);
    match problems.into_iter().next() {
        Some(problem) => Err(DraftError::Unreadable { path: problem.path, what: problem.what }),
        None if table.files.is_empty() => Err(DraftError::NoTable),
        None => Ok(Arc::new(table)),
    }
}

/// The format that a file's name announces.
pub(crate) fn format_of(path: &Path) -> Format {
    match path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
        Some("csv" | "tsv") => Format::Csv,
        Some("parquet" | "pq") => Format::Parquet,
        _ => Format::Other,
    }
}

fn open(
    root: &Path,
    file: &TreeFile,
    format: Format,
    limits: &Limits,
) -> Result<(Body, Vec<Column>), (SkipCode, String)> {
    let handle = open_regular(root, file).map_err(|error| io_problem(&error))?;
    match format {
        Format::Csv => {
            let tsv = file.path.extension().is_some_and(|e| e.eq_ignore_ascii_case("tsv"));
            let delimiter = if tsv { b'\t' } else { b',' };
            let reader = CsvReader::new(handle, delimiter).map_err(|error| csv_problem(&error))?;
            let column = |name: &String| Column {
                name: name.clone(),
                stored: DataType::Utf8,
                scanned: DataType::Utf8,
                typed: None,
                text_file: true,
            };
            Ok((Body::Csv { delimiter }, reader.header().iter().map(column).collect()))
        }
        Format::Parquet => {
            let (metadata, starts) = parquet::open(&handle, file.size, limits)?;
            let columns = metadata
                .schema()
                .fields()
                .iter()
                .map(|field| Column {
                    name: field.name().clone(),
                    stored: field.data_type().clone(),
                    scanned: normal_type(field.data_type()),
                    typed: None,
                    text_file: false,
                })
                .collect();
            Ok((Body::Parquet { metadata, starts }, columns))
        }
        Format::Other => Err((SkipCode::Unsupported, "no table format that is read".to_owned())),
    }
}

fn io_problem(error: &std::io::Error) -> (SkipCode, String) {
    let code = if error.to_string().contains("changed while") { SkipCode::Changed } else { SkipCode::Unreadable };
    (code, error.to_string())
}

fn csv_problem(error: &CsvError) -> (SkipCode, String) {
    match error {
        CsvError::Io(error) => io_problem(error),
        CsvError::Malformed { .. } => (SkipCode::Malformed, error.to_string()),
        CsvError::Limit { .. } => (SkipCode::Limit, error.to_string()),
    }
}

/// How the columns of another file differ, as the start of a sentence.
fn difference(first: &[Column], other: &[Column]) -> Option<String> {
    for (i, column) in first.iter().enumerate() {
        match other.get(i) {
            None => return Some(format!("lacks the column `{}`: it has other columns", shorten(&column.name))),
            Some(o) if o.name != column.name => {
                return Some(format!(
                    "has `{}` in place of column `{}`: it has other columns",
                    shorten(&o.name),
                    shorten(&column.name)
                ));
            }
            Some(o) if o.stored != column.stored => {
                return Some(format!(
                    "has {} in place of {} in column `{}`: it has other types",
                    o.stored,
                    column.stored,
                    shorten(&column.name)
                ));
            }
            Some(_) => {}
        }
    }
    let extra = other.get(first.len())?;
    Some(format!("has a further column `{}`: it has more columns", shorten(&extra.name)))
}
