//! What the manifest asks of every row about the people behind it: consent, its last day, proof of age.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Date32Type, UInt64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{Accumulator, AggregateUDF, Expr, Signature, Volatility, cast, lit, try_cast};
use serde::{Deserialize, Serialize};

use super::function::aggregate;
use super::raw;
use super::rows::{FirstRows, decode_all, encode, internal};
use crate::facts::KEPT_ROWS;
use crate::manifest::AgeVerification;

/// Days from 1970 to 1900 and to 2200: what lies beyond counts as that day, so that the days of a column are few.
const FIRST_DAY: i32 = -25_567;
const LAST_DAY: i32 = 84_006;
/// Nobody is older; a number above it is no age.
pub(crate) const OLDEST: f64 = 150.0;

/// What is asked of every row about the people behind it; columns by index.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PeopleQuestions<'a> {
    /// Consent column and the values that count.
    pub(crate) consent: Option<(usize, &'a [String])>,
    /// Column that proves an age.
    pub(crate) age: Option<(usize, &'a AgeVerification)>,
    /// Column with the last day of consent.
    pub(crate) expires: Option<usize>,
}

impl PeopleQuestions<'_> {
    /// The columns that the answers come from.
    pub(crate) fn columns(&self) -> impl Iterator<Item = usize> {
        let consent = self.consent.map(|(column, _)| column);
        consent.into_iter().chain(self.age.map(|(column, _)| column)).chain(self.expires)
    }
}

/// What the rows answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PeopleAnswers {
    /// Rows without consent.
    pub(crate) consent: Option<FirstRows>,
    /// Rows without proof of age.
    pub(crate) age: Option<FirstRows>,
    /// Last days of consent.
    pub(crate) expires: Option<ExpiryRows>,
}

/// The last days of consent over all rows. Which of them have passed depends on the day of evaluation, which no fact knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExpiryRows {
    /// Rows by day (since 1970-01-01).
    pub(crate) days: BTreeMap<i32, u64>,
    /// Rows without a day, or with something that is none.
    pub(crate) missing: FirstRows,
    /// The rows that expire first: day and place, in order.
    pub(crate) earliest: Vec<(i32, u64)>,
}

impl ExpiryRows {
    fn add(&mut self, day: i32, place: u64) {
        let day = day.clamp(FIRST_DAY, LAST_DAY);
        *self.days.entry(day).or_default() += 1;
        self.keep(day, place);
    }

    fn keep(&mut self, day: i32, place: u64) {
        if self.earliest.len() >= KEPT_ROWS && self.earliest.last().is_some_and(|&last| last <= (day, place)) {
            return;
        }
        let at = self.earliest.partition_point(|&kept| kept < (day, place));
        self.earliest.insert(at, (day, place));
        self.earliest.truncate(KEPT_ROWS);
    }

    fn merge(&mut self, other: Self) {
        for (day, rows) in other.days {
            *self.days.entry(day).or_default() += rows;
        }
        self.missing.merge(other.missing);
        for (day, place) in other.earliest {
            self.keep(day, place);
        }
    }
}

/// True for a row whose value is not among `allowed`; a null is not.
pub(crate) fn without_consent(column: usize, allowed: &[String]) -> Expr {
    let listed = allowed.iter().map(|word| lit(word.clone())).collect();
    raw(column).is_null().or(cast(raw(column), DataType::Utf8).in_list(listed, true))
}

/// True for a row that does not prove an age: no value, none that is listed, no number in the range of ages.
pub(crate) fn without_age(column: usize, rule: &AgeVerification) -> Expr {
    match rule.minimum {
        Some(minimum) => {
            let years = try_cast(raw(column), DataType::Float64);
            // NaN is above every number in this order, so the upper end refuses it.
            let fits = years.clone().gt_eq(lit(f64::from(minimum))).and(years.clone().lt_eq(lit(OLDEST)));
            years.is_null().or(!fits)
        }
        None => without_consent(column, &rule.allowed),
    }
}

/// The days of an array as days since 1970; a value that is no day is null. `None` when the type holds no days.
pub(crate) fn days(values: &ArrayRef) -> Result<Option<ArrayRef>> {
    let dated =
        matches!(values.data_type(), DataType::Utf8 | DataType::Date32 | DataType::Date64 | DataType::Timestamp(..));
    if !dated {
        return Ok(None);
    }
    let options = CastOptions { safe: true, ..CastOptions::default() };
    Ok(Some(cast_with_options(values, &DataType::Date32, &options)?))
}

/// The function for the engine: `expiry(place, value)`.
pub(crate) fn expiry() -> AggregateUDF {
    aggregate::<State>("expiry", Signature::any(2, Volatility::Immutable))
}

#[derive(Debug, Default)]
struct State(ExpiryRows);

impl Accumulator for State {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [places, values] = values else { return Err(internal("expiry takes two arguments")) };
        let places = places.as_primitive_opt::<UInt64Type>().ok_or_else(|| internal("no place"))?;
        let days = days(values)?;
        let days = days.as_ref().and_then(|days| days.as_primitive_opt::<Date32Type>());
        for (i, &place) in places.values().iter().enumerate() {
            match days.filter(|days| days.is_valid(i)).map(|days| days.value(i)) {
                Some(day) => self.0.add(day, place),
                None => {
                    self.0.missing.count += 1;
                    self.0.missing.keep(place, || if values.is_null(i) { "null" } else { "no day" }.to_owned());
                }
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        encode(&self.0)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.0.days.len() * 32 + self.0.missing.size() + KEPT_ROWS * 16
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![encode(&self.0)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for state in decode_all::<ExpiryRows>(states)? {
            self.0.merge(state);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn days_are_read_from_dates_and_texts_and_from_nothing_else() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("2026-11-21"), Some("soon"), None]));
        let read = days(&texts).unwrap().unwrap();
        let read = read.as_primitive::<Date32Type>();
        assert_eq!((read.value(0), read.is_valid(1), read.is_valid(2)), (20_778, false, false));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![20_778]));
        assert!(days(&numbers).unwrap().is_none());
    }

    #[test]
    fn the_earliest_rows_are_the_same_in_any_order_of_merging() {
        let part = |range: std::ops::Range<u64>| {
            let mut rows = ExpiryRows::default();
            range.for_each(|place| rows.add((place % 7) as i32, place));
            rows
        };
        let (mut ab, mut ba) = (part(0..100), part(100..250));
        ab.merge(part(100..250));
        ba.merge(part(0..100));
        assert_eq!(ab, ba);
        assert_eq!((ab.earliest.len(), ab.earliest[0], ab.earliest[19]), (KEPT_ROWS, (0, 0), (0, 133)));
        assert_eq!(ab.days.values().sum::<u64>(), 250);
    }
}
