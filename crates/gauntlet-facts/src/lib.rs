//! Facts as tables: one versioned Parquet file holds everything that was seen in one subject, and named relations say
//! which columns a query may ask for. Knows nothing of what the facts mean.

#![forbid(unsafe_code)]

mod error;
mod file;
mod place;
mod relations;
mod rows;

pub use error::FactsError;
pub use file::{FactFile, Header, Limits, Row, SCHEMA_VERSION, read, read_header, write};
pub use place::Place;
pub use relations::{Column, ColumnType, RELATIONS, Table, table};
pub use rows::{Batch, Cell, RowError};

/// Reads bytes as a file of facts and writes what was read; for fuzzing and tests.
pub fn exercise(bytes: &[u8], limits: &Limits) -> Option<Vec<u8>> {
    read(bytes.to_vec(), limits).ok().and_then(|file| write(&file).ok())
}
