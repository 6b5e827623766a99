//! Where a fact was seen.

/// Eleven optional columns; the same that findings use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Path of the file inside its subject, with `/` between parts.
    pub path: Option<String>,
    /// The path's raw bytes in hex, only when `path` is lossy.
    pub path_bytes: Option<String>,
    /// Path inside the file when it is a container.
    pub member: Option<String>,
    /// Line, from 1.
    pub line: Option<u64>,
    /// Column in characters, from 1.
    pub column: Option<u64>,
    /// Byte offset inside the file or member, from 0.
    pub offset: Option<u64>,
    /// Notebook cell, from 0.
    pub cell: Option<u64>,
    /// Line inside the cell, from 1.
    pub cell_line: Option<u64>,
    /// Column of a table, key of a document, tensor of a model.
    pub field: Option<String>,
    /// Row of a table, from 0.
    pub row: Option<u64>,
    /// Test case of a suite.
    pub case: Option<String>,
}
