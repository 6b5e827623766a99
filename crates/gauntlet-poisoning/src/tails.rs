//! Values far out in one column, and rows that are far out in many (ECOD and COPOD, Li et al., 2020 and 2022).

use crate::matrix::Matrix;
use crate::stats::{as_f64, quantile, ranks};

/// Share of the values that the shape of a tail is taken from.
const TAIL: f64 = 0.05;
/// Values that this takes.
const LEAST: usize = 100;
/// Share of the values called outliers that may be none, by the tail's own law.
const FALSE_SHARE: f64 = 0.02;

/// As far as an infinite value lies out.
const FURTHEST: f64 = 1e9;

/// From where on values of a column are outliers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tail {
    /// Values at or below this one.
    pub low: Option<f64>,
    /// Values at or above this one.
    pub high: Option<f64>,
    /// The median.
    pub centre: f64,
}

impl Tail {
    /// Whether a value is one. NaN is none.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        self.low.is_some_and(|low| value <= low) || self.high.is_some_and(|high| value >= high)
    }

    /// How many times as far from the median a value lies as the bound on its side; 0 without one.
    #[must_use]
    pub fn excess(&self, value: f64) -> f64 {
        let bound = if value >= self.centre { self.high } else { self.low };
        let bound = bound.filter(|bound| *bound != self.centre);
        bound.map_or(0.0, |bound| ((value - self.centre) / (bound - self.centre)).abs().min(FURTHEST))
    }
}

/// Where the outliers of a column begin. Each tail is taken for a generalised Pareto law; its shape comes from quantiles
/// (Pickands), which a few wild values do not move, plus one standard error. Outliers are the largest set of extreme values
/// of which that law expects at most 2 % (Benjamini and Hochberg). Infinite values are left out: they need no statistics.
#[must_use]
pub fn tail(values: &[f64]) -> Tail {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    if sorted.len() < LEAST {
        return Tail::default();
    }
    sorted.sort_by(f64::total_cmp);
    let high = upper(&sorted);
    let negated: Vec<f64> = sorted.iter().rev().map(|v| -v).collect();
    Tail { low: upper(&negated).map(|v| -v), high, centre: quantile(&sorted, 0.5) }
}

fn upper(sorted: &[f64]) -> Option<f64> {
    let n = as_f64(sorted.len());
    let start = quantile(sorted, 1.0 - TAIL);
    let beyond = &sorted[sorted.partition_point(|v| *v <= start)..];
    let excess: Vec<f64> = beyond.iter().map(|v| v - start).collect();
    let k = as_f64(excess.len());
    if excess.is_empty() {
        return None;
    }
    let (half, most) = (quantile(&excess, 0.5), quantile(&excess, 0.75));
    if half <= 0.0 {
        return None;
    }
    let pickands = ((most - half) / half).ln() / std::f64::consts::LN_2;
    let shape = pickands.max(0.0) + 1.8 / k.sqrt();
    let scale = half * shape / (2f64.powf(shape) - 1.0);
    let share = k / n;
    let mut found = None;
    for (rank, value) in beyond.iter().rev().enumerate() {
        let p = share * (1.0 + shape * (value - start) / scale).powf(-1.0 / shape);
        if n * p <= FALSE_SHARE * as_f64(rank + 1) {
            found = Some(*value);
        }
    }
    found
}

/// Sums of negative log tail probabilities over the columns: the largest of left, right and skewness-chosen tails.
#[must_use]
pub fn ecod(matrix: &Matrix) -> Vec<f64> {
    let mut sums = vec![[0.0; 3]; matrix.rows()];
    for column in 0..matrix.columns() {
        for (sum, tails) in sums.iter_mut().zip(tails(&matrix.column(column))) {
            sum.iter_mut().zip(tails).for_each(|(s, t)| *s += t);
        }
    }
    sums.into_iter().map(|s| s[0].max(s[1]).max(s[2])).collect()
}

/// Sums over the columns of the larger of the skewness-chosen tail and the mean of both.
#[must_use]
pub fn copod(matrix: &Matrix) -> Vec<f64> {
    let mut sums = vec![0.0; matrix.rows()];
    for column in 0..matrix.columns() {
        for (sum, [left, right, chosen]) in sums.iter_mut().zip(tails(&matrix.column(column))) {
            *sum += chosen.max(f64::midpoint(left, right));
        }
    }
    sums
}

/// Negative log of the left, the right and the skewness-chosen empirical tail probability of each value.
fn tails(values: &[f64]) -> Vec<[f64; 3]> {
    let n = as_f64(values.len().max(1));
    let mean = values.iter().sum::<f64>() / n;
    let third: f64 = values.iter().map(|v| (v - mean).powi(3)).sum();
    let up = ranks(values);
    let down = ranks(&values.iter().map(|v| -v).collect::<Vec<_>>());
    up.iter()
        .zip(&down)
        .map(|(up, down)| {
            let (left, right) = (-(up / n).ln(), -(down / n).ln());
            [left, right, if third < 0.0 { left } else { right }]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::stats::auc;

    fn skewed(n: usize) -> Vec<f64> {
        let mut random = Random::new(4, 0);
        (0..n).map(|_| 800.0 * -(1.0 - random.unit()).ln()).collect()
    }

    #[test]
    fn how_far_out_a_value_lies_is_told_without_the_value() {
        let tail = Tail { low: None, high: Some(30.0), centre: 10.0 };
        assert_eq!((tail.excess(30.0), tail.excess(110.0), tail.excess(f64::INFINITY)), (1.0, 5.0, FURTHEST));
        assert_eq!((tail.excess(-500.0), Tail { high: Some(10.0), ..tail }.excess(11.0)), (0.0, 0.0));
    }

    #[test]
    fn wild_values_of_a_skewed_column_are_found() {
        let mut values = skewed(20_000);
        for i in 0..20 {
            values[i * 1000] = (values[i * 1000] + 20.0) * 1000.0;
        }
        let tail = tail(&values);
        let found: Vec<usize> = (0..values.len()).filter(|&i| tail.holds(values[i])).collect();
        assert!(found.len() >= 19 && found.iter().all(|i| i % 1000 == 0), "{found:?}");
    }

    #[test]
    fn honest_tails_have_none() {
        let mut random = Random::new(8, 0);
        let mut normal = || (0..12).map(|_| random.unit()).sum::<f64>() - 6.0;
        let normals: Vec<f64> = (0..20_000).map(|_| normal()).collect();
        let lognormal: Vec<f64> = normals.iter().map(|v| (v * 0.8 + 2.2).exp()).collect();
        let counts: Vec<f64> = skewed(20_000).iter().map(|v| (v / 800.0).floor()).collect();
        let uniform: Vec<f64> = (0..5_000).map(|i| f64::from(i % 97)).collect();
        for values in [&normals, &lognormal, &counts, &uniform, &skewed(5_000), &vec![1.0; 500]] {
            let tail = tail(values);
            let found = values.iter().filter(|v| tail.holds(**v)).count();
            assert!(found <= 1, "{found} {tail:?}");
        }
        assert_eq!(tail(&[1.0, 2.0, 1e9]), Tail::default());
        assert_eq!(tail(&[f64::NAN; 200]), Tail::default());
    }

    #[test]
    fn rows_far_out_in_many_columns_score_high() {
        let mut random = Random::new(6, 0);
        let data: Vec<f32> = (0..400 * 5).map(|i| if i < 25 { 2.0 } else { 0.0 } + random.unit() as f32).collect();
        let matrix = Matrix::new(5, data).unwrap();
        let truth: Vec<bool> = (0..400).map(|i| i < 5).collect();
        assert!(auc(&ecod(&matrix), &truth) > 0.99 && auc(&copod(&matrix), &truth) > 0.99);
    }
}
