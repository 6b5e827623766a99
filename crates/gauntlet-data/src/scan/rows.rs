//! `first_rows(place, value)`: counts the rows it is given and keeps the first of them. Partial results merge to the same
//! answer in any order.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, UInt64Type};
use arrow::util::display::array_value_to_string;
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Accumulator, AggregateUDF, Signature, Volatility};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::function::aggregate;
use crate::facts::KEPT_ROWS;

/// Longest value that is kept until it is masked.
const MAX_SAMPLE: usize = 4_096;

/// What `first_rows` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FirstRows {
    /// Rows.
    pub(crate) count: u64,
    /// The first of them by place, with their values. In memory only: facts hold them masked.
    pub(crate) first: BTreeMap<u64, String>,
}

impl FirstRows {
    /// Whether a row at this place would be kept.
    pub(crate) fn wants(&self, place: u64) -> bool {
        self.first.len() < KEPT_ROWS || self.first.last_key_value().is_some_and(|(&last, _)| place < last)
    }

    pub(crate) fn keep(&mut self, place: u64, value: impl FnOnce() -> String) {
        let full = self.first.len() >= KEPT_ROWS;
        if full && self.first.last_key_value().is_some_and(|(&last, _)| last < place) {
            return;
        }
        let mut value = value();
        value.truncate(value.floor_char_boundary(MAX_SAMPLE));
        self.first.insert(place, value);
        if full {
            self.first.pop_last();
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.count += other.count;
        for (place, value) in other.first {
            self.keep(place, || value);
        }
    }

    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + self.first.values().map(|v| v.capacity() + 64).sum::<usize>()
    }
}

/// The function for the engine.
pub(crate) fn first_rows() -> AggregateUDF {
    aggregate::<State>("first_rows", Signature::any(2, Volatility::Immutable))
}

#[derive(Debug, Default)]
struct State(FirstRows);

impl Accumulator for State {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [places, values] = values else { return Err(internal("first_rows takes two arguments")) };
        let places = places.as_primitive_opt::<UInt64Type>().ok_or_else(|| internal("no place"))?;
        self.0.count += places.len() as u64;
        for (i, &place) in places.values().iter().enumerate() {
            if self.0.first.len() >= KEPT_ROWS && self.0.first.last_key_value().is_some_and(|(&last, _)| last < place) {
                continue;
            }
            let text = if values.is_null(i) { "null".to_owned() } else { array_value_to_string(values, i)? };
            self.0.keep(place, || text);
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        encode(&self.0)
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![encode(&self.0)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for state in decode_all::<FirstRows>(states)? {
            self.0.merge(state);
        }
        Ok(())
    }
}

pub(crate) fn state_field(name: &str) -> FieldRef {
    Arc::new(Field::new(name, DataType::Binary, true))
}

pub(crate) fn internal(what: &str) -> DataFusionError {
    DataFusionError::Internal(what.to_owned())
}

/// A partial result on its way between threads.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<ScalarValue> {
    let bytes = serde_json::to_vec(value).map_err(|error| DataFusionError::External(error.into()))?;
    Ok(ScalarValue::Binary(Some(bytes)))
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| DataFusionError::External(error.into()))
}

pub(crate) fn decode_all<T: DeserializeOwned>(states: &[ArrayRef]) -> Result<Vec<T>> {
    let column = states.first().and_then(|s| s.as_binary_opt::<i32>()).ok_or_else(|| internal("no state"))?;
    column.iter().flatten().map(decode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_gives_one_answer_in_any_order() {
        let part = |places: std::ops::Range<u64>| {
            let mut rows = FirstRows { count: places.end - places.start, ..FirstRows::default() };
            places.rev().for_each(|p| rows.keep(p, || p.to_string()));
            rows
        };
        let (a, b) = (part(0..30), part(10..40));
        let (mut ab, mut ba) = (a.clone(), b.clone());
        ab.merge(b);
        ba.merge(a);
        assert_eq!(ab, ba);
        assert_eq!((ab.count, ab.first.len(), ab.first.last_key_value().unwrap().0), (60, KEPT_ROWS, &19));
    }
}
