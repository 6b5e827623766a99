//! What a finished sketch answers.

use crate::column::{Body, ColumnSketch};
use crate::exact::Entry;
use crate::full::Full;
use crate::histogram::bounds;
use crate::kll::Kll;
use crate::moments::{Moments, PowerSums};
use crate::text::TextStats;
use crate::value::{Kind, Value};
use crate::watch::Watch;

/// Values of a report's list of frequent values.
pub const TOP_VALUES: usize = 64;
/// Patterns of a report's list.
pub const TOP_PATTERNS: usize = 32;

/// How many distinct values there are. NaN is one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distinct {
    /// Counted.
    Exact(u64),
    /// Estimated, with a standard error of 1.6 %.
    Estimate(f64),
}

impl Distinct {
    /// The number, rounded where it is an estimate.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate is positive and below 2^64"
    )]
    pub fn number(self) -> u64 {
        match self {
            Self::Exact(n) => n,
            Self::Estimate(n) => n.round() as u64,
        }
    }
}

/// A value with its count.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    /// The value.
    pub value: Value,
    /// First half of its hash: equal for equal values of columns of one type family, in whatever profile.
    pub hash: u64,
    /// It was seen at least so often.
    pub low: u64,
    /// And at most so often; equal to `low` where values are counted exactly.
    pub high: u64,
}

/// Numbers from `low` to `high`, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Smallest number that may be in it.
    pub low: f64,
    /// Largest number that may be in it.
    pub high: f64,
    /// Values.
    pub count: u64,
}

impl Step {
    /// The middle.
    #[must_use]
    pub fn middle(&self) -> f64 {
        if self.low == self.high { self.low } else { self.low / 2.0 + self.high / 2.0 }
    }
}

impl ColumnSketch {
    /// Type family.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Rows, nulls included.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Nulls.
    #[must_use]
    pub fn nulls(&self) -> u64 {
        self.nulls
    }

    /// Texts that are no value of the column's type; only where a contract types a text file.
    #[must_use]
    pub fn invalid(&self) -> u64 {
        self.invalid
    }

    /// Values: rows without nulls and invalid cells; NaN is a value.
    #[must_use]
    pub fn values(&self) -> u64 {
        self.rows - self.nulls - self.invalid
    }

    /// NaNs.
    #[must_use]
    pub fn nans(&self) -> u64 {
        self.sum(|full| full.nan, |number| number.is_nan())
    }

    /// Negative and positive infinities.
    #[must_use]
    pub fn infinities(&self) -> (u64, u64) {
        (
            self.sum(|full| full.infinite[0], |number| number == f64::NEG_INFINITY),
            self.sum(|full| full.infinite[1], |number| number == f64::INFINITY),
        )
    }

    /// Zeros of a numeric column.
    #[must_use]
    pub fn zeros(&self) -> u64 {
        self.sum(|full| full.zero, |number| number == 0.0)
    }

    /// Numbers below zero, negative infinity included.
    #[must_use]
    pub fn negatives(&self) -> u64 {
        self.sum(|full| full.negative, |number| number < 0.0)
    }

    fn sum(&self, full: impl Fn(&Full) -> u64, exact: impl Fn(f64) -> bool) -> u64 {
        match &self.body {
            Body::Full(body) => full(body),
            Body::Exact(body) => {
                let hits = body.iter().filter(|(entry, _)| entry.value.number().is_some_and(&exact));
                hits.map(|(_, count)| count).sum()
            }
        }
    }

    /// Smallest and largest finite number, text (by bytes) or truth value.
    #[must_use]
    pub fn range(&self) -> Option<(Value, Value)> {
        match &self.body {
            Body::Full(full) => full.range.clone(),
            Body::Exact(exact) => {
                let finite = |entry: &&Entry| entry.value.number().is_none_or(f64::is_finite);
                let values = || exact.iter().map(|(entry, _)| entry).filter(finite).map(|entry| &entry.value);
                let low = values().min_by(|a, b| a.order(b))?;
                Some((low.clone(), values().max_by(|a, b| a.order(b))?.clone()))
            }
        }
        .filter(|(low, _)| *low != Value::Opaque)
    }

    /// Number of distinct values.
    #[must_use]
    pub fn distinct(&self) -> Distinct {
        match &self.body {
            Body::Exact(exact) => Distinct::Exact(exact.len() as u64),
            Body::Full(full) => Distinct::Estimate(full.distinct.estimate()),
        }
    }

    /// Every value with its count, in order of value; `None` when there are more than
    /// [`EXACT_VALUES`](crate::EXACT_VALUES).
    #[must_use]
    pub fn counts(&self) -> Option<Vec<Counted>> {
        let Body::Exact(exact) = &self.body else { return None };
        let mut out: Vec<Counted> = exact
            .by_hash()
            .map(|(entry, count)| Counted { value: entry.value.clone(), hash: entry.hash.0, low: count, high: count })
            .collect();
        out.sort_by(|a, b| a.value.order(&b.value).then(a.hash.cmp(&b.hash)));
        Some(out)
    }

    /// The most frequent values, by falling count: at most [`TOP_VALUES`].
    #[must_use]
    pub fn top(&self) -> Vec<Counted> {
        if let Some(mut counts) = self.counts() {
            counts.sort_by(|a, b| b.low.cmp(&a.low).then_with(|| a.value.order(&b.value)).then(a.hash.cmp(&b.hash)));
            counts.truncate(TOP_VALUES);
            return counts;
        }
        let counted = |(hash, value, low, high)| Counted { value, hash, low, high };
        self.closed.first().map_or(Vec::new(), |(_, all)| all.values.top(TOP_VALUES).into_iter().map(counted).collect())
    }

    /// The most frequent patterns of texts, by falling count: at most [`TOP_PATTERNS`]. `A` stands for capitals, `a` for
    /// other letters, `9` for digits, each run once.
    #[must_use]
    pub fn patterns(&self) -> Vec<Counted> {
        let counted = |(hash, value, low, high)| Counted { value, hash, low, high };
        let top = self.closed.first().map(|(_, all)| all.patterns.top(TOP_PATTERNS));
        top.unwrap_or_default().into_iter().map(counted).collect()
    }

    /// Lengths and alphabet of texts (or bytes).
    #[must_use]
    pub fn text(&self) -> Option<TextStats> {
        if !matches!(self.kind, Kind::Text | Kind::Binary) {
            return None;
        }
        Some(match &self.body {
            Body::Full(full) => full.text,
            Body::Exact(exact) => {
                let mut out = TextStats::default();
                exact.iter().for_each(|(entry, count)| out.add(entry.shape, count));
                out
            }
        })
    }

    /// Mean and central moments of the finite numbers; `None` when there are none.
    #[must_use]
    pub fn moments(&self) -> Option<Moments> {
        match &self.body {
            Body::Full(full) => full.powers.moments(),
            Body::Exact(exact) => {
                let mut sums = PowerSums::default();
                for (entry, count) in exact.iter() {
                    match (&entry.value, entry.value.number()) {
                        (Value::Int(whole), _) if i64::try_from(*whole).is_ok() => {
                            sums.add_times_whole(*whole as i64, count);
                        }
                        (_, Some(number)) if number.is_finite() => sums.add_times(number, count),
                        _ => {}
                    }
                }
                sums.moments()
            }
        }
    }

    /// The numbers in order, NaN left out, infinities included, as steps of values that cannot be told apart: single
    /// values while all are counted, buckets of the log histogram after that. Counts are exact.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        let mut out = Vec::new();
        match &self.body {
            Body::Exact(_) => {
                for counted in self.counts().unwrap_or_default() {
                    if let Some(number) = counted.value.number().filter(|number| !number.is_nan()) {
                        out.push(Step { low: number, high: number, count: counted.low });
                    }
                }
                // Order of values is that of their numbers; decimals may round to one.
                out.sort_by(|a, b| a.low.total_cmp(&b.low));
            }
            Body::Full(full) => {
                let range = full.range.as_ref().map(|(low, high)| (low.number(), high.number()));
                let infinite = |count, number| (count > 0).then_some(Step { low: number, high: number, count });
                out.extend(infinite(full.infinite[0], f64::NEG_INFINITY));
                for (index, count) in full.histogram.buckets() {
                    let (mut low, mut high) = bounds(self.kind, index);
                    if let Some((Some(min), Some(max))) = range {
                        (low, high) = (low.max(min).min(max), high.min(max).max(min));
                    }
                    out.push(Step { low, high, count });
                }
                out.extend(infinite(full.infinite[1], f64::INFINITY));
            }
        }
        out
    }

    /// The quantile at `p` in 0..=1 of the numbers without NaN, type 7 (linear between neighbours): exact while all values
    /// are counted, else within 0.1 % of the values (for dates and timestamps: a day).
    #[must_use]
    pub fn quantile(&self, p: f64) -> Option<f64> {
        quantile_of(&self.steps(), p)
    }

    /// Least and most values at or below `x`, of the numbers without NaN. Equal unless `x` falls inside of a bucket.
    #[must_use]
    pub fn at_or_below(&self, x: f64) -> (u64, u64) {
        let (mut low, mut high) = (0, 0);
        for step in self.steps() {
            low += if step.high <= x { step.count } else { 0 };
            high += if step.low <= x { step.count } else { 0 };
        }
        (low, high)
    }

    /// What was watched, and the exact count of each of its bins.
    #[must_use]
    pub fn watched(&self) -> Option<(&Watch, Vec<u64>)> {
        let watch = self.watch.as_ref()?;
        Some((watch, self.count_bins(watch)?))
    }

    /// Exact counts for any bins: while all values are counted, or where these bins were watched.
    #[must_use]
    pub fn count_bins(&self, watch: &Watch) -> Option<Vec<u64>> {
        match &self.body {
            Body::Full(full) => (self.watch.as_ref() == Some(watch)).then(|| full.watched.clone()),
            Body::Exact(exact) => {
                let mut out = vec![0; watch.bins()];
                for (entry, count) in exact.iter() {
                    if let Some(slot) = watch.bin(&entry.value, entry.hash.0).and_then(|bin| out.get_mut(bin)) {
                        *slot += count;
                    }
                }
                Some(out)
            }
        }
    }

    /// The quantile sketch, where one was asked for and values are too many to be counted one by one.
    #[must_use]
    pub fn kll(&self) -> Option<&Kll> {
        self.closed.first().and_then(|(_, all)| all.kll.as_ref())
    }
}

/// The type-7 quantile of steps in order.
#[must_use]
pub fn quantile_of(steps: &[Step], p: f64) -> Option<f64> {
    let n: u64 = steps.iter().map(|step| step.count).sum();
    if n == 0 || p.is_nan() {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "ranks beyond 2^53 need no more than 53 bits")]
    let rank = (n - 1) as f64 * p.clamp(0.0, 1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and n")]
    let (floor, part) = (rank.floor() as u64, rank.fract());
    let low = value_at(steps, floor)?;
    if part == 0.0 {
        return Some(low);
    }
    let high = value_at(steps, floor + 1)?;
    Some(if low == high { low } else { low + (high - low) * part })
}

fn value_at(steps: &[Step], rank: u64) -> Option<f64> {
    let mut before = 0;
    for step in steps {
        before += step.count;
        if rank < before {
            return Some(step.middle());
        }
    }
    steps.last().map(Step::middle)
}
