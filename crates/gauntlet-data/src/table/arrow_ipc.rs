//! Arrow IPC, file and stream. Both are read as the sequence of messages that they are, so that a length is believed only
//! when the file has as many bytes; for files the footer has to name the same messages.

use std::sync::Arc;

use arrow::buffer::Buffer;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::reader::FileDecoder;
use arrow::ipc::{Block, CompressionType, MessageHeader, MetadataVersion};
use gauntlet_archive::{Container, decoder};
use gauntlet_core::{Limit, Limits, SkipCode};
use gauntlet_limits::{Budget, ReadAt};

use super::format::{self, Entry, Opened, Reader, Stop, Wanted};
use super::provider::Sink;
use super::source::{Refusal, Source, io_problem};
use crate::facts::Format;

pub(super) const FORMAT: Entry =
    Entry { format: Format::Arrow, extensions: &["arrow", "feather", "ipc", "arrows"], open };

const MAGIC: &[u8; 6] = b"ARROW1";
/// Largest body of one message. Writers put some 64 thousand rows in one.
const MAX_BODY: u64 = 1 << 30;
/// Most messages of one file.
const MAX_MESSAGES: usize = 1 << 20;

#[derive(Debug)]
struct IpcFile {
    source: Source,
    schema: SchemaRef,
    version: MetadataVersion,
    messages: Vec<Message>,
}

/// Where one message lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Message {
    offset: u64,
    /// Bytes of prefix and metadata.
    head: u64,
    body: u64,
    dictionary: bool,
}

fn open(source: &Source) -> Result<Opened, Refusal> {
    let handle = source.open()?;
    let bytes = handle.bytes().as_ref();
    let mut magic = [0; 6];
    let is_file = bytes.size() >= 8 && bytes.read_exact_at(0, &mut magic).is_ok() && &magic == MAGIC;
    let (mut at, end) = if is_file {
        let end = footer_at(bytes, &source.limits)?;
        (behind_padding(bytes, end)?, end)
    } else {
        (0, bytes.size())
    };
    let mut schema: Option<(Schema, MetadataVersion)> = None;
    let mut messages = Vec::new();
    while let Some((head, metadata)) = metadata(bytes, at, end, &source.limits)? {
        let malformed = |what: &str| (SkipCode::Malformed, format!("message at offset {at}: {what}"));
        let message = arrow::ipc::root_as_message(&metadata).map_err(|error| malformed(&error.to_string()))?;
        let body = u64::try_from(message.bodyLength()).map_err(|_| malformed("claims a negative length"))?;
        let next = at.checked_add(head).and_then(|n| n.checked_add(body));
        let Some(next) = next.filter(|next| *next <= end) else {
            let what = format!(
                "message at offset {at}: {body} bytes are announced, {} are there",
                end.saturating_sub(at + head)
            );
            return Err((SkipCode::Truncated, what));
        };
        if body > MAX_BODY {
            let what = format!("message at offset {at}: {body} bytes; at most {MAX_BODY} are read at once");
            return Err((SkipCode::Limit, what));
        }
        match message.header_type() {
            MessageHeader::Schema if schema.is_none() => {
                let header = message.header_as_schema().ok_or_else(|| malformed("no schema"))?;
                let read = arrow::ipc::convert::fb_to_schema(header);
                schema = Some((read, message.version()));
            }
            kind @ (MessageHeader::RecordBatch | MessageHeader::DictionaryBatch) if schema.is_some() => {
                let dictionary = kind == MessageHeader::DictionaryBatch;
                messages.push(Message { offset: at, head, body, dictionary });
            }
            _ => return Err(malformed("does not belong here")),
        }
        if messages.len() > MAX_MESSAGES {
            return Err((SkipCode::Limit, format!("more than {MAX_MESSAGES} messages")));
        }
        at = next;
    }
    let Some((schema, version)) = schema else {
        return Err((SkipCode::Malformed, "does not begin as Arrow IPC does".to_owned()));
    };
    if is_file {
        footer_agrees(bytes, end, &messages)?;
    } else if at + end_mark(bytes, at, end)? != end {
        return Err((SkipCode::Malformed, format!("bytes follow behind the end of the stream at offset {at}")));
    }
    let columns = format::columns(&schema)?;
    let reader = Arc::new(IpcFile { source: source.clone(), schema: Arc::new(schema), version, messages });
    Ok(Opened { reader, columns, open_ended: false })
}

impl Reader for IpcFile {
    fn read(&self, _: usize, wanted: &[Wanted<'_>], sink: &Sink<'_>) -> Result<(), Stop> {
        let handle = self.source.open()?;
        let mut decoder = FileDecoder::new(Arc::clone(&self.schema), self.version);
        let (mut row, mut number) = (0, 0u64);
        for message in &self.messages {
            let malformed =
                |what: &dyn std::fmt::Display| (SkipCode::Malformed, format!("record batch {number}: {what}"));
            let length = usize::try_from(message.head + message.body).map_err(|_| malformed(&"too large"))?;
            let mut bytes = vec![0; length];
            handle.bytes().read_exact_at(message.offset, &mut bytes).map_err(|e| io_problem(&e))?;
            compression(&bytes, message, &self.source.limits).map_err(|(code, what)| (code, malformed(&what).1))?;
            let buffer = Buffer::from_vec(bytes);
            // In a block the metadata counts with its prefix.
            let head = i32::try_from(message.head).map_err(|_| malformed(&"too large"))?;
            let block = Block::new(0, head, message.body.cast_signed());
            if message.dictionary {
                decoder.read_dictionary(&block, &buffer).map_err(|e| malformed(&e))?;
                continue;
            }
            let batch = decoder.read_record_batch(&block, &buffer).map_err(|e| malformed(&e))?;
            let batch = batch.ok_or_else(|| malformed(&"an empty message"))?;
            let count = batch.num_rows() as u64;
            if count > 0 {
                let arrays = wanted.iter().filter_map(|w| batch.columns().get(w.index).map(Arc::clone));
                sink.rows(row..row + count, arrays.collect())?;
            }
            row += count;
            number += 1;
        }
        sink.count(row);
        Ok(handle.unchanged()?)
    }
}

/// Bytes of prefix and metadata, and the metadata, of the message at `at`; `None` at the end mark or at `end`.
fn metadata(bytes: &dyn ReadAt, at: u64, end: u64, limits: &Limits) -> Result<Option<(u64, Vec<u8>)>, Refusal> {
    let truncated = || (SkipCode::Truncated, format!("ends in the message at offset {at}"));
    if at == end {
        return Ok(None);
    }
    let word = |at: u64| {
        let mut word = [0; 4];
        if at.checked_add(4).is_none_or(|last| last > end) {
            return Err(truncated());
        }
        bytes.read_exact_at(at, &mut word).map_err(|e| io_problem(&e))?;
        Ok(u32::from_le_bytes(word))
    };
    // Before version 0.15 there was no mark in front of the length.
    let (prefix, length) = match word(at)? {
        u32::MAX => (8, u64::from(word(at + 4)?)),
        length => (4, u64::from(length)),
    };
    if length == 0 {
        return Ok(None);
    }
    limits
        .check(Limit::HeaderBytes, length)
        .map_err(|hit| (SkipCode::Limit, format!("{hit}: message at offset {at}")))?;
    if at + prefix + length > end {
        return Err(truncated());
    }
    let metadata = bytes.read_block(at + prefix, length, limits).map_err(|e| io_problem(&e))?;
    Ok(Some((prefix + length, metadata)))
}

/// Where the first message begins: writers pad the magic number with zeros, to 8 or 64 bytes.
fn behind_padding(bytes: &dyn ReadAt, end: u64) -> Result<u64, Refusal> {
    let mut start = [0; 64];
    let have = usize::try_from(end).unwrap_or(64).min(64);
    bytes.read_exact_at(0, start.get_mut(..have).unwrap_or_default()).map_err(|e| io_problem(&e))?;
    let zeros = start.iter().take(have).skip(8).take_while(|byte| **byte == 0).count() as u64;
    Ok(8 + zeros / 8 * 8)
}

/// Bytes of the mark at the end of a stream, which some writers leave out.
fn end_mark(bytes: &dyn ReadAt, at: u64, end: u64) -> Result<u64, Refusal> {
    if at == end {
        return Ok(0);
    }
    let mut word = [0; 4];
    bytes.read_exact_at(at, &mut word).map_err(|e| io_problem(&e))?;
    Ok(if u32::from_le_bytes(word) == u32::MAX { 8 } else { 4 })
}

/// Where the footer of a file begins.
fn footer_at(bytes: &dyn ReadAt, limits: &Limits) -> Result<u64, Refusal> {
    let size = bytes.size();
    let mut tail = [0; 10];
    if size < 18 || bytes.read_exact_at(size - 10, &mut tail).is_err() || tail.get(4..) != Some(MAGIC.as_slice()) {
        return Err((SkipCode::Truncated, "does not end as an Arrow file does".to_owned()));
    }
    let length = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    limits.check(Limit::HeaderBytes, length).map_err(|hit| (SkipCode::Limit, format!("{hit}: the footer")))?;
    (size - 10)
        .checked_sub(length)
        .filter(|at| *at >= 8)
        .ok_or_else(|| (SkipCode::Malformed, format!("the footer claims {length} bytes of a file of {size}")))
}

/// Other programs go by the footer: what it leaves out or adds would be read by them and not by us, or the other way.
fn footer_agrees(bytes: &dyn ReadAt, at: u64, messages: &[Message]) -> Result<(), Refusal> {
    let malformed = |what: String| (SkipCode::Malformed, what);
    let mut footer = vec![0; usize::try_from(bytes.size() - 10 - at).unwrap_or(0)];
    bytes.read_exact_at(at, &mut footer).map_err(|e| io_problem(&e))?;
    let footer = arrow::ipc::root_as_footer(&footer).map_err(|e| malformed(format!("the footer: {e}")))?;
    let place = |block: &Block| (block.offset(), i64::from(block.metaDataLength()), block.bodyLength());
    let mut batches: Vec<_> = footer.recordBatches().iter().flatten().map(place).collect();
    let mut dictionaries: Vec<_> = footer.dictionaries().iter().flatten().map(place).collect();
    batches.sort_unstable();
    dictionaries.sort_unstable();
    let own = |dictionary: bool| -> Vec<(i64, i64, i64)> {
        let kind = messages.iter().filter(|m| m.dictionary == dictionary);
        kind.map(|m| (m.offset.cast_signed(), m.head.cast_signed(), m.body.cast_signed())).collect()
    };
    if batches != own(false) || dictionaries != own(true) {
        return Err(malformed("the footer names other messages than the file has".to_owned()));
    }
    Ok(())
}

/// Compressed buffers say how large they are when unpacked, and the library believes them.
fn compression(bytes: &[u8], message: &Message, limits: &Limits) -> Result<(), Refusal> {
    let malformed = |what: &str| (SkipCode::Malformed, what.to_owned());
    let head = usize::try_from(message.head).unwrap_or(usize::MAX);
    let prefix = if bytes.starts_with(&[0xff; 4]) { 8 } else { 4 };
    let parsed = bytes.get(prefix..head).map(arrow::ipc::root_as_message);
    let parsed = parsed.and_then(Result::ok).ok_or_else(|| malformed("its metadata changed"))?;
    let batch = match parsed.header_as_dictionary_batch() {
        Some(dictionary) => dictionary.data(),
        None => parsed.header_as_record_batch(),
    };
    let Some(batch) = batch else { return Err(malformed("no record batch")) };
    let body = bytes.get(head..).unwrap_or_default();
    let mut sum = 0u64;
    for buffer in batch.buffers().iter().flatten() {
        let (Ok(start), Ok(length)) = (usize::try_from(buffer.offset()), usize::try_from(buffer.length())) else {
            return Err(malformed("a buffer lies outside"));
        };
        let inside = start.checked_add(length).and_then(|end| body.get(start..end));
        let content = inside.ok_or_else(|| malformed("a buffer lies outside"))?;
        let Some(compression) = batch.compression() else { continue };
        let Some((claimed, packed)) = content.split_first_chunk::<8>() else { continue };
        let Ok(claimed) = u64::try_from(i64::from_le_bytes(*claimed)) else { continue };
        sum = sum.saturating_add(claimed);
        let most = (1 << 20) + (length as u64).saturating_mul(limits.ratio);
        if claimed > most || sum > 4 * MAX_BODY {
            let what = format!("limit `ratio` reached ({}): {length} bytes claim to expand to {claimed}", limits.ratio);
            return Err((SkipCode::Limit, what));
        }
        if compression.codec() == CompressionType::LZ4_FRAME && claimed > 0 {
            // The library unpacks the whole frame before it compares lengths.
            let budget = Budget::new(Limits { expanded_bytes: claimed, ..limits.clone() });
            let mut frame = decoder(Container::Lz4, packed, &budget).map_err(|e| malformed(&e.to_string()))?;
            std::io::copy(&mut frame, &mut std::io::sink()).map_err(|e| io_problem(&e))?;
        }
    }
    Ok(())
}
