//! Binning: most disagreements between tools come from here, so each form has a name and one definition.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::quantile::{finite, quantile};

/// Up to this many distinct values of the reference, guarded bins are one bin a value.
pub const FEW_VALUES: usize = 20;
/// Steps of quantile and width bins.
const STEPS: usize = 10;
/// More distinct values than this in the reference are pooled.
pub const MAX_CATEGORIES: usize = 200;
/// Name of the bin of pooled categories.
pub const OTHER: &str = "<other>";

/// How numbers are sorted into bins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bins {
    /// One bin a value, ascending; a value that is none of them falls into no bin.
    Values(Vec<f64>),
    /// `edges.len() + 1` bins `[e(i-1), e(i))`, the outer ones open.
    Edges(Vec<f64>),
    /// As `Edges`, between one more bin for everything below `low` and one for everything above `high`.
    Guarded {
        /// Smallest finite value of the reference.
        low: f64,
        /// Largest finite value of the reference.
        high: f64,
        /// Ascending.
        edges: Vec<f64>,
    },
}

impl Bins {
    /// Inner edges at the distinct type-7 quantiles .1 to .9 of the finite values of the sorted reference.
    #[must_use]
    pub fn quantile(reference: &[f64]) -> Self {
        Self::Edges(deciles(finite(reference)))
    }

    /// Ten equal steps between smallest and largest finite value of the sorted reference; one bin when they are equal.
    #[must_use]
    pub fn width(reference: &[f64]) -> Self {
        let values = finite(reference);
        let (Some(&low), Some(&high)) = (values.first(), values.last()) else { return Self::Edges(Vec::new()) };
        Self::width_of(low, high)
    }

    /// As [`Bins::width`] when only the ends are known.
    #[must_use]
    pub fn width_of(low: f64, high: f64) -> Self {
        if low == high {
            return Self::Edges(Vec::new());
        }
        let range = high - low;
        let step = if range.is_finite() { range / STEPS as f64 } else { high / STEPS as f64 - low / STEPS as f64 };
        let mut edges: Vec<f64> = (1..STEPS).map(|i| i as f64 * step + low).collect();
        edges.dedup();
        Self::Edges(edges)
    }

    /// The default. Few distinct values in the sorted reference: one bin for each value of reference or current. Else quantile bins inside
    /// of the reference's range, and a bin on either side of it. So a constant that moves is seen.
    #[must_use]
    pub fn guarded(reference: &[f64], current: &[f64]) -> Self {
        if let Some(values) = few_values(reference) {
            return Self::values(values, current);
        }
        let values = finite(reference);
        match (values.first(), values.last()) {
            (Some(&low), Some(&high)) => Self::Guarded { low, high, edges: deciles(values) },
            _ => Self::Values(Vec::new()),
        }
    }

    /// One bin for each value of either sample; `reference` ascending and distinct, `current` sorted.
    #[must_use]
    pub fn values(mut reference: Vec<f64>, current: &[f64]) -> Self {
        let mut rest = current;
        while let Some(&x) = rest.first() {
            if reference.binary_search_by(|v| v.total_cmp(&x)).is_err() {
                reference.push(x);
                reference.sort_unstable_by(f64::total_cmp);
                if reference.len() >= FEW_VALUES + MAX_CATEGORIES {
                    break;
                }
            }
            rest = rest.get(rest.partition_point(|&y| y <= x)..).unwrap_or_default();
        }
        Self::Values(reference)
    }

    /// Number of bins that [`Bins::count`] gives: for values one more, for everything that is none of them, if they were too many.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Values(values) => values.len(),
            Self::Edges(edges) => edges.len() + 1,
            Self::Guarded { edges, .. } => edges.len() + 3,
        }
    }

    /// Whether there is no bin.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bin of a value; `None` for NaN and for a value that has none.
    #[must_use]
    pub fn index(&self, x: f64) -> Option<usize> {
        if x.is_nan() {
            return None;
        }
        match self {
            Self::Values(values) => values.binary_search_by(|v| v.total_cmp(&(x + 0.0))).ok(),
            Self::Edges(edges) => Some(edges.partition_point(|&e| e <= x)),
            Self::Guarded { low, high, edges } => Some(if x < *low {
                0
            } else if x > *high {
                edges.len() + 2
            } else {
                1 + edges.partition_point(|&e| e <= x)
            }),
        }
    }

    /// Values in each bin. For value bins one more bin follows, if any value has no bin.
    #[must_use]
    pub fn count(&self, values: &[f64]) -> Vec<u64> {
        let mut counts = vec![0_u64; self.len()];
        let mut without = 0;
        for &x in values.iter().filter(|x| !x.is_nan()) {
            match self.index(x).and_then(|i| counts.get_mut(i)) {
                Some(count) => *count += 1,
                None => without += 1,
            }
        }
        if without > 0 {
            counts.push(without);
        }
        counts
    }

    /// As [`Bins::count`] for both samples: the two have the same length.
    #[must_use]
    pub fn count_both(&self, reference: &[f64], current: &[f64]) -> (Vec<u64>, Vec<u64>) {
        let (mut a, mut b) = (self.count(reference), self.count(current));
        let len = a.len().max(b.len());
        a.resize(len, 0);
        b.resize(len, 0);
        (a, b)
    }

    /// What the bin with this index holds, for people.
    #[must_use]
    pub fn label(&self, index: usize) -> String {
        let between = |edges: &[f64], i: usize| match (i.checked_sub(1).and_then(|i| edges.get(i)), edges.get(i)) {
            (None, None) => "all".to_owned(),
            (None, Some(high)) => format!("< {high}"),
            (Some(low), None) => format!(">= {low}"),
            (Some(low), Some(high)) => format!("{low} to {high}"),
        };
        match self {
            Self::Values(values) => values.get(index).map_or_else(|| OTHER.to_owned(), f64::to_string),
            Self::Edges(edges) => between(edges, index),
            Self::Guarded { low, .. } if index == 0 => format!("below {low}"),
            Self::Guarded { high, edges, .. } if index == edges.len() + 2 => format!("above {high}"),
            Self::Guarded { edges, .. } => between(edges, index - 1),
        }
    }
}

/// Distinct values of sorted values, when they are few.
#[must_use]
pub fn few_values(sorted: &[f64]) -> Option<Vec<f64>> {
    let mut out: Vec<f64> = Vec::new();
    let mut rest = sorted;
    while let Some(&x) = rest.first() {
        if out.len() == FEW_VALUES {
            return None;
        }
        out.push(x);
        rest = rest.get(rest.partition_point(|&y| y <= x)..).unwrap_or_default();
    }
    Some(out)
}

fn deciles(values: &[f64]) -> Vec<f64> {
    let mut edges: Vec<f64> = (1..STEPS).filter_map(|i| quantile(values, i as f64 / STEPS as f64)).collect();
    edges.dedup();
    edges
}

/// One bin a category, ascending by UTF-8 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CategoryBins {
    /// Names of the bins; [`OTHER`] last, when categories were pooled.
    pub categories: Vec<String>,
    /// Rows of the reference in each bin.
    pub reference: Vec<u64>,
    /// Rows of the current batch in each bin.
    pub current: Vec<u64>,
    /// Categories that the reference never had.
    pub new: Vec<String>,
    /// Categories that the current batch lacks.
    pub missing: Vec<String>,
}

impl CategoryBins {
    /// Bins for both samples. Above [`MAX_CATEGORIES`] categories of the reference its most frequent 199 (ties by bytes) stay and everything
    /// else is pooled.
    #[must_use]
    pub fn new(reference: &BTreeMap<String, u64>, current: &BTreeMap<String, u64>) -> Self {
        Self::pooled(reference, current, (0, 0))
    }

    /// As [`CategoryBins::new`] where rows were counted only as "some other category": of the reference and of the current batch.
    #[must_use]
    pub fn pooled(reference: &BTreeMap<String, u64>, current: &BTreeMap<String, u64>, others: (u64, u64)) -> Self {
        let seen = |map: &BTreeMap<String, u64>, name: &str| map.get(name).copied().unwrap_or(0);
        let mut kept: Vec<&String> = reference.iter().filter(|(_, n)| **n > 0).map(|(name, _)| name).collect();
        let new: Vec<String> = current
            .iter()
            .filter(|(name, n)| **n > 0 && seen(reference, name) == 0)
            .map(|(name, _)| name.clone())
            .collect();
        let missing = kept.iter().filter(|name| seen(current, name) == 0).map(|name| (*name).clone()).collect();
        let pool = kept.len() > MAX_CATEGORIES || others != (0, 0);
        if kept.len() > MAX_CATEGORIES {
            kept.sort_by(|a, b| seen(reference, b).cmp(&seen(reference, a)).then_with(|| a.cmp(b)));
            kept.truncate(MAX_CATEGORIES - 1);
        }
        if !pool {
            kept.extend(&new);
        }
        kept.sort();
        let mut out = Self {
            reference: kept.iter().map(|name| seen(reference, name)).collect(),
            current: kept.iter().map(|name| seen(current, name)).collect(),
            categories: kept.into_iter().cloned().collect(),
            new,
            missing,
        };
        if pool {
            let rest = |map: &BTreeMap<String, u64>, kept: &[u64], other: u64| {
                map.values().sum::<u64>().saturating_add(other).saturating_sub(kept.iter().sum())
            };
            let (a, b) = (rest(reference, &out.reference, others.0), rest(current, &out.current, others.1));
            if a > 0 || b > 0 {
                out.categories.push(OTHER.to_owned());
                out.reference.push(a);
                out.current.push(b);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_that_moves_is_seen_by_guarded_bins_only() {
        let (three, four) = (vec![3.0; 50], vec![4.0; 50]);
        let guarded = Bins::guarded(&three, &four);
        assert_eq!(guarded, Bins::Values(vec![3.0, 4.0]));
        assert_eq!(guarded.count_both(&three, &four), (vec![50, 0], vec![0, 50]));
        assert_eq!(Bins::quantile(&three).count_both(&three, &four), (vec![0, 50], vec![0, 50]));
    }

    #[test]
    fn infinities_fall_into_the_outer_bins() {
        let reference: Vec<f64> = (0..100).map(f64::from).chain([f64::INFINITY]).collect();
        let bins = Bins::guarded(&reference, &[]);
        assert_eq!(bins.index(f64::INFINITY), Some(bins.len() - 1));
        assert_eq!(bins.index(f64::NEG_INFINITY), Some(0));
        assert_eq!(bins.index(99.0), Some(bins.len() - 2));
        assert_eq!(bins.index(f64::NAN), None);
    }

    #[test]
    fn too_many_categories_are_pooled_and_a_new_one_is_still_named() {
        let reference: BTreeMap<String, u64> = (0..300).map(|i| (format!("k{i:03}"), 300 - i)).collect();
        let current = BTreeMap::from([("k000".to_owned(), 5), ("zz".to_owned(), 7)]);
        let bins = CategoryBins::new(&reference, &current);
        assert_eq!(bins.categories.len(), MAX_CATEGORIES);
        assert_eq!(bins.categories.last().map(String::as_str), Some(OTHER));
        assert_eq!(bins.current.last(), Some(&7));
        assert_eq!(bins.new, ["zz"]);
        assert_eq!(bins.reference.iter().sum::<u64>(), reference.values().sum());
    }

    #[test]
    fn nothing_at_all_has_no_bins() {
        assert!(Bins::guarded(&[], &[]).is_empty());
        assert_eq!(Bins::guarded(&[], &[1.0]).count_both(&[], &[1.0]), (vec![0], vec![1]));
        assert_eq!(Bins::width(&[]).len(), 1);
    }

    #[test]
    fn bins_have_names() {
        let bins = Bins::Guarded { low: 0.0, high: 9.0, edges: vec![3.0] };
        let labels: Vec<_> = (0..bins.len()).map(|i| bins.label(i)).collect();
        assert_eq!(labels, ["below 0", "< 3", ">= 3", "above 9"]);
    }
}
