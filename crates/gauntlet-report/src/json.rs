//! JSON: the run itself, one object and a line end.

use crate::error::RenderError;
use crate::run::RunReport;

/// Writes the run as indented JSON.
///
/// # Errors
/// [`RenderError::Json`] when it cannot be expressed in JSON.
pub fn render(run: &RunReport) -> Result<String, RenderError> {
    let mut text = serde_json::to_string_pretty(run)?;
    text.push('\n');
    Ok(text)
}
