//! Which labels are wrong: neighbours, an own learner and given predictions each rank the rows, and the mean rank decides.

use crate::confident::thresholds;
use crate::error::{Error, check_labels};
use crate::flow::{Flow, OneWay, flow};
use crate::knn::neighbours;
use crate::learner::{CrossValidated, cross_validate};
use crate::matrix::Matrix;
use crate::principal::{Principal, principal};
use crate::probabilities::Probabilities;
use crate::stats::{as_f64, ranks};

/// Strength of the learner's ridge: wrong labels shall not be learnt by heart.
const RIDGE: f64 = 0.003;
/// Columns from which the learner gets principal components.
const WIDE: usize = 400;
const COMPONENTS: usize = 64;
/// A row is doubtful when each voice gives its label at most this probability, and one other class at least the second.
const OWN: f64 = 0.12;
const OTHER: f64 = 0.6;
/// Part of a class's usual probability that counts as reaching it.
const NEAR: f64 = 0.75;
/// How often a one-way flow is undone and looked at again.
const ROUNDS: usize = 4;

/// What to rank with.
#[derive(Clone, Debug)]
pub struct LabelOptions<'a> {
    /// Neighbours that vote; as many again vote with half the weight. 10 is right for most data.
    pub neighbours: usize,
    /// Out-of-sample probabilities of somebody else's model; they replace the own learner.
    pub predicted: Option<&'a Probabilities>,
    /// What the learner sees when it shall see more than the neighbours do, words of a text say.
    pub wide: Option<&'a Matrix>,
    /// Fixes the folds.
    pub seed: u64,
}

/// Ranks and doubts.
#[derive(Clone, Debug)]
pub struct LabelErrors {
    /// Suspicion of each row in [0, 1]; only the order means something.
    pub scores: Vec<f64>,
    /// The most likely other class of each row.
    pub suggested: Vec<u32>,
    /// Rows whose label is doubtful, in order.
    pub flagged: Vec<usize>,
    /// Class pairs of the doubtful rows.
    pub flow: Flow,
    /// What the neighbours vote.
    pub votes: Probabilities,
    /// What the learner, or the given model, predicts.
    pub predicted: Probabilities,
    /// The own learner, or why there is none beside the given predictions.
    pub learner: Result<Learner, Error>,
}

/// The own learner, fitted to principal components where there are many columns.
#[derive(Clone, Debug)]
pub struct Learner {
    models: CrossValidated,
    reduced: Option<(Principal, Matrix)>,
}

impl Learner {
    fn fit(wide: &Matrix, labels: &[u32], classes: usize, seed: u64) -> Result<Self, Error> {
        check_labels(labels, wide.rows(), classes)?;
        let reduced = (wide.columns() > WIDE).then(|| {
            let directions = principal(wide, COMPONENTS, seed);
            let seen = directions.project(wide);
            (directions, seen)
        });
        let seen = reduced.as_ref().map_or(wide, |(_, seen)| seen);
        Ok(Self { models: cross_validate(seen, labels, classes, RIDGE, seed)?, reduced })
    }

    fn probabilities(&self, wide: &Matrix) -> Probabilities {
        self.models.probabilities(self.reduced.as_ref().map_or(wide, |(_, seen)| seen))
    }

    /// Probability of a class in a row of the matrix that it was fitted to, as if these columns had their mean value;
    /// each of them is named once.
    #[must_use]
    pub fn without(&self, wide: &Matrix, row: usize, columns: &[usize], class: usize) -> f64 {
        match &self.reduced {
            None => self.models.without(wide, row, columns, class),
            // Without columns the row lies elsewhere among the components.
            Some((directions, seen)) => {
                self.models.at(row, &directions.without(seen.row(row), wide.row(row), columns), class)
            }
        }
    }
}

/// Ranks rows by how doubtful their label is. The matrix has to be scaled.
///
/// # Errors
/// Labels or predictions that are not one a row, or too few rows or classes to learn from.
pub fn label_errors(
    matrix: &Matrix,
    labels: &[u32],
    classes: usize,
    options: &LabelOptions<'_>,
) -> Result<LabelErrors, Error> {
    check_labels(labels, matrix.rows(), classes)?;
    let near = neighbours(matrix, 2 * options.neighbours);
    let votes = near.nearest(options.neighbours).votes(labels, classes)?.mean(&near.votes(labels, classes)?);
    let wide = options.wide.unwrap_or(matrix);
    let learner = Learner::fit(wide, labels, classes, options.seed);
    let predicted = match options.predicted {
        Some(given) if given.rows() != matrix.rows() => {
            let what = "rows of predicted probabilities";
            return Err(Error::Shape { what, expected: matrix.rows(), actual: given.rows() });
        }
        Some(given) if given.classes() != classes => {
            let what = "classes of predicted probabilities";
            return Err(Error::Shape { what, expected: classes, actual: given.classes() });
        }
        Some(given) => given.clone(),
        None => learner.as_ref().map_err(Clone::clone)?.probabilities(wide),
    };
    combine(labels, classes, votes, predicted, learner)
}

fn combine(
    labels: &[u32],
    classes: usize,
    votes: Probabilities,
    predicted: Probabilities,
    learner: Result<Learner, Error>,
) -> Result<LabelErrors, Error> {
    let mut sizes = vec![0usize; classes];
    labels.iter().for_each(|&label| sizes[label as usize] += 1);
    let mut voices = [votes.clone(), predicted.clone()];
    let mut found = pairs(labels, &sizes, &voices)?;
    for _ in 0..ROUNDS {
        if found.one_way.is_empty() {
            break;
        }
        for (voice, seen) in voices.iter_mut().zip([&votes, &predicted]) {
            *voice = found.one_way.iter().fold(seen.clone(), |voice, way| undone(&voice, way, &sizes));
        }
        let next = pairs(labels, &sizes, &voices)?;
        // What was undone shows more of itself; a correction that makes a flow vanish was none.
        if next.one_way.is_empty() || next == found {
            break;
        }
        found = next;
    }
    let mut scores = vec![0.0; labels.len()];
    for voice in &voices {
        let doubts = doubts(labels, voice)?;
        scores.iter_mut().zip(ranks(&doubts)).for_each(|(score, rank)| *score += rank);
    }
    let most = as_f64(2 * labels.len().max(1));
    scores.iter_mut().for_each(|score| *score /= most);
    let suggested: Vec<u32> = (0..labels.len()).map(|row| suggestion(row, labels[row], &voices)).collect();
    let doubtful = |row: usize| {
        let (own, other) = (labels[row] as usize, suggested[row] as usize);
        voices.iter().all(|voice| voice.of(row, own) <= OWN && voice.of(row, other) >= OTHER)
    };
    let flagged: Vec<usize> = (0..labels.len()).filter(|&row| doubtful(row)).collect();
    Ok(LabelErrors { scores, suggested, flagged, flow: found, votes, predicted, learner })
}

/// Probabilities of the true class, given those of the label, when a share of one class was relabelled as another:
/// the inverse of the transition matrix (Patrini et al., 2017).
fn undone(voice: &Probabilities, way: &OneWay, sizes: &[usize]) -> Probabilities {
    let (from, to) = (way.from as usize, way.to as usize);
    let left = sizes.get(from).copied().unwrap_or(0);
    let moved = (as_f64(way.rows) / as_f64((way.rows + left).max(1))).min(0.9);
    let mut data = Vec::with_capacity(voice.rows() * voice.classes());
    for row in 0..voice.rows() {
        let (p, q) = (voice.of(row, from), voice.of(row, to));
        let back = (p * moved / (1.0 - moved)).min(q);
        for class in 0..voice.classes() {
            let value = voice.of(row, class);
            #[expect(clippy::cast_possible_truncation, reason = "a probability")]
            data.push(if class == from {
                value + back
            } else if class == to {
                value - back
            } else {
                value
            } as f32);
        }
    }
    Probabilities::trusted(voice.classes(), data)
}

/// How far a row's own probability lies below what is usual for its label. Where half of a class was moved into another, the
/// class that lost has low probabilities everywhere, and only the rows that stand out of their label's own level are wrong.
fn doubts(labels: &[u32], voice: &Probabilities) -> Result<Vec<f64>, Error> {
    let usual = thresholds(labels, voice)?;
    Ok(labels.iter().enumerate().map(|(row, &l)| usual[l as usize] - voice.of(row, l as usize)).collect())
}

fn suggestion(row: usize, label: u32, voices: &[Probabilities; 2]) -> u32 {
    let classes = voices[0].classes();
    let weight = |class: usize| voices.iter().map(|voice| voice.of(row, class)).sum::<f64>();
    let mut best = None;
    for class in (0..classes).filter(|&class| class != label as usize) {
        if best.is_none_or(|(_, most)| weight(class) > most) {
            best = Some((class, weight(class)));
        }
    }
    best.and_then(|(class, _)| u32::try_from(class).ok()).unwrap_or(label)
}

/// The flow between classes by confident learning: a row counts when another class comes near the level that is usual for it,
/// and its own class stays below its level.
fn pairs(labels: &[u32], sizes: &[usize], voices: &[Probabilities; 2]) -> Result<Flow, Error> {
    let usual: Vec<Vec<f64>> = voices.iter().map(|voice| thresholds(labels, voice)).collect::<Result<_, _>>()?;
    let counted = labels.iter().enumerate().filter_map(|(row, &label)| {
        let suggested = suggestion(row, label, voices);
        let (own, other) = (label as usize, suggested as usize);
        let agree = voices.iter().zip(&usual).all(|(voice, usual)| {
            voice.of(row, own) < NEAR * usual[own] && voice.of(row, other) >= NEAR * usual[other]
        });
        agree.then_some((label, suggested))
    });
    Ok(flow(counted, sizes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Scale;
    use crate::random::Random;

    #[test]
    fn a_learner_of_components_forgets_columns_as_one_of_columns_does() {
        let mut random = Random::new(5, 0);
        let rows = 400;
        let labels: Vec<u32> = (0..rows).map(|row| row % 2).collect();
        // The first column is the label, all others are noise.
        let data = |width: usize, random: &mut Random| -> Matrix {
            let cells = labels.iter().flat_map(|&label| {
                let noise: Vec<f32> = (1..width).map(|_| random.unit() as f32).collect();
                std::iter::once(label as f32 * 30.0).chain(noise)
            });
            Matrix::new(width, cells.collect()).unwrap().scaled(Scale::Common)
        };
        for width in [WIDE, WIDE + 1] {
            let wide = data(width, &mut random);
            let learner = Learner::fit(&wide, &labels, 2, 1).unwrap();
            assert_eq!(learner.reduced.is_some(), width > WIDE);
            let mean = |columns: &[usize]| {
                let all = (0..rows as usize).map(|row| learner.without(&wide, row, columns, labels[row] as usize));
                all.sum::<f64>() / f64::from(rows)
            };
            let (with, without) = (mean(&[]), mean(&[0]));
            assert!(with > 0.9 && (without - 0.5).abs() < 0.1, "{width}: {with} {without}");
        }
    }
}
