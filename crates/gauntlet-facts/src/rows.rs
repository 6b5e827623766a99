//! Rows of a relation on their way to Arrow.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder, Float64Builder, RecordBatch, StringBuilder, UInt64Builder};

use crate::{ColumnType, FactsError, Table};

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing, in a column of any type.
    Null,
    /// Text.
    Text(String),
    /// A number.
    Number(u64),
    /// A float.
    Float(f64),
    /// True or false.
    Flag(bool),
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl From<String> for Cell {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<u64> for Cell {
    fn from(value: u64) -> Self {
        Self::Number(value)
    }
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Self::Flag(value)
    }
}

/// A row that does not fit its table: a slip of whoever made it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a row of `{table}` has {cells} cells or another type in one of them, the table has {columns} columns")]
pub struct RowError {
    /// The table.
    pub table: &'static str,
    /// Cells of the row.
    pub cells: usize,
    /// Columns of the table.
    pub columns: usize,
}

/// Rows of one table that are gathered into a batch.
pub struct Batch {
    table: &'static Table,
    columns: Vec<Builder>,
    rows: usize,
    bytes: usize,
}

enum Builder {
    Text(StringBuilder),
    Number(UInt64Builder),
    Float(Float64Builder),
    Flag(BooleanBuilder),
}

impl Batch {
    /// No rows yet.
    #[must_use]
    pub fn new(table: &'static Table) -> Self {
        let columns = table.columns.iter().map(|column| match column.column_type {
            ColumnType::Text => Builder::Text(StringBuilder::new()),
            ColumnType::Number => Builder::Number(UInt64Builder::new()),
            ColumnType::Float => Builder::Float(Float64Builder::new()),
            ColumnType::Flag => Builder::Flag(BooleanBuilder::new()),
        });
        Self { table, columns: columns.collect(), rows: 0, bytes: 0 }
    }

    /// The table.
    #[must_use]
    pub fn table(&self) -> &'static Table {
        self.table
    }

    /// How many rows are waiting.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of text that are waiting.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a row.
    ///
    /// # Errors
    /// When it does not fit the table; nothing is added then.
    pub fn push(&mut self, cells: Vec<Cell>) -> Result<(), RowError> {
        let fits = |(builder, cell): (&Builder, &Cell)| {
            matches!(
                (builder, cell),
                (_, Cell::Null)
                    | (Builder::Text(_), Cell::Text(_))
                    | (Builder::Number(_), Cell::Number(_))
                    | (Builder::Float(_), Cell::Float(_))
                    | (Builder::Flag(_), Cell::Flag(_))
            )
        };
        if cells.len() != self.columns.len() || !self.columns.iter().zip(&cells).all(fits) {
            return Err(RowError { table: self.table.name, cells: cells.len(), columns: self.columns.len() });
        }
        for (builder, cell) in self.columns.iter_mut().zip(cells) {
            match (builder, cell) {
                (Builder::Text(builder), Cell::Text(text)) => {
                    self.bytes += text.len();
                    builder.append_value(text);
                }
                (Builder::Number(builder), Cell::Number(value)) => builder.append_value(value),
                (Builder::Float(builder), Cell::Float(value)) => builder.append_value(value),
                (Builder::Flag(builder), Cell::Flag(value)) => builder.append_value(value),
                (Builder::Text(builder), _) => builder.append_null(),
                (Builder::Number(builder), _) => builder.append_null(),
                (Builder::Float(builder), _) => builder.append_null(),
                (Builder::Flag(builder), _) => builder.append_null(),
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// The rows so far; none are waiting afterwards.
    ///
    /// # Errors
    /// When Arrow refuses the columns.
    pub fn finish(&mut self) -> Result<RecordBatch, FactsError> {
        (self.rows, self.bytes) = (0, 0);
        let columns = self.columns.iter_mut().map(|builder| -> ArrayRef {
            match builder {
                Builder::Text(builder) => Arc::new(builder.finish()),
                Builder::Number(builder) => Arc::new(builder.finish()),
                Builder::Float(builder) => Arc::new(builder.finish()),
                Builder::Flag(builder) => Arc::new(builder.finish()),
            }
        });
        Ok(RecordBatch::try_new(self.table.schema(), columns.collect())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;

    #[test]
    fn rows_that_do_not_fit_are_refused_and_leave_no_trace() {
        let table = table("formats").unwrap();
        let mut batch = Batch::new(table);
        assert!(batch.push(vec![Cell::Null]).is_err());
        let mut cells = vec![Cell::Null; table.columns.len()];
        cells[0] = Cell::Number(1);
        assert!(batch.push(cells.clone()).is_err());
        cells[0] = "abc".into();
        batch.push(cells).unwrap();
        assert_eq!((batch.rows(), batch.bytes()), (1, 3));
        let made = batch.finish().unwrap();
        assert_eq!((made.num_rows(), batch.rows()), (1, 0));
    }
}
