//! Robust Mahalanobis distance: centre and spread of the calmer half of the rows (concentration steps of the minimum
//! covariance determinant, Rousseeuw and Van Driessen, 1999), shrunk so that it can always be inverted.

use crate::error::Error;
use crate::matrix::Matrix;
use crate::stats::{as_f64, chi2_quantile, quantile};

/// Columns above which distances of this kind say little.
pub const MAX_COLUMNS: usize = 50;
const STEPS: usize = 12;
const SHRINKAGE: f64 = 0.02;

/// Squared distance of each row, scaled so that the median is that of a normal law: values beyond the chi-square quantile for
/// the number of columns are far. The matrix has to be scaled.
///
/// # Errors
/// More than 50 columns, none, or fewer rows than four times the columns.
pub fn mahalanobis(matrix: &Matrix) -> Result<Vec<f64>, Error> {
    let (rows, width) = (matrix.rows(), matrix.columns());
    if width > MAX_COLUMNS {
        return Err(Error::TooMany { what: "columns", most: MAX_COLUMNS, actual: width });
    }
    if width == 0 || rows < 4 * width {
        return Err(Error::TooFew { what: "rows", least: (4 * width).max(4), actual: rows });
    }
    let lengths: Vec<f64> = matrix.iter().map(|row| row.iter().map(|&v| f64::from(v) * f64::from(v)).sum()).collect();
    let mut chosen = calmest(&lengths);
    let mut distances = lengths;
    for _ in 0..STEPS {
        distances = measured(matrix, &chosen);
        let next = calmest(&distances);
        if next == chosen {
            break;
        }
        chosen = next;
    }
    let mut sorted = distances.clone();
    sorted.sort_by(f64::total_cmp);
    let factor = chi2_quantile(0.5, as_f64(width)) / quantile(&sorted, 0.5).max(1e-12);
    Ok(distances.into_iter().map(|d| d * factor).collect())
}

/// The half of the rows with the smallest distances, in order.
fn calmest(distances: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..distances.len()).collect();
    order.sort_by(|&a, &b| distances[a].total_cmp(&distances[b]).then(a.cmp(&b)));
    order.truncate(distances.len().div_ceil(2));
    order.sort_unstable();
    order
}

fn measured(matrix: &Matrix, chosen: &[usize]) -> Vec<f64> {
    let width = matrix.columns();
    let n = as_f64(chosen.len().max(1));
    let mut mean = vec![0.0; width];
    for &row in chosen {
        mean.iter_mut().zip(matrix.row(row)).for_each(|(m, &v)| *m += f64::from(v) / n);
    }
    let mut spread = vec![vec![0.0; width]; width];
    for &row in chosen {
        let centred: Vec<f64> = matrix.row(row).iter().zip(&mean).map(|(&v, m)| f64::from(v) - m).collect();
        for (i, line) in spread.iter_mut().enumerate() {
            for (cell, other) in line.iter_mut().zip(&centred).take(i + 1) {
                *cell += centred[i] * other / n;
            }
        }
    }
    let mean_variance = (0..width).map(|i| spread[i][i]).sum::<f64>() / as_f64(width);
    for (i, line) in spread.iter_mut().enumerate() {
        line.iter_mut().for_each(|cell| *cell *= 1.0 - SHRINKAGE);
        line[i] += SHRINKAGE * mean_variance.max(1e-9);
    }
    cholesky(&mut spread);
    matrix
        .iter()
        .map(|row| {
            // Forward substitution: |L^-1 (x - mean)|^2.
            let mut solved: Vec<f64> = Vec::with_capacity(width);
            for (i, (&value, m)) in row.iter().zip(&mean).enumerate() {
                let known: f64 = spread[i].iter().zip(&solved).map(|(l, z)| l * z).sum();
                solved.push((f64::from(value) - m - known) / spread[i][i]);
            }
            solved.iter().map(|z| z * z).sum()
        })
        .collect()
}

/// Replaces the lower triangle by its Cholesky factor; shrinking made it positive definite.
fn cholesky(spread: &mut [Vec<f64>]) {
    for i in 0..spread.len() {
        for j in 0..=i {
            let known: f64 = (0..j).map(|k| spread[i][k] * spread[j][k]).sum();
            let rest = spread[i][j] - known;
            spread[i][j] = if i == j { rest.max(1e-12).sqrt() } else { rest / spread[j][j] };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Scale;
    use crate::random::Random;

    #[test]
    fn a_row_off_the_common_line_is_far_although_each_cell_is_ordinary() {
        let mut random = Random::new(11, 0);
        let mut data: Vec<f32> = Vec::new();
        for _ in 0..500 {
            let at = random.unit() * 4.0;
            data.extend([(at + 0.1 * random.unit()) as f32, (at + 0.1 * random.unit()) as f32]);
        }
        data[0] = 3.5;
        data[1] = 0.5;
        let distances = mahalanobis(&Matrix::new(2, data).unwrap().scaled(Scale::Columns)).unwrap();
        let others = distances[1..].iter().copied().fold(0.0, f64::max);
        assert!(distances[0] > 5.0 * others, "{} {others}", distances[0]);
    }

    #[test]
    fn few_rows_and_many_columns_are_refused_and_constant_ones_are_not() {
        assert!(mahalanobis(&Matrix::new(51, vec![0.0; 51 * 300]).unwrap()).is_err());
        assert!(mahalanobis(&Matrix::new(3, vec![0.0; 30]).unwrap()).is_err());
        assert!(mahalanobis(&Matrix::new(2, vec![0.0; 80]).unwrap()).unwrap().iter().all(|d| d.is_finite()));
    }
}
