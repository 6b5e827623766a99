//! Rows of two tables side by side: both are reduced to hashes while they are read, then grouped by the hash of the key (or
//! of the whole row). Groups spill to disk when memory is short.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, UInt64Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::functions_aggregate::expr_fn::{min, sum};
use datafusion::prelude::DataFrame;
use futures::StreamExt;
use gauntlet_sketch::{Cells, Kind, RowHasher};
use serde::Serialize;

use super::DiffOptions;
use crate::facts::KEPT_ROWS;
use crate::profiling::ProfileError;
use crate::scan::{internal, reference, spilling};
use crate::table::{Map, POSITION, Scan, Table, place, raw_name, typed_name};

/// A column of one type family on both sides: its index in each table.
#[derive(Clone, Debug)]
pub(super) struct Common {
    name: String,
    at: (usize, usize),
}

/// A row of one of the tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowPlace {
    /// File.
    pub path: String,
    /// Row in it, from 0.
    pub row: u64,
}

/// What became of the rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RowChange {
    /// Columns that identified rows; empty when rows were compared as a whole.
    pub key: Vec<String>,
    /// Columns that were compared: those that both tables have with one type family.
    pub compared: Vec<String>,
    /// Rows that are the same in both.
    pub same: u64,
    /// Rows of the second table only.
    pub added: u64,
    /// Rows of the first table only.
    pub removed: u64,
    /// Keys whose row has other values in other columns; 0 without a key.
    pub changed: u64,
    /// Keys that stand in more than one row of a table: their rows are compared as a group, and a group that differs counts
    /// as one change.
    pub repeated_keys: u64,
    /// The first rows that were added, in the second table.
    pub first_added: Vec<RowPlace>,
    /// The first rows that were removed, in the first table.
    pub first_removed: Vec<RowPlace>,
    /// The first rows that were changed, in the second table.
    pub first_changed: Vec<RowPlace>,
}

/// Columns that both tables have with one type family.
pub(super) fn common(from: &Table, to: &Table) -> Vec<Common> {
    let mut out = Vec::new();
    for (i, column) in from.columns.iter().enumerate() {
        let Some(j) = to.column(&column.name) else { continue };
        if to.columns.get(j).is_some_and(|other| Kind::of(other.rule_type()) == Kind::of(column.rule_type())) {
            out.push(Common { name: column.name.clone(), at: (i, j) });
        }
    }
    out
}

/// Which of the common columns are the key.
pub(super) fn key(
    from: &Table,
    to: &Table,
    common: &[Common],
    names: &[String],
) -> std::result::Result<Vec<usize>, ProfileError> {
    let find = |name: &String| {
        if let Some(at) = common.iter().position(|column| column.name == *name) {
            return Ok(at);
        }
        let types =
            |table: &Table| table.column(name).and_then(|i| table.columns.get(i)).map(|c| c.rule_type().to_string());
        let what = match (types(from), types(to)) {
            (Some(a), Some(b)) => {
                format!(
                    "key column `{name}` is {a} in the first table and {b} in the second; with --contract a text file gets types"
                )
            }
            (None, _) => format!("the first table has no key column `{name}`{}", hint(from, name)),
            (_, None) => format!("the second table has no key column `{name}`{}", hint(to, name)),
        };
        Err(ProfileError::Question(what))
    };
    names.iter().map(find).collect()
}

fn hint(table: &Table, name: &str) -> String {
    let nearest = gauntlet_core::nearest(name, table.columns.iter().map(|column| column.name.as_str()));
    nearest.map_or(String::new(), |nearest| format!("; did you mean `{nearest}`?"))
}

/// Compares the rows; also gives the number of changed cells of each column, where a key is given.
pub(super) fn compare(
    from: &Arc<Table>,
    to: &Arc<Table>,
    common: &[Common],
    key: &[usize],
    options: &DiffOptions,
    partitions: usize,
) -> std::result::Result<(RowChange, Vec<(String, u64)>), ProfileError> {
    let stopped = |error: DataFusionError| ProfileError::Scan(error.to_string().chars().take(300).collect());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(partitions)
        .enable_all()
        .build()
        .map_err(|error| ProfileError::Scan(error.to_string()))?;
    let mut groups = Groups::new(common, key);
    let scans = (pass(from, common, |at| at.0), pass(to, common, |at| at.1));
    runtime.block_on(group(&scans, common, key, partitions, &mut groups)).map_err(stopped)?;
    for scan in [&scans.0, &scans.1] {
        if let Some(problem) = scan.finish().1.into_iter().next() {
            return Err(ProfileError::Unreadable { path: problem.path, what: problem.what });
        }
    }
    let cells = common.iter().enumerate().filter(|(i, _)| !key.is_empty() && !key.contains(i));
    let cells = cells.map(|(i, column)| (column.name.clone(), groups.cells.get(i).copied().unwrap_or(0))).collect();
    Ok((groups.finish(from, to, common, options), cells))
}

fn pass(table: &Arc<Table>, common: &[Common], at: impl Fn((usize, usize)) -> usize) -> Arc<Scan> {
    Scan::new(Arc::clone(table), common.iter().map(|column| at(column.at)).collect())
}

/// Names of the hashed columns: key in two halves, rows and places of each side, and the difference of each column.
fn difference_name(i: usize) -> String {
    format!("d{i}")
}

fn schema(columns: usize) -> Arc<Schema> {
    let number = |name: &str| Field::new(name, DataType::Int64, false);
    let mut fields = vec![number("k0"), number("k1"), number("a"), number("b")];
    fields.extend(["pa", "pb"].map(|name| Field::new(name, DataType::UInt64, true)));
    fields.extend((0..columns).map(|i| number(&difference_name(i))));
    Arc::new(Schema::new(fields))
}

async fn group(
    scans: &(Arc<Scan>, Arc<Scan>),
    common: &[Common],
    key: &[usize],
    partitions: usize,
    groups: &mut Groups,
) -> Result<()> {
    let context = spilling(partitions)?;
    // Without a key the row is its own key, and nothing else of it can differ.
    let compared: Vec<usize> =
        if key.is_empty() { Vec::new() } else { (0..common.len()).filter(|i| !key.contains(i)).collect() };
    let schema = schema(compared.len());
    let side = |scan: &Arc<Scan>, second: bool| -> Result<DataFrame> {
        let map = hashing(scan, common, key, &compared, second);
        context.read_table(scan.mapped(partitions, Arc::clone(&schema), map)?)
    };
    let both = side(&scans.0, false)?.union(side(&scans.1, true)?)?;
    let mut aggregates = vec![
        sum(reference("a".to_owned())).alias("na"),
        sum(reference("b".to_owned())).alias("nb"),
        min(reference("pa".to_owned())).alias("fa"),
        min(reference("pb".to_owned())).alias("fb"),
    ];
    aggregates.extend((0..compared.len()).map(|i| sum(reference(difference_name(i))).alias(format!("s{i}"))));
    let grouped = both.aggregate(vec![reference("k0".to_owned()), reference("k1".to_owned())], aggregates)?;
    let mut stream = grouped.execute_stream().await?;
    while let Some(batch) = stream.next().await {
        groups.add(&batch?, &compared)?;
    }
    Ok(())
}

/// Turns batches of cells into batches of hashes.
fn hashing(scan: &Arc<Scan>, common: &[Common], key: &[usize], compared: &[usize], second: bool) -> Map {
    let table = Arc::clone(scan.table());
    let columns: Vec<(String, usize)> =
        common.iter().map(|column| (column.name.clone(), if second { column.at.1 } else { column.at.0 })).collect();
    let (key, compared) = (key.to_vec(), compared.to_vec());
    let schema = schema(compared.len());
    // Threads take turns with hashers: one each, in the end.
    let hashers: Mutex<Vec<RowHasher>> = Mutex::new(Vec::new());
    Arc::new(move |_, batch| {
        let fresh = || {
            let kind = |(name, at): &(String, usize)| {
                (name.clone(), table.columns.get(*at).map_or(Kind::Null, |column| Kind::of(column.rule_type())))
            };
            let kinds: Vec<(String, Kind)> = columns.iter().map(kind).collect();
            RowHasher::new(kinds.iter().map(|(name, kind)| (name.as_str(), *kind)))
        };
        let held = hashers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut hasher = held.unwrap_or_else(fresh);
        let out = hash(&batch, &mut hasher, &columns, &key, &compared, second, &schema);
        hashers.lock().unwrap_or_else(PoisonError::into_inner).push(hasher);
        out
    })
}

fn hash(
    batch: &RecordBatch,
    hasher: &mut RowHasher,
    columns: &[(String, usize)],
    key: &[usize],
    compared: &[usize],
    second: bool,
    schema: &Arc<Schema>,
) -> Result<RecordBatch> {
    let mut cells = Vec::with_capacity(columns.len());
    for (_, at) in columns {
        let raw = batch.column_by_name(&raw_name(*at)).ok_or_else(|| internal("a column is missing"))?;
        cells.push(match batch.column_by_name(&typed_name(*at)) {
            Some(typed) => Cells { values: typed, texts: Some(raw) },
            None => Cells { values: raw, texts: None },
        });
    }
    let external = |error: gauntlet_sketch::UpdateError| DataFusionError::External(Box::new(error));
    let whole = |i: usize| cells.get(i).map(|cells| (i, *cells));
    let keyed: Vec<(usize, Cells<'_>)> = match key {
        [] => (0..cells.len()).filter_map(whole).collect(),
        key => key.iter().copied().filter_map(whole).collect(),
    };
    let rows = hasher.rows(&keyed).map_err(external)?;
    let half = |shift: u32| -> ArrayRef {
        Arc::new(rows.iter().map(|row| Some(((row >> shift) as u64).cast_signed())).collect::<Int64Array>())
    };
    let n = batch.num_rows();
    let count = |here: bool| -> ArrayRef { Arc::new(Int64Array::from_value(i64::from(here), n)) };
    let places = batch.column_by_name(POSITION).ok_or_else(|| internal("no place"))?;
    let none: ArrayRef = Arc::new(UInt64Array::new_null(n));
    let (here, there) = (Arc::clone(places), none);
    let (first_places, second_places) = if second { (there, here) } else { (here, there) };
    let mut out = vec![half(0), half(64), count(!second), count(second), first_places, second_places];
    for &i in compared {
        let Some(cells) = cells.get(i) else { continue };
        let (first, _) = hasher.cells(i, cells).map_err(external)?;
        // Added up over both sides, equal cells vanish.
        let signed = first.iter().map(|&h| if second { h.wrapping_neg() } else { h }.cast_signed());
        out.push(Arc::new(signed.map(Some).collect::<Int64Array>()));
    }
    Ok(RecordBatch::try_new(Arc::clone(schema), out)?)
}

/// What the groups add up to.
#[derive(Default)]
struct Groups {
    keyed: bool,
    change: RowChange,
    /// Changed cells by place among the common columns.
    cells: Vec<u64>,
    /// Places of the first rows.
    added: BTreeSet<u64>,
    removed: BTreeSet<u64>,
    changed: BTreeSet<u64>,
}

impl Groups {
    fn new(common: &[Common], key: &[usize]) -> Self {
        Self { keyed: !key.is_empty(), cells: vec![0; common.len()], ..Self::default() }
    }

    fn add(&mut self, batch: &RecordBatch, compared: &[usize]) -> Result<()> {
        let shape = || internal("the result of the comparison has another shape");
        let number =
            |name: &str| batch.column_by_name(name).and_then(|c| c.as_primitive_opt::<Int64Type>()).ok_or_else(shape);
        let places =
            |name: &str| batch.column_by_name(name).and_then(|c| c.as_primitive_opt::<UInt64Type>()).ok_or_else(shape);
        let (na, nb) = (number("na")?, number("nb")?);
        let (fa, fb) = (places("fa")?, places("fb")?);
        let mut differences = Vec::with_capacity(compared.len());
        for i in 0..compared.len() {
            differences.push(number(&format!("s{i}"))?);
        }
        for row in 0..batch.num_rows() {
            let (a, b) = (na.value(row).cast_unsigned(), nb.value(row).cast_unsigned());
            self.change.repeated_keys += u64::from(self.keyed && (a > 1 || b > 1));
            let both = a.min(b);
            self.change.added += b - both;
            self.change.removed += a - both;
            if b > both {
                keep(&mut self.added, fb.value(row));
            }
            if a > both {
                keep(&mut self.removed, fa.value(row));
            }
            let mut differs = false;
            for (difference, &column) in differences.iter().zip(compared) {
                // A group that gained or lost rows differs in every column; that is said by counts.
                if a == b && difference.value(row) != 0 {
                    differs = true;
                    if let Some(cells) = self.cells.get_mut(column) {
                        *cells += 1;
                    }
                }
            }
            if differs {
                self.change.changed += 1;
                self.change.same += both.saturating_sub(1);
                keep(&mut self.changed, fb.value(row));
            } else {
                self.change.same += both;
            }
        }
        Ok(())
    }

    fn finish(self, from: &Table, to: &Table, common: &[Common], options: &DiffOptions) -> RowChange {
        let rows = |table: &Table, places: BTreeSet<u64>| -> Vec<RowPlace> {
            let of = |position: u64| {
                let (file, row) = place(position);
                RowPlace { path: table.files.get(file).map_or(String::new(), |file| file.path.clone()), row }
            };
            places.into_iter().map(of).collect()
        };
        RowChange {
            key: options.key.clone(),
            compared: common.iter().map(|column| column.name.clone()).collect(),
            first_added: rows(to, self.added),
            first_removed: rows(from, self.removed),
            first_changed: rows(to, self.changed),
            ..self.change
        }
    }
}

fn keep(first: &mut BTreeSet<u64>, place: u64) {
    first.insert(place);
    if first.len() > KEPT_ROWS {
        first.pop_last();
    }
}
