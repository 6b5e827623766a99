//! The files of a dataset as one table: which columns it has, and which pieces it is read in.

mod arrow_ipc;
mod avro;
pub(crate) mod csv;
mod digest;
mod encrypted;
mod exercise;
mod format;
mod json_lines;
mod location;
mod npy;
mod page;
mod parquet;
mod partition;
mod pictures;
mod postgres;
mod provider;
mod record;
mod remote;
mod source;
mod types;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use gauntlet_core::{Limits, SkipCode, Tree, TreeFile, TreeOptions};
use gauntlet_sketch::{Kind, Profile};

use crate::contract::Contract;
use crate::facts::Format;
use crate::manifest::DraftError;
use csv::shorten;
pub(crate) use digest::rows as digest_of_rows;
pub use digest::{FileDigest, digests};
pub use encrypted::{IDENTITY_VARIABLE, Identities, IdentityError};
pub use exercise::exercise;
use format::Reader;
pub(crate) use format::format_of;
pub use location::{Location, LocationError, OpenError, OpenOptions};
pub(crate) use location::{open, open_lenient, sources};
pub(crate) use partition::keys as partition_keys;
pub use postgres::QueryError;
pub(crate) use provider::{Map, PART, POSITION, Scan, place, raw_name, typed_name};
pub(crate) use source::{Origin, Refusal, Source, io_problem};
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
#[derive(Clone, Debug)]
pub(crate) struct DataFile {
    /// Where its bytes are; `None` for a table of a database.
    pub(crate) source: Option<Source>,
    /// For people.
    pub(crate) path: String,
    reader: Arc<dyn Reader>,
    /// Its values in the columns that come from folders `k=v`, in the order of the table's.
    partitions: Vec<Option<String>>,
    /// Columns are a set of names that another file may add to.
    open_ended: bool,
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
    pub(crate) files: Vec<DataFile>,
    /// Columns of the files, then those that come from folders `k=v`.
    pub(crate) columns: Vec<Column>,
    /// How many come from folders.
    partitions: usize,
}

impl Table {
    /// Opens every file far enough to know its columns. A file that cannot be opened or has other columns than the first
    /// one is a problem and no part of the table.
    pub(crate) fn from_sources(sources: Vec<Source>) -> (Self, Vec<Problem>) {
        let mut table = Self { files: Vec::new(), columns: Vec::new(), partitions: 0 };
        let mut keys: Option<Vec<String>> = None;
        let mut problems = Vec::new();
        for source in sources {
            let path = source.path.clone();
            let problem = |code, what| Problem { path: path.clone(), code, what, rows: 0, schema: false };
            let differs = |what: String| Problem { schema: true, ..problem(SkipCode::Malformed, what) };
            let opened = match format::open(&source) {
                Ok(opened) => opened,
                Err((code, what)) => {
                    problems.push(problem(code, what));
                    continue;
                }
            };
            let own: Vec<String> = source.partitions.iter().map(|(key, _)| key.clone()).collect();
            match &keys {
                None => {
                    let both = own.iter().find(|key| opened.columns.iter().any(|column| column.name == **key));
                    if let Some(key) = both {
                        let what =
                            format!("the column `{}` is in the file and in the names of its folders", shorten(key));
                        problems.push(differs(what));
                        continue;
                    }
                    table.columns = opened.columns;
                    keys = Some(own);
                }
                Some(keys) if *keys != own => {
                    let what =
                        format!("lies in folders of the columns {own:?}, other files in {keys:?}; it was not scanned");
                    problems.push(differs(what));
                    continue;
                }
                Some(_) if opened.open_ended && table.files.iter().all(|file| file.open_ended) => {
                    let new: Vec<Column> =
                        opened.columns.into_iter().filter(|c| table.column(&c.name).is_none()).collect();
                    table.columns.extend(new);
                }
                Some(_) => {
                    if let Some(what) = difference(&table.columns, &opened.columns) {
                        let first = table.files.first().map_or("the first file", |file| file.path.as_str());
                        problems.push(differs(format!("{what} than {first}; the file was not scanned")));
                        continue;
                    }
                }
            }
            let partitions = source.partitions.iter().map(|(_, value)| value.clone()).collect();
            let open_ended = opened.open_ended;
            table.files.push(DataFile { source: Some(source), path, reader: opened.reader, partitions, open_ended });
        }
        let keys = keys.unwrap_or_default();
        table.partitions = keys.len();
        table.columns.extend(keys.iter().map(|key| format::text_column(key)));
        (table, problems)
    }

    /// How many columns the files themselves have.
    fn own_columns(&self) -> usize {
        self.columns.len() - self.partitions
    }

    /// Gives text columns the narrowest type that all their values have, by one pass over the data. What could not be read is
    /// returned, and nothing typed then.
    pub(crate) fn infer_types(&mut self) -> Vec<Problem> {
        if !self.columns.iter().any(|column| column.text_file) {
            return Vec::new();
        }
        let plain = Self { files: self.files.clone(), columns: self.columns.clone(), partitions: self.partitions };
        let plain = Arc::new(plain);
        let pass = Scan::new(Arc::clone(&plain), (0..plain.columns.len()).collect());
        let mut guesses: Vec<types::Guess> = plain.columns.iter().map(|_| types::Guess::default()).collect();
        pass.for_each(&mut |batch| {
            for ((guess, column), array) in guesses.iter_mut().zip(&plain.columns).zip(batch.columns().iter().skip(1)) {
                if column.text_file {
                    guess.look(array);
                }
            }
        });
        let (_, problems) = pass.finish();
        if problems.is_empty() {
            for (column, guess) in self.columns.iter_mut().zip(guesses).filter(|(column, _)| column.text_file) {
                column.typed = guess.narrowest();
            }
        }
        problems
    }

    /// Reads text columns as the columns of the same name in `other` are read.
    pub(crate) fn type_as(&mut self, other: &Self) {
        for column in self.columns.iter_mut().filter(|column| column.text_file) {
            let twin = other.column(&column.name).and_then(|i| other.columns.get(i));
            column.typed = twin.and_then(|twin| match twin.text_file {
                true => twin.typed.clone(),
                false => {
                    Some(twin.scanned.clone()).filter(|scanned| *scanned != column.scanned && !scanned.is_nested())
                }
            });
        }
    }

    /// Reads text columns as the columns of the same name were read when the profile was made.
    pub(crate) fn type_as_profile(&mut self, profile: &Profile) {
        for column in self.columns.iter_mut().filter(|column| column.text_file) {
            let kind = profile.column(&column.name).map(|known| known.sketch.kind());
            column.typed = match kind {
                Some(Kind::Integer) => Some(DataType::Int64),
                Some(Kind::Float | Kind::Decimal) => Some(DataType::Float64),
                Some(Kind::Boolean) => Some(DataType::Boolean),
                Some(Kind::Date) => Some(DataType::Date32),
                Some(Kind::Timestamp) => Some(DataType::Timestamp(TimeUnit::Microsecond, None)),
                _ => None,
            };
        }
    }

    /// The row group that a row of a file lies in, where files have such.
    pub(crate) fn row_group(&self, file: usize, row: u64) -> Option<u64> {
        self.files.get(file)?.reader.row_group(row)
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
}

/// The table that the files at these paths (relative to `root`) form; files of other formats are left out.
///
/// # Errors
/// When there is no table, or a file of it cannot be opened.
pub(crate) fn open_all(root: &Path, files: &[PathBuf], limits: &Limits) -> Result<Arc<Table>, DraftError> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| format_of(file) != Format::Other) {
        let path = gauntlet_core::display_path(file).0;
        let unreadable = |what: String| DraftError::Unreadable { path: path.clone(), what };
        let tree =
            Tree::read(&root.join(file), &TreeOptions::default(), limits).map_err(|e| unreadable(e.to_string()))?;
        let Some(walked) = tree.files.into_iter().next().filter(|_| tree.single_file) else {
            return Err(unreadable("is no single file".to_owned()));
        };
        let identities = Identities::given().map_err(|e| unreadable(e.to_string()))?;
        let walked = TreeFile { path: file.clone(), ..walked };
        found.push(Source::local(root, &walked, limits).with_identities(identities));
    }
    let (table, problems) = Table::from_sources(found);
    match problems.into_iter().next() {
        Some(problem) => Err(DraftError::Unreadable { path: problem.path, what: problem.what }),
        None if table.files.is_empty() => Err(DraftError::NoTable),
        None => Ok(Arc::new(table)),
    }
}

/// The columns of the table that these files (relative to `root`) form: names, with words of the contract's vocabulary for
/// their types (`string` where there is none). Files of text are read whole.
///
/// # Errors
/// When there is no table, or a file of it cannot be opened.
pub fn table_columns(root: &Path, files: &[PathBuf], limits: &Limits) -> Result<Vec<(String, String)>, DraftError> {
    let table = open_all(root, files, limits)?;
    // Cells of text have no type; what all of them can be read as is as good as one.
    let guessed = match table.columns.iter().any(|column| column.text_file) {
        true => crate::scan::profile(&table)?.1,
        false => Vec::new(),
    };
    let word = |column: &Column| {
        let guess =
            guessed.iter().find(|guess| column.text_file && guess.name == column.name).map(|guess| guess.family);
        guess.or_else(|| family(&column.stored)).map_or("string", crate::contract::Family::as_str).to_owned()
    };
    Ok(table.columns.iter().map(|column| (column.name.clone(), word(column))).collect())
}

/// Whether a file's name announces a table that is read.
#[must_use]
pub fn is_table(path: &Path) -> bool {
    format_of(path) != Format::Other
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
