//! Cells as numbers.

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Float64Type, TimeUnit};
use arrow::error::ArrowError;

/// How the cells of a type are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    Number,
    Word,
    Vector,
    Other,
}

impl Nature {
    pub(super) fn of(data_type: &DataType) -> Self {
        use DataType as T;
        match data_type {
            T::Boolean | T::Utf8 | T::LargeUtf8 | T::Utf8View => Self::Word,
            T::FixedSizeList(item, _) if item.data_type().is_numeric() => Self::Vector,
            T::Date32 | T::Date64 | T::Timestamp(..) | T::Time32(_) | T::Time64(_) | T::Duration(_) => Self::Number,
            other if other.is_numeric() => Self::Number,
            _ => Self::Other,
        }
    }
}

/// Numbers of a numeric or temporal column: dates in days, points in time in nanoseconds since 1970 UTC.
pub(super) fn numbers(array: &ArrayRef) -> Result<Float64Array, ArrowError> {
    let options = CastOptions { safe: true, ..CastOptions::default() };
    let cast = |array: &ArrayRef, to: &DataType| cast_with_options(array, to, &options);
    let unit = match array.data_type() {
        DataType::Timestamp(unit, _) | DataType::Time32(unit) | DataType::Time64(unit) | DataType::Duration(unit) => {
            match unit {
                TimeUnit::Second => 1e9,
                TimeUnit::Millisecond => 1e6,
                TimeUnit::Microsecond => 1e3,
                TimeUnit::Nanosecond => 1.0,
            }
        }
        DataType::Date64 => 1.0 / 86_400_000.0,
        _ => 1.0,
    };
    let whole = match array.data_type() {
        DataType::Date32 | DataType::Time32(_) => cast(&cast(array, &DataType::Int32)?, &DataType::Float64)?,
        DataType::Date64 | DataType::Timestamp(..) | DataType::Time64(_) | DataType::Duration(_) => {
            cast(&cast(array, &DataType::Int64)?, &DataType::Float64)?
        }
        _ => cast(array, &DataType::Float64)?,
    };
    let numbers = whole.as_primitive_opt::<Float64Type>().ok_or_else(|| ArrowError::CastError("no numbers".into()))?;
    Ok(if unit == 1.0 { numbers.clone() } else { numbers.unary(|x| x * unit) })
}

/// Numbers of the list in each row; `None` for a null. Nulls inside of a list are NaN.
pub(super) fn vectors(array: &ArrayRef, mut look: impl FnMut(Option<&[f64]>)) -> Result<(), ArrowError> {
    let lists = array.as_fixed_size_list_opt().ok_or_else(|| ArrowError::CastError("no lists".into()))?;
    let width = usize::try_from(lists.value_length()).unwrap_or(0);
    let items = numbers(lists.values())?;
    let items: Vec<f64> = items.iter().map(|x| x.unwrap_or(f64::NAN)).collect();
    for row in 0..lists.len() {
        let start = (row + lists.offset()) * width;
        look(if lists.is_null(row) { None } else { items.get(start..start + width) });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Date32Array, TimestampMillisecondArray, TimestampSecondArray};
    use std::sync::Arc;

    #[test]
    fn times_of_other_units_are_one_number() {
        let seconds: ArrayRef = Arc::new(TimestampSecondArray::from(vec![Some(3), None]));
        let millis: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![3_000]));
        assert_eq!(numbers(&seconds).unwrap().value(0), 3e9);
        assert!(numbers(&seconds).unwrap().is_null(1));
        assert_eq!(numbers(&millis).unwrap().value(0), 3e9);
        let days: ArrayRef = Arc::new(Date32Array::from(vec![17]));
        assert_eq!(numbers(&days).unwrap().value(0), 17.0);
    }
}
