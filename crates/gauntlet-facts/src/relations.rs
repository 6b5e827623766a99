//! What can be asked for: tables, columns and what they mean. The one place where their names stand.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

/// A table.
#[derive(Debug)]
pub struct Table {
    /// Its name in SQL.
    pub name: &'static str,
    /// What a row is.
    pub about: &'static str,
    /// Columns, in order.
    pub columns: &'static [Column],
}

/// A column.
#[derive(Debug)]
pub struct Column {
    /// Its name in SQL.
    pub name: &'static str,
    /// What it holds.
    pub column_type: ColumnType,
    /// What it says.
    pub about: &'static str,
}

/// What a column holds. Every column may be null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8.
    Text,
    /// An unsigned 64-bit number.
    Number,
    /// A 64-bit float.
    Float,
    /// True or false.
    Flag,
}

impl ColumnType {
    /// The type in SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Float => "float",
            Self::Flag => "flag",
        }
    }

    fn arrow(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Number => DataType::UInt64,
            Self::Float => DataType::Float64,
            Self::Flag => DataType::Boolean,
        }
    }
}

impl Table {
    /// The columns as Arrow knows them.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        let fields: Vec<Field> = self.columns.iter().map(|c| Field::new(c.name, c.column_type.arrow(), true)).collect();
        Arc::new(Schema::new(fields))
    }
}

/// The table called `name`.
#[must_use]
pub fn table(name: &str) -> Option<&'static Table> {
    RELATIONS.iter().find(|table| table.name == name)
}

/// Columns behind the five that every relation about facts begins with.
macro_rules! about_facts {
    ($($column:expr),* $(,)?) => {
        &[
            text("subject", "digest of the subject (`dirHash1`)"),
            text("subject_name", "its name"),
            text("path", "file inside the subject"),
            text("member", "path inside the file when it is a container"),
            number("offset", "byte offset in the file, member or stream"),
            $($column),*
        ]
    };
}

/// Every table.
pub static RELATIONS: &[Table] = &[
    Table {
        name: "imports",
        about: "a global that a pickle reaches, or a name that code or a configuration imports",
        columns: about_facts![
            text("language", "`pickle`, `python` or `configuration`"),
            text("module", "module as the loader looks it up; `?` when unknown"),
            text("name", "name inside the module"),
            text("callee", "`module.name`"),
            flag("called", "it is called or constructed, not only named"),
            text("arguments", "arguments of the first call, in short"),
            text("resolved", "`literal`, `computed` or `unresolved`"),
            number("count", "how often it occurs"),
            number("stream", "pickle stream inside the file, from 0"),
        ],
    },
    Table {
        name: "calls",
        about: "a call of a pickle or of Python code; equal calls of one stream are one row",
        columns: about_facts![
            text("language", "`pickle` or `python`"),
            text("callee", "dotted name of what is called; `?` when unknown"),
            text("role", "`reduce`, `newobj`, `build`, … in pickles; `at-import` in Python code that an import runs"),
            text("arguments", "arguments, in short"),
            number("count", "how often"),
            number("stream", "pickle stream inside the file, from 0"),
        ],
    },
    Table {
        name: "operators",
        about: "an operator that a graph uses",
        columns: about_facts![
            text("framework", "`onnx`, `tensorflow`, `tflite`, `torch`, …"),
            text("domain", "domain; empty for the framework's own"),
            text("op_type", "operator type"),
            text("node", "name of the first node, where it is kept"),
            text("within", "where the first stands: `graph`, `sub-graph`, `function`, …"),
            number("count", "how many nodes"),
        ],
    },
    Table {
        name: "layers",
        about: "a layer, or another object that a model's configuration builds",
        columns: about_facts![
            text("framework", "`keras`, `skops`, `yaml`, …"),
            text("class", "class name as written"),
            text("module", "module that the file names for it"),
            text("registered_name", "name under which the class is registered"),
            text("name", "name of the layer"),
        ],
    },
    Table {
        name: "templates",
        about: "a construct of a template",
        columns: about_facts![
            text("construct", "`attribute`, `call`, `include`, `loop`, …"),
            text("detail", "the name that it uses"),
        ],
    },
    Table {
        name: "links",
        about: "something that points elsewhere: links in archives, external data, addresses",
        columns: about_facts![
            text("link", "`symbolic-link`, `hard-link`, `external-data`, `setting`, …"),
            text("name", "the entry, tensor or key that holds it"),
            text("target", "where it points to, as written"),
            flag("leaves", "the target lies outside the folder"),
        ],
    },
    Table {
        name: "conflicts",
        about: "something that two readings of a file disagree about",
        columns: about_facts![
            text("container", "`zip`, `tar`, `safetensors`, …"),
            text("name", "member, entry or tensor; null for the file as a whole"),
            text("conflict", "what disagrees"),
            text("detail", "figures, as JSON"),
        ],
    },
    Table {
        name: "tensors",
        about: "a tensor that is described in a file",
        columns: about_facts![
            text("format", "where the fact says it; `formats` says it for every file"),
            text("name", "its name; null where the file holds one unnamed tensor"),
            text("dtype", "element type as written"),
            text("shape", "JSON, such as `[2,3]`"),
            number("length", "bytes; `offset` says where they start"),
            float("min", "smallest value, where it was computed"),
            float("max", "largest value"),
            number("nan", "elements that are not a number"),
            number("infinite", "elements that are infinite"),
        ],
    },
    Table {
        name: "formats",
        about: "a format that a file can be read as; null for a file of which none is known",
        columns: about_facts![
            text("format", "by content"),
            text("claim", "what the file's name claims"),
            number("size", "bytes, when known without reading all"),
        ],
    },
    Table {
        name: "facts",
        about: "every fact, as it was stored",
        columns: about_facts![
            text("extractor", "who extracted it: `artifact`, `source`, `data`"),
            number("extractor_version", "in which version"),
            text("kind", "type of the fact"),
            number("line", "from 1"),
            number("column", "in characters, from 1; quote the name: \"column\""),
            number("cell", "notebook cell, from 0"),
            number("cell_line", "line inside the cell, from 1"),
            text("field", "column of a table, key of a document, tensor of a model"),
            number("row", "row of a table, from 0"),
            text("case", "test case; quote the name: \"case\""),
            text("path_bytes", "raw bytes of `path` in hex, when it is no UTF-8"),
            text("fact", "the fact, as JSON; read it with `fact_at(fact, '/pointer')`"),
        ],
    },
    Table {
        name: "coverage",
        about: "what each check looked at (a row with `looked_at`), and what not (rows with `reason`)",
        columns: about_facts![
            text("check", "check; null for what none of them could read"),
            number("looked_at", "files that were looked at to the end"),
            text("reason", "why the file or member was not looked at"),
        ],
    },
    Table {
        name: "subjects",
        about: "whatever facts are known of, once a project",
        columns: &[
            text("subject", "its digest (`dirHash1`)"),
            text("subject_name", "its name"),
            text("kind", "`source`, `dataset`, `model` or `files`; null when only an old release stored it"),
            text("project", "folder whose ledger admitted it, or folder of facts"),
            flag("admitted", "signed evidence in a ledger binds its facts"),
            number("first_index", "first entry in the ledger"),
            number("last_index", "last entry in the ledger"),
            text("first_time", "time of the first entry, RFC 3339"),
            text("last_time", "time of the last entry"),
        ],
    },
    Table {
        name: "reports",
        about: "signed reports in the ledger",
        columns: &[
            text("subject", "digest of the subject (`dirHash1`)"),
            text("subject_name", "its name"),
            text("project", "folder whose ledger admitted it"),
            text("check", "which check"),
            number("check_version", "in which version"),
            text("verdict", "`pass`, `warn`, `fail` or `error`"),
            flag("complete", "everything was looked at"),
            number("findings", "findings that count"),
            number("ledger_index", "entry in the ledger"),
            text("time", "when it was appended, RFC 3339"),
            text("key", "key id of the signer"),
            flag("local", "the key is a development key that nobody vouches for"),
            text("envelope", "SHA-256 of the signed envelope"),
            text("facts", "SHA-256 of the facts that it rests on"),
        ],
    },
];

const fn text(name: &'static str, about: &'static str) -> Column {
    Column { name, column_type: ColumnType::Text, about }
}

const fn number(name: &'static str, about: &'static str) -> Column {
    Column { name, column_type: ColumnType::Number, about }
}

const fn float(name: &'static str, about: &'static str) -> Column {
    Column { name, column_type: ColumnType::Float, about }
}

const fn flag(name: &'static str, about: &'static str) -> Column {
    Column { name, column_type: ColumnType::Flag, about }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let mut tables = HashSet::new();
        for table in RELATIONS {
            assert!(tables.insert(table.name), "{}", table.name);
            let mut columns = HashSet::new();
            for column in table.columns {
                assert!(columns.insert(column.name), "{}.{}", table.name, column.name);
            }
        }
    }
}
