//! The three kinds of zip header (APPNOTE 4.3), each parsed on its own and believed by nobody.

use std::io;

use gauntlet_limits::ReadAt;
use serde::{Deserialize, Serialize};

pub(super) const LOCAL: &[u8; 4] = b"PK\x03\x04";
pub(super) const CENTRAL: &[u8; 4] = b"PK\x01\x02";
pub(super) const END: &[u8; 4] = b"PK\x05\x06";
const END64: &[u8; 4] = b"PK\x06\x06";
const LOCATOR64: &[u8; 4] = b"PK\x06\x07";
const DESCRIPTOR: &[u8; 4] = b"PK\x07\x08";

pub(super) const END_LEN: u64 = 22;
pub(super) const LOCAL_LEN: u64 = 30;
/// Names above this are cut: a loader that opens files by such names does not exist.
const NAME_BYTES: usize = 4096;

/// Fields with sizes, times, owners and signatures (APPNOTE 4.5.2 and 4.6.1), and how long they get.
const KNOWN_FIELDS: [(u16, usize); 9] = [
    (0x0001, 28),
    (0x000a, 32),
    (0x000d, 12),
    (0x5455, 13),
    (0x5855, 12),
    (0x7855, 4),
    (0x7875, 15),
    (0x9901, 7),
    (0x756e, 14),
];
const UNICODE_PATH: u16 = 0x7075;
/// Bytes that are too few for anything to hide in.
const SHORTEST: usize = 8;
/// Fields of one header that are told.
const UNKNOWN_FIELDS: usize = 16;

/// What one header, central or local, says about a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Name, cut at 4096 bytes.
    pub name: Vec<u8>,
    /// General purpose flags.
    pub flags: u16,
    /// Compression method.
    pub method: u16,
    /// CRC-32 of the content.
    pub crc: u32,
    /// Compressed bytes.
    pub compressed: u64,
    /// Uncompressed bytes.
    pub size: u64,
}

/// A central header, and where it sends the reader.
#[derive(Clone, Debug)]
pub(super) struct Central {
    pub header: Header,
    pub offset: u64,
    pub unicode_name: Option<Vec<u8>>,
    /// Type bits of the Unix mode: a link, a device.
    pub mode: u32,
    /// An extra field that readers act on and that occurs twice with different content.
    pub repeated: Option<u16>,
    /// Where the member's comment lies, and extra fields that no reader knows.
    pub strays: Vec<(u64, u64)>,
    /// Length of this record in the directory.
    pub len: u64,
}

/// A local header, and where its content lies.
#[derive(Clone, Debug)]
pub(super) struct Local {
    pub header: Header,
    pub data: u64,
    /// Where extra fields lie that no reader knows.
    pub strays: Vec<(u64, u64)>,
}

impl Local {
    /// Sizes and CRC follow the content (flag bit 3) and are absent here.
    pub(super) fn is_deferred(&self) -> bool {
        self.header.flags & 8 != 0 && self.header.compressed == 0
    }
}

/// An end of central directory record, zip64 values applied.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub offset: u64,
    /// First byte of the end structures, zip64 ones included.
    pub start: u64,
    /// End of the record including its comment, cut at the end of the file.
    pub end: u64,
    pub reaches_eof: bool,
    pub entries: u64,
    pub directory_size: u64,
    pub directory_offset: u64,
    pub zip64_disagrees: bool,
    pub other_disk: bool,
}

pub(super) fn central(source: &dyn ReadAt, at: u64) -> io::Result<Option<Central>> {
    let mut raw = [0; 46];
    if !read_whole(source, at, &mut raw)? || !raw.starts_with(CENTRAL) {
        return Ok(None);
    }
    let (name_len, extra_len, comment_len) = (u16_at(&raw, 28), u16_at(&raw, 30), u16_at(&raw, 32));
    let len = 46 + u64::from(name_len) + u64::from(extra_len) + u64::from(comment_len);
    if at + len > source.size() {
        return Ok(None);
    }
    let name = bytes(source, at + 46, usize::from(name_len).min(NAME_BYTES))?;
    let extra = bytes(source, at + 46 + u64::from(name_len), usize::from(extra_len))?;
    let (stated_size, stated_compressed, stated_offset) = (u32_at(&raw, 24), u32_at(&raw, 20), u32_at(&raw, 42));
    let (mut size, mut compressed, mut offset) =
        (u64::from(stated_size), u64::from(stated_compressed), u64::from(stated_offset));
    let mut wide = extra_field(&extra, 1).unwrap_or_default();
    for (stated, value) in
        [(stated_size, &mut size), (stated_compressed, &mut compressed), (stated_offset, &mut offset)]
    {
        if stated == u32::MAX
            && let Some((first, rest)) = wide.split_first_chunk::<8>()
        {
            *value = u64::from_le_bytes(*first);
            wide = rest;
        }
    }
    // Unix mode in the upper half of the external attributes (APPNOTE 4.4.2). Unpackers differ in which writing
    // systems they believe it of, so it counts whoever claims to have written it.
    let mode = (u32_at(&raw, 38) >> 16) & 0o170_000;
    let mut strays = unknown_fields(&extra, at + 46 + u64::from(name_len));
    strays.push((at + len - u64::from(comment_len), at + len));
    let repeated = [1, 0x7075].into_iter().find(|id| is_repeated(&extra, *id));
    let header =
        Header { name, flags: u16_at(&raw, 8), method: u16_at(&raw, 10), crc: u32_at(&raw, 16), compressed, size };
    Ok(Some(Central { header, offset, unicode_name: unicode_name(&extra), mode, repeated, strays, len }))
}

pub(super) fn local(source: &dyn ReadAt, at: u64) -> io::Result<Option<Local>> {
    let mut raw = [0; 30];
    if !read_whole(source, at, &mut raw)? || !raw.starts_with(LOCAL) {
        return Ok(None);
    }
    let (name_len, extra_len) = (u16_at(&raw, 26), u16_at(&raw, 28));
    let data = at + LOCAL_LEN + u64::from(name_len) + u64::from(extra_len);
    if data > source.size() {
        return Ok(None);
    }
    let mut name = bytes(source, at + LOCAL_LEN, usize::from(name_len) + usize::from(extra_len))?;
    let extra = name.split_off(usize::from(name_len));
    name.truncate(NAME_BYTES);
    let strays = unknown_fields(&extra, at + LOCAL_LEN + u64::from(name_len));
    let (mut compressed, mut size) = (u64::from(u32_at(&raw, 18)), u64::from(u32_at(&raw, 22)));
    if compressed == u64::from(u32::MAX) || size == u64::from(u32::MAX) {
        let wide = extra_field(&extra, 1).unwrap_or_default();
        let mut wide = wide;
        for value in [&mut size, &mut compressed] {
            if *value == u64::from(u32::MAX)
                && let Some((first, rest)) = wide.split_first_chunk::<8>()
            {
                *value = u64::from_le_bytes(*first);
                wide = rest;
            }
        }
    }
    let header =
        Header { name, flags: u16_at(&raw, 6), method: u16_at(&raw, 8), crc: u32_at(&raw, 14), compressed, size };
    Ok(Some(Local { header, data, strays }))
}

/// Length of the data descriptor at `at` when it states exactly these values (APPNOTE 4.3.9: with or without a
/// signature, 32 or 64 bits wide).
pub(super) fn descriptor(
    source: &dyn ReadAt,
    at: u64,
    crc: u32,
    compressed: u64,
    size: u64,
) -> io::Result<Option<u64>> {
    let mut raw = [0; 24];
    let mut filled = 0;
    while filled < raw.len() {
        match source.read_at(at + filled as u64, &mut raw[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    let skip = if raw.starts_with(DESCRIPTOR) { 4 } else { 0 };
    for (skip, wide) in [(skip, true), (skip, false), (0, true), (0, false)] {
        let len = skip + if wide { 20 } else { 12 };
        if filled < len {
            continue;
        }
        let body = &raw[skip..len];
        let (a, b) = if wide {
            (u64_at(body, 4), u64_at(body, 12))
        } else {
            (u64::from(u32_at(body, 4)), u64::from(u32_at(body, 8)))
        };
        if u32_at(body, 0) == crc && a == compressed && b == size {
            return Ok(Some(len as u64));
        }
    }
    Ok(None)
}

/// The record at `at`, whose signature was seen there; two when the zip64 record that is stated and the one that stands
/// right before its locator are not the same.
pub(super) fn end(source: &dyn ReadAt, at: u64) -> io::Result<Vec<End>> {
    let mut raw = [0; 22];
    if !read_whole(source, at, &mut raw)? || !raw.starts_with(END) {
        return Ok(Vec::new());
    }
    let comment_end = at + END_LEN + u64::from(u16_at(&raw, 20));
    let record = End {
        offset: at,
        start: at,
        end: comment_end.min(source.size()),
        reaches_eof: comment_end == source.size(),
        entries: u64::from(u16_at(&raw, 10)),
        directory_size: u64::from(u32_at(&raw, 12)),
        directory_offset: u64::from(u32_at(&raw, 16)),
        zip64_disagrees: false,
        other_disk: u16_at(&raw, 4) != u16_at(&raw, 6) || u16_at(&raw, 8) != u16_at(&raw, 10),
    };
    wide_records(source, record)
}

fn wide_records(source: &dyn ReadAt, plain: End) -> io::Result<Vec<End>> {
    let mut locator = [0; 20];
    let Some(locator_at) = plain.offset.checked_sub(20) else { return Ok(vec![plain]) };
    if !read_whole(source, locator_at, &mut locator)? || !locator.starts_with(LOCATOR64) {
        return Ok(vec![plain]);
    }
    let mut records: Vec<End> = Vec::new();
    let mut wide = [0; 56];
    // Behind prepended bytes the stated offset is off; the record then still stands right before its locator. Some
    // readers go by the offset, others by the place.
    for at in [u64_at(&locator, 8), locator_at.wrapping_sub(56)] {
        if at < locator_at && read_whole(source, at, &mut wide)? && wide.starts_with(END64) {
            let (entries, size, offset) = (u64_at(&wide, 32), u64_at(&wide, 40), u64_at(&wide, 48));
            let disagrees = differs(plain.entries, u64::from(u16::MAX), entries)
                || differs(plain.directory_size, u64::from(u32::MAX), size)
                || differs(plain.directory_offset, u64::from(u32::MAX), offset);
            if records.iter().all(|known| known.start != at) {
                records.push(End {
                    start: at,
                    entries,
                    directory_size: size,
                    directory_offset: offset,
                    zip64_disagrees: disagrees,
                    other_disk: false,
                    ..plain.clone()
                });
            }
        }
    }
    if records.is_empty() {
        records.push(End { zip64_disagrees: true, ..plain });
    }
    Ok(records)
}

fn differs(narrow: u64, saturated: u64, wide: u64) -> bool {
    narrow != saturated && narrow != wide
}

/// Info-ZIP Unicode Path (0x7075): version, CRC of the other name, name.
fn unicode_name(extra: &[u8]) -> Option<Vec<u8>> {
    extra_field(extra, UNICODE_PATH)
        .and_then(|body| body.get(5..))
        .map(|name| name[..name.len().min(NAME_BYTES)].to_vec())
}

/// Fields that hold more than times, owners, sizes, names and padding: their content, `at` being where the fields begin.
fn unknown_fields(extra: &[u8], at: u64) -> Vec<(u64, u64)> {
    let mut out = Vec::new();
    let mut rest = extra;
    while rest.len() >= SHORTEST {
        let from = at + (extra.len() - rest.len()) as u64;
        let Some((head, behind)) = rest.split_first_chunk::<4>() else { break };
        let len = usize::from(u16::from_le_bytes([head[2], head[3]]));
        // What is no field is none of a length either.
        let Some((body, behind)) = behind.split_at_checked(len) else {
            out.extend(is_content(rest).then(|| (from, from + rest.len() as u64)));
            break;
        };
        let id = u16::from_le_bytes([head[0], head[1]]);
        let known = KNOWN_FIELDS.iter().any(|(known, most)| *known == id && body.len() <= *most)
            || (id == UNICODE_PATH && body.get(5..).is_some_and(|name| !name.iter().any(u8::is_ascii_control)));
        if !known && body.len() >= SHORTEST && is_content(body) && out.len() < UNKNOWN_FIELDS {
            out.push((from + 4, from + 4 + len as u64));
        }
        rest = behind;
    }
    out
}

/// Padding, such as PyTorch's, repeats one byte.
fn is_content(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair[0] != pair[1])
}

/// Two fields of one kind with different content: readers differ in which they take.
fn is_repeated(mut extra: &[u8], wanted: u16) -> bool {
    let mut first = None;
    while let Some((head, rest)) = extra.split_first_chunk::<4>() {
        let len = usize::from(u16::from_le_bytes([head[2], head[3]])).min(rest.len());
        let (body, behind) = rest.split_at(len);
        if u16::from_le_bytes([head[0], head[1]]) == wanted && *first.get_or_insert(body) != body {
            return true;
        }
        extra = behind;
    }
    false
}

fn extra_field(mut extra: &[u8], wanted: u16) -> Option<&[u8]> {
    while let Some((head, rest)) = extra.split_first_chunk::<4>() {
        let len = usize::from(u16::from_le_bytes([head[2], head[3]])).min(rest.len());
        if u16::from_le_bytes([head[0], head[1]]) == wanted {
            return Some(&rest[..len]);
        }
        extra = &rest[len..];
    }
    None
}

/// False when the source ends before `buf` is full.
fn read_whole(source: &dyn ReadAt, at: u64, buf: &mut [u8]) -> io::Result<bool> {
    match source.read_exact_at(at, buf) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

fn bytes(source: &dyn ReadAt, at: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut out = vec![0; len];
    source.read_exact_at(at, &mut out)?;
    Ok(out)
}

fn u16_at(raw: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([raw[at], raw[at + 1]])
}

fn u32_at(raw: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]])
}

fn u64_at(raw: &[u8], at: usize) -> u64 {
    u64::from(u32_at(raw, at)) | u64::from(u32_at(raw, at + 4)) << 32
}
