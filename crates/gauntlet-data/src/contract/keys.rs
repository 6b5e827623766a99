//! The keys of one rule set, as they stand under a column and in an entry of `rules`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Family, Level, Scalar};

/// Lowest and highest number, `null` for none; both ends are allowed.
pub type Bounds = (Option<f64>, Option<f64>);
/// Fewest and most, `null` for none; both ends are allowed.
pub type Counts = (Option<u64>, Option<u64>);
/// Lowest and highest value, `null` for none.
pub type Ends = (Option<Scalar>, Option<Scalar>);

/// Order of a column's values from row to row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Monotone {
    /// No value below the one before.
    Increasing,
    /// Each value above the one before.
    StrictlyIncreasing,
    /// No value above the one before.
    Decreasing,
    /// Each value below the one before.
    StrictlyDecreasing,
}

/// One column or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected the name of a column as a text, or a list of names (write `n`, `y`, `no` and the like in quotes)"
)]
pub enum Columns {
    /// One.
    One(String),
    /// Several, in order.
    Many(Vec<String>),
}

impl Columns {
    /// Their names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
        }
    }
}

/// Another table, which has to hold every value (a foreign key).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// File of the other table, relative to the contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Or: dataset of gauntlet.yaml.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// Column of the other table, or a list, one for each column of the rule.
    pub column: Columns,
}

impl Reference {
    /// What names the other table.
    #[must_use]
    pub fn table(&self) -> &str {
        self.path.as_deref().or(self.dataset.as_deref()).unwrap_or_default()
    }
}

/// How evenly the values of a label are spread.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Balance {
    /// Fewest and most classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<Counts>,
    /// Share that the smallest class has at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smallest: Option<f64>,
    /// Share that the largest class has at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest: Option<f64>,
    /// Entropy of the shares divided by the logarithm of the number of classes, at least: 1 is an even spread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evenness: Option<f64>,
}

macro_rules! with_rules {
    ($(#[$meta:meta])* pub struct $name:ident { $($own:tt)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $($own)*
            /// Whether nulls may occur.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub nullable: Option<bool>,
            /// Largest share of nulls, 0 to 1.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub max_null_share: Option<f64>,
            /// Lowest and highest value, `null` for none. NaN is in no range.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub range: Option<Ends>,
            /// As `range`, but the ends themselves are not allowed.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub exclusive_range: Option<Ends>,
            /// All values that may occur.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub allowed: Option<Vec<Scalar>>,
            /// Values that must not occur.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub forbidden: Option<Vec<Scalar>>,
            /// A regular expression that matches whole values.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub pattern: Option<String>,
            /// A regular expression that matches somewhere in each value.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub contains: Option<String>,
            /// A regular expression that matches nowhere in any value.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub not_contains: Option<String>,
            /// Fewest and most characters.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub length: Option<Counts>,
            /// Another table that has to hold every value.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub references: Option<Reference>,
            /// Order of the values from row to row, over all files in the order of their paths.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub monotone: Option<Monotone>,
            /// How old the newest date or timestamp may be when the gate judges: `36h`, `2d`, `1w`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub freshness: Option<String>,
            /// Lowest and highest sum.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub sum: Option<Bounds>,
            /// Lowest and highest mean.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub mean: Option<Bounds>,
            /// Lowest and highest standard deviation (n - 1).
            #[serde(skip_serializing_if = "Option::is_none")]
            pub stdev: Option<Bounds>,
            /// Where the smallest number has to lie.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub min: Option<Bounds>,
            /// Where the largest number has to lie.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub max: Option<Bounds>,
            /// Where quantiles (type 7, exact) have to lie, by probability: `{0.5: [10, 20]}`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub quantiles: Option<BTreeMap<String, Bounds>>,
            /// Fewest and most distinct values.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub distinct: Option<Counts>,
            /// Distinct values divided by values, 0 to 1.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub distinct_share: Option<Bounds>,
            /// Share of single values, 0 to 1: `{yes: [0.1, 0.3]}`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub shares: Option<BTreeMap<String, Bounds>>,
            /// How evenly the values are spread.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub balance: Option<Balance>,
            /// Share of the judged rows that has to pass, 0 to 1. Under a column it is about rules on single values and
            /// leaves `nullable` and `unique` alone.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub mostly: Option<f64>,
            /// Rows that are judged: an expression over columns, such as `status = 'closed'`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub when: Option<String>,
            /// What a failure counts as.
            #[serde(skip_serializing_if = "is_error")]
            pub severity: Level,
            /// What a failure means, in words for whoever reads the report.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub message: Option<String>,
        }
    };
}

with_rules! {
    /// What one column has to look like. A null never satisfies and never violates a value rule; only `nullable` and
    /// `max_null_share` look at nulls.
    pub struct ColumnRules {
        /// Family of types.
        #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
        pub family: Option<Family>,
        /// Arrow's name of the exact type, such as `Int32`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub exact_type: Option<String>,
        /// Whether the column may be missing.
        #[serde(skip_serializing_if = "is_false")]
        pub optional: bool,
        /// Whether an empty text counts as a null.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub empty_is_null: Option<bool>,
        /// Whether no value may occur twice.
        #[serde(skip_serializing_if = "is_false")]
        pub unique: bool,
    }
}

with_rules! {
    /// A rule of its own: across columns, across tables, or with its own `when`, `mostly`, `severity` and `message`.
    pub struct TableRule {
        /// What the report calls it.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub name: Option<String>,
        /// The column that the other keys are about.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub column: Option<String>,
        /// The columns that `references` is about, when they are several.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub columns: Vec<String>,
        /// What has to hold in each row, such as `end_date >= start_date`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub expression: Option<String>,
        /// Columns whose values together occur once.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub unique: Option<Columns>,
        /// A condition whose share of the rows lies within `share`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub share_of: Option<String>,
        /// Lowest and highest share, 0 to 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub share: Option<Bounds>,
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_error(level: &Level) -> bool {
    *level == Level::Error
}
