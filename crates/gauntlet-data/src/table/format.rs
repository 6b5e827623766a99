//! What every format of table has in common, and the list of them: one line each.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use gauntlet_core::SkipCode;

use super::csv::{MAX_COLUMNS, shorten};
use super::provider::Sink;
use super::source::{Refusal, Source};
use super::{Column, normal_type};
use crate::facts::Format;

/// Every format, by the names it goes under.
static FORMATS: [Entry; 8] = [
    super::csv::COMMA,
    super::csv::TAB,
    super::json_lines::FORMAT,
    super::parquet::FORMAT,
    super::arrow_ipc::FORMAT,
    super::avro::FORMAT,
    super::npy::FORMAT,
    super::pictures::FORMAT,
];

/// One format.
pub(super) struct Entry {
    /// What facts call it.
    pub(super) format: Format,
    /// Extensions in lower case.
    pub(super) extensions: &'static [&'static str],
    /// How it is opened.
    pub(super) open: fn(&Source) -> Result<Opened, Refusal>,
}

/// A file that was opened far enough to know its columns.
pub(super) struct Opened {
    pub(super) reader: Arc<dyn Reader>,
    pub(super) columns: Vec<Column>,
    /// Columns are a set of names that another file of the table may add to; one that a file lacks is null there.
    pub(super) open_ended: bool,
}

/// Reads an opened file. A reader that cannot read on says so and never ends early in silence.
pub(super) trait Reader: fmt::Debug + Send + Sync {
    /// Pieces that can be read apart from each other, in any order and on any thread.
    fn pieces(&self) -> usize {
        1
    }

    /// Hands the wanted columns of one piece to `sink`, in the order of `wanted`, with the numbers of their rows.
    ///
    /// # Errors
    /// Why it stopped before the end of the piece.
    fn read(&self, piece: usize, wanted: &[Wanted<'_>], sink: &Sink<'_>) -> Result<(), Stop>;
}

/// A column that a pass wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// Place among the file's columns; without meaning in open-ended formats.
    pub(super) index: usize,
    /// Its name.
    pub(super) name: &'a str,
}

/// Why a piece ended early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The engine wants no more.
    Closed,
    /// It cannot be read on.
    Problem(SkipCode, String),
}

impl From<Refusal> for Stop {
    fn from((code, what): Refusal) -> Self {
        Self::Problem(code, what)
    }
}

/// The format that a file's name announces, without looking at what it is wrapped in.
pub(crate) fn format_of(name: &Path) -> Format {
    let mut name = name.to_owned();
    for wrapping in ["age", "gz", "zst", "zstd"] {
        if name.extension().is_some_and(|e| e.eq_ignore_ascii_case(wrapping)) {
            name.set_extension("");
        }
    }
    entry(&name).map_or(Format::Other, |entry| entry.format)
}

fn entry(name: &Path) -> Option<&'static Entry> {
    let extension = name.extension()?.to_str()?.to_ascii_lowercase();
    FORMATS.iter().find(|entry| entry.extensions.contains(&extension.as_str()))
}

/// Opens a file by what its name announces. Panics of a parser are its way to say that a file is damaged.
pub(super) fn open(source: &Source) -> Result<Opened, Refusal> {
    let Some(entry) = entry(source.name()) else {
        return Err((SkipCode::Unsupported, "no table format that is read".to_owned()));
    };
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (entry.open)(source)))
        .unwrap_or_else(|panic| Err((SkipCode::Malformed, panic_text(panic.as_ref()))))
}

/// The columns of a schema of Arrow's.
pub(super) fn columns(schema: &Schema) -> Result<Vec<Column>, Refusal> {
    let fields = schema.fields();
    if fields.len() > MAX_COLUMNS {
        return Err((SkipCode::Limit, format!("{} columns; at most {MAX_COLUMNS} are read", fields.len())));
    }
    let mut names: Vec<&str> = fields.iter().map(|f| f.name().as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err((SkipCode::Malformed, format!("two columns are called `{}`", shorten(pair[0]))));
    }
    let column = |field: &Arc<arrow::datatypes::Field>| Column {
        name: field.name().clone(),
        stored: field.data_type().clone(),
        scanned: normal_type(field.data_type()),
        typed: None,
        text_file: false,
    };
    Ok(fields.iter().map(column).collect())
}

/// A column of text without types.
pub(super) fn text_column(name: &str) -> Column {
    let (stored, scanned) = (DataType::Utf8, DataType::Utf8);
    Column { name: name.to_owned(), stored, scanned, typed: None, text_file: true }
}

/// What a panic of a parser said.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("the reader gave up: {}", text.unwrap_or("no reason given").chars().take(200).collect::<String>())
}
