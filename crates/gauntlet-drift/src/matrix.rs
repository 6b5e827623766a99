//! Rows of numbers of one width, for the tests that look at several columns at once.

use thiserror::Error;

/// Numbers by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    width: usize,
    cells: Vec<f64>,
}

/// Why numbers form no matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MatrixError {
    /// The last row is not complete, or rows have no cells.
    #[error("{cells} cells do not make rows of {width}")]
    Ragged {
        /// Cells given.
        cells: usize,
        /// Width asked for.
        width: usize,
    },
    /// A cell is NaN or infinite.
    #[error("row {row} holds a value that is not finite")]
    NotFinite {
        /// Row, from 0.
        row: usize,
    },
}

impl Matrix {
    /// Cells row by row.
    ///
    /// # Errors
    /// When they do not fill rows of `width`, or one of them is not finite.
    pub fn new(width: usize, cells: Vec<f64>) -> Result<Self, MatrixError> {
        if width == 0 || !cells.len().is_multiple_of(width) {
            return Err(MatrixError::Ragged { cells: cells.len(), width });
        }
        match cells.iter().position(|x| !x.is_finite()) {
            Some(i) => Err(MatrixError::NotFinite { row: i / width }),
            None => Ok(Self { width, cells }),
        }
    }

    /// Columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cells.len() / self.width
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.cells.chunks_exact(self.width)
    }

    /// The first rows.
    #[must_use]
    pub fn head(&self, rows: usize) -> Self {
        let end = rows.saturating_mul(self.width).min(self.cells.len());
        Self { width: self.width, cells: self.cells.get(..end).unwrap_or_default().to_vec() }
    }

    /// Mean and standard deviation (division by n) of each column.
    #[must_use]
    pub fn moments(&self) -> Vec<(f64, f64)> {
        let n = self.len().max(1) as f64;
        let mut out = vec![(0.0, 0.0); self.width];
        for row in self.rows() {
            for ((mean, _), x) in out.iter_mut().zip(row) {
                *mean += x / n;
            }
        }
        for row in self.rows() {
            for ((mean, variance), x) in out.iter_mut().zip(row) {
                *variance += (x - *mean).powi(2) / n;
            }
        }
        out.into_iter().map(|(mean, variance)| (mean, variance.sqrt())).collect()
    }

    /// Each column less its mean, over its deviation where it has one.
    #[must_use]
    pub fn standardised(&self, moments: &[(f64, f64)]) -> Self {
        let mut out = self.clone();
        for row in out.cells.chunks_exact_mut(self.width) {
            for (x, (mean, deviation)) in row.iter_mut().zip(moments) {
                let scale = if *deviation > 0.0 && deviation.is_finite() { *deviation } else { 1.0 };
                // A cell may be huge where the reference was not.
                *x = ((*x - mean) / scale).clamp(-1e150, 1e150);
            }
        }
        out
    }
}
