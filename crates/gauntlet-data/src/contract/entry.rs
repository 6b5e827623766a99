//! A contract as a list of single rules: what stands under columns, in `unique` and in `rules`, in one form.

use std::collections::BTreeMap;

use super::keys::{Balance, Bounds, ColumnRules, Columns, Counts, Ends, Monotone, Reference, TableRule};
use super::{Contract, Level, Scalar};

/// Words of an expectation are cut to this length.
const MAX_WORDS: usize = 120;

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// Where it stands in the document, for errors.
    pub(crate) path: String,
    /// What the report calls it.
    pub(crate) name: Option<String>,
    /// The columns that it is about; none for an expression.
    pub(crate) columns: Vec<String>,
    /// What it asks.
    pub(crate) test: Test,
    /// Rows that are judged.
    pub(crate) when: Option<String>,
    /// Share of failing rows that is accepted.
    pub(crate) accepted: f64,
    /// What a failure counts as.
    pub(crate) severity: Level,
    /// What a failure means.
    pub(crate) message: Option<String>,
}

/// What a rule asks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test {
    /// Cells of a text file hold values of their type.
    Type(&'static str),
    NotNull,
    NullShare(f64),
    Range(Ends),
    ExclusiveRange(Ends),
    Allowed(Vec<Scalar>),
    Forbidden(Vec<Scalar>),
    Pattern(String),
    Contains(String),
    NotContains(String),
    Length(Counts),
    Unique,
    References(Reference),
    Expression(String),
    Monotone(Monotone),
    Freshness(String),
    Statistic(Statistic, Bounds),
    Quantile(f64, Bounds),
    Distinct(Counts),
    DistinctShare(Bounds),
    Shares(BTreeMap<String, Bounds>),
    Balance(Balance),
    ShareOf(String, Bounds),
}

/// A number that sums up a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Statistic {
    Sum,
    Mean,
    Stdev,
    Min,
    Max,
}

impl Statistic {
    /// The contract's key.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::Stdev => "stdev",
            Self::Min => "min",
            Self::Max => "max",
        }
    }
}

impl Entry {
    /// What names the rule: its own name, or column and key.
    pub(crate) fn label(&self) -> String {
        match &self.name {
            Some(name) => name.clone(),
            None if self.columns.is_empty() => match &self.test {
                Test::Expression(text) | Test::ShareOf(text, _) => text.clone(),
                other => other.key().to_owned(),
            },
            None => format!("{}.{}", self.columns.join("+"), self.test.key()),
        }
    }
}

impl Test {
    /// The contract's key.
    pub(crate) fn key(&self) -> &'static str {
        match self {
            Self::Type(_) => "type",
            Self::NotNull => "nullable",
            Self::NullShare(_) => "max_null_share",
            Self::Range(_) => "range",
            Self::ExclusiveRange(_) => "exclusive_range",
            Self::Allowed(_) => "allowed",
            Self::Forbidden(_) => "forbidden",
            Self::Pattern(_) => "pattern",
            Self::Contains(_) => "contains",
            Self::NotContains(_) => "not_contains",
            Self::Length(_) => "length",
            Self::Unique => "unique",
            Self::References(_) => "references",
            Self::Expression(_) => "expression",
            Self::Monotone(_) => "monotone",
            Self::Freshness(_) => "freshness",
            Self::Statistic(statistic, _) => statistic.as_str(),
            Self::Quantile(..) => "quantiles",
            Self::Distinct(_) => "distinct",
            Self::DistinctShare(_) => "distinct_share",
            Self::Shares(_) => "shares",
            Self::Balance(_) => "balance",
            Self::ShareOf(..) => "share",
        }
    }

    /// Whether each row passes or fails on its own, so that `mostly` has a meaning.
    pub(crate) fn by_row(&self) -> bool {
        !matches!(
            self,
            Self::NullShare(_)
                | Self::Freshness(_)
                | Self::Statistic(..)
                | Self::Quantile(..)
                | Self::Distinct(_)
                | Self::DistinctShare(_)
                | Self::Shares(_)
                | Self::Balance(_)
                | Self::ShareOf(..)
        )
    }

    /// What is expected, in words.
    pub(crate) fn expected(&self) -> String {
        let words = match self {
            Self::Type(family) => format!("{family} values"),
            Self::NotNull => "no nulls".to_owned(),
            Self::NullShare(share) => format!("at most {} % nulls", share * 100.0),
            Self::Range((low, high)) => format!("values from {} to {}", open(low), open(high)),
            Self::ExclusiveRange((low, high)) => {
                format!("values between {} and {}, ends left out", open(low), open(high))
            }
            Self::Allowed(values) => format!("one of {}", list(values)),
            Self::Forbidden(values) => format!("none of {}", list(values)),
            Self::Pattern(pattern) => format!("values like `{pattern}`"),
            Self::Contains(pattern) => format!("values that contain `{pattern}`"),
            Self::NotContains(pattern) => format!("no value that contains `{pattern}`"),
            Self::Length((low, high)) => format!("{} to {} characters", open(low), open(high)),
            Self::Unique => "no value twice".to_owned(),
            Self::References(reference) => {
                format!("values of `{}` in {}", reference.column.names().join("`, `"), reference.table())
            }
            Self::Expression(text) => format!("`{text}`"),
            Self::Monotone(order) => match order {
                Monotone::Increasing => "values that never fall".to_owned(),
                Monotone::StrictlyIncreasing => "values that always rise".to_owned(),
                Monotone::Decreasing => "values that never rise".to_owned(),
                Monotone::StrictlyDecreasing => "values that always fall".to_owned(),
            },
            Self::Freshness(age) => format!("a newest value that is at most {age} old"),
            Self::Statistic(statistic, bounds) => format!("a {} {}", statistic.as_str(), between(bounds)),
            Self::Quantile(p, bounds) => format!("a {p} quantile {}", between(bounds)),
            Self::Distinct((low, high)) => format!("{} to {} distinct values", open(low), open(high)),
            Self::DistinctShare(bounds) => format!("a share of distinct values {}", between(bounds)),
            Self::Shares(shares) => {
                let parts: Vec<_> = shares.iter().map(|(v, b)| format!("{v} {}", between(b))).collect();
                format!("shares of {}", parts.join(", "))
            }
            Self::Balance(balance) => {
                let share = |name: &str, value: Option<f64>| value.map(|value| format!("{name} {value}"));
                let classes = balance.classes.map(|(low, high)| format!("{} to {} classes", open(&low), open(&high)));
                let parts = [
                    classes,
                    share("smallest class at least", balance.smallest),
                    share("largest class at most", balance.largest),
                    share("evenness at least", balance.evenness),
                ];
                parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
            }
            Self::ShareOf(text, bounds) => format!("a share of `{text}` {}", between(bounds)),
        };
        words.chars().take(MAX_WORDS).collect()
    }
}

fn open<T: ToString>(bound: &Option<T>) -> String {
    bound.as_ref().map_or("…".to_owned(), ToString::to_string)
}

fn between((low, high): &Bounds) -> String {
    format!("from {} to {}", open(low), open(high))
}

fn list(values: &[Scalar]) -> String {
    let words: Vec<_> = values.iter().take(12).map(ToString::to_string).collect();
    format!("{}{}", words.join(", "), if values.len() > words.len() { ", …" } else { "" })
}

/// Share of failing rows that `mostly` accepts, without the dust of `1.0 - 0.9`.
pub(crate) fn accepted(mostly: Option<f64>) -> f64 {
    mostly.map_or(0.0, |mostly| ((1.0 - mostly) * 1e12).round() / 1e12)
}

impl Contract {
    /// All rules, in the order of columns, then as they are listed. Types, order and number of columns are no part of it:
    /// they are judged without rows.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let mut out = Vec::new();
        for (name, rules) in &self.columns {
            of_column(name, rules, &mut out);
        }
        for (i, columns) in self.unique.iter().enumerate() {
            out.push(Entry {
                path: format!("unique.{i}"),
                name: None,
                columns: columns.clone(),
                test: Test::Unique,
                when: None,
                accepted: 0.0,
                severity: Level::Error,
                message: None,
            });
        }
        for (i, rule) in self.rules.iter().enumerate() {
            out.extend(of_rule(&format!("rules.{i}"), rule));
        }
        out
    }
}

/// The tests of the keys that both forms have.
macro_rules! shared_tests {
    ($rules:expr) => {{
        let r = $rules;
        let statistic = |s, bounds: Option<Bounds>| bounds.map(|b| (Statistic::as_str(s), Test::Statistic(s, b)));
        let mut tests: Vec<(&'static str, Test)> = Vec::new();
        tests.extend((r.nullable == Some(false)).then_some(("nullable", Test::NotNull)));
        tests.extend(r.max_null_share.map(|s| ("max_null_share", Test::NullShare(s))));
        tests.extend(r.range.clone().map(|e| ("range", Test::Range(e))));
        tests.extend(r.exclusive_range.clone().map(|e| ("exclusive_range", Test::ExclusiveRange(e))));
        tests.extend(r.allowed.clone().map(|v| ("allowed", Test::Allowed(v))));
        tests.extend(r.forbidden.clone().map(|v| ("forbidden", Test::Forbidden(v))));
        tests.extend(r.pattern.clone().map(|p| ("pattern", Test::Pattern(p))));
        tests.extend(r.contains.clone().map(|p| ("contains", Test::Contains(p))));
        tests.extend(r.not_contains.clone().map(|p| ("not_contains", Test::NotContains(p))));
        tests.extend(r.length.filter(|l| *l != (None, None)).map(|l| ("length", Test::Length(l))));
        tests.extend(r.references.clone().map(|t| ("references", Test::References(t))));
        tests.extend(r.monotone.map(|m| ("monotone", Test::Monotone(m))));
        tests.extend(r.freshness.clone().map(|f| ("freshness", Test::Freshness(f))));
        tests.extend(statistic(Statistic::Sum, r.sum));
        tests.extend(statistic(Statistic::Mean, r.mean));
        tests.extend(statistic(Statistic::Stdev, r.stdev));
        tests.extend(statistic(Statistic::Min, r.min));
        tests.extend(statistic(Statistic::Max, r.max));
        for (p, bounds) in r.quantiles.iter().flatten() {
            // What is no probability was refused before.
            tests.extend(p.parse().ok().map(|p| ("quantiles", Test::Quantile(p, *bounds))));
        }
        tests.extend(r.distinct.map(|c| ("distinct", Test::Distinct(c))));
        tests.extend(r.distinct_share.map(|b| ("distinct_share", Test::DistinctShare(b))));
        tests.extend(r.shares.clone().map(|s| ("shares", Test::Shares(s))));
        tests.extend(r.balance.clone().map(|b| ("balance", Test::Balance(b))));
        tests
    }};
}

fn of_column(name: &str, rules: &ColumnRules, out: &mut Vec<Entry>) {
    let mut tests = shared_tests!(rules);
    if rules.unique {
        tests.push(("unique", Test::Unique));
    }
    for (key, test) in tests {
        let strict = matches!(test, Test::NotNull | Test::Unique) || !test.by_row();
        let accepted = match &test {
            Test::NullShare(share) => *share,
            _ if strict => 0.0,
            _ => accepted(rules.mostly),
        };
        out.push(Entry {
            path: format!("columns.{name}.{key}"),
            name: None,
            columns: vec![name.to_owned()],
            test,
            when: rules.when.clone(),
            accepted,
            severity: rules.severity,
            message: rules.message.clone(),
        });
    }
}

/// The rules of one entry of `rules`, which stands at `path`.
pub(super) fn of_rule(path: &str, rule: &TableRule) -> Vec<Entry> {
    let column: Vec<String> = match &rule.column {
        Some(column) => vec![column.clone()],
        None => rule.columns.clone(),
    };
    let mut tests: Vec<(&'static str, Vec<String>, Test)> =
        shared_tests!(rule).into_iter().map(|(key, test)| (key, column.clone(), test)).collect();
    tests.extend(rule.expression.clone().map(|text| ("expression", column.clone(), Test::Expression(text))));
    tests.extend(rule.unique.as_ref().map(|columns: &Columns| ("unique", columns.names().to_vec(), Test::Unique)));
    if let Some(text) = &rule.share_of {
        let bounds = rule.share.unwrap_or((None, None));
        tests.push(("share", column, Test::ShareOf(text.clone(), bounds)));
    }
    let entry = |(key, columns, test): (&'static str, Vec<String>, Test)| {
        let accepted = match &test {
            Test::NullShare(share) => *share,
            test if test.by_row() => accepted(rule.mostly),
            _ => 0.0,
        };
        Entry {
            path: format!("{path}.{key}"),
            name: rule.name.clone(),
            columns,
            test,
            when: rule.when.clone(),
            accepted,
            severity: rule.severity,
            message: rule.message.clone(),
        }
    };
    tests.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mostly_leaves_no_dust() {
        for (mostly, expected) in [(0.9, 0.1), (0.99, 0.01), (1.0, 0.0), (0.95, 0.05)] {
            assert_eq!(accepted(Some(mostly)).to_bits(), f64::to_bits(expected));
        }
        assert_eq!(accepted(None).to_bits(), 0f64.to_bits());
    }

    #[test]
    fn every_form_becomes_one_list() {
        let text = "contract: 1\nunique: [[a, b]]\ncolumns:\n  a: {type: integer, nullable: false, range: [1, 2], mostly: 0.9}\n  b: {quantiles: {0.5: [1, 2]}}\n\
                    rules:\n  - {name: n, expression: a < b, severity: warn, mostly: 0.5}\n  - {column: a, nullable: false, mostly: 0.8}\n";
        let contract = Contract::parse("c", text.as_bytes()).unwrap();
        let seen: Vec<_> =
            contract.entries().iter().map(|e| format!("{} {} {:?}", e.path, e.accepted, e.columns)).collect();
        assert_eq!(
            seen,
            [
                "columns.a.nullable 0 [\"a\"]",
                "columns.a.range 0.1 [\"a\"]",
                "columns.b.quantiles 0 [\"b\"]",
                "unique.0 0 [\"a\", \"b\"]",
                "rules.0.expression 0.5 []",
                "rules.1.nullable 0.2 [\"a\"]"
            ]
        );
    }
}
