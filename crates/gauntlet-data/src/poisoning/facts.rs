//! What was found, as it is stored.

use std::collections::BTreeMap;

use gauntlet_core::{Fact, Facts, Location};
use serde::{Deserialize, Serialize};

use super::{Examined, Suspects};
use crate::checks::{DUPLICATES, LEAKAGE, POISONING};
use crate::table::{Table, place};

/// Rows that one rule names for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuspectFact {
    /// Check and rule without the area: `poisoning/label-error`.
    pub rule: String,
    /// The column, when it is about one.
    pub column: Option<String>,
    /// What was seen; values of the data masked.
    pub what: String,
    /// Figures behind it.
    pub figures: BTreeMap<String, f64>,
    /// Rows concerned; 0 when it is about a column as a whole.
    pub rows: u64,
    /// Rows that were looked at.
    pub of: u64,
    /// The first of the rows concerned.
    pub first: Vec<SuspectRow>,
}

impl Fact for SuspectFact {
    const KIND: &'static str = "data-suspect";
}

/// One suspicious row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuspectRow {
    /// File, relative to the target's root.
    pub path: String,
    /// Row in that file, from 0.
    pub row: u64,
    /// Larger is more suspicious; comparable inside one rule.
    pub score: f64,
    /// Why.
    pub reason: String,
}

/// What the rows of a table were examined with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExaminedFact {
    /// Rows of the table.
    pub rows: u64,
    /// Rows that methods saw which compare rows with each other.
    pub sampled: u64,
    /// Classes of the label; 0 when it is none of classes.
    pub classes: u64,
    /// Bands of eight permutations that near duplicates were looked for with.
    pub bands: u64,
    /// Whether there were splits to compare.
    pub splits: bool,
    /// Rows of each class of the label, most first; names of rare ones masked.
    pub balance: Vec<(String, u64)>,
    /// The sample seen from its two main directions.
    pub map: Option<OutlierMap>,
    /// Methods that do not apply here, and why.
    pub left_out: Vec<String>,
}

/// Rows of the sample along its first two principal directions, in standard deviations of the columns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OutlierMap {
    /// Some of the rows that are no outliers.
    pub ordinary: Vec<(f64, f64)>,
    /// Rows far out in one column.
    pub single: Vec<(f64, f64)>,
    /// Rows far out in several columns at once.
    pub joint: Vec<(f64, f64)>,
}

impl Fact for ExaminedFact {
    const KIND: &'static str = "data-examined";
}

/// The check that a rule belongs to.
pub(crate) fn check_of(rule: &str) -> &'static str {
    match rule.split_once('/').map_or(rule, |(check, _)| check) {
        "duplicates" => DUPLICATES,
        "leakage" => LEAKAGE,
        _ => POISONING,
    }
}

/// Stores everything.
pub(crate) fn push(facts: &mut Facts, table: &Table, examined: &Examined) {
    let fact = ExaminedFact {
        rows: examined.rows,
        sampled: examined.sampled,
        classes: examined.classes as u64,
        bands: examined.bands as u64,
        splits: examined.splits,
        balance: examined.balance.clone(),
        map: examined.map.clone(),
        left_out: examined.left_out.clone(),
    };
    facts.push(POISONING, Location::default(), &fact);
    for suspects in &examined.suspects {
        push_suspects(facts, table, suspects);
    }
}

/// Stores what one rule names.
pub(crate) fn push_suspects(facts: &mut Facts, table: &Table, suspects: &Suspects) {
    let location = match &suspects.column {
        Some(column) => Location::default().in_field(column),
        None => Location::default(),
    };
    facts.push(check_of(suspects.rule), location, &stored(table, suspects));
}

fn stored(table: &Table, suspects: &Suspects) -> SuspectFact {
    let row = |(&at, suspect): (&u64, &super::suspects::Suspect)| {
        let (file, row) = place(at);
        let path = table.files.get(file).map_or_else(String::new, |f| f.path.clone());
        SuspectRow { path, row, score: suspect.score, reason: suspect.reason.clone() }
    };
    SuspectFact {
        rule: suspects.rule.to_owned(),
        column: suspects.column.clone(),
        what: suspects.what.clone(),
        figures: suspects.figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
        rows: suspects.rows.count,
        of: suspects.of,
        first: suspects.rows.first.iter().map(row).collect(),
    }
}
