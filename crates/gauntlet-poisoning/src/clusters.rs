//! Activation clustering (Chen et al., 2018): does one class fall into two parts, of which the smaller may be poison?

use crate::matrix::Matrix;
use crate::principal::principal;
use crate::random::Random;
use crate::stats::as_f64;

/// Silhouette above which the two parts are told apart.
pub const SILHOUETTE: f64 = 0.45;
/// Share of the smaller part: less is noise, more is two honest groups.
pub const MINORITY: (f64, f64) = (0.01, 0.35);
const COMPONENTS: usize = 10;
const STARTS: u64 = 8;
const ROUNDS: usize = 100;
/// Rows of one class whose silhouette is computed; time grows with the square.
const SILHOUETTE_ROWS: usize = 2_000;
const LEAST: usize = 20;

/// One class cut in two.
#[derive(Clone, Debug, PartialEq)]
pub struct Clusters {
    /// Mean silhouette, -1 to 1.
    pub silhouette: f64,
    /// Rows of the smaller part, by their place in the matrix given.
    pub minority: Vec<usize>,
    /// Share of the smaller part.
    pub share: f64,
}

impl Clusters {
    /// Whether the smaller part looks like poison.
    #[must_use]
    pub fn suspicious(&self) -> bool {
        self.silhouette > SILHOUETTE && (MINORITY.0..=MINORITY.1).contains(&self.share)
    }
}

/// Cuts the rows of one class in two by 2-means over ten principal components. `None` for fewer than 20 rows.
#[must_use]
pub fn clusters(class: &Matrix, seed: u64) -> Option<Clusters> {
    if class.rows() < LEAST {
        return None;
    }
    let directions = principal(class, COMPONENTS, seed);
    let points: Vec<Vec<f64>> = class.iter().map(|row| directions.coordinates(row)).collect();
    let best = (0..STARTS)
        .map(|start| two_means(&points, &mut Random::new(seed, 10 + start)))
        .min_by(|a, b| a.1.total_cmp(&b.1))?;
    let second = best.0.iter().filter(|s| **s).count();
    let small = second * 2 <= points.len();
    let minority: Vec<usize> = (0..points.len()).filter(|&i| best.0[i] == small).collect();
    let share = as_f64(minority.len()) / as_f64(points.len());
    Some(Clusters { silhouette: silhouette(&points, &best.0), minority, share })
}

fn square(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Sides and the sum of squared distances. Starts from one random row and one drawn by its distance (k-means++).
fn two_means(points: &[Vec<f64>], random: &mut Random) -> (Vec<bool>, f64) {
    let first = points[random.below(points.len())].clone();
    let distances: Vec<f64> = points.iter().map(|p| square(p, &first)).collect();
    let mut aim = random.unit() * distances.iter().sum::<f64>();
    let mut chosen = points.len() - 1;
    for (i, distance) in distances.iter().enumerate() {
        aim -= distance;
        if aim < 0.0 {
            chosen = i;
            break;
        }
    }
    let mut centres = [first, points[chosen].clone()];
    let mut sides = vec![false; points.len()];
    for _ in 0..ROUNDS {
        let next: Vec<bool> = points.iter().map(|p| square(p, &centres[1]) < square(p, &centres[0])).collect();
        let unchanged = next == sides;
        sides = next;
        for (side, centre) in centres.iter_mut().enumerate() {
            let members = || points.iter().zip(&sides).filter(|(_, s)| usize::from(**s) == side).map(|(p, _)| p);
            let n = as_f64(members().count());
            if n > 0.0 {
                centre.fill(0.0);
                members().for_each(|p| centre.iter_mut().zip(p).for_each(|(c, v)| *c += v / n));
            }
        }
        if unchanged {
            break;
        }
    }
    let cost = points.iter().zip(&sides).map(|(p, s)| square(p, &centres[usize::from(*s)])).sum();
    (sides, cost)
}

fn silhouette(points: &[Vec<f64>], sides: &[bool]) -> f64 {
    let step = points.len().div_ceil(SILHOUETTE_ROWS).max(1);
    let rows: Vec<usize> = (0..points.len()).step_by(step).collect();
    let mut sum = 0.0;
    for &i in &rows {
        let (mut own, mut other) = ((0.0, 0usize), (0.0, 0usize));
        for &j in rows.iter().filter(|&&j| j != i) {
            let distance = square(&points[i], &points[j]).sqrt();
            let part = if sides[i] == sides[j] { &mut own } else { &mut other };
            part.0 += distance;
            part.1 += 1;
        }
        if own.1 > 0 && other.1 > 0 {
            let (a, b) = (own.0 / as_f64(own.1), other.0 / as_f64(other.1));
            sum += if a.max(b) > 0.0 { (b - a) / a.max(b) } else { 0.0 };
        }
    }
    sum / as_f64(rows.len().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(poisoned: usize) -> Matrix {
        let mut random = Random::new(2, 0);
        let data = (0..200).flat_map(|i| {
            let at = if i < poisoned { 6.0 } else { 0.0 };
            [(at + random.unit()) as f32, random.unit() as f32, random.unit() as f32]
        });
        Matrix::new(3, data.collect()).unwrap()
    }

    #[test]
    fn a_small_far_part_is_suspicious() {
        let found = clusters(&class(20), 1).unwrap();
        assert!(found.suspicious(), "{found:?}");
        assert_eq!(found.minority, (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn one_cloud_two_halves_and_few_rows_are_not() {
        assert!(!clusters(&class(0), 1).unwrap().suspicious());
        assert!(!clusters(&class(90), 1).unwrap().suspicious());
        assert!(clusters(&class(0).pick(&[1, 2, 3]), 1).is_none());
        let same = Matrix::new(1, vec![1.0; 50]).unwrap();
        assert!(!clusters(&same, 1).unwrap().suspicious());
    }
}
