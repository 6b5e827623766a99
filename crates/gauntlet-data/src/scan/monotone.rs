//! `monotone(place, value)`: rows whose value stands on the wrong side of the value before it. Partial results are runs of
//! neighbouring rows; where two runs meet, the last value of one and the first of the next are compared.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Float64Type, Int64Type, UInt64Type};
use arrow::util::display::array_value_to_string;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use serde::{Deserialize, Serialize};

use super::rows::{decode_all, encode, internal, state_field};
use super::tally::Tally;
use crate::contract::Monotone;

/// Neighbouring rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    /// Place of the first row with a value.
    start: u64,
    first: u64,
    first_text: String,
    last: u64,
}

/// What `monotone` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Runs {
    runs: Vec<Run>,
    tally: Tally,
}

impl Runs {
    fn value(&mut self, place: u64, key: u64, order: Monotone, text: &dyn Fn() -> Result<String>) -> Result<()> {
        match self.runs.last_mut() {
            Some(run) => {
                self.tally.evaluated += 1;
                if breaks(order, run.last, key) {
                    self.tally.failing.count += 1;
                    if self.tally.failing.wants(place) {
                        let text = text()?;
                        self.tally.failing.keep(place, || text);
                    }
                }
                run.last = key;
            }
            None => self.open(place, key, text()?),
        }
        Ok(())
    }

    fn open(&mut self, place: u64, key: u64, text: String) {
        self.tally.evaluated += 1;
        self.runs.push(Run { start: place, first: key, first_text: text, last: key });
    }

    fn merge(&mut self, other: Self) {
        self.runs.extend(other.runs);
        self.tally.merge(other.tally);
    }

    /// Joins the runs.
    pub(crate) fn finish(mut self, order: Monotone) -> Tally {
        self.runs.sort_by_key(|run| run.start);
        for pair in self.runs.windows(2) {
            let [before, after] = pair else { continue };
            if breaks(order, before.last, after.first) {
                self.tally.failing.count += 1;
                self.tally.failing.keep(after.start, || after.first_text.clone());
            }
        }
        self.tally
    }
}

fn breaks(order: Monotone, before: u64, value: u64) -> bool {
    match order {
        Monotone::Increasing => value < before,
        Monotone::StrictlyIncreasing => value <= before,
        Monotone::Decreasing => value > before,
        Monotone::StrictlyDecreasing => value >= before,
    }
}

/// Values as whole numbers of the same order: `None` for nulls. NaN comes last, -0.0 equals 0.0.
pub(crate) fn order_keys(values: &ArrayRef) -> Result<Vec<Option<u64>>> {
    const SIGN: u64 = 1 << 63;
    let of_float = |value: f64| {
        let value = if value.is_nan() { f64::NAN } else { value + 0.0 };
        let bits = value.to_bits();
        if value.is_nan() {
            u64::MAX
        } else if bits & SIGN == 0 {
            bits | SIGN
        } else {
            !bits
        }
    };
    let data_type = values.data_type();
    if *data_type == DataType::UInt64 {
        let values = values.as_primitive_opt::<UInt64Type>().ok_or_else(|| internal("no numbers"))?;
        return Ok(values.iter().collect());
    }
    if data_type.is_floating() || data_type.is_decimal() {
        let values = cast(values, &DataType::Float64)?;
        let values = values.as_primitive_opt::<Float64Type>().ok_or_else(|| internal("no numbers"))?;
        return Ok(values.iter().map(|value| value.map(of_float)).collect());
    }
    let values = match data_type {
        DataType::Date32 => cast(&cast(values, &DataType::Int32)?, &DataType::Int64)?,
        _ => cast(values, &DataType::Int64)?,
    };
    let values = values.as_primitive_opt::<Int64Type>().ok_or_else(|| internal("no numbers"))?;
    Ok(values.iter().map(|value| value.map(|value| value.cast_unsigned() ^ SIGN)).collect())
}

/// The function for the engine.
pub(crate) fn monotone(order: Monotone) -> AggregateUDF {
    AggregateUDF::new_from_impl(Function {
        signature: Signature::any(2, Volatility::Immutable),
        order: match order {
            Monotone::Increasing => 0,
            Monotone::StrictlyIncreasing => 1,
            Monotone::Decreasing => 2,
            Monotone::StrictlyDecreasing => 3,
        },
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Function {
    signature: Signature,
    order: u8,
}

impl Function {
    fn order(&self) -> Monotone {
        match self.order {
            0 => Monotone::Increasing,
            1 => Monotone::StrictlyIncreasing,
            2 => Monotone::Decreasing,
            _ => Monotone::StrictlyDecreasing,
        }
    }
}

impl AggregateUDFImpl for Function {
    fn name(&self) -> &'static str {
        match self.order() {
            Monotone::Increasing => "increasing",
            Monotone::StrictlyIncreasing => "strictly_increasing",
            Monotone::Decreasing => "decreasing",
            Monotone::StrictlyDecreasing => "strictly_decreasing",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn accumulator(&self, _arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(State { runs: Runs::default(), order: self.order(), next: None, fresh: true }))
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![state_field(arguments.name)])
    }
}

#[derive(Debug)]
struct State {
    runs: Runs,
    order: Monotone,
    /// The place that would follow the last row seen, value or not.
    next: Option<u64>,
    /// The next value begins a run.
    fresh: bool,
}

impl Accumulator for State {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [places, values] = values else { return Err(internal("monotone takes two arguments")) };
        let places = places.as_primitive_opt::<UInt64Type>().ok_or_else(|| internal("no place"))?;
        let keys = order_keys(values)?;
        for (i, (&place, key)) in places.values().iter().zip(keys).enumerate() {
            // A gap means that rows in between were seen elsewhere: another run begins.
            self.fresh |= self.next != Some(place);
            self.next = Some(place + 1);
            let Some(key) = key else {
                self.runs.tally.nulls += 1;
                continue;
            };
            let text = || Ok(array_value_to_string(values, i)?);
            if self.fresh {
                self.runs.open(place, key, text()?);
                self.fresh = false;
            } else {
                self.runs.value(place, key, self.order, &text)?;
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        encode(&self.runs)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.runs.runs.len() * 96 + self.runs.tally.failing.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![encode(&self.runs)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for state in decode_all::<Runs>(states)? {
            self.runs.merge(state);
        }
        Ok(())
    }
}

/// Failing rows of one batch after another, in the order of places: for the row report.
#[derive(Debug)]
pub(crate) struct InOrder {
    order: Monotone,
    last: Option<u64>,
}

impl InOrder {
    pub(crate) fn new(order: Monotone) -> Self {
        Self { order, last: None }
    }

    pub(crate) fn failing(&mut self, values: &ArrayRef) -> Result<Vec<bool>> {
        let keys = order_keys(values)?;
        Ok(keys
            .into_iter()
            .map(|key| {
                let Some(key) = key else { return false };
                let fails = self.last.is_some_and(|last| breaks(self.order, last, key));
                self.last = Some(key);
                fails
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int32Array, UInt64Array};

    use super::*;

    fn runs(values: &[Option<i32>], pieces: usize, order: Monotone) -> Tally {
        let mut whole = Runs::default();
        let size = values.len().div_ceil(pieces);
        for piece in (0..pieces).rev() {
            let from = (piece * size).min(values.len());
            let part = &values[from..(from + size).min(values.len())];
            let mut state = State { runs: Runs::default(), order, next: None, fresh: true };
            let places = UInt64Array::from_iter_values((from as u64)..(from + part.len()) as u64);
            state.update_batch(&[Arc::new(places), Arc::new(Int32Array::from(part.to_vec()))]).unwrap();
            whole.merge(state.runs);
        }
        whole.finish(order)
    }

    #[test]
    fn pieces_give_one_answer() {
        let values: Vec<Option<i32>> =
            vec![Some(1), None, Some(3), Some(3), Some(2), None, None, Some(5), Some(4), Some(9), None];
        for order in
            [Monotone::Increasing, Monotone::StrictlyIncreasing, Monotone::Decreasing, Monotone::StrictlyDecreasing]
        {
            let whole = runs(&values, 1, order);
            for pieces in [2, 3, 7, 11] {
                assert_eq!(runs(&values, pieces, order), whole, "{order:?} {pieces}");
            }
        }
        let tally = runs(&values, 3, Monotone::Increasing);
        assert_eq!((tally.evaluated, tally.nulls, tally.failing.count), (7, 4, 2));
        assert_eq!(tally.failing.first.keys().copied().collect::<Vec<_>>(), [4, 8]);
        assert_eq!(runs(&values, 3, Monotone::StrictlyIncreasing).failing.count, 3);
    }

    #[test]
    fn floats_have_one_zero_and_nan_comes_last() {
        let values: ArrayRef = Arc::new(Float64Array::from(vec![-1.0, -0.0, 0.0, 2.0, f64::INFINITY, f64::NAN]));
        let keys: Vec<u64> = order_keys(&values).unwrap().into_iter().flatten().collect();
        assert!(keys.is_sorted() && keys[1] == keys[2]);
    }
}
