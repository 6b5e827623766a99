//! Nearest neighbours by comparing every pair, in blocks that stay in the cache.

use rayon::prelude::*;

use crate::error::{Error, check_labels};
use crate::matrix::Matrix;
use crate::probabilities::Probabilities;
use crate::stats::as_f64;

/// Rows that one thread answers at a time, and rows they are compared with at a time.
const QUERIES: usize = 64;
const CANDIDATES: usize = 256;
const LANES: usize = 8;

/// The `k` nearest other rows of each row.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbours {
    k: usize,
    found: Vec<(f32, u32)>,
}

/// Finds the `k` nearest other rows of every row by Euclidean distance; ties go to the earlier row. Time grows with the square
/// of the rows. `k` is cut to the number of other rows.
#[must_use]
pub fn neighbours(matrix: &Matrix, k: usize) -> Neighbours {
    let n = matrix.rows();
    let k = k.min(n.saturating_sub(1));
    let width = matrix.columns().div_ceil(LANES).max(1) * LANES;
    let mut padded = vec![0f32; n * width];
    for (to, from) in padded.chunks_exact_mut(width).zip(matrix.iter()) {
        to[..from.len()].copy_from_slice(from);
    }
    let norms: Vec<f32> = padded.chunks_exact(width).map(|row| dot(row, row)).collect();
    let blocks: Vec<usize> = (0..n.div_ceil(QUERIES)).collect();
    let found: Vec<Vec<(f32, u32)>> =
        blocks.par_iter().map(|&block| block_neighbours(&padded, &norms, width, block * QUERIES, k)).collect();
    Neighbours { k, found: found.into_iter().flatten().collect() }
}

impl Neighbours {
    /// How many each row has.
    #[must_use]
    pub fn k(&self) -> usize {
        self.k
    }

    /// Distances and rows, nearest first.
    #[must_use]
    pub fn of(&self, row: usize) -> &[(f32, u32)] {
        self.found.get(row * self.k..(row + 1) * self.k).unwrap_or_default()
    }

    /// The first `k` of them only.
    #[must_use]
    pub fn nearest(&self, k: usize) -> Self {
        if k >= self.k || k == 0 {
            return self.clone();
        }
        Self { k, found: self.found.chunks_exact(self.k).flat_map(|found| &found[..k]).copied().collect() }
    }

    /// Which share of the neighbours votes for which class, nearer ones more.
    ///
    /// # Errors
    /// Labels that are not one a row.
    pub fn votes(&self, labels: &[u32], classes: usize) -> Result<Probabilities, Error> {
        let rows = self.found.len().checked_div(self.k).unwrap_or(labels.len());
        check_labels(labels, rows, classes)?;
        #[expect(clippy::cast_possible_truncation, reason = "a share")]
        let equal = (1.0 / as_f64(classes)) as f32;
        let mut data = Vec::with_capacity(rows * classes);
        for row in 0..rows {
            let start = data.len();
            data.resize(start + classes, 0.0);
            let found = self.of(row);
            let furthest = found.last().map_or(0.0, |(distance, _)| *distance);
            let mut total = 0.0;
            for &(distance, other) in found {
                let weight = 1.0 / (distance + 0.1 * furthest + 1e-6);
                if let Some(cell) = labels.get(other as usize).and_then(|&c| data.get_mut(start + c as usize)) {
                    *cell += weight;
                    total += weight;
                }
            }
            for cell in &mut data[start..] {
                *cell = if total > 0.0 { *cell / total } else { equal };
            }
        }
        Ok(Probabilities::trusted(classes, data))
    }
}

fn block_neighbours(data: &[f32], norms: &[f32], width: usize, start: usize, k: usize) -> Vec<(f32, u32)> {
    let n = norms.len();
    let queries: Vec<usize> = (start..(start + QUERIES).min(n)).collect();
    let mut best: Vec<Vec<(f32, u32)>> = vec![Vec::with_capacity(k + 1); queries.len()];
    for from in (0..n).step_by(CANDIDATES) {
        let to = (from + CANDIDATES).min(n);
        for (&query, best) in queries.iter().zip(&mut best) {
            let row = &data[query * width..(query + 1) * width];
            for other in from..to {
                if other == query {
                    continue;
                }
                let product = dot(row, &data[other * width..(other + 1) * width]);
                let square = (norms[query] + norms[other] - 2.0 * product).max(0.0);
                if best.len() == k && best.last().is_none_or(|(worst, _)| square >= *worst) {
                    continue;
                }
                let at = best.partition_point(|(d, _)| *d <= square);
                best.insert(at, (square, u32::try_from(other).unwrap_or(u32::MAX)));
                best.truncate(k);
            }
        }
    }
    best.into_iter().flatten().map(|(square, other)| (square.sqrt(), other)).collect()
}

/// Eight running sums in a fixed order: fast, and the same on every run.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; LANES];
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_a_sort_of_all_distances_finds() {
        let mut random = crate::random::Random::new(3, 0);
        let data: Vec<f32> = (0..300 * 5).map(|_| random.unit() as f32).collect();
        let matrix = Matrix::new(5, data).unwrap();
        let found = neighbours(&matrix, 4);
        for row in 0..300 {
            let distance = |other: usize| -> f32 {
                matrix.row(row).iter().zip(matrix.row(other)).map(|(a, b)| (a - b) * (a - b)).sum()
            };
            let mut all: Vec<(f32, usize)> = (0..300).filter(|&o| o != row).map(|o| (distance(o), o)).collect();
            all.sort_by(|a, b| a.0.total_cmp(&b.0));
            let ours: Vec<usize> = found.of(row).iter().map(|(_, o)| *o as usize).collect();
            let theirs: Vec<usize> = all.iter().take(4).map(|(_, o)| *o).collect();
            assert_eq!(ours, theirs, "row {row}");
        }
    }

    #[test]
    fn few_rows_have_few_neighbours() {
        let one = Matrix::new(2, vec![1.0, 2.0]).unwrap();
        assert!(neighbours(&one, 10).of(0).is_empty());
        assert_eq!(neighbours(&one, 10).votes(&[0], 2).unwrap().row(0), [0.5, 0.5]);
        let two = Matrix::new(1, vec![1.0, 3.0]).unwrap();
        assert_eq!(neighbours(&two, 10).of(1), [(2.0, 0)]);
        assert!(neighbours(&two, 10).votes(&[0, 2], 2).is_err());
        assert!(neighbours(&two, 10).votes(&[0], 2).is_err());
    }

    #[test]
    fn equal_rows_vote_without_dividing_by_zero() {
        let same = Matrix::new(1, vec![5.0; 30]).unwrap();
        let votes = neighbours(&same, 10).votes(&[0; 30], 2).unwrap();
        assert!((0..30).all(|i| votes.row(i) == [1.0, 0.0]));
    }
}
