//! Isolation forest (Liu, Ting and Zhou, 2008): rows that random cuts separate early.

use rayon::prelude::*;

use crate::matrix::Matrix;
use crate::random::Random;
use crate::stats::as_f64;

const TREES: u64 = 100;
const SAMPLE: usize = 256;

enum Node {
    Cut { column: usize, at: f32, low: usize, high: usize },
    Leaf { depth: f64 },
}

/// Score of each row in (0, 1); about .5 for ordinary rows, near 1 for isolated ones. NaN is below every cut.
#[must_use]
pub fn isolation_forest(matrix: &Matrix, seed: u64) -> Vec<f64> {
    let n = matrix.rows();
    if n < 2 || matrix.columns() == 0 {
        return vec![0.5; n];
    }
    let seeds: Vec<u64> = (0..TREES).collect();
    let trees: Vec<Vec<Node>> = seeds.par_iter().map(|&tree| grow(matrix, seed, tree)).collect();
    let usual = expected(n.min(SAMPLE));
    let rows: Vec<usize> = (0..n).collect();
    rows.par_iter()
        .map(|&row| {
            let mean = trees.iter().map(|tree| depth(tree, matrix.row(row))).sum::<f64>() / as_f64(trees.len());
            (-mean / usual * std::f64::consts::LN_2).exp()
        })
        .collect()
}

/// Mean depth of an unsuccessful search in a random binary tree of `n` leaves.
fn expected(n: usize) -> f64 {
    match n {
        0 | 1 => 0.0,
        2 => 1.0,
        _ => {
            let m = as_f64(n - 1);
            2.0 * (m.ln() + 0.577_215_664_901_532_9) - 2.0 * m / as_f64(n)
        }
    }
}

fn grow(matrix: &Matrix, seed: u64, tree: u64) -> Vec<Node> {
    let mut random = Random::new(seed, 1_000 + tree);
    let n = matrix.rows();
    // Without repetition (Floyd).
    let mut chosen = std::collections::BTreeSet::new();
    for last in n - n.min(SAMPLE)..n {
        let row = random.below(last + 1);
        if !chosen.insert(row) {
            chosen.insert(last);
        }
    }
    let sample: Vec<usize> = chosen.into_iter().collect();
    let deepest = usize::try_from(sample.len().max(2).next_power_of_two().ilog2()).unwrap_or(8);
    let mut nodes = vec![Node::Leaf { depth: 0.0 }];
    let mut open = vec![(0, sample, 0)];
    while let Some((node, rows, depth)) = open.pop() {
        nodes[node] = match cut(matrix, &rows, &mut random).filter(|_| depth < deepest) {
            None => Node::Leaf { depth: as_f64(depth) + expected(rows.len()) },
            Some((column, at)) => {
                let below = |row: &usize| {
                    let value = matrix.row(*row)[column];
                    value < at || value.is_nan()
                };
                let (low, high): (Vec<usize>, Vec<usize>) = rows.into_iter().partition(below);
                let first = nodes.len();
                nodes.push(Node::Leaf { depth: 0.0 });
                nodes.push(Node::Leaf { depth: 0.0 });
                open.push((first, low, depth + 1));
                open.push((first + 1, high, depth + 1));
                Node::Cut { column, at, low: first, high: first + 1 }
            }
        };
    }
    nodes
}

/// A random cut through a column in which the rows differ.
fn cut(matrix: &Matrix, rows: &[usize], random: &mut Random) -> Option<(usize, f32)> {
    if rows.len() < 2 {
        return None;
    }
    let start = random.below(matrix.columns());
    for offset in 0..matrix.columns() {
        let column = (start + offset) % matrix.columns();
        let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
        for &row in rows {
            let value = matrix.row(row)[column];
            if value.is_finite() {
                low = low.min(value);
                high = high.max(value);
            }
        }
        if low < high {
            #[expect(clippy::cast_possible_truncation, reason = "the precision of the matrix")]
            let at = (f64::from(low) + random.unit() * (f64::from(high) - f64::from(low))) as f32;
            return Some((column, if at > low { at } else { high }));
        }
    }
    None
}

fn depth(tree: &[Node], row: &[f32]) -> f64 {
    let mut node = 0;
    loop {
        match tree.get(node) {
            Some(Node::Cut { column, at, low, high }) => {
                node = if row.get(*column).is_some_and(|v| v >= at) { *high } else { *low };
            }
            Some(Node::Leaf { depth }) => return *depth,
            None => return 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::auc;

    #[test]
    fn far_rows_are_isolated_first() {
        let mut random = Random::new(9, 0);
        let data: Vec<f32> = (0..600 * 4)
            .map(|i| if i < 40 { 3.0 } else { 0.0 } + (random.unit() + random.unit() + random.unit()) as f32)
            .collect();
        let matrix = Matrix::new(4, data).unwrap();
        let scores = isolation_forest(&matrix, 1);
        let truth: Vec<bool> = (0..600).map(|i| i < 10).collect();
        assert!(auc(&scores, &truth) > 0.98);
        assert_eq!(scores, isolation_forest(&matrix, 1));
    }

    #[test]
    fn constant_and_empty_data() {
        assert_eq!(isolation_forest(&Matrix::new(1, vec![2.0]).unwrap(), 0), [0.5]);
        let scores = isolation_forest(&Matrix::new(1, vec![f32::NAN; 50]).unwrap(), 0);
        assert!(scores.iter().all(|s| s.is_finite() && *s == scores[0]));
    }
}
