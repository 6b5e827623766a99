//! Splits a dataset into the rows that may be used and the rows that may not, each of these with its reasons.
//! Streams: memory does not grow with the table. Nothing is left behind unless every row of it was written.

mod consent;
mod part;

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray, UInt64Array};
use arrow::compute::filter;
use arrow::datatypes::UInt64Type;
use serde::Serialize;

use crate::facts::Format;
use crate::sealed::{RecipientError, Recipients};
use crate::table::{Scan, Table, place};
pub use consent::quarantine_by_manifest;
use part::{PartWriter, Shape};

/// Column of the rejected part with the row's number in its file, from 0.
const ROW: &str = "gauntlet_row";
/// Column of the rejected part with the reasons.
const REASONS: &str = "gauntlet_reasons";
/// Different reasons that are counted one by one.
const MAX_REASONS: usize = 1_000;
/// Name of the summary in the folder.
pub(crate) const SUMMARY: &str = "quarantine.json";

/// How parts are written.
#[derive(Clone, Debug, Default)]
pub struct QuarantineOptions {
    /// `age` public keys (`age1…`). When there are any, rejected parts are encrypted to them, and so are clean parts of
    /// files that were encrypted.
    pub recipients: Vec<String>,
}

/// Why a dataset could not be split. Nothing is left in the folder then.
#[derive(Debug, thiserror::Error)]
pub enum QuarantineError {
    /// The folder is in use.
    #[error("{} is not empty: quarantine writes into a folder of its own", .0.display())]
    NotEmpty(PathBuf),
    /// A part of the dataset cannot be read, so its rows would be lost.
    #[error("{path}: {what}; nothing was written, because rows would be missing from both parts")]
    Unreadable {
        /// The data file.
        path: String,
        /// Why.
        what: String,
    },
    /// A recipient is no `age` key.
    #[error(transparent)]
    Recipient(#[from] RecipientError),
    /// Encrypted data would be written in the clear.
    #[error("{0} is encrypted and no recipient is given, so its parts would lie here in the clear; name one")]
    NoRecipient(String),
    /// The rejected part's own columns are taken.
    #[error("the table has a column called `{0}`, which the rejected part needs for itself; rename it")]
    Column(String),
    /// A part cannot be written.
    #[error("cannot write {}: {what}", path.display())]
    Write {
        /// The part.
        path: PathBuf,
        /// The system's or the format's word.
        what: String,
    },
    /// Rows were lost or doubled; a fault of this program or a file that changed.
    #[error("{path}: {read} rows were read and {written} were written; the file may have changed meanwhile")]
    Count {
        /// The data file.
        path: String,
        /// Rows read.
        read: u64,
        /// Rows written to both parts.
        written: u64,
    },
    /// The rows cannot be judged.
    #[error("{0}")]
    Judge(String),
}

/// One file that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QuarantinePart {
    /// Path relative to the folder.
    pub path: String,
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub size: u64,
    /// Hex SHA-256 of the bytes as they lie there.
    pub sha256: String,
    /// Whether it is encrypted with `age`.
    pub encrypted: bool,
}

/// What became of one data file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QuarantineFile {
    /// Path of the data file relative to the dataset's root.
    pub path: String,
    /// Its rows; the sum of both parts.
    pub rows: u64,
    /// Rows that may be used.
    pub clean: QuarantinePart,
    /// Rows that may not; `None` when there are none.
    pub rejected: Option<QuarantinePart>,
}

/// What was written; also lies in the folder as `quarantine.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// Version of this document: 1.
    pub gauntlet_quarantine: u32,
    /// Rows of all files.
    pub rows: u64,
    /// Rows that may be used.
    pub clean: u64,
    /// Rows that may not.
    pub rejected: u64,
    /// Rows by reason: what stands before the first `: ` of a reason. A row may have several.
    pub reasons: BTreeMap<String, u64>,
    /// File by file.
    pub files: Vec<QuarantineFile>,
}

/// Rows of one file, as they are stored.
pub(crate) struct Rows<'a> {
    /// Place of each row, see [`place`].
    #[allow(dead_code, reason = "read by [`Rejected`]")]
    pub(crate) places: &'a [u64],
    /// All columns of the table, in its order, as scanned.
    pub(crate) columns: &'a [ArrayRef],
}

/// Says which rows are rejected. Asked once for each batch, in the order of files and rows.
pub(crate) trait Reject {
    /// Index in the batch and reason (`code: detail`, or only a code) for each rejected row; a row may be named twice.
    ///
    /// # Errors
    /// Why the rows cannot be judged; ends the split.
    fn reject(&mut self, rows: &Rows<'_>) -> Result<Vec<(usize, String)>, String>;
}

/// Rejected rows known beforehand: place to reasons. For checks that name rows one by one.
#[allow(dead_code, reason = "the checks that name rows hand it over")]
#[derive(Clone, Debug, Default)]
pub(crate) struct Rejected(BTreeMap<u64, Vec<String>>);

#[allow(dead_code, reason = "as above")]
impl Rejected {
    /// Notes one more reason against the row at `place`.
    pub(crate) fn add(&mut self, place: u64, reason: impl Into<String>) {
        let (reasons, reason) = (self.0.entry(place).or_default(), reason.into());
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
}

impl Reject for Rejected {
    fn reject(&mut self, rows: &Rows<'_>) -> Result<Vec<(usize, String)>, String> {
        let (Some(&first), Some(&last)) = (rows.places.first(), rows.places.last()) else { return Ok(Vec::new()) };
        let mut out = Vec::new();
        for (place, reasons) in self.0.range(first.min(last)..=last.max(first)) {
            if let Ok(index) = rows.places.binary_search(place) {
                out.extend(reasons.iter().map(|reason| (index, reason.clone())));
            }
        }
        Ok(out)
    }
}

/// Writes `folder/clean/…` and `folder/rejected/…` in the format of each file (CSV as CSV, everything else as Parquet),
/// and `folder/quarantine.json`. The rejected part has two more columns: the row's number and its reasons.
///
/// # Errors
/// [`QuarantineError`]; the folder is then as it was.
pub(crate) fn write(
    table: &Arc<Table>,
    reject: &mut dyn Reject,
    folder: &Path,
    options: &QuarantineOptions,
) -> Result<Quarantined, QuarantineError> {
    let recipients = Recipients::parse(&options.recipients)?;
    for taken in [ROW, REASONS] {
        if table.column(taken).is_some() {
            return Err(QuarantineError::Column(taken.to_owned()));
        }
    }
    let work = workplace(folder)?;
    let pass = Scan::new(Arc::clone(table), (0..table.columns.len()).collect());
    let shape = Shape::of(table);
    let mut split =
        Split { table, reject, shape, root: work.path().to_owned(), recipients, open: None, done: Vec::new() };
    let mut failure = None;
    let mut reasons = BTreeMap::new();
    pass.for_each(&mut |batch| {
        if failure.is_none() {
            failure = split.batch(&batch, &mut reasons).err();
        }
    });
    if let Some(failure) = failure {
        return Err(failure);
    }
    let (counts, problems) = pass.finish();
    if let Some(problem) = problems.into_iter().next() {
        return Err(QuarantineError::Unreadable { path: problem.path, what: problem.what });
    }
    let files = split.finish(&counts)?;
    let rejected = files.iter().filter_map(|f| f.rejected.as_ref()).map(|p| p.rows).sum();
    let rows = files.iter().map(|f| f.rows).sum();
    let summary = Quarantined { gauntlet_quarantine: 1, rows, clean: rows - rejected, rejected, reasons, files };
    publish(work, folder, &summary)?;
    Ok(summary)
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> QuarantineError {
    QuarantineError::Write { path: path.to_owned(), what: error.to_string() }
}

/// A folder beside the one that is wanted, gone again unless it is renamed.
fn workplace(folder: &Path) -> Result<tempfile::TempDir, QuarantineError> {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(QuarantineError::NotEmpty(folder.to_owned()));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(folder, &error)),
    }
    let parent = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(|e| failed(parent, &e))?;
    tempfile::Builder::new().prefix(".gauntlet-").tempdir_in(parent).map_err(|e| failed(parent, &e))
}

/// The summary, then the rename that makes all of it appear at once.
fn publish(work: tempfile::TempDir, folder: &Path, summary: &Quarantined) -> Result<(), QuarantineError> {
    let mut text = serde_json::to_vec_pretty(summary).map_err(|e| failed(folder, &e))?;
    text.push(b'\n');
    gauntlet_core::write_durably(&work.path().join(SUMMARY), &text, 0o644).map_err(|e| failed(folder, &e))?;
    for inner in ["clean", "rejected"] {
        let inner = work.path().join(inner);
        if inner.is_dir() {
            sync(&inner).map_err(|e| failed(&inner, &e))?;
        }
    }
    std::fs::set_permissions(work.path(), std::fs::Permissions::from_mode(0o755)).map_err(|e| failed(folder, &e))?;
    sync(work.path()).and_then(|()| std::fs::rename(work.path(), folder)).map_err(|e| failed(folder, &e))?;
    let _ = work.keep();
    let parent = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sync(parent).map_err(|e| failed(parent, &e))
}

fn sync(folder: &Path) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

struct Split<'a> {
    table: &'a Table,
    reject: &'a mut dyn Reject,
    shape: Shape,
    root: PathBuf,
    recipients: Recipients,
    open: Option<Open>,
    done: Vec<QuarantineFile>,
}

/// The parts of the file that is being split.
struct Open {
    file: usize,
    clean: PartWriter,
    rejected: Option<PartWriter>,
}

impl Split<'_> {
    fn batch(&mut self, batch: &RecordBatch, reasons: &mut BTreeMap<String, u64>) -> Result<(), QuarantineError> {
        let places = batch.column(0).as_primitive::<UInt64Type>().values();
        let Some(&first) = places.first() else { return Ok(()) };
        let columns: Vec<ArrayRef> = self
            .table
            .columns
            .iter()
            .scan(1, |at, column| {
                let here = *at;
                *at += 1 + usize::from(column.typed.is_some());
                batch.columns().get(here).cloned()
            })
            .collect();
        let rows = Rows { places, columns: &columns };
        let mut why: BTreeMap<usize, String> = BTreeMap::new();
        for (index, reason) in self.reject.reject(&rows).map_err(QuarantineError::Judge)? {
            let code = reason.split_once(": ").map_or(reason.as_str(), |(code, _)| code);
            if let Some(count) = reasons.get_mut(code) {
                *count += 1;
            } else {
                let code = if reasons.len() < MAX_REASONS { code } else { "other" };
                *reasons.entry(code.to_owned()).or_default() += 1;
            }
            let text = why.entry(index).or_default();
            if !text.is_empty() {
                text.push_str("; ");
            }
            text.push_str(&reason);
        }
        self.reach(place(first).0)?;
        let Some(open) = &mut self.open else { return Ok(()) };
        let keep: BooleanArray = (0..places.len()).map(|i| Some(!why.contains_key(&i))).collect();
        let root = self.root.as_path();
        let taken = |mask: &BooleanArray| -> Result<Vec<ArrayRef>, QuarantineError> {
            columns.iter().map(|c| filter(c, mask).map_err(|e| failed(root, &e))).collect()
        };
        open.clean.write(taken(&keep)?)?;
        if !why.is_empty() {
            let drop = arrow::compute::not(&keep).map_err(|e| failed(root, &e))?;
            let mut arrays = taken(&drop)?;
            let numbers = why.keys().filter_map(|&i| places.get(i)).map(|&p| place(p).1);
            arrays.push(Arc::new(UInt64Array::from_iter_values(numbers)));
            arrays.push(Arc::new(StringArray::from_iter_values(why.values())));
            let part = match &mut open.rejected {
                Some(part) => part,
                none => none.insert(part_of(self.table, open.file, &self.shape, root, &self.recipients, true)?),
            };
            part.write(arrays)?;
        }
        Ok(())
    }

    /// Closes the files before `file` and opens it.
    fn reach(&mut self, file: usize) -> Result<(), QuarantineError> {
        if self.open.as_ref().is_some_and(|open| open.file == file) {
            return Ok(());
        }
        self.close()?;
        for empty in self.done.len()..file {
            self.begin(empty)?;
            self.close()?;
        }
        self.begin(file)
    }

    fn begin(&mut self, file: usize) -> Result<(), QuarantineError> {
        let clean = part_of(self.table, file, &self.shape, &self.root, &self.recipients, false)?;
        self.open = Some(Open { file, clean, rejected: None });
        Ok(())
    }

    fn close(&mut self) -> Result<(), QuarantineError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let path = self.table.files.get(open.file).map_or_else(String::new, |f| f.path.clone());
        let clean = open.clean.finish(&self.root)?;
        let rejected = open.rejected.map(|part| part.finish(&self.root)).transpose()?;
        let rows = clean.rows + rejected.as_ref().map_or(0, |part| part.rows);
        self.done.push(QuarantineFile { path, rows, clean, rejected });
        Ok(())
    }

    /// Closes the rest and holds the counts against what was read.
    fn finish(mut self, counts: &[u64]) -> Result<Vec<QuarantineFile>, QuarantineError> {
        self.close()?;
        for empty in self.done.len()..self.table.files.len() {
            self.begin(empty)?;
            self.close()?;
        }
        for (file, &read) in self.done.iter().zip(counts) {
            if file.rows != read {
                return Err(QuarantineError::Count { path: file.path.clone(), read, written: file.rows });
            }
        }
        Ok(self.done)
    }
}

/// Opens the clean or the rejected part of one file.
fn part_of(
    table: &Table,
    file: usize,
    shape: &Shape,
    root: &Path,
    recipients: &Recipients,
    rejected: bool,
) -> Result<PartWriter, QuarantineError> {
    let Some(data) = table.files.get(file) else {
        return Err(QuarantineError::Judge("a row belongs to no file".to_owned()));
    };
    let secret = data.path.ends_with(".age");
    if secret && recipients.is_empty() {
        return Err(QuarantineError::NoRecipient(data.path.clone()));
    }
    let format = crate::table::format_of(Path::new(&data.path));
    let name = part_name(&data.path, file, format);
    let path = Path::new(if rejected { "rejected" } else { "clean" }).join(name);
    let none = Recipients::default();
    let recipients = if rejected || secret { recipients } else { &none };
    PartWriter::create(root, &path, format == Format::Csv, shape, rejected, recipients)
}

/// Where a part lies below `clean` or `rejected`: like the data file, without what would lead out of the folder, and with
/// the name of the format that it is written in.
fn part_name(path: &str, file: usize, format: Format) -> PathBuf {
    let mut name: PathBuf = Path::new(path)
        .components()
        .filter_map(|part| match part {
            Component::Normal(part) => Some(part),
            _ => None,
        })
        .collect();
    if name.as_os_str().is_empty() {
        name = PathBuf::from(format!("part-{file}"));
    }
    let is = |name: &Path, wanted: &[&str]| {
        name.extension().and_then(|e| e.to_str()).is_some_and(|e| wanted.iter().any(|w| e.eq_ignore_ascii_case(w)))
    };
    while is(&name, &["age", "gz", "zst", "zstd"]) {
        name.set_extension("");
    }
    if format != Format::Csv && !is(&name, &["parquet", "pq"]) {
        name.as_mut_os_string().push(".parquet");
    }
    name
}

#[cfg(test)]
mod tests;
