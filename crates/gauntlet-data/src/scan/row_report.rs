//! Failing rows as Parquet, each with the rules that it broke: a second pass in order, row group by row group, so that
//! memory does not grow with the table.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, ListBuilder, RecordBatch, StringBuilder, UInt64Array, UInt64Builder,
};
use arrow::compute::filter;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use arrow::error::ArrowError;
use datafusion::common::DFSchema;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::PhysicalExpr;
use datafusion::prelude::SessionContext;
use gauntlet_core::{Limits, Target};

use super::monotone::InOrder;
use super::rules::{self, Asked, Rule};
use super::{RuleAnswer, spilling, stages};
use crate::contract::Test;
use crate::table::{Problem, Scan, Table, place, raw_name};

/// Rows of one row group of the report.
const GROUP_ROWS: usize = 65_536;
/// Bytes that a row group may take in memory before it is written.
const GROUP_BYTES: usize = 32 << 20;

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowReport {
    /// Rows that break at least one rule.
    pub failing: u64,
    /// Rows that were judged.
    pub rows: u64,
}

/// Why there is no report, or no whole one.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// There is no table, or no contract to hold it against.
    #[error("{0}")]
    Nothing(String),
    /// Part of the table cannot be read: a report would leave rows out.
    #[error("{path}: {what}")]
    Unreadable {
        /// Which file.
        path: String,
        /// Why.
        what: String,
    },
    /// A rule does not fit the table.
    #[error("the rule `{rule}`: {what}")]
    Rule {
        /// The rule as the report would name it.
        rule: String,
        /// Why.
        what: String,
    },
    /// The engine gave up.
    #[error("the scan stopped")]
    Engine(#[from] DataFusionError),
    /// The report cannot be written.
    #[error("cannot write the report")]
    Write(#[from] ParquetError),
    /// An array could not be built.
    #[error("cannot build the report")]
    Arrow(#[from] ArrowError),
    /// A system call failed.
    #[error("cannot read the table")]
    Io(#[from] std::io::Error),
}

/// Writes each row that breaks a rule on single rows of the dataset's contract: `_file`, `_row_group` (Parquet only),
/// `_row` (in the file, from 0), `_rules`, and the columns of the table as they were read. The values are those of the
/// data: whoever may not read the data may not read the report. Returns `out` after the last byte.
///
/// # Errors
/// [`ReportError`]; what was written until then is no report.
pub fn row_report<W: Write + Send>(
    target: &Target<'_>,
    limits: &Limits,
    partitions: usize,
    out: W,
) -> Result<(RowReport, W), ReportError> {
    let opened = crate::extract::open_for_contract(target, limits).map_err(ReportError::Nothing)?;
    if let Some(problem) = opened.problems.into_iter().next() {
        return Err(unreadable(problem));
    }
    let (table, contract) = (opened.table, opened.contract);
    let context = spilling(partitions)?;
    let pass = Scan::new(Arc::clone(&table), (0..table.columns.len()).collect());
    let mut rules = rules::rules(&table, &contract, &opened.others);
    rules::verify(&context, &pass, &mut rules)?;
    rules.retain(|rule| rule.entry.test.by_row());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(partitions.max(1))
        .enable_all()
        .build()
        .map_err(DataFusionError::IoError)?;
    let schema = DFSchema::try_from(pass.schema().as_ref().clone())?;
    let mut judges = Vec::new();
    for rule in &rules {
        let judge = runtime.block_on(judge(&context, &table, partitions, &schema, rule))?;
        judges.push((rule.entry.label(), judge));
    }
    let mut writer = Writer::new(out, &table)?;
    let mut outcome = Ok(());
    pass.for_each(&mut |batch: RecordBatch| {
        if outcome.is_ok() {
            outcome = writer.batch(&batch, &mut judges, &table);
        }
    });
    outcome?;
    let (_, problems) = pass.finish();
    if let Some(problem) = problems.into_iter().next() {
        return Err(unreadable(problem));
    }
    let report = writer.report;
    Ok((report, writer.inner.into_inner()?))
}

fn unreadable(problem: Problem) -> ReportError {
    ReportError::Unreadable { path: problem.path, what: problem.what }
}

/// Which rows of a batch fail one rule.
enum Judge {
    Rows { failing: Arc<dyn PhysicalExpr>, scope: Option<Arc<dyn PhysicalExpr>> },
    Order { value: Arc<dyn PhysicalExpr>, state: InOrder },
    Places(Places),
}

async fn judge(
    context: &SessionContext,
    table: &Arc<Table>,
    partitions: usize,
    schema: &DFSchema,
    rule: &Rule,
) -> Result<Judge, ReportError> {
    let physical = |expr: &_| context.create_physical_expr(datafusion::logical_expr::Expr::clone(expr), schema);
    Ok(match (&rule.asked, &rule.entry.test) {
        (Asked::Unfit(what), _) => return Err(ReportError::Rule { rule: rule.entry.label(), what: what.clone() }),
        (Asked::Rows { failing, scope }, _) => {
            Judge::Rows { failing: physical(failing)?, scope: scope.as_ref().map(physical).transpose()? }
        }
        (Asked::Monotone(value), Test::Monotone(order)) => {
            Judge::Order { value: physical(value)?, state: InOrder::new(*order) }
        }
        _ => {
            let (mut places, problems) = (Places::default(), Mutex::new(Vec::new()));
            let mut answer = RuleAnswer::new(rule.clone());
            let mut note = |position| places.add(position);
            stages::one(context, table, partitions, &mut answer, &problems, &mut note).await?;
            if let Some(problem) = problems.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().next() {
                return Err(unreadable(problem));
            }
            Judge::Places(places)
        }
    })
}

impl Judge {
    fn failing(&mut self, batch: &RecordBatch, places: &[u64]) -> Result<BooleanArray, ReportError> {
        let rows = batch.num_rows();
        Ok(match self {
            Self::Rows { failing, scope } => {
                let mut set = truth(failing.as_ref(), batch)?;
                if let Some(scope) = scope {
                    set = BooleanArray::new(set.values() & truth(scope.as_ref(), batch)?.values(), None);
                }
                set
            }
            Self::Order { value, state } => {
                BooleanArray::from(state.failing(&value.evaluate(batch)?.into_array(rows)?)?)
            }
            Self::Places(known) => places.iter().map(|&place| Some(known.contains(place))).collect(),
        })
    }
}

/// What is true, as opposed to false or null.
fn truth(expr: &dyn PhysicalExpr, batch: &RecordBatch) -> Result<BooleanArray, ReportError> {
    let array = expr.evaluate(batch)?.into_array(batch.num_rows())?;
    let array = array.as_boolean_opt().ok_or_else(|| super::rows::internal("no truth values"))?;
    let set = match array.nulls() {
        Some(valid) => array.values() & valid.inner(),
        None => array.values().clone(),
    };
    Ok(BooleanArray::new(set, None))
}

/// A set of rows, one bit each.
#[derive(Debug, Default)]
struct Places {
    files: HashMap<usize, Vec<u64>>,
}

impl Places {
    fn add(&mut self, position: u64) {
        let (file, row) = place(position);
        let words = self.files.entry(file).or_default();
        let at = usize::try_from(row / 64).unwrap_or(usize::MAX);
        if words.len() <= at {
            words.resize(at + 1, 0);
        }
        if let Some(word) = words.get_mut(at) {
            *word |= 1 << (row % 64);
        }
    }

    fn contains(&self, position: u64) -> bool {
        let (file, row) = place(position);
        let at = usize::try_from(row / 64).unwrap_or(usize::MAX);
        self.files.get(&file).and_then(|words| words.get(at)).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }
}

struct Writer<W: Write + Send> {
    inner: ArrowWriter<W>,
    schema: SchemaRef,
    report: RowReport,
}

impl<W: Write + Send> Writer<W> {
    fn new(out: W, table: &Table) -> Result<Self, ReportError> {
        let free = |name: &str| {
            let mut name = format!("_{name}");
            while table.columns.iter().any(|column| column.name == name) {
                name.insert(0, '_');
            }
            name
        };
        let item = Arc::new(Field::new_list_field(DataType::Utf8, true));
        let mut fields = vec![
            Field::new(free("file"), DataType::Utf8, false),
            Field::new(free("row_group"), DataType::UInt64, true),
            Field::new(free("row"), DataType::UInt64, false),
            Field::new(free("rules"), DataType::List(item), false),
        ];
        fields.extend(table.columns.iter().map(|c| Field::new(&c.name, c.scanned.clone(), true)));
        let schema = Arc::new(Schema::new(fields));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .build();
        let inner = ArrowWriter::try_new(out, Arc::clone(&schema), Some(properties))?;
        Ok(Self { inner, schema, report: RowReport::default() })
    }

    fn batch(&mut self, batch: &RecordBatch, judges: &mut [(String, Judge)], table: &Table) -> Result<(), ReportError> {
        let rows = batch.num_rows();
        self.report.rows += rows as u64;
        let places =
            batch.column(0).as_primitive_opt::<UInt64Type>().ok_or_else(|| super::rows::internal("no place"))?;
        let mut any = BooleanArray::from(vec![false; rows]);
        let mut broken: Vec<(&str, BooleanArray)> = Vec::new();
        for (label, judge) in judges {
            let failing = judge.failing(batch, places.values())?;
            if failing.true_count() > 0 {
                any = BooleanArray::new(any.values() | failing.values(), None);
                broken.push((label.as_str(), failing));
            }
        }
        if broken.is_empty() {
            return Ok(());
        }
        let (mut files, mut groups, mut numbers) = (StringBuilder::new(), UInt64Builder::new(), Vec::new());
        let mut lists = ListBuilder::new(StringBuilder::new());
        for i in any.values().set_indices() {
            let (file, row) = place(places.values().get(i).copied().unwrap_or_default());
            files.append_value(table.files.get(file).map_or("", |f| f.path.as_str()));
            groups.append_option(table.row_group(file, row));
            numbers.push(row);
            for (label, failing) in &broken {
                if failing.value(i) {
                    lists.values().append_value(label);
                }
            }
            lists.append(true);
        }
        self.report.failing += numbers.len() as u64;
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(files.finish()),
            Arc::new(groups.finish()),
            Arc::new(UInt64Array::from(numbers)),
            Arc::new(lists.finish()),
        ];
        for i in 0..table.columns.len() {
            let column =
                batch.column_by_name(&raw_name(i)).ok_or_else(|| super::rows::internal("a column is missing"))?;
            columns.push(filter(column, &any)?);
        }
        self.inner.write(&RecordBatch::try_new(Arc::clone(&self.schema), columns)?)?;
        if self.inner.in_progress_size() > GROUP_BYTES {
            self.inner.flush()?;
        }
        Ok(())
    }
}
