//! Opens Parquet files of strangers: what the footer claims is held against the file before anything is read by it, and
//! the pages against their checksums before they are decoded.

use std::io::{BufReader, Seek, SeekFrom};
use std::sync::Arc;

use bytes::Bytes;
use gauntlet_core::{Limit, Limits, SkipCode};
use gauntlet_limits::ReadAt;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, Length};

use super::csv::{MAX_COLUMNS, shorten};
use super::format::{self, Entry, Opened, Reader, Stop, Wanted};
use super::page;
use super::provider::Sink;
use super::source::{AtReader, Handle, Refusal, Source, io_problem};
use crate::facts::Format;

pub(super) const FORMAT: Entry =
    Entry { format: Format::Parquet, extensions: &["parquet", "pq"], open };

const BATCH_ROWS: usize = 8_192;

/// An opened file; `starts` holds the number of the first row of each row group.
struct ParquetFile {
    source: Source,
    metadata: ArrowReaderMetadata,
    starts: Vec<u64>,
}

fn open(source: &Source) -> Result<Opened, Refusal> {
    let handle = source.open()?;
    frame(handle.bytes().as_ref(), &source.limits)?;
    let metadata = ArrowReaderMetadata::load(&Chunks(handle.clone()), ArrowReaderOptions::new())
        .map_err(|error| (SkipCode::Malformed, error.to_string()))?;
    let starts = claims(&metadata, handle.size(), &source.limits)?;
    let columns = format::columns(metadata.schema())?;
    let reader = Arc::new(ParquetFile { source: source.clone(), metadata, starts });
    Ok(Opened { reader, columns, open_ended: false })
}

impl Reader for ParquetFile {
    fn pieces(&self) -> usize {
        self.starts.len()
    }

    fn read(&self, group: usize, wanted: &[Wanted<'_>], sink: &Sink<'_>) -> Result<(), Stop> {
        let malformed =
            |error: &dyn std::fmt::Display| Stop::Problem(SkipCode::Malformed, format!("row group {group}: {error}"));
        let handle = self.source.open()?;
        let schema = self.metadata.parquet_schema();
        let mut roots: Vec<usize> = wanted.iter().map(|w| w.index).collect();
        roots.sort_unstable();
        let row_group = self.metadata.metadata().row_group(group);
        let leaves = || {
            let columns = row_group.columns().iter().enumerate();
            columns.filter(|(leaf, _)| roots.binary_search(&schema.get_column_root_idx(*leaf)).is_ok()).map(|(_, c)| c)
        };
        let ranges: Vec<_> = leaves().filter_map(range).collect();
        handle.expect(&ranges)?;
        for column in leaves() {
            let name = || shorten(&column.column_path().string());
            let claimed = u64::try_from(column.uncompressed_size()).unwrap_or(0);
            let range = range(column).ok_or_else(|| malformed(&"a column lies outside the file"))?;
            page::check(handle.bytes().as_ref(), range, claimed)
                .map_err(|(code, what)| Stop::Problem(code, format!("row group {group}, column `{}`: {what}", name())))?;
        }
        let mask = ProjectionMask::roots(schema, roots.iter().copied());
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(Chunks(handle.clone()), self.metadata.clone())
            .with_row_groups(vec![group])
            .with_projection(mask)
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(|e| malformed(&e))?;
        let mut row = self.starts.get(group).copied().unwrap_or(0);
        let claimed = row_group.num_rows().cast_unsigned();
        let end = row + claimed;
        for batch in reader {
            let batch = batch.map_err(|e| malformed(&e))?;
            let count = batch.num_rows() as u64;
            let arrays = wanted.iter().map(|w| Arc::clone(batch.column(roots.partition_point(|&r| r < w.index))));
            sink.rows(row..row + count, arrays.collect())?;
            row += count;
        }
        if row != end {
            let what = format!("row group {group}: {} of {claimed} rows are there", (row + claimed).saturating_sub(end));
            return Err(Stop::Problem(SkipCode::Truncated, what));
        }
        sink.count(claimed);
        Ok(handle.unchanged()?)
    }
}

impl std::fmt::Debug for ParquetFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ParquetFile({}, {} row groups)", self.source.path, self.starts.len())
    }
}

/// A file as the decoder wants it.
struct Chunks(Handle);

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.0.size()
    }
}

impl ChunkReader for Chunks {
    type T = BufReader<AtReader>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let mut reader = self.0.reader();
        reader.seek(SeekFrom::Start(start))?;
        Ok(BufReader::new(reader))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.0.size()) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} reach behind the end of the file")));
        }
        let mut bytes = vec![0; length];
        self.0.bytes().read_exact_at(start, &mut bytes)?;
        Ok(bytes.into())
    }
}

/// Where the first page of a column begins.
fn first_page(column: &ColumnChunkMetaData) -> i64 {
    column.dictionary_page_offset().filter(|at| *at > 0).unwrap_or(column.data_page_offset())
}

/// Where the pages of a column lie.
fn range(column: &ColumnChunkMetaData) -> Option<std::ops::Range<u64>> {
    let start = u64::try_from(first_page(column)).ok()?;
    let length = u64::try_from(column.compressed_size()).ok()?;
    Some(start..start.checked_add(length)?)
}

/// Magic numbers and the length of the footer.
fn frame(file: &dyn ReadAt, limits: &Limits) -> Result<(), Refusal> {
    let malformed = |what: String| (SkipCode::Malformed, what);
    let size = file.size();
    if size < 12 {
        return Err(malformed(format!("{size} bytes are too few for a Parquet file")));
    }
    let (mut head, mut tail) = ([0; 4], [0; 8]);
    let read = file.read_exact_at(0, &mut head).and_then(|()| file.read_exact_at(size - 8, &mut tail));
    read.map_err(|error| io_problem(&error))?;
    if &tail[4..] == b"PARE" {
        return Err((SkipCode::Encrypted, "the Parquet footer is encrypted".to_owned()));
    }
    if &head != b"PAR1" {
        return Err(malformed("does not begin as a Parquet file does".to_owned()));
    }
    if &tail[4..] != b"PAR1" {
        return Err((SkipCode::Truncated, "does not end as a Parquet file does".to_owned()));
    }
    let footer = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    if footer > size - 12 {
        return Err(malformed(format!("the footer claims {footer} bytes of a file of {size}")));
    }
    limits
        .check(Limit::HeaderBytes, footer)
        .map_err(|hit| (SkipCode::Limit, format!("{hit}: footer of {footer} bytes")))
}

/// Whether row groups and column chunks lie in the file and do not claim absurd sizes.
fn claims(metadata: &ArrowReaderMetadata, size: u64, limits: &Limits) -> Result<Vec<u64>, Refusal> {
    let malformed = |what: String| Err((SkipCode::Malformed, what));
    if metadata.parquet_schema().num_columns() > MAX_COLUMNS {
        return Err((SkipCode::Limit, format!("more than {MAX_COLUMNS} columns")));
    }
    let (mut starts, mut rows) = (Vec::new(), 0u64);
    for (i, group) in metadata.metadata().row_groups().iter().enumerate() {
        starts.push(rows);
        let Ok(count) = u64::try_from(group.num_rows()) else {
            return malformed(format!("row group {i} claims {} rows", group.num_rows()));
        };
        rows = rows.saturating_add(count);
        for column in group.columns() {
            let inside = |offset: i64, length: i64| {
                let (Ok(offset), Ok(length)) = (u64::try_from(offset), u64::try_from(length)) else { return false };
                offset.checked_add(length).is_some_and(|end| end <= size)
            };
            let start = first_page(column);
            if !inside(start, column.compressed_size()) || !inside(column.data_page_offset(), 0) {
                return malformed(format!(
                    "row group {i}: column `{}` lies outside the file",
                    shorten(&column.column_path().string())
                ));
            }
            let stored = u64::try_from(column.compressed_size()).unwrap_or(0);
            let claimed = u64::try_from(column.uncompressed_size()).unwrap_or(u64::MAX);
            if claimed > (1 << 20) + stored.saturating_mul(limits.ratio) {
                let what = format!("row group {i}: {stored} bytes claim to expand to {claimed}");
                return Err((SkipCode::Limit, format!("limit `ratio` reached ({}): {what}", limits.ratio)));
            }
        }
    }
    // A run of equal values costs a few bytes however long it is.
    if rows > 10_000_000 && rows > size.saturating_mul(limits.ratio) {
        return Err((
            SkipCode::Limit,
            format!("limit `ratio` reached ({}): {size} bytes claim {rows} rows", limits.ratio),
        ));
    }
    if rows >= 1 << 40 {
        return Err((SkipCode::Limit, format!("{rows} rows")));
    }
    Ok(starts)
}
