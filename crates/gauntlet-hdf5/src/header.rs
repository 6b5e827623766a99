//! Object headers, versions 1 and 2, with their continuation blocks (specification v3, section IV.A).

use std::collections::HashSet;

use crate::bytes::Bytes;
use crate::error::{ProblemKind, Stop};
use crate::medium::Medium;

/// Message types.
pub(crate) mod kind {
    pub(crate) const DATASPACE: u16 = 0x01;
    pub(crate) const LINK_INFO: u16 = 0x02;
    pub(crate) const DATATYPE: u16 = 0x03;
    pub(crate) const LINK: u16 = 0x06;
    pub(crate) const EXTERNAL: u16 = 0x07;
    pub(crate) const LAYOUT: u16 = 0x08;
    pub(crate) const FILTERS: u16 = 0x0b;
    pub(crate) const ATTRIBUTE: u16 = 0x0c;
    pub(crate) const SHARED_TABLE: u16 = 0x0f;
    pub(crate) const CONTINUATION: u16 = 0x10;
    pub(crate) const SYMBOL_TABLE: u16 = 0x11;
    pub(crate) const DRIVER: u16 = 0x14;
    pub(crate) const ATTRIBUTE_INFO: u16 = 0x15;
    pub(crate) const FILE_SPACE: u16 = 0x17;
    /// NIL, fill values, bogus, group info, comment, times, B-tree K values, reference count.
    pub(crate) const SILENT: [u16; 10] = [0x00, 0x04, 0x05, 0x09, 0x0a, 0x0d, 0x0e, 0x12, 0x13, 0x16];
}

/// One header message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub kind: u16,
    /// The data say where the message really is.
    pub shared: bool,
    pub data: Vec<u8>,
    /// Address of the data.
    pub address: u64,
}

/// Version 2 has per-header choices that change the shape of its messages.
#[derive(Clone, Copy)]
struct Shape {
    second: bool,
    ordered: bool,
}

/// The messages of the header at `address`, as far as they can be read.
pub(crate) fn read(medium: &mut Medium<'_>, address: u64) -> Result<Vec<Message>, Stop> {
    let left = medium.source.size().saturating_sub(medium.absolute(address).unwrap_or(u64::MAX));
    let prefix = medium.peek(address, left.min(64), "an object header")?;
    let mut messages = Vec::new();
    let mut open = Vec::new();
    let shape;
    if prefix.starts_with(b"OHDR") {
        let mut bytes = Bytes::new(&prefix, "an object header");
        bytes.skip(4)?;
        bytes.version(2..=2)?;
        let flags = bytes.u8()?;
        bytes.skip(if flags & 0x20 != 0 { 16 } else { 0 })?;
        bytes.skip(if flags & 0x10 != 0 { 4 } else { 0 })?;
        let size = bytes.uint(1 << (flags & 3))?;
        shape = Shape { second: true, ordered: flags & 4 != 0 };
        let start = bytes.position() as u64;
        let whole = size.checked_add(start + 4).ok_or_else(|| Stop::malformed("an object header has a huge size"))?;
        let block = medium.checked(address, whole, "an object header")?;
        let chunk = block.get(start as usize..block.len().saturating_sub(4)).unwrap_or(&[]);
        let parsed = chunk_messages(medium, chunk, address + start, shape, &mut messages, &mut open);
        medium.note(Some(address), parsed)?;
    } else {
        let mut bytes = Bytes::new(&prefix, "an object header");
        bytes.version(1..=1)?;
        bytes.skip(1 + 2 + 4)?;
        let size = u64::from(bytes.u32()?);
        shape = Shape { second: false, ordered: false };
        let block = medium.block(address, 16 + size, "an object header")?;
        let chunk = block.get(16..).unwrap_or(&[]);
        let parsed = chunk_messages(medium, chunk, address + 16, shape, &mut messages, &mut open);
        medium.note(Some(address), parsed)?;
    }
    continuations(medium, shape, &mut messages, open)?;
    Ok(messages)
}

fn continuations(
    medium: &mut Medium<'_>,
    shape: Shape,
    messages: &mut Vec<Message>,
    mut open: Vec<(u64, u64)>,
) -> Result<(), Stop> {
    let mut seen = HashSet::new();
    let mut total = 0_u64;
    while let Some((address, len)) = open.pop() {
        total = total.saturating_add(len);
        if !seen.insert(address) || total > medium.budget.limits().header_bytes {
            medium.problem(ProblemKind::Malformed, Some(address), "the blocks of an object header repeat");
            continue;
        }
        let done = continuation(medium, address, len, shape, messages, &mut open);
        medium.note(Some(address), done)?;
    }
    Ok(())
}

fn continuation(
    medium: &mut Medium<'_>,
    address: u64,
    len: u64,
    shape: Shape,
    messages: &mut Vec<Message>,
    open: &mut Vec<(u64, u64)>,
) -> Result<(), Stop> {
    const WHAT: &str = "a continuation block";
    if !shape.second {
        let block = medium.block(address, len, WHAT)?;
        return chunk_messages(medium, &block, address, shape, messages, open);
    }
    let block = medium.checked(address, len, WHAT)?;
    if !block.starts_with(b"OCHK") || block.len() < 8 {
        return Err(Stop::malformed("a continuation block does not begin with `OCHK`"));
    }
    let chunk = block.get(4..block.len() - 4).unwrap_or(&[]);
    chunk_messages(medium, chunk, address.saturating_add(4), shape, messages, open)
}

fn chunk_messages(
    medium: &mut Medium<'_>,
    chunk: &[u8],
    address: u64,
    shape: Shape,
    messages: &mut Vec<Message>,
    open: &mut Vec<(u64, u64)>,
) -> Result<(), Stop> {
    let mut bytes = Bytes::new(chunk, "an object header");
    let prefix = if shape.second { 4 + if shape.ordered { 2 } else { 0 } } else { 8 };
    while bytes.left() >= prefix {
        medium.budget.steps(1)?;
        let (kind, size, flags);
        if shape.second {
            kind = u16::from(bytes.u8()?);
            size = bytes.u16()?;
            flags = bytes.u8()?;
            bytes.skip(prefix - 4)?;
        } else {
            kind = bytes.u16()?;
            size = bytes.u16()?;
            flags = bytes.u8()?;
            bytes.skip(3)?;
        }
        let at = address.saturating_add(bytes.position() as u64);
        let data = bytes.take(usize::from(size))?;
        if kind == kind::CONTINUATION {
            let mut bytes = Bytes::new(data, "a continuation message");
            let next = medium.defined(&mut bytes, "a continuation block")?;
            open.push((next, medium.length(&mut bytes)?));
        } else if kind != 0 {
            messages.push(Message { kind, shared: flags & 2 != 0, data: data.to_vec(), address: at });
        }
    }
    Ok(())
}

/// The message itself, wherever it is: datatypes are often kept in an object of their own.
pub(crate) fn resolve(medium: &mut Medium<'_>, message: &Message) -> Result<Message, Stop> {
    if !message.shared {
        return Ok(message.clone());
    }
    shared(medium, &message.data, message.kind)
}

/// The message of `kind` that a shared message points to.
pub(crate) fn shared(medium: &mut Medium<'_>, data: &[u8], kind: u16) -> Result<Message, Stop> {
    let mut bytes = Bytes::new(data, "a shared message");
    let version = bytes.version(1..=3)?;
    let place = bytes.u8()?;
    if version == 1 {
        bytes.skip(6)?;
    }
    if version == 3 && place != 2 {
        return Err(Stop::unsupported("a message in the heap of shared messages"));
    }
    let address = medium.defined(&mut bytes, "a shared message")?;
    let there = read(medium, address)?;
    match there.into_iter().find(|message| message.kind == kind) {
        Some(message) if !message.shared => Ok(message),
        Some(_) => Err(Stop::malformed("a shared message points to a shared message")),
        None => Err(Stop::malformed("a shared message points to an object without it")),
    }
}
