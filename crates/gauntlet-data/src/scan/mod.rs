//! One scan for everything: null counts, every rule of the contract, consent and personal data are aggregates of one
//! plan. Only uniqueness needs a stage of its own, which spills to disk when memory is short.

mod classes;
mod exact_sum;
mod foreign;
mod function;
mod hashes;
mod moments;
mod monotone;
mod people;
mod personal;
mod profile;
mod quantile;
mod row_report;
mod rows;
mod rules;
mod sketch;
mod spill;
mod stage;
mod stages;
mod tally;
mod unique;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use datafusion::common::Column as Reference;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{AggregateUDF, Expr, ExprFunctionExt, lit};
use datafusion::prelude::{SessionConfig, SessionContext};
use gauntlet_sketch::SketchOptions;

use crate::contract::Contract;
use crate::ingest::formula::Danger;
use crate::table::{POSITION, Problem, Scan, Table, raw_name, typed_name};
pub(crate) use classes::{Classes, MAX_CLASSES};
pub(crate) use people::{OLDEST, PeopleAnswers, PeopleQuestions, days};
pub(crate) use personal::{PersonalRows, searched};
pub(crate) use profile::{Profile, count_rows, profile};
pub use row_report::{ReportError, RowReport, row_report};
pub(crate) use rows::{FirstRows, internal};
pub(crate) use rules::{Asked, Others, Rule};
pub(crate) use tally::Tally;

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
    /// Tables that its foreign keys refer to.
    pub(crate) others: &'a Others,
    /// Whether cells are searched for personal data.
    pub(crate) personal: bool,
    /// Whether columns are summarised, and how.
    pub(crate) sketch: Option<&'a SketchOptions>,
    /// What the manifest asks of every row.
    pub(crate) people: PeopleQuestions<'a>,
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
    /// Nulls of each column; `None` for columns that nobody asked for.
    pub(crate) nulls: Vec<Option<u64>>,
    /// The answer to each rule.
    pub(crate) rules: Vec<RuleAnswer>,
    /// Consent and age.
    pub(crate) people: PeopleAnswers,
    /// Cells that a spreadsheet would run, by column and danger.
    pub(crate) formulas: BTreeMap<(usize, Danger), FirstRows>,
    /// Personal data by column.
    pub(crate) personal: Vec<(usize, PersonalRows)>,
    /// Summaries of all columns, and the content hash.
    pub(crate) profile: Option<gauntlet_sketch::Profile>,
}

/// What one rule found.
#[derive(Clone, Debug)]
pub(crate) struct RuleAnswer {
    pub(crate) rule: Rule,
    /// Rows judged, skipped and failing.
    pub(crate) tally: Tally,
    /// The number that the rule is about; `None` when there is none, or when it cannot be told.
    pub(crate) value: Option<f64>,
    /// Counts of the classes that the rule is about.
    pub(crate) classes: Option<Classes>,
    /// The newest time, in seconds since 1970 UTC.
    pub(crate) newest: Option<i64>,
}

impl RuleAnswer {
    fn new(rule: Rule) -> Self {
        Self { rule, tally: Tally::default(), value: None, classes: None, newest: None }
    }
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
    let mut rules = questions.contract.map(|c| rules::rules(table, c, questions.others)).unwrap_or_default();
    rules::verify(&context, &Scan::new(Arc::clone(table), (0..table.columns.len()).collect()), &mut rules)?;
    let columns = columns(table, questions, &rules);
    let pass = Scan::watching(Arc::clone(table), columns.clone());
    let plan = aggregates(table, questions, &columns, &rules)?;
    let frame = context.read_table(pass.provider_with_parts(questions.partitions)?)?.aggregate(Vec::new(), plan)?;
    let batches = frame.collect().await?;
    let row = batches.iter().find(|batch| batch.num_rows() == 1).ok_or_else(|| rows::internal("no result row"))?;
    let mut answers = read_answers(table, questions, &columns, rules, row)?;
    (answers.file_rows, answers.problems) = pass.finish();
    answers.formulas = pass.formulas();
    stages::run(&context, table, questions.partitions, &mut answers).await?;
    answers.problems.sort();
    answers.problems.dedup();
    Ok(answers)
}

/// Columns that some question needs.
fn columns(table: &Table, questions: &Questions<'_>, rules: &[Rule]) -> Vec<usize> {
    if questions.personal || questions.sketch.is_some() {
        return (0..table.columns.len()).collect();
    }
    let of_rules = rules.iter().flat_map(|rule| rule.reads().iter().copied());
    let set: BTreeSet<usize> = of_rules.chain(questions.people.columns()).collect();
    set.into_iter().collect()
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

fn aggregates(table: &Table, questions: &Questions<'_>, columns: &[usize], rules: &[Rule]) -> Result<Vec<Expr>> {
    let mut out = vec![count(lit(1)).alias("n")];
    for &i in columns {
        let Some(column) = table.columns.get(i) else { continue };
        out.push(count(raw(i)).alias(format!("k{i}")));
        if questions.personal && searched(&column.scanned) {
            out.push(call(&personal::personal(&column.name), i, None)?.alias(format!("s{i}")));
        }
    }
    for (j, rule) in rules.iter().enumerate() {
        out.extend(rule.aggregate()?.map(|call| call.alias(format!("r{j}"))));
    }
    if let Some(options) = questions.sketch {
        out.push(sketch::call(table, options)?.alias("z"));
    }
    let (asked, first_rows) = (questions.people, rows::first_rows());
    if let Some((column, allowed)) = asked.consent {
        out.push(call(&first_rows, column, Some(people::without_consent(column, allowed)))?.alias("q"));
    }
    if let Some((column, rule)) = asked.age {
        out.push(call(&first_rows, column, Some(people::without_age(column, rule)))?.alias("a"));
    }
    if let Some(column) = asked.expires {
        out.push(call(&people::expiry(), column, None)?.alias("e"));
    }
    Ok(out)
}

fn read_answers(
    table: &Table,
    questions: &Questions<'_>,
    columns: &[usize],
    rules: Vec<Rule>,
    row: &RecordBatch,
) -> Result<Answers> {
    let mut answers = Answers { rows: number(row, "n")?, nulls: vec![None; table.columns.len()], ..Answers::default() };
    for &i in columns {
        let values = number(row, &format!("k{i}"))?;
        if let Some(nulls) = answers.nulls.get_mut(i) {
            *nulls = Some(answers.rows - values);
        }
        if questions.personal && table.columns.get(i).is_some_and(|column| searched(&column.scanned)) {
            answers.personal.push((i, state(row, &format!("s{i}"))?));
        }
    }
    for (j, rule) in rules.into_iter().enumerate() {
        let mut answer = RuleAnswer::new(rule);
        stages::read(&mut answer, row, &format!("r{j}"))?;
        answers.rules.push(answer);
    }
    if let Some(options) = questions.sketch {
        let column = row.column_by_name("z").and_then(|c| c.as_binary_opt::<i32>());
        let bytes = column.filter(|c| c.len() == 1 && c.is_valid(0)).map(|c| c.value(0));
        answers.profile = Some(sketch::profile(table, options, bytes)?);
    }
    let asked = questions.people;
    answers.people = PeopleAnswers {
        consent: asked.consent.map(|_| state(row, "q")).transpose()?,
        age: asked.age.map(|_| state(row, "a")).transpose()?,
        expires: asked.expires.map(|_| state(row, "e")).transpose()?,
    };
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
