//! A dense table of numbers, and how its columns are brought to one scale.

use crate::error::Error;
use crate::stats::{as_f64, quantile};

/// Rows from which the scale of a column is taken.
const SCALE_ROWS: usize = 20_000;
/// Standard deviations beyond which a scaled value lies no further: one absurd cell does not decide a distance.
const CLIP: f32 = 8.0;

/// Rows of numbers, one row after another.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    data: Vec<f32>,
    rows: usize,
    columns: usize,
}

/// How columns are made comparable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Each column on its own: centred by the mean and divided by the standard deviation of the values between the .5 % and
    /// 99.5 % quantiles, so that a few wild cells do not set the scale. For tables.
    Columns,
    /// All columns are of one unit: centred each, divided by one number. For pixels and embeddings.
    Common,
}

impl Matrix {
    /// A matrix of so many columns.
    ///
    /// # Errors
    /// When the data do not fill whole rows.
    pub fn new(columns: usize, data: Vec<f32>) -> Result<Self, Error> {
        let rows = data.len().checked_div(columns).unwrap_or(0);
        if rows * columns != data.len() {
            return Err(Error::Shape { what: "values", expected: rows * columns, actual: data.len() });
        }
        Ok(Self { data, rows, columns })
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// One row; empty when there is no such row.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f32] {
        self.data.get(row * self.columns..(row + 1) * self.columns).unwrap_or_default()
    }

    /// All rows in order.
    pub fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.data.chunks_exact(self.columns.max(1))
    }

    /// One column.
    #[must_use]
    pub fn column(&self, column: usize) -> Vec<f64> {
        self.iter().filter_map(|row| row.get(column)).map(|&v| f64::from(v)).collect()
    }

    /// These rows in this order; those that do not exist are left out.
    #[must_use]
    pub fn pick(&self, rows: &[usize]) -> Self {
        let data: Vec<f32> = rows.iter().flat_map(|&row| self.row(row)).copied().collect();
        Self { rows: data.len().checked_div(self.columns).unwrap_or(0), data, columns: self.columns }
    }

    /// Comparable columns without NaN: a missing value becomes the centre, an infinite one the bound.
    #[must_use]
    pub fn scaled(&self, scale: Scale) -> Self {
        let mut laws: Vec<(f64, f64)> = (0..self.columns).map(|column| self.law(column)).collect();
        if scale == Scale::Common {
            let varying: Vec<f64> = laws.iter().map(|law| law.1 * law.1).filter(|v| *v > 0.0).collect();
            let one = (varying.iter().sum::<f64>() / as_f64(varying.len().max(1))).sqrt();
            laws.iter_mut().for_each(|law| law.1 = one);
        }
        let mut data = Vec::with_capacity(self.data.len());
        for row in self.iter() {
            for (&value, &(centre, width)) in row.iter().zip(&laws) {
                #[expect(clippy::cast_possible_truncation, reason = "the precision of the matrix")]
                let scaled = if width > 0.0 { ((f64::from(value) - centre) / width) as f32 } else { 0.0 };
                data.push(if scaled.is_nan() { 0.0 } else { scaled.clamp(-CLIP, CLIP) });
            }
        }
        Self { data, rows: self.rows, columns: self.columns }
    }

    /// Centre and width of a column.
    fn law(&self, column: usize) -> (f64, f64) {
        let step = self.rows.div_ceil(SCALE_ROWS).max(1);
        let mut values: Vec<f64> = self
            .iter()
            .step_by(step)
            .filter_map(|row| row.get(column))
            .map(|&v| f64::from(v))
            .filter(|v| v.is_finite())
            .collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (quantile(&values, 0.005), quantile(&values, 0.995));
        let (centre, width) = moments(values.iter().map(|v| v.clamp(low, high.max(low))));
        if width > 0.0 { (centre, width) } else { moments(values.iter().copied()) }
    }
}

fn moments(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let n = as_f64(values.clone().count());
    if n == 0.0 {
        return (0.0, 0.0);
    }
    let mean = values.clone().sum::<f64>() / n;
    let width = (values.map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt();
    (mean, if width > mean.abs() * 1e-9 { width } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_have_to_fill_whole_rows() {
        assert!(Matrix::new(2, vec![1.0, 2.0, 3.0]).is_err());
        assert!(Matrix::new(0, vec![1.0]).is_err());
        assert_eq!(Matrix::new(0, Vec::new()).unwrap().rows(), 0);
    }

    #[test]
    fn wild_cells_nan_and_constants_are_tamed() {
        let mut data: Vec<f32> = (0..1000).flat_map(|i| [(i % 10) as f32, 7.0, 0.1 * (i % 3) as f32]).collect();
        data[0] = 1e30;
        data[3] = f32::NAN;
        data[6] = f32::INFINITY;
        let matrix = Matrix::new(3, data).unwrap();
        let scaled = matrix.scaled(Scale::Columns);
        assert_eq!((scaled.row(0)[0], scaled.row(1)[0], scaled.row(2)[0]), (CLIP, 0.0, CLIP));
        assert!(scaled.iter().all(|row| row[1] == 0.0));
        assert!(scaled.row(9)[0] > 1.0 && scaled.row(9)[0] < 2.0);
        let common = matrix.scaled(Scale::Common);
        assert!(common.row(9)[0] > common.row(11)[2]);
    }
}
