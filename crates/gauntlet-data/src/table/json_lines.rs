//! JSON Lines as text columns: a string is its text, a number or truth value as it is written, lists and objects their JSON.
//! The columns are the names in the first records; a record that brings another one does not fit and says so.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use gauntlet_core::SkipCode;
use memchr::memchr;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::csv::{BLOCK, CsvError, MAX_COLUMNS, MAX_RECORD, Misfits, shorten};
use super::format::{self, Entry, Opened, Reader, Stop, Wanted};
use super::provider::Sink;
use super::source::{Refusal, Source};
use crate::facts::Format;

pub(super) const FORMAT: Entry =
    Entry { format: Format::JsonLines, extensions: &["jsonl", "ndjson", "jsonlines"], open };

/// Records that are read for the names of columns.
const HEAD: usize = 1_000;
const BATCH_ROWS: usize = 8_192;
const BATCH_CELLS: usize = 1 << 20;
const BATCH_BYTES: usize = 8 << 20;

#[derive(Debug)]
struct JsonFile {
    source: Source,
    names: Arc<[String]>,
}

fn open(source: &Source) -> Result<Opened, Refusal> {
    let names = source.stream_head(|input| {
        let mut lines = Lines::new(input);
        let mut names: Vec<String> = Vec::new();
        let mut records = 0;
        while records < HEAD
            && let Some(line) = lines.next().map_err(|e| e.refusal())?
        {
            // What is wrong with a record is told when its row is read.
            let Ok(record) = record(line) else { continue };
            records += 1;
            for name in record.into_keys().filter(|name| !names.contains(name)).collect::<Vec<_>>() {
                names.push(name);
            }
            if names.len() > MAX_COLUMNS {
                let what = format!("line {}: {} columns; at most {MAX_COLUMNS} are read", lines.line, names.len());
                return Err((SkipCode::Limit, what));
            }
        }
        if names.is_empty() {
            let what = format!("line {}: no record: every line has to be a JSON object", lines.line.max(1));
            return Err((SkipCode::Malformed, what));
        }
        names.sort_unstable();
        Ok(names)
    })?;
    let columns = names.iter().map(|name| format::text_column(name)).collect();
    Ok(Opened { reader: Arc::new(JsonFile { source: source.clone(), names: names.into() }), columns, open_ended: true })
}

impl Reader for JsonFile {
    fn read(&self, _: usize, wanted: &[Wanted<'_>], sink: &Sink<'_>) -> Result<(), Stop> {
        self.source.stream(|input| {
            let mut rows =
                Rows { lines: Lines::new(input), names: &self.names, wanted, row: 0, misfits: Misfits::default() };
            let outcome = loop {
                match rows.next_batch() {
                    Ok(Some((numbers, arrays))) => sink.rows(numbers, arrays)?,
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(Stop::from(error.refusal())),
                }
            };
            sink.count(rows.row);
            rows.misfits.tell("the columns", sink);
            outcome
        })
    }
}

/// Rows by number, and their columns.
type Numbered = (Vec<u64>, Vec<ArrayRef>);

struct Rows<'a, R> {
    lines: Lines<R>,
    names: &'a [String],
    wanted: &'a [Wanted<'a>],
    row: u64,
    misfits: Misfits,
}

impl<R: Read> Rows<'_, R> {
    fn next_batch(&mut self) -> Result<Option<Numbered>, CsvError> {
        let most = BATCH_ROWS.min(BATCH_CELLS / self.wanted.len().max(1)).max(1);
        let mut builders: Vec<StringBuilder> = self.wanted.iter().map(|_| StringBuilder::new()).collect();
        let (mut numbers, mut bytes, mut read) = (Vec::new(), 0, 0);
        while read < most && bytes < BATCH_BYTES {
            let Some(line) = self.lines.next()? else { break };
            (read, bytes) = (read + 1, bytes + line.len());
            let row = self.row;
            self.row += 1;
            match cells(line, self.names, self.wanted) {
                Ok(cells) => {
                    for (builder, cell) in builders.iter_mut().zip(cells) {
                        builder.append_option(cell);
                    }
                    numbers.push(row);
                }
                Err(what) => self.misfits.add(row, what),
            }
        }
        if read == 0 {
            return Ok(None);
        }
        Ok(Some((numbers, builders.iter_mut().map(|b| Arc::new(b.finish()) as ArrayRef).collect())))
    }
}

/// The wanted cells of a record.
fn cells(line: &[u8], names: &[String], wanted: &[Wanted<'_>]) -> Result<Vec<Option<String>>, String> {
    let mut record = record(line)?;
    if let Some(name) = record.keys().find(|name| names.binary_search(name).is_err()) {
        return Err(format!("`{}` is in none of the first {HEAD} records", shorten(name)));
    }
    wanted.iter().map(|w| record.remove(w.name).map_or(Ok(None), |value| cell(&value))).collect()
}

fn cell(value: &RawValue) -> Result<Option<String>, String> {
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'n') => Ok(None),
        Some(b'"') => serde_json::from_str(text).map(Some).map_err(|error| error.to_string()),
        _ => Ok(Some(text.to_owned())),
    }
}

/// The members of one record; a name that occurs twice is read differently by different programs.
fn record(line: &[u8]) -> Result<BTreeMap<String, Box<RawValue>>, String> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = BTreeMap<String, Box<RawValue>>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut out = BTreeMap::new();
            while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                if out.len() > MAX_COLUMNS {
                    return Err(A::Error::custom(format!("more than {MAX_COLUMNS} members")));
                }
                if out.contains_key(&name) {
                    return Err(A::Error::custom(format!("`{}` occurs twice", shorten(&name))));
                }
                out.insert(name, value);
            }
            Ok(out)
        }
    }
    let text = std::str::from_utf8(line).map_err(|_| "not UTF-8".to_owned())?;
    if text.trim().is_empty() {
        return Err("an empty line".to_owned());
    }
    let mut parser = serde_json::Deserializer::from_str(text);
    let members = parser.deserialize_map(Members).and_then(|members| parser.end().map(|()| members));
    // The library says "at line 1": here every line is one.
    members.map_err(|error| error.to_string().split(" at line ").next().unwrap_or_default().chars().take(120).collect())
}

/// Lines of bounded length. Empty ones at the end of the file are no lines.
struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    last: bool,
    /// Number of the line that was handed out, from 1.
    line: u64,
}

impl<R: Read> Lines<R> {
    fn new(input: R) -> Self {
        Self { input, buffer: Vec::new(), start: 0, last: false, line: 0 }
    }

    fn next(&mut self) -> Result<Option<&[u8]>, CsvError> {
        let mut searched = 0;
        let (end, after) = loop {
            let rest = self.buffer.get(self.start..).unwrap_or_default();
            if let Some(n) = memchr(b'\n', rest.get(searched..).unwrap_or_default()) {
                break (self.start + searched + n, self.start + searched + n + 1);
            }
            searched = rest.len();
            if self.last {
                if rest.iter().all(u8::is_ascii_whitespace) {
                    return Ok(None);
                }
                break (self.buffer.len(), self.buffer.len());
            }
            if searched > MAX_RECORD {
                let what = format!("a record longer than {MAX_RECORD} bytes");
                return Err(CsvError::Limit { line: self.line + 1, what });
            }
            self.fill()?;
        };
        // Is it an empty line that only empty ones follow?
        if self.blank(self.start, end) && self.only_blanks_follow(after)? {
            return Ok(None);
        }
        let start = self.start;
        self.start = after;
        self.line += 1;
        Ok(self.buffer.get(start..end))
    }

    fn blank(&self, start: usize, end: usize) -> bool {
        self.buffer.get(start..end).is_none_or(|line| line.iter().all(u8::is_ascii_whitespace))
    }

    /// Whether nothing but white space follows; a page of it is enough to say no.
    fn only_blanks_follow(&mut self, from: usize) -> Result<bool, CsvError> {
        loop {
            let rest = self.buffer.get(from..).unwrap_or_default();
            if !rest.iter().all(u8::is_ascii_whitespace) {
                return Ok(false);
            }
            if self.last {
                return Ok(true);
            }
            if rest.len() > BLOCK {
                return Ok(false);
            }
            self.grow()?;
        }
    }

    fn fill(&mut self) -> Result<(), CsvError> {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.grow()
    }

    fn grow(&mut self) -> Result<(), CsvError> {
        let before = self.buffer.len();
        self.input.by_ref().take(BLOCK.max(before - self.start) as u64).read_to_end(&mut self.buffer)?;
        self.last = self.buffer.len() == before;
        if before == 0 && [&b"\xFF\xFE"[..], b"\xFE\xFF"].iter().any(|mark| self.buffer.starts_with(mark)) {
            let what = "UTF-16; store the file as UTF-8".to_owned();
            return Err(CsvError::Malformed { line: 1, what });
        }
        if before == 0 && self.buffer.starts_with(b"\xEF\xBB\xBF") {
            self.start = 3;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, AsArray};

    /// Numbers of the rows, their cells, and what did not fit.
    type Seen = (Vec<u64>, Vec<String>, Vec<(u64, String)>);

    fn read(bytes: &[u8], names: &[&str]) -> Result<Seen, CsvError> {
        let sorted: Vec<String> = names.iter().map(|&n| n.to_owned()).collect();
        let wanted: Vec<Wanted<'_>> = names.iter().map(|name| Wanted { index: 0, name }).collect();
        let mut rows =
            Rows { lines: Lines::new(bytes), names: &sorted, wanted: &wanted, row: 0, misfits: Misfits::default() };
        let (mut numbers, mut cells) = (Vec::new(), Vec::new());
        while let Some((some, arrays)) = rows.next_batch()? {
            numbers.extend(some);
            for array in &arrays {
                let texts = array.as_string::<i32>();
                cells.extend((0..texts.len()).map(|i| if texts.is_null(i) { "∅" } else { texts.value(i) }.to_owned()));
            }
        }
        Ok((numbers, cells, rows.misfits.first))
    }

    #[test]
    fn values_are_read_as_they_are_written() {
        let text = b"{\"a\": \"x\\u00e9\", \"b\": 1.50}\n{\"b\": [1, 2], \"a\": null}\r\n{\"a\": true}\n";
        let (rows, cells, misfits) = read(text, &["a", "b"]).unwrap();
        assert_eq!((rows, misfits), (vec![0, 1, 2], vec![]));
        assert_eq!(cells, ["x\u{e9}", "∅", "true", "1.50", "[1, 2]", "∅"]);
    }

    #[test]
    fn what_is_no_record_is_counted_with_its_row() {
        let text =
            b"{\"a\": 1}\n{\"a\": 1, \"a\": 2}\n\n[1]\n{\"a\": 1} x\n{\"b\": 1}\n{\"a\": \xff}\n{\"a\": 3}\n\n\n";
        let (rows, _, misfits) = read(text, &["a"]).unwrap();
        assert_eq!(rows, [0, 7]);
        let seen: Vec<String> = misfits.into_iter().map(|(row, what)| format!("{row} {what}")).collect();
        assert_eq!(
            seen,
            [
                "1 `a` occurs twice",
                "2 an empty line",
                "3 invalid type: sequence, expected a JSON object",
                "4 trailing characters",
                "5 `b` is in none of the first 1000 records",
                "6 not UTF-8"
            ]
        );
    }

    #[test]
    fn a_line_without_end_hits_the_limit_and_deep_nesting_does_no_harm() {
        let endless = std::io::Cursor::new(b"{\"a\": \"").chain(std::io::repeat(b'x').take(1 << 30));
        let mut lines = Lines::new(endless);
        assert!(matches!(lines.next(), Err(CsvError::Limit { line: 1, .. })));
        let deep = format!("{{\"a\": {}{}}}\n", "[".repeat(100_000), "]".repeat(100_000));
        let (rows, cells, misfits) = read(deep.as_bytes(), &["a"]).unwrap();
        assert!(rows.len() + misfits.len() == 1 && (cells.len() == rows.len()));
    }

    #[test]
    fn blocks_do_not_change_what_is_read() {
        let text: String = (0..40_000).map(|i| format!("{{\"a\": {i}}}\n")).collect();
        let (rows, cells, misfits) = read(text.as_bytes(), &["a"]).unwrap();
        assert_eq!((rows.len(), misfits.len()), (40_000, 0));
        assert_eq!(cells.last().unwrap(), "39999");
        let blanks = format!("{{\"a\": 1}}\n{}{{\"a\": 2}}\n", "\n".repeat(3));
        assert_eq!(read(blanks.as_bytes(), &["a"]).unwrap().0, [0, 4]);
    }
}
