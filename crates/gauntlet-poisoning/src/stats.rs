//! Small statistics that several methods share.

use statrs::distribution::{ChiSquared, ContinuousCDF};

/// Probability of a chi-square value at least this large.
#[must_use]
pub fn chi2_tail(value: f64, freedom: f64) -> f64 {
    if !value.is_finite() {
        return if value.is_nan() { 1.0 } else { 0.0 };
    }
    ChiSquared::new(freedom).map_or(1.0, |law| law.sf(value.max(0.0)))
}

/// The chi-square value with this probability below it.
#[must_use]
pub fn chi2_quantile(probability: f64, freedom: f64) -> f64 {
    ChiSquared::new(freedom).map_or(f64::INFINITY, |law| law.inverse_cdf(probability.clamp(0.0, 1.0)))
}

/// Quantile of sorted values, type 7; NaN of none.
#[must_use]
pub fn quantile(sorted: &[f64], p: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = as_f64(last) * p.clamp(0.0, 1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the last index")]
    let low = at.floor() as usize;
    let (a, b) = (sorted[low.min(last)], sorted[(low + 1).min(last)]);
    a + (b - a) * (at - at.floor())
}

/// Ranks from 1, ties share their mean. NaN is the smallest.
#[must_use]
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    let key = |i: usize| if values[i].is_nan() { f64::NEG_INFINITY } else { values[i] };
    order.sort_by(|&a, &b| key(a).total_cmp(&key(b)).then(a.cmp(&b)));
    let mut out = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let mut end = start + 1;
        while end < order.len() && key(order[end]).total_cmp(&key(order[start])).is_eq() {
            end += 1;
        }
        let rank = as_f64(start + end + 1) / 2.0;
        for &i in &order[start..end] {
            out[i] = rank;
        }
        start = end;
    }
    out
}

/// Area under the ROC curve of scores against truth; .5 when there is nothing to tell apart.
#[must_use]
pub fn auc(scores: &[f64], truth: &[bool]) -> f64 {
    let ranks = ranks(scores);
    let positive = truth.iter().filter(|t| **t).count();
    let negative = truth.len().min(scores.len()) - positive.min(scores.len());
    if positive == 0 || negative == 0 {
        return 0.5;
    }
    let sum: f64 = ranks.iter().zip(truth).filter(|(_, t)| **t).map(|(r, _)| r).sum();
    let (p, n) = (as_f64(positive), as_f64(negative));
    (sum - p * (p + 1.0) / 2.0) / (p * n)
}

/// Share of true ones among the `n` highest scores, where `n` is how many there are.
#[must_use]
pub fn precision_at_n(scores: &[f64], truth: &[bool]) -> f64 {
    let n = truth.iter().filter(|t| **t).count();
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    let hits = order.iter().take(n).filter(|&&i| truth.get(i) == Some(&true)).count();
    if n == 0 { 0.0 } else { as_f64(hits) / as_f64(n) }
}

/// Holm's step-down adjustment: p-values that may be held against one level together.
#[must_use]
pub fn holm(p: &[f64], tests: usize) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]).then(a.cmp(&b)));
    let mut out = vec![1.0; p.len()];
    let mut worst: f64 = 0.0;
    for (rank, &i) in order.iter().enumerate() {
        worst = worst.max(p[i] * as_f64(tests.max(p.len()) - rank)).min(1.0);
        out[i] = worst;
    }
    out
}

/// G statistic (likelihood ratio) of a table of two rows of counts; freedom is the number of columns with counts, less 1.
#[must_use]
pub fn g_test(first: &[f64], second: &[f64]) -> (f64, f64) {
    let (a, b): (f64, f64) = (first.iter().sum(), second.iter().sum());
    let total = a + b;
    let (mut g, mut columns) = (0.0, 0.0);
    for (&x, &y) in first.iter().zip(second) {
        let column = x + y;
        if column <= 0.0 {
            continue;
        }
        columns += 1.0;
        for (count, row) in [(x, a), (y, b)] {
            if count > 0.0 {
                g += count * (count * total / (row * column)).ln();
            }
        }
    }
    let g = (2.0 * g).max(0.0);
    (g, if columns < 2.0 { 1.0 } else { chi2_tail(g, columns - 1.0) })
}

/// A count as a number; exact to 2^53.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of rows")]
pub fn as_f64(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_share_ties() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, f64::NAN]), [3.5, 2.0, 3.5, 1.0]);
    }

    #[test]
    fn area_of_a_perfect_a_reversed_and_a_constant_score() {
        let truth = [false, false, true, true];
        assert_eq!(auc(&[1.0, 2.0, 3.0, 4.0], &truth), 1.0);
        assert_eq!(auc(&[4.0, 3.0, 2.0, 1.0], &truth), 0.0);
        assert_eq!(auc(&[1.0; 4], &truth), 0.5);
        assert_eq!(auc(&[1.0; 4], &[true; 4]), 0.5);
    }

    #[test]
    fn holm_is_monotone_and_bounded() {
        let adjusted = holm(&[0.01, 0.04, 0.03], 3);
        assert!((adjusted[0] - 0.03).abs() < 1e-12 && (adjusted[2] - 0.06).abs() < 1e-12);
        assert_eq!(adjusted[1], adjusted[2]);
        assert_eq!(holm(&[0.9], 50), [1.0]);
    }

    #[test]
    fn g_of_equal_rows_is_zero() {
        assert_eq!(g_test(&[10.0, 20.0], &[20.0, 40.0]).0.round(), 0.0);
        // Known value: 2 * sum o ln(o/e) of [[10, 0], [0, 10]] = 40 ln 2.
        let (g, p) = g_test(&[10.0, 0.0], &[0.0, 10.0]);
        assert!((g - 40.0 * 2f64.ln()).abs() < 1e-9 && p < 1e-6);
        assert_eq!(g_test(&[5.0, 0.0], &[9.0, 0.0]).1, 1.0);
    }

    #[test]
    fn quantiles_of_few() {
        assert!(quantile(&[], 0.5).is_nan());
        assert_eq!(quantile(&[4.0], 0.9), 4.0);
        assert_eq!(quantile(&[0.0, 1.0, 2.0], 0.25), 0.5);
    }
}
