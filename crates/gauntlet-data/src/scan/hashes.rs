//! Keys of rows as numbers of 128 bits: the same for equal values of one family, whatever their width and storage.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal256Type, Float64Type, Int64Type, TimeUnit, UInt64Type};
use datafusion::error::Result;
use xxhash_rust::xxh3::xxh3_128;

use super::rows::internal;

/// One column of a key, in its canonical form.
enum Part {
    Word(ArrayRef),
    Unsigned(ArrayRef),
    Float(ArrayRef),
    Text(ArrayRef),
    Bytes(ArrayRef),
    Decimal(ArrayRef),
}

impl Part {
    fn of(values: &ArrayRef) -> Result<Self> {
        use DataType as T;
        let to = |data_type: &DataType| cast(values, data_type).map_err(datafusion::error::DataFusionError::from);
        Ok(match values.data_type() {
            T::UInt64 => Self::Unsigned(to(&T::UInt64)?),
            T::Boolean => Self::Word(to(&T::Int64)?),
            T::Date32 => Self::Word(cast(&to(&T::Int32)?, &T::Int64)?),
            T::Date64 => Self::Word(cast(&cast(&to(&T::Date32)?, &T::Int32)?, &T::Int64)?),
            // To one unit, so that tables of another resolution have the same keys.
            T::Timestamp(_, zone) => {
                Self::Word(cast(&to(&T::Timestamp(TimeUnit::Nanosecond, zone.clone()))?, &T::Int64)?)
            }
            t if t.is_integer() => Self::Word(to(&T::Int64)?),
            t if t.is_floating() => Self::Float(to(&T::Float64)?),
            T::Decimal32(..) | T::Decimal64(..) | T::Decimal128(..) | T::Decimal256(..) => {
                Self::Decimal(to(&T::Decimal256(76, 20))?)
            }
            T::Utf8 | T::LargeUtf8 | T::Utf8View => Self::Text(to(&T::Utf8)?),
            T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => Self::Bytes(to(&T::Binary)?),
            other => return Err(internal(&format!("values of {other} cannot be keys"))),
        })
    }

    fn array(&self) -> &ArrayRef {
        match self {
            Self::Word(array)
            | Self::Unsigned(array)
            | Self::Float(array)
            | Self::Text(array)
            | Self::Bytes(array)
            | Self::Decimal(array) => array,
        }
    }

    /// Appends the canonical bytes of one value, whose length the bytes themselves tell.
    fn encode(&self, i: usize, out: &mut Vec<u8>) {
        match self {
            Self::Word(array) => {
                let value = array.as_primitive::<Int64Type>().value(i);
                out.push(1);
                out.extend_from_slice(&i128::from(value).to_le_bytes());
            }
            Self::Unsigned(array) => {
                let value = array.as_primitive::<UInt64Type>().value(i);
                out.push(1);
                out.extend_from_slice(&i128::from(value).to_le_bytes());
            }
            Self::Float(array) => {
                let value = array.as_primitive::<Float64Type>().value(i);
                let value = if value.is_nan() { f64::NAN } else { value + 0.0 };
                out.push(2);
                out.extend_from_slice(&value.to_bits().to_le_bytes());
            }
            Self::Text(array) => variable(3, array.as_string::<i32>().value(i).as_bytes(), out),
            Self::Bytes(array) => variable(4, array.as_binary::<i32>().value(i), out),
            Self::Decimal(array) => {
                out.push(5);
                out.extend_from_slice(&array.as_primitive::<Decimal256Type>().value(i).to_le_bytes());
            }
        }
    }
}

fn variable(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// The key of each row; `None` where a part of it is null.
pub(super) fn keys(columns: &[ArrayRef]) -> Result<Vec<Option<u128>>> {
    let parts: Vec<Part> = columns.iter().map(Part::of).collect::<Result<_>>()?;
    let rows = columns.first().map_or(0, |column| column.len());
    let mut bytes = Vec::new();
    let mut out = Vec::with_capacity(rows);
    for i in 0..rows {
        if parts.iter().any(|part| part.array().is_null(i)) {
            out.push(None);
            continue;
        }
        bytes.clear();
        for part in &parts {
            part.encode(i, &mut bytes);
        }
        out.push(Some(xxh3_128(&bytes)));
    }
    Ok(out)
}

/// Keys of 64 bits; exact (no two values share one) when the second answer is true.
pub(super) fn short_keys(columns: &[ArrayRef]) -> Result<(Vec<Option<u64>>, bool)> {
    if let [column] = columns
        && let Part::Word(words) = Part::of(column)?
    {
        let words = words.as_primitive_opt::<Int64Type>().ok_or_else(|| internal("no numbers"))?;
        return Ok((words.iter().map(|word| word.map(|word| mix(word.cast_unsigned()))).collect(), true));
    }
    Ok((keys(columns)?.into_iter().map(|key| key.map(high)).collect(), false))
}

/// The upper half of a key.
pub(super) fn high(key: u128) -> u64 {
    u64::try_from(key >> 64).unwrap_or(0)
}

/// The lower half of a key.
pub(super) fn low(key: u128) -> u64 {
    u64::try_from(key & u128::from(u64::MAX)).unwrap_or(0)
}

/// Spreads whole numbers over all bits, one to one (the finaliser of splitmix64).
fn mix(word: u64) -> u64 {
    let mut word = word;
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int32Array, Int64Array, LargeStringArray, StringArray, UInt64Array};

    use super::*;

    fn array<A: Array + 'static>(array: A) -> ArrayRef {
        Arc::new(array)
    }

    #[test]
    fn equal_values_have_one_key_whatever_their_width() {
        let a = keys(&[array(Int32Array::from(vec![7, -1])), array(StringArray::from(vec!["a", "b"]))]).unwrap();
        let b = keys(&[array(Int64Array::from(vec![7, -1])), array(LargeStringArray::from(vec!["a", "b"]))]).unwrap();
        assert_eq!(a, b);
        assert_eq!(
            keys(&[array(UInt64Array::from(vec![7]))]).unwrap(),
            keys(&[array(Int32Array::from(vec![7]))]).unwrap()
        );
        let floats = keys(&[array(Float64Array::from(vec![0.0, -0.0, f64::NAN, -f64::NAN]))]).unwrap();
        assert!(floats[0] == floats[1] && floats[2] == floats[3] && floats[0] != floats[2]);
    }

    #[test]
    fn parts_do_not_run_into_each_other_and_nulls_have_no_key() {
        let key = |a: Option<&str>, b: &str| {
            keys(&[array(StringArray::from(vec![a])), array(StringArray::from(vec![b]))]).unwrap()[0]
        };
        assert_ne!(key(Some("ab"), "c"), key(Some("a"), "bc"));
        assert_eq!(key(None, "c"), None);
        let (keys, exact) = short_keys(&[array(Int64Array::from(vec![Some(1), None, Some(1)]))]).unwrap();
        assert!(exact && keys[0] == keys[2] && keys[1].is_none());
    }
}
