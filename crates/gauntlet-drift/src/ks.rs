//! The two-sample Kolmogorov-Smirnov test, two-sided.

use serde::{Deserialize, Serialize};

use crate::kolmogorov::kolmogorov_sf;

/// The exact law is computed up to this product of sample sizes.
const MAX_EXACT: u64 = 4_000_000;

/// What the test says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct KsTest {
    /// Largest distance of the two distribution functions.
    pub statistic: f64,
    /// Chance of a distance at least as large when both samples have one law.
    pub p: f64,
}

/// The test with the finite-n law at `round(nm / (n + m))`; `None` when either sorted sample is empty.
#[must_use]
pub fn ks_test(reference: &[f64], current: &[f64]) -> Option<KsTest> {
    let statistic = ks_statistic(reference, current)?;
    Some(KsTest { statistic, p: ks_p(statistic, reference.len() as u64, current.len() as u64) })
}

/// Largest `|F_ref - F_cur|` over all values, after each group of ties.
#[must_use]
pub fn ks_statistic(reference: &[f64], current: &[f64]) -> Option<f64> {
    if reference.is_empty() || current.is_empty() {
        return None;
    }
    let (n, m) = (reference.len() as u64, current.len() as u64);
    // Exact in integers, so that equal distances are equal.
    let distance = lattice_distance(reference, current);
    Some(distance as f64 / (u128::from(n) * u128::from(m)) as f64)
}

/// `nm |F_ref - F_cur|` at its largest.
fn lattice_distance(reference: &[f64], current: &[f64]) -> u128 {
    let (n, m) = (reference.len() as i128, current.len() as i128);
    let (mut i, mut j) = (0_usize, 0_usize);
    let mut largest = 0_i128;
    while let (Some(&x), Some(&y)) = (reference.get(i), current.get(j)) {
        let x = x.min(y);
        while reference.get(i).is_some_and(|&v| v <= x) {
            i += 1;
        }
        while current.get(j).is_some_and(|&v| v <= x) {
            j += 1;
        }
        largest = largest.max((i as i128 * m - j as i128 * n).abs());
    }
    largest.unsigned_abs()
}

/// Chance of a distance of at least `statistic` between samples of these sizes, by the one-sample law at `round(nm / (n + m))` (Simard and
/// L'Ecuyer 2011), which SciPy calls asymptotic.
#[must_use]
pub fn ks_p(statistic: f64, reference: u64, current: u64) -> f64 {
    let (n, m) = (reference as f64, current as f64);
    if reference == 0 || current == 0 {
        return f64::NAN;
    }
    let en = (n.max(m) * (n.min(m) / (n + m))).round_ties_even();
    kolmogorov_sf(en as u64, statistic).clamp(0.0, 1.0)
}

/// Exact chance of a distance of at least `statistic` between samples without ties; `None` past 4 million pairs of values.
///
/// Counts, by the recursion of Hodges (1957), the lattice paths from one corner of an `n` by `m` grid to the other that touch the bound. All
/// terms are positive, so small chances keep their digits.
#[must_use]
pub fn ks_p_exact(statistic: f64, reference: u64, current: u64) -> Option<f64> {
    let pairs = reference.checked_mul(current)?;
    if pairs == 0 || pairs > MAX_EXACT {
        return None;
    }
    let g = gcd(reference, current);
    // A distance is a multiple of 1 / lcm.
    let bound = (statistic * (pairs / g) as f64).round() as u64;
    Some(touching_paths(reference, current, bound))
}

/// Share of paths that come as far as `bound / lcm` from the diagonal.
pub(crate) fn touching_paths(n: u64, m: u64, bound: u64) -> f64 {
    let g = gcd(n, m);
    let (n_step, m_step) = (n / g, m / g);
    let touches = |i: u64, j: u64| (i * m_step).abs_diff(j * n_step) >= bound;
    let mut row = Vec::with_capacity(m as usize + 1);
    for j in 0..=m {
        let before = row.last().copied().unwrap_or(0.0);
        row.push(if touches(0, j) { 1.0 } else { before });
    }
    for i in 1..=n {
        let mut left = 0.0;
        for (j, cell) in row.iter_mut().enumerate() {
            let j = j as u64;
            if touches(i, j) {
                *cell = 1.0;
            } else if j > 0 {
                let all = (i + j) as f64;
                *cell = i as f64 / all * *cell + j as f64 / all * left;
            }
            left = *cell;
        }
    }
    row.last().copied().unwrap_or(f64::NAN)
}

/// The smallest multiple of `1 / lcm` at which the exact chance is at most `alpha`; above `lcm` when none is.
pub(crate) fn critical_bound(n: u64, m: u64, alpha: f64) -> u64 {
    let (mut low, mut high) = (0, n / gcd(n, m) * m + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        if touching_paths(n, m, middle) <= alpha {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// The distance of two sorted samples as a multiple of `1 / lcm`.
pub(crate) fn lattice_multiple(a: &[f64], b: &[f64]) -> u64 {
    let g = u128::from(gcd(a.len() as u64, b.len() as u64));
    u64::try_from(lattice_distance(a, b) / g.max(1)).unwrap_or(u64::MAX)
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_taken_after_ties() {
        assert_eq!(ks_statistic(&[1.0, 1.0, 2.0], &[1.0, 2.0, 2.0]), Some(1.0 / 3.0));
        assert_eq!(ks_statistic(&[1.0], &[1.0]), Some(0.0));
        assert_eq!(ks_statistic(&[1.0], &[2.0]), Some(1.0));
        assert_eq!(ks_statistic(&[], &[2.0]), None);
        assert_eq!(ks_statistic(&[f64::NEG_INFINITY, 0.0], &[0.0, f64::INFINITY]), Some(0.5));
    }

    #[test]
    fn the_exact_law_of_small_samples_is_that_of_counting() {
        // 20 orders of 3 and 3 values; the two extreme ones have distance 1.
        assert!((ks_p_exact(1.0, 3, 3).unwrap() - 0.1).abs() < 1e-15);
        assert!((ks_p_exact(1.0 / 3.0, 3, 3).unwrap() - 1.0).abs() < 1e-15);
        assert_eq!(ks_p_exact(0.0, 5, 7), Some(1.0));
        assert_eq!(ks_p_exact(0.1, 0, 7), None);
    }

    #[test]
    fn the_critical_bound_is_the_first_that_is_rare_enough() {
        let bound = critical_bound(30, 70, 1e-4);
        assert!(touching_paths(30, 70, bound) <= 1e-4);
        assert!(touching_paths(30, 70, bound - 1) > 1e-4);
        // Three values can never be that surprising.
        assert!(critical_bound(1, 2, 1e-4) > 2);
    }
}
