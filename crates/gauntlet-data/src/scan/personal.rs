//! `personal(place, value)`: searches the cells of one column for personal data and secrets, in the scan that the contract
//! needs anyway.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, StringArray};
use arrow::datatypes::{DataType, FieldRef, Int64Type, UInt64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use serde::{Deserialize, Serialize};

use super::rows::{FirstRows, decode_all, encode, internal, state_field};
use crate::personal::{KINDS, Kind, Search, Secret, announces_secret, kind_of_name};

/// Smallest whole number with as many digits as a card.
const CARD_FROM: u64 = 1_000_000_000_000;
/// Smallest whole number with as many digits as a telephone number.
const PHONE_FROM: u64 = 1_000_000;

/// What `personal` answers for one column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PersonalRows {
    /// Rows with a match, by [`Kind::index`].
    pub(crate) hits: [FirstRows; KINDS],
    /// Rows of which the whole value is a match.
    pub(crate) whole: [u64; KINDS],
    /// Rows of 13 to 19 digits.
    pub(crate) digit_runs: u64,
    /// Rows with a secret, by title.
    pub(crate) secrets: BTreeMap<String, SecretRows>,
}

/// Rows with one sort of secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SecretRows {
    /// The pattern's kind.
    pub(crate) kind: String,
    /// Rows in which it is proven.
    pub(crate) proven: FirstRows,
    /// Rows in which it is likely.
    pub(crate) likely: FirstRows,
}

/// Whether cells of this type are searched.
pub(crate) fn searched(scanned: &DataType) -> bool {
    matches!(scanned, DataType::Utf8 | DataType::Int64 | DataType::UInt64)
}

/// The function for the engine. `column` is the column's name: digits in a column called `phone` are a telephone number
/// without further signs, and long random words in one called `api_key` are credentials.
pub(crate) fn personal(column: &str) -> AggregateUDF {
    let phone = kind_of_name(column) == Some(Kind::Phone);
    let credential = announces_secret(column).then(|| column.chars().take(64).collect());
    AggregateUDF::new_from_impl(Function { signature: Signature::any(2, Volatility::Immutable), phone, credential })
}

/// What makes this function another one than its name says; `None` for functions of another kind.
pub(crate) fn parameters(function: &AggregateUDF) -> Option<Vec<u8>> {
    let function = function.inner().downcast_ref::<Function>()?;
    serde_json::to_vec(&(function.phone, &function.credential)).ok()
}

/// The function with these parameters.
pub(crate) fn with(parameters: &[u8]) -> Option<AggregateUDF> {
    let (phone, credential) = serde_json::from_slice(parameters).ok()?;
    let signature = Signature::any(2, Volatility::Immutable);
    Some(AggregateUDF::new_from_impl(Function { signature, phone, credential }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Function {
    signature: Signature,
    phone: bool,
    /// The column's name, when it says that the column holds credentials.
    credential: Option<String>,
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
        let (phone, credential) = (self.phone, self.credential.clone());
        Ok(Box::new(State { rows: PersonalRows::default(), search: search()?, phone, credential, around: Vec::new() }))
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

/// All values of an array behind each other.
fn buffer(texts: &StringArray) -> Option<&[u8]> {
    let offsets = texts.value_offsets();
    let (from, to) = (offsets.first()?.cast_unsigned() as usize, offsets.last()?.cast_unsigned() as usize);
    texts.value_data().get(from..to)
}

#[derive(Debug)]
struct State {
    rows: PersonalRows,
    search: Arc<Search>,
    phone: bool,
    credential: Option<String>,
    /// Rows of one batch in which a secret may stand; kept for its memory.
    around: Vec<usize>,
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

    /// Sifts a whole batch of texts with one pass of the automaton, and looks closely at few of them.
    fn secrets(&mut self, places: &PrimitiveArray<UInt64Type>, texts: &StringArray) {
        let mut around = std::mem::take(&mut self.around);
        around.clear();
        if self.credential.is_some() {
            around.extend(0..texts.len());
        } else if let Some(bytes) = buffer(texts) {
            let offsets = texts.value_offsets();
            let first = offsets.first().map_or(0, |&o| o.cast_unsigned() as usize);
            // Keywords are visited by where they end, so nearly in order: the last row is tried before a search.
            let mut row = 0;
            self.search.sift(bytes, |at| {
                let at = i32::try_from(first + at).unwrap_or(i32::MAX);
                let holds = |row: usize| {
                    offsets.get(row).is_some_and(|&from| from <= at) && offsets.get(row + 1).is_some_and(|&to| at < to)
                };
                if !holds(row) {
                    row = offsets.partition_point(|&from| from <= at).saturating_sub(1);
                }
                if around.last() != Some(&row) {
                    around.push(row);
                }
            });
            around.sort_unstable();
            around.dedup();
        } else {
            around.extend(0..texts.len());
        }
        for &row in &around {
            if row < texts.len() && texts.is_valid(row) {
                let (place, text) = (places.value(row), texts.value(row));
                let found = self.search.secrets(text.as_bytes(), self.credential.as_deref());
                self.note(place, text, &found);
            }
        }
        self.around = around;
    }

    /// A row counts once for each title.
    fn note(&mut self, place: u64, text: &str, found: &[Secret]) {
        for (i, secret) in found.iter().enumerate() {
            if found.iter().take(i).any(|earlier| earlier.title == secret.title) {
                continue;
            }
            let rows = self.rows.secrets.entry(secret.title.clone()).or_default();
            rows.kind.clone_from(&secret.kind);
            let proven = found.iter().any(|s| s.title == secret.title && s.proven);
            let rows = if proven { &mut rows.proven } else { &mut rows.likely };
            rows.count += 1;
            rows.keep(place, || text.get(secret.range.clone()).unwrap_or_default().to_owned());
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
            self.secrets(places, texts);
            if buffer(texts).is_none_or(Search::may_hold) {
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
        let secrets = self.rows.secrets.values().map(|s| s.proven.size() + s.likely.size() + 128).sum::<usize>();
        size_of::<Self>() + secrets + self.rows.hits.iter().map(FirstRows::size).sum::<usize>()
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
            for (title, secret) in state.secrets {
                let rows = self.rows.secrets.entry(title).or_default();
                rows.kind = secret.kind;
                rows.proven.merge(secret.proven);
                rows.likely.merge(secret.likely);
            }
        }
        Ok(())
    }
}
