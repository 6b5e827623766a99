//! Values of cells in the shapes that hashing and models need.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type, TimeUnit};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};

use crate::table::Table;

const SAFE: CastOptions<'_> = CastOptions { safe: true, format_options: arrow::util::display::FormatOptions::new() };

/// The columns as stored, of a batch that a scan over all columns gave.
pub(super) fn stored(table: &Table, batch: &RecordBatch) -> Vec<ArrayRef> {
    let mut at = 1;
    let mut out = Vec::with_capacity(table.columns.len());
    for column in &table.columns {
        out.extend(batch.columns().get(at).cloned());
        at += 1 + usize::from(column.typed.is_some());
    }
    out
}

/// Values as texts; null where there is none or no text stands for it.
pub(super) fn texts(array: &ArrayRef) -> Option<StringArray> {
    let cast = cast_with_options(array, &DataType::Utf8, &SAFE).ok()?;
    cast.as_string_opt::<i32>().cloned()
}

/// Values as numbers, NaN for null and for texts that are none; `None` for types that are no numbers.
pub(super) fn numbers(array: &ArrayRef) -> Option<Vec<f64>> {
    if let Some(texts) = array.as_string_opt::<i32>() {
        return Some(texts.iter().map(|t| t.and_then(|t| t.trim().parse().ok()).unwrap_or(f64::NAN)).collect());
    }
    let middle = match array.data_type() {
        DataType::Date32 => Some(DataType::Int32),
        DataType::Date64 | DataType::Timestamp(..) | DataType::Time64(_) | DataType::Duration(_) => {
            Some(DataType::Int64)
        }
        DataType::Boolean => Some(DataType::Int8),
        other if other.is_numeric() => None,
        _ => return None,
    };
    let array = match middle {
        Some(middle) => cast_with_options(array, &middle, &SAFE).ok()?,
        None => Arc::clone(array),
    };
    let cast = cast_with_options(&array, &DataType::Float64, &SAFE).ok()?;
    Some(cast.as_primitive_opt::<Float64Type>()?.iter().map(|v| v.unwrap_or(f64::NAN)).collect())
}

/// Reads points of time of one column, and counts what it read. Only the order of moments means something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Clock {
    /// Texts that are written times.
    pub(super) written: u64,
    /// Texts that are numbers: seconds, years, whatever the column counts in.
    pub(super) numbers: u64,
    /// Values that are neither.
    pub(super) unread: u64,
}

impl Clock {
    /// The moments of a piece of the column.
    pub(super) fn read(&mut self, array: &ArrayRef) -> Vec<Option<i64>> {
        let Some(texts) = array.as_string_opt::<i32>() else {
            let out = typed_times(array);
            let missing =
                (0..array.len()).filter(|&row| array.is_valid(row) && out.get(row).is_none_or(Option::is_none));
            self.unread += missing.count() as u64;
            return out;
        };
        // Most columns are written in one way that the whole piece is read in.
        let whole = written_times(array);
        let mut text = |row: usize, value: &str| {
            let value = value.trim();
            if value.is_empty() {
                return None;
            }
            if let Some(number) = value.parse::<f64>().ok().filter(|n| n.is_finite()) {
                self.numbers += 1;
                return Some(ordered(number));
            }
            let known = whole.as_ref().filter(|moments| moments.is_valid(row)).map(|moments| moments.value(row));
            let moment = known.or_else(|| written_time(value));
            *if moment.is_some() { &mut self.written } else { &mut self.unread } += 1;
            moment
        };
        texts.iter().enumerate().map(|(row, value)| value.and_then(|value| text(row, value))).collect()
    }
}

/// A date, or a date and a time, with the year in front.
fn written_time(value: &str) -> Option<i64> {
    let value = value.replace('/', "-");
    let whole = if value.len() == "2026-01".len() { format!("{value}-01") } else { value };
    let text: ArrayRef = Arc::new(StringArray::from(vec![whole]));
    written_times(&text)?.iter().next().flatten()
}

/// Written times in microseconds, null where a text is none.
fn written_times(texts: &ArrayRef) -> Option<Int64Array> {
    let cast = cast_with_options(texts, &DataType::Timestamp(TimeUnit::Microsecond, None), &SAFE).ok()?;
    let cast = cast_with_options(&cast, &DataType::Int64, &SAFE).ok()?;
    cast.as_primitive_opt::<Int64Type>().cloned()
}

/// Times of a column that has a type.
fn typed_times(array: &ArrayRef) -> Vec<Option<i64>> {
    if array.data_type().is_floating()
        || matches!(array.data_type(), DataType::Decimal128(..) | DataType::Decimal256(..))
    {
        let values = numbers(array).unwrap_or_default();
        return values.into_iter().map(|value| value.is_finite().then(|| ordered(value))).collect();
    }
    let middle = match array.data_type() {
        DataType::Date32 | DataType::Time32(_) => cast_with_options(array, &DataType::Int32, &SAFE),
        DataType::Boolean => return vec![None; array.len()],
        _ => Ok(Arc::clone(array)),
    };
    let cast = middle.and_then(|array| cast_with_options(&array, &DataType::Int64, &SAFE)).ok();
    match cast.as_ref().and_then(|array| array.as_primitive_opt::<Int64Type>()) {
        Some(values) => values.iter().collect(),
        None => vec![None; array.len()],
    }
}

/// A whole number that has the order of the float: its bits, those of negative ones turned round.
fn ordered(value: f64) -> i64 {
    let bits = (value + 0.0).to_bits().cast_signed();
    if bits < 0 { bits ^ i64::MAX } else { bits }
}

/// Lists of one length as rows of numbers.
pub(super) fn lists(array: &ArrayRef) -> Option<(usize, Vec<f32>)> {
    let lists = array.as_fixed_size_list_opt()?;
    let width = usize::try_from(lists.value_length()).ok()?;
    let values = lists.values().slice(lists.value_offset(0) as usize, lists.len() * width);
    let cast = cast_with_options(&values, &DataType::Float32, &SAFE).ok()?;
    let values = cast.as_primitive_opt::<Float32Type>()?;
    let mut out: Vec<f32> = values.iter().map(|v| v.unwrap_or(f32::NAN)).collect();
    for row in (0..lists.len()).filter(|&row| lists.is_null(row)) {
        out[row * width..(row + 1) * width].fill(f32::NAN);
    }
    Some((width, out))
}

/// Hashes rows of some columns: equal hashes mean equal values. NaN is one value, and so is zero.
#[derive(Debug)]
pub(super) struct RowHasher {
    converter: RowConverter,
    columns: Vec<usize>,
    seed: u64,
}

impl RowHasher {
    /// Over these columns of the table.
    ///
    /// # Errors
    /// A type that cannot be compared.
    pub(super) fn new(table: &Table, columns: &[usize], seed: u64) -> Result<Self, ArrowError> {
        let field = |&i: &usize| SortField::new(table.columns[i].scanned.clone());
        Ok(Self { converter: RowConverter::new(columns.iter().map(field).collect())?, columns: columns.to_vec(), seed })
    }

    pub(super) fn hashes(&self, stored: &[ArrayRef]) -> Result<Vec<u128>, ArrowError> {
        let arrays: Vec<ArrayRef> = self.columns.iter().filter_map(|&i| stored.get(i)).map(one_zero).collect();
        let rows = self.converter.convert_columns(&arrays)?;
        Ok(rows.iter().map(|row| gauntlet_poisoning::hash128(row.data(), self.seed)).collect())
    }
}

fn one_zero(array: &ArrayRef) -> ArrayRef {
    if let Some(values) = array.as_primitive_opt::<Float64Type>() {
        let one = |v: f64| if v.is_nan() { f64::NAN } else { v + 0.0 };
        return Arc::new(values.unary::<_, Float64Type>(one)) as Arc<Float64Array>;
    }
    if let Some(values) = array.as_primitive_opt::<Float32Type>() {
        let one = |v: f32| if v.is_nan() { f32::NAN } else { v + 0.0 };
        return Arc::new(values.unary::<_, Float32Type>(one)) as Arc<Float32Array>;
    }
    Arc::clone(array)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BooleanArray, Date32Array, TimestampMicrosecondArray};

    #[test]
    fn cells_become_numbers_texts_and_times() {
        let days: ArrayRef = Arc::new(Date32Array::from(vec![Some(3), None]));
        let mut clock = Clock::default();
        assert_eq!(clock.read(&days), [Some(3), None]);
        assert_eq!(numbers(&days).unwrap()[0], 3.0);
        let written: ArrayRef = Arc::new(StringArray::from(vec!["1970-01-02", "soon"]));
        assert_eq!(clock.read(&written), [Some(86_400_000_000), None]);
        assert_eq!(clock, Clock { written: 1, numbers: 0, unread: 1 });
        let stamps: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![5, 6]));
        assert_eq!(clock.read(&stamps), [Some(5), Some(6)]);
        let texts_array: ArrayRef = Arc::new(StringArray::from(vec![Some("1.5"), Some("x"), None]));
        let read = numbers(&texts_array).unwrap();
        assert!(read[0] == 1.5 && read[1].is_nan() && read[2].is_nan());
        let whole: ArrayRef = Arc::new(Int64Array::from(vec![7]));
        assert_eq!(texts(&whole).unwrap().value(0), "7");
    }

    #[test]
    fn common_times_have_an_order_and_others_are_counted() {
        let read = |texts: &[&str]| {
            let mut clock = Clock::default();
            let array: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
            (clock.read(&array), clock)
        };
        for sorted in [
            &["-1.5", "0", "1700000000", "1700000000.5", "1700000001"][..],
            &["2026-01-31", "2026/02/01", "2026-02-01T00:00:01Z", "2026-02-01 00:00:02", "2026-03"],
            &["20260131", "20260201"],
        ] {
            let (moments, clock) = read(sorted);
            assert!(moments.iter().all(Option::is_some) && moments.is_sorted_by(|a, b| a < b), "{moments:?}");
            assert_eq!((clock.unread, clock.numbers + clock.written), (0, sorted.len() as u64));
        }
        let (moments, clock) = read(&["31.01.2026", "soon", "", "NaN"]);
        assert_eq!((moments, clock), (vec![None; 4], Clock { unread: 3, ..Clock::default() }));
        let mut clock = Clock::default();
        let halves: ArrayRef = Arc::new(Float64Array::from(vec![1.25, 1.5]));
        let moments = clock.read(&halves);
        assert!(moments[0] < moments[1]);
        let yes: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
        assert_eq!((clock.read(&yes), clock.unread), (vec![None], 1));
    }

    #[test]
    fn zero_and_nan_are_one_value_each() {
        let zeros: ArrayRef = Arc::new(Float64Array::from(vec![0.0, -0.0, f64::NAN, -f64::NAN, 1.0]));
        let converter = RowConverter::new(vec![SortField::new(DataType::Float64)]).unwrap();
        let hasher = RowHasher { converter, columns: vec![0], seed: 3 };
        let hashes = hasher.hashes(&[zeros]).unwrap();
        assert_eq!((hashes[0], hashes[2]), (hashes[1], hashes[3]));
        assert_ne!(hashes[0], hashes[4]);
    }
}
