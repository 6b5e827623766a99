//! Facts from the profile of a table.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers of bars"
)]

use gauntlet_core::{Location, MaskKey, Masked};
use gauntlet_sketch::{ColumnSketch, Counted, Distinct, Kind, Profile, Step, TOP_PATTERNS, Value, quantile_of};

use jiff::Span;
use jiff::civil::Date;

use super::{Pass, masked};
use crate::checks::{CONTRACT, MANIFEST};
use crate::facts::profile::{BarFact, FingerprintFact, NumbersFact, ProfileFact, TextFact, TopFact};
use crate::personal::Search;
use crate::profiling::{file_set_sha256, sketch_sha256};
use crate::table::FileDigest;

/// Bars of a histogram.
const BARS: usize = 40;
/// Frequent values of a fact.
const TOP: usize = 20;
/// A text is shown as it is when its column has at most so many different ones...
const CATEGORIES: u64 = 200;
/// ...and when at least so many rows share it: then it is the name of a class, not of a person.
const SHARED: u64 = 20;
/// Probabilities of the quantiles.
const PROBABILITIES: [f64; 9] = [0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999];

impl Pass<'_> {
    /// One fact a column, and the fingerprint. `hashes` are the digests of all data files, where they were made.
    pub(super) fn profile(&mut self, profile: &Profile, hashes: Option<&[FileDigest]>, complete: bool) {
        for fact in profile_facts(profile, self.context.mask) {
            self.facts.push(CONTRACT, Location::default().in_field(&fact.column), &fact);
        }
        let fact = FingerprintFact {
            content_hash: profile.content.to_string(),
            sketch_sha256: sketch_sha256(profile),
            file_set_sha256: hashes.map(file_set_sha256),
            rows: profile.rows(),
            complete,
        };
        self.facts.push(MANIFEST, Location::default(), &fact);
    }
}

/// What a report says of each column of a profile; values that may name somebody are masked.
#[must_use]
pub fn profile_facts(profile: &Profile, mask: &MaskKey) -> Vec<ProfileFact> {
    let columns = (0..).zip(&profile.columns);
    columns.map(|(position, column)| fact(&column.name, position, &column.sketch, mask)).collect()
}

/// What a report says of one column.
fn fact(name: &str, position: u64, sketch: &ColumnSketch, mask: &MaskKey) -> ProfileFact {
    let steps = sketch.steps();
    let distinct = sketch.distinct();
    let top: Vec<TopFact> = sketch.top().iter().take(TOP).map(|counted| top(counted, distinct, mask)).collect();
    let patterns = sketch.patterns();
    let patterns = patterns.iter().take(TOP_PATTERNS).map(|counted| TopFact {
        value: counted.value.label(),
        low: counted.low,
        high: counted.high,
    });
    ProfileFact {
        column: name.to_owned(),
        position,
        family: sketch.kind().as_str().to_owned(),
        rows: sketch.rows(),
        nulls: sketch.nulls(),
        invalid: sketch.invalid(),
        distinct: distinct.number(),
        exact: matches!(distinct, Distinct::Exact(_)),
        numbers: sketch.kind().is_numeric().then(|| numbers(sketch, &steps, mask)),
        text: text(sketch),
        top,
        patterns: patterns.collect(),
        bars: bars(&steps).into_iter().map(|bar| coarse(sketch.kind(), bar)).collect(),
    }
}

fn top(counted: &Counted, distinct: Distinct, mask: &MaskKey) -> TopFact {
    let label = counted.value.label();
    let value = match &counted.value {
        Value::Bool(_) => label,
        Value::Bytes(bytes, cut) => {
            let few = matches!(distinct, Distinct::Exact(n) if n <= CATEGORIES);
            if few && counted.low >= SHARED && !cut && !Search::may_hold(bytes) {
                label
            } else {
                Masked::new(&label, 2, mask).as_str().to_owned()
            }
        }
        _ => masked(&label, true, mask),
    };
    TopFact { value, low: counted.low, high: counted.high }
}

fn numbers(sketch: &ColumnSketch, steps: &[Step], mask: &MaskKey) -> NumbersFact {
    let moments = sketch.moments();
    let finite = |x: f64| x.is_finite().then_some(x);
    let (negative_infinity, positive_infinity) = sketch.infinities();
    let (min, max) = sketch.range().map_or((None, None), |(low, high)| (Some(low), Some(high)));
    let shown = |value: Value| match month(sketch.kind(), &value) {
        Some(month) => month,
        None => masked(&value.label(), true, mask),
    };
    let quantile = |p: f64| quantile_of(steps, p).and_then(finite).map(|x| (p, rounded(sketch.kind(), x)));
    NumbersFact {
        nan: sketch.nans(),
        negative_infinity,
        positive_infinity,
        zero: sketch.zeros(),
        negative: sketch.negatives(),
        min: min.map(shown),
        max: max.map(shown),
        mean: moments.and_then(|m| finite(m.mean)),
        deviation: moments.and_then(|m| m.variance()).map(f64::sqrt).and_then(finite),
        skewness: moments.and_then(|m| m.skewness()).and_then(finite),
        kurtosis: moments.and_then(|m| m.kurtosis()).and_then(finite),
        quantiles: PROBABILITIES.into_iter().filter_map(quantile).collect(),
    }
}

/// A bar whose ends tell no cell of the data.
fn coarse(kind: Kind, bar: BarFact) -> BarFact {
    BarFact { low: rounded(kind, bar.low), high: rounded(kind, bar.high), ..bar }
}

/// A number to three digits, a date or point in time to the month: as much as a picture shows, and no cell of the data.
fn rounded(kind: Kind, x: f64) -> f64 {
    let unit = match kind {
        Kind::Date => 1.0,
        Kind::Timestamp => 86_400e9,
        _ if x == 0.0 || !x.is_finite() => return x,
        _ => {
            let exponent = 2 - x.abs().log10().floor().clamp(-300.0, 300.0) as i32;
            if exponent >= 0 {
                let scale = 10_f64.powi(exponent);
                return (x * scale).round() / scale;
            }
            let scale = 10_f64.powi(-exponent);
            return (x / scale).round() * scale;
        }
    };
    let days = (x / unit).floor();
    let first = Date::constant(1970, 1, 1)
        .checked_add(Span::new().try_days(days as i64).unwrap_or_default())
        .map(|date| date.first_of_month());
    let month = first.ok().and_then(|first| first.since(Date::constant(1970, 1, 1)).ok());
    month.map_or(x, |span| f64::from(span.get_days()) * unit)
}

/// A date or point in time, no closer than the month: the day may be somebody's birthday.
fn month(kind: Kind, value: &Value) -> Option<String> {
    let Value::Int(number) = value else { return None };
    let days = match kind {
        Kind::Date => *number,
        Kind::Timestamp => number.div_euclid(86_400_000_000_000),
        _ => return None,
    };
    let days = i32::try_from(days).ok()?;
    let date = Date::constant(1970, 1, 1).checked_add(Span::new().try_days(days).ok()?).ok()?;
    Some(date.strftime("%Y-%m").to_string())
}

fn text(sketch: &ColumnSketch) -> Option<TextFact> {
    let text = sketch.text().filter(|_| sketch.kind() == Kind::Text)?;
    Some(TextFact {
        shortest: text.shortest,
        mean_length: text.mean_length()?,
        longest: text.longest,
        empty: text.empty,
        ascii: text.ascii_share()?,
        digits: text.digit_share().unwrap_or(0.0),
    })
}

/// A bar for each value while they are few; else bars of one width between the quantiles .001 and .999, and one on either
/// side for what lies beyond.
pub(crate) fn bars(steps: &[Step]) -> Vec<BarFact> {
    let finite: Vec<Step> =
        steps.iter().copied().filter(|step| step.low.is_finite() && step.high.is_finite()).collect();
    if finite.len() <= BARS {
        return finite.iter().map(|step| BarFact { low: step.low, high: step.high, count: step.count }).collect();
    }
    let (Some(low), Some(high)) = (quantile_of(&finite, 0.001), quantile_of(&finite, 0.999)) else { return Vec::new() };
    let (Some(first), Some(last)) = (finite.first(), finite.last()) else { return Vec::new() };
    let width = (high - low) / BARS as f64;
    if !(width > 0.0 && width.is_finite()) {
        return vec![BarFact { low: first.low, high: last.high, count: finite.iter().map(|step| step.count).sum() }];
    }
    let mut out = vec![BarFact { low: first.low, high: low, count: 0 }];
    out.extend((0..BARS).map(|i| BarFact {
        low: low + width * i as f64,
        high: if i + 1 == BARS { high } else { low + width * (i + 1) as f64 },
        count: 0,
    }));
    out.push(BarFact { low: high, high: last.high, count: 0 });
    for step in &finite {
        let x = step.middle();
        let at = if x < low {
            0
        } else if x > high {
            BARS + 1
        } else {
            1 + (((x - low) / width) as usize).min(BARS - 1)
        };
        if let Some(bar) = out.get_mut(at) {
            bar.count += step.count;
        }
    }
    out.retain(|bar| bar.count > 0 || (bar.low >= low && bar.high <= high));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_shown_by_month() {
        assert_eq!(month(Kind::Date, &Value::Int(18_624)).as_deref(), Some("2020-12"));
        assert_eq!(month(Kind::Timestamp, &Value::Int(-1)).as_deref(), Some("1969-12"));
        assert_eq!(month(Kind::Date, &Value::Int(i128::MAX)), None);
        assert_eq!(month(Kind::Integer, &Value::Int(5)), None);
    }

    #[test]
    fn bars_hold_every_value_once() {
        let steps: Vec<Step> = (0..500)
            .map(|i| Step { low: f64::from(i), high: f64::from(i), count: u64::from(i % 7 == 0) + 1 })
            .collect();
        let bars = bars(&steps);
        let all: u64 = steps.iter().map(|step| step.count).sum();
        assert_eq!(bars.iter().map(|bar| bar.count).sum::<u64>(), all);
        assert!(bars.len() >= BARS && bars.windows(2).all(|pair| pair[0].high <= pair[1].low + 1e-9));
        let one = [Step { low: 3.0, high: 3.0, count: 5 }];
        assert_eq!(super::bars(&one), [BarFact { low: 3.0, high: 3.0, count: 5 }]);
    }
}
