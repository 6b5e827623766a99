//! What the extractor of this gate saw: files, columns, results of contract rules, personal data, the side files.
//! Values of cells are in here only masked.

mod drift;
pub mod profile;

use gauntlet_core::Fact;
use serde::{Deserialize, Serialize};

use crate::contract::{Contract, Level};
use crate::declared::DeclaredSchema;
use crate::manifest::Manifest;
use crate::personal::Kind;

pub use drift::{
    BinFact, ColumnDriftFact, ColumnKind, ComparisonFact, GapFact, MetricFact, Role, SegmentShareFact,
    StreamChangeFact, StreamFact, WatchFact,
};

/// Rows of which a fact keeps the place and a masked sample.
pub const KEPT_ROWS: usize = 20;

/// How a data file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Comma- or tab-separated text.
    Csv,
    /// A JSON object a line.
    JsonLines,
    /// Apache Parquet.
    Parquet,
    /// Arrow IPC, file or stream.
    Arrow,
    /// Avro object container.
    Avro,
    /// A NumPy array.
    Npy,
    /// A picture: one row.
    Picture,
    /// A table of a database.
    Sql,
    /// Hashed, not read.
    Other,
}

/// One file of the dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileFact {
    /// Path relative to the target's root.
    pub path: String,
    /// Hex SHA-256 of the bytes; `None` when no manifest asks for it or it could not be read.
    pub sha256: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Rows, when the file was read to the end.
    pub rows: Option<u64>,
    /// How it was read.
    pub format: Format,
}

impl Fact for FileFact {
    const KIND: &'static str = "data-file";
}

/// The table that the files of the dataset form together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableFact {
    /// Rows of all files.
    pub rows: u64,
    /// Whether every file was read to the end.
    pub complete: bool,
}

impl Fact for TableFact {
    const KIND: &'static str = "data-table";
}

/// One column of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnFact {
    /// Name.
    pub name: String,
    /// Place in the table, from 0.
    pub position: u64,
    /// Arrow's name of the type as stored; `Utf8` for every column of a CSV file.
    pub data_type: String,
    /// Word of the contract's vocabulary for the type, `text` for CSV columns, or `other`.
    pub family: String,
    /// Rows with a null; `None` where nobody asked.
    pub nulls: Option<u64>,
    /// Whether values of this type are searched for personal data.
    pub searched: bool,
}

impl Fact for ColumnFact {
    const KIND: &'static str = "data-column";
}

/// A row that a rule names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowSample {
    /// File, relative to the target's root.
    pub path: String,
    /// Row in that file, from 0.
    pub row: u64,
    /// Row group of a Parquet file, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_group: Option<u64>,
    /// The value: short numbers as they are, everything else masked.
    pub sample: String,
}

/// What one rule of the contract found over all rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleFact {
    /// Its columns, joined by a comma.
    pub column: String,
    /// The contract's key, such as `range` or `unique`; `type` for cells of text files.
    pub rule: String,
    /// What the report calls it: its own name, or column and key.
    pub label: String,
    /// Where it stands in the contract.
    pub path: String,
    /// What the contract expects, in words.
    pub expected: String,
    /// Which rows are judged, when not all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// What a failure means, in the words of the contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Rows that the rule judged.
    pub evaluated: u64,
    /// Rows with a null, which value rules skip.
    pub nulls: u64,
    /// Rows that fail.
    pub failing: u64,
    /// Largest share of failing rows that is accepted.
    pub accepted: f64,
    /// What a failure counts as.
    pub severity: Level,
    /// The first failing rows.
    pub first: Vec<RowSample>,
    /// For a rule about the column as a whole: what was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// Why the rule could not be asked of this table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfit: Option<String>,
}

/// What a rule about a column as a whole measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The number; `None` when there is none.
    pub value: Option<f64>,
    /// At least this.
    pub low: Option<f64>,
    /// At most this.
    pub high: Option<f64>,
    /// What is wrong with shares of classes, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wrong: Vec<String>,
    /// The newest time of the column, in seconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<i64>,
    /// How old it may be, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u64>,
}

impl Fact for RuleFact {
    const KIND: &'static str = "data-rule";
}

/// Another table that a rule refers to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OtherTableFact {
    /// What the contract calls it.
    pub table: String,
    /// Its files with their hex SHA-256.
    pub files: Vec<(String, String)>,
}

impl Fact for OtherTableFact {
    const KIND: &'static str = "data-other-table";
}

/// Rows or bytes of a file that do not form a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DamageFact {
    /// What is wrong.
    pub what: String,
    /// Rows concerned; 0 when the file as a whole is.
    pub rows: u64,
    /// Whether the file's schema differs from the first file's.
    pub schema: bool,
}

impl Fact for DamageFact {
    const KIND: &'static str = "data-damage";
}

/// Personal data seen in one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PersonalFact {
    /// The column.
    pub column: String,
    /// What was seen.
    pub kind: Kind,
    /// Rows that are no null.
    pub values: u64,
    /// Rows that hold at least one.
    pub hits: u64,
    /// Rows of which the whole value is one.
    pub whole: u64,
    /// Rows whose value is 13 to 19 digits and nothing else: ids look like that too.
    pub digit_runs: u64,
    /// The first rows, masked.
    pub first: Vec<RowSample>,
}

impl Fact for PersonalFact {
    const KIND: &'static str = "data-personal";
}

/// The per-row consent column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConsentFact {
    /// The column that the manifest names.
    pub column: String,
    /// Whether the table has it.
    pub present: bool,
    /// Rows looked at.
    pub rows: u64,
    /// Rows without a value.
    pub nulls: u64,
    /// Rows whose value is not allowed, nulls included.
    pub failing: u64,
    /// The first failing rows; samples are the values, which are words of the consent vocabulary, masked.
    pub first: Vec<RowSample>,
}

impl Fact for ConsentFact {
    const KIND: &'static str = "data-consent";
}

/// The column that proves the age of the person behind each row; members as in [`ConsentFact`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgeFact(pub ConsentFact);

impl Fact for AgeFact {
    const KIND: &'static str = "data-age-verification";
}

/// The column with the last day of each row's consent. Which days have passed, the day of evaluation says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExpiryFact {
    /// The column that the manifest names.
    pub column: String,
    /// Whether the table has it.
    pub present: bool,
    /// Rows looked at.
    pub rows: u64,
    /// Rows without a day, or with something that is none.
    pub missing: u64,
    /// The first of them.
    pub first_missing: Vec<RowSample>,
    /// Rows by day, days since 1970-01-01, in order.
    pub days: Vec<(i32, u64)>,
    /// The rows that expire first, with their days; samples are the days.
    pub earliest: Vec<(i32, RowSample)>,
}

impl Fact for ExpiryFact {
    const KIND: &'static str = "data-consent-expiry";
}

/// Secrets of one sort seen in one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecretFact {
    /// The column.
    pub column: String,
    /// The pattern's kind, such as `aws-key`.
    pub kind: String,
    /// In words, with the issuer where one is known.
    pub title: String,
    /// Whether prefix, shape and checksum prove it; otherwise it is likely by its form or by the column's name.
    pub proven: bool,
    /// Rows that are no null.
    pub values: u64,
    /// Rows that hold at least one.
    pub hits: u64,
    /// The first rows, masked.
    pub first: Vec<RowSample>,
}

impl Fact for SecretFact {
    const KIND: &'static str = "data-secret";
}

/// Where the lines of a side file stand: `license.spdx` to line 12.
pub type Lines = std::collections::BTreeMap<String, u64>;

/// A side file as it was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SideFile<T> {
    /// The configuration names none.
    Missing,
    /// It is there and does not follow its format.
    Invalid {
        /// Path relative to the target's root.
        path: String,
        /// What is wrong, and where: (line if known, message).
        problems: Vec<(Option<u64>, String)>,
    },
    /// It could not be read; coverage says why.
    Unread,
    /// Read.
    Read {
        /// Path relative to the target's root.
        path: String,
        /// Hex SHA-256.
        sha256: String,
        /// Content.
        content: Box<T>,
        /// Where its keys stand.
        lines: Lines,
    },
}

impl<T> SideFile<T> {
    /// The content when it was read.
    #[must_use]
    pub fn content(&self) -> Option<&T> {
        match self {
            Self::Read { content, .. } => Some(content),
            _ => None,
        }
    }
}

/// The dataset's manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManifestFact(pub SideFile<Manifest>);

impl Fact for ManifestFact {
    const KIND: &'static str = "data-manifest";
}

/// The dataset's contract.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContractFact(pub SideFile<Contract>);

impl Fact for ContractFact {
    const KIND: &'static str = "data-contract";
}

/// What a feature store, an MLflow model or a TFX schema declares of the columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SchemaFact(pub SideFile<DeclaredSchema>);

impl Fact for SchemaFact {
    const KIND: &'static str = "data-declared-schema";
}
