//! Opens Parquet files of strangers: what the footer claims is held against the file before anything is read by it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use gauntlet_core::{Limit, Limits, SkipCode};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};

use super::csv::{MAX_COLUMNS, shorten};

type Refusal = (SkipCode, String);

/// Metadata, and the number of the first row of each row group.
pub(super) fn open(file: &File, size: u64, limits: &Limits) -> Result<(ArrowReaderMetadata, Vec<u64>), Refusal> {
    frame(file, size, limits)?;
    let loaded = catch_unwind(AssertUnwindSafe(|| {
        ArrowReaderMetadata::load(file, ArrowReaderOptions::new())
            .map_err(|error| (SkipCode::Malformed, error.to_string()))
            .and_then(|metadata| claims(&metadata, size, limits).map(|starts| (metadata, starts)))
    }));
    loaded.unwrap_or_else(|panic| Err((SkipCode::Malformed, panic_text(panic.as_ref()))))
}

/// Magic numbers and the length of the footer.
fn frame(file: &File, size: u64, limits: &Limits) -> Result<(), Refusal> {
    let malformed = |what: String| (SkipCode::Malformed, what);
    if size < 12 {
        return Err(malformed(format!("{size} bytes are too few for a Parquet file")));
    }
    let (mut head, mut tail) = ([0; 4], [0; 8]);
    let read = file.read_exact_at(&mut head, 0).and_then(|()| file.read_exact_at(&mut tail, size - 8));
    read.map_err(|error| (SkipCode::Unreadable, error.to_string()))?;
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
    let fields = metadata.schema().fields();
    if fields.len() > MAX_COLUMNS || metadata.parquet_schema().num_columns() > MAX_COLUMNS {
        return Err((SkipCode::Limit, format!("more than {MAX_COLUMNS} columns")));
    }
    let mut names: Vec<&str> = fields.iter().map(|f| f.name().as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return malformed(format!("two columns are called `{}`", shorten(pair[0])));
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
            let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
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

/// What a panic of a parser said.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("the reader gave up: {}", text.unwrap_or("no reason given").chars().take(200).collect::<String>())
}
