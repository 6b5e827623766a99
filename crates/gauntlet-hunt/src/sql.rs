//! SQL over the tables of `gauntlet-facts`, read only: no statement that changes, writes or reads files is planned.

mod function;
mod table;
mod values;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt as _;
use gauntlet_core::Gate;
use gauntlet_facts::RELATIONS;

use crate::HuntError;
use crate::catalogue::{Catalogue, Unanswered};

/// Stack of the thread that plans: queries nest.
const STACK: usize = 64 << 20;

/// What a query may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryLimits {
    /// Rows of the answer.
    pub rows: usize,
    /// Bytes of memory for sorting, grouping and joining; half as much again goes into facts on their way.
    pub memory: usize,
    /// Bytes of disk that sorting and joining may spill into.
    pub disk: u64,
    /// Files that are read at the same time.
    pub threads: usize,
}

impl Default for QueryLimits {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Self { rows: 100_000, memory: 1 << 30, disk: 4 << 30, threads }
    }
}

/// The answer to a query.
#[derive(Debug)]
pub struct Rows {
    /// Columns.
    pub schema: SchemaRef,
    /// Rows.
    pub batches: Vec<RecordBatch>,
    /// There were more rows than the limit allows.
    pub cut: bool,
    /// Subjects whose rows are missing, or may be.
    pub unanswered: Vec<Unanswered>,
}

impl Rows {
    /// How many rows there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

/// What went wrong while tables were read.
pub(crate) type Problems = Arc<Mutex<BTreeSet<Unanswered>>>;

/// Answers one query.
///
/// # Errors
/// [`HuntError::Query`] for SQL that is wrong or not allowed, [`HuntError::Limit`] when a limit is reached.
pub fn query(
    sql: &str,
    catalogue: &Arc<Catalogue>,
    gates: &[&'static Gate],
    limits: &QueryLimits,
) -> Result<Rows, HuntError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(limits.threads.max(1))
        .enable_all()
        .build()
        .map_err(|error| HuntError::Engine(error.to_string()))?;
    let run = || runtime.block_on(answer(sql, catalogue, gates, limits)).map_err(explain);
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, run);
        let thread = thread.map_err(|error| HuntError::Engine(error.to_string()))?;
        thread.join().unwrap_or_else(|_| Err(HuntError::Engine("the engine gave up".to_owned())))
    })
}

async fn answer(
    sql: &str,
    catalogue: &Arc<Catalogue>,
    gates: &[&'static Gate],
    limits: &QueryLimits,
) -> Result<Rows, DataFusionError> {
    let context = context(limits)?;
    context.register_udf(function::fact_at());
    let problems = Problems::default();
    for known in RELATIONS {
        let provider = table::provider(known, catalogue, gates, &problems, limits.threads)?;
        context.register_table(known.name, provider)?;
    }
    let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    let frame = context.sql_with_options(sql, options).await?;
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let mut stream = frame.execute_stream().await?;
    let (mut batches, mut left, mut cut) = (Vec::new(), limits.rows, false);
    while let Some(batch) = stream.next().await {
        let batch: RecordBatch = batch?;
        if batch.num_rows() > left {
            cut = true;
            batches.push(batch.slice(0, left));
            break;
        }
        left -= batch.num_rows();
        batches.push(batch);
    }
    drop(stream);
    let mut open = problems.lock().unwrap_or_else(PoisonError::into_inner).clone();
    open.extend(catalogue.unanswered.iter().cloned());
    // Facts of another version are in the answer, but an extractor of today may see more.
    open.extend(catalogue.held.iter().filter_map(|held| held.too_old(gates).map(|why| *why)));
    Ok(Rows { schema, batches, cut, unanswered: open.into_iter().collect() })
}

fn context(limits: &QueryLimits) -> Result<SessionContext, DataFusionError> {
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::OsTmpDirectory)
        .with_max_temp_directory_size(limits.disk);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(limits.memory)))
        .with_disk_manager_builder(disk)
        .build_arc()?;
    let config = SessionConfig::new().with_target_partitions(limits.threads.max(1)).with_information_schema(true);
    Ok(SessionContext::new_with_config_rt(config, runtime))
}

/// Whose fault an error is.
fn explain(error: DataFusionError) -> HuntError {
    let text = error.strip_backtrace();
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => HuntError::Limit(text),
        DataFusionError::SQL(..)
        | DataFusionError::Plan(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::Configuration(_)
        | DataFusionError::Execution(_)
        | DataFusionError::ArrowError(..) => HuntError::Query(text),
        _ => HuntError::Engine(text),
    }
}
