//! The data gate on several machines: the same plans on Apache DataFusion Ballista. Empty without the feature `cluster`.

#![forbid(unsafe_code)]
#![cfg(feature = "cluster")]

mod client;
mod codec;
mod desk;
mod error;
mod logger;
mod node;
mod scheduler;
mod worker;

pub use client::Remote;
pub use error::NodeError;
pub use node::{Node, Tls};
pub use scheduler::{SchedulerOptions, schedule};
pub use worker::{WorkerOptions, work};

use std::future::Future;

/// Runs a node on threads of its own and waits for it.
///
/// # Errors
/// Those of the node, and when there are no threads to be had.
pub fn run<T>(node: impl Future<Output = Result<T, NodeError>>) -> Result<T, NodeError> {
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let threads = threads.map_err(|source| NodeError::System { what: "no threads".to_owned(), source })?;
    threads.block_on(node)
}

/// Waits until the system asks the process to end (SIGINT, SIGTERM).
pub async fn ended() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}
