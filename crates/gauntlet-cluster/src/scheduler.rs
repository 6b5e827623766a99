//! The node that takes plans, cuts them into tasks and hands those to workers.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use arrow_flight::flight_service_server::FlightServiceServer;
use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::extension::SessionConfigExt as _;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpcServer;
use ballista_core::utils::{default_config_producer, default_session_builder};
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::create_scheduler;
use datafusion::execution::FunctionRegistry as _;
use datafusion::prelude::SessionConfig;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::net::TcpListener;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::TcpIncoming;

use crate::codec::Codec;
use crate::desk::Desk;
use crate::error::{NodeError, causes};
use crate::node::{MAX_MESSAGE, Node};

/// Seconds without a sign of life after which a worker's tasks go to others. Workers call every five seconds at least.
const WORKER_TIMEOUT: u64 = 20;
/// Seconds between two looks for such workers.
const TIMEOUT_CHECK: u64 = 5;
/// Seconds after which what a job left on the workers is removed.
const CLEAN_AFTER: u64 = 60;

/// How a scheduler runs.
#[derive(Clone, Debug)]
pub struct SchedulerOptions {
    /// Where it listens; port 0 takes any free one.
    pub listen: SocketAddr,
    /// What it logs on stderr: `warn` without a word.
    pub log: Option<String>,
}

/// Runs a scheduler until `stop` is done. `listening` is told its address.
///
/// # Errors
/// When the address cannot be had.
pub async fn schedule(
    node: &Node,
    options: &SchedulerOptions,
    listening: impl FnOnce(SocketAddr),
    stop: impl Future<Output = ()>,
) -> Result<(), NodeError> {
    crate::logger::start(options.log.as_deref());
    let system = |source| NodeError::System { what: options.listen.to_string(), source };
    let listener = TcpListener::bind(options.listen).await.map_err(system)?;
    let address = listener.local_addr().map_err(system)?;
    let config = config(node, address);
    let cluster = BallistaCluster::new_from_config(&config).await?;
    let desk = Desk::Scheduler { state: cluster.cluster_state(), timeout_seconds: WORKER_TIMEOUT };
    let scheduler = create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, Arc::new(config)).await?;
    let plans = SchedulerGrpcServer::new(scheduler)
        .max_decoding_message_size(MAX_MESSAGE as usize)
        .max_encoding_message_size(MAX_MESSAGE as usize);
    let server = node
        .server()?
        .add_service(InterceptedService::new(plans, node.guard()))
        .add_service(InterceptedService::new(FlightServiceServer::new(desk), node.guard()));
    listening(address);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let served = server.serve_with_incoming_shutdown(incoming, stop).await;
    served.map_err(|error| NodeError::Silent { address: address.to_string(), what: causes(&error) })
}

fn config(node: &Node, address: SocketAddr) -> SchedulerConfig {
    let endpoints = node.endpoints();
    let producer = move || session(Arc::clone(&endpoints));
    SchedulerConfig {
        external_host: address.ip().to_string(),
        bind_host: address.ip().to_string(),
        bind_port: address.port(),
        // Workers ask for work: nobody has to reach them to give it.
        scheduling_policy: TaskSchedulingPolicy::PullStaged,
        executor_timeout_seconds: WORKER_TIMEOUT,
        no_executors_grace_period_seconds: WORKER_TIMEOUT,
        expire_dead_executor_interval_seconds: TIMEOUT_CHECK,
        finished_job_data_clean_up_interval_seconds: CLEAN_AFTER,
        grpc_server_max_decoding_message_size: MAX_MESSAGE,
        grpc_server_max_encoding_message_size: MAX_MESSAGE,
        grpc_client_max_message_size: MAX_MESSAGE,
        override_config_producer: Some(Arc::new(producer)),
        override_session_builder: Some(Arc::new(|config| {
            let mut state = default_session_builder(config)?;
            for function in gauntlet_data::cluster::functions() {
                state.register_udaf(function)?;
            }
            Ok(state)
        })),
        override_physical_codec: Some(Arc::new(Codec::default())),
        override_create_grpc_client_endpoint: Some(node.endpoints()),
        ..SchedulerConfig::default()
    }
}

/// Settings of the engine on every node.
pub(crate) fn session(endpoints: ballista_core::extension::EndpointOverrideFn) -> SessionConfig {
    default_config_producer()
        .with_ballista_grpc_client_max_message_size(MAX_MESSAGE as usize)
        .with_ballista_adaptive_query_planner(false)
        .with_ballista_override_create_grpc_client_endpoint(endpoints)
}
