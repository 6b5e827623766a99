//! Maximum mean discrepancy with a Gaussian kernel (Gretton and others 2012).

use serde::{Deserialize, Serialize};

use crate::matrix::Matrix;
use crate::random::Sequence;

/// Shuffles of the permutation test.
pub const MMD_SHUFFLES: usize = 200;

/// What the test says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mmd {
    /// Median squared distance of all pooled pairs: the width of the kernel.
    pub bandwidth: f64,
    /// Unbiased estimate of the squared discrepancy; may be below zero.
    pub unbiased: f64,
    /// Biased estimate, never below zero.
    pub biased: f64,
    /// Permutation p-value `(hits + 1) / (shuffles + 1)`; `None` without shuffles.
    pub p: Option<f64>,
}

/// The test of two samples that are standardised already. Memory and time grow with the square of the rows: give a few hundred of each.
/// `None` below two rows on a side or for different widths. The shuffles are always the same.
#[must_use]
pub fn mmd(reference: &Matrix, current: &Matrix, shuffles: usize) -> Option<Mmd> {
    let (n, m) = (reference.len(), current.len());
    if n < 2 || m < 2 || reference.width() != current.width() {
        return None;
    }
    let rows: Vec<&[f64]> = reference.rows().chain(current.rows()).collect();
    let mut kernel = Kernel::squared_distances(&rows);
    let bandwidth = kernel.median();
    kernel.apply(bandwidth);
    let sums = kernel.sums(&vec![false; n].into_iter().chain(vec![true; m]).collect::<Vec<_>>());
    let unbiased = sums.unbiased(n, m);
    let mut labels: Vec<bool> = (0..n + m).map(|i| i >= n).collect();
    let mut sequence = Sequence::new(0x6d6d_6421);
    let mut hits = 0;
    for _ in 0..shuffles {
        sequence.shuffle(&mut labels);
        if kernel.sums(&labels).unbiased(n, m) >= unbiased {
            hits += 1;
        }
    }
    let p = (shuffles > 0).then(|| f64::from(hits + 1) / (shuffles + 1) as f64);
    Some(Mmd { bandwidth, unbiased, biased: sums.biased(n, m), p })
}

/// The upper triangle of the matrix of all pairs, by row.
struct Kernel {
    size: usize,
    cells: Vec<f64>,
}

impl Kernel {
    fn squared_distances(rows: &[&[f64]]) -> Self {
        let mut cells = Vec::with_capacity(rows.len() * rows.len() / 2);
        for (i, a) in rows.iter().enumerate() {
            for b in rows.iter().skip(i + 1) {
                cells.push(a.iter().zip(*b).map(|(x, y)| (x - y) * (x - y)).sum());
            }
        }
        Self { size: rows.len(), cells }
    }

    fn median(&self) -> f64 {
        let mut sorted = self.cells.clone();
        let middle = sorted.len() / 2;
        let (below, &mut upper, _) = sorted.select_nth_unstable_by(middle, f64::total_cmp);
        if self.cells.len() % 2 == 1 {
            return upper;
        }
        let lower = below.iter().copied().max_by(f64::total_cmp).unwrap_or(upper);
        0.5 * (lower + upper)
    }

    /// Distances to similarities. Where most pairs are equal the median is zero; then only equal rows are alike.
    fn apply(&mut self, bandwidth: f64) {
        for cell in &mut self.cells {
            *cell = if bandwidth > 0.0 { (-*cell / bandwidth).exp() } else { f64::from(u8::from(*cell == 0.0)) };
        }
    }

    fn sums(&self, second: &[bool]) -> Sums {
        let mut sums = Sums { first: 0.0, second: 0.0, cross: 0.0 };
        let mut start = 0;
        for (i, &a) in second.iter().enumerate() {
            let len = self.size - i - 1;
            let row = self.cells.get(start..start + len).unwrap_or_default();
            start += len;
            let (mut same, mut other) = (0.0, 0.0);
            for (&b, &k) in second.iter().skip(i + 1).zip(row) {
                if a == b {
                    same += k;
                } else {
                    other += k;
                }
            }
            if a {
                sums.second += same;
            } else {
                sums.first += same;
            }
            sums.cross += other;
        }
        sums
    }
}

/// Sums over pairs of different rows, each pair once.
struct Sums {
    first: f64,
    second: f64,
    cross: f64,
}

impl Sums {
    fn unbiased(&self, n: usize, m: usize) -> f64 {
        let (n, m) = (n as f64, m as f64);
        2.0 * self.first / (n * (n - 1.0)) + 2.0 * self.second / (m * (m - 1.0)) - 2.0 * self.cross / (n * m)
    }

    fn biased(&self, n: usize, m: usize) -> f64 {
        let (n, m) = (n as f64, m as f64);
        (2.0 * self.first + n) / (n * n) + (2.0 * self.second + m) / (m * m) - 2.0 * self.cross / (n * m)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(seed: u64, rows: usize, shift: f64) -> Matrix {
        let mut sequence = Sequence::new(seed);
        let cells = (0..rows * 2).map(|_| sequence.below(1_000_000) as f64 / 1e6 + shift).collect();
        Matrix::new(2, cells).unwrap()
    }

    #[test]
    fn a_shift_is_seen_and_its_absence_too() {
        let same = mmd(&sample(1, 150, 0.0), &sample(2, 150, 0.0), 100).unwrap();
        let moved = mmd(&sample(1, 150, 0.0), &sample(2, 150, 0.4), 100).unwrap();
        assert!(same.p.unwrap() > 0.05, "{same:?}");
        assert!(moved.p.unwrap() < 0.02 && moved.unbiased > 0.05, "{moved:?}");
    }

    #[test]
    fn equal_rows_do_not_divide_by_zero() {
        let ones = Matrix::new(1, vec![1.0; 10]).unwrap();
        let twos = Matrix::new(1, vec![2.0; 5]).unwrap();
        assert_eq!(mmd(&ones, &ones, 10).unwrap().unbiased, 0.0);
        assert!(mmd(&ones, &twos, 10).unwrap().unbiased > 0.9);
        assert!(mmd(&ones, &Matrix::new(1, vec![1.0]).unwrap(), 0).is_none());
        assert!(mmd(&ones, &Matrix::new(2, vec![1.0; 4]).unwrap(), 0).is_none());
    }
}
