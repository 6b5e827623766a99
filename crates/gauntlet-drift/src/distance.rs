//! Distances between two histograms over the same bins.

use serde::{Deserialize, Serialize};

/// Smallest share that PSI and KL see.
pub const SHARE_FLOOR: f64 = 1e-4;

/// All distances of one pair of histograms; `p` are the shares of the reference, `q` those of the current batch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distances {
    /// Population stability index, sum of `(q-p) ln(q/p)`, shares raised to [`SHARE_FLOOR`] and not renormalised.
    pub psi: f64,
    /// Kullback-Leibler divergence of current from reference in nats, shares raised to the floor and renormalised.
    pub kl: f64,
    /// Jensen-Shannon distance: the root of the divergence to base 2, in `[0, 1]`.
    pub js: f64,
    /// Hellinger distance, in `[0, 1]`.
    pub hellinger: f64,
    /// Total variation, in `[0, 1]`.
    pub tv: f64,
    /// Largest difference of a share, in `[0, 1]`.
    pub linf: f64,
}

/// The distances; `None` when either side has no rows. Missing bins at the end count as empty.
#[must_use]
pub fn distances(reference: &[u64], current: &[u64]) -> Option<Distances> {
    let len = reference.len().max(current.len());
    let (p, q) = (shares(reference, len)?, shares(current, len)?);
    let pairs = || p.iter().copied().zip(q.iter().copied());
    let mut out = Distances { psi: 0.0, kl: 0.0, js: 0.0, hellinger: 0.0, tv: 0.0, linf: 0.0 };
    let floored: (f64, f64) =
        pairs().fold((0.0, 0.0), |(a, b), (p, q)| (a + p.max(SHARE_FLOOR), b + q.max(SHARE_FLOOR)));
    let (mut js, mut affinity) = (0.0, 0.0);
    for (p, q) in pairs() {
        let (fp, fq) = (p.max(SHARE_FLOOR), q.max(SHARE_FLOOR));
        out.psi += (fq - fp) * (fq / fp).ln();
        let (np, nq) = (fp / floored.0, fq / floored.1);
        out.kl += nq * (nq / np).ln();
        let m = 0.5 * (p + q);
        js += 0.5 * (x_log2(p, m) + x_log2(q, m));
        affinity += (p * q).sqrt();
        out.tv += 0.5 * (p - q).abs();
        out.linf = out.linf.max((p - q).abs());
    }
    out.js = js.clamp(0.0, 1.0).sqrt();
    // Near zero the affinity has lost its digits: the sum of squared differences of roots has not.
    let squares: f64 = pairs().map(|(p, q)| (p.sqrt() - q.sqrt()).powi(2)).sum();
    out.hellinger = if affinity > 0.5 { (0.5 * squares).sqrt() } else { (1.0 - affinity).max(0.0).sqrt() }.min(1.0);
    // Rounding takes sums of shares past 1.
    (out.tv, out.linf) = (out.tv.min(1.0), out.linf.min(1.0));
    out.kl = out.kl.max(0.0);
    Some(out)
}

/// `x log2(x / m)` with `0 log 0 = 0`.
fn x_log2(x: f64, m: f64) -> f64 {
    if x > 0.0 { x * (x / m).log2() } else { 0.0 }
}

fn shares(counts: &[u64], len: usize) -> Option<Vec<f64>> {
    let total: u128 = counts.iter().map(|&n| u128::from(n)).sum();
    if total == 0 {
        return None;
    }
    let mut out: Vec<f64> = counts.iter().map(|&n| n as f64 / total as f64).collect();
    out.resize(len, 0.0);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_histograms_have_no_distance() {
        let d = distances(&[10, 20, 30], &[1, 2, 3]).unwrap();
        for x in [d.psi, d.kl, d.js, d.hellinger, d.tv, d.linf] {
            assert!(x.abs() < 1e-9, "{d:?}");
        }
    }

    #[test]
    fn disjoint_histograms_are_as_far_as_possible() {
        let d = distances(&[7, 0], &[0, 9]).unwrap();
        assert_eq!((d.js, d.hellinger, d.tv, d.linf), (1.0, 1.0, 1.0, 1.0));
        assert!((d.psi - 18.418_838_675_877_97).abs() < 1e-9);
    }

    #[test]
    fn no_rows_give_no_number() {
        assert!(distances(&[], &[]).is_none());
        assert!(distances(&[0, 0], &[1, 2]).is_none());
        assert!(distances(&[u64::MAX, u64::MAX], &[1, 2]).unwrap().psi.is_finite());
    }
}
