//! What can go wrong with a node.

use ballista_core::error::BallistaError;

/// Why a node does not run, or gives no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// A port cannot be had, a file of a key cannot be read.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// The system's word.
        source: std::io::Error,
    },
    /// Another node does not answer.
    #[error("{address} does not answer: {what}")]
    Silent {
        /// Its address.
        address: String,
        /// What happened.
        what: String,
    },
    /// Another node answers no.
    #[error("{address} refuses: {what}")]
    Refused {
        /// Its address.
        address: String,
        /// Why.
        what: String,
    },
    /// Keys and certificates that are none.
    #[error("TLS: {0}")]
    Tls(String),
    /// Options that contradict each other.
    #[error("{0}")]
    Options(String),
    /// The engine's word.
    #[error("{0}")]
    Engine(#[from] BallistaError),
}

/// An error with its causes on one line; some say nothing by themselves.
pub(crate) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let (mut text, mut next) = (error.to_string(), error.source());
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = cause.source();
    }
    text
}
