//! The directions in which rows differ most, by subspace iteration.

use rayon::prelude::*;

use crate::matrix::Matrix;
use crate::random::Random;
use crate::stats::as_f64;

const ITERATIONS: usize = 30;
/// Rows that one thread sums at a time; fixed, so that sums have one order.
const CHUNK: usize = 1_024;

/// Mean and principal directions.
#[derive(Clone, Debug)]
pub struct Principal {
    mean: Vec<f64>,
    directions: Vec<Vec<f64>>,
}

/// Finds at most `count` directions, the strongest first.
#[must_use]
pub fn principal(matrix: &Matrix, count: usize, seed: u64) -> Principal {
    let width = matrix.columns();
    let count = count.min(width).min(matrix.rows());
    let n = as_f64(matrix.rows().max(1));
    let mut mean = vec![0.0; width];
    for row in matrix.iter() {
        mean.iter_mut().zip(row).for_each(|(m, &v)| *m += f64::from(v) / n);
    }
    let mut random = Random::new(seed, 1);
    let mut directions: Vec<Vec<f64>> = (0..count).map(|_| (0..width).map(|_| random.unit() - 0.5).collect()).collect();
    orthonormal(&mut directions);
    let rows: Vec<&[f32]> = matrix.iter().collect();
    for _ in 0..ITERATIONS {
        let parts: Vec<Vec<Vec<f64>>> =
            rows.par_chunks(CHUNK).map(|rows| multiplied(rows, &mean, &directions)).collect();
        let mut next = vec![vec![0.0; width]; directions.len()];
        for part in parts {
            for (sum, part) in next.iter_mut().zip(part) {
                sum.iter_mut().zip(part).for_each(|(a, b)| *a += b);
            }
        }
        directions = next;
        orthonormal(&mut directions);
    }
    Principal { mean, directions }
}

impl Principal {
    /// Coordinates of a row along the directions.
    #[must_use]
    pub fn coordinates(&self, row: &[f32]) -> Vec<f64> {
        self.directions
            .iter()
            .map(|d| row.iter().zip(&self.mean).zip(d).map(|((&v, m), d)| (f64::from(v) - m) * d).sum())
            .collect()
    }

    /// The coordinates of a row, were its values in these columns their means. Each column has to be named once.
    pub(crate) fn without(&self, coordinates: &[f32], row: &[f32], columns: &[usize]) -> Vec<f32> {
        let mut out: Vec<f64> = coordinates.iter().map(|&v| f64::from(v)).collect();
        for &column in columns {
            let (Some(&value), Some(mean)) = (row.get(column), self.mean.get(column)) else { continue };
            let off = f64::from(value) - mean;
            for (sum, direction) in out.iter_mut().zip(&self.directions) {
                *sum -= off * direction.get(column).copied().unwrap_or(0.0);
            }
        }
        #[expect(clippy::cast_possible_truncation, reason = "the precision of the matrix")]
        out.into_iter().map(|v| v as f32).collect()
    }

    /// The matrix in these coordinates.
    #[must_use]
    pub fn project(&self, matrix: &Matrix) -> Matrix {
        let rows: Vec<&[f32]> = matrix.iter().collect();
        #[expect(clippy::cast_possible_truncation, reason = "the precision of the matrix")]
        let data = rows.par_iter().flat_map_iter(|row| self.coordinates(row).into_iter().map(|v| v as f32)).collect();
        Matrix::new(self.directions.len(), data).unwrap_or_else(|_| matrix.clone())
    }
}

/// Sum over rows of (row . direction) * row, for each direction.
fn multiplied(rows: &[&[f32]], mean: &[f64], directions: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut out = vec![vec![0.0; mean.len()]; directions.len()];
    let mut centred = vec![0.0; mean.len()];
    for row in rows {
        centred.iter_mut().zip(*row).zip(mean).for_each(|((c, &v), m)| *c = f64::from(v) - m);
        for (sum, direction) in out.iter_mut().zip(directions) {
            let along: f64 = centred.iter().zip(direction).map(|(c, d)| c * d).sum();
            sum.iter_mut().zip(&centred).for_each(|(s, c)| *s += along * c);
        }
    }
    out
}

/// Gram and Schmidt, modified. What is linearly dependent becomes zero.
fn orthonormal(directions: &mut [Vec<f64>]) {
    for i in 0..directions.len() {
        let (before, rest) = directions.split_at_mut(i);
        let Some(current) = rest.first_mut() else { continue };
        for other in before {
            let along: f64 = current.iter().zip(other.iter()).map(|(a, b)| a * b).sum();
            current.iter_mut().zip(other.iter()).for_each(|(a, b)| *a -= along * b);
        }
        let length = current.iter().map(|v| v * v).sum::<f64>().sqrt();
        current.iter_mut().for_each(|v| *v = if length > 1e-12 { *v / length } else { 0.0 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_long_axis_first() {
        let mut random = Random::new(5, 0);
        let data: Vec<f32> = (0..500)
            .flat_map(|_| {
                let (a, b) = (random.unit() * 10.0, random.unit());
                [(a + b) as f32, (a - b) as f32, 3.0]
            })
            .collect();
        let matrix = Matrix::new(3, data).unwrap();
        let found = principal(&matrix, 2, 0);
        let first = &found.directions[0];
        assert!(
            (first[0].abs() - 0.5f64.sqrt()).abs() < 0.01
                && (first[0] - first[1]).abs() < 0.02
                && first[2].abs() < 1e-9
        );
        let projected = found.project(&matrix);
        assert_eq!((projected.rows(), projected.columns()), (500, 2));
    }

    #[test]
    fn constant_rows_have_no_direction() {
        let matrix = Matrix::new(2, vec![1.0; 20]).unwrap();
        assert_eq!(principal(&matrix, 5, 0).coordinates(matrix.row(0)), [0.0, 0.0]);
    }
}
