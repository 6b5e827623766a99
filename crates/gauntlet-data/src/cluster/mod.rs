//! The one scan on other machines: the same plan, with a table whose files are opened where they are read. What carries
//! the plan there and the answer back is a [`Cluster`].

mod exec;
mod functions;
mod log;

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use futures::future::BoxFuture;

use crate::scan::{internal, reference, spilling};
use crate::table::{DistantError, DistantTable, POSITION, Scan};
use exec::{DistantScan, LOG};
pub use exec::{decode_scan, encode_scan};
pub use functions::{decode_function, encode_function, functions, registry};
pub(crate) use log::ScanLog;

/// Name of the answer with the log of the scan.
pub(crate) const LOG_ANSWER: &str = "l";

/// Machines that read tables for us.
pub trait Cluster: Debug + Send + Sync {
    /// Asks every worker whether it sees the files of `table` as they are here (see [`look`]). Gives the number of pieces
    /// that the workers read at once.
    ///
    /// # Errors
    /// When nobody answers, or a file is missing; names worker and file.
    fn prepare<'a>(&'a self, table: &'a [u8]) -> BoxFuture<'a, Result<usize, ClusterError>>;

    /// Runs a plan and collects its rows.
    ///
    /// # Errors
    /// When it cannot be run to its end.
    fn run(&self, plan: Arc<dyn ExecutionPlan>) -> BoxFuture<'_, Result<Vec<RecordBatch>, ClusterError>>;
}

/// Why a cluster gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ClusterError(String);

impl ClusterError {
    /// In words.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl From<ClusterError> for DataFusionError {
    fn from(error: ClusterError) -> Self {
        Self::External(Box::new(error))
    }
}

impl From<DistantError> for DataFusionError {
    fn from(error: DistantError) -> Self {
        ClusterError(error.to_string()).into()
    }
}

/// Files of a table (as [`Cluster::prepare`] is given it) that this process does not see as the sender does, each with
/// what is wrong.
///
/// # Errors
/// When it is no table.
pub fn look(table: &[u8]) -> Result<Vec<(String, String)>, ClusterError> {
    let table: DistantTable =
        serde_json::from_slice(table).map_err(|error| ClusterError(format!("no table was sent: {error}")))?;
    table.open().map_err(|error| ClusterError(error.to_string()))?;
    Ok(table.missing())
}

/// Runs the aggregates over the columns of a pass, in a cluster. The answer has the column [`LOG_ANSWER`], too.
pub(crate) async fn collect(cluster: &dyn Cluster, pass: &Scan, aggregates: Vec<Expr>) -> Result<Vec<RecordBatch>> {
    let table = DistantTable::of(pass.table())?;
    let request = serde_json::to_vec(&table).map_err(|error| DataFusionError::External(error.into()))?;
    let partitions = cluster.prepare(&request).await?.clamp(1, pass.part_count().max(1));
    let mut plan = aggregates.into_iter().map(of_rows).collect::<Result<Vec<_>>>()?;
    plan.push(log::scan_log().call(vec![reference(LOG.to_owned())]).alias(LOG_ANSWER));
    let context = spilling(partitions)?;
    let provider = DistantScan::new(table, pass.columns().to_vec(), true)?.provider(partitions)?;
    let frame = context.read_table(Arc::new(provider))?.aggregate(Vec::new(), plan)?;
    let plan = frame.create_physical_plan().await?;
    Ok(cluster.run(plan).await?)
}

/// The same aggregate, over rows of the table only: the row with the log has no place.
fn of_rows(expr: Expr) -> Result<Expr> {
    let row = reference(POSITION.to_owned()).is_not_null();
    match expr {
        Expr::Alias(mut alias) => {
            alias.expr = Box::new(of_rows(*alias.expr)?);
            Ok(Expr::Alias(alias))
        }
        Expr::AggregateFunction(mut call) => {
            let filter = call.params.filter.take().map_or(row.clone(), |filter| row.and(*filter));
            call.params.filter = Some(Box::new(filter));
            Ok(Expr::AggregateFunction(call))
        }
        _ => Err(internal("an aggregate is none")),
    }
}

#[cfg(test)]
mod tests;
