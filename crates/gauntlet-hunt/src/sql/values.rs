//! Rows of an answer as JSON values, whatever their Arrow types are.

use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::Value;

use super::Rows;

impl Rows {
    /// Names of the columns; two may have the same.
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    /// The rows: numbers and truth values as such, everything else as text.
    ///
    /// # Errors
    /// When Arrow cannot print a type.
    pub fn values(&self) -> Result<Vec<Vec<Value>>, ArrowError> {
        let options = FormatOptions::default().with_display_error(false);
        let mut rows = Vec::with_capacity(self.count());
        for batch in &self.batches {
            let columns: Vec<_> = batch
                .columns()
                .iter()
                .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
                .collect::<Result<_, _>>()?;
            for row in 0..batch.num_rows() {
                let mut values = Vec::with_capacity(columns.len());
                for (column, formatter) in batch.columns().iter().zip(&columns) {
                    values.push(if column.is_null(row) || *column.data_type() == DataType::Null {
                        Value::Null
                    } else {
                        value(column.data_type(), formatter.value(row).try_to_string()?)
                    });
                }
                rows.push(values);
            }
        }
        Ok(rows)
    }
}

fn value(data_type: &DataType, text: String) -> Value {
    let plain = data_type.is_numeric() || *data_type == DataType::Boolean;
    let parsed = plain.then(|| serde_json::from_str(&text).ok()).flatten();
    // Not a number and infinity have no JSON of their own.
    parsed.unwrap_or(Value::String(text))
}
