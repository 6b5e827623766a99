//! Facts of the profile: the fingerprint of the table, and what a report draws of each column.

use gauntlet_core::Fact;
use serde::{Deserialize, Serialize};

/// What identifies the dataset's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FingerprintFact {
    /// Identity of the content: independent of files, row groups, order of rows, and format where types are known.
    pub content_hash: String,
    /// Hex SHA-256 of the canonical profile.
    pub sketch_sha256: String,
    /// Hex SHA-256 over the lines `sha256  size  path` of the data files, where all of them were hashed.
    pub file_set_sha256: Option<String>,
    /// Rows.
    pub rows: u64,
    /// Whether every file was read to its end: only then is this the dataset's fingerprint.
    pub complete: bool,
}

impl Fact for FingerprintFact {
    const KIND: &'static str = "data-fingerprint";
}

/// The distribution of one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProfileFact {
    /// The column.
    pub column: String,
    /// Place in the table, from 0.
    pub position: u64,
    /// Type family: `integer`, `float`, `decimal`, `boolean`, `string`, `binary`, `date`, `timestamp`, `time`, `duration`,
    /// `nested` or `null`.
    pub family: String,
    /// Rows.
    pub rows: u64,
    /// Nulls.
    pub nulls: u64,
    /// Texts that are no value of the type that the contract says.
    pub invalid: u64,
    /// Distinct values.
    pub distinct: u64,
    /// Whether they were counted; else the number is an estimate with a standard error of 1.6 %.
    pub exact: bool,
    /// Numbers, for numeric columns.
    pub numbers: Option<NumbersFact>,
    /// Lengths and alphabet, for texts.
    pub text: Option<TextFact>,
    /// The most frequent values.
    pub top: Vec<TopFact>,
    /// Frequent patterns of texts: `A` capitals, `a` other letters, `9` digits, each run once.
    pub patterns: Vec<TopFact>,
    /// Bars of a histogram, from low to high.
    pub bars: Vec<BarFact>,
}

impl Fact for ProfileFact {
    const KIND: &'static str = "data-profile";
}

/// Numbers of a column; dates are days and times nanoseconds since 1970 UTC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NumbersFact {
    /// NaNs.
    pub nan: u64,
    /// Negative infinities.
    pub negative_infinity: u64,
    /// Positive infinities.
    pub positive_infinity: u64,
    /// Zeros.
    pub zero: u64,
    /// Numbers below zero.
    pub negative: u64,
    /// Smallest finite number, masked where it is long; of dates and times the month.
    pub min: Option<String>,
    /// Largest finite number, masked where it is long; of dates and times the month.
    pub max: Option<String>,
    /// Mean of the finite numbers.
    pub mean: Option<f64>,
    /// Standard deviation (n - 1).
    pub deviation: Option<f64>,
    /// Skewness.
    pub skewness: Option<f64>,
    /// Excess kurtosis.
    pub kurtosis: Option<f64>,
    /// Quantiles with their probabilities.
    pub quantiles: Vec<(f64, f64)>,
}

/// Texts of a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextFact {
    /// Characters of the shortest text.
    pub shortest: u64,
    /// Characters of the average text.
    pub mean_length: f64,
    /// Characters of the longest text.
    pub longest: u64,
    /// Empty texts.
    pub empty: u64,
    /// Share of texts that are ASCII.
    pub ascii: f64,
    /// Share of characters that are digits.
    pub digits: f64,
}

/// A frequent value or pattern.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopFact {
    /// The value: as it is where it is a category that many rows share, else masked.
    pub value: String,
    /// It occurs at least so often.
    pub low: u64,
    /// And at most so often.
    pub high: u64,
}

/// One bar of a histogram.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BarFact {
    /// Lower end.
    pub low: f64,
    /// Upper end; equal to the lower one for a single value.
    pub high: f64,
    /// Values.
    pub count: u64,
}
