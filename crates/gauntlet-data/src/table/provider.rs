//! Hands the table to the engine in pieces. Every row carries its place, so that a rule can name it however the pieces
//! were spread over threads. A piece that cannot be read is noted and never an error of the whole scan.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow::array::{ArrayRef, RecordBatch, UInt32Array, UInt64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::PartitionStream;
use gauntlet_core::SkipCode;

use super::csv::CsvReader;
use super::{Body, DataFile, Problem, Table, csv_problem, io_problem, parquet, typed};

/// Name of the column with the place of a row.
pub(crate) const POSITION: &str = "p";
/// Name of the column with the number of the part that a row was read in, where it is asked for.
pub(crate) const PART: &str = "part";
/// Parts of a table at most. A part is a run of units that one thread reads in order; which parts there are depends on the
/// table alone, so what is summarised by part does not depend on how many threads read.
const MAX_PARTS: usize = 64;
const ROW_BITS: u32 = 40;
const PARQUET_BATCH: usize = 8_192;

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
}

#[derive(Debug, Default)]
struct Log {
    rows: Vec<u64>,
    problems: Vec<Problem>,
}

#[derive(Clone, Copy, Debug)]
struct Unit {
    file: usize,
    group: Option<usize>,
}

/// Why a unit ended early.
enum Stop {
    /// The engine wants no more.
    Closed,
    Problem(SkipCode, String),
}

impl Scan {
    /// A pass over the columns with these indices.
    pub(crate) fn new(table: Arc<Table>, columns: Vec<usize>) -> Arc<Self> {
        let mut fields = vec![Field::new(POSITION, DataType::UInt64, false)];
        for &i in &columns {
            fields.push(Field::new(raw_name(i), table.columns[i].scanned.clone(), true));
            if let Some(typed) = &table.columns[i].typed {
                fields.push(Field::new(typed_name(i), typed.clone(), true));
            }
        }
        let log = Mutex::new(Log { rows: vec![0; table.files.len()], problems: Vec::new() });
        Arc::new(Self { schema: Arc::new(Schema::new(fields)), table, columns, log })
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
        let units = self.units();
        let length = units.len().div_ceil(MAX_PARTS).max(1);
        let parts: Vec<(u32, Vec<Unit>)> = (0..).zip(units.chunks(length).map(<[Unit]>::to_vec)).collect();
        let count = partitions.clamp(1, parts.len().max(1));
        let pieces = (0..count).map(|n| {
            let parts = parts.iter().skip(n).step_by(count).cloned().collect();
            let (scan, schema) = (Arc::clone(self), Arc::clone(&schema));
            Arc::new(Piece { scan, schema, map: Mapping(Arc::clone(&map)), parts }) as Arc<dyn PartitionStream>
        });
        Ok(Arc::new(StreamingTable::try_new(Arc::clone(&schema), pieces.collect())?))
    }

    /// Reads everything in order on this thread, without the engine.
    pub(crate) fn for_each(&self, look: &mut dyn FnMut(RecordBatch)) {
        let look = std::cell::RefCell::new(look);
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

    fn units(&self) -> Vec<Unit> {
        let mut units = Vec::new();
        for (file, data) in self.table.files.iter().enumerate() {
            match &data.body {
                Body::Csv { .. } => units.push(Unit { file, group: None }),
                Body::Parquet { starts, .. } => units.extend((0..starts.len()).map(|g| Unit { file, group: Some(g) })),
            }
        }
        units
    }

    /// Rows of each file and what could not be read, once the engine is done.
    pub(crate) fn finish(&self) -> (Vec<u64>, Vec<Problem>) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let mut problems = std::mem::take(&mut log.problems);
        problems.sort();
        (log.rows.clone(), problems)
    }

    fn note(&self, file: &DataFile, code: SkipCode, what: String, rows: u64) {
        let problem = Problem { path: file.path.clone(), code, what, rows, schema: false };
        self.log.lock().unwrap_or_else(PoisonError::into_inner).problems.push(problem);
    }

    fn count(&self, file: usize, rows: u64) {
        if let Some(sum) = self.log.lock().unwrap_or_else(PoisonError::into_inner).rows.get_mut(file) {
            *sum += rows;
        }
    }

    /// Reads one unit; false when the engine wants no more.
    fn read(&self, unit: Unit, send: &dyn Fn(RecordBatch) -> bool) -> bool {
        let Some(file) = self.table.files.get(unit.file) else { return true };
        let result = catch_unwind(AssertUnwindSafe(|| match (&file.body, unit.group) {
            (Body::Csv { delimiter }, _) => self.read_csv(unit.file, file, *delimiter, send),
            (Body::Parquet { .. }, Some(group)) => self.read_group(unit.file, file, group, send),
            (Body::Parquet { .. }, None) => Ok(()),
        }));
        match result {
            Ok(Ok(())) => true,
            Ok(Err(Stop::Closed)) => false,
            Ok(Err(Stop::Problem(code, what))) => {
                self.note(file, code, what, 0);
                true
            }
            Err(panic) => {
                self.note(file, SkipCode::Malformed, parquet::panic_text(panic.as_ref()), 0);
                true
            }
        }
    }

    fn read_csv(
        &self,
        index: usize,
        file: &DataFile,
        delimiter: u8,
        send: &dyn Fn(RecordBatch) -> bool,
    ) -> Result<(), Stop> {
        let handle = self.table.open_file(file).map_err(|e| stop(io_problem(&e)))?;
        let mut reader = CsvReader::new(&handle, delimiter).map_err(|e| stop(csv_problem(&e)))?;
        if reader.header().len() != self.table.columns.len() {
            return Err(Stop::Problem(SkipCode::Changed, "the header changed between two reads".to_owned()));
        }
        let outcome = loop {
            match reader.next_batch() {
                Ok(Some(batch)) => {
                    let arrays = self.columns.iter().map(|&i| Arc::clone(&batch.columns[i])).collect();
                    let places = batch.rows.into_iter().map(|row| (index as u64) << ROW_BITS | row);
                    if !send(self.batch(places.collect(), arrays)?) {
                        return Err(Stop::Closed);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(stop(csv_problem(&error))),
            }
        };
        self.count(index, reader.rows());
        let misfits = &reader.misfits;
        if misfits.count > 0 {
            let first: Vec<_> = misfits.first.iter().take(3).map(|(row, what)| format!("row {row}: {what}")).collect();
            let what = format!(
                "rows that do not fit the header and were not checked: {} ({})",
                misfits.count,
                first.join("; ")
            );
            self.note(file, SkipCode::Malformed, what, misfits.count);
        }
        outcome?;
        file.tree.unchanged(&handle).map_err(|e| stop(io_problem(&e)))
    }

    fn read_group(
        &self,
        index: usize,
        file: &DataFile,
        group: usize,
        send: &dyn Fn(RecordBatch) -> bool,
    ) -> Result<(), Stop> {
        let Body::Parquet { metadata, starts } = &file.body else { return Ok(()) };
        let malformed =
            |error: &dyn std::fmt::Display| Stop::Problem(SkipCode::Malformed, format!("row group {group}: {error}"));
        let handle = self.table.open_file(file).map_err(|e| stop(io_problem(&e)))?;
        let own = handle.try_clone().map_err(|e| stop(io_problem(&e)))?;
        let mut roots = self.columns.clone();
        roots.sort_unstable();
        let mask = ProjectionMask::roots(metadata.parquet_schema(), roots.iter().copied());
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(handle, metadata.clone())
            .with_row_groups(vec![group])
            .with_projection(mask)
            .with_batch_size(PARQUET_BATCH)
            .build()
            .map_err(|e| malformed(&e))?;
        let mut row = starts.get(group).copied().unwrap_or(0);
        let claimed = metadata.metadata().row_group(group).num_rows().cast_unsigned();
        let end = row + claimed;
        for batch in reader {
            let batch = batch.map_err(|e| malformed(&e))?;
            let count = batch.num_rows() as u64;
            let places = (row..row + count).map(|row| (index as u64) << ROW_BITS | row);
            let mut arrays = Vec::with_capacity(self.columns.len());
            for &i in &self.columns {
                let at = roots.partition_point(|&r| r < i);
                arrays.push(cast(batch.column(at), &self.table.columns[i].scanned).map_err(|e| malformed(&e))?);
            }
            if !send(self.batch(places.collect(), arrays)?) {
                return Err(Stop::Closed);
            }
            row += count;
        }
        if row != end {
            let what = format!("row group {group}: {} of {claimed} rows are there", row + claimed - end);
            return Err(Stop::Problem(SkipCode::Truncated, what));
        }
        self.count(index, claimed);
        file.tree.unchanged(&own).map_err(|e| stop(io_problem(&e)))
    }

    fn batch(&self, places: Vec<u64>, arrays: Vec<ArrayRef>) -> Result<RecordBatch, Stop> {
        let malformed = |error: arrow::error::ArrowError| Stop::Problem(SkipCode::Malformed, error.to_string());
        let mut out: Vec<ArrayRef> = vec![Arc::new(UInt64Array::from(places))];
        for (&i, array) in self.columns.iter().zip(arrays) {
            let cells = match &self.table.columns[i].typed {
                Some(to) => Some(typed(&array, to).map_err(malformed)?),
                None => None,
            };
            out.push(array);
            out.extend(cells);
        }
        RecordBatch::try_new(Arc::clone(&self.schema), out).map_err(malformed)
    }
}

fn stop((code, what): (SkipCode, String)) -> Stop {
    Stop::Problem(code, what)
}

/// What becomes of a batch of a part.
pub(crate) type Map = Arc<dyn Fn(u32, RecordBatch) -> Result<RecordBatch> + Send + Sync>;

struct Mapping(Map);

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
        let mut builder = RecordBatchReceiverStream::builder(Arc::clone(&self.schema), 2);
        let (sender, scan, parts) = (builder.tx(), Arc::clone(&self.scan), self.parts.clone());
        let map = Arc::clone(&self.map.0);
        builder.spawn_blocking(move || {
            for (number, units) in parts {
                let send = |batch: RecordBatch| sender.blocking_send(map(number, batch)).is_ok();
                for unit in units {
                    if !scan.read(unit, &send) {
                        return Ok(());
                    }
                }
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
