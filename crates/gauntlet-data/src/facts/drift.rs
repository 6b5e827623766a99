//! What comparing a batch with its reference measured. Texts of cells are in here masked, or are words that many rows share.

use gauntlet_core::Fact;
use serde::{Deserialize, Serialize};

/// What was compared with what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComparisonFact {
    /// The reference, as it was named.
    pub reference: String,
    /// Rows of the reference.
    pub reference_rows: u64,
    /// Rows of the batch.
    pub current_rows: u64,
    /// Whether values were compared, or sketches, whose numbers have an interval.
    pub exact: bool,
    /// Metrics of the table as a whole.
    pub metrics: Vec<MetricFact>,
    /// Columns that only the reference has.
    pub missing: Vec<String>,
    /// Columns that only the batch has.
    pub extra: Vec<String>,
    /// Columns of another type family: name, family there, family here.
    pub retyped: Vec<(String, String, String)>,
    /// A missing and an extra column that look alike: name there, name here, distance.
    pub renamed: Vec<(String, String, f64)>,
    /// What differs between the two lineages: `manifest source.uri`, say, with the value there and here.
    pub lineage: Vec<(String, String, String)>,
    /// What could not be compared, and why.
    pub gaps: Vec<GapFact>,
}

/// Something that was not compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GapFact {
    /// What, and why.
    pub what: String,
    /// Whether the way of comparing never tells it, so that nobody asked; else it is an open question.
    pub known: bool,
}

impl Fact for ComparisonFact {
    const KIND: &'static str = "data-comparison";
}

/// One number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricFact {
    /// `psi`, `ks`, `wasserstein_normed` and so on, with `@` and the binning where it is not the default.
    pub name: String,
    /// The value; `None` when it is not finite.
    pub value: Option<f64>,
    /// Bounds, where the value comes from sketches.
    pub interval: Option<(f64, f64)>,
}

/// What a column is to the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Any column.
    Feature,
    /// What is to be predicted.
    Label,
    /// What a model predicted.
    Prediction,
    /// A number that only tells rows apart.
    Identifier,
}

/// How the values of a column are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColumnKind {
    /// Numbers, dates, points in time.
    Number,
    /// Words that repeat, truth values.
    Category,
    /// Free text.
    Text,
    /// Lists of numbers of one length.
    Vector,
}

/// How one column differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnDriftFact {
    /// The column, or a property of what it holds: `image.brightness`.
    pub column: String,
    /// The value of the segment column, when only those rows were compared.
    pub segment: Option<String>,
    /// How it was compared.
    pub kind: ColumnKind,
    /// What it is.
    pub role: Role,
    /// Values (neither null nor NaN) of the reference and of the batch.
    pub values: (u64, u64),
    /// Rows of both.
    pub rows: (u64, u64),
    /// What was measured.
    pub metrics: Vec<MetricFact>,
    /// Bins with the rows of the reference and of the batch.
    pub bins: Vec<BinFact>,
    /// Values that the reference never had: how many rows, and the most frequent ones.
    pub new_rows: u64,
    /// Names of the new values, most frequent first.
    pub new_values: Vec<String>,
}

impl Fact for ColumnDriftFact {
    const KIND: &'static str = "data-column-drift";
}

impl ColumnDriftFact {
    /// A number by name.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<f64> {
        self.metrics.iter().find(|metric| metric.name == name)?.value
    }

    /// The least that a number can be.
    #[must_use]
    pub fn at_least(&self, name: &str) -> Option<f64> {
        let metric = self.metrics.iter().find(|metric| metric.name == name)?;
        metric.interval.map_or(metric.value, |(low, _)| Some(low))
    }
}

/// One bin of the default binning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BinFact {
    /// What falls into it.
    pub label: String,
    /// Rows of the reference.
    pub reference: u64,
    /// Rows of the batch.
    pub current: u64,
}

/// A share of a column's drift that falls into a segment of the rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentShareFact {
    /// The column that drifted.
    pub column: String,
    /// The column that parts the rows.
    pub by: String,
    /// Its value.
    pub value: String,
    /// Share of the batch's rows.
    pub rows: f64,
    /// Share of the drift.
    pub drift: f64,
}

impl Fact for SegmentShareFact {
    const KIND: &'static str = "data-segment-share";
}

/// What a stream detector saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamFact {
    /// Column of the items.
    pub column: String,
    /// Name of the detector.
    pub detector: String,
    /// Items of all streams.
    pub items: u64,
    /// Streams.
    pub groups: u64,
    /// Items without a finite number; they count as items and are not fed to the detector.
    pub without_number: u64,
    /// Items outside of `[0, 1]`, which the bound of this detector assumes.
    pub outside: u64,
    /// Items at which a change was likely.
    pub warnings: u64,
}

impl Fact for StreamFact {
    const KIND: &'static str = "data-stream";
}

/// A detector fired.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamChangeFact {
    /// Column of the items.
    pub column: String,
    /// The stream, where there are several.
    pub group: Option<String>,
    /// The item at which it fired, from 0 within its stream.
    pub index: u64,
}

impl Fact for StreamChangeFact {
    const KIND: &'static str = "data-stream-change";
}

/// The windows of a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WatchFact {
    /// Number of the first window that was done with this batch.
    pub first: u64,
    /// Rows of each window that was done.
    pub rows: Vec<u64>,
    /// Rows of this batch whose window was already done.
    pub late: u64,
    /// The window that is not full.
    pub open: Option<crate::OpenWindow>,
}

impl Fact for WatchFact {
    const KIND: &'static str = "data-watch";
}
