//! NumPy arrays: one dimension is a column `value`, two are a column `embedding` of fixed-size lists.

use std::io::Read;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, FixedSizeListArray, Float16Array, Float32Array, Float64Array, Int8Array, Int16Array,
    Int32Array, Int64Array, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use gauntlet_core::SkipCode;
use gauntlet_npy::NpyError;

use super::format::{Entry, Opened, Reader, Stop, Wanted};
use super::provider::Sink;
use super::source::{AtReader, Refusal, Source, io_problem};
use super::{Column, normal_type};
use crate::facts::Format;

pub(super) const FORMAT: Entry = Entry { format: Format::Npy, extensions: &["npy"], open };

/// Bytes of one batch.
const BATCH_BYTES: u64 = 4 << 20;
const BATCH_ROWS: u64 = 8_192;
/// Longest list.
const MAX_WIDTH: u64 = 1 << 20;

#[derive(Debug)]
struct NpyFile {
    source: Source,
    kind: Kind,
    /// Where the first number stands.
    data: u64,
    rows: u64,
    /// Numbers in a row; 0 for a column of single numbers.
    width: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    letter: u8,
    bytes: u64,
    big: bool,
}

fn open(source: &Source) -> Result<Opened, Refusal> {
    let unsupported = |what: String| (SkipCode::Unsupported, what);
    let handle = source.open()?;
    let (facts, fortran) = gauntlet_npy::read_with_order(handle.bytes().as_ref()).map_err(|error| match error {
        NpyError::Io(error) => io_problem(&error),
        NpyError::Malformed(what) => (SkipCode::Malformed, format!("header: {what}")),
    })?;
    if facts.has_objects {
        return Err(unsupported("Python objects: the file is a pickle".to_owned()));
    }
    let kind = kind(&facts.descr).ok_or_else(|| unsupported(format!("elements of type {}", facts.descr)))?;
    let (rows, width) = match facts.shape.as_slice() {
        [rows] => (*rows, 0),
        [rows, width] if (1..=MAX_WIDTH).contains(width) && !(fortran && *width > 1 && *rows > 1) => (*rows, *width),
        [_, _] if fortran => return Err(unsupported("stored by columns (fortran_order); store it by rows".to_owned())),
        shape => return Err(unsupported(format!("the shape {shape:?}; one and two dimensions are read"))),
    };
    let expected = facts.expected.ok_or_else(|| (SkipCode::Malformed, "more elements than can be counted".to_owned()))?;
    if expected > facts.available {
        let what = format!("{expected} bytes of numbers are announced, {} are there", facts.available);
        return Err((SkipCode::Truncated, what));
    }
    if expected < facts.available {
        let what = format!("{} bytes follow behind the numbers", facts.available - expected);
        return Err((SkipCode::Malformed, what));
    }
    let element = element(kind);
    let (name, stored) = match width {
        0 => ("value", element),
        width => ("embedding", list(element, width)?),
    };
    let scanned = normal_type(&stored);
    let column = Column { name: name.to_owned(), stored, scanned, typed: None, text_file: false };
    let reader = Arc::new(NpyFile { source: source.clone(), kind, data: facts.data, rows, width });
    Ok(Opened { reader, columns: vec![column], open_ended: false })
}

impl Reader for NpyFile {
    fn read(&self, _: usize, wanted: &[Wanted<'_>], sink: &Sink<'_>) -> Result<(), Stop> {
        let handle = self.source.open()?;
        let mut input = handle.reader();
        std::io::Seek::seek(&mut input, std::io::SeekFrom::Start(self.data)).map_err(|e| io_problem(&e))?;
        let row_bytes = self.kind.bytes * self.width.max(1);
        let batch = (BATCH_BYTES / row_bytes.max(1)).clamp(1, BATCH_ROWS);
        let mut row = 0;
        while row < self.rows {
            let count = batch.min(self.rows - row);
            let array = self.array(&mut input, count * row_bytes)?;
            sink.rows(row..row + count, wanted.iter().map(|_| Arc::clone(&array)).collect())?;
            row += count;
        }
        sink.count(self.rows);
        Ok(handle.unchanged()?)
    }
}

impl NpyFile {
    fn array(&self, input: &mut AtReader, length: u64) -> Result<ArrayRef, Stop> {
        let malformed = |what: String| Stop::Problem(SkipCode::Malformed, what);
        let length = usize::try_from(length).map_err(|_| malformed("too large".to_owned()))?;
        let mut bytes = vec![0; length];
        input.read_exact(&mut bytes).map_err(|e| Stop::from(io_problem(&e)))?;
        let numbers = numbers(self.kind, &bytes).ok_or_else(|| malformed("elements of another type".to_owned()))?;
        if self.width == 0 {
            return Ok(numbers);
        }
        let width = i32::try_from(self.width).map_err(|_| malformed("too wide".to_owned()))?;
        let item = Arc::new(Field::new("item", numbers.data_type().clone(), true));
        let lists = FixedSizeListArray::try_new(item, width, numbers, None).map_err(|e| malformed(e.to_string()))?;
        Ok(Arc::new(lists))
    }
}

fn list(element: DataType, width: u64) -> Result<DataType, Refusal> {
    let width = i32::try_from(width).map_err(|_| (SkipCode::Limit, format!("rows of {width} numbers")))?;
    Ok(DataType::FixedSizeList(Arc::new(Field::new("item", element, true)), width))
}

/// Half floats are widened: the engine does not compute with them.
fn element(kind: Kind) -> DataType {
    match (kind.letter, kind.bytes) {
        (b'f', 2 | 4) => DataType::Float32,
        (b'f', _) => DataType::Float64,
        (b'b', _) => DataType::Boolean,
        (b'i', 1) => DataType::Int8,
        (b'i', 2) => DataType::Int16,
        (b'i', 4) => DataType::Int32,
        (b'i', _) => DataType::Int64,
        (_, 1) => DataType::UInt8,
        (_, 2) => DataType::UInt16,
        (_, 4) => DataType::UInt32,
        _ => DataType::UInt64,
    }
}

fn kind(descr: &str) -> Option<Kind> {
    let [order, letter, size @ ..] = descr.trim_matches(['\'', '"']).as_bytes() else { return None };
    let bytes = std::str::from_utf8(size).ok()?.parse().ok()?;
    let sized = matches!((letter, bytes), (b'f', 2 | 4 | 8) | (b'i' | b'u', 1 | 2 | 4 | 8) | (b'b', 1));
    let big = match order {
        b'<' | b'|' | b'=' => false,
        b'>' => true,
        _ => return None,
    };
    sized.then_some(Kind { letter: *letter, bytes, big })
}

fn numbers(kind: Kind, bytes: &[u8]) -> Option<ArrayRef> {
    macro_rules! read {
        ($array:ident, $from_le:expr, $from_be:expr, $n:literal) => {{
            let (chunks, rest) = bytes.as_chunks::<$n>();
            if !rest.is_empty() {
                return None;
            }
            let values = chunks.iter().map(|chunk| if kind.big { $from_be(*chunk) } else { $from_le(*chunk) });
            Arc::new($array::from_iter_values(values)) as ArrayRef
        }};
    }
    Some(match (kind.letter, kind.bytes) {
        (b'f', 8) => read!(Float64Array, f64::from_le_bytes, f64::from_be_bytes, 8),
        (b'f', 4) => read!(Float32Array, f32::from_le_bytes, f32::from_be_bytes, 4),
        (b'f', 2) => {
            type Half = <arrow::datatypes::Float16Type as arrow::datatypes::ArrowPrimitiveType>::Native;
            let half = read!(Float16Array, Half::from_le_bytes, Half::from_be_bytes, 2);
            cast(&half, &DataType::Float32).ok()?
        }
        (b'i', 8) => read!(Int64Array, i64::from_le_bytes, i64::from_be_bytes, 8),
        (b'i', 4) => read!(Int32Array, i32::from_le_bytes, i32::from_be_bytes, 4),
        (b'i', 2) => read!(Int16Array, i16::from_le_bytes, i16::from_be_bytes, 2),
        (b'i', 1) => read!(Int8Array, i8::from_le_bytes, i8::from_be_bytes, 1),
        (b'u', 8) => read!(UInt64Array, u64::from_le_bytes, u64::from_be_bytes, 8),
        (b'u', 4) => read!(UInt32Array, u32::from_le_bytes, u32::from_be_bytes, 4),
        (b'u', 2) => read!(UInt16Array, u16::from_le_bytes, u16::from_be_bytes, 2),
        (b'u', 1) => read!(UInt8Array, u8::from_le_bytes, u8::from_be_bytes, 1),
        (b'b', 1) => Arc::new(bytes.iter().map(|byte| Some(*byte != 0)).collect::<BooleanArray>()),
        _ => return None,
    })
}
