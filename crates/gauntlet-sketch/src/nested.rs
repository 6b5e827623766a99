//! Canonical bytes of lists and structs: every value with its tag, every list with its length.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::array_value_to_string;

use crate::update::UpdateError;
use crate::value::{Kind, float_bits};

/// Levels that are followed.
const MAX_DEPTH: usize = 32;

/// Appends the values of these rows.
pub(crate) fn canonical(
    array: &ArrayRef,
    rows: Range<usize>,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), UpdateError> {
    if depth > MAX_DEPTH {
        return Err(UpdateError::Depth(MAX_DEPTH));
    }
    macro_rules! each {
        ($t:ty, $kind:expr, $bytes:expr) => {{
            let array = array.as_primitive::<$t>();
            let bytes = $bytes;
            for row in rows {
                if array.is_null(row) {
                    out.push(Kind::Null as u8);
                } else {
                    out.push($kind as u8);
                    out.extend_from_slice(&bytes(array.value(row)));
                }
            }
        }};
    }
    macro_rules! whole {
        ($t:ty) => {
            each!($t, Kind::Integer, |v| i128::from(v).to_le_bytes())
        };
    }
    use DataType as T;
    match array.data_type() {
        T::Int8 => whole!(Int8Type),
        T::Int16 => whole!(Int16Type),
        T::Int32 => whole!(Int32Type),
        T::Int64 => whole!(Int64Type),
        T::UInt8 => whole!(UInt8Type),
        T::UInt16 => whole!(UInt16Type),
        T::UInt32 => whole!(UInt32Type),
        T::UInt64 => whole!(UInt64Type),
        T::Float32 => each!(Float32Type, Kind::Float, |v| float_bits(f64::from(v)).to_le_bytes()),
        T::Float64 => each!(Float64Type, Kind::Float, |v| float_bits(v).to_le_bytes()),
        T::Date32 => each!(Date32Type, Kind::Date, |v| i64::from(v).to_le_bytes()),
        T::Date64 => each!(Date64Type, Kind::Date, |v: i64| v.div_euclid(86_400_000).to_le_bytes()),
        _ => {
            for row in rows {
                one(array, row, out, depth)?;
            }
        }
    }
    Ok(())
}

fn one(array: &ArrayRef, row: usize, out: &mut Vec<u8>, depth: usize) -> Result<(), UpdateError> {
    if array.is_null(row) {
        out.push(Kind::Null as u8);
        return Ok(());
    }
    let list = |items: &ArrayRef, out: &mut Vec<u8>| {
        out.push(Kind::Nested as u8);
        out.extend_from_slice(&(items.len() as u64).to_le_bytes());
        canonical(items, 0..items.len(), out, depth + 1)
    };
    let bytes = |kind: Kind, bytes: &[u8], out: &mut Vec<u8>| {
        out.push(kind as u8);
        out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        out.extend_from_slice(bytes);
        Ok(())
    };
    use DataType as T;
    match array.data_type() {
        T::List(_) => list(&array.as_list::<i32>().value(row), out),
        T::LargeList(_) => list(&array.as_list::<i64>().value(row), out),
        T::FixedSizeList(..) => list(&array.as_fixed_size_list().value(row), out),
        T::Map(..) => {
            let entries: ArrayRef = std::sync::Arc::new(array.as_map().value(row));
            list(&entries, out)
        }
        T::Struct(fields) => {
            out.push(Kind::Nested as u8);
            out.extend_from_slice(&(fields.len() as u64).to_le_bytes());
            for (field, column) in fields.iter().zip(array.as_struct().columns()) {
                bytes(Kind::Text, field.name().as_bytes(), out)?;
                canonical(column, row..row + 1, out, depth + 1)?;
            }
            Ok(())
        }
        T::Utf8 => bytes(Kind::Text, array.as_string::<i32>().value(row).as_bytes(), out),
        T::LargeUtf8 => bytes(Kind::Text, array.as_string::<i64>().value(row).as_bytes(), out),
        T::Utf8View => bytes(Kind::Text, array.as_string_view().value(row).as_bytes(), out),
        T::Binary => bytes(Kind::Binary, array.as_binary::<i32>().value(row), out),
        T::LargeBinary => bytes(Kind::Binary, array.as_binary::<i64>().value(row), out),
        T::BinaryView => bytes(Kind::Binary, array.as_binary_view().value(row), out),
        T::FixedSizeBinary(_) => bytes(Kind::Binary, array.as_fixed_size_binary().value(row), out),
        T::Boolean => {
            out.extend_from_slice(&[Kind::Boolean as u8, u8::from(array.as_boolean().value(row))]);
            Ok(())
        }
        T::Dictionary(_, values) => {
            let plain = cast(&array.slice(row, 1), values)?;
            canonical(&plain, 0..1, out, depth + 1)
        }
        // Decimals, times, intervals, unions: by their written form, which is the same wherever the type is.
        other => {
            let text = array_value_to_string(array, row)?;
            bytes(Kind::Text, format!("{other}:{text}").as_bytes(), out)
        }
    }
}
