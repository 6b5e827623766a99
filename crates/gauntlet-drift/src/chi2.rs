//! The chi-square test of homogeneity for two rows of counts.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ChiSquared, ContinuousCDF};

/// Cells that are expected to hold fewer rows are pooled.
const MIN_EXPECTED: f64 = 5.0;

/// What the test says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChiSquare {
    /// Sum of squared residuals over expectations, without continuity correction.
    pub statistic: f64,
    /// Columns that are not empty, less one.
    pub degrees: u64,
    /// Chance of a statistic at least as large when both rows have the same law.
    pub p: f64,
    /// Effect size `sqrt(statistic / n)`, in `[0, 1]` for two rows.
    pub cramers_v: f64,
}

/// The test over all bins that are not empty on both sides; `None` when a side has no rows or fewer than two bins are left.
#[must_use]
pub fn chi_square(reference: &[u64], current: &[u64]) -> Option<ChiSquare> {
    let columns = columns(reference, current);
    test(&columns)
}

/// As [`chi_square`] after all bins of which either expectation is below 5 were made one.
#[must_use]
pub fn chi_square_pooled(reference: &[u64], current: &[u64]) -> Option<ChiSquare> {
    let columns = columns(reference, current);
    let (r, c) = totals(&columns);
    let smaller = r.min(c) / (r + c);
    let (mut kept, mut rest) = (Vec::new(), (0.0, 0.0));
    for (a, b) in columns {
        if (a + b) * smaller < MIN_EXPECTED {
            rest = (rest.0 + a, rest.1 + b);
        } else {
            kept.push((a, b));
        }
    }
    if rest.0 + rest.1 > 0.0 {
        kept.push(rest);
    }
    test(&kept)
}

fn columns(reference: &[u64], current: &[u64]) -> Vec<(f64, f64)> {
    let at = |counts: &[u64], i: usize| counts.get(i).copied().unwrap_or(0) as f64;
    (0..reference.len().max(current.len()))
        .map(|i| (at(reference, i), at(current, i)))
        .filter(|(a, b)| a + b > 0.0)
        .collect()
}

fn totals(columns: &[(f64, f64)]) -> (f64, f64) {
    columns.iter().fold((0.0, 0.0), |(r, c), (a, b)| (r + a, c + b))
}

fn test(columns: &[(f64, f64)]) -> Option<ChiSquare> {
    let (r, c) = totals(columns);
    let n = r + c;
    if r == 0.0 || c == 0.0 || columns.len() < 2 {
        return None;
    }
    let mut statistic = 0.0;
    for (a, b) in columns {
        let (ea, eb) = (r * (a + b) / n, c * (a + b) / n);
        statistic += (a - ea).powi(2) / ea + (b - eb).powi(2) / eb;
    }
    let degrees = columns.len() as u64 - 1;
    let p = ChiSquared::new(degrees as f64).ok()?.sf(statistic);
    Some(ChiSquare { statistic, degrees, p, cramers_v: (statistic / n).sqrt().min(1.0) })
}

/// The `p` quantile of the chi-square law with these degrees of freedom.
#[must_use]
pub fn chi_square_limit(p: f64, degrees: u64) -> Option<f64> {
    if degrees == 0 || !(0.0..1.0).contains(&p) {
        return None;
    }
    let law = ChiSquared::new(degrees as f64).ok()?;
    // Bisection: monotone, and the same bits everywhere.
    let (mut low, mut high) = (0.0, degrees as f64 + 10.0);
    while law.cdf(high) < p && high < 1e12 {
        high *= 2.0;
    }
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if law.cdf(middle) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(0.5 * (low + high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rows_are_no_surprise() {
        let test = chi_square(&[10, 20], &[10, 20]).unwrap();
        assert_eq!((test.statistic, test.degrees, test.cramers_v), (0.0, 1, 0.0));
        assert!((test.p - 1.0).abs() < 1e-12);
    }

    #[test]
    fn bins_that_are_empty_on_both_sides_do_not_count() {
        assert_eq!(chi_square(&[10, 0, 20], &[10, 0, 20]).unwrap().degrees, 1);
        assert!(chi_square(&[10, 0], &[5, 0]).is_none());
        assert!(chi_square(&[], &[]).is_none());
    }

    #[test]
    fn limits_are_quantiles() {
        assert!((chi_square_limit(0.95, 1).unwrap() - 3.841_458_820_694_124).abs() < 1e-6);
        assert!((chi_square_limit(0.99, 9).unwrap() - 21.665_994_333_461_93).abs() < 1e-6);
        assert!(chi_square_limit(0.95, 0).is_none());
    }
}
