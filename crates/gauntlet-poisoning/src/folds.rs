//! Parts for cross-validation: every class is spread evenly.

use crate::random::Random;

/// The fold of each row, of `count` folds.
pub(crate) fn folds(labels: &[u32], classes: usize, count: usize, seed: u64) -> Vec<usize> {
    let mut out = vec![0; labels.len()];
    let mut next = 0;
    for class in 0..classes {
        let mut rows: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] as usize == class).collect();
        Random::new(seed, class as u64).shuffle(&mut rows);
        for row in rows {
            out[row] = next % count.max(1);
            next += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_spread_evenly() {
        let labels: Vec<u32> = (0..103).map(|i| u32::from(i % 5 == 0)).collect();
        let folds = folds(&labels, 2, 5, 1);
        for fold in 0..5 {
            let of = |class| folds.iter().zip(&labels).filter(|(f, l)| **f == fold && **l == class).count();
            assert!((16..=17).contains(&of(0)) && (4..=5).contains(&of(1)));
        }
    }
}
