//! Why a report could not be written.

/// A report that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The run cannot be expressed in JSON.
    #[error("the report cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// The HTML template failed, which is a mistake in the program.
    #[error("the report cannot be written as HTML")]
    Template(#[from] minijinja::Error),
    /// What a consumer takes was exceeded even with the fewest results.
    #[error("the report is larger than {limit} bytes compressed, whatever is left out")]
    TooLarge {
        /// The consumer's limit in bytes.
        limit: usize,
    },
}
