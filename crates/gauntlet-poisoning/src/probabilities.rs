//! Predicted probabilities, one row of classes a row.

use crate::error::Error;

/// Sums of a row may differ from 1 by this much: predictions are often rounded.
const TOLERANCE: f32 = 0.02;

/// Probabilities of classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Probabilities {
    data: Vec<f32>,
    classes: usize,
}

impl Probabilities {
    /// From rows of `classes` numbers each.
    ///
    /// # Errors
    /// When the rows are not whole, a number is no probability, or a row does not sum to 1.
    pub fn new(classes: usize, data: Vec<f32>) -> Result<Self, Error> {
        if classes == 0 || !data.len().is_multiple_of(classes) {
            return Err(Error::Shape { what: "predicted probabilities", expected: classes, actual: data.len() });
        }
        for (row, values) in data.chunks_exact(classes).enumerate() {
            if values.iter().any(|v| !(-1e-6..=1.0 + 1e-6).contains(v)) {
                return Err(Error::Probability { row, what: "lie outside 0 to 1" });
            }
            if (values.iter().sum::<f32>() - 1.0).abs() > TOLERANCE {
                return Err(Error::Probability { row, what: "do not sum to 1" });
            }
        }
        Ok(Self { data, classes })
    }

    pub(crate) fn trusted(classes: usize, data: Vec<f32>) -> Self {
        Self { data, classes: classes.max(1) }
    }

    /// The mean of two voices about the same rows and classes.
    pub(crate) fn mean(&self, other: &Self) -> Self {
        let data = self.data.iter().zip(&other.data).map(|(a, b)| f32::midpoint(*a, *b)).collect();
        Self { data, classes: self.classes }
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.data.len() / self.classes
    }

    /// Number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// One row; empty when there is no such row.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f32] {
        self.data.get(row * self.classes..(row + 1) * self.classes).unwrap_or_default()
    }

    /// Probability of one class in one row; 0 when there is none.
    #[must_use]
    pub fn of(&self, row: usize, class: usize) -> f64 {
        self.row(row).get(class).map_or(0.0, |p| f64::from(*p))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_probability_is_refused() {
        assert!(Probabilities::new(2, vec![0.5, 0.5, 0.25, 0.75]).is_ok());
        for bad in [vec![0.5, 0.6], vec![-0.5, 1.5], vec![f32::NAN, 1.0], vec![1.0]] {
            assert!(Probabilities::new(2, bad).is_err());
        }
        assert!(Probabilities::new(0, vec![]).is_err());
    }
}
