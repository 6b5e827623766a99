//! Reads CSV as text columns, record by record. Nothing is guessed and no row is dropped in silence: what does not fit
//! is counted with its row, and what cannot be told apart ends the file.

use std::io::Read;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use gauntlet_core::SkipCode;

use super::format::{self, Entry, Opened, Reader, Stop, Wanted};
use super::provider::Sink;
use super::record::{Field, Step, split};
use super::source::{Refusal, Source, io_problem};
use crate::facts::Format;

pub(super) const COMMA: Entry = Entry { format: Format::Csv, extensions: &["csv"], open: open_comma };
pub(super) const TAB: Entry = Entry { format: Format::Csv, extensions: &["tsv", "tab"], open: open_tab };

/// Rows of one batch.
const BATCH_ROWS: usize = 8_192;
/// Cells of one batch: with thousands of columns a batch has fewer rows.
const BATCH_CELLS: usize = 1 << 20;
/// Bytes of one batch.
const BATCH_BYTES: usize = 8 << 20;
/// Longest record. A longer one is more likely a missing quote, or meant to exhaust memory.
pub(crate) const MAX_RECORD: usize = 16 << 20;
/// Most columns of a table.
pub(crate) const MAX_COLUMNS: usize = 4_096;
pub(super) const BLOCK: usize = 256 << 10;
/// Row numbers kept of what does not fit.
const KEPT: usize = 20;

#[derive(Debug)]
struct CsvFile {
    source: Source,
    delimiter: u8,
    width: usize,
}

fn open_comma(source: &Source) -> Result<Opened, Refusal> {
    open(source, b',')
}

fn open_tab(source: &Source) -> Result<Opened, Refusal> {
    open(source, b'\t')
}

fn open(source: &Source, delimiter: u8) -> Result<Opened, Refusal> {
    let header: Vec<String> =
        source.stream_head(|input| Ok(CsvReader::new(input, delimiter).map_err(|e| e.refusal())?.header))?;
    let columns = header.iter().map(|name| format::text_column(name)).collect();
    let reader = Arc::new(CsvFile { source: source.clone(), delimiter, width: header.len() });
    Ok(Opened { reader, columns, open_ended: false })
}

impl Reader for CsvFile {
    fn read(&self, _: usize, wanted: &[Wanted<'_>], sink: &Sink<'_>) -> Result<(), Stop> {
        self.source.stream(|input| {
            let mut reader = CsvReader::new(input, self.delimiter).map_err(|e| e.refusal())?;
            if reader.header().len() != self.width {
                return Err(Stop::Problem(SkipCode::Changed, "the header changed between two reads".to_owned()));
            }
            let outcome = loop {
                match reader.next_batch() {
                    Ok(Some(batch)) => {
                        let arrays = wanted.iter().filter_map(|w| batch.columns.get(w.index).map(Arc::clone));
                        sink.rows(batch.rows, arrays.collect())?;
                    }
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(Stop::from(error.refusal())),
                }
            };
            sink.count(reader.rows());
            reader.misfits.tell("the header", sink);
            outcome
        })
    }
}

/// Why a CSV file could not be read to the end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CsvError {
    /// The system's word.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Not CSV, or not in one way only.
    #[error("line {line}: {what}")]
    Malformed {
        /// Line, from 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// Too large.
    #[error("line {line}: {what}")]
    Limit {
        /// Line, from 1.
        line: u64,
        /// What is too large.
        what: String,
    },
}

impl CsvError {
    pub(super) fn refusal(&self) -> Refusal {
        match self {
            Self::Io(error) => io_problem(error),
            Self::Malformed { .. } => (SkipCode::Malformed, self.to_string()),
            Self::Limit { .. } => (SkipCode::Limit, self.to_string()),
        }
    }
}

/// Rows that did not fit the header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Misfits {
    /// How many.
    pub(crate) count: u64,
    /// The first of them: row number from 0, and what is wrong.
    pub(crate) first: Vec<(u64, String)>,
}

impl Misfits {
    /// Tells the scan what did not fit `what`.
    pub(super) fn tell(&self, what: &str, sink: &Sink<'_>) {
        if self.count > 0 {
            let first: Vec<_> = self.first.iter().take(3).map(|(row, what)| format!("row {row}: {what}")).collect();
            let first = first.join("; ");
            let what = format!("rows that do not fit {what} and were not checked: {} ({first})", self.count);
            sink.misfits(self.count, what);
        }
    }

    pub(super) fn add(&mut self, row: u64, what: String) {
        self.count += 1;
        if self.first.len() < KEPT {
            self.first.push((row, what));
        }
    }
}

/// Rows of one batch: their numbers and one text array a column.
pub(crate) struct CsvBatch {
    /// Row numbers in the file, from 0, the header not counted.
    pub(crate) rows: Vec<u64>,
    /// Columns in the order of the header.
    pub(crate) columns: Vec<ArrayRef>,
}

/// A CSV file that is being read.
pub(crate) struct CsvReader<R> {
    input: R,
    delimiter: u8,
    buffer: Vec<u8>,
    start: usize,
    last: bool,
    line: u64,
    row: u64,
    blank: u64,
    fields: Vec<Field>,
    header: Vec<String>,
    /// Rows that did not fit.
    pub(crate) misfits: Misfits,
}

impl<R: Read> CsvReader<R> {
    /// Reads the header.
    pub(crate) fn new(input: R, delimiter: u8) -> Result<Self, CsvError> {
        let mut reader = Self {
            input,
            delimiter,
            buffer: Vec::new(),
            start: 0,
            last: false,
            line: 1,
            row: 0,
            blank: 0,
            fields: Vec::new(),
            header: Vec::new(),
            misfits: Misfits::default(),
        };
        while reader.buffer.len() < 3 && !reader.last {
            reader.fill()?;
        }
        if reader.buffer.starts_with(b"\xEF\xBB\xBF") {
            reader.start = 3;
        }
        let Some((content, whole)) = reader.next_record()? else {
            return Err(reader.malformed("no header line: the file is empty"));
        };
        if content == 0 {
            return Err(reader.malformed("the header line is empty"));
        }
        if reader.fields.len() > MAX_COLUMNS {
            let what = format!("{} columns; at most {MAX_COLUMNS} are read", reader.fields.len());
            return Err(CsvError::Limit { line: 1, what });
        }
        let Ok(text) = std::str::from_utf8(&reader.buffer[reader.start..reader.start + content]) else {
            return Err(reader.malformed("the header is not UTF-8"));
        };
        let header: Vec<String> = reader.fields.iter().map(|f| f.value(text).into_owned()).collect();
        let mut sorted: Vec<_> = header.iter().collect();
        sorted.sort();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            let what = format!("two columns are called `{}`", shorten(pair[0]));
            return Err(reader.malformed(&what));
        }
        reader.header = header;
        reader.advance(whole);
        Ok(reader)
    }

    /// Column names.
    pub(crate) fn header(&self) -> &[String] {
        &self.header
    }

    /// Rows read so far, misfits included.
    pub(crate) fn rows(&self) -> u64 {
        self.row
    }

    /// The next rows; `None` at the end of the file.
    pub(crate) fn next_batch(&mut self) -> Result<Option<CsvBatch>, CsvError> {
        let width = self.header.len();
        let most = BATCH_ROWS.min(BATCH_CELLS / width.max(1)).max(1);
        let mut builders: Vec<StringBuilder> = (0..width).map(|_| StringBuilder::new()).collect();
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while rows.len() < most && bytes < BATCH_BYTES {
            let Some((content, whole)) = self.next_record()? else { break };
            if content == 0 && width > 1 {
                // An empty line at the end of a file is a habit; elsewhere it may be a row that lost its fields.
                self.blank += 1;
                self.advance(whole);
                continue;
            }
            for _ in 0..std::mem::take(&mut self.blank) {
                self.misfits.add(self.row, "an empty line".to_owned());
                self.row += 1;
            }
            self.take_record(content, &mut builders, &mut rows);
            bytes += content;
            self.advance(whole);
            self.row += 1;
        }
        if rows.is_empty() && self.last && self.start == self.buffer.len() {
            return Ok(None);
        }
        let columns = builders.iter_mut().map(|b| Arc::new(b.finish()) as ArrayRef).collect();
        Ok(Some(CsvBatch { rows, columns }))
    }

    fn take_record(&mut self, content: usize, builders: &mut [StringBuilder], rows: &mut Vec<u64>) {
        if self.fields.len() != builders.len() {
            let what = format!("{} of {} fields", self.fields.len(), builders.len());
            self.misfits.add(self.row, what);
            return;
        }
        let Ok(text) = std::str::from_utf8(&self.buffer[self.start..self.start + content]) else {
            self.misfits.add(self.row, "not UTF-8".to_owned());
            return;
        };
        for (field, builder) in self.fields.iter().zip(builders) {
            if field.is_null() {
                builder.append_null();
            } else {
                builder.append_value(field.value(text));
            }
        }
        rows.push(self.row);
    }

    /// The next record's length without and with its line end; its fields are in `self.fields`.
    fn next_record(&mut self) -> Result<Option<(usize, usize)>, CsvError> {
        loop {
            if self.start == self.buffer.len() && self.last {
                return Ok(None);
            }
            match split(&self.buffer[self.start..], self.delimiter, self.last, &mut self.fields) {
                Step::Record { content, whole } => return Ok(Some((content, whole))),
                Step::Bad(what) => return Err(self.malformed(what)),
                Step::More => {
                    if self.buffer.len() - self.start > MAX_RECORD {
                        let what = format!("a record longer than {MAX_RECORD} bytes, or a quote that is never closed");
                        return Err(CsvError::Limit { line: self.line, what });
                    }
                    self.fill()?;
                }
            }
        }
    }

    fn fill(&mut self) -> Result<(), CsvError> {
        self.buffer.drain(..self.start);
        self.start = 0;
        // A record that needs more gets a block as large as itself, so that its rescans stay linear in sum.
        let block = BLOCK.max(self.buffer.len());
        let before = self.buffer.len();
        self.input.by_ref().take(block as u64).read_to_end(&mut self.buffer)?;
        if self.buffer.len() == before {
            self.last = true;
        }
        if let Some(at) = memchr::memchr(0, &self.buffer[before..]) {
            let line = self.line + newlines(&self.buffer[..before + at]);
            let wide = line == 1 && [&b"\xFF\xFE"[..], b"\xFE\xFF"].iter().any(|mark| self.buffer.starts_with(mark));
            let what = if wide { "UTF-16; store the file as UTF-8" } else { "a NUL byte; this is no text" };
            return Err(CsvError::Malformed { line, what: what.to_owned() });
        }
        Ok(())
    }

    fn advance(&mut self, whole: usize) {
        self.line += newlines(&self.buffer[self.start..self.start + whole]);
        self.start += whole;
    }

    fn malformed(&self, what: &str) -> CsvError {
        CsvError::Malformed { line: self.line, what: what.to_owned() }
    }
}

pub(super) fn newlines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// Names come from files: they are cut before they go into messages.
pub(crate) fn shorten(name: &str) -> String {
    name.chars().take(64).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<(Vec<u64>, Misfits), CsvError> {
        let mut reader = CsvReader::new(bytes, b',')?;
        let mut rows = Vec::new();
        while let Some(batch) = reader.next_batch()? {
            rows.extend(batch.rows);
        }
        Ok((rows, reader.misfits))
    }

    fn message(bytes: &[u8]) -> String {
        read(bytes).unwrap_err().to_string()
    }

    #[test]
    fn ragged_and_foreign_rows_are_counted_with_their_number() {
        let (rows, misfits) = read(b"a,b\n1,2\n3\n4,5,6\n\xff,1\n\n7,8\n\n\n").unwrap();
        assert_eq!(rows, [0, 5]);
        let seen: Vec<_> = misfits.first.iter().map(|(row, what)| (*row, what.as_str())).collect();
        assert_eq!(seen, [(1, "1 of 2 fields"), (2, "3 of 2 fields"), (3, "not UTF-8"), (4, "an empty line"),]);
    }

    #[test]
    fn an_empty_line_of_a_one_column_table_is_a_null() {
        assert_eq!(read(b"a\n1\n\n2\n").unwrap().0, [0, 1, 2]);
    }

    #[test]
    fn what_is_no_csv_ends_the_file_with_its_line() {
        assert_eq!(message(b""), "line 1: no header line: the file is empty");
        assert_eq!(message(b"a,a\n"), "line 1: two columns are called `a`");
        assert_eq!(message(b"a,b\n1,2\n1,\"x\n"), "line 3: a quote that is never closed");
        assert_eq!(message(b"a,b\n1,2\n1,\x00\n"), "line 3: a NUL byte; this is no text");
        assert!(message(",".repeat(MAX_COLUMNS).as_bytes()).contains("columns"));
    }

    #[test]
    fn a_giant_cell_hits_the_limit_instead_of_memory() {
        let giant = std::io::Cursor::new(b"a,b\n1,").chain(std::io::repeat(b'x').take(1 << 30));
        let mut reader = CsvReader::new(giant, b',').unwrap();
        assert!(matches!(reader.next_batch(), Err(CsvError::Limit { line: 2, .. })));
        assert!(reader.buffer.capacity() < 4 * MAX_RECORD);
    }
}
