//! `tally(place, value, failing[, scope])`: how many rows a rule judged, skipped and failed, and the first that failed.
//! `failing` is three-valued: a null is no judgement. Rows where `scope` is not true are no business of the rule.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::UInt64Type;
use arrow::util::display::array_value_to_string;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{Accumulator, AggregateUDF, Signature, Volatility};
use serde::{Deserialize, Serialize};

use super::function::aggregate;
use super::rows::{FirstRows, decode_all, encode, internal};

/// What `tally` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Rows that passed or failed.
    pub(crate) evaluated: u64,
    /// Rows in scope that are no judgement.
    pub(crate) nulls: u64,
    /// Rows that failed.
    pub(crate) failing: FirstRows,
}

impl Tally {
    pub(crate) fn merge(&mut self, other: Self) {
        self.evaluated += other.evaluated;
        self.nulls += other.nulls;
        self.failing.merge(other.failing);
    }

    /// Adds the rows of one batch.
    pub(crate) fn add(
        &mut self,
        places: &[u64],
        values: &ArrayRef,
        failing: &BooleanArray,
        scope: Option<&BooleanArray>,
    ) -> Result<()> {
        let set = |array: &BooleanArray| match array.nulls() {
            Some(valid) => array.values() & valid.inner(),
            None => array.values().clone(),
        };
        let scope: Option<BooleanBuffer> = scope.map(set);
        let mut fails = set(failing);
        let in_scope = scope.as_ref().map_or(failing.len(), BooleanBuffer::count_set_bits);
        let judged = match (&scope, failing.nulls()) {
            (None, valid) => failing.len() - valid.map_or(0, |valid| valid.null_count()),
            (Some(scope), None) => scope.count_set_bits(),
            (Some(scope), Some(valid)) => (scope & valid.inner()).count_set_bits(),
        };
        if let Some(scope) = &scope {
            fails = &fails & scope;
        }
        self.evaluated += judged as u64;
        self.nulls += (in_scope - judged) as u64;
        let count = fails.count_set_bits();
        if count == 0 {
            return Ok(());
        }
        self.failing.count += count as u64;
        for i in fails.set_indices() {
            let Some(&place) = places.get(i) else { return Err(internal("fewer places than rows")) };
            if !self.failing.wants(place) {
                continue;
            }
            let text = if values.is_null(i) { "null".to_owned() } else { array_value_to_string(values, i)? };
            self.failing.keep(place, || text);
        }
        Ok(())
    }
}

/// The function for the engine.
pub(crate) fn tally() -> AggregateUDF {
    aggregate::<State>("tally", Signature::variadic_any(Volatility::Immutable))
}

#[derive(Debug, Default)]
struct State(Tally);

impl Accumulator for State {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let (places, value, failing, scope) = match values {
            [places, value, failing] => (places, value, failing, None),
            [places, value, failing, scope] => (places, value, failing, Some(scope)),
            _ => return Err(internal("tally takes three or four arguments")),
        };
        let places = places.as_primitive_opt::<UInt64Type>().ok_or_else(|| internal("no place"))?;
        let truth = |array: &ArrayRef| array.as_boolean_opt().cloned().ok_or_else(|| internal("no truth values"));
        let (failing, scope) = (truth(failing)?, scope.map(truth).transpose()?);
        self.0.add(places.values(), value, &failing, scope.as_ref())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        encode(&self.0)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.0.failing.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![encode(&self.0)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for state in decode_all::<Tally>(states)? {
            self.0.merge(state);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;

    use super::*;

    #[test]
    fn nulls_are_no_judgement_and_scope_is_obeyed() {
        let values: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(2), None, Some(4), Some(5), None]));
        let failing = BooleanArray::from(vec![Some(true), Some(false), None, Some(true), Some(true), None]);
        let places: Vec<u64> = (10..16).collect();
        let mut all = Tally::default();
        all.add(&places, &values, &failing, None).unwrap();
        assert_eq!((all.evaluated, all.nulls, all.failing.count), (4, 2, 3));
        let scope = BooleanArray::from(vec![Some(true), Some(true), Some(true), Some(false), None, None]);
        let mut some = Tally::default();
        some.add(&places, &values, &failing, Some(&scope)).unwrap();
        assert_eq!((some.evaluated, some.nulls, some.failing.count), (2, 1, 1));
        assert_eq!(some.failing.first.into_iter().collect::<Vec<_>>(), [(10, "1".to_owned())]);
    }
}
