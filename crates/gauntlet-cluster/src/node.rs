//! What every node has: who it is, and how it speaks with the others. Nodes with other functions, and with TLS those
//! without a certificate of the authority, are refused.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::Action;
use arrow_flight::flight_service_client::FlightServiceClient;
use ballista_core::extension::EndpointOverrideFn;
use futures::TryStreamExt as _;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig};
use tonic::{Code, Request, Status};

use crate::error::{NodeError, causes};

/// Largest message between nodes: plans and answers have some kilobytes for each column and file.
pub(crate) const MAX_MESSAGE: u32 = 128 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Files of a node's key and certificate, and of the authority that signed those of all nodes (PEM).
#[derive(Clone, Debug)]
pub struct Tls {
    /// Certificates of the node, its own first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Certificates of the authority.
    pub authority: PathBuf,
}

/// One node: a client, a scheduler or a worker.
#[derive(Clone, Debug)]
pub struct Node {
    agent: String,
    registry: String,
    tls: Option<Keys>,
}

#[derive(Clone)]
struct Keys {
    identity: Identity,
    authority: Certificate,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

impl Node {
    /// A node of this program. Without TLS it speaks in the clear.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn new(tls: Option<&Tls>) -> Result<Self, NodeError> {
        Self::with_registry(tls, &gauntlet_data::cluster::registry())
    }

    /// A node with functions of this identity ([`gauntlet_data::cluster::registry`]).
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn with_registry(tls: Option<&Tls>, registry: &str) -> Result<Self, NodeError> {
        let agent = format!("gauntlet/{} registry/{registry}", env!("CARGO_PKG_VERSION"));
        Ok(Self { agent, registry: registry.to_owned(), tls: tls.map(Keys::read).transpose()? })
    }

    /// What every connection to another node is made with.
    pub(crate) fn endpoints(&self) -> EndpointOverrideFn {
        let node = self.clone();
        Arc::new(move |endpoint| node.endpoint(&endpoint))
    }

    fn endpoint(&self, endpoint: &Endpoint) -> Result<Endpoint, Box<dyn Error + Send + Sync>> {
        let authority = endpoint.uri().authority().ok_or("an address without a host")?;
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let mut made = Endpoint::from_shared(format!("{scheme}://{authority}"))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true)
            .user_agent(self.agent.clone())?;
        if let Some(keys) = &self.tls {
            let tls = ClientTlsConfig::new().ca_certificate(keys.authority.clone()).identity(keys.identity.clone());
            made = made.tls_config(tls)?;
        }
        Ok(made)
    }

    /// A server that takes only nodes of the same authority, where there is one.
    pub(crate) fn server(&self) -> Result<Server, NodeError> {
        let server = Server::builder().tcp_nodelay(true).http2_keepalive_interval(Some(KEEP_ALIVE));
        match &self.tls {
            None => Ok(server),
            Some(keys) => {
                let tls = ServerTlsConfig::new().identity(keys.identity.clone()).client_ca_root(keys.authority.clone());
                server.tls_config(tls).map_err(|error| NodeError::Tls(causes(&error)))
            }
        }
    }

    /// Refuses callers whose functions are others than ours.
    #[allow(clippy::result_large_err, reason = "the engine's services answer with this type of error")]
    pub(crate) fn guard(&self) -> impl FnMut(Request<()>) -> Result<Request<()>, Status> + Clone + Send + Sync + use<> {
        let (own, agent) = (format!("registry/{}", self.registry), self.agent.clone());
        move |request| {
            let caller = request.metadata().get("user-agent").and_then(|value| value.to_str().ok()).unwrap_or("nobody");
            if caller.split(' ').any(|word| word == own) {
                return Ok(request);
            }
            let caller: String = caller.split(" tonic/").next().unwrap_or_default().chars().take(80).collect();
            let what = format!("this node is {agent}, the caller is {caller}: run the same gauntlet on all nodes");
            Err(Status::failed_precondition(what))
        }
    }

    /// Asks the desk of another node, and gives its answer.
    pub(crate) async fn ask(&self, address: &str, action: &str, body: Vec<u8>) -> Result<Vec<u8>, NodeError> {
        let silent = |what: String| NodeError::Silent { address: address.to_owned(), what };
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|error| silent(causes(&error)))?;
        let endpoint = self.endpoint(&endpoint).map_err(|error| NodeError::Tls(causes(error.as_ref())))?;
        let channel: Channel = endpoint.connect().await.map_err(|error| silent(causes(&error)))?;
        let mut client = FlightServiceClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE as usize)
            .max_encoding_message_size(MAX_MESSAGE as usize);
        let refused = |status: Status| match status.code() {
            Code::Unavailable | Code::Unknown | Code::Cancelled => silent(status.message().to_owned()),
            _ => NodeError::Refused { address: address.to_owned(), what: status.message().to_owned() },
        };
        let action = Action { r#type: action.to_owned(), body: body.into() };
        let mut answers = client.do_action(action).await.map_err(refused)?.into_inner();
        let answer = answers.try_next().await.map_err(refused)?;
        answer.map(|answer| answer.body.to_vec()).ok_or_else(|| silent("an empty answer".to_owned()))
    }
}

impl Keys {
    fn read(tls: &Tls) -> Result<Self, NodeError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| NodeError::System { what: path.display().to_string(), source })
        };
        let identity = Identity::from_pem(read(&tls.certificate)?, read(&tls.key)?);
        Ok(Self { identity, authority: Certificate::from_pem(read(&tls.authority)?) })
    }
}
