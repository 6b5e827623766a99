//! One source of rows that differs from all others, in its labels or in a column.

use crate::error::{Error, check_labels};
use crate::matrix::Matrix;
use crate::stats::{as_f64, chi2_tail, g_test, holm};

/// Rows that a source needs.
const ROWS: usize = 30;
/// Least difference: of a class share, and of a mean in standard deviations of the rest.
const SHARE: f64 = 0.1;
const DEVIATIONS: f64 = 0.75;
const LEVEL: f64 = 1e-6;

/// What is different about a source.
#[derive(Clone, Debug, PartialEq)]
pub enum Shifted {
    /// The share of a class.
    Label {
        /// The class.
        class: u32,
        /// Its share there.
        share: f64,
        /// Its share everywhere else.
        rest: f64,
    },
    /// The mean of a column.
    Column {
        /// The column.
        column: usize,
        /// Difference of the means in standard deviations of the rest.
        deviations: f64,
    },
}

/// A source that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Shift {
    /// The source.
    pub source: u32,
    /// What differs.
    pub what: Shifted,
    /// Holm-adjusted p-value.
    pub p: f64,
}

/// Compares each source with all others, and names the one that differs most in its labels and in each column. `sources` are numbered from 0 to `count`; the matrix may hold NaN.
///
/// # Errors
/// Sources or labels that are not one a row.
pub fn shifts(
    matrix: &Matrix,
    sources: &[u32],
    count: usize,
    labels: &[u32],
    classes: usize,
) -> Result<Vec<Shift>, Error> {
    check_labels(sources, matrix.rows(), count)?;
    check_labels(labels, matrix.rows(), classes)?;
    let mut sizes = vec![0usize; count];
    let mut by_class = vec![vec![0.0; classes]; count];
    for (&source, &label) in sources.iter().zip(labels) {
        sizes[source as usize] += 1;
        by_class[source as usize][label as usize] += 1.0;
    }
    let mut found = Vec::new();
    let mut tests = 0;
    for source in (0..count).filter(|&s| sizes[s] >= ROWS && matrix.rows() - sizes[s] >= ROWS) {
        let rest: Vec<f64> =
            (0..classes).map(|class| (0..count).filter(|&s| s != source).map(|s| by_class[s][class]).sum()).collect();
        let (_, p) = g_test(&by_class[source], &rest);
        tests += 1;
        let (own, other) = (as_f64(sizes[source]), rest.iter().sum::<f64>());
        let difference = |class: usize| by_class[source][class] / own - rest[class] / other;
        let most = (0..classes).max_by(|&a, &b| difference(a).abs().total_cmp(&difference(b).abs()).then(b.cmp(&a)));
        if let Some(class) = most.filter(|&class| difference(class).abs() >= SHARE) {
            let (share, rest) = (by_class[source][class] / own, rest[class] / other);
            found.push((source, Shifted::Label { class: u32::try_from(class).unwrap_or(0), share, rest }, p));
        }
        for column in 0..matrix.columns() {
            let mut sums = [[0.0; 3]; 2];
            for (row, &of) in matrix.iter().zip(sources) {
                let value = f64::from(row[column]);
                if value.is_finite() {
                    let sum = &mut sums[usize::from(of as usize != source)];
                    sum[0] += 1.0;
                    sum[1] += value;
                    sum[2] += value * value;
                }
            }
            tests += 1;
            let law = |[n, sum, squares]: [f64; 3]| (sum / n, (squares / n - (sum / n) * (sum / n)).max(0.0));
            let ((mean, variance), (rest, rest_variance)) = (law(sums[0]), law(sums[1]));
            if sums[0][0] < as_f64(ROWS) || sums[1][0] < as_f64(ROWS) || rest_variance <= 0.0 {
                continue;
            }
            let deviations = (mean - rest) / rest_variance.sqrt();
            let error = (variance / sums[0][0] + rest_variance / sums[1][0]).sqrt();
            if deviations.abs() >= DEVIATIONS {
                let z = (mean - rest) / error.max(1e-300);
                found.push((source, Shifted::Column { column, deviations }, chi2_tail(z * z, 1.0)));
            }
        }
    }
    let p: Vec<f64> = found.iter().map(|f| f.2).collect();
    let adjusted = holm(&p, tests);
    let all = found.into_iter().zip(adjusted);
    #[expect(clippy::cast_possible_truncation, reason = "sources are few")]
    let shift = |((source, what, _), p): ((usize, Shifted, f64), f64)| Shift { source: source as u32, what, p };
    let kept: Vec<Shift> = all.map(shift).filter(|s| s.p <= LEVEL).collect();
    // Where one source differs, every other one differs from a rest that holds it: only the strongest is named.
    let stronger = |a: &Shift, b: &Shift| same_subject(&a.what, &b.what) && size(&b.what) > size(&a.what);
    Ok(kept.iter().filter(|a| !kept.iter().any(|b| stronger(a, b))).cloned().collect())
}

fn same_subject(a: &Shifted, b: &Shifted) -> bool {
    match (a, b) {
        (Shifted::Label { .. }, Shifted::Label { .. }) => true,
        (Shifted::Column { column: a, .. }, Shifted::Column { column: b, .. }) => a == b,
        _ => false,
    }
}

fn size(what: &Shifted) -> f64 {
    match what {
        Shifted::Label { share, rest, .. } => (share - rest).abs(),
        Shifted::Column { deviations, .. } => deviations.abs(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn the_source_that_moved_is_named_and_the_others_are_not() {
        let mut random = Random::new(13, 0);
        let sources: Vec<u32> = (0..600).map(|i| i % 4).collect();
        let labels: Vec<u32> =
            sources.iter().map(|&s| u32::from(random.unit() < if s == 2 { 0.8 } else { 0.3 })).collect();
        let data: Vec<f32> = sources
            .iter()
            .flat_map(|&s| [random.unit() as f32, (random.unit() + if s == 1 { 0.6 } else { 0.0 }) as f32])
            .collect();
        let found = shifts(&Matrix::new(2, data).unwrap(), &sources, 4, &labels, 2).unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(matches!(found[0], Shift { source: 1, what: Shifted::Column { column: 1, .. }, .. }));
        assert!(matches!(found[1], Shift { source: 2, what: Shifted::Label { .. }, .. }));
    }

    #[test]
    fn equal_sources_are_silent() {
        let mut random = Random::new(14, 0);
        let data: Vec<f32> = (0..800).map(|_| random.unit() as f32).collect();
        let sources: Vec<u32> = (0..800).map(|i| i % 5).collect();
        let labels: Vec<u32> = (0..800).map(|_| u32::from(random.unit() < 0.4)).collect();
        assert!(shifts(&Matrix::new(1, data).unwrap(), &sources, 5, &labels, 2).unwrap().is_empty());
    }
}
