//! The data contract: what a table has to look like. Only the format and what can be said about it before any data is
//! read; `data/contract` judges.

mod draft;
mod validate;

use std::collections::BTreeMap;

use gauntlet_core::{ConfigError, yaml};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use draft::draft_contract;
pub(crate) use validate::anchored;

/// A data contract.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// Version of this format: 1.
    pub contract: u64,
    /// Name of the table.
    #[serde(default)]
    pub table: Option<String>,
    /// How many rows it has.
    #[serde(default)]
    pub rows: RowCount,
    /// Its columns.
    pub columns: BTreeMap<String, ColumnRules>,
    /// What a column counts as that is not named here.
    #[serde(default)]
    pub extra_columns: Extra,
    /// The order of the columns, where it matters.
    #[serde(default)]
    pub order: Option<Vec<String>>,
}

/// How many rows a table has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowCount {
    /// At least.
    #[serde(default)]
    pub min: Option<u64>,
    /// At most.
    #[serde(default)]
    pub max: Option<u64>,
}

/// What a column counts as that the contract does not name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Extra {
    /// A failure.
    #[default]
    Error,
    /// A warning.
    Warn,
    /// Nothing.
    Allow,
}

/// What a failing rule counts as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// A failure (severity high).
    #[default]
    Error,
    /// A warning (severity medium).
    Warn,
}

/// Family of types; widths do not matter unless `exact_type` says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words say it")]
pub enum Family {
    Integer,
    Float,
    Boolean,
    String,
    Date,
    Timestamp,
    Binary,
}

impl Family {
    /// The word of the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Binary => "binary",
        }
    }
}

/// One value of a range or set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text, a date or a timestamp.
    Text(String),
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Text(value) => f.write_str(value),
        }
    }
}

/// What one column has to look like. A null never satisfies and never violates a value rule; only `nullable` and
/// `max_null_share` look at nulls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnRules {
    /// Family of types.
    #[serde(rename = "type")]
    pub family: Family,
    /// Arrow's name of the exact type, such as `Int32`.
    #[serde(default)]
    pub exact_type: Option<String>,
    /// Whether nulls may occur.
    #[serde(default = "yes")]
    pub nullable: bool,
    /// Largest share of nulls, 0 to 1.
    #[serde(default)]
    pub max_null_share: Option<f64>,
    /// Whether no value may occur twice.
    #[serde(default)]
    pub unique: bool,
    /// Lowest and highest value, `null` for none. NaN is in no range.
    #[serde(default)]
    pub range: Option<(Option<Scalar>, Option<Scalar>)>,
    /// All values that may occur.
    #[serde(default)]
    pub allowed: Option<Vec<Scalar>>,
    /// A regular expression that matches whole values.
    #[serde(default)]
    pub pattern: Option<String>,
    /// Fewest and most characters.
    #[serde(default)]
    pub length: Option<(Option<u64>, Option<u64>)>,
    /// Share of the values that has to pass `type`, `range`, `allowed`, `pattern` and `length`, 0 to 1.
    #[serde(default)]
    pub mostly: Option<f64>,
    /// What a failure counts as.
    #[serde(default)]
    pub severity: Level,
}

fn yes() -> bool {
    true
}

impl Contract {
    /// Reads a contract; `file` names it in errors.
    ///
    /// # Errors
    /// Every [`ConfigError`] that can be told without data: unknown key, wrong type, malformed pattern, a rule that does
    /// not fit the column's type, an empty range.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, Vec<ConfigError>> {
        let contract: Self = yaml::parse(file, bytes).map_err(|error| vec![error])?;
        let problems = validate::problems(&contract);
        if problems.is_empty() {
            return Ok(contract);
        }
        let lines = crate::lines::lines(bytes);
        Err(problems
            .into_iter()
            .map(|(path, message)| match lines.get(&path) {
                Some(&line) => ConfigError { file: file.to_owned(), line: Some(line), column: None, message },
                None => ConfigError::file(file, message),
            })
            .collect())
    }
}

/// The JSON Schema of a data contract.
#[must_use]
pub fn contract_schema() -> schemars::Schema {
    schemars::schema_for!(Contract)
}
