//! Columns of vectors: their mean, and a sample of rows for tests of all dimensions at once.

use std::collections::BTreeMap;

use gauntlet_drift::{MMD_SHUFFLES, Matrix, domain_auc, mmd};

use super::rows::hash;

/// Rows that are kept; those with the smallest hash of their number, so that the choice depends on nothing else.
const KEPT: usize = 1_000;
/// Rows of each side in the test with permutations.
const TESTED: usize = 400;
/// Numbers that are kept.
const MAX_NUMBERS: usize = 4_000_000;
/// Dimensions that the domain classifier sees: random directions beyond that.
const MAX_DIMENSIONS: usize = 64;

/// Vectors of one width.
#[derive(Clone, Debug, Default)]
pub(super) struct Vectors {
    row: u64,
    width: Option<usize>,
    /// Rows of another width, or with a cell that is not finite.
    pub(super) unusable: u64,
    pub(super) used: u64,
    mean: Vec<f64>,
    squares: Vec<f64>,
    /// Hash of the row's number and the number to the row.
    kept: BTreeMap<(u64, u64), Vec<f64>>,
}

impl Vectors {
    pub(super) fn push(&mut self, vector: Option<&[f64]>) {
        let row = self.row;
        self.row += 1;
        let Some(vector) = vector else { return };
        let width = *self.width.get_or_insert(vector.len());
        if vector.len() != width || width == 0 || vector.iter().any(|x| !x.is_finite()) {
            self.unusable += 1;
            return;
        }
        if self.mean.is_empty() {
            self.mean = vec![0.0; width];
            self.squares = vec![0.0; width];
        }
        self.used += 1;
        let n = self.used as f64;
        for ((mean, square), x) in self.mean.iter_mut().zip(&mut self.squares).zip(vector) {
            let before = x - *mean;
            *mean += before / n;
            *square += before * (x - *mean);
        }
        let key = (hash(row), row);
        let room = KEPT.min(MAX_NUMBERS / width.max(1)).max(20);
        if self.kept.len() < room || self.kept.last_key_value().is_some_and(|(last, _)| key < *last) {
            self.kept.insert(key, vector.to_vec());
            if self.kept.len() > room {
                self.kept.pop_last();
            }
        }
    }

    fn sample(&self, rows: usize, project: &dyn Fn(&[f64]) -> Vec<f64>) -> Option<Matrix> {
        let mut width = 0;
        let mut cells = Vec::new();
        for row in self.kept.values().take(rows) {
            let row = project(row);
            width = row.len();
            cells.extend(row);
        }
        Matrix::new(width.max(1), cells).ok()
    }
}

/// What differs between two columns of vectors; empty when they cannot be compared.
pub(super) fn compare(reference: &Vectors, current: &Vectors) -> Result<Vec<(&'static str, f64)>, String> {
    let (Some(width), Some(other)) = (reference.width, current.width) else {
        return Err("no vectors on one side".to_owned());
    };
    if width != other {
        return Err(format!("vectors of {width} and of {other} numbers"));
    }
    let n = (reference.used.max(1)) as f64;
    let spread = (reference.squares.iter().sum::<f64>() / n).sqrt();
    let moved = reference.mean.iter().zip(&current.mean).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    let mut out = vec![("mean_shift", moved / spread.max(1e-12))];
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let norms = (dot(&reference.mean, &reference.mean) * dot(&current.mean, &current.mean)).sqrt();
    if norms > 0.0 {
        out.push(("mean_cosine", dot(&reference.mean, &current.mean) / norms));
    }
    let moments: Vec<(f64, f64)> =
        reference.mean.iter().zip(&reference.squares).map(|(mean, square)| (*mean, (square / n).sqrt())).collect();
    let whole = |row: &[f64]| row.to_vec();
    if let (Some(a), Some(b)) = (reference.sample(TESTED, &whole), current.sample(TESTED, &whole))
        && let Some(test) = mmd(&a.standardised(&moments), &b.standardised(&moments), MMD_SHUFFLES)
    {
        out.push(("mmd", test.unbiased));
        out.extend(test.p.map(|p| ("mmd_p", p)));
    }
    let project = |row: &[f64]| projected(row);
    if let (Some(a), Some(b)) = (reference.sample(KEPT, &project), current.sample(KEPT, &project))
        && let Some(auc) = domain_auc(&a, &b)
    {
        out.push(("classifier_auc", auc.logistic.map_or(auc.trees, |logistic| logistic.max(auc.trees))));
    }
    Ok(out)
}

/// Sums with fixed random signs where there are too many dimensions (Achlioptas 2003).
fn projected(row: &[f64]) -> Vec<f64> {
    if row.len() <= MAX_DIMENSIONS {
        return row.to_vec();
    }
    let scale = 1.0 / (row.len() as f64).sqrt();
    let mut out = vec![0.0; MAX_DIMENSIONS];
    for (i, x) in row.iter().enumerate() {
        let signs = hash(i as u64);
        for (j, sum) in out.iter_mut().enumerate() {
            *sum += if signs >> j & 1 == 1 { x * scale } else { -x * scale };
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors(shift: f64, seed: u64) -> Vectors {
        let mut out = Vectors::default();
        for row in 0..500 {
            let cell = |i: u64| (hash(row * 1_000 + i + seed * 1_000_000) >> 11) as f64 / (1_u64 << 53) as f64 + shift;
            out.push(Some(&(0..100).map(cell).collect::<Vec<_>>()));
        }
        out
    }

    #[test]
    fn a_shift_of_all_dimensions_is_seen_and_its_absence_too() {
        let value = |metrics: &[(&str, f64)], name: &str| metrics.iter().find(|(n, _)| *n == name).unwrap().1;
        let same = compare(&vectors(0.0, 1), &vectors(0.0, 2)).unwrap();
        assert!(value(&same, "mmd_p") > 0.02 && value(&same, "classifier_auc") < 0.58, "{same:?}");
        let moved = compare(&vectors(0.0, 1), &vectors(0.1, 2)).unwrap();
        assert!(value(&moved, "mmd_p") < 0.01 && value(&moved, "classifier_auc") > 0.7, "{moved:?}");
    }

    #[test]
    fn other_widths_and_broken_rows_are_told() {
        let mut broken = Vectors::default();
        broken.push(Some(&[1.0, f64::NAN]));
        broken.push(None);
        assert_eq!((broken.used, broken.unusable), (0, 1));
        let mut other = Vectors::default();
        other.push(Some(&[1.0, 2.0, 3.0]));
        assert_eq!(compare(&other, &broken).unwrap_err(), "vectors of 3 and of 2 numbers");
    }
}
