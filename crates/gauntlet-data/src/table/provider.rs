//! Hands the table to the engine in pieces. Every row carries its place, so that a rule can name it however the pieces
//! were spread over threads. A piece that cannot be read is noted and never an error of the whole scan.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array, UInt64Array, new_null_array};
use arrow::compute::{CastOptions, cast_with_options, concat_batches};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::PartitionStream;
use gauntlet_core::SkipCode;

use super::format::{Stop, Wanted, panic_text};
use super::{DataFile, Problem, Table, typed};
use crate::ingest::formula;
use crate::scan::FirstRows;

/// Name of the column with the place of a row.
pub(crate) const POSITION: &str = "p";
/// Name of the column with the number of the part that a row was read in, where it is asked for.
pub(crate) const PART: &str = "part";
/// Parts of a table at most. A part is a run of units that one thread reads in order; which parts there are depends on the
/// table alone, so what is summarised by part does not depend on how many threads read.
const MAX_PARTS: usize = 64;
const ROW_BITS: u32 = 40;
/// Batches of formats with few rows a file (pictures) are joined up to here before they go to the engine.
const JOINED_ROWS: usize = 2_048;
const JOINED_BYTES: usize = 64 << 10;

/// Name of column `i` as stored. Names of the data never reach the engine: they may be anything.
pub(crate) fn raw_name(i: usize) -> String {
    format!("c{i}")
}

/// Name of column `i` as the contract types it.
pub(crate) fn typed_name(i: usize) -> String {
    format!("t{i}")
}

/// File index and row of a place.
pub(crate) fn place(position: u64) -> (usize, u64) {
    (usize::try_from(position >> ROW_BITS).unwrap_or(usize::MAX), position & ((1 << ROW_BITS) - 1))
}

/// One pass over some columns of a table.
#[derive(Debug)]
pub(crate) struct Scan {
    table: Arc<Table>,
    columns: Vec<usize>,
    schema: SchemaRef,
    log: Mutex<Log>,
    /// Whether text cells are looked at for formulas of spreadsheets.
    watching: bool,
}

#[derive(Debug, Default)]
struct Log {
    rows: Vec<u64>,
    problems: Vec<Problem>,
    formulas: BTreeMap<(usize, formula::Danger), FirstRows>,
}

#[derive(Clone, Copy, Debug)]
struct Unit {
    file: usize,
    piece: usize,
}

impl Scan {
    /// A pass over the columns with these indices.
    pub(crate) fn new(table: Arc<Table>, columns: Vec<usize>) -> Arc<Self> {
        Arc::new(Self::made(table, columns, false))
    }

    /// As [`Scan::new`], and text cells are looked at for formulas of spreadsheets.
    pub(crate) fn watching(table: Arc<Table>, columns: Vec<usize>) -> Arc<Self> {
        Arc::new(Self::made(table, columns, true))
    }

    fn made(table: Arc<Table>, columns: Vec<usize>, watching: bool) -> Self {
        let mut fields = vec![Field::new(POSITION, DataType::UInt64, false)];
        for &i in &columns {
            fields.push(Field::new(raw_name(i), table.columns[i].scanned.clone(), true));
            if let Some(typed) = &table.columns[i].typed {
                fields.push(Field::new(typed_name(i), typed.clone(), true));
            }
        }
        let log = Mutex::new(Log { rows: vec![0; table.files.len()], ..Log::default() });
        Self { schema: Arc::new(Schema::new(fields)), table, columns, log, watching }
    }

    /// Columns as the engine sees them.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The table for the engine, in at most `partitions` pieces.
    pub(crate) fn provider(self: &Arc<Self>, partitions: usize) -> Result<Arc<StreamingTable>> {
        self.mapped(partitions, Arc::clone(&self.schema), Arc::new(|_, batch| Ok(batch)))
    }

    /// As [`Scan::provider`], with the column [`PART`]. Rows of a part come from one piece and in order.
    pub(crate) fn provider_with_parts(self: &Arc<Self>, partitions: usize) -> Result<Arc<StreamingTable>> {
        let mut fields: Vec<_> = self.schema.fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(PART, DataType::UInt32, false)));
        let schema = Arc::new(Schema::new(fields));
        let numbered = Arc::clone(&schema);
        self.mapped(partitions, schema, Arc::new(move |number, batch| with_part(&batch, &numbered, number)))
    }

    /// As [`Scan::provider`], with every batch turned into another one by the thread that reads it. `map` gets the number of
    /// the part, too.
    pub(crate) fn mapped(
        self: &Arc<Self>,
        partitions: usize,
        schema: SchemaRef,
        map: Map,
    ) -> Result<Arc<StreamingTable>> {
        let parts = self.parts();
        let count = partitions.clamp(1, parts.len().max(1));
        let pieces = (0..count).map(|n| {
            let parts = parts.iter().skip(n).step_by(count).cloned().collect();
            let (scan, schema) = (Arc::clone(self), Arc::clone(&schema));
            Arc::new(Piece { scan, schema, map: Mapping(Arc::clone(&map), None), parts }) as Arc<dyn PartitionStream>
        });
        Ok(Arc::new(StreamingTable::try_new(Arc::clone(&schema), pieces.collect())?))
    }

    /// Reads everything in order on this thread, without the engine.
    pub(crate) fn for_each(&self, look: &mut dyn FnMut(RecordBatch)) {
        let look = RefCell::new(look);
        let send = |batch| {
            (look.borrow_mut())(batch);
            true
        };
        for unit in self.units() {
            self.read(unit, &send);
        }
    }

    /// What is read.
    pub(crate) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// Which columns of it.
    pub(crate) fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Reads the parts with these numbers, as [`Scan::mapped`] does, and then hands on what `last` makes of it.
    pub(crate) fn read_parts(
        self: &Arc<Self>,
        numbers: &BTreeSet<u32>,
        schema: SchemaRef,
        map: Map,
        last: Last,
    ) -> SendableRecordBatchStream {
        let parts = self.parts().into_iter().filter(|(number, _)| numbers.contains(number)).collect();
        Piece { scan: Arc::clone(self), schema, map: Mapping(map, Some(last)), parts }.read()
    }

    /// How many parts there are.
    pub(crate) fn part_count(&self) -> usize {
        self.parts().len()
    }

    fn parts(&self) -> Vec<(u32, Vec<Unit>)> {
        let units = self.units();
        let length = units.len().div_ceil(MAX_PARTS).max(1);
        (0..).zip(units.chunks(length).map(<[Unit]>::to_vec)).collect()
    }

    fn units(&self) -> Vec<Unit> {
        let files = self.table.files.iter().enumerate();
        files.flat_map(|(file, data)| (0..data.reader.pieces()).map(move |piece| Unit { file, piece })).collect()
    }

    /// Rows of each file and what could not be read, once the engine is done.
    pub(crate) fn finish(&self) -> (Vec<u64>, Vec<Problem>) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let mut problems = std::mem::take(&mut log.problems);
        problems.sort();
        (log.rows.clone(), problems)
    }

    /// Cells that a spreadsheet would run, by column and danger, once the engine is done.
    pub(crate) fn formulas(&self) -> BTreeMap<(usize, formula::Danger), FirstRows> {
        std::mem::take(&mut self.log.lock().unwrap_or_else(PoisonError::into_inner).formulas)
    }

    fn note(&self, file: &DataFile, code: SkipCode, what: String, rows: u64) {
        let problem = Problem { path: file.path.clone(), code, what, rows, schema: false };
        self.log.lock().unwrap_or_else(PoisonError::into_inner).problems.push(problem);
    }

    /// Reads one unit; false when the engine wants no more.
    fn read(&self, unit: Unit, send: &dyn Fn(RecordBatch) -> bool) -> bool {
        let Some(file) = self.table.files.get(unit.file) else { return true };
        let own = self.table.own_columns();
        let wanted: Vec<Wanted<'_>> = self
            .columns
            .iter()
            .filter(|&&i| i < own)
            .filter_map(|&index| self.table.columns.get(index).map(|c| Wanted { index, name: c.name.as_str() }))
            .collect();
        let sink = Sink { scan: self, index: unit.file, file, send };
        match catch_unwind(AssertUnwindSafe(|| file.reader.read(unit.piece, &wanted, &sink))) {
            Ok(Ok(())) => true,
            Ok(Err(Stop::Closed)) => false,
            Ok(Err(Stop::Problem(code, what))) => {
                self.note(file, code, what, 0);
                true
            }
            Err(panic) => {
                self.note(file, SkipCode::Malformed, panic_text(panic.as_ref()), 0);
                true
            }
        }
    }
}

/// Where a reader puts what it read.
pub(crate) struct Sink<'a> {
    scan: &'a Scan,
    index: usize,
    file: &'a DataFile,
    send: &'a dyn Fn(RecordBatch) -> bool,
}

impl Sink<'_> {
    /// Takes the wanted columns of some rows. `rows` are their numbers in the file, from 0.
    ///
    /// # Errors
    /// That the engine wants no more, or what does not fit the columns of the table.
    pub(super) fn rows(&self, rows: impl IntoIterator<Item = u64>, arrays: Vec<ArrayRef>) -> Result<(), Stop> {
        let places: Vec<u64> = rows.into_iter().map(|row| (self.index as u64) << ROW_BITS | row).collect();
        let batch = self.batch(places, arrays)?;
        if (self.send)(batch) { Ok(()) } else { Err(Stop::Closed) }
    }

    /// Says how many rows the file, or a piece of it, has.
    pub(super) fn count(&self, rows: u64) {
        let mut log = self.scan.log.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sum) = log.rows.get_mut(self.index) {
            *sum += rows;
        }
    }

    /// Says that rows of the file are no rows of the table.
    pub(super) fn misfits(&self, count: u64, what: String) {
        self.scan.note(self.file, SkipCode::Malformed, what, count);
    }

    fn batch(&self, places: Vec<u64>, arrays: Vec<ArrayRef>) -> Result<RecordBatch, Stop> {
        let malformed = |error: arrow::error::ArrowError| Stop::Problem(SkipCode::Malformed, error.to_string());
        let (table, count, own) = (&self.scan.table, places.len(), self.scan.table.own_columns());
        let mut arrays = arrays.into_iter();
        let mut out: Vec<ArrayRef> = Vec::with_capacity(self.scan.columns.len() + 1);
        let numbers = UInt64Array::from(places);
        for &i in &self.scan.columns {
            let Some(column) = table.columns.get(i) else { continue };
            let array = if i < own {
                arrays.next().ok_or_else(|| Stop::Problem(SkipCode::Malformed, "a column is missing".to_owned()))?
            } else {
                constant(self.file.partitions.get(i - own).and_then(Option::as_deref), count)
            };
            let array = if *array.data_type() == column.scanned {
                array
            } else {
                // A value that does not fit must not become a null in silence.
                let strict = CastOptions { safe: false, ..CastOptions::default() };
                cast_with_options(&array, &column.scanned, &strict).map_err(malformed)?
            };
            if self.scan.watching && column.text_file {
                self.watch(i, &numbers, &array);
            }
            let cells = column.typed.as_ref().map(|to| typed(&array, to)).transpose().map_err(malformed)?;
            out.push(array);
            out.extend(cells);
        }
        out.insert(0, Arc::new(numbers));
        RecordBatch::try_new(Arc::clone(&self.scan.schema), out).map_err(malformed)
    }

    fn watch(&self, column: usize, places: &UInt64Array, array: &ArrayRef) {
        let Some(texts) = array.as_string_opt::<i32>() else { return };
        let mut seen: BTreeMap<(usize, formula::Danger), FirstRows> = BTreeMap::new();
        for (i, text) in texts.iter().enumerate() {
            if let Some((text, danger)) = text.and_then(|t| formula::danger(t).map(|d| (t, d))) {
                let rows = seen.entry((column, danger)).or_default();
                rows.count += 1;
                rows.keep(places.value(i), || text.to_owned());
            }
        }
        if !seen.is_empty() {
            let mut log = self.scan.log.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, rows) in seen {
                log.formulas.entry(key).or_default().merge(rows);
            }
        }
    }
}

/// One value in every row.
fn constant(value: Option<&str>, count: usize) -> ArrayRef {
    match value {
        Some(value) => Arc::new(StringArray::from_iter_values(std::iter::repeat_n(value, count))),
        None => new_null_array(&DataType::Utf8, count),
    }
}

/// What becomes of a batch of a part.
pub(crate) type Map = Arc<dyn Fn(u32, RecordBatch) -> Result<RecordBatch> + Send + Sync>;
/// What follows when all parts are read.
pub(crate) type Last = Arc<dyn Fn(&Scan) -> Result<RecordBatch> + Send + Sync>;

struct Mapping(Map, Option<Last>);

impl std::fmt::Debug for Mapping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mapping")
    }
}

#[derive(Debug)]
struct Piece {
    scan: Arc<Scan>,
    schema: SchemaRef,
    map: Mapping,
    parts: Vec<(u32, Vec<Unit>)>,
}

impl PartitionStream for Piece {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        self.read()
    }
}

impl Piece {
    fn read(&self) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStream::builder(Arc::clone(&self.schema), 2);
        let (sender, scan, parts) = (builder.tx(), Arc::clone(&self.scan), self.parts.clone());
        let (map, last) = (Arc::clone(&self.map.0), self.map.1.clone());
        builder.spawn_blocking(move || {
            let put = |number, batch| sender.blocking_send(map(number, batch)).is_ok();
            for (number, units) in parts {
                let small = RefCell::new((Vec::new(), 0));
                let flush = || {
                    let (batches, _): (Vec<RecordBatch>, usize) = std::mem::take(&mut *small.borrow_mut());
                    match batches.as_slice() {
                        [] => true,
                        [batch] => put(number, batch.clone()),
                        batches => match concat_batches(&scan.schema, batches) {
                            Ok(batch) => put(number, batch),
                            // An error ends the whole scan: rows that were read must not get lost.
                            Err(error) => sender.blocking_send(Err(DataFusionError::from(error))).is_ok(),
                        },
                    }
                };
                let send = |batch: RecordBatch| {
                    if batch.num_rows() >= JOINED_ROWS || batch.get_array_memory_size() > JOINED_BYTES {
                        return flush() && put(number, batch);
                    }
                    let full = {
                        let mut held = small.borrow_mut();
                        held.1 += batch.num_rows();
                        held.0.push(batch);
                        held.1 >= JOINED_ROWS
                    };
                    !full || flush()
                };
                for unit in units {
                    if !scan.read(unit, &send) {
                        return Ok(());
                    }
                }
                // Parts do not share a batch: batches are those of the part, whoever reads it.
                if !flush() {
                    return Ok(());
                }
            }
            if let Some(last) = last {
                // Nobody listens any more when it cannot be sent.
                let _ = sender.blocking_send(last(&scan));
            }
            Ok(())
        });
        builder.build()
    }
}

fn with_part(batch: &RecordBatch, schema: &SchemaRef, number: u32) -> Result<RecordBatch> {
    let mut columns = batch.columns().to_vec();
    columns.push(Arc::new(UInt32Array::from_value(number, batch.num_rows())));
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}
