//! Limits that know how much data there was, and how many questions were asked.

use crate::chi2::chi_square_limit;

/// The PSI that `bins` bins of samples of these sizes stay below with probability `1 - alpha` when nothing drifted: then PSI is about a
/// chi-square variable times `1/n + 1/m`. Infinite without rows, zero with one bin.
#[must_use]
pub fn psi_limit(bins: usize, reference: u64, current: u64, alpha: f64) -> f64 {
    if reference == 0 || current == 0 {
        return f64::INFINITY;
    }
    let degrees = (bins as u64).saturating_sub(1);
    let quantile = chi_square_limit(1.0 - alpha, degrees).unwrap_or(0.0);
    quantile * (1.0 / reference as f64 + 1.0 / current as f64)
}

/// Which of these p-values are discoveries at false discovery rate `q` (Benjamini and Hochberg 1995), in the order given. Ties keep their
/// order; NaN is never a discovery and counts as a test.
#[must_use]
pub fn benjamini_hochberg(p: &[f64], q: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    let value = |i: usize| p.get(i).copied().filter(|p| !p.is_nan()).unwrap_or(2.0);
    order.sort_by(|&a, &b| value(a).total_cmp(&value(b)).then(a.cmp(&b)));
    let tests = p.len() as f64;
    let passed = order.iter().enumerate().filter(|&(rank, &i)| value(i) <= q * (rank + 1) as f64 / tests);
    let last = passed.map(|(rank, _)| rank + 1).next_back().unwrap_or(0);
    let mut out = vec![false; p.len()];
    for &i in order.iter().take(last) {
        if let Some(flag) = out.get_mut(i) {
            *flag = true;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_samples_get_a_wide_limit() {
        // 10 bins, 100 against 100: the mean without drift is already .18.
        assert!(psi_limit(10, 100, 100, 0.05) > 0.3);
        assert!(psi_limit(10, 1_000_000, 1_000_000, 0.05) < 1e-3);
        assert_eq!(psi_limit(10, 0, 5, 0.05), f64::INFINITY);
        assert_eq!(psi_limit(1, 5, 5, 0.05), 0.0);
    }

    #[test]
    fn the_step_up_takes_everything_below_the_last_success() {
        // The second alone would miss its line of .0333; the third carries it.
        assert_eq!(benjamini_hochberg(&[0.01, 0.04, 0.045], 0.05), [true, true, true]);
        assert_eq!(benjamini_hochberg(&[0.2, 0.01, 0.9], 0.05), [false, true, false]);
        assert_eq!(benjamini_hochberg(&[f64::NAN, 0.01], 0.05), [false, true]);
        assert!(benjamini_hochberg(&[], 0.05).is_empty());
    }
}
