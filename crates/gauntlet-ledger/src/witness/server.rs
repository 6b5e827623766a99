//! The witness over HTTP: one path, bounded bodies, bounded connections, and nobody holds one open for ever.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Response, header};
use axum::routing::post;
use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

use crate::error::Error;
use crate::witness::{MAX_REQUEST, Witness};

/// Connections at the same time; more wait in the system's queue.
const CONNECTIONS: usize = 128;

/// How long one connection may live, and one request take.
const CONNECTION_TIME: Duration = Duration::from_secs(120);
const REQUEST_TIME: Duration = Duration::from_secs(20);

/// Gives the time in Unix seconds.
pub type UnixTime = Arc<dyn Fn() -> u64 + Send + Sync>;

/// A socket that is bound, so that its address can be told before anything is served.
#[derive(Debug)]
pub struct Listening {
    listener: StdListener,
    address: SocketAddr,
}

impl Listening {
    /// Binds an address such as `127.0.0.1:8080`; port 0 takes any free one.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn bind(address: &str) -> Result<Self, Error> {
        let listener = StdListener::bind(address).map_err(Error::io(address))?;
        listener.set_nonblocking(true).map_err(Error::io(address))?;
        let address = listener.local_addr().map_err(Error::io(address))?;
        Ok(Self { listener, address })
    }

    /// The address, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Serves `POST <prefix>/add-checkpoint` until the process ends. The prefix begins with a slash, or is empty.
///
/// # Errors
/// When the socket fails.
pub fn serve(witness: Arc<Witness>, listening: Listening, prefix: &str, now: UnixTime) -> Result<(), Error> {
    let place = listening.address.to_string();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let path = format!("{}/add-checkpoint", prefix.trim_end_matches('/'));
    let router = Router::new().route(&path, post(answer)).with_state(Served { witness, now });
    runtime.map_err(Error::io(&place))?.block_on(async {
        let listener = TcpListener::from_std(listening.listener).map_err(Error::io(&place))?;
        let listener = Bounded { listener, permits: Arc::new(Semaphore::new(CONNECTIONS)) };
        axum::serve(listener, router).await.map_err(Error::io(&place))
    })
}

#[derive(Clone)]
struct Served {
    witness: Arc<Witness>,
    now: UnixTime,
}

async fn answer(State(served): State<Served>, body: Body) -> Response<Body> {
    let reading = tokio::time::timeout(REQUEST_TIME, to_bytes(body, MAX_REQUEST)).await;
    let bytes = match reading {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => return respond(413, "text/plain; charset=utf-8", "the request is too large\n".to_owned()),
        Err(_) => return respond(408, "text/plain; charset=utf-8", "the request took too long\n".to_owned()),
    };
    // Syncing to the device blocks.
    let answered = tokio::task::spawn_blocking(move || served.witness.add_checkpoint(&bytes, (served.now)())).await;
    match answered {
        Ok(answer) => respond(answer.status, answer.content_type, answer.body),
        Err(_) => respond(500, "text/plain; charset=utf-8", "the witness failed\n".to_owned()),
    }
}

fn respond(status: u16, content_type: &'static str, body: String) -> Response<Body> {
    let built = Response::builder().status(status).header(header::CONTENT_TYPE, content_type).body(Body::from(body));
    // The parts are constant but for the body, so this always builds.
    built.unwrap_or_default()
}

/// A listener with a bounded number of connections, each of which ends in bounded time.
struct Bounded {
    listener: TcpListener,
    permits: Arc<Semaphore>,
}

impl Listener for Bounded {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (BoundedStream, SocketAddr) {
        loop {
            let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
            let (stream, address) = Listener::accept(&mut self.listener).await;
            // The semaphore is never closed; without a permit nothing is served.
            let Some(permit) = permit else { continue };
            return (BoundedStream { stream, end: Box::pin(sleep(CONNECTION_TIME)), _permit: permit }, address);
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

struct BoundedStream {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl AsyncRead for BoundedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.end.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.end.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
