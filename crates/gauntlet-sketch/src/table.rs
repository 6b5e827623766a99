//! All columns of a table together: the row hashes need them side by side.

use arrow::array::{Array, ArrayRef};
use serde::{Deserialize, Serialize};

use crate::codec::{DecodeError, Reader, Writer};
use crate::column::{ColumnSketch, MergeError};
use crate::content::{ContentHash, RowSums, schema_hash};
use crate::kll::MAX_KLL;
use crate::profile::{Column, Profile};
use crate::scratch::Scratch;
use crate::update::UpdateError;
use crate::value::Kind;
use crate::watch::{Watch, Watches};

/// Most columns of a sketch.
pub const MAX_COLUMNS: usize = 1 << 16;
/// Longest name of a column or type, in bytes.
pub(crate) const MAX_NAME: usize = 1 << 16;
const STATE: u8 = 1;
/// Rows that are summarised in one go: the shared scratch space stays in the cache, and no 16-bit counter overflows.
const RUN: usize = 16_384;

/// A column to be summarised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnSpec {
    /// Its name: part of its identity.
    pub name: String,
    /// The name of its type for people, as stored.
    pub data_type: String,
}

/// What to summarise beyond the usual.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SketchOptions {
    /// Accuracy of a KLL quantile sketch for each numeric column: 200 or 1024, say. Without one, quantiles and
    /// distribution functions come from the log histogram, whose bounds are certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kll: Option<u16>,
    /// Bins to count exactly, by column name.
    #[serde(default, skip_serializing_if = "Watches::is_empty")]
    pub watches: Watches,
}

/// The cells of one column of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Cells<'a> {
    /// Values.
    pub values: &'a ArrayRef,
    /// The texts they were parsed from: a cell that is null in `values` and no null here is counted as invalid, and its
    /// text goes into the row's hash.
    pub texts: Option<&'a ArrayRef>,
}

/// Summaries of all columns while a table is read. Two of them that saw different rows of one table merge.
#[derive(Debug)]
pub struct TableSketch {
    columns: Vec<(ColumnSpec, ColumnSketch)>,
    options: SketchOptions,
    open: Option<(u64, Vec<ColumnSketch>)>,
    rows: u64,
    sum: u128,
    scratch: Box<Scratch>,
    sums: RowSums,
}

impl TableSketch {
    /// For these columns, by name and Arrow type.
    #[must_use]
    pub fn new(columns: Vec<(ColumnSpec, Kind)>, options: SketchOptions) -> Self {
        let options = options.sound();
        let fresh = |(spec, kind): (ColumnSpec, Kind)| {
            let sketch = options.column(&spec.name, kind);
            (spec, sketch)
        };
        Self {
            columns: columns.into_iter().map(fresh).collect(),
            open: None,
            rows: 0,
            sum: 0,
            scratch: Box::default(),
            sums: RowSums::default(),
            options,
        }
    }

    /// Adds a batch of part `part`. The parts of a table are read in any order and by anybody, but each of them by one
    /// sketch, from its first row to its last: then the result does not depend on who read which.
    ///
    /// # Errors
    /// When the batch does not fit the columns.
    pub fn update(&mut self, part: u64, batch: &[Cells<'_>]) -> Result<(), UpdateError> {
        if batch.len() != self.columns.len() {
            return Err(UpdateError::Shape("another number of columns"));
        }
        let rows = batch.first().map_or(0, |cells| cells.values.len());
        for (i, (cells, (_, sketch))) in batch.iter().zip(&self.columns).enumerate() {
            if cells.values.len() != rows || cells.texts.is_some_and(|texts| texts.len() != rows) {
                return Err(UpdateError::Shape("columns of different lengths"));
            }
            let kind = Kind::of(cells.values.data_type());
            if kind != sketch.kind {
                let found = cells.values.data_type().to_string();
                return Err(UpdateError::Kind { column: i, expected: sketch.kind.as_str(), found });
            }
        }
        self.open(part);
        for start in (0..rows).step_by(RUN) {
            let length = RUN.min(rows - start);
            self.run(batch, start, length, rows)?;
        }
        Ok(())
    }

    fn run(&mut self, batch: &[Cells<'_>], start: usize, length: usize, rows: usize) -> Result<(), UpdateError> {
        let Some((_, open)) = &mut self.open else { return Ok(()) };
        self.sums.reset(length);
        for (cells, sketch) in batch.iter().zip(open) {
            if length == rows {
                sketch.update(cells.values, cells.texts, &mut self.scratch, &mut self.sums)?;
            } else {
                let values = cells.values.slice(start, length);
                let texts = cells.texts.map(|texts| texts.slice(start, length));
                sketch.update(&values, texts.as_ref(), &mut self.scratch, &mut self.sums)?;
            }
        }
        self.rows += length as u64;
        self.sum = self.sum.wrapping_add(self.sums.sum());
        Ok(())
    }

    fn open(&mut self, part: u64) {
        if self.open.as_ref().is_some_and(|(open, _)| *open == part) {
            return;
        }
        self.close();
        let fresh = |(spec, sketch): &(ColumnSpec, ColumnSketch)| self.options.column(&spec.name, sketch.kind);
        self.open = Some((part, self.columns.iter().map(fresh).collect()));
    }

    fn close(&mut self) {
        let Some((part, open)) = self.open.take() else { return };
        for ((_, total), mut sketch) in self.columns.iter_mut().zip(open) {
            sketch.close(part);
            // Both were made here from one specification, so they fit.
            let _fits = total.merge(sketch);
        }
    }

    /// Adds what another sketch saw of the same table.
    ///
    /// # Errors
    /// When it was made for other columns or options.
    pub fn merge(&mut self, mut other: Self) -> Result<(), MergeError> {
        self.close();
        other.close();
        if self.columns.len() != other.columns.len() {
            return Err(MergeError("the tables have other columns"));
        }
        for ((spec, mine), (theirs_spec, theirs)) in self.columns.iter_mut().zip(other.columns) {
            if *spec != theirs_spec {
                return Err(MergeError("the tables have other columns"));
            }
            mine.merge(theirs)?;
        }
        self.rows += other.rows;
        self.sum = self.sum.wrapping_add(other.sum);
        Ok(())
    }

    /// Bytes of memory, roughly.
    #[must_use]
    pub fn size(&self) -> usize {
        let total: usize = self.columns.iter().map(|(spec, sketch)| sketch.size() + 2 * spec.name.len()).sum();
        let open: usize = self.open.iter().flat_map(|(_, open)| open).map(ColumnSketch::size).sum();
        total + open + (1 << 20)
    }

    /// The state as bytes, for another thread or machine.
    pub fn to_state(&mut self) -> Vec<u8> {
        self.close();
        let mut out = Writer::default();
        out.u8(STATE);
        self.write_columns(&mut out);
        out.0
    }

    fn write_columns(&self, out: &mut Writer) {
        out.count(self.rows);
        out.u128(self.sum);
        out.count(self.columns.len() as u64);
        for (spec, sketch) in &self.columns {
            out.bytes(spec.name.as_bytes());
            out.bytes(spec.data_type.as_bytes());
            sketch.write(out);
        }
    }

    /// Reads [`TableSketch::to_state`].
    ///
    /// # Errors
    /// When the bytes are no state.
    pub fn from_state(bytes: &[u8], options: &SketchOptions) -> Result<Self, DecodeError> {
        let mut input = Reader(bytes);
        match input.u8()? {
            STATE => {}
            version => return Err(DecodeError::Version(version)),
        }
        let (rows, sum, columns) = read_columns(&mut input)?;
        input.finish()?;
        let options = options.clone().sound();
        Ok(Self { columns, open: None, rows, sum, scratch: Box::default(), sums: RowSums::default(), options })
    }

    /// The finished profile.
    #[must_use]
    pub fn finish(mut self) -> Profile {
        self.close();
        let schema = schema_hash(self.columns.iter().map(|(spec, sketch)| (spec.name.as_str(), sketch.kind)));
        let content = ContentHash { sum: self.sum, rows: self.rows, schema };
        let columns = self.columns.into_iter().map(|(spec, mut sketch)| {
            sketch.fold();
            Column { name: spec.name, data_type: spec.data_type, sketch }
        });
        Profile { content, columns: columns.collect() }
    }
}

pub(crate) type Columns = Vec<(ColumnSpec, ColumnSketch)>;

pub(crate) fn read_columns(input: &mut Reader<'_>) -> Result<(u64, u128, Columns), DecodeError> {
    let (rows, sum) = (input.count()?, input.u128()?);
    let n = input.length("columns", MAX_COLUMNS)?;
    let mut columns = Vec::new();
    for _ in 0..n {
        let name = text(input.bytes("bytes of a name", MAX_NAME)?)?;
        let data_type = text(input.bytes("bytes of a type", MAX_NAME)?)?;
        let sketch = ColumnSketch::read(input, &name)?;
        if sketch.rows != rows {
            return Err(DecodeError::Malformed("columns have different numbers of rows"));
        }
        columns.push((ColumnSpec { name, data_type }, sketch));
    }
    Ok((rows, sum, columns))
}

fn text(bytes: &[u8]) -> Result<String, DecodeError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| DecodeError::Malformed("a name is not UTF-8"))
}

impl SketchOptions {
    fn sound(mut self) -> Self {
        self.kll = self.kll.map(|k| k.clamp(8, MAX_KLL));
        for watch in self.watches.values_mut().filter(|watch| !watch.is_sound()) {
            *watch = match std::mem::replace(watch, Watch::Edges(Vec::new())) {
                Watch::Edges(edges) => Watch::edges(edges),
                Watch::Values(hashes) => Watch::values(hashes),
            };
        }
        self
    }

    fn column(&self, name: &str, kind: Kind) -> ColumnSketch {
        let fits = |watch: &&Watch| !watch.is_edges() || kind.is_numeric();
        ColumnSketch::new(name, kind, self.kll, self.watches.get(name).filter(fits).cloned())
    }
}
