//! Poisoning, duplicates and leakage of a table: what the rows say about each other. Three passes in order of rows: hashes and
//! a sample, then the sample's cells, then what the sample taught held against every row. Groupings spill to disk.

mod cells;
mod config;
mod facts;
mod features;
mod first;
mod judge_labels;
mod leaks;
mod pairs;
mod quarantine;
mod sample;
mod spill;
mod suspects;
mod watch;

use std::sync::Arc;

use gauntlet_core::{MaskKey, Masked, SkipCode};

pub use crate::config::SideRef;
pub use config::{PoisoningConfig, SAMPLE_ROWS};
pub use facts::{ExaminedFact, OutlierMap, SuspectFact, SuspectRow};
pub(crate) use facts::{push, push_suspects};
pub use quarantine::quarantine_suspects;
pub(crate) use suspects::{Kept, Suspects};

use crate::table::{Problem, Scan, Table};
use features::Features;

/// Rows of one rule that are kept to be taken out; more is no table to repair by taking rows out.
const MAX_REJECTED: usize = 2_000_000;
/// Numbers up to this size identify nobody.
const SHOWN_BELOW: f64 = 10_000.0;

/// What was asked of a table.
#[derive(Clone, Copy)]
pub(crate) struct Inquiry<'a> {
    /// Settings.
    pub(crate) config: &'a PoisoningConfig,
    /// The label's column.
    pub(crate) label: Option<&'a str>,
    /// Rows of each rule that are kept.
    pub(crate) keep: usize,
    /// Fixes hashes, samples and folds.
    pub(crate) seed: u64,
    /// Masks values of the data.
    pub(crate) mask: &'a MaskKey,
    /// The embeddings and predictions that lie in files of their own.
    pub(crate) embedding: Option<&'a Arc<Table>>,
    /// Predicted probabilities.
    pub(crate) predictions: Option<&'a Arc<Table>>,
}

impl Inquiry<'_> {
    /// A value of the data as a report may show it: short numbers as they are, everything else masked.
    fn shown(&self, value: &str) -> String {
        let plain = value.len() <= 8 && value.parse::<f64>().is_ok_and(|n| n.abs() < SHOWN_BELOW);
        if plain { value.to_owned() } else { Masked::new(value, 2, self.mask).as_str().to_owned() }
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Examined {
    /// Rows of the table.
    pub(crate) rows: u64,
    /// Rows that model-based methods saw.
    pub(crate) sampled: u64,
    /// Classes of the label; 0 when it is none of classes.
    pub(crate) classes: usize,
    /// Bands of eight permutations for near duplicates.
    pub(crate) bands: usize,
    /// Whether splits were there to be compared.
    pub(crate) splits: bool,
    /// Rows of each class, most first.
    pub(crate) balance: Vec<(String, u64)>,
    /// The sample seen from its two main directions.
    pub(crate) map: Option<OutlierMap>,
    /// Everything suspicious, in a fixed order.
    pub(crate) suspects: Vec<Suspects>,
    /// Methods that do not apply here, and why.
    pub(crate) left_out: Vec<String>,
    /// What could not be read.
    pub(crate) problems: Vec<Problem>,
    /// Checks with a question that was asked and could not be answered, and why.
    pub(crate) unjudged: Vec<(&'static str, SkipCode, String)>,
}

/// Looks at the whole table.
///
/// # Errors
/// Why no answer can be given: a column that is not there, a disk that is full, files that do not belong together.
pub(crate) fn examine(table: &Arc<Table>, inquiry: &Inquiry<'_>) -> Result<Examined, String> {
    let roles = inquiry.config.roles(table, inquiry.label)?;
    let mut out = Examined { splits: roles.splits(), ..Examined::default() };
    let mut seen = first::pass(table, &roles, inquiry, &mut out)?;
    if out.rows == 0 || !out.problems.is_empty() {
        return Ok(out);
    }
    let sample = sample::collect(table, &roles, inquiry, &seen, &mut out)?;
    if !out.problems.is_empty() {
        return Ok(out);
    }
    out.sampled = sample.rows() as u64;
    pairs::near_duplicates(&seen, &sample, inquiry, &mut out)?;
    let features = Features::of(&roles, &sample, inquiry)?;
    let mut watched = std::mem::take(&mut seen.watched);
    features.outliers(table, &sample.places, inquiry, &mut out, &mut watched);
    if let Some(labels) = sample.labels(&seen) {
        out.classes = labels.names.len();
        leaks::target(table, &roles, &sample, &features, &labels, &mut out);
        judge_labels::judge(table, &roles, &sample, &features, &labels, inquiry, &mut out, &mut watched)?;
    } else if roles.label.is_some() {
        out.left_out.push("the label has one value or is no set of classes: label errors, flows, triggers and target leaks were not looked for".to_owned());
    } else {
        out.left_out
            .push("no label is named: label errors, flows, triggers and target leaks were not looked for".to_owned());
    }
    watch::pass(table, watched, &mut out)?;
    Ok(out)
}

/// Looks only for what splits have in common: rows, ids, groups, time. `splits` names the split of each file of the table.
///
/// # Errors
/// As [`examine`].
pub(crate) fn overlaps(
    table: &Arc<Table>,
    splits: Vec<Option<String>>,
    inquiry: &Inquiry<'_>,
) -> Result<Examined, String> {
    let mut roles = inquiry.config.roles(table, inquiry.label)?;
    roles.file_splits = splits;
    let mut out = Examined { splits: roles.splits(), ..Examined::default() };
    let seen = first::pass(table, &roles, inquiry, &mut out)?;
    if out.problems.is_empty() {
        watch::pass(table, seen.watched, &mut out)?;
    }
    out.unjudged.retain(|(check, ..)| *check == crate::checks::LEAKAGE);
    out.suspects.retain(|suspects| facts::check_of(suspects.rule) == crate::checks::LEAKAGE);
    Ok(out)
}

/// Takes the places and the stored columns of a batch.
type LookAt<'a> = dyn FnMut(&[u64], &[arrow::array::ArrayRef]) -> Result<(), String> + 'a;

/// Reads all columns in order of rows.
fn read(table: &Arc<Table>, look: &mut LookAt<'_>) -> Result<Vec<Problem>, String> {
    use arrow::array::AsArray;
    let pass = Scan::new(Arc::clone(table), (0..table.columns.len()).collect());
    let mut failure = None;
    pass.for_each(&mut |batch| {
        if failure.is_some() {
            return;
        }
        let stored = cells::stored(table, &batch);
        if let Some(places) = batch.columns().first().and_then(|c| c.as_primitive_opt::<arrow::datatypes::UInt64Type>())
        {
            failure = look(places.values(), &stored).err();
        }
    });
    match failure {
        Some(failure) => Err(failure),
        None => Ok(pass.finish().1),
    }
}

/// Rows that are kept for one rule.
fn room(inquiry: &Inquiry<'_>) -> Kept {
    Kept::new(inquiry.keep.min(MAX_REJECTED))
}

#[cfg(test)]
mod tests;
