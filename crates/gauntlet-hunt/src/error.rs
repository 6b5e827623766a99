//! Why a hunt as a whole fails. What goes wrong with one subject is an [`crate::Unanswered`] instead.

use std::path::PathBuf;

/// Whose fault it is says the variant.
#[derive(Debug, thiserror::Error)]
pub enum HuntError {
    /// The query is wrong: the user has to change it.
    #[error("{0}")]
    Query(String),
    /// The query asks for more than it may take.
    #[error("{0}")]
    Limit(String),
    /// A folder cannot be read.
    #[error("cannot read {path}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The ledger cannot be read, or is not what was signed.
    #[error(transparent)]
    Ledger(#[from] gauntlet_ledger::Error),
    /// The engine failed.
    #[error("the query could not be answered: {0}")]
    Engine(String),
}
