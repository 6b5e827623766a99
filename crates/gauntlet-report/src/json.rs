//! JSON: one object, pretty-printed, as `docs/schemas/output.schema.json` says.

use crate::run::RunReport;

/// The result as JSON with a final line feed.
///
/// # Errors
/// When a number cannot be written.
pub fn json(run: &RunReport) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(run)?;
    text.push('\n');
    Ok(text)
}
