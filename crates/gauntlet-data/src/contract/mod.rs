//! The data contract: what a table has to look like. Only the format and what can be said about it before any data is
//! read; `data/contract` judges.

mod draft;
mod entry;
mod expression;
mod flow;
mod import;
mod keys;
mod validate;

use std::collections::BTreeMap;

use gauntlet_core::{ConfigError, yaml};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use draft::{draft_contract, draft_contract_at};
pub(crate) use entry::{Entry, Statistic, Test, accepted};
pub(crate) use expression::{Expression, Kind, Operand};
pub use import::{ImportError as ContractImportError, Imported as ImportedContract, import_contract};
pub use keys::{Balance, Bounds, Columns, Counts, Ends, Monotone, Reference};
pub use keys::{ColumnRules, TableRule};
pub(crate) use validate::{anchored, fits_type, implied_family, seconds};

/// A data contract.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// Version of this format: 1.
    pub contract: u64,
    /// Name of the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// How many rows it has.
    #[serde(default, skip_serializing_if = "RowCount::is_open")]
    pub rows: RowCount,
    /// Fewest and most columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column_count: Option<Counts>,
    /// Whether an empty text counts as a null, for all columns that do not say otherwise.
    #[serde(default, skip_serializing_if = "is_false")]
    pub empty_is_null: bool,
    /// Its columns.
    pub columns: BTreeMap<String, ColumnRules>,
    /// Sets of columns that together occur once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unique: Vec<Vec<String>>,
    /// Further rules: across columns, across tables, or with a condition of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<TableRule>,
    /// What a column counts as that is not named here.
    #[serde(default)]
    pub extra_columns: Extra,
    /// The order of the columns, where it matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Vec<String>>,
}

/// How many rows a table has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowCount {
    /// At least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u64>,
    /// At most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
}

impl RowCount {
    fn is_open(&self) -> bool {
        *self == Self::default()
    }
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
#[serde(untagged, expecting = "expected a number, a text, or a truth value")]
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Contract {
    /// Reads a contract; `file` names it in errors.
    ///
    /// # Errors
    /// Every [`ConfigError`] that can be told without data: unknown key, wrong type, malformed pattern or expression, a
    /// rule about a column that the contract does not name, a rule that does not fit the column's type, an empty range.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, Vec<ConfigError>> {
        let contract: Self = yaml::parse(file, bytes).map_err(|error| vec![error])?;
        let problems = validate::problems(&contract);
        if problems.is_empty() {
            return Ok(contract);
        }
        let lines = crate::lines::lines(bytes);
        let line = |path: &str| {
            // The nearest key above says more than no line at all.
            let mut path = path;
            loop {
                match (lines.get(path), path.rsplit_once('.')) {
                    (Some(&line), _) => return Some(line),
                    (None, Some((above, _))) => path = above,
                    (None, None) => return None,
                }
            }
        };
        let mut errors: Vec<_> = problems
            .into_iter()
            .map(|(path, message)| ConfigError { file: file.to_owned(), line: line(&path), column: None, message })
            .collect();
        errors.sort_by_key(|error| error.line);
        Err(errors)
    }

    /// Whether an empty text in this column is a null.
    pub(crate) fn empty_is_null(&self, column: &str) -> bool {
        self.columns.get(column).and_then(|rules| rules.empty_is_null).unwrap_or(self.empty_is_null)
    }

    /// The other tables that rules refer to: what `path` or `dataset` says, each once.
    #[must_use]
    pub fn references(&self) -> Vec<&Reference> {
        let columns = self.columns.values().filter_map(|rules| rules.references.as_ref());
        let mut out: Vec<&Reference> = Vec::new();
        for reference in columns.chain(self.rules.iter().filter_map(|rule| rule.references.as_ref())) {
            if !out.iter().any(|known| known.table() == reference.table()) {
                out.push(reference);
            }
        }
        out
    }
}

/// The JSON Schema of a data contract.
#[must_use]
pub fn contract_schema() -> schemars::Schema {
    schemars::schema_for!(Contract)
}
