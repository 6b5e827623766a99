//! A node as a process: its threads, and its end.

use std::future::Future;

use crate::error::NodeError;

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
