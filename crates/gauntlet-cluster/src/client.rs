//! The node that wants to know something: it asks the workers whether they see its files, and sends its plan.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use ballista_core::execution_plans::execute_physical_plan;
use ballista_core::extension::SessionConfigExt as _;
use ballista_core::ids::new_instance_id;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;
use futures::TryStreamExt as _;
use futures::future::{BoxFuture, join_all};
use gauntlet_data::cluster::{Cluster, ClusterError};
use tokio::time::timeout;

use crate::codec::Codec;
use crate::desk::{LOOK, Seen, WORKERS, WorkerInfo};
use crate::error::NodeError;
use crate::node::Node;
use crate::scheduler::session;

/// How long a worker may look for files.
const LOOK_TIMEOUT: Duration = Duration::from_secs(120);
/// Pieces for each slot of the workers: the work of one that fails or is slow goes on in small portions.
const PIECES_A_SLOT: usize = 2;
/// Files that are named when some are missing.
const NAMED: usize = 5;

/// A cluster, by the address of its scheduler.
#[derive(Clone, Debug)]
pub struct Remote {
    node: Node,
    scheduler: String,
}

impl Remote {
    /// The cluster of the scheduler at `HOST:PORT`.
    #[must_use]
    pub fn new(node: Node, scheduler: &str) -> Self {
        Self { node, scheduler: scheduler.to_owned() }
    }

    async fn ready(&self, table: &[u8]) -> Result<usize, ClusterError> {
        let failed = |error: NodeError| ClusterError::new(format!("the scheduler at {error}"));
        let workers = self.node.ask(&self.scheduler, WORKERS, Vec::new()).await.map_err(failed)?;
        let unreadable = |error: serde_json::Error| ClusterError::new(format!("a node's answer is none: {error}"));
        let workers: Vec<WorkerInfo> = serde_json::from_slice(&workers).map_err(unreadable)?;
        if workers.is_empty() {
            let what = format!(
                "the scheduler at {} has no workers: start some with `gauntlet worker --scheduler-address {}`",
                self.scheduler, self.scheduler
            );
            return Err(ClusterError::new(what));
        }
        let asked = workers.iter().map(|worker| async move {
            let address = format!("{}:{}", worker.host, worker.port);
            let silent = NodeError::Silent { address: address.clone(), what: "it takes too long".to_owned() };
            let answer = timeout(LOOK_TIMEOUT, self.node.ask(&address, LOOK, table.to_vec())).await;
            (worker, address, answer.unwrap_or(Err(silent)))
        });
        let (mut slots, mut silent) = (0usize, Vec::new());
        for (worker, address, answer) in join_all(asked).await {
            let seen: Seen = match answer {
                Ok(answer) => serde_json::from_slice(&answer).map_err(unreadable)?,
                // It may have died a moment ago; then it takes no work either.
                Err(error @ NodeError::Silent { .. }) => {
                    silent.push(error.to_string());
                    continue;
                }
                Err(error) => return Err(ClusterError::new(format!("the worker at {error}"))),
            };
            if !seen.is_empty() {
                let named: Vec<String> =
                    seen.iter().take(NAMED).map(|(path, what)| format!("{path}: {what}")).collect();
                let more = seen.len().saturating_sub(NAMED);
                let more = if more > 0 { format!("; and {more} more") } else { String::new() };
                let what = format!(
                    "the worker at {address} does not see the files that this command sees: {}{more}",
                    named.join("; ")
                );
                return Err(ClusterError::new(what));
            }
            slots = slots.saturating_add(usize::try_from(worker.slots).unwrap_or(usize::MAX));
        }
        if slots == 0 {
            return Err(ClusterError::new(format!("no worker can be reached from here: {}", silent.join("; "))));
        }
        Ok(slots.saturating_mul(PIECES_A_SLOT))
    }

    async fn answer(&self, plan: Arc<dyn ExecutionPlan>) -> Result<Vec<RecordBatch>, DataFusionError> {
        let (config, codec) = (session(self.node.endpoints()), Codec::default());
        let settings = config.ballista_config();
        let address = format!("http://{}", self.scheduler);
        let stream =
            execute_physical_plan::<PhysicalPlanNode>(address, &settings, plan, &codec, new_instance_id(), config);
        stream.await?.try_collect().await
    }
}

impl Cluster for Remote {
    fn prepare<'a>(&'a self, table: &'a [u8]) -> BoxFuture<'a, Result<usize, ClusterError>> {
        Box::pin(self.ready(table))
    }

    fn run(&self, plan: Arc<dyn ExecutionPlan>) -> BoxFuture<'_, Result<Vec<RecordBatch>, ClusterError>> {
        Box::pin(async move {
            let failed = |error: DataFusionError| {
                ClusterError::new(format!(
                    "the cluster of {} gave no answer: {}",
                    self.scheduler,
                    error.strip_backtrace()
                ))
            };
            self.answer(plan).await.map_err(failed)
        })
    }
}
