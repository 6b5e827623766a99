//! What nodes ask each other besides running plans, as actions of the Flight service: a scheduler says who works for it,
//! a worker says whether it sees the files of a table.

#![allow(clippy::result_large_err, reason = "the engine's services answer with this type of error")]

use std::pin::Pin;
use std::sync::Arc;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
};
use ballista_core::serde::protobuf::executor_status::Status as State;
use ballista_executor::flight_service::BallistaFlightService;
use ballista_scheduler::cluster::ClusterState;
use futures::Stream;
use serde::{Deserialize, Serialize};
use tonic::{Request, Response, Status, Streaming};

/// Asks a scheduler for its workers.
pub(crate) const WORKERS: &str = "gauntlet.workers";
/// Asks a worker for the files of a table.
pub(crate) const LOOK: &str = "gauntlet.look";

/// One worker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct WorkerInfo {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Pieces that it reads at once.
    pub(crate) slots: u32,
    pub(crate) id: String,
}

/// What a worker says of a table: paths that it does not see as the asker does, each with what is wrong.
pub(crate) type Seen = Vec<(String, String)>;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send + 'static>>;

/// The desk of one node.
pub(crate) enum Desk {
    Scheduler { state: Arc<dyn ClusterState>, timeout_seconds: u64 },
    Worker(BallistaFlightService),
}

impl Desk {
    async fn answer(&self, action: &Action) -> Result<Vec<u8>, Status> {
        let text =
            |value: Result<Vec<u8>, serde_json::Error>| value.map_err(|error| Status::internal(error.to_string()));
        match (self, action.r#type.as_str()) {
            (Self::Scheduler { state, timeout_seconds }, WORKERS) => {
                text(serde_json::to_vec(&workers(state.as_ref(), *timeout_seconds).await))
            }
            (Self::Worker(_), LOOK) => {
                let table = action.body.clone();
                // Files are looked at by blocking calls.
                let seen = tokio::task::spawn_blocking(move || gauntlet_data::cluster::look(&table)).await;
                let seen = seen.map_err(|error| Status::internal(error.to_string()))?;
                text(serde_json::to_vec(&seen.map_err(|error| Status::invalid_argument(error.to_string()))?))
            }
            _ => Err(Status::unimplemented("this node does not do that; is it the scheduler where a worker is meant?")),
        }
    }

    fn worker(&self) -> Result<&BallistaFlightService, Status> {
        match self {
            Self::Worker(service) => Ok(service),
            Self::Scheduler { .. } => Err(Status::unimplemented("a scheduler holds no data")),
        }
    }
}

/// Workers that were heard of lately.
async fn workers(state: &dyn ClusterState, timeout_seconds: u64) -> Vec<WorkerInfo> {
    let since = ballista_core::utils::get_time_before(timeout_seconds);
    let heard = state.executor_heartbeats();
    let alive = |id: &str| {
        heard.get(id).is_some_and(|beat| {
            let state = beat.status.as_ref().and_then(|status| status.status.as_ref());
            beat.timestamp > since && matches!(state, None | Some(State::Active(_)))
        })
    };
    let mut all: Vec<WorkerInfo> = state
        .registered_executor_metadata()
        .await
        .into_iter()
        .filter(|worker| alive(&worker.id))
        .map(|worker| WorkerInfo {
            host: worker.host,
            port: worker.port,
            slots: worker.specification.vcores,
            id: worker.id,
        })
        .collect();
    all.sort();
    all
}

#[tonic::async_trait]
impl FlightService for Desk {
    type DoActionStream = Answers<arrow_flight::Result>;
    type DoExchangeStream = Answers<FlightData>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListActionsStream = Answers<ActionType>;
    type ListFlightsStream = Answers<FlightInfo>;

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        if !request.get_ref().r#type.starts_with("gauntlet.") {
            return self.worker()?.do_action(request).await;
        }
        let body = self.answer(request.get_ref()).await?.into();
        Ok(Response::new(Box::pin(futures::stream::iter([Ok(arrow_flight::Result { body })]))))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        self.worker()?.do_get(request).await
    }

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        self.worker()?.handshake(request).await
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        self.worker()?.list_flights(request).await
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        self.worker()?.get_flight_info(request).await
    }

    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        self.worker()?.poll_flight_info(request).await
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        self.worker()?.get_schema(request).await
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        self.worker()?.do_put(request).await
    }

    async fn list_actions(&self, request: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        self.worker()?.list_actions(request).await
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        self.worker()?.do_exchange(request).await
    }
}
