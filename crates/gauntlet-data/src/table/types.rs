//! Types: the families of the contract, and texts read as what the contract says.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, TimeUnit};
use arrow::error::ArrowError;

use crate::contract::{ColumnRules, Family};

/// The family of a type.
pub(crate) fn family(data_type: &DataType) -> Option<Family> {
    use DataType as T;
    Some(match data_type {
        T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => Family::Integer,
        T::Float16 | T::Float32 | T::Float64 => Family::Float,
        T::Decimal32(..) | T::Decimal64(..) | T::Decimal128(..) | T::Decimal256(..) => Family::Float,
        T::Boolean => Family::Boolean,
        T::Utf8 | T::LargeUtf8 | T::Utf8View => Family::String,
        T::Date32 | T::Date64 => Family::Date,
        T::Timestamp(..) => Family::Timestamp,
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => Family::Binary,
        T::Dictionary(_, value) => return family(value),
        _ => return None,
    })
}

/// The type that a stored type is scanned as.
pub(crate) fn normal_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, value) => normal_type(value),
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Float16 => DataType::Float32,
        other => other.clone(),
    }
}

/// The type that a CSV column is read as.
pub(super) fn contract_type(rules: &ColumnRules) -> Option<DataType> {
    if let Some(exact) = &rules.exact_type {
        return exact.parse().ok().map(|t| normal_type(&t));
    }
    match rules.family {
        Family::Integer => Some(DataType::Int64),
        Family::Float => Some(DataType::Float64),
        Family::Boolean => Some(DataType::Boolean),
        Family::Date => Some(DataType::Date32),
        Family::Timestamp => Some(DataType::Timestamp(TimeUnit::Microsecond, None)),
        Family::String | Family::Binary => None,
    }
}

/// What the texts of a column could all be.
#[derive(Debug)]
pub(super) struct Guess {
    left: Vec<DataType>,
    values: bool,
}

impl Default for Guess {
    /// Narrowest first.
    fn default() -> Self {
        let timestamp = DataType::Timestamp(TimeUnit::Microsecond, None);
        let left = vec![DataType::Int64, DataType::Float64, DataType::Boolean, DataType::Date32, timestamp];
        Self { left, values: false }
    }
}

impl Guess {
    pub(super) fn look(&mut self, texts: &ArrayRef) {
        self.values |= texts.null_count() < texts.len();
        self.left.retain(|to| typed(texts, to).is_ok_and(|cells| cells.null_count() == texts.null_count()));
    }

    /// `None` for text, and where there was no value to tell by.
    pub(super) fn narrowest(self) -> Option<DataType> {
        self.left.into_iter().next().filter(|_| self.values)
    }
}

/// Texts as values of `to`; a text that is none becomes null, which the caller tells from a null in the text.
pub(crate) fn typed(texts: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    if *to == DataType::Boolean {
        let word = |text: Option<&str>| match text? {
            "true" | "True" | "TRUE" | "1" => Some(true),
            "false" | "False" | "FALSE" | "0" => Some(false),
            _ => None,
        };
        let texts = texts.as_string_opt::<i32>().ok_or_else(|| ArrowError::CastError("no text column".into()))?;
        return Ok(Arc::new(texts.iter().map(word).collect::<BooleanArray>()));
    }
    cast_with_options(texts, to, &CastOptions { safe: true, ..CastOptions::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringArray;

    #[test]
    fn texts_are_read_strictly() {
        let nulls = |to: &DataType, texts: &[&str]| {
            let array: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
            let typed = typed(&array, to).unwrap();
            (0..typed.len()).map(|i| typed.is_valid(i)).collect::<Vec<_>>()
        };
        assert_eq!(
            nulls(&DataType::Int64, &["12", "-3", "1.5", "x", "", "99999999999999999999"]),
            [true, true, false, false, false, false]
        );
        assert_eq!(nulls(&DataType::Float64, &["1.5", "NaN", "1,5"]), [true, true, false]);
        assert_eq!(nulls(&DataType::Boolean, &["true", "0", "yes"]), [true, true, false]);
        assert_eq!(nulls(&DataType::Date32, &["2026-11-21", "2026-13-01", "soon"]), [true, false, false]);
    }
}
