//! One file of a split: CSV or Parquet, plain or encrypted, hashed while it is written.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::file::properties::WriterProperties;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{can_cast_types, cast};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use sha2::{Digest as _, Sha256};

use super::{QuarantineError, QuarantinePart, REASONS, ROW, failed};
use crate::sealed::{Recipients, Sealed};
use crate::table::Table;

/// Rows of one row group.
const GROUP: usize = 128 << 10;

/// Columns of the parts.
pub(super) struct Shape {
    clean: SchemaRef,
    rejected: SchemaRef,
}

impl Shape {
    pub(super) fn of(table: &Table) -> Self {
        let fields: Vec<Field> = table
            .columns
            .iter()
            .map(|column| {
                // As stored, so that the clean part can stand in for the file.
                let stored = can_cast_types(&column.scanned, &column.stored);
                let kind = if stored { &column.stored } else { &column.scanned };
                Field::new(&column.name, kind.clone(), true)
            })
            .collect();
        let mut more = fields.clone();
        more.push(Field::new(ROW, DataType::UInt64, false));
        more.push(Field::new(REASONS, DataType::Utf8, false));
        Self { clean: Arc::new(Schema::new(fields)), rejected: Arc::new(Schema::new(more)) }
    }
}

/// A part that is being written.
pub(super) struct PartWriter {
    path: PathBuf,
    relative: PathBuf,
    schema: SchemaRef,
    rows: u64,
    encrypted: bool,
    body: Body,
}

enum Body {
    Csv { sink: Sink, delimiter: u8 },
    Parquet(Box<ArrowWriter<Sink>>),
}

impl PartWriter {
    /// Opens `root/relative`; folders are made, and nothing is overwritten.
    pub(super) fn create(
        root: &Path,
        relative: &Path,
        csv: bool,
        shape: &Shape,
        rejected: bool,
        recipients: &Recipients,
    ) -> Result<Self, QuarantineError> {
        let mut relative = relative.to_owned();
        let delimiter = if relative.extension().is_some_and(|e| e.eq_ignore_ascii_case("tsv")) { b'\t' } else { b',' };
        let encrypted = !recipients.is_empty();
        if encrypted {
            relative.as_mut_os_string().push(".age");
        }
        let path = root.join(&relative);
        let error = |e: &dyn std::fmt::Display| failed(&path, e);
        if let Some(folder) = path.parent() {
            let mode = if rejected { 0o700 } else { 0o755 };
            std::fs::DirBuilder::new().recursive(true).mode(mode).create(folder).map_err(|e| error(&e))?;
        }
        // Rejected rows concern their owner alone.
        let mode = if rejected { 0o600 } else { 0o644 };
        let file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path).map_err(|e| error(&e))?;
        let sink = sink(file, recipients).map_err(|e| error(&e))?;
        let schema = Arc::clone(if rejected { &shape.rejected } else { &shape.clean });
        let body = if csv {
            let mut sink = sink;
            let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
            let mut line = Vec::new();
            for (i, name) in names.iter().enumerate() {
                field(&mut line, i, Some(name), delimiter);
            }
            line.push(b'\n');
            sink.write_all(&line).map_err(|e| error(&e))?;
            Body::Csv { sink, delimiter }
        } else {
            let level = ZstdLevel::try_new(1).map_err(|e| error(&e))?;
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(level))
                .set_max_row_group_row_count(Some(GROUP))
                .build();
            let writer = ArrowWriter::try_new(sink, Arc::clone(&schema), Some(properties)).map_err(|e| error(&e))?;
            Body::Parquet(Box::new(writer))
        };
        Ok(Self { path, relative, schema, rows: 0, encrypted, body })
    }

    /// Appends rows, one array a column.
    pub(super) fn write(&mut self, columns: Vec<ArrayRef>) -> Result<(), QuarantineError> {
        let Some(count) = columns.first().map(|column| column.len()).filter(|&count| count > 0) else { return Ok(()) };
        let path = &self.path;
        let error = |e: &dyn std::fmt::Display| failed(path, e);
        match &mut self.body {
            Body::Csv { sink, delimiter } => {
                let texts: Vec<ArrayRef> = columns
                    .iter()
                    .map(|column| cast(column, &DataType::Utf8))
                    .collect::<Result<_, _>>()
                    .map_err(|e| error(&e))?;
                let mut lines = Vec::new();
                for row in 0..count {
                    for (i, column) in texts.iter().enumerate() {
                        let text = column.as_string_opt::<i32>().filter(|c| c.is_valid(row)).map(|c| c.value(row));
                        field(&mut lines, i, text, *delimiter);
                    }
                    lines.push(b'\n');
                }
                sink.write_all(&lines).map_err(|e| error(&e))?;
            }
            Body::Parquet(writer) => {
                let arrays: Vec<ArrayRef> = columns
                    .iter()
                    .zip(self.schema.fields())
                    .map(|(column, field)| cast(column, field.data_type()))
                    .collect::<Result<_, _>>()
                    .map_err(|e| error(&e))?;
                let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(|e| error(&e))?;
                writer.write(&batch).map_err(|e| error(&e))?;
            }
        }
        self.rows += count as u64;
        Ok(())
    }

    /// Writes the end and makes it durable.
    pub(super) fn finish(self, root: &Path) -> Result<QuarantinePart, QuarantineError> {
        let error = |e: &dyn std::fmt::Display| failed(&self.path, e);
        let sink = match self.body {
            Body::Csv { sink, .. } => sink,
            Body::Parquet(writer) => writer.into_inner().map_err(|e| error(&e))?,
        };
        let (file, size, hash) = sink.finish().and_then(Hashed::finish).map_err(|e| error(&e))?;
        file.sync_all().map_err(|e| error(&e))?;
        if let Some(folder) = self.path.parent().filter(|folder| *folder != root) {
            super::sync(folder).map_err(|e| error(&e))?;
        }
        Ok(QuarantinePart {
            path: gauntlet_core::display_path(&self.relative).0,
            rows: self.rows,
            size,
            sha256: hash,
            encrypted: self.encrypted,
        })
    }
}

/// One CSV field as our reader reads it back: nothing is a null, `""` is an empty text.
fn field(line: &mut Vec<u8>, index: usize, text: Option<&str>, delimiter: u8) {
    if index > 0 {
        line.push(delimiter);
    }
    let Some(text) = text else { return };
    let special = |b: u8| b == delimiter || matches!(b, b'"' | b'\n' | b'\r');
    if !text.is_empty() && !text.bytes().any(special) && !text.starts_with('\u{feff}') {
        line.extend_from_slice(text.as_bytes());
        return;
    }
    line.push(b'"');
    for b in text.bytes() {
        if b == b'"' {
            line.push(b'"');
        }
        line.push(b);
    }
    line.push(b'"');
}

/// The file behind a part.
type Sink = Sealed<Hashed>;

fn sink(file: File, recipients: &Recipients) -> io::Result<Sink> {
    Sealed::new(Hashed { file: BufWriter::with_capacity(256 << 10, file), size: 0, hash: Sha256::new() }, recipients)
}

struct Hashed {
    file: BufWriter<File>,
    size: u64,
    hash: Sha256,
}

impl Hashed {
    /// The file, its bytes and the hex SHA-256 of them.
    fn finish(self) -> io::Result<(File, u64, String)> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok((file, self.size, hex::encode(self.hash.finalize())))
    }
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
