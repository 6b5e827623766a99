//! Spectral signatures (Tran, Li and Madry, 2018): rows of one class that stand out along its strongest direction.

use crate::error::{Error, check_labels};
use crate::matrix::Matrix;
use crate::principal::principal;

/// Squared coordinate of each row along the first singular direction of its class, after centring the class. Scores are
/// comparable inside a class only.
///
/// # Errors
/// Labels that are not one a row.
pub fn spectral_scores(matrix: &Matrix, labels: &[u32], classes: usize, seed: u64) -> Result<Vec<f64>, Error> {
    check_labels(labels, matrix.rows(), classes)?;
    let mut out = vec![0.0; labels.len()];
    for class in 0..classes {
        let rows: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] as usize == class).collect();
        let part = matrix.pick(&rows);
        let first = principal(&part, 1, seed);
        for (&row, values) in rows.iter().zip(part.iter()) {
            let along = first.coordinates(values).first().copied().unwrap_or(0.0);
            out[row] = along * along;
        }
    }
    Ok(out)
}
