//! One scan for everything: null counts, every rule of the contract, consent and personal data are aggregates of one
//! plan. Only uniqueness needs a stage of its own, which spills to disk when memory is short.

mod personal;
mod profile;
mod rows;
mod rules;
mod sketch;
mod unique;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Column as Reference;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{AggregateUDF, Expr, ExprFunctionExt, cast, lit};
use datafusion::prelude::{SessionConfig, SessionContext};
use gauntlet_sketch::SketchOptions;

use crate::contract::Contract;
use crate::ingest::formula::Danger;
use crate::personal::kind_of_name;
use crate::table::{POSITION, Problem, Scan, Table, raw_name, typed_name};
pub(crate) use personal::{PersonalRows, searched};
pub(crate) use profile::{Profile, count_rows, profile};
pub(crate) use rows::{FirstRows, internal};
pub(crate) use rules::{Judged, Rule};

/// Memory that sorting and grouping may take before they spill.
const MEMORY: usize = 128 << 20;
/// Memory that the summary of one column may take on average, in one piece of the scan.
const SKETCH: usize = 512 << 10;
/// Memory of all summaries at most; a table that needs more is refused.
const MAX_SKETCHES: usize = 4 << 30;
/// Disk that they may take then.
const DISK: u64 = 100 << 30;
const BATCH_ROWS: usize = 8_192;

/// What to look for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Questions<'a> {
    /// Rules of the table.
    pub(crate) contract: Option<&'a Contract>,
    /// Consent column (its index) and the values that count.
    pub(crate) consent: Option<(usize, &'a [String])>,
    /// Whether cells are searched for personal data.
    pub(crate) personal: bool,
    /// Whether columns are summarised, and how.
    pub(crate) sketch: Option<&'a SketchOptions>,
    /// Pieces that are read and aggregated in parallel.
    pub(crate) partitions: usize,
}

/// What the scan saw. Values in it are not masked yet.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// Rows that were scanned.
    pub(crate) rows: u64,
    /// Rows of each file of the table.
    pub(crate) file_rows: Vec<u64>,
    /// What could not be read.
    pub(crate) problems: Vec<Problem>,
    /// Nulls of each column.
    pub(crate) nulls: Vec<u64>,
    /// Each rule with rows judged and rows failing.
    pub(crate) rules: Vec<(Rule, u64, FirstRows)>,
    /// Rows without consent.
    pub(crate) consent: Option<FirstRows>,
    /// Cells that a spreadsheet would run, by column and danger.
    pub(crate) formulas: BTreeMap<(usize, Danger), FirstRows>,
    /// Personal data by column.
    pub(crate) personal: Vec<(usize, PersonalRows)>,
    /// Summaries of all columns, and the content hash.
    pub(crate) profile: Option<gauntlet_sketch::Profile>,
}

/// Runs the scan on threads of its own and waits for it.
///
/// # Errors
/// What the engine says: out of memory and disk, or a fault of ours.
pub(crate) fn run(table: &Arc<Table>, questions: &Questions<'_>) -> Result<Answers> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(questions.partitions.max(1))
        .enable_all()
        .build()
        .map_err(DataFusionError::IoError)?;
    runtime.block_on(scan(table, questions))
}

async fn scan(table: &Arc<Table>, questions: &Questions<'_>) -> Result<Answers> {
    let context = context(table, questions)?;
    let rules = questions.contract.map(|contract| rules::rules(table, contract)).transpose()?.unwrap_or_default();
    let pass = Scan::watching(Arc::clone(table), (0..table.columns.len()).collect());
    let plan = aggregates(table, questions, &rules)?;
    let frame = context.read_table(pass.provider_with_parts(questions.partitions)?)?.aggregate(Vec::new(), plan)?;
    let batches = frame.collect().await?;
    let row = batches.iter().find(|batch| batch.num_rows() == 1).ok_or_else(|| rows::internal("no result row"))?;
    let mut answers = read_answers(table, questions, rules, row)?;
    (answers.file_rows, answers.problems) = pass.finish();
    answers.formulas = pass.formulas();
    for (rule, evaluated, failing) in &mut answers.rules {
        if rule.unique {
            let nulls;
            (*failing, nulls) = unique::repeated(&context, table, rule.column, questions.partitions).await?;
            answers.problems.extend(nulls);
            *evaluated = answers.rows - answers.nulls[rule.column];
        }
    }
    answers.problems.sort();
    answers.problems.dedup();
    Ok(answers)
}

fn context(table: &Table, questions: &Questions<'_>) -> Result<SessionContext> {
    let partitions = questions.partitions.max(1);
    let sketches = if questions.sketch.is_some() { table.columns.len().saturating_mul(partitions + 1) } else { 0 };
    let sketches = sketches.saturating_mul(SKETCH).min(MAX_SKETCHES);
    engine(partitions, MEMORY + sketches)
}

/// An engine whose groups and sorts spill to disk.
pub(crate) fn spilling(partitions: usize) -> Result<SessionContext> {
    engine(partitions.max(1), MEMORY)
}

fn engine(partitions: usize, memory: usize) -> Result<SessionContext> {
    let disk =
        DiskManagerBuilder::default().with_mode(DiskManagerMode::OsTmpDirectory).with_max_temp_directory_size(DISK);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(memory)))
        .with_disk_manager_builder(disk)
        .build_arc()?;
    let config = SessionConfig::new().with_target_partitions(partitions).with_batch_size(BATCH_ROWS);
    // Rows of a part stay together and in order.
    let config = config.with_round_robin_repartition(false);
    Ok(SessionContext::new_with_config_rt(config, runtime))
}

/// A column of the plan. Names are ours, so they need no quoting.
pub(crate) fn reference(name: String) -> Expr {
    Expr::Column(Reference::from_name(name))
}

fn raw(i: usize) -> Expr {
    reference(raw_name(i))
}

/// The column as rules see it.
fn ruled(table: &Table, i: usize) -> Expr {
    if table.columns[i].typed.is_some() { reference(typed_name(i)) } else { raw(i) }
}

fn call(function: &AggregateUDF, column: usize, filter: Option<Expr>) -> Result<Expr> {
    let call = function.call(vec![reference(POSITION.to_owned()), raw(column)]);
    match filter {
        Some(filter) => call.filter(filter).build(),
        None => Ok(call),
    }
}

fn aggregates(table: &Table, questions: &Questions<'_>, rules: &[Rule]) -> Result<Vec<Expr>> {
    let first_rows = rows::first_rows();
    let mut out = vec![count(lit(1)).alias("n")];
    for (i, column) in table.columns.iter().enumerate() {
        out.push(count(raw(i)).alias(format!("k{i}")));
        if column.typed.is_some() {
            out.push(count(reference(typed_name(i))).alias(format!("u{i}")));
        }
        if questions.personal && searched(&column.scanned) {
            out.push(call(&personal::personal(kind_of_name(&column.name)), i, None)?.alias(format!("s{i}")));
        }
    }
    for (j, rule) in rules.iter().enumerate() {
        if let Some(filter) = &rule.failing {
            out.push(call(&first_rows, rule.column, Some(filter.clone()))?.alias(format!("r{j}")));
        }
    }
    if let Some(options) = questions.sketch {
        out.push(sketch::call(table, options)?.alias("z"));
    }
    if let Some((column, allowed)) = questions.consent {
        let value = cast(raw(column), DataType::Utf8);
        let listed = allowed.iter().map(|word| lit(word.clone())).collect();
        let failing = raw(column).is_null().or(value.in_list(listed, true));
        out.push(call(&first_rows, column, Some(failing))?.alias("q"));
    }
    Ok(out)
}

fn read_answers(table: &Table, questions: &Questions<'_>, rules: Vec<Rule>, row: &RecordBatch) -> Result<Answers> {
    let mut answers = Answers { rows: number(row, "n")?, ..Answers::default() };
    let mut judged = Vec::new();
    for (i, column) in table.columns.iter().enumerate() {
        let values = number(row, &format!("k{i}"))?;
        answers.nulls.push(answers.rows - values);
        judged.push(if column.typed.is_some() { number(row, &format!("u{i}"))? } else { values });
        if questions.personal && searched(&column.scanned) {
            answers.personal.push((i, state(row, &format!("s{i}"))?));
        }
    }
    for (j, rule) in rules.into_iter().enumerate() {
        let failing = match &rule.failing {
            Some(_) => state(row, &format!("r{j}"))?,
            None => FirstRows { count: answers.nulls[rule.column], ..FirstRows::default() },
        };
        let evaluated = match rule.judged {
            Judged::Rows => answers.rows,
            Judged::Cells => answers.rows - answers.nulls[rule.column],
            Judged::Values => judged[rule.column],
        };
        answers.rules.push((rule, evaluated, failing));
    }
    if let Some(options) = questions.sketch {
        let column = row.column_by_name("z").and_then(|c| c.as_binary_opt::<i32>());
        let bytes = column.filter(|c| c.len() == 1 && c.is_valid(0)).map(|c| c.value(0));
        answers.profile = Some(sketch::profile(table, options, bytes)?);
    }
    if questions.consent.is_some() {
        answers.consent = Some(state(row, "q")?);
    }
    Ok(answers)
}

fn number(row: &RecordBatch, name: &str) -> Result<u64> {
    let column = row.column_by_name(name).and_then(|c| c.as_primitive_opt::<Int64Type>());
    let value = column.filter(|c| c.len() == 1).map(|c| c.value(0));
    value.and_then(|v| u64::try_from(v).ok()).ok_or_else(|| rows::internal("a count is missing"))
}

fn state<T: serde::de::DeserializeOwned>(row: &RecordBatch, name: &str) -> Result<T> {
    let column = row.column_by_name(name).and_then(|c| c.as_binary_opt::<i32>());
    rows::decode(
        column.filter(|c| c.len() == 1).map(|c| c.value(0)).ok_or_else(|| rows::internal("a result is missing"))?,
    )
}
