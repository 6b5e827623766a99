//! Columns of a table in memory, row by row.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;

use super::cells::{Nature, numbers, vectors};
use super::text::Texts;
use super::vectors::Vectors;
use crate::table::{Column, Scan, Table, family};

/// The code of a null.
pub(super) const NONE: u32 = u32::MAX;
/// Different words before a column counts as free text.
const MAX_WORDS: usize = 50_000;
/// Bytes of all different words of a column.
const MAX_WORD_BYTES: usize = 16 << 20;

/// Columns that could not be read: path and reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unread {
    pub(super) path: String,
    pub(super) code: gauntlet_core::SkipCode,
    pub(super) what: String,
}

/// One column with a cell for each row.
#[derive(Clone, Debug)]
pub(super) struct Cells {
    pub(super) name: String,
    /// Word of the contract's vocabulary for its type.
    pub(super) family: String,
    pub(super) rows: u64,
    pub(super) nulls: u64,
    pub(super) nans: u64,
    pub(super) body: Body,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    /// NaN where there is no number.
    Numbers(Vec<f64>),
    /// Codes of words, [`NONE`] for null.
    Words(Words),
    /// So many different words that they are text.
    Text(Texts),
    Vectors(Vectors),
    /// Not compared.
    Other,
}

/// Words by code.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    pub(super) codes: Vec<u32>,
    pub(super) names: Vec<String>,
    pub(super) counts: Vec<u64>,
    bytes: usize,
    index: HashMap<String, u32>,
}

impl Words {
    /// Adds a word, or a null; beyond the most that are counted a row has none.
    pub(super) fn add(&mut self, word: Option<&str>) {
        if !self.push(word) {
            self.codes.push(NONE);
        }
    }

    /// False when there are too many.
    fn push(&mut self, word: Option<&str>) -> bool {
        let Some(word) = word else {
            self.codes.push(NONE);
            return true;
        };
        let code = match self.index.get(word) {
            Some(code) => *code,
            None => {
                if self.names.len() >= MAX_WORDS || self.bytes + word.len() > MAX_WORD_BYTES {
                    return false;
                }
                let code = self.names.len() as u32;
                self.bytes += word.len();
                self.names.push(word.to_owned());
                self.counts.push(0);
                self.index.insert(word.to_owned(), code);
                code
            }
        };
        self.codes.push(code);
        if let Some(count) = self.counts.get_mut(code as usize) {
            *count += 1;
        }
        true
    }

    /// The same as texts.
    pub(super) fn texts(&self) -> Texts {
        let mut out = Texts::default();
        self.names.iter().zip(&self.counts).for_each(|(name, rows)| out.push(name, *rows));
        out
    }

    /// The same words with other counts and without rows.
    pub(super) fn recounted(&self, counts: Vec<u64>) -> Self {
        Self { names: self.names.clone(), counts, ..Self::default() }
    }

    /// Each word with its rows.
    pub(super) fn counted(&self) -> std::collections::BTreeMap<String, u64> {
        self.names.iter().cloned().zip(self.counts.iter().copied()).collect()
    }
}

/// Name of a column's type family.
pub(super) fn family_of(column: &Column) -> String {
    let data_type = column.rule_type();
    match family(data_type) {
        Some(family) => family.as_str().to_owned(),
        None if Nature::of(data_type) == Nature::Vector => "list".to_owned(),
        None => "other".to_owned(),
    }
}

/// Reads these columns of a table into memory.
pub(super) fn read(table: &Arc<Table>, columns: &[usize]) -> Result<Vec<Cells>, Vec<Unread>> {
    let pass = Scan::new(Arc::clone(table), columns.to_vec());
    let mut out: Vec<Cells> = columns.iter().filter_map(|&i| table.columns.get(i)).map(Cells::new).collect();
    let mut wrong: Option<String> = None;
    pass.for_each(&mut |batch: RecordBatch| {
        let mut at = 1;
        for (cells, &i) in out.iter_mut().zip(columns) {
            let Some(column) = table.columns.get(i) else { continue };
            at += usize::from(column.typed.is_some());
            if let Err(error) = cells.push(batch.column(at)) {
                wrong.get_or_insert(format!("column `{}`: {error}", column.name));
            }
            at += 1;
        }
    });
    let (_, problems) = pass.finish();
    let mut unread: Vec<Unread> =
        problems.into_iter().map(|p| Unread { path: p.path, code: p.code, what: p.what }).collect();
    unread.extend(wrong.map(|what| Unread { path: String::new(), code: gauntlet_core::SkipCode::Malformed, what }));
    if unread.is_empty() { Ok(out) } else { Err(unread) }
}

impl Cells {
    fn new(column: &Column) -> Self {
        let body = match Nature::of(column.rule_type()) {
            Nature::Number => Body::Numbers(Vec::new()),
            Nature::Word => Body::Words(Words::default()),
            Nature::Vector => Body::Vectors(Vectors::default()),
            Nature::Other => Body::Other,
        };
        Self { name: column.name.clone(), family: family_of(column), rows: 0, nulls: 0, nans: 0, body }
    }

    /// The column without its cells.
    pub(super) fn clone_head(&self) -> Self {
        let (name, family) = (self.name.clone(), self.family.clone());
        Self { name, family, rows: 0, nulls: 0, nans: 0, body: Body::Other }
    }

    /// A column of numbers that were computed.
    pub(super) fn computed(name: &str, values: Vec<f64>) -> Self {
        let nans = values.iter().filter(|x| x.is_nan()).count() as u64;
        let rows = values.len() as u64;
        Self { name: name.to_owned(), family: "float".into(), rows, nulls: nans, nans: 0, body: Body::Numbers(values) }
    }

    fn push(&mut self, array: &ArrayRef) -> Result<(), arrow::error::ArrowError> {
        self.rows += array.len() as u64;
        self.nulls += array.null_count() as u64;
        match &mut self.body {
            Body::Numbers(values) => {
                for x in numbers(array)?.iter() {
                    self.nans += u64::from(x.is_some_and(f64::is_nan));
                    values.push(x.unwrap_or(f64::NAN));
                }
            }
            Body::Words(words) => match array.data_type() {
                DataType::Boolean => {
                    let name = |b: bool| if b { "true" } else { "false" };
                    array.as_boolean().iter().for_each(|b| {
                        words.push(b.map(name));
                    });
                }
                _ => {
                    let mut rest = strings(array)?.iter();
                    while let Some(text) = rest.next() {
                        if !words.push(text) {
                            let mut texts = words.texts();
                            text.into_iter().chain(rest.flatten()).for_each(|text| texts.push(text, 1));
                            self.body = Body::Text(texts);
                            break;
                        }
                    }
                }
            },
            Body::Text(texts) => strings(array)?.iter().flatten().for_each(|text| texts.push(text, 1)),
            Body::Vectors(out) => vectors(array, |row| out.push(row))?,
            Body::Other => {}
        }
        Ok(())
    }
}

fn strings(array: &ArrayRef) -> Result<&arrow::array::StringArray, arrow::error::ArrowError> {
    array.as_string_opt::<i32>().ok_or_else(|| arrow::error::ArrowError::CastError("no texts".into()))
}
