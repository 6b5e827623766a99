//! The domain classifier: can a model tell the rows of the current batch from those of the reference? Its area under the ROC curve is .5 when not.
//!
//! Two small learners, both without randomness beyond the fixed folds: ridge logistic regression on standardised columns, which sees shifts,
//! and boosted regression trees on binned columns, which see scales and interactions. The scores that are judged are out of fold.

use serde::{Deserialize, Serialize};

use crate::matrix::Matrix;
use crate::random::Sequence;

/// Folds of the cross-validation.
pub const AUC_FOLDS: usize = 5;

const RIDGE: f64 = 1.0;
const NEWTON_STEPS: usize = 15;
const ROUNDS: usize = 40;
const LEARNING_RATE: f64 = 0.1;
const DEPTH: usize = 3;
const TREE_BINS: usize = 32;
const MIN_LEAF: f64 = 20.0;
/// Logistic regression solves a system of this size at most.
const MAX_LOGISTIC_WIDTH: usize = 128;

/// Areas under the curve, five-fold; .5 when the rows cannot be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DomainAuc {
    /// Of logistic regression; `None` above 128 columns.
    pub logistic: Option<f64>,
    /// Of boosted trees.
    pub trees: f64,
}

/// Trains both learners; `None` with fewer than five rows on a side or different widths.
#[must_use]
pub fn domain_auc(reference: &Matrix, current: &Matrix) -> Option<DomainAuc> {
    let (n, m) = (reference.len(), current.len());
    if n < AUC_FOLDS || m < AUC_FOLDS || reference.width() != current.width() {
        return None;
    }
    let moments = reference.moments();
    let (a, b) = (reference.standardised(&moments), current.standardised(&moments));
    let rows: Vec<&[f64]> = a.rows().chain(b.rows()).collect();
    let labels: Vec<bool> = (0..n + m).map(|i| i >= n).collect();
    let folds = folds(n, m);
    let columns = binned(&rows, reference.width());
    let narrow = reference.width() <= MAX_LOGISTIC_WIDTH;
    let (mut trees, mut linear) = (vec![0.0; rows.len()], vec![0.0; rows.len()]);
    for fold in 0..AUC_FOLDS {
        let training: Vec<usize> = (0..rows.len()).filter(|&i| folds.get(i) != Some(&fold)).collect();
        let model = boost(&columns, &labels, &training);
        let weights = if narrow { logistic(&rows, &labels, &training) } else { Vec::new() };
        for i in (0..rows.len()).filter(|&i| folds.get(i) == Some(&fold)) {
            if let Some(score) = trees.get_mut(i) {
                *score = model.iter().map(|tree| tree.score(&columns, i)).sum();
            }
            if let (Some(score), Some(row)) = (linear.get_mut(i), rows.get(i)) {
                *score = dot(&weights, row);
            }
        }
    }
    Some(DomainAuc { logistic: narrow.then(|| auc(&linear, &labels)), trees: auc(&trees, &labels) })
}

/// Fold of each row: every class is dealt out in a fixed shuffled order.
fn folds(n: usize, m: usize) -> Vec<usize> {
    let mut sequence = Sequence::new(0x666f_6c64);
    let mut out = Vec::with_capacity(n + m);
    for size in [n, m] {
        let mut order: Vec<usize> = (0..size).map(|i| i % AUC_FOLDS).collect();
        sequence.shuffle(&mut order);
        out.extend(order);
    }
    out
}

/// Area under the ROC curve: the share of pairs in the right order, ties half.
fn auc(scores: &[f64], labels: &[bool]) -> f64 {
    let mut order: Vec<(f64, bool)> = scores.iter().copied().zip(labels.iter().copied()).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut pairs, mut positives) = (0.0, 0.0, 0.0);
    let mut rest = order.as_slice();
    while let Some(&(score, _)) = rest.first() {
        let (ties, tail) = rest.split_at(rest.iter().take_while(|(s, _)| *s <= score).count().max(1));
        let up = ties.iter().filter(|(_, label)| *label).count() as f64;
        let down = ties.len() as f64 - up;
        pairs += up * (below + 0.5 * down);
        below += down;
        positives += up;
        rest = tail;
    }
    if below * positives == 0.0 { 0.5 } else { pairs / (below * positives) }
}

// === logistic regression ===

fn dot(weights: &[f64], row: &[f64]) -> f64 {
    let (bias, weights) = weights.split_last().map_or((0.0, weights), |(bias, rest)| (*bias, rest));
    bias + weights.iter().zip(row).map(|(w, x)| w * x.clamp(-CLIP, CLIP)).sum::<f64>()
}

/// Standardised values beyond this only say "far".
const CLIP: f64 = 10.0;

/// Weights and last the bias, by damped Newton steps.
fn logistic(rows: &[&[f64]], labels: &[bool], training: &[usize]) -> Vec<f64> {
    let width = rows.first().map_or(0, |row| row.len()) + 1;
    let mut weights = vec![0.0; width];
    let mut extended = vec![1.0; width];
    for _ in 0..NEWTON_STEPS {
        let mut gradient: Vec<f64> = weights.iter().map(|w| RIDGE * w).collect();
        let mut hessian = vec![0.0; width * width];
        for row in hessian.chunks_exact_mut(width).enumerate() {
            let (i, cells) = row;
            if let Some(cell) = cells.get_mut(i) {
                *cell = RIDGE;
            }
        }
        for &i in training {
            let (Some(row), Some(&label)) = (rows.get(i), labels.get(i)) else { continue };
            for (to, from) in extended.iter_mut().zip(row.iter()) {
                *to = from.clamp(-CLIP, CLIP);
            }
            let p = 1.0 / (1.0 + (-dot(&weights, row)).exp());
            let residual = p - f64::from(u8::from(label));
            let curvature = (p * (1.0 - p)).max(1e-9);
            for ((g, x), cells) in gradient.iter_mut().zip(&extended).zip(hessian.chunks_exact_mut(width)) {
                *g += residual * x;
                let scaled = curvature * x;
                for (cell, y) in cells.iter_mut().zip(&extended) {
                    *cell += scaled * y;
                }
            }
        }
        let Some(step) = solve(hessian, gradient, width) else { break };
        let size = step.iter().fold(0.0_f64, |a, s| a.max(s.abs()));
        // Separable classes make the first steps too long.
        let damping = if size > 5.0 { 5.0 / size } else { 1.0 };
        for (w, s) in weights.iter_mut().zip(&step) {
            *w -= damping * s;
        }
        if size < 1e-8 {
            break;
        }
    }
    weights
}

/// Solves a symmetric positive definite system by Cholesky's decomposition.
fn solve(mut a: Vec<f64>, mut b: Vec<f64>, n: usize) -> Option<Vec<f64>> {
    let at = |a: &[f64], i: usize, j: usize| a.get(i * n + j).copied().unwrap_or(0.0);
    for j in 0..n {
        for i in j..n {
            let mut sum = at(&a, i, j);
            for k in 0..j {
                sum -= at(&a, i, k) * at(&a, j, k);
            }
            let value = if i == j {
                if sum <= 0.0 || !sum.is_finite() {
                    return None;
                }
                sum.sqrt()
            } else {
                sum / at(&a, j, j)
            };
            *a.get_mut(i * n + j)? = value;
        }
    }
    for i in 0..n {
        let mut sum = *b.get(i)?;
        for k in 0..i {
            sum -= at(&a, i, k) * b.get(k)?;
        }
        *b.get_mut(i)? = sum / at(&a, i, i);
    }
    for i in (0..n).rev() {
        let mut sum = *b.get(i)?;
        for k in i + 1..n {
            sum -= at(&a, k, i) * b.get(k)?;
        }
        *b.get_mut(i)? = sum / at(&a, i, i);
    }
    Some(b)
}

// === boosted trees ===

/// Bin of each row, one vector a column.
fn binned(rows: &[&[f64]], width: usize) -> Vec<Vec<u8>> {
    (0..width)
        .map(|j| {
            let column: Vec<f64> = rows.iter().map(|row| row.get(j).copied().unwrap_or(0.0)).collect();
            let mut sorted = column.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            let mut edges: Vec<f64> =
                (1..TREE_BINS).filter_map(|i| sorted.get(i * sorted.len() / TREE_BINS)).copied().collect();
            edges.dedup();
            column.iter().map(|x| edges.partition_point(|e| e <= x) as u8).collect()
        })
        .collect()
}

/// A binary tree of fixed depth: the children of node `i` are `2i + 1` and `2i + 2`.
struct Tree {
    /// Column and first bin of the right side; `None` sends everything left.
    splits: Vec<Option<(usize, u8)>>,
    leaves: Vec<f64>,
}

impl Tree {
    fn leaf(&self, columns: &[Vec<u8>], row: usize) -> usize {
        let mut node = 0;
        for _ in 0..DEPTH {
            let right = match self.splits.get(node) {
                Some(Some((column, bin))) => columns.get(*column).and_then(|c| c.get(row)).is_some_and(|b| b >= bin),
                _ => false,
            };
            node = 2 * node + 1 + usize::from(right);
        }
        node + 1 - (1 << DEPTH)
    }

    fn score(&self, columns: &[Vec<u8>], row: usize) -> f64 {
        self.leaves.get(self.leaf(columns, row)).copied().unwrap_or(0.0)
    }
}

fn boost(columns: &[Vec<u8>], labels: &[bool], training: &[usize]) -> Vec<Tree> {
    let mut scores: Vec<f64> = vec![0.0; labels.len()];
    let mut gradients = vec![(0.0, 0.0); labels.len()];
    let mut trees = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        for &i in training {
            let p = 1.0 / (1.0 + (-scores.get(i).copied().unwrap_or(0.0)).exp());
            let label = f64::from(u8::from(labels.get(i).copied().unwrap_or(false)));
            if let Some(cell) = gradients.get_mut(i) {
                *cell = (label - p, (p * (1.0 - p)).max(1e-9));
            }
        }
        let tree = grow(columns, &gradients, training);
        for &i in training {
            if let Some(score) = scores.get_mut(i) {
                *score += tree.score(columns, i);
            }
        }
        trees.push(tree);
    }
    trees
}

fn grow(columns: &[Vec<u8>], gradients: &[(f64, f64)], training: &[usize]) -> Tree {
    let mut splits = vec![None; (1 << DEPTH) - 1];
    let mut parts = vec![training.to_vec()];
    for level in 0..DEPTH {
        let mut next = Vec::with_capacity(parts.len() * 2);
        for (k, part) in parts.into_iter().enumerate() {
            let split = best_split(columns, gradients, &part);
            if let Some(cell) = splits.get_mut((1 << level) - 1 + k) {
                *cell = split;
            }
            let right = |row: &usize| {
                split.is_some_and(|(column, bin)| {
                    columns.get(column).and_then(|c| c.get(*row)).is_some_and(|b| *b >= bin)
                })
            };
            let (high, low): (Vec<usize>, Vec<usize>) = part.into_iter().partition(right);
            next.push(low);
            next.push(high);
        }
        parts = next;
    }
    let leaf = |part: &Vec<usize>| {
        let (g, h) = sums(gradients, part);
        LEARNING_RATE * g / (h + RIDGE)
    };
    Tree { splits, leaves: parts.iter().map(leaf).collect() }
}

fn sums(gradients: &[(f64, f64)], part: &[usize]) -> (f64, f64) {
    part.iter().filter_map(|&i| gradients.get(i)).fold((0.0, 0.0), |(a, b), (g, h)| (a + g, b + h))
}

/// The split with the largest gain; the first column and bin win a tie.
fn best_split(columns: &[Vec<u8>], gradients: &[(f64, f64)], part: &[usize]) -> Option<(usize, u8)> {
    let (g, h) = sums(gradients, part);
    let gain = |g: f64, h: f64| g * g / (h + RIDGE);
    let mut best = (gain(g, h) + 1e-6, None);
    for (j, column) in columns.iter().enumerate() {
        let mut bins = [(0.0, 0.0, 0.0); TREE_BINS];
        for &i in part {
            let cell = column.get(i).and_then(|&b| bins.get_mut(usize::from(b)));
            if let (Some(cell), Some((g, h))) = (cell, gradients.get(i)) {
                *cell = (cell.0 + g, cell.1 + h, cell.2 + 1.0);
            }
        }
        let mut left = (0.0, 0.0, 0.0);
        for (b, cell) in bins.iter().enumerate().take(TREE_BINS - 1) {
            left = (left.0 + cell.0, left.1 + cell.1, left.2 + cell.2);
            if left.2 < MIN_LEAF || part.len() as f64 - left.2 < MIN_LEAF {
                continue;
            }
            let total = gain(left.0, left.1) + gain(g - left.0, h - left.1);
            if total > best.0 {
                best = (total, Some((j, b as u8 + 1)));
            }
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(seed: u64, rows: usize, scale: f64, shift: f64) -> Matrix {
        let mut sequence = Sequence::new(seed);
        let cells = (0..rows * 3).map(|_| (sequence.below(1_000_000) as f64 / 1e6 - 0.5) * scale + shift).collect();
        Matrix::new(3, cells).unwrap()
    }

    #[test]
    fn one_law_cannot_be_told_from_itself() {
        let auc = domain_auc(&sample(1, 800, 1.0, 0.0), &sample(2, 600, 1.0, 0.0)).unwrap();
        assert!((auc.trees - 0.5).abs() < 0.05 && (auc.logistic.unwrap() - 0.5).abs() < 0.05, "{auc:?}");
    }

    #[test]
    fn shifts_and_scales_are_told() {
        let reference = sample(1, 800, 1.0, 0.0);
        assert!(domain_auc(&reference, &sample(2, 600, 1.0, 0.3)).unwrap().logistic.unwrap() > 0.7);
        let scaled = domain_auc(&reference, &sample(2, 600, 2.0, 0.0)).unwrap();
        assert!(scaled.trees > 0.7 && scaled.logistic.unwrap() < 0.6, "{scaled:?}");
        assert!(domain_auc(&reference, &sample(2, 600, 1.0, 50.0)).unwrap().trees > 0.99);
    }

    #[test]
    fn few_rows_and_equal_rows_give_no_false_alarm() {
        let ones = Matrix::new(1, vec![1.0; 10]).unwrap();
        assert_eq!(domain_auc(&ones, &ones), Some(DomainAuc { logistic: Some(0.5), trees: 0.5 }));
        assert_eq!(domain_auc(&ones, &Matrix::new(1, vec![1.0; 4]).unwrap()), None);
    }

    #[test]
    fn ties_count_half() {
        assert_eq!(auc(&[1.0, 1.0], &[false, true]), 0.5);
        assert_eq!(auc(&[1.0, 2.0, 3.0], &[false, true, true]), 1.0);
        assert_eq!(auc(&[1.0], &[true]), 0.5);
    }
}
