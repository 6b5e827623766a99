//! `personal(place, value)`: searches the cells of one column for personal data, in the scan that the contract needs anyway.

use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{DataType, FieldRef, Int64Type, UInt64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use serde::{Deserialize, Serialize};

use super::rows::{FirstRows, decode_all, encode, internal, state_field};
use crate::personal::{Kind, Search};

/// Smallest whole number with as many digits as a card.
const CARD_FROM: u64 = 1_000_000_000_000;
/// Smallest whole number with as many digits as a telephone number.
const PHONE_FROM: u64 = 1_000_000;

/// What `personal` answers for one column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PersonalRows {
    /// Rows with a match, by [`Kind::index`].
    pub(crate) hits: [FirstRows; 3],
    /// Rows of which the whole value is a match.
    pub(crate) whole: [u64; 3],
    /// Rows of 13 to 19 digits.
    pub(crate) digit_runs: u64,
}

/// Whether cells of this type are searched.
pub(crate) fn searched(scanned: &DataType) -> bool {
    matches!(scanned, DataType::Utf8 | DataType::Int64 | DataType::UInt64)
}

/// The function for the engine. `announced` is what the column's name says: digits in a column called `phone` are a
/// telephone number without further signs.
pub(crate) fn personal(announced: Option<Kind>) -> AggregateUDF {
    let phone = announced == Some(Kind::Phone);
    AggregateUDF::new_from_impl(Function { signature: Signature::any(2, Volatility::Immutable), phone })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Function {
    signature: Signature,
    phone: bool,
}

impl AggregateUDFImpl for Function {
    fn name(&self) -> &'static str {
        if self.phone { "personal_phone" } else { "personal" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn accumulator(&self, _arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(State { rows: PersonalRows::default(), search: search()?, phone: self.phone }))
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![state_field(arguments.name)])
    }
}

/// One scanner for all columns and threads.
fn search() -> Result<Arc<Search>> {
    static SEARCH: OnceLock<Option<Arc<Search>>> = OnceLock::new();
    let search = SEARCH.get_or_init(|| Search::new().ok().map(Arc::new));
    search.clone().ok_or_else(|| internal("the pattern scanner cannot be built"))
}

#[derive(Debug)]
struct State {
    rows: PersonalRows,
    search: Arc<Search>,
    phone: bool,
}

impl State {
    fn look(&mut self, place: u64, value: &str) {
        let Some(seen) = self.search.look(value.as_bytes(), self.phone) else { return };
        self.rows.digit_runs += u64::from(seen.digit_run);
        for kind in Kind::ALL {
            let i = kind.index();
            if let Some(range) = seen.matched[i].clone() {
                self.rows.hits[i].count += 1;
                self.rows.whole[i] += u64::from(seen.whole[i]);
                self.rows.hits[i].keep(place, || value.get(range).unwrap_or_default().to_owned());
            }
        }
    }

    /// Whole numbers: only those with enough digits are written out.
    fn numbers(&mut self, places: &PrimitiveArray<UInt64Type>, numbers: impl Iterator<Item = Option<u64>>) {
        let from = if self.phone { PHONE_FROM } else { CARD_FROM };
        for (&place, number) in places.values().iter().zip(numbers) {
            if let Some(number) = number.filter(|&n| n >= from) {
                self.look(place, &number.to_string());
            }
        }
    }
}

impl Accumulator for State {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [places, values] = values else { return Err(internal("personal takes two arguments")) };
        let places = places.as_primitive_opt::<UInt64Type>().ok_or_else(|| internal("no place"))?;
        if let Some(texts) = values.as_string_opt::<i32>() {
            let offsets = texts.value_offsets();
            let bytes = match (offsets.first(), offsets.last()) {
                (Some(&from), Some(&to)) => {
                    texts.value_data().get(from.cast_unsigned() as usize..to.cast_unsigned() as usize)
                }
                _ => None,
            };
            if bytes.is_none_or(Search::may_hold) {
                for (&place, text) in places.values().iter().zip(texts) {
                    if let Some(text) = text {
                        self.look(place, text);
                    }
                }
            }
        } else if let Some(numbers) = values.as_primitive_opt::<Int64Type>() {
            self.numbers(places, numbers.iter().map(|n| n.and_then(|n| u64::try_from(n).ok())));
        } else if let Some(numbers) = values.as_primitive_opt::<UInt64Type>() {
            self.numbers(places, numbers.iter());
        } else {
            return Err(internal("personal takes texts and whole numbers"));
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        encode(&self.rows)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.rows.hits.iter().map(FirstRows::size).sum::<usize>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![encode(&self.rows)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for state in decode_all::<PersonalRows>(states)? {
            self.rows.digit_runs += state.digit_runs;
            for (i, hits) in state.hits.into_iter().enumerate() {
                self.rows.hits[i].merge(hits);
                self.rows.whole[i] += state.whole[i];
            }
        }
        Ok(())
    }
}
