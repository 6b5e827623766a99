//! Tests of whole rows: many columns at once.

use gauntlet_drift::{MMD_SHUFFLES, Matrix, domain_auc, mmd};

use super::columns::{Body, Cells, NONE};
use super::config::DriftConfig;
use crate::facts::MetricFact;

/// Rows of each side that the kernel test sees.
const KERNEL_ROWS: usize = 400;
/// Rows of each side that the classifier sees.
const CLASSIFIER_ROWS: usize = 2_500;
/// Categories of a column that the classifier sees.
const CATEGORIES: usize = 8;
/// Columns of the classifier's matrix.
const MAX_WIDTH: usize = 100;

/// A numeric column in the chosen rows.
#[derive(Debug)]
struct Numbers {
    moments: (f64, f64),
    reference: Vec<f64>,
    current: Vec<f64>,
}

/// A fixed hash of a number.
pub(super) fn hash(x: u64) -> u64 {
    let z = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Which rows stand for a table: one out of each of `wanted` equal stretches, or the first ones.
pub(super) fn chosen(rows: u64, wanted: usize, first: bool) -> Vec<usize> {
    let rows = usize::try_from(rows).unwrap_or(usize::MAX);
    if first || rows <= wanted {
        return (0..rows.min(wanted)).collect();
    }
    (0..wanted)
        .map(|i| {
            let (start, end) = (
                (i as u128 * rows as u128 / wanted as u128) as usize,
                ((i + 1) as u128 * rows as u128 / wanted as u128) as usize,
            );
            start + (hash(i as u64) % (end - start).max(1) as u64) as usize
        })
        .collect()
}

/// Cells of some columns in some rows, kept until all columns were read.
#[derive(Debug, Default)]
pub(super) struct Sampled {
    /// Numeric columns: mean and deviation of the whole reference; the cells of both sides, NaN where none.
    numbers: Vec<Numbers>,
    /// One column for each frequent category: 0 or 1.
    indicators: Vec<(Vec<f64>, Vec<f64>)>,
}

impl Sampled {
    /// Keeps the chosen rows of a column.
    pub(super) fn keep(&mut self, reference: &Cells, current: &Cells, rows: &(Vec<usize>, Vec<usize>)) {
        match (&reference.body, &current.body) {
            (Body::Numbers(a), Body::Numbers(b)) => {
                let pick = |values: &[f64], rows: &[usize]| {
                    rows.iter().map(|&row| values.get(row).copied().unwrap_or(f64::NAN)).collect::<Vec<f64>>()
                };
                if let (Some(moments), true) = (moments(a), self.numbers.len() < MAX_WIDTH) {
                    self.numbers.push(Numbers { moments, reference: pick(a, &rows.0), current: pick(b, &rows.1) });
                }
            }
            (Body::Words(a), Body::Words(b)) if a.names.len() <= 50 && self.indicators.len() < MAX_WIDTH => {
                let mut order: Vec<(u64, &String)> = a.counts.iter().copied().zip(&a.names).collect();
                order.sort_by(|x, y| y.0.cmp(&x.0).then_with(|| x.1.cmp(y.1)));
                for (_, name) in order.into_iter().take(CATEGORIES) {
                    let column = |words: &super::columns::Words, rows: &[usize]| {
                        let code = words.names.iter().position(|n| n == name).map_or(NONE, |i| i as u32);
                        let hit = |row: &usize| words.codes.get(*row).is_some_and(|c| *c == code && code != NONE);
                        rows.iter().map(|row| f64::from(u8::from(hit(row)))).collect::<Vec<f64>>()
                    };
                    self.indicators.push((column(a, &rows.0), column(b, &rows.1)));
                }
            }
            _ => {}
        }
    }

    /// The metrics of the table as a whole.
    pub(super) fn metrics(&self, config: &DriftConfig) -> Vec<MetricFact> {
        let mut out = Vec::new();
        let mut add = |name: &str, value: f64| {
            out.push(MetricFact {
                name: name.to_owned(),
                value: Some(value).filter(|x| x.is_finite()),
                interval: None,
            });
        };
        let standard = |(mean, deviation): (f64, f64), x: &f64| {
            let scale = if deviation > 0.0 { deviation } else { 1.0 };
            // A cell without a number stands at the mean: nulls have a metric of their own.
            if x.is_finite() { ((x - mean) / scale).clamp(-1e6, 1e6) } else { 0.0 }
        };
        let standardised = |column: &Numbers, values: &[f64]| -> Vec<f64> {
            values.iter().map(|x| standard(column.moments, x)).collect()
        };
        let numbers: Vec<(Vec<f64>, Vec<f64>)> =
            self.numbers.iter().map(|c| (standardised(c, &c.reference), standardised(c, &c.current))).collect();
        let kernel_rows = config.sample_rows.unwrap_or(KERNEL_ROWS).min(2_000);
        if let (Some(a), Some(b)) = (matrix(numbers.iter().map(|(a, _)| a)), matrix(numbers.iter().map(|(_, b)| b))) {
            let (a, b) = if config.sample_first {
                (a.head(kernel_rows), b.head(kernel_rows))
            } else {
                (spread(&a, kernel_rows), spread(&b, kernel_rows))
            };
            if let Some(test) = mmd(&a, &b, MMD_SHUFFLES) {
                add("mmd", test.unbiased);
                add("mmd_p", test.p.unwrap_or(f64::NAN));
            }
        }
        let both: Vec<&(Vec<f64>, Vec<f64>)> = numbers.iter().chain(&self.indicators).take(MAX_WIDTH).collect();
        if let (Some(a), Some(b)) = (matrix(both.iter().map(|c| &c.0)), matrix(both.iter().map(|c| &c.1)))
            && let Some(auc) = domain_auc(&a, &b)
        {
            if let Some(logistic) = auc.logistic {
                add("classifier_auc", logistic);
            }
            add("classifier_auc_trees", auc.trees);
        }
        out
    }
}

/// How many rows are kept of each side.
pub(super) fn kept_rows(config: &DriftConfig) -> usize {
    config.sample_rows.unwrap_or(CLASSIFIER_ROWS).clamp(KERNEL_ROWS, 10_000)
}

fn spread(matrix: &Matrix, rows: usize) -> Matrix {
    let chosen = chosen(matrix.len() as u64, rows, false);
    let cells = chosen.iter().filter_map(|&row| matrix.rows().nth(row)).flatten().copied().collect();
    Matrix::new(matrix.width(), cells).unwrap_or_else(|_| matrix.clone())
}

/// Columns side by side as rows.
fn matrix<'a>(columns: impl Iterator<Item = &'a Vec<f64>>) -> Option<Matrix> {
    let columns: Vec<&Vec<f64>> = columns.collect();
    let rows = columns.first()?.len();
    let cells = (0..rows).flat_map(|row| columns.iter().map(move |c| c.get(row).copied().unwrap_or(0.0))).collect();
    Matrix::new(columns.len(), cells).ok()
}

fn moments(values: &[f64]) -> Option<(f64, f64)> {
    let finite = || values.iter().copied().filter(|x| x.is_finite());
    let n = finite().count() as f64;
    if n == 0.0 {
        return None;
    }
    let mean = finite().map(|x| x / n).sum::<f64>();
    Some((mean, (finite().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_rows_are_spread_and_distinct() {
        let rows = chosen(1_000_003, 400, false);
        assert_eq!(rows.len(), 400);
        assert!(rows.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(rows[399] > 990_000 && rows[399] < 1_000_003);
        assert_eq!(chosen(3, 400, false), [0, 1, 2]);
        assert_eq!(chosen(10, 4, true), [0, 1, 2, 3]);
    }
}
