//! Avro object container files, block by block. The library believes what a block says of itself (it takes a cut file for
//! a short one, and waits for ever on bytes behind the last record), so lengths, counts and marks are checked here.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow_avro::reader::ReaderBuilder;
use gauntlet_archive::{Container, decoder};
use gauntlet_core::{Limit, Limits, SkipCode};
use gauntlet_limits::Budget;
use serde_json::Value;

use super::format::{self, Entry, Opened, Reader, Stop, Wanted};
use super::provider::Sink;
use super::source::{AtReader, Refusal, Source, io_problem};
use crate::facts::Format;

pub(super) const FORMAT: Entry = Entry { format: Format::Avro, extensions: &["avro"], open };

const MAGIC: &[u8; 4] = b"Obj\x01";
/// Largest block, stored and unpacked. Writers make them of some 64 KiB.
const MAX_BLOCK: u64 = 256 << 20;
/// Most entries of the header's map.
const MAX_ENTRIES: usize = 1_024;
const MAX_DEPTH: usize = 64;

#[derive(Debug)]
struct AvroFile {
    source: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Codec {
    Null,
    Deflate,
    Snappy,
    Zstandard,
}

/// What stands in front of the blocks.
struct Head {
    /// As it is stored: the library reads it again for every block.
    bytes: Vec<u8>,
    codec: Codec,
    sync: [u8; 16],
}

fn open(source: &Source) -> Result<Opened, Refusal> {
    let handle = source.open()?;
    let head = Input::new(handle.reader(), handle.size()).head(&source.limits)?;
    let schema = schema(&head).map_err(|error| (SkipCode::Malformed, format!("header: {error}")))?;
    let columns = format::columns(&schema)?;
    Ok(Opened { reader: Arc::new(AvroFile { source: source.clone() }), columns, open_ended: false })
}

fn schema(head: &Head) -> Result<SchemaRef, ArrowError> {
    Ok(ReaderBuilder::new().build(head.bytes.as_slice())?.schema())
}

impl Reader for AvroFile {
    fn read(&self, _: usize, wanted: &[Wanted<'_>], sink: &Sink<'_>) -> Result<(), Stop> {
        let handle = self.source.open()?;
        let mut input = Input::new(handle.reader(), handle.size());
        let head = input.head(&self.source.limits)?;
        let (mut row, mut number) = (0u64, 0u64);
        while input.left > 0 {
            let place = |(code, what): Refusal| Stop::Problem(code, format!("block {number}: {what}"));
            let malformed = |what: String| place((SkipCode::Malformed, what));
            let block = input.block(&head.sync).map_err(place)?;
            let unpacked = unpacked(&block.data, head.codec, &self.source.limits).map_err(place)?;
            if block.count > unpacked {
                return Err(malformed(format!("claims {} records in {unpacked} bytes", block.count)));
            }
            let count = usize::try_from(block.count).map_err(|_| malformed("too many records".to_owned()))?;
            if count > 0 {
                let mut bytes = head.bytes.clone();
                long(block.count, &mut bytes);
                long(block.data.len() as u64, &mut bytes);
                bytes.extend_from_slice(&block.data);
                bytes.extend_from_slice(&head.sync);
                // One batch takes the whole block, so the library stops behind its last record.
                let reader = ReaderBuilder::new().with_batch_size(count).build(bytes.as_slice());
                let batch = reader.map_err(|e| malformed(e.to_string()))?.next().transpose();
                let batch = batch.map_err(|e| malformed(e.to_string()))?;
                let Some(batch) = batch.filter(|batch| batch.num_rows() == count) else {
                    return Err(malformed(format!("does not hold the {count} records that it announces")));
                };
                let arrays = wanted.iter().filter_map(|w| batch.columns().get(w.index).map(Arc::clone));
                sink.rows(row..row + block.count, arrays.collect())?;
                row += block.count;
            }
            number += 1;
        }
        sink.count(row);
        Ok(handle.unchanged()?)
    }
}

struct Block {
    count: u64,
    data: Vec<u8>,
}

struct Input {
    reader: std::io::BufReader<AtReader>,
    left: u64,
}

impl Input {
    fn new(reader: AtReader, size: u64) -> Self {
        Self { reader: std::io::BufReader::with_capacity(256 << 10, reader), left: size }
    }

    fn take(&mut self, count: u64, out: &mut Vec<u8>) -> Result<(), Refusal> {
        if count > self.left {
            let what = format!("ends early: {count} bytes are announced, {} are there", self.left);
            return Err((SkipCode::Truncated, what));
        }
        let got = self.reader.by_ref().take(count).read_to_end(out).map_err(|e| io_problem(&e))?;
        self.left -= got as u64;
        if got as u64 == count { Ok(()) } else { Err((SkipCode::Truncated, "ends early".to_owned())) }
    }

    /// A variable-length number that is no negative one.
    fn length(&mut self, out: &mut Vec<u8>) -> Result<u64, Refusal> {
        let number = self.number(out)?;
        u64::try_from(number).map_err(|_| (SkipCode::Malformed, "a negative length".to_owned()))
    }

    fn number(&mut self, out: &mut Vec<u8>) -> Result<i64, Refusal> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            self.take(1, out)?;
            let byte = out.last().copied().unwrap_or(0);
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()));
            }
        }
        Err((SkipCode::Malformed, "a number of more than 64 bits".to_owned()))
    }

    fn text(&mut self, limits: &Limits, out: &mut Vec<u8>) -> Result<Vec<u8>, Refusal> {
        let length = self.length(out)?;
        limits.check(Limit::HeaderBytes, length).map_err(|hit| (SkipCode::Limit, format!("{hit}: the header")))?;
        let start = out.len();
        self.take(length, out)?;
        Ok(out.get(start..).unwrap_or_default().to_vec())
    }

    fn head(&mut self, limits: &Limits) -> Result<Head, Refusal> {
        let malformed = |what: &str| (SkipCode::Malformed, format!("header: {what}"));
        let mut bytes = Vec::new();
        self.take(4, &mut bytes)?;
        if bytes != MAGIC {
            return Err((SkipCode::Malformed, "does not begin as an Avro file does".to_owned()));
        }
        let mut entries: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        loop {
            let mut count = self.number(&mut bytes)?;
            if count < 0 {
                self.length(&mut bytes)?;
                count = count.checked_neg().ok_or_else(|| malformed("a count of too many"))?;
            }
            if count == 0 {
                break;
            }
            for _ in 0..count {
                let (key, value) = (self.text(limits, &mut bytes)?, self.text(limits, &mut bytes)?);
                if entries.insert(key, value).is_some() {
                    return Err(malformed("a key occurs twice"));
                }
                let limit = Limits { header_bytes: limits.header_bytes, ..Limits::default() };
                limit
                    .check(Limit::HeaderBytes, bytes.len() as u64)
                    .map_err(|hit| (SkipCode::Limit, format!("{hit}: the header")))?;
                if entries.len() > MAX_ENTRIES {
                    return Err((SkipCode::Limit, format!("header: more than {MAX_ENTRIES} entries")));
                }
            }
        }
        let mut mark = Vec::new();
        self.take(16, &mut mark)?;
        bytes.extend_from_slice(&mark);
        let sync = <[u8; 16]>::try_from(mark).map_err(|_| malformed("no mark"))?;
        let codec = match entries.get(b"avro.codec".as_slice()).map(Vec::as_slice) {
            None | Some(b"null") => Codec::Null,
            Some(b"deflate") => Codec::Deflate,
            Some(b"snappy") => Codec::Snappy,
            Some(b"zstandard") => Codec::Zstandard,
            Some(other) => {
                let name: String = String::from_utf8_lossy(other).chars().take(32).collect();
                return Err((SkipCode::Unsupported, format!("the codec `{name}`")));
            }
        };
        let schema = entries.get(b"avro.schema".as_slice()).ok_or_else(|| malformed("no schema"))?;
        let schema: Value = serde_json::from_slice(schema).map_err(|error| malformed(&error.to_string()))?;
        let mut names = BTreeMap::new();
        smallest(&schema, &mut names, 0).map_err(|what| malformed(what))?;
        Ok(Head { bytes, codec, sync })
    }

    fn block(&mut self, sync: &[u8; 16]) -> Result<Block, Refusal> {
        let mut numbers = Vec::new();
        let (count, length) = (self.length(&mut numbers)?, self.length(&mut numbers)?);
        if length > MAX_BLOCK {
            return Err((SkipCode::Limit, format!("{length} bytes; at most {MAX_BLOCK} are read at once")));
        }
        let (mut data, mut mark) = (Vec::new(), Vec::new());
        self.take(length, &mut data)?;
        self.take(16, &mut mark)?;
        if mark != sync {
            return Err((SkipCode::Malformed, "its mark is not the file's: a length is wrong, or bytes are".to_owned()));
        }
        Ok(Block { count, data })
    }
}

/// Bytes of a block when it is unpacked, within the limits.
fn unpacked(data: &[u8], codec: Codec, limits: &Limits) -> Result<u64, Refusal> {
    let most = MAX_BLOCK.min((1 << 20) + (data.len() as u64).saturating_mul(limits.ratio));
    let bomb = || (SkipCode::Limit, format!("limit `ratio` reached ({}): {} bytes expand beyond it", limits.ratio, data.len()));
    let drain = |input: &mut dyn Read| -> Result<u64, Refusal> {
        let got = std::io::copy(&mut input.take(most + 1), &mut std::io::sink()).map_err(|e| io_problem(&e))?;
        if got > most { Err(bomb()) } else { Ok(got) }
    };
    match codec {
        Codec::Null => Ok(data.len() as u64),
        Codec::Deflate => drain(&mut flate2::read::DeflateDecoder::new(data)),
        Codec::Zstandard => {
            let budget = Budget::new(limits.clone());
            let mut input = decoder(Container::Zstd, data, &budget).map_err(|e| (SkipCode::Malformed, e.to_string()))?;
            drain(&mut input)
        }
        Codec::Snappy => {
            // The length stands in front.
            let mut claimed = 0u64;
            for (i, byte) in data.iter().take(5).enumerate() {
                claimed |= u64::from(byte & 0x7f) << (7 * i);
                if *byte < 0x80 {
                    return if claimed > most { Err(bomb()) } else { Ok(claimed) };
                }
            }
            Err((SkipCode::Malformed, "no snappy data".to_owned()))
        }
    }
}

/// Fewest bytes that a value of a schema takes. Lists of values that take none could be of any length.
fn smallest(schema: &Value, names: &mut BTreeMap<String, u64>, depth: usize) -> Result<u64, &'static str> {
    if depth > MAX_DEPTH {
        return Err("a schema nested too deeply");
    }
    let object = match schema {
        Value::String(name) => {
            return Ok(match name.as_str() {
                "null" => 0,
                "float" => 4,
                "double" => 8,
                "boolean" | "int" | "long" | "bytes" | "string" => 1,
                name => names.get(name).copied().unwrap_or(0),
            });
        }
        Value::Array(branches) => {
            for branch in branches {
                smallest(branch, names, depth + 1)?;
            }
            return Ok(1);
        }
        Value::Object(object) => object,
        _ => return Err("a schema that is none"),
    };
    let size = match object.get("type") {
        Some(Value::String(kind)) => match kind.as_str() {
            "array" | "map" => {
                let inner = object.get(if kind == "array" { "items" } else { "values" }).ok_or("a list of nothing")?;
                // The key of a map takes a byte.
                if smallest(inner, names, depth + 1)? == 0 && kind == "array" {
                    return Err("a list of values that take no bytes");
                }
                1
            }
            "record" | "error" => {
                let mut sum = 0u64;
                for field in object.get("fields").and_then(Value::as_array).into_iter().flatten() {
                    let inner = field.get("type").ok_or("a field without type")?;
                    sum = sum.saturating_add(smallest(inner, names, depth + 1)?);
                }
                sum
            }
            "enum" => 1,
            "fixed" => object.get("size").and_then(Value::as_u64).unwrap_or(0),
            _ => smallest(&Value::String(kind.clone()), names, depth + 1)?,
        },
        Some(inner) => smallest(inner, names, depth + 1)?,
        None => return Err("a schema without type"),
    };
    if let Some(name) = object.get("name").and_then(Value::as_str) {
        let space = object.get("namespace").and_then(Value::as_str);
        if let Some(space) = space {
            names.insert(format!("{space}.{name}"), size);
        }
        names.insert(name.to_owned(), size);
    }
    Ok(size)
}

/// A number as Avro writes it.
fn long(number: u64, out: &mut Vec<u8>) {
    let mut rest = number << 1;
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push((rest & 0x7f) as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_of_nothing_are_refused() {
        let size = |schema: Value| smallest(&schema, &mut BTreeMap::new(), 0);
        let empty = json!({"type": "record", "name": "e", "fields": []});
        assert!(size(json!({"type": "array", "items": "null"})).is_err());
        assert!(size(json!({"type": "array", "items": empty})).is_err());
        let named = json!({"type": "record", "name": "r", "fields": [{"name": "a", "type": empty},
            {"name": "b", "type": {"type": "array", "items": "e"}}]});
        assert!(size(named).is_err());
        let sound = json!({"type": "record", "name": "r", "fields": [{"name": "a", "type": ["null", "double"]},
            {"name": "b", "type": {"type": "array", "items": "string"}}]});
        assert_eq!(size(sound), Ok(2));
        let mut deep = json!("int");
        for _ in 0..100 {
            deep = json!({"type": "array", "items": deep});
        }
        assert!(size(deep).is_err());
    }

    #[test]
    fn numbers_are_written_as_they_are_read() {
        let mut bytes = Vec::new();
        long(300, &mut bytes);
        assert_eq!(bytes, [0xd8, 0x04]);
    }

    #[test]
    fn a_bomb_in_a_block_is_not_unpacked() {
        use std::io::Write as _;
        let mut packed = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        packed.write_all(&vec![0; 8 << 20]).unwrap();
        let packed = packed.finish().unwrap();
        let limits = Limits { ratio: 100, ..Limits::default() };
        assert_eq!(unpacked(&packed, Codec::Deflate, &limits).unwrap_err().0, SkipCode::Limit);
        assert_eq!(unpacked(&[0xff, 0xff, 0xff, 0xff, 0x0f], Codec::Snappy, &limits).unwrap_err().0, SkipCode::Limit);
    }
}
