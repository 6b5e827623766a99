//! Confident learning (Northcutt, Jiang and Chuang, 2021): the joint distribution of given and true labels, and which rows
//! carry the errors.

use crate::error::{Error, check_labels};
use crate::probabilities::Probabilities;
use crate::stats::as_f64;

/// Counts by given label, then likely true label.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfidentJoint {
    counts: Vec<Vec<usize>>,
}

impl ConfidentJoint {
    /// Rows given `given` that are likely `truth`.
    #[must_use]
    pub fn of(&self, given: usize, truth: usize) -> usize {
        self.counts.get(given).and_then(|row| row.get(truth)).copied().unwrap_or(0)
    }

    /// Number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.counts.len()
    }
}

/// Mean probability of each class among the rows that are labelled so; 1 for a class without rows, which nothing reaches.
///
/// # Errors
/// Labels that are not one a row.
pub fn thresholds(labels: &[u32], predicted: &Probabilities) -> Result<Vec<f64>, Error> {
    check_labels(labels, predicted.rows(), predicted.classes())?;
    let mut sums = vec![(0.0, 0usize); predicted.classes()];
    for (row, &label) in labels.iter().enumerate() {
        let sum = &mut sums[label as usize];
        sum.0 += predicted.of(row, label as usize);
        sum.1 += 1;
    }
    Ok(sums.into_iter().map(|(sum, n)| if n == 0 { 1.0 } else { sum / as_f64(n) }).collect())
}

/// The confident joint, calibrated so that each row sums to the number of rows with that label.
///
/// # Errors
/// Labels that are not one a row.
pub fn confident_joint(labels: &[u32], predicted: &Probabilities) -> Result<ConfidentJoint, Error> {
    let thresholds = thresholds(labels, predicted)?;
    let classes = predicted.classes();
    let mut counts = vec![vec![0usize; classes]; classes];
    let mut given = vec![0usize; classes];
    for (row, &label) in labels.iter().enumerate() {
        given[label as usize] += 1;
        let reached = |class: usize| predicted.of(row, class) >= thresholds[class] - 1e-6;
        let best = (0..classes)
            .filter(|&class| reached(class))
            .max_by(|&a, &b| predicted.of(row, a).total_cmp(&predicted.of(row, b)).then(b.cmp(&a)));
        if let Some(best) = best {
            counts[label as usize][best] += 1;
        }
    }
    for (class, row) in counts.iter_mut().enumerate() {
        row[class] = row[class].max(1);
        calibrate(row, given[class]);
    }
    Ok(ConfidentJoint { counts })
}

/// Rows whose label is likely wrong, in order ("prune by noise rate"): of each pair of labels as many as the joint counts,
/// those with the largest margin, where the label given is not the one that is predicted.
///
/// # Errors
/// Labels that are not one a row.
pub fn label_issues(labels: &[u32], predicted: &Probabilities) -> Result<Vec<usize>, Error> {
    let joint = confident_joint(labels, predicted)?;
    let classes = predicted.classes();
    let mut out = vec![false; labels.len()];
    for given in 0..classes {
        let rows: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] as usize == given).collect();
        if rows.len() <= 1 {
            continue;
        }
        for truth in (0..classes).filter(|&c| c != given) {
            let wanted = joint.of(given, truth).min(rows.len());
            if wanted == 0 {
                continue;
            }
            let margin = |row: usize| predicted.of(row, truth) - predicted.of(row, given);
            let mut margins: Vec<f64> = rows.iter().map(|&row| margin(row)).collect();
            margins.sort_by(|a, b| b.total_cmp(a));
            let cut = margins.get(wanted).copied().unwrap_or(f64::NEG_INFINITY);
            rows.iter().filter(|&&row| margin(row) > cut).for_each(|&row| out[row] = true);
        }
    }
    Ok((0..labels.len()).filter(|&row| out[row] && best(predicted, row) != labels[row] as usize).collect())
}

/// The first of the most likely classes.
fn best(predicted: &Probabilities, row: usize) -> usize {
    let better = |a: usize, b: usize| if predicted.of(row, b) > predicted.of(row, a) { b } else { a };
    (1..predicted.classes()).fold(0, better)
}

/// Scales counts to a total; what rounding leaves goes to the largest remainders.
fn calibrate(row: &mut [usize], total: usize) {
    let sum = as_f64(row.iter().sum::<usize>().max(1));
    let exact: Vec<f64> = row.iter().map(|&n| as_f64(n) * as_f64(total) / sum).collect();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the number of rows")]
    for (n, exact) in row.iter_mut().zip(&exact) {
        *n = exact.floor() as usize;
    }
    let left = total.saturating_sub(row.iter().sum());
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|&a, &b| exact[b].fract().total_cmp(&exact[a].fract()).then(a.cmp(&b)));
    order.into_iter().take(left).for_each(|i| row[i] += 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_flipped_row_is_found_and_sure_ones_are_not() {
        let mut p = Vec::new();
        for i in 0..20 {
            p.extend(if i % 2 == 0 { [0.9, 0.1] } else { [0.1, 0.9] });
        }
        let predicted = Probabilities::new(2, p).unwrap();
        let mut labels: Vec<u32> = (0..20).map(|i| i % 2).collect();
        assert!(label_issues(&labels, &predicted).unwrap().is_empty());
        labels[4] = 1;
        assert_eq!(label_issues(&labels, &predicted).unwrap(), [4]);
        let joint = confident_joint(&labels, &predicted).unwrap();
        assert_eq!((joint.of(1, 0), joint.of(0, 1)), (1, 0));
        assert_eq!((0..2).map(|t| joint.of(1, t)).sum::<usize>(), 11);
    }

    #[test]
    fn empty_classes_and_wrong_lengths() {
        let predicted = Probabilities::new(3, vec![0.8, 0.1, 0.1, 0.2, 0.7, 0.1]).unwrap();
        assert!(label_issues(&[0, 1], &predicted).unwrap().is_empty());
        assert!(label_issues(&[0], &predicted).is_err());
        assert!(label_issues(&[0, 3], &predicted).is_err());
    }
}
