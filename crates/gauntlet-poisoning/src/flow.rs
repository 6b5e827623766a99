//! Which class seems to have been relabelled as which. Honest mistakes go both ways; an attack goes one way.

use crate::stats::{as_f64, chi2_tail, holm};

/// Rows that a one-way flow needs, and how much larger it is than the flow back.
const ROWS: usize = 8;
const TIMES: usize = 3;
const LEVEL: f64 = 0.01;
/// Share of the rows labelled like the target that have to be concerned.
const SHARE: f64 = 0.03;

/// Doubtful rows by likely true class and given class.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    counts: Vec<usize>,
    classes: usize,
    /// Flows that are no honest mistakes, the strongest first.
    pub one_way: Vec<OneWay>,
}

/// Rows of one class that carry the label of another, far more than the other way round.
#[derive(Clone, Debug, PartialEq)]
pub struct OneWay {
    /// The class that the rows look like.
    pub from: u32,
    /// The class that they are labelled as.
    pub to: u32,
    /// Rows.
    pub rows: usize,
    /// Rows of the way back.
    pub back: usize,
    /// Chi-square against an equal flow both ways, 1 degree of freedom.
    pub chi2: f64,
    /// Its p-value, adjusted for all pairs (Holm).
    pub p: f64,
}

impl Flow {
    /// Rows that look like `from` and are labelled `to`.
    #[must_use]
    pub fn of(&self, from: usize, to: usize) -> usize {
        if to < self.classes { self.counts.get(from * self.classes + to).copied().unwrap_or(0) } else { 0 }
    }

    /// Number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }
}

/// Counts the doubtful rows `(given, suggested)` and tests each pair of classes against a symmetric flow. `sizes` are the
/// numbers of rows by given label.
#[must_use]
pub fn flow(doubtful: impl Iterator<Item = (u32, u32)>, sizes: &[usize]) -> Flow {
    let classes = sizes.len();
    let mut counts = vec![0usize; classes * classes];
    for (given, suggested) in doubtful {
        let (given, suggested) = (given as usize, suggested as usize);
        if given < classes && suggested < classes {
            counts[suggested * classes + given] += 1;
        }
    }
    let mut flow = Flow { counts, classes, one_way: Vec::new() };
    let mut tested = Vec::new();
    for a in 0..classes {
        for b in a + 1..classes {
            let (ab, ba) = (flow.of(a, b), flow.of(b, a));
            if ab + ba > 0 {
                let difference = as_f64(ab.abs_diff(ba));
                let chi2 = difference * difference / as_f64(ab + ba);
                tested.push((if ab > ba { (a, b) } else { (b, a) }, ab.max(ba), ab.min(ba), chi2));
            }
        }
    }
    let p: Vec<f64> = tested.iter().map(|t| chi2_tail(t.3, 1.0)).collect();
    for (((from, to), rows, back, chi2), p) in tested.into_iter().zip(holm(&p, 0)) {
        let enough = as_f64(rows) >= SHARE * as_f64(sizes[to]);
        if p <= LEVEL && rows >= ROWS && rows >= TIMES * back && enough {
            #[expect(clippy::cast_possible_truncation, reason = "classes are few")]
            flow.one_way.push(OneWay { from: from as u32, to: to as u32, rows, back, chi2, p });
        }
    }
    flow.one_way.sort_by(|a, b| b.chi2.total_cmp(&a.chi2).then(a.from.cmp(&b.from)).then(a.to.cmp(&b.to)));
    flow
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_one_way_flow_is_named_and_a_symmetric_one_is_not() {
        let one_way = (0..30).map(|_| (2, 1)).chain((0..2).map(|_| (1, 2)));
        let both = (0..15).map(|_| (0, 1)).chain((0..15).map(|_| (1, 0)));
        let flow = flow(one_way.chain(both), &[100, 100, 100]);
        assert_eq!(flow.one_way.len(), 1);
        let found = &flow.one_way[0];
        assert_eq!((found.from, found.to, found.rows, found.back), (1, 2, 30, 2));
        assert_eq!((flow.of(1, 0), flow.of(0, 1), flow.of(0, 9)), (15, 15, 0));
    }

    #[test]
    fn few_rows_prove_nothing() {
        assert!(flow((0..7).map(|_| (1, 0)), &[50, 50]).one_way.is_empty());
        assert!(flow((0..20).map(|_| (1, 0)), &[50, 1000]).one_way.is_empty());
    }
}
