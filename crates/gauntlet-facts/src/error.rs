//! Why a file of facts cannot be read or written.

/// What is wrong. No message names the file: the caller knows it.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// No Parquet file, or a broken one.
    #[error("not a readable Parquet file: {0}")]
    Parquet(String),
    /// A Parquet file with other columns or rows than ours.
    #[error("not a table of facts: {0}")]
    Shape(String),
    /// Written by a later release.
    #[error("facts of schema version {found}, this program knows {known}: use the release that wrote them")]
    Version {
        /// What the file says.
        found: String,
        /// What this program reads.
        known: u32,
    },
    /// More than a reader may take in.
    #[error("the limit of {limit} {what} is reached")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How many are read at most.
        limit: u64,
    },
}

impl From<parquet::errors::ParquetError> for FactsError {
    fn from(error: parquet::errors::ParquetError) -> Self {
        Self::Parquet(error.to_string())
    }
}

impl From<arrow::error::ArrowError> for FactsError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Parquet(error.to_string())
    }
}
