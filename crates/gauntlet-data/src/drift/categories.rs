//! Two columns of words that repeat, measured in every way.

use std::collections::BTreeMap;

use gauntlet_drift::{CategoryBins, chi_square, chi_square_pooled, psi_limit};

use super::numbers::{ALPHA, binned, measured};
use crate::facts::{BinFact, MetricFact};

/// Bins that a fact keeps.
const KEPT_BINS: usize = 24;
/// Names of new values that a fact keeps.
const KEPT_NEW: usize = 10;

/// What was found.
pub(super) struct Categories {
    pub(super) metrics: Vec<MetricFact>,
    pub(super) bins: Vec<BinFact>,
    pub(super) new_rows: u64,
    pub(super) new_values: Vec<String>,
}

/// Everything about two sets of counted words; `others` are rows whose word is not known, `nulls` those without one. `name` is
/// what a word that so many rows have is called before people.
pub(super) fn compare(
    reference: &BTreeMap<String, u64>,
    current: &BTreeMap<String, u64>,
    others: (u64, u64),
    nulls: (u64, u64),
    name: &dyn Fn(&str, u64) -> String,
) -> Categories {
    let bins = CategoryBins::pooled(reference, current, others);
    let (p, q) = (&bins.reference, &bins.current);
    let mut out = Vec::new();
    binned(p, q, "", &mut out);
    let (mut with_p, mut with_q) = (p.clone(), q.clone());
    with_p.push(nulls.0);
    with_q.push(nulls.1);
    binned(&with_p, &with_q, "@with_null_bin", &mut out);
    let (n, m) = (p.iter().sum::<u64>(), q.iter().sum::<u64>());
    out.push(measured("psi_limit", psi_limit(p.len(), n, m, ALPHA)));
    if let Some(test) = chi_square(p, q) {
        out.push(measured("chi2", test.statistic));
        out.push(measured("chi2_p", test.p));
        out.push(measured("cramers_v", test.cramers_v));
        // Bergsma 2013: what many categories add by chance is taken off.
        let total = (n + m) as f64;
        let corrected = test.statistic / total - test.degrees as f64 / (total - 1.0).max(1.0);
        out.push(measured("cramers_v_corrected", corrected.max(0.0).sqrt()));
    }
    if let Some(test) = chi_square_pooled(p, q) {
        out.push(measured("chi2@pooled", test.statistic));
        out.push(measured("chi2_p@pooled", test.p));
    }
    let mut new: Vec<(&String, u64)> =
        bins.new.iter().map(|name| (name, current.get(name).copied().unwrap_or(0))).collect();
    new.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let new_rows = new.iter().map(|(_, n)| n).sum();
    let new_values = new.iter().take(KEPT_NEW).map(|(word, n)| name(word, *n)).collect();
    let mut shown: Vec<BinFact> = bins
        .categories
        .iter()
        .zip(p.iter().zip(q))
        .map(|(word, (p, q))| BinFact { label: name(word, p.saturating_add(*q)), reference: *p, current: *q })
        .collect();
    if shown.len() > KEPT_BINS {
        shown.sort_by(|a, b| {
            (b.reference + b.current).cmp(&(a.reference + a.current)).then_with(|| a.label.cmp(&b.label))
        });
        let rest = shown.split_off(KEPT_BINS - 1);
        let sum = |count: fn(&BinFact) -> u64| -> u64 { rest.iter().map(count).sum() };
        let label = format!("{} others", rest.len());
        shown.push(BinFact { label, reference: sum(|b| b.reference), current: sum(|b| b.current) });
    }
    Categories { metrics: out, bins: shown, new_rows, new_values }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_value_is_counted_and_named_only_when_many_have_it() {
        let counts = |pairs: &[(&str, u64)]| pairs.iter().map(|(w, n)| ((*w).to_owned(), *n)).collect();
        let key = gauntlet_core::MaskKey::for_project("");
        let name = |word: &str, rows: u64| super::super::shown::word(word, rows, &key);
        let (a, b) = (counts(&[("a", 90), ("b", 10)]), counts(&[("a", 50), ("x", 40), ("y", 1)]));
        let found = compare(&a, &b, (0, 0), (0, 0), &name);
        assert_eq!(found.new_rows, 41);
        assert_eq!(found.new_values[0], "x");
        assert!(found.new_values[1].contains('#'));
    }
}
