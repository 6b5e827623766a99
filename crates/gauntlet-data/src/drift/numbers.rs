//! Two samples of numbers, measured in every way.

use gauntlet_drift::{
    Bins, clip, distances, ks_p_exact, ks_test, psi_limit, std_population, wasserstein, wasserstein_normed,
};

use super::shown;
use crate::facts::{BinFact, MetricFact};

/// Level of the limit of PSI that knows how many rows there were.
pub(super) const ALPHA: f64 = 0.01;

pub(super) fn measured(name: impl Into<String>, value: f64) -> MetricFact {
    MetricFact { name: name.into(), value: Some(value).filter(|x| x.is_finite()), interval: None }
}

/// Distances of one pair of histograms, with `suffix` behind their names.
pub(super) fn binned(reference: &[u64], current: &[u64], suffix: &str, out: &mut Vec<MetricFact>) {
    if let Some(d) = distances(reference, current) {
        for (name, value) in
            [("psi", d.psi), ("kl", d.kl), ("js", d.js), ("hellinger", d.hellinger), ("tv", d.tv), ("linf", d.linf)]
        {
            out.push(measured(format!("{name}{suffix}"), value));
        }
    }
}

/// Everything about two sorted samples, and the bins of the default binning. `nulls` are those of both sides.
pub(super) fn compare(a: &[f64], b: &[f64], nulls: (u64, u64)) -> (Vec<MetricFact>, Vec<BinFact>) {
    let mut out = Vec::new();
    let bins = Bins::guarded(a, b);
    let (p, q) = bins.count_both(a, b);
    binned(&p, &q, "", &mut out);
    binned(&p, &q, "@guarded_bins", &mut out);
    let used = p.iter().zip(&q).filter(|(p, q)| **p + **q > 0).count();
    out.push(measured("psi_limit", psi_limit(used, a.len() as u64, b.len() as u64, ALPHA)));
    let shown = shown_bins(&bins, &p, &q);
    for (bins, suffix) in [(Bins::quantile(a), "@quantile_bins"), (Bins::width(a), "@width_bins")] {
        let (mut p, mut q) = bins.count_both(a, b);
        binned(&p, &q, suffix, &mut out);
        if suffix == "@quantile_bins" {
            p.push(nulls.0);
            q.push(nulls.1);
            binned(&p, &q, "@quantile_bins_with_null_bin", &mut out);
        }
    }
    if let Some(test) = ks_test(a, b) {
        out.push(measured("ks", test.statistic));
        out.push(measured("ks_p", test.p));
        out.extend(ks_p_exact(test.statistic, a.len() as u64, b.len() as u64).map(|p| measured("ks_p_exact", p)));
    }
    out.extend(wasserstein(a, b).map(|d| measured("wasserstein", d)));
    out.extend(wasserstein_normed(a, b).map(|d| measured("wasserstein_normed", d)));
    // Over the same deviation as the raw one: what is left is not the work of a few far values.
    if let (Some(d), Some(std)) = (wasserstein(&clip(a, a), &clip(a, b)), std_population(a)) {
        let own = std_population(&clip(a, a)).unwrap_or(std);
        out.push(measured("wasserstein_clipped", d / own.max(1e-3)));
    }
    if let (Some(&low), Some(&high)) = (a.first(), a.last()) {
        let outside = b.iter().filter(|x| **x < low || **x > high).count();
        out.push(measured("outside_share", outside as f64 / b.len().max(1) as f64));
    }
    (out, shown)
}

/// Bins for people. The ends of the reference's range are single values, so they are not shown.
pub(super) fn shown_bins(bins: &Bins, p: &[u64], q: &[u64]) -> Vec<BinFact> {
    let between = |edges: &[f64], i: usize| match (i.checked_sub(1).and_then(|i| edges.get(i)), edges.get(i)) {
        (None, None) => "all".to_owned(),
        (None, Some(high)) => format!("below {}", shown::number(*high)),
        (Some(low), None) => format!("{} and above", shown::number(*low)),
        (Some(low), Some(high)) => format!("{} to {}", shown::number(*low), shown::number(*high)),
    };
    let label = |i: usize| match bins {
        Bins::Values(values) => values.get(i).map_or_else(|| gauntlet_drift::OTHER.to_owned(), |x| shown::number(*x)),
        Bins::Edges(edges) => between(edges, i),
        Bins::Guarded { .. } if i == 0 => "below the reference's range".to_owned(),
        Bins::Guarded { edges, .. } if i == edges.len() + 2 => "above the reference's range".to_owned(),
        Bins::Guarded { edges, .. } => between(edges, i - 1),
    };
    p.iter().zip(q).enumerate().map(|(i, (p, q))| BinFact { label: label(i), reference: *p, current: *q }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_outlier_shows_in_the_raw_distance_only() {
        let a: Vec<f64> = (0..20_000).map(f64::from).collect();
        let mut b = a.clone();
        for x in b.iter_mut().rev().take(10) {
            *x *= 1_000.0;
        }
        let (metrics, bins) = compare(&a, &b, (0, 0));
        let value = |name: &str| metrics.iter().find(|m| m.name == name).unwrap().value.unwrap();
        assert!(value("wasserstein_normed") > 0.5 && value("wasserstein_clipped") < 0.01);
        assert!(value("psi") < 0.01 && value("outside_share") > 0.0);
        assert_eq!(bins.last().unwrap().current, 10);
        assert_eq!(bins.last().unwrap().label, "above the reference's range");
    }
}
