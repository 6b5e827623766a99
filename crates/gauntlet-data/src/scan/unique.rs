//! Values that occur more than once, and how many distinct ones there are: a stage of its own. Keys of 64 bits of all rows
//! are sorted part by part (on disk when there are many); only rows whose key occurs twice are looked at again.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::UInt64Type;
use arrow::util::display::array_value_to_string;
use datafusion::error::Result;

use super::hashes::{high, keys, low, short_keys};
use super::rows::internal;
use super::spill::{PARTS, Spill};
use super::stage::Stage;
use super::tally::Tally;

/// Rows of which the value is kept until it is known which of them are the first.
const CANDIDATE_ROWS: usize = 256;

/// What the stage answers.
#[derive(Debug, Default)]
pub(super) struct Uniqueness {
    /// Rows judged (all parts of the key are there), skipped and failing: those whose key occurs more than once.
    pub(super) tally: Tally,
    /// Keys.
    pub(super) distinct: u64,
}

/// Runs the stage. `failing` is called with the place of every failing row, in no order.
pub(super) async fn uniqueness(
    stage: &Stage<'_>,
    list_rows: bool,
    failing: &mut (dyn FnMut(u64) + Send),
) -> Result<Uniqueness> {
    let mut out = Uniqueness::default();
    let mut spill = Spill::<1>::new();
    let mut exact = true;
    stage
        .each(&mut |_, columns| {
            let (keys, one_to_one) = short_keys(columns)?;
            exact &= one_to_one;
            let before = keys.len();
            let mut judged = 0;
            spill.extend(keys.into_iter().flatten().inspect(|_| judged += 1).map(|key| [key]))?;
            out.tally.evaluated += judged as u64;
            out.tally.nulls += (before - judged) as u64;
            Ok(())
        })
        .await?;
    let mut repeated = Repeated::default();
    for part in 0..PARTS {
        let mut records = spill.take(part)?;
        records.sort_unstable();
        for group in records.chunk_by(|a, b| a == b) {
            out.distinct += 1;
            if let [first, _, ..] = group {
                repeated.push(first[0]);
            }
        }
    }
    drop(spill);
    if repeated.is_empty() || !list_rows {
        return Ok(out);
    }
    repeated.settle();
    let mut samples: BTreeMap<u64, String> = BTreeMap::new();
    let mut again = Spill::<3>::new();
    stage
        .each(&mut |places, columns| {
            let (short, _) = short_keys(columns)?;
            let long = if exact { Vec::new() } else { keys(columns)? };
            let mut rows = Vec::new();
            for (i, (key, &place)) in short.into_iter().zip(places).enumerate() {
                if !key.is_some_and(|key| repeated.contains(key)) {
                    continue;
                }
                if samples.len() < CANDIDATE_ROWS || samples.last_key_value().is_some_and(|(&last, _)| place < last) {
                    samples.insert(place, words(columns, i)?);
                    if samples.len() > CANDIDATE_ROWS {
                        samples.pop_last();
                    }
                }
                if exact {
                    out.tally.failing.count += 1;
                    failing(place);
                } else if let Some(Some(key)) = long.get(i) {
                    rows.push([high(*key), low(*key), place]);
                }
            }
            again.extend(rows)
        })
        .await?;
    if exact {
        for (place, text) in samples {
            out.tally.failing.keep(place, || text);
        }
        return Ok(out);
    }
    // Two values may share 64 bits; they do not share 128.
    for part in 0..PARTS {
        let mut records = again.take(part)?;
        records.sort_unstable();
        for group in records.chunk_by(|a, b| a[..2] == b[..2]).filter(|group| group.len() > 1) {
            for &[_, _, place] in group {
                out.tally.failing.count += 1;
                out.tally.failing.keep(place, || samples.get(&place).cloned().unwrap_or_default());
                failing(place);
            }
        }
    }
    Ok(out)
}

/// The values of a key, for people.
pub(super) fn words(columns: &[ArrayRef], row: usize) -> Result<String> {
    let words = columns
        .iter()
        .map(|column| Ok(if column.is_null(row) { "null".to_owned() } else { array_value_to_string(column, row)? }));
    Ok(words.collect::<Result<Vec<_>>>()?.join(", "))
}

/// The places of a batch.
pub(super) fn places(column: &ArrayRef) -> Result<&[u64]> {
    let places = column.as_primitive_opt::<UInt64Type>().ok_or_else(|| internal("no place"))?;
    Ok(places.values())
}

/// Keys that occur more than once. Most rows are told apart by a bit of a table that fits a processor's cache.
#[derive(Debug, Default)]
struct Repeated {
    keys: Vec<u64>,
    bits: Vec<u64>,
    mask: u64,
}

impl Repeated {
    fn push(&mut self, key: u64) {
        self.keys.push(key);
    }

    fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn settle(&mut self) {
        self.keys.sort_unstable();
        let bits = (self.keys.len().saturating_mul(16)).next_power_of_two().clamp(1 << 10, 1 << 27);
        self.bits = vec![0; bits / 64];
        self.mask = (bits as u64) - 1;
        for &key in &self.keys {
            let bit = key & self.mask;
            if let Some(word) = self.bits.get_mut(usize::try_from(bit / 64).unwrap_or(0)) {
                *word |= 1 << (bit % 64);
            }
        }
    }

    fn contains(&self, key: u64) -> bool {
        let bit = key & self.mask;
        let set = self.bits.get(usize::try_from(bit / 64).unwrap_or(0)).is_some_and(|word| word >> (bit % 64) & 1 == 1);
        set && self.keys.binary_search(&key).is_ok()
    }
}
