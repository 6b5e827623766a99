//! Columns that give the label away.

use std::collections::BTreeMap;

use crate::error::{Error, check_labels};
use crate::stats::{as_f64, auc};

/// The largest area under the ROC curve of one numeric column against one class, either direction. NaN is left out; `None`
/// when fewer than 20 values or one class are left.
///
/// # Errors
/// Labels that are not one a value.
pub fn column_auc(values: &[f64], labels: &[u32], classes: usize) -> Result<Option<f64>, Error> {
    check_labels(labels, values.len(), classes)?;
    let kept: Vec<usize> = (0..values.len()).filter(|&i| !values[i].is_nan()).collect();
    if kept.len() < 20 {
        return Ok(None);
    }
    let scores: Vec<f64> = kept.iter().map(|&i| values[i]).collect();
    let mut best: Option<f64> = None;
    for class in 0..classes {
        let truth: Vec<bool> = kept.iter().map(|&i| labels[i] as usize == class).collect();
        let of = truth.iter().filter(|t| **t).count();
        // A class of a handful of rows is separated by chance.
        if of >= 5 && truth.len() - of >= 5 {
            let area = auc(&scores, &truth);
            best = Some(best.map_or(0.0, |b: f64| b).max(area.max(1.0 - area)));
        }
    }
    Ok(best)
}

/// How much of what there is to know of the label a column's values (as codes) tell: their mutual information divided by the
/// entropy of the label. 1 when the value settles the label, whatever else it says. It is for columns of few values: an id that is
/// different in every row settles everything.
///
/// # Errors
/// Labels that are not one a value.
pub fn told(codes: &[u64], labels: &[u32], classes: usize) -> Result<f64, Error> {
    check_labels(labels, codes.len(), classes)?;
    let mut joint: BTreeMap<(u64, u32), usize> = BTreeMap::new();
    let mut by_code: BTreeMap<u64, usize> = BTreeMap::new();
    let mut by_label: BTreeMap<u32, usize> = BTreeMap::new();
    for (&code, &label) in codes.iter().zip(labels) {
        *joint.entry((code, label)).or_default() += 1;
        *by_code.entry(code).or_default() += 1;
        *by_label.entry(label).or_default() += 1;
    }
    let n = as_f64(codes.len().max(1));
    let entropy =
        |counts: &mut dyn Iterator<Item = usize>| -> f64 { counts.map(|c| as_f64(c) / n).map(|p| -p * p.ln()).sum() };
    let (x, y, both) = (
        entropy(&mut by_code.values().copied()),
        entropy(&mut by_label.values().copied()),
        entropy(&mut joint.values().copied()),
    );
    Ok(if y > 1e-12 { ((x + y - both) / y).clamp(0.0, 1.0) } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_noisy_copy_of_the_label_leaks_and_an_id_does_not() {
        let labels: Vec<u32> = (0..200).map(|i| u32::from(i % 7 < 2)).collect();
        let copy: Vec<f64> = labels.iter().enumerate().map(|(i, l)| f64::from(*l) + (i % 5) as f64 * 0.01).collect();
        let id: Vec<f64> = (0..200).map(f64::from).collect();
        assert_eq!(column_auc(&copy, &labels, 2).unwrap(), Some(1.0));
        assert!(column_auc(&id, &labels, 2).unwrap().unwrap() < 0.6);
        assert_eq!(column_auc(&[f64::NAN; 200], &labels, 2).unwrap(), None);
        let codes: Vec<u64> = labels.iter().map(|l| u64::from(*l) + 40).collect();
        assert!(told(&codes, &labels, 2).unwrap() > 0.999);
        // Four states, two of each label.
        let finer: Vec<u64> = labels.iter().enumerate().map(|(i, l)| u64::from(*l) * 2 + i as u64 % 2).collect();
        assert!(told(&finer, &labels, 2).unwrap() > 0.999);
        let other: Vec<u64> = (0..200).map(|i| i % 4).collect();
        assert!(told(&other, &labels, 2).unwrap() < 0.1);
        assert_eq!(told(&[1; 200], &labels, 2).unwrap(), 0.0);
    }
}
