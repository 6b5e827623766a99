//! Columns and their distributions, from the two profiles.

use std::collections::BTreeMap;

use gauntlet_sketch::{Column, ColumnSketch, Profile, Step};
use serde::Serialize;

/// One column that changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ColumnChange {
    /// Name.
    pub column: String,
    /// Type in the first table; absent where the column is new.
    pub from_type: Option<String>,
    /// Type in the second table; absent where the column is gone.
    pub to_type: Option<String>,
    /// Whether the type family differs: no value of the one is equal to any of the other.
    pub family_changed: bool,
    /// Share of nulls in both.
    pub null_share: Option<(f64, f64)>,
    /// Number of distinct values in both, estimates above 1,024.
    pub distinct: Option<(u64, u64)>,
    /// Mean in both, for numbers.
    pub mean: Option<(f64, f64)>,
    /// Standard deviation in both, for numbers.
    pub deviation: Option<(f64, f64)>,
    /// Share of values that must have moved at least: the largest difference between the two distribution functions of
    /// numbers, or half of the sum of differences between the shares of categories. Absent for texts with many values.
    pub moved: Option<f64>,
    /// Rows of a key on both sides whose cell differs; only where a key is given.
    pub changed_cells: Option<u64>,
}

/// Columns that differ, those of the first table in its order first.
pub(super) fn changes(from: &Profile, to: &Profile) -> Vec<ColumnChange> {
    let gone_or_other = from.columns.iter().filter_map(|a| match to.column(&a.name) {
        None => {
            let change = ColumnChange {
                column: a.name.clone(),
                from_type: Some(a.data_type.clone()),
                ..ColumnChange::default()
            };
            Some(change)
        }
        Some(b) => change(a, b),
    });
    let new = to.columns.iter().filter(|b| from.column(&b.name).is_none()).map(|b| ColumnChange {
        column: b.name.clone(),
        to_type: Some(b.data_type.clone()),
        ..ColumnChange::default()
    });
    gone_or_other.chain(new).collect()
}

/// Notes how many cells differ, and adds the column when its distribution is the same nevertheless.
pub(super) fn note_cells(changes: &mut Vec<ColumnChange>, column: &str, changed: u64) {
    match changes.iter_mut().find(|change| change.column == column) {
        Some(change) => change.changed_cells = Some(changed),
        None if changed > 0 => changes.push(ColumnChange {
            column: column.to_owned(),
            changed_cells: Some(changed),
            ..ColumnChange::default()
        }),
        None => {}
    }
}

fn change(a: &Column, b: &Column) -> Option<ColumnChange> {
    let (x, y) = (&a.sketch, &b.sketch);
    let mut out = ColumnChange { column: a.name.clone(), ..ColumnChange::default() };
    if a.data_type != b.data_type {
        (out.from_type, out.to_type) = (Some(a.data_type.clone()), Some(b.data_type.clone()));
    }
    out.family_changed = x.kind() != y.kind();
    let pair = |pair: (f64, f64)| (pair.0.to_bits() != pair.1.to_bits()).then_some(pair);
    out.null_share = pair((share(x.nulls(), x.rows()), share(y.nulls(), y.rows())));
    let distinct = (x.distinct().number(), y.distinct().number());
    out.distinct = (distinct.0 != distinct.1).then_some(distinct);
    if !out.family_changed {
        if let (Some(m), Some(n)) = (x.moments(), y.moments()) {
            out.mean = pair((m.mean, n.mean));
            out.deviation = pair((m.deviation(), n.deviation()));
        }
        out.moved = moved(x, y).filter(|share| *share > 0.0);
    }
    let changed = out.from_type.is_some()
        || out.family_changed
        || out.null_share.is_some()
        || out.distinct.is_some()
        || out.mean.is_some()
        || out.deviation.is_some()
        || out.moved.is_some();
    changed.then_some(out)
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Share of values that must have moved at least.
fn moved(a: &ColumnSketch, b: &ColumnSketch) -> Option<f64> {
    if a.kind().is_numeric() {
        return Some(distance(&a.steps(), &b.steps()));
    }
    let (x, y) = (a.counts()?, b.counts()?);
    let (n, m) = (a.values(), b.values());
    let mut shares: BTreeMap<u64, f64> = BTreeMap::new();
    for counted in &x {
        *shares.entry(counted.hash).or_default() += share(counted.low, n);
    }
    for counted in &y {
        *shares.entry(counted.hash).or_default() -= share(counted.low, m);
    }
    Some(shares.values().map(|difference| difference.abs()).sum::<f64>() / 2.0)
}

/// Lower bound of the largest difference between two distribution functions.
fn distance(a: &[Step], b: &[Step]) -> f64 {
    let total = |steps: &[Step]| steps.iter().map(|step| step.count).sum::<u64>();
    let (n, m) = (total(a), total(b));
    if n == 0 || m == 0 {
        return if n == m { 0.0 } else { 1.0 };
    }
    let mut edges: Vec<f64> = a.iter().chain(b).map(|step| step.high).collect();
    edges.sort_by(f64::total_cmp);
    edges.dedup();
    let (mut left, mut right) = (Ranks::new(a), Ranks::new(b));
    let mut out = 0f64;
    for x in edges {
        let ((low, high), (other_low, other_high)) = (left.at(x), right.at(x));
        out = out.max(share(low, n) - share(other_high, m)).max(share(other_low, m) - share(high, n));
    }
    out
}

/// Least and most values at or below rising numbers.
struct Ranks<'a> {
    steps: &'a [Step],
    low: (usize, u64),
    high: (usize, u64),
}

impl<'a> Ranks<'a> {
    fn new(steps: &'a [Step]) -> Self {
        Self { steps, low: (0, 0), high: (0, 0) }
    }

    fn at(&mut self, x: f64) -> (u64, u64) {
        while let Some(step) = self.steps.get(self.low.0).filter(|step| step.high <= x) {
            self.low = (self.low.0 + 1, self.low.1 + step.count);
        }
        while let Some(step) = self.steps.get(self.high.0).filter(|step| step.low <= x) {
            self.high = (self.high.0 + 1, self.high.1 + step.count);
        }
        (self.low.1, self.high.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_is_that_of_the_distribution_functions() {
        let steps = |values: &[(f64, u64)]| -> Vec<Step> {
            values.iter().map(|&(x, count)| Step { low: x, high: x, count }).collect()
        };
        let a = steps(&[(1.0, 5), (2.0, 5)]);
        assert_eq!(distance(&a, &a), 0.0);
        assert_eq!(distance(&a, &steps(&[(1.0, 10)])), 0.5);
        assert_eq!(distance(&a, &steps(&[(7.0, 1)])), 1.0);
        assert_eq!(distance(&a, &[]), 1.0);
    }
}
