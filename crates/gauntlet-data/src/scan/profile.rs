//! What a drafted contract is made of: families, nulls, ranges and small sets of values, from one reading in order.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options, max, min};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, TimeUnit};

use super::hashes::short_keys;
use super::spill::{PARTS, Spill};
use crate::contract::Family;
use crate::manifest::DraftError;
use crate::personal::Search;
use crate::table::{Column, Scan, Table, family, typed};

/// Distinct values that are followed.
const MAX_DISTINCT: usize = 64;
/// Values after which only sorting tells whether one occurs twice.
const EARLY_KEYS: usize = 1 << 16;
/// Bytes of keys of one column in memory.
const KEY_MEMORY: usize = 16 << 20;
/// Longest value of a set.
const MAX_VALUE: usize = 64;

/// One column.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) name: String,
    pub(crate) family: Family,
    pub(crate) nulls: u64,
    /// Lowest and highest value as they are written in a contract.
    pub(crate) range: Option<(String, String)>,
    /// All values of a text column, when they are few, short and not personal.
    pub(crate) distinct: Option<BTreeSet<String>>,
    /// Fewest and most characters of texts.
    pub(crate) length: Option<(u64, u64)>,
    /// Whether no value occurs twice.
    pub(crate) unique: bool,
}

/// Rows of a table.
pub(crate) fn count_rows(table: &Arc<Table>) -> Result<u64, DraftError> {
    let pass = Scan::new(Arc::clone(table), Vec::new());
    pass.for_each(&mut |_| ());
    rows(&pass)
}

/// Rows and columns of a table. Columns of a type that no contract knows are left out.
pub(crate) fn profile(table: &Arc<Table>) -> Result<(u64, Vec<Profile>), DraftError> {
    let pass = Scan::new(Arc::clone(table), (0..table.columns.len()).collect());
    let mut states: Vec<State> = table.columns.iter().map(State::new).collect();
    pass.for_each(&mut |batch: RecordBatch| {
        for (state, array) in states.iter_mut().zip(batch.columns().iter().skip(1)) {
            state.update(array);
        }
    });
    let rows = rows(&pass)?;
    Ok((rows, states.into_iter().zip(&table.columns).filter_map(|(state, column)| state.finish(column)).collect()))
}

fn rows(pass: &Scan) -> Result<u64, DraftError> {
    let (rows, problems) = pass.finish();
    match problems.into_iter().next() {
        Some(problem) => Err(DraftError::Unreadable { path: problem.path, what: problem.what }),
        None => Ok(rows.iter().sum()),
    }
}

/// What a column may be; for text files several at once, until a value rules one out.
struct State {
    nulls: u64,
    values: u64,
    distinct: Option<BTreeSet<String>>,
    length: Option<(u64, u64)>,
    keys: Option<Keys>,
    candidates: Vec<Candidate>,
}

/// Keys of a column that has had none twice so far.
struct Keys {
    /// The first of them: most columns repeat a value early.
    early: HashSet<u64>,
    all: Spill<1>,
}

impl Keys {
    fn new() -> Self {
        Self { early: HashSet::new(), all: Spill::with_memory(KEY_MEMORY) }
    }

    /// False when a value occurs twice, or when that cannot be told.
    fn update(&mut self, array: &ArrayRef) -> bool {
        let Ok((keys, _)) = short_keys(std::slice::from_ref(array)) else { return false };
        for &key in keys.iter().flatten() {
            if self.early.len() < EARLY_KEYS && !self.early.insert(key) {
                return false;
            }
        }
        self.all.extend(keys.into_iter().flatten().map(|key| [key])).is_ok()
    }

    fn unique(mut self) -> bool {
        (0..PARTS).all(|part| match self.all.take(part) {
            Ok(mut keys) => {
                keys.sort_unstable();
                keys.windows(2).all(|pair| pair.first() != pair.last())
            }
            Err(_) => false,
        })
    }
}

struct Candidate {
    family: Family,
    target: DataType,
    integers: Option<(i64, i64)>,
    floats: Option<(f64, f64)>,
    days: Option<(i32, i32)>,
    /// No range can be drafted: NaN, infinity, or values that the target type rounds.
    unbounded: bool,
}

impl State {
    fn new(column: &Column) -> Self {
        let candidate =
            |(family, target)| Candidate { family, target, integers: None, floats: None, days: None, unbounded: false };
        let timestamp = DataType::Timestamp(TimeUnit::Microsecond, None);
        let options = if column.text_file {
            vec![
                (Family::Integer, DataType::Int64),
                (Family::Float, DataType::Float64),
                (Family::Boolean, DataType::Boolean),
                (Family::Date, DataType::Date32),
                (Family::Timestamp, timestamp),
                (Family::String, DataType::Utf8),
            ]
        } else {
            family(&column.scanned)
                .map(|family| {
                    let target = match family {
                        Family::Integer => DataType::Int64,
                        Family::Float => DataType::Float64,
                        Family::Date => DataType::Date32,
                        _ => column.scanned.clone(),
                    };
                    (family, target)
                })
                .into_iter()
                .collect()
        };
        let mut candidates: Vec<Candidate> = options.into_iter().map(candidate).collect();
        for candidate in &mut candidates {
            candidate.unbounded = column.scanned.is_decimal();
        }
        let keyed = column.scanned.is_integer() || column.scanned == DataType::Utf8;
        let keys = keyed.then(Keys::new);
        Self { nulls: 0, values: 0, distinct: Some(BTreeSet::new()), length: None, keys, candidates }
    }

    fn update(&mut self, array: &ArrayRef) {
        self.nulls += array.null_count() as u64;
        self.values += (array.len() - array.null_count()) as u64;
        if let Some(texts) = array.as_string_opt::<i32>() {
            for text in texts.iter().flatten() {
                let n = text.chars().count() as u64;
                let (low, high) = self.length.unwrap_or((n, n));
                self.length = Some((low.min(n), high.max(n)));
            }
            for text in texts.iter().flatten() {
                let Some(set) = &mut self.distinct else { break };
                if set.contains(text) {
                    continue;
                }
                let personal = text.contains('@') || text.bytes().filter(u8::is_ascii_digit).count() >= 7;
                if set.len() >= MAX_DISTINCT || text.len() > MAX_VALUE || personal && Search::may_hold(text.as_bytes())
                {
                    self.distinct = None;
                } else {
                    set.insert(text.to_owned());
                }
            }
        }
        if self.keys.as_mut().is_some_and(|keys| !keys.update(array)) {
            self.keys = None;
        }
        let text = *array.data_type() == DataType::Utf8;
        self.candidates.retain_mut(|candidate| candidate.update(array, text));
    }

    fn finish(self, column: &Column) -> Option<Profile> {
        // A column of nothing but nulls may be anything.
        let last = self.candidates.len().saturating_sub(1);
        let candidate = self.candidates.into_iter().nth(if self.values == 0 { last } else { 0 })?;
        let range = candidate.range();
        Some(Profile {
            name: column.name.clone(),
            family: candidate.family,
            nulls: self.nulls,
            range,
            distinct: self.distinct,
            length: self.length,
            unique: self.values > 0 && self.keys.is_some_and(Keys::unique),
        })
    }
}

impl Candidate {
    /// False when a value rules the candidate out.
    fn update(&mut self, array: &ArrayRef, text: bool) -> bool {
        let options = CastOptions { safe: true, ..CastOptions::default() };
        let values = if *array.data_type() == self.target {
            Ok(Arc::clone(array))
        } else if text {
            typed(array, &self.target)
        } else {
            cast_with_options(array, &self.target, &options)
        };
        let Ok(values) = values else { return false };
        if values.null_count() > array.null_count() {
            if text {
                return false;
            }
            self.unbounded = true;
        }
        if let Some(numbers) = values.as_primitive_opt::<Int64Type>() {
            widen(&mut self.integers, min(numbers), max(numbers));
        } else if let Some(numbers) = values.as_primitive_opt::<Float64Type>() {
            self.unbounded |= numbers.iter().flatten().any(|n| !n.is_finite());
            widen(&mut self.floats, min(numbers), max(numbers));
        } else if let Some(days) = values.as_primitive_opt::<Date32Type>() {
            widen(&mut self.days, min(days), max(days));
        }
        true
    }

    fn range(&self) -> Option<(String, String)> {
        if self.unbounded {
            return None;
        }
        if let Some((low, high)) = self.integers {
            return Some((low.to_string(), high.to_string()));
        }
        if let Some((low, high)) = self.floats {
            return Some((format!("{low:?}"), format!("{high:?}")));
        }
        let (low, high) = self.days?;
        let day = |days: i32| jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().try_days(days).ok()?).ok();
        Some((day(low)?.to_string(), day(high)?.to_string()))
    }
}

fn widen<T: PartialOrd + Copy>(range: &mut Option<(T, T)>, low: Option<T>, high: Option<T>) {
    if let (Some(low), Some(high)) = (low, high) {
        *range = Some(match *range {
            Some((a, b)) => (if low < a { low } else { a }, if high > b { high } else { b }),
            None => (low, high),
        });
    }
}
