//! What is compared with what, as the program hands it over.

use serde::{Deserialize, Serialize};

use super::stream::StreamConfig;
use super::watch::WatchConfig;
use crate::config::SideRef;

/// Columns of a table that are looked at more closely.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct DriftConfig {
    /// The reference.
    pub(crate) reference: Option<ReferenceConfig>,
    /// Names of metrics to report; none: the usual ones; `all`: every one.
    pub(crate) metrics: Vec<String>,
    /// Only these columns.
    pub(crate) columns: Vec<String>,
    /// Columns that only tell rows apart.
    pub(crate) ids: Vec<String>,
    /// The column to be predicted.
    pub(crate) label: Option<String>,
    /// The column with a model's predictions.
    pub(crate) prediction: Option<String>,
    /// The column whose values part the rows.
    pub(crate) segment: Option<String>,
    /// Whether to look for causes.
    pub(crate) explain: bool,
    /// Instead of a comparison: a detector over the items of a column.
    pub(crate) stream: Option<StreamConfig>,
    /// A comparison window by window.
    pub(crate) watch: Option<WatchConfig>,
    /// Rows of each side in tests of many columns.
    pub(crate) sample_rows: Option<usize>,
    /// Whether those are the first rows instead of rows spread over the table.
    pub(crate) sample_first: bool,
}

/// The reference: files of a table, or a stored profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ReferenceConfig {
    /// What it is called.
    pub(crate) name: String,
    /// Hex SHA-256 of the profile, or over the lines `sha256  path` of its files.
    pub(crate) sha256: String,
    /// Its files with their hex SHA-256, relative to the target's root. One file that begins like a profile is one.
    pub(crate) files: Vec<SideRef>,
    /// Its manifest.
    #[serde(default)]
    pub(crate) manifest: Option<SideRef>,
    /// Its contract.
    #[serde(default)]
    pub(crate) contract: Option<SideRef>,
}

impl DriftConfig {
    /// Whether a column only tells rows apart: the manifest says so, or it is called so, holds whole numbers, and no two
    /// are equal.
    pub(crate) fn is_identifier(&self, name: &str, family: &str, distinct: impl Fn() -> bool) -> bool {
        if self.ids.iter().any(|id| id == name) {
            return true;
        }
        let lower = name.to_lowercase();
        let called = ["id", "key", "uuid", "index", "row", "rowid"];
        let named = lower.split(['_', '-', '.', ' ']).next_back().is_some_and(|part| called.contains(&part))
            || lower.ends_with("id") && name.ends_with("Id");
        named && family == "integer" && distinct()
    }
}
