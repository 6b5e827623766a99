//! Distances between samples of which only steps are known: so many values between two bounds.

/// Lower bound, estimate, upper bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Interval {
    pub(super) low: f64,
    pub(super) value: f64,
    pub(super) high: f64,
}

/// Values from `low` to `high`, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Steps {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) count: u64,
}

/// Kolmogorov-Smirnov distance; `None` when a side has no values. Steps of one side do not overlap.
pub(super) fn ks(reference: &[Steps], current: &[Steps]) -> Option<Interval> {
    let (n, m) = (total(reference)?, total(current)?);
    let mut points: Vec<f64> = reference.iter().chain(current).flat_map(|s| [s.low, middle(s), s.high]).collect();
    points.sort_unstable_by(f64::total_cmp);
    points.dedup();
    let (mut a, mut b) = (Walk::default(), Walk::default());
    let mut out = Interval { low: 0.0, value: 0.0, high: 0.0 };
    for x in points {
        let ((a_low, a_mid, a_high), (b_low, b_mid, b_high)) = (a.at(reference, x, n), b.at(current, x, m));
        out.low = out.low.max(a_low - b_high).max(b_low - a_high);
        out.value = out.value.max((a_mid - b_mid).abs());
        out.high = out.high.max(a_high - b_low).max(b_high - a_low);
    }
    out.value = out.value.clamp(out.low, out.high);
    Some(out)
}

/// 1-Wasserstein distance of the finite values: that of the middles, give or take how far a value can be from its middle.
pub(super) fn wasserstein(reference: &[Steps], current: &[Steps]) -> Option<Interval> {
    let (reference, current) = (finite(reference), finite(current));
    let (n, m) = (total(&reference)?, total(&current)?);
    let mut points: Vec<f64> = reference.iter().chain(&current).map(middle).collect();
    points.sort_unstable_by(f64::total_cmp);
    points.dedup();
    let (mut a, mut b) = (Walk::default(), Walk::default());
    let (mut area, mut last) = (0.0, None::<(f64, f64)>);
    for x in points {
        if let Some((before, height)) = last {
            area += height * (x / 2.0 - before / 2.0);
        }
        last = Some((x, (a.at(&reference, x, n).1 - b.at(&current, x, m).1).abs()));
    }
    let value = area * 2.0;
    let slack =
        |steps: &[Steps], n: f64| steps.iter().map(|s| s.count as f64 / n * (s.high / 2.0 - s.low / 2.0)).sum::<f64>();
    let slack = slack(&reference, n) + slack(&current, m);
    Some(Interval { low: (value - slack).max(0.0), value, high: value + slack })
}

/// As [`wasserstein`] after values outside of these bounds were moved to them.
pub(super) fn clipped(steps: &[Steps], low: f64, high: f64) -> Vec<Steps> {
    steps.iter().map(|s| Steps { low: s.low.clamp(low, high), high: s.high.clamp(low, high), count: s.count }).collect()
}

pub(super) fn middle(step: &Steps) -> f64 {
    if step.low == step.high { step.low } else { step.low / 2.0 + step.high / 2.0 }
}

fn finite(steps: &[Steps]) -> Vec<Steps> {
    steps.iter().copied().filter(|s| s.low.is_finite() && s.high.is_finite()).collect()
}

fn total(steps: &[Steps]) -> Option<f64> {
    let n: u64 = steps.iter().map(|s| s.count).sum();
    (n > 0).then_some(n as f64)
}

/// How far each of the three ways to count has come. Each goes over the steps once.
#[derive(Default)]
struct Walk {
    next: [usize; 3],
    count: [u64; 3],
}

impl Walk {
    /// Least, middle and largest share of values at or below `x`; `x` rises from call to call.
    fn at(&mut self, steps: &[Steps], x: f64, n: f64) -> (f64, f64, f64) {
        let reached: [fn(&Steps) -> f64; 3] = [|s| s.high, middle, |s| s.low];
        for ((next, count), reached) in self.next.iter_mut().zip(&mut self.count).zip(reached) {
            while let Some(step) = steps.get(*next).filter(|step| reached(step) <= x) {
                *count += step.count;
                *next += 1;
            }
        }
        let [low, mid, high] = self.count.map(|count| count as f64 / n);
        (low, mid, high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn steps(values: &[f64], width: f64) -> Vec<Steps> {
        let mut map = std::collections::BTreeMap::new();
        for x in values {
            *map.entry((x / width).floor() as i64).or_insert(0) += 1;
        }
        map.into_iter()
            .map(|(i, count)| Steps { low: i as f64 * width, high: (i + 1) as f64 * width - 1e-9, count })
            .collect()
    }

    proptest! {
        #[test]
        fn the_exact_distance_lies_in_the_interval(
            a in proptest::collection::vec(0.0..10.0_f64, 1..80), b in proptest::collection::vec(0.0..10.0_f64, 1..80), width in 0.05..2.0_f64,
        ) {
            let (x, y) = (steps(&a, width), steps(&b, width));
            let (a, b) = (gauntlet_drift::clean_sorted(a), gauntlet_drift::clean_sorted(b));
            let exact = gauntlet_drift::ks_statistic(&a, &b).unwrap();
            let bounds = ks(&x, &y).unwrap();
            prop_assert!(bounds.low <= exact + 1e-9 && exact <= bounds.high + 1e-9, "{exact} {bounds:?}");
            let exact = gauntlet_drift::wasserstein(&a, &b).unwrap();
            let bounds = wasserstein(&x, &y).unwrap();
            prop_assert!(bounds.low <= exact + 1e-6 && exact <= bounds.high + 1e-6, "{exact} {bounds:?}");
        }
    }

    #[test]
    fn known_values_leave_no_room() {
        let points =
            |values: &[f64]| -> Vec<Steps> { values.iter().map(|&x| Steps { low: x, high: x, count: 3 }).collect() };
        let bounds = ks(&points(&[1.0, 2.0]), &points(&[2.0, 3.0])).unwrap();
        assert_eq!((bounds.low, bounds.value, bounds.high), (0.5, 0.5, 0.5));
        let bounds = wasserstein(&points(&[1.0, 2.0]), &points(&[2.0, 3.0])).unwrap();
        assert_eq!((bounds.low, bounds.value, bounds.high), (1.0, 1.0, 1.0));
        assert!(ks(&[], &points(&[1.0])).is_none());
    }
}
