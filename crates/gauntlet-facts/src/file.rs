//! The file: one Parquet table that loses nothing, with equal bytes for equal facts, because its digest is signed.
//!
//! Three kinds of records share the table: `fact` (kind and JSON), `covered` (a check and how many files it looked at) and
//! `skipped` (what was not looked at, and why; without a check it holds for all). Whose facts they are stands in the
//! file's metadata.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};

use crate::{FactsError, Place};

/// Version of the columns and of the metadata. A later one is refused.
pub const SCHEMA_VERSION: u32 = 1;

const SCHEMA_KEY: &str = "gauntlet.facts.schema";
const EXTRACTOR_KEY: &str = "gauntlet.facts.extractor";
const VERSION_KEY: &str = "gauntlet.facts.extractor_version";
const SUBJECT_KEY: &str = "gauntlet.facts.subject";
const CONFIG_KEY: &str = "gauntlet.facts.config";
const CHECKS_KEY: &str = "gauntlet.facts.checks";

/// Rows of a row group, and of a batch while reading.
const GROUP_ROWS: usize = 16_384;
const BATCH_ROWS: usize = 1_024;

const FACT: &str = "fact";
const COVERED: &str = "covered";
const SKIPPED: &str = "skipped";

/// Columns in their order; text where `true`, else an unsigned number.
const COLUMNS: [(&str, bool); 17] = [
    ("record", true),
    ("kind", true),
    ("check", true),
    ("path", true),
    ("path_bytes", true),
    ("member", true),
    ("line", false),
    ("column", false),
    ("offset", false),
    ("cell", false),
    ("cell_line", false),
    ("field", true),
    ("row", false),
    ("case", true),
    ("fact", true),
    ("looked_at", false),
    ("reason", true),
];

/// Everything in one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FactFile {
    /// Whose facts these are.
    pub header: Header,
    /// The records, in the order in which they were given.
    pub rows: Vec<Row>,
}

/// What holds for all rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Who extracted.
    pub extractor: String,
    /// In which version.
    pub extractor_version: u32,
    /// What was read, as JSON.
    pub subject: String,
    /// The configuration it was read under, as JSON.
    pub config: String,
    /// The checks that the facts were gathered for, as JSON: what they hold nothing about, later checks may not conclude.
    pub checks: String,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// Something that was seen.
    Fact {
        /// Which type of fact.
        kind: String,
        /// Where.
        place: Place,
        /// The fact, as JSON.
        fact: String,
    },
    /// A check that looked.
    Covered {
        /// Its id.
        check: String,
        /// How many files it looked at.
        looked_at: u64,
    },
    /// Something that was not looked at.
    Skipped {
        /// By which check; by none when absent.
        check: Option<String>,
        /// The file; empty for the subject as a whole.
        path: String,
        /// Member of a container.
        member: Option<String>,
        /// Why.
        reason: String,
    },
}

/// What a reader takes in. A file of facts may come from anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes of the table in memory.
    pub table_bytes: u64,
    /// Rows.
    pub rows: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { file_bytes: 256 << 20, table_bytes: 1 << 30, rows: 10_000_000 }
    }
}

/// The bytes of a file: equal for equal content, whoever writes it.
///
/// # Errors
/// When a text or the table exceeds what Parquet can hold.
pub fn write(file: &FactFile) -> Result<Vec<u8>, FactsError> {
    let header = &file.header;
    let metadata = [
        (SCHEMA_KEY, SCHEMA_VERSION.to_string()),
        (EXTRACTOR_KEY, header.extractor.clone()),
        (VERSION_KEY, header.extractor_version.to_string()),
        (SUBJECT_KEY, header.subject.clone()),
        (CONFIG_KEY, header.config.clone()),
        (CHECKS_KEY, header.checks.clone()),
    ];
    let metadata = metadata.into_iter().map(|(key, value)| KeyValue::new(key.to_owned(), value)).collect();
    // Everything that could differ between two builds is said here. Statistics would only repeat texts in the footer.
    let properties = WriterProperties::builder()
        .set_created_by("gauntlet-facts 1".to_owned())
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_key_value_metadata(Some(metadata))
        .build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), schema(), options)?;
    for rows in file.rows.chunks(GROUP_ROWS) {
        writer.write(&batch(rows)?)?;
    }
    Ok(writer.into_inner()?)
}

/// Reads a file. Bytes that are not ours, or too many, are errors; nothing else can happen.
///
/// # Errors
/// [`FactsError`]
pub fn read(bytes: impl Into<Bytes>, limits: &Limits) -> Result<FactFile, FactsError> {
    guarded(bytes.into(), limits, |builder| read_table(builder, limits))
}

/// Reads whose facts they are, and none of them.
///
/// # Errors
/// As [`read`], for the file's metadata.
pub fn read_header(bytes: impl Into<Bytes>, limits: &Limits) -> Result<Header, FactsError> {
    guarded(bytes.into(), limits, |builder| header(builder.metadata().file_metadata().key_value_metadata()))
}

type Builder = ParquetRecordBatchReaderBuilder<Bytes>;

/// The Parquet reader is not ours: should it panic over a broken file, that is this file's error and nobody else's.
fn guarded<T>(
    bytes: Bytes,
    limits: &Limits,
    read: impl FnOnce(Builder) -> Result<T, FactsError>,
) -> Result<T, FactsError> {
    if bytes.len() as u64 > limits.file_bytes {
        return Err(FactsError::Limit { what: "bytes of a file of facts", limit: limits.file_bytes });
    }
    catch_unwind(AssertUnwindSafe(|| read(Builder::try_new(bytes)?)))
        .unwrap_or_else(|_| Err(FactsError::Parquet("the reader gave up".to_owned())))
}

fn read_table(builder: Builder, limits: &Limits) -> Result<FactFile, FactsError> {
    let metadata = builder.metadata();
    let header = header(metadata.file_metadata().key_value_metadata())?;
    if builder.schema().fields() != schema().fields() {
        return Err(FactsError::Shape("it has other columns".to_owned()));
    }
    let claimed = metadata.row_groups().iter().try_fold((0u64, 0u64), |(rows, bytes), group| {
        let add = |sum: u64, more: i64| sum.checked_add(u64::try_from(more).ok()?);
        Some((add(rows, group.num_rows())?, add(bytes, group.total_byte_size())?))
    });
    let (claimed_rows, claimed_bytes) =
        claimed.ok_or_else(|| FactsError::Shape("its sizes are no sizes".to_owned()))?;
    if claimed_rows > limits.rows {
        return Err(FactsError::Limit { what: "facts of a subject", limit: limits.rows });
    }
    let over = FactsError::Limit { what: "bytes of facts of a subject", limit: limits.table_bytes };
    if claimed_bytes > limits.table_bytes {
        return Err(over);
    }
    let mut file = FactFile { header, rows: Vec::new() };
    let mut taken = 0u64;
    for batch in builder.with_batch_size(BATCH_ROWS).build()? {
        let batch = batch?;
        taken = taken.saturating_add(batch.get_array_memory_size() as u64);
        if taken > limits.table_bytes {
            return Err(over);
        }
        if (file.rows.len() + batch.num_rows()) as u64 > limits.rows {
            return Err(FactsError::Limit { what: "facts of a subject", limit: limits.rows });
        }
        take(&batch, &mut file.rows)?;
    }
    Ok(file)
}

fn header(metadata: Option<&Vec<KeyValue>>) -> Result<Header, FactsError> {
    let get = |key: &str| {
        let mut values = metadata.into_iter().flatten().filter(|pair| pair.key == key);
        match (values.next(), values.next()) {
            (Some(KeyValue { value: Some(value), .. }), None) => Ok(value.clone()),
            _ => Err(FactsError::Shape(format!("its metadata does not say `{key}` once"))),
        }
    };
    let found = get(SCHEMA_KEY)?;
    if found != SCHEMA_VERSION.to_string() {
        return Err(FactsError::Version { found, known: SCHEMA_VERSION });
    }
    let version = get(VERSION_KEY)?;
    let extractor_version =
        version.parse().map_err(|_| FactsError::Shape(format!("`{version}` is no version of an extractor")))?;
    Ok(Header {
        extractor: get(EXTRACTOR_KEY)?,
        extractor_version,
        subject: get(SUBJECT_KEY)?,
        config: get(CONFIG_KEY)?,
        checks: get(CHECKS_KEY)?,
    })
}

fn schema() -> SchemaRef {
    let fields = COLUMNS
        .map(|(name, text)| Field::new(name, if text { DataType::Utf8 } else { DataType::UInt64 }, name != "record"));
    Arc::new(Schema::new(fields.to_vec()))
}

/// Columns of one row, text and numbers each in the order of [`COLUMNS`].
type Cells<'a> = ([Option<&'a str>; 10], [Option<u64>; 7]);

fn cells(row: &Row) -> Cells<'_> {
    let mut text = [None; 10];
    let mut numbers = [None; 7];
    match row {
        Row::Fact { kind, place, fact } => {
            text = [
                Some(FACT),
                Some(kind.as_str()),
                None,
                place.path.as_deref(),
                place.path_bytes.as_deref(),
                place.member.as_deref(),
                place.field.as_deref(),
                place.case.as_deref(),
                Some(fact.as_str()),
                None,
            ];
            numbers = [place.line, place.column, place.offset, place.cell, place.cell_line, place.row, None];
        }
        Row::Covered { check, looked_at } => {
            (text[0], text[2]) = (Some(COVERED), Some(check.as_str()));
            numbers[6] = Some(*looked_at);
        }
        Row::Skipped { check, path, member, reason } => {
            (text[0], text[2]) = (Some(SKIPPED), check.as_deref());
            (text[3], text[5], text[9]) = (Some(path.as_str()), member.as_deref(), Some(reason.as_str()));
        }
    }
    (text, numbers)
}

fn batch(rows: &[Row]) -> Result<RecordBatch, FactsError> {
    let rows: Vec<Cells<'_>> = rows.iter().map(cells).collect();
    let (mut texts, mut numbers) = (0.., 0..);
    let columns = COLUMNS.iter().map(|(_, text)| -> ArrayRef {
        if *text {
            let at: usize = texts.next().unwrap_or_default();
            Arc::new(rows.iter().map(|(text, _)| text.get(at).copied().flatten()).collect::<StringArray>())
        } else {
            let at: usize = numbers.next().unwrap_or_default();
            Arc::new(rows.iter().map(|(_, number)| number.get(at).copied().flatten()).collect::<UInt64Array>())
        }
    });
    Ok(RecordBatch::try_new(schema(), columns.collect())?)
}

fn take(batch: &RecordBatch, rows: &mut Vec<Row>) -> Result<(), FactsError> {
    let shape = |what: &str| FactsError::Shape(what.to_owned());
    let text = |name: &str| {
        batch.column_by_name(name).and_then(|c| c.as_string_opt::<i32>()).ok_or_else(|| shape("a column is no text"))
    };
    let number = |name: &str| {
        batch
            .column_by_name(name)
            .and_then(|c| c.as_primitive_opt::<UInt64Type>())
            .ok_or_else(|| shape("a column is no number"))
    };
    let (record, kind, check) = (text("record")?, text("kind")?, text("check")?);
    let (path, path_bytes, member) = (text("path")?, text("path_bytes")?, text("member")?);
    let (line, column, offset) = (number("line")?, number("column")?, number("offset")?);
    let (cell, cell_line, row) = (number("cell")?, number("cell_line")?, number("row")?);
    let (field, case, fact) = (text("field")?, text("case")?, text("fact")?);
    let (looked_at, reason) = (number("looked_at")?, text("reason")?);
    let string = |array: &StringArray, i: usize| array.is_valid(i).then(|| array.value(i).to_owned());
    let value = |array: &UInt64Array, i: usize| array.is_valid(i).then(|| array.value(i));
    let there = |value: Option<String>, what: &str| value.ok_or_else(|| shape(&format!("a row lacks its {what}")));
    for i in 0..batch.num_rows() {
        let place = Place {
            path: string(path, i),
            path_bytes: string(path_bytes, i),
            member: string(member, i),
            line: value(line, i),
            column: value(column, i),
            offset: value(offset, i),
            cell: value(cell, i),
            cell_line: value(cell_line, i),
            field: string(field, i),
            row: value(row, i),
            case: string(case, i),
        };
        rows.push(match string(record, i).as_deref() {
            Some(FACT) => {
                Row::Fact { kind: there(string(kind, i), "kind")?, place, fact: there(string(fact, i), "fact")? }
            }
            Some(COVERED) => Row::Covered {
                check: there(string(check, i), "check")?,
                looked_at: value(looked_at, i).ok_or_else(|| shape("a row lacks its number"))?,
            },
            Some(SKIPPED) => Row::Skipped {
                check: string(check, i),
                path: there(place.path, "path")?,
                member: place.member,
                reason: there(string(reason, i), "reason")?,
            },
            _ => return Err(shape("a row is of no known kind of record")),
        });
    }
    Ok(())
}
