//! The node that reads tables and runs the tasks of plans.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::error::BallistaError;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_executor::flight_service::BallistaFlightService;
use ballista_executor::shutdown::Shutdown;
use tokio::net::TcpListener;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::TcpIncoming;

use crate::codec::Codec;
use crate::desk::{Desk, WORKERS};
use crate::error::NodeError;
use crate::node::{MAX_MESSAGE, Node};
use crate::scheduler::session;

/// Seconds between two signs of life.
const HEARTBEAT: u64 = 5;
/// Time between two looks whether the scheduler has heard of it.
const HEARD_CHECK: Duration = Duration::from_millis(20);

/// How a worker runs.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// Where it listens; port 0 takes any free one.
    pub listen: SocketAddr,
    /// The name or address that others reach it by: that of `listen` without one.
    pub advertise: Option<String>,
    /// Host and port of the scheduler.
    pub scheduler: (String, u16),
    /// Pieces that it reads at once.
    pub slots: usize,
    /// Where partial results lie until they are fetched: the system's folder for such without one.
    pub work_dir: Option<PathBuf>,
    /// What it logs on stderr: `warn` without a word.
    pub log: Option<String>,
}

/// Runs a worker until the system asks it to end. `listening` is told its address once the scheduler has taken it.
///
/// # Errors
/// When its address cannot be had, or the scheduler does not answer or refuses it.
pub async fn work(node: &Node, options: &WorkerOptions, listening: impl FnOnce(SocketAddr)) -> Result<(), NodeError> {
    crate::logger::start(options.log.as_deref());
    let system = |source| NodeError::System { what: options.listen.to_string(), source };
    let listener = TcpListener::bind(options.listen).await.map_err(system)?;
    let address = listener.local_addr().map_err(system)?;
    let host = reached_by(options.advertise.as_deref(), address.ip())?;
    let (scheduler_host, scheduler_port) = options.scheduler.clone();
    // The engine tries for ever and says why only in its log: so ask first.
    node.ask(&format!("{scheduler_host}:{scheduler_port}"), WORKERS, Vec::new()).await?;
    let folder = match &options.work_dir {
        Some(folder) => tempfile::Builder::new().prefix("gauntlet-worker-").tempdir_in(folder),
        None => tempfile::Builder::new().prefix("gauntlet-worker-").tempdir(),
    };
    let folder = folder.map_err(|source| NodeError::System { what: "the working folder".to_owned(), source })?;
    let work_dir = folder.path().to_str().map(str::to_owned);
    let work_dir = work_dir.ok_or_else(|| NodeError::Options("the working folder's name is no Unicode text".into()))?;
    let endpoints = node.endpoints();
    let config = ExecutorProcessConfig {
        bind_host: bracketed(address.ip()),
        external_host: Some(host),
        port: address.port(),
        scheduler_host,
        scheduler_port,
        vcores: options.slots.max(1),
        task_scheduling_policy: TaskSchedulingPolicy::PullStaged,
        work_dir: Some(work_dir),
        executor_heartbeat_interval_seconds: HEARTBEAT,
        grpc_max_decoding_message_size: MAX_MESSAGE,
        grpc_max_encoding_message_size: MAX_MESSAGE,
        override_function_registry: Some(Arc::new(functions())),
        override_config_producer: Some(Arc::new(move || session(Arc::clone(&endpoints)))),
        override_physical_codec: Some(Arc::new(Codec::default())),
        override_arrow_flight_service: Some(Arc::new(flight(node, listener))),
        override_create_grpc_client_endpoint: Some(node.endpoints()),
        ..ExecutorProcessConfig::default()
    };
    let health = config.health.clone();
    let heard = async move {
        while !health.is_ready() {
            tokio::time::sleep(HEARD_CHECK).await;
        }
        listening(address);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ended = start_executor_process(Arc::new(config)) => Ok(ended?),
        () = heard => Ok(()),
    }
}

fn functions() -> BallistaFunctionRegistry {
    let mut registry = BallistaFunctionRegistry::default();
    for function in gauntlet_data::cluster::functions() {
        registry.aggregate_functions.insert(function.name().to_owned(), function);
    }
    registry
}

/// The host that others reach a node by.
fn reached_by(advertised: Option<&str>, listening: IpAddr) -> Result<String, NodeError> {
    match advertised {
        Some(host) => Ok(host.to_owned()),
        None if listening.is_unspecified() => Err(NodeError::Options(
            "this worker listens on every address: say with --advertise which one others reach".into(),
        )),
        None => Ok(bracketed(listening)),
    }
}

fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

type Served = tokio::task::JoinHandle<Result<(), BallistaError>>;

/// Serves partial results and the desk on a port that is ours already.
fn flight(
    node: &Node,
    listener: TcpListener,
) -> impl Fn(String, SocketAddr, Shutdown, ballista_core::utils::GrpcServerConfig) -> Served + Send + Sync + use<> {
    let (node, listener) = (node.clone(), Mutex::new(Some(listener)));
    move |work_dir, _, mut shutdown, _| {
        let (node, listener) = (node.clone(), listener.lock().unwrap_or_else(PoisonError::into_inner).take());
        tokio::spawn(async move {
            let listener = listener.ok_or_else(|| BallistaError::General("the port is taken already".to_owned()))?;
            let mut server = node.server().map_err(|error| BallistaError::General(error.to_string()))?;
            let desk = FlightServiceServer::new(Desk::Worker(BallistaFlightService::new(work_dir)))
                .max_decoding_message_size(MAX_MESSAGE as usize)
                .max_encoding_message_size(MAX_MESSAGE as usize);
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            let service = InterceptedService::new(desk, node.guard());
            server
                .add_service(service)
                .serve_with_incoming_shutdown(incoming, shutdown.recv())
                .await
                .map_err(BallistaError::TonicError)
        })
    }
}
