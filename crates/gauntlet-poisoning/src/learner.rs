//! A fast learner of our own: multinomial logistic regression with a ridge, fitted by L-BFGS (Liu and Nocedal, 1989), and its
//! predictions for rows that it was not fitted to.

use rayon::prelude::*;

use crate::error::{Error, check_labels};
use crate::folds::folds;
use crate::matrix::Matrix;
use crate::probabilities::Probabilities;
use crate::stats::as_f64;

const FOLDS: usize = 5;
/// Rows that one model is fitted to; more change nothing for so few parameters.
const MAX_TRAIN: usize = 20_000;
const STEPS: usize = 60;
const MEMORY: usize = 8;
/// Largest number of classes: time and memory grow with it.
pub(crate) const MAX_CLASSES: usize = 1_000;

/// One model for each fold, fitted to the other folds.
#[derive(Clone, Debug)]
pub struct CrossValidated {
    fold: Vec<usize>,
    models: Vec<Model>,
    classes: usize,
}

/// Fits five models, each to four fifths of the rows. The matrix has to be scaled.
///
/// # Errors
/// Labels that are not one a row, fewer than two rows of two classes, or more than 1,000 classes.
pub fn cross_validate(
    matrix: &Matrix,
    labels: &[u32],
    classes: usize,
    ridge: f64,
    seed: u64,
) -> Result<CrossValidated, Error> {
    check_labels(labels, matrix.rows(), classes)?;
    if classes > MAX_CLASSES {
        return Err(Error::TooMany { what: "classes", most: MAX_CLASSES, actual: classes });
    }
    if classes < 2 {
        return Err(Error::TooFew { what: "classes", least: 2, actual: classes });
    }
    if matrix.rows() < 2 * FOLDS {
        return Err(Error::TooFew { what: "rows", least: 2 * FOLDS, actual: matrix.rows() });
    }
    let fold = folds(labels, classes, FOLDS, seed);
    let parts: Vec<usize> = (0..FOLDS).collect();
    let models = parts
        .par_iter()
        .map(|&part| {
            let mut rows: Vec<usize> = (0..matrix.rows()).filter(|&i| fold[i] != part).collect();
            let step = rows.len().div_ceil(MAX_TRAIN).max(1);
            rows = rows.into_iter().step_by(step).collect();
            Model::fit(matrix, labels, classes, &rows, ridge)
        })
        .collect();
    Ok(CrossValidated { fold, models, classes })
}

impl CrossValidated {
    /// What the models say of rows that they were not fitted to.
    #[must_use]
    pub fn probabilities(&self, matrix: &Matrix) -> Probabilities {
        let rows: Vec<Vec<f32>> = (0..matrix.rows())
            .into_par_iter()
            .map(|row| {
                let mut out = self.scores(matrix, row);
                softmax(&mut out);
                #[expect(clippy::cast_possible_truncation, reason = "a probability")]
                out.iter().map(|p| *p as f32).collect()
            })
            .collect();
        Probabilities::trusted(self.classes, rows.into_iter().flatten().collect())
    }

    /// Probability of a class in a row, as if these columns had their mean value.
    #[must_use]
    pub fn without(&self, matrix: &Matrix, row: usize, columns: &[usize], class: usize) -> f64 {
        let mut scores = self.scores(matrix, row);
        let values = matrix.row(row);
        if let Some(model) = self.fold.get(row).and_then(|&f| self.models.get(f)) {
            for &column in columns {
                let Some(&value) = values.get(column) else { continue };
                let weights = model.weights.iter().skip(column * self.classes);
                for (score, weight) in scores.iter_mut().zip(weights) {
                    *score -= weight * f64::from(value);
                }
            }
        }
        softmax(&mut scores);
        scores.get(class).copied().unwrap_or(0.0)
    }

    /// Probability of a class by the model that was not fitted to this row, were its values these.
    pub(crate) fn at(&self, row: usize, values: &[f32], class: usize) -> f64 {
        let mut scores = vec![0.0; self.classes];
        if let Some(model) = self.fold.get(row).and_then(|&f| self.models.get(f)) {
            model.scores(values, &mut scores);
        }
        softmax(&mut scores);
        scores.get(class).copied().unwrap_or(0.0)
    }

    fn scores(&self, matrix: &Matrix, row: usize) -> Vec<f64> {
        let mut out = vec![0.0; self.classes];
        if let Some(model) = self.fold.get(row).and_then(|&f| self.models.get(f)) {
            model.scores(matrix.row(row), &mut out);
        }
        out
    }
}

/// Weights by column, then class; the last row is the intercept.
#[derive(Clone, Debug)]
struct Model {
    weights: Vec<f64>,
}

impl Model {
    fn fit(matrix: &Matrix, labels: &[u32], classes: usize, rows: &[usize], ridge: f64) -> Self {
        let problem = Loss { matrix, labels, classes, rows, ridge };
        Self { weights: minimise(&problem, (matrix.columns() + 1) * classes) }
    }

    fn scores(&self, values: &[f32], out: &mut [f64]) {
        linear(&self.weights, values, out);
    }
}

fn linear(weights: &[f64], values: &[f32], out: &mut [f64]) {
    let classes = out.len();
    let (slopes, intercept) = weights.split_at((values.len() * classes).min(weights.len()));
    out.copy_from_slice(intercept.get(..classes).unwrap_or(&vec![0.0; classes]));
    for (&value, weights) in values.iter().zip(slopes.chunks_exact(classes)) {
        if value != 0.0 {
            let value = f64::from(value);
            for (sum, weight) in out.iter_mut().zip(weights) {
                *sum += value * weight;
            }
        }
    }
}

fn softmax(scores: &mut [f64]) {
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = (*score - top).exp();
        sum += *score;
    }
    scores.iter_mut().for_each(|score| *score /= sum);
}

/// Mean negative log-likelihood plus half the ridge times the squared slopes.
struct Loss<'a> {
    matrix: &'a Matrix,
    labels: &'a [u32],
    classes: usize,
    rows: &'a [usize],
    ridge: f64,
}

impl Loss<'_> {
    fn at(&self, weights: &[f64], gradient: &mut [f64]) -> f64 {
        gradient.fill(0.0);
        let slopes = self.matrix.columns() * self.classes;
        let mut p = vec![0.0; self.classes];
        let mut loss = 0.0;
        for &row in self.rows {
            let values = self.matrix.row(row);
            linear(weights, values, &mut p);
            softmax(&mut p);
            let label = self.labels.get(row).map_or(0, |&l| l as usize);
            if let Some(own) = p.get_mut(label) {
                loss -= own.max(1e-300).ln();
                *own -= 1.0;
            }
            for (&value, sums) in values.iter().zip(gradient.chunks_exact_mut(self.classes)) {
                if value != 0.0 {
                    let value = f64::from(value);
                    for (sum, p) in sums.iter_mut().zip(&p) {
                        *sum += value * p;
                    }
                }
            }
            for (sum, p) in gradient[slopes..].iter_mut().zip(&p) {
                *sum += p;
            }
        }
        let n = as_f64(self.rows.len().max(1));
        gradient.iter_mut().for_each(|g| *g /= n);
        let mut square = 0.0;
        for (g, w) in gradient.iter_mut().zip(weights).take(slopes) {
            *g += self.ridge * w;
            square += w * w;
        }
        loss / n + 0.5 * self.ridge * square
    }
}

/// L-BFGS with halved steps until the loss falls enough (Armijo).
fn minimise(problem: &Loss<'_>, size: usize) -> Vec<f64> {
    let (mut x, mut gradient) = (vec![0.0; size], vec![0.0; size]);
    let mut loss = problem.at(&x, &mut gradient);
    let mut past: Vec<(Vec<f64>, Vec<f64>, f64)> = Vec::new();
    for _ in 0..STEPS {
        let mut direction = two_loops(&gradient, &past);
        let mut slope = inner(&direction, &gradient);
        if slope >= 0.0 {
            direction = gradient.iter().map(|g| -g).collect();
            slope = -inner(&gradient, &gradient);
            past.clear();
        }
        if slope > -1e-12 {
            break;
        }
        let mut step = if past.is_empty() { 1.0 / (-slope).sqrt().max(1.0) } else { 1.0 };
        let mut next_gradient = vec![0.0; size];
        let mut accepted = None;
        for _ in 0..20 {
            let next: Vec<f64> = x.iter().zip(&direction).map(|(x, d)| x + step * d).collect();
            let next_loss = problem.at(&next, &mut next_gradient);
            if next_loss <= loss + 1e-4 * step * slope {
                accepted = Some((next, next_loss));
                break;
            }
            step *= 0.5;
        }
        let Some((next, next_loss)) = accepted else { break };
        let s: Vec<f64> = next.iter().zip(&x).map(|(a, b)| a - b).collect();
        let y: Vec<f64> = next_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        let curvature = inner(&s, &y);
        if curvature > 1e-12 {
            past.push((s, y, 1.0 / curvature));
            if past.len() > MEMORY {
                past.remove(0);
            }
        }
        let gained = loss - next_loss;
        (x, gradient, loss) = (next, next_gradient, next_loss);
        if gained < 1e-7 * loss.abs().max(1e-3) {
            break;
        }
    }
    x
}

fn two_loops(gradient: &[f64], past: &[(Vec<f64>, Vec<f64>, f64)]) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut alphas = Vec::with_capacity(past.len());
    for (s, y, rho) in past.iter().rev() {
        let alpha = rho * inner(s, &q);
        q.iter_mut().zip(y).for_each(|(q, y)| *q -= alpha * y);
        alphas.push(alpha);
    }
    if let Some((s, y, _)) = past.last() {
        let scale = inner(s, y) / inner(y, y).max(1e-300);
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((s, y, rho), alpha) in past.iter().zip(alphas.into_iter().rev()) {
        let beta = rho * inner(y, &q);
        q.iter_mut().zip(s).for_each(|(q, s)| *q += (alpha - beta) * s);
    }
    q
}

fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn two_clouds() -> (Matrix, Vec<u32>) {
        let mut random = Random::new(1, 0);
        let labels: Vec<u32> = (0..200).map(|i| i % 2).collect();
        let data = labels.iter().flat_map(|&l| [l as f32 * 3.0 - 2.0 + random.unit() as f32, random.unit() as f32]);
        (Matrix::new(2, data.collect()).unwrap(), labels)
    }

    #[test]
    fn separable_classes_are_told_apart_out_of_fold() {
        let (matrix, labels) = two_clouds();
        let models = cross_validate(&matrix, &labels, 2, 0.01, 7).unwrap();
        let p = models.probabilities(&matrix);
        assert!((0..200).all(|i| p.of(i, labels[i] as usize) > 0.8));
        assert!((0..200).all(|i| (p.row(i).iter().sum::<f32>() - 1.0).abs() < 1e-5));
        assert!((0..200).all(|i| (models.without(&matrix, i, &[0], 0) - 0.5).abs() < 0.25));
        assert_eq!(p, cross_validate(&matrix, &labels, 2, 0.01, 7).unwrap().probabilities(&matrix));
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_loss() {
        let (matrix, labels) = two_clouds();
        let rows: Vec<usize> = (0..50).collect();
        let loss = Loss { matrix: &matrix, labels: &labels, classes: 2, rows: &rows, ridge: 0.1 };
        let weights = [0.3, -0.2, 0.5, 0.1, -0.4, 0.2];
        let (mut gradient, mut unused) = ([0.0; 6], [0.0; 6]);
        loss.at(&weights, &mut gradient);
        for i in 0..6 {
            let (mut up, mut down) = (weights, weights);
            up[i] += 1e-5;
            down[i] -= 1e-5;
            let slope = (loss.at(&up, &mut unused) - loss.at(&down, &mut unused)) / 2e-5;
            assert!((slope - gradient[i]).abs() < 1e-6, "{i}: {slope} {}", gradient[i]);
        }
    }

    #[test]
    fn too_little_to_learn_from_is_an_error() {
        let matrix = Matrix::new(1, vec![0.0; 20]).unwrap();
        assert!(cross_validate(&matrix, &[0; 20], 1, 0.1, 0).is_err());
        assert!(cross_validate(&matrix, &[0; 19], 2, 0.1, 0).is_err());
        assert!(cross_validate(&matrix, &[0; 20], 5_000, 0.1, 0).is_err());
        let few = Matrix::new(1, vec![0.0; 4]).unwrap();
        assert!(cross_validate(&few, &[0, 1, 0, 1], 2, 0.1, 0).is_err());
    }
}
