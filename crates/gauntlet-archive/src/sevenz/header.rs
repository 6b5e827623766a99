//! What a 7z header asks for, read before the library acts on it (7zFormat.txt of the LZMA SDK).

use std::io;

use gauntlet_limits::{Limit, LimitHit, Limits, ReadAt};
use sevenz_rust2::Block;

use crate::decode::LZMA_MEMORY_KIB;
use crate::{ArchiveError, Container};

/// Decoded headers above this are refused: the library allocates about a hundred bytes for each of their bytes.
const HEADER_BYTES: u64 = 1 << 20;
const SIGNATURE_LEN: u64 = 32;
const MEMORY: u64 = (LZMA_MEMORY_KIB as u64) << 10;

const END: u8 = 0x00;
const HEADER: u8 = 0x01;
const PACK_INFO: u8 = 0x06;
const UNPACK_INFO: u8 = 0x07;
const SIZE: u8 = 0x09;
const CRC: u8 = 0x0a;
const FOLDER: u8 = 0x0b;
const UNPACK_SIZE: u8 = 0x0c;
const ENCODED_HEADER: u8 = 0x17;

const LZMA: &[u8] = &[3, 1, 1];
const LZMA2: &[u8] = &[0x21];
const PPMD: &[u8] = &[3, 4, 1];
const AES: &[u8] = &[6, 0xf1, 7, 1];

/// Refuses headers whose size, dictionaries or place the library should not see; gives the end of the archive.
pub(super) fn check(source: &dyn ReadAt, limits: &Limits) -> Result<u64, ArchiveError> {
    let mut start = [0; SIGNATURE_LEN as usize];
    source.read_exact_at(0, &mut start)?;
    if !start.starts_with(b"7z\xbc\xaf\x27\x1c") {
        return Err(ArchiveError::Not(Container::SevenZip));
    }
    let number = |at: usize| start[at..at + 8].iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    let (offset, size) = (number(12), number(20));
    if start[8..].iter().all(|byte| *byte == 0) {
        return Err(malformed("7z start header is empty", 8));
    }
    if size == 0 {
        // An archive of nothing.
        return Ok(SIGNATURE_LEN);
    }
    let at =
        offset.checked_add(SIGNATURE_LEN).filter(|at| at.checked_add(size).is_some_and(|end| end <= source.size()));
    let Some(at) = at else { return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()) };
    allowed(size, limits)?;
    let header = source.read_block(at, size, limits)?;
    let end = at.saturating_add(size);
    match header.first() {
        Some(&ENCODED_HEADER) => {
            encoded(header.get(1..).unwrap_or_default(), limits).map(|()| end).map_err(|e| match e {
                Refused::Broken => malformed("7z encoded header", at),
                Refused::Other(error) => error,
            })
        }
        Some(&HEADER) => Ok(end),
        _ => Err(malformed("7z header", at)),
    }
}

/// Refuses blocks of content whose decoders would take too much memory, or feed each other without an end.
pub(super) fn check_block(block: &Block) -> Result<(), ArchiveError> {
    let coders: Vec<_> = block
        .coders
        .iter()
        .enumerate()
        .map(|(i, coder)| Coder {
            id: coder.encoder_method_id(),
            properties: coder.properties(),
            unpacked: block.get_unpack_size_at_index(i),
        })
        .collect();
    check_coders(&coders, block.get_unpack_size())
}

struct Coder<'a> {
    id: &'a [u8],
    properties: &'a [u8],
    unpacked: u64,
}

/// A coder that expands what it reads, as filters and encryption do not.
fn expands(id: &[u8]) -> bool {
    const EXPANDING: [&[u8]; 8] =
        [LZMA, LZMA2, PPMD, &[4, 1, 8], &[4, 1, 9], &[4, 2, 2], &[4, 0xf7, 0x11, 1], &[4, 0xf7, 0x11, 4]];
    EXPANDING.contains(&id)
}

fn check_coders(coders: &[Coder<'_>], unpacked: u64) -> Result<(), ArchiveError> {
    if coders.iter().any(|coder| coder.id == AES) {
        return Err(ArchiveError::Encrypted);
    }
    let mut memory = 0u64;
    for coder in coders {
        memory = memory.saturating_add(dictionary(coder));
    }
    if memory > MEMORY {
        return Err(LimitHit { limit: Limit::HeaderBytes, allowed: MEMORY }.into());
    }
    // A coder that reads from another one may swallow any number of bytes and give none. Only LZMA ends at its stated
    // size, and BCJ2 has up to three of them side by side.
    let expanding = || coders.iter().filter(|coder| expands(coder.id));
    if expanding().count() > 1 {
        let between = expanding().fold(0u64, |sum, coder| sum.saturating_add(coder.unpacked));
        if expanding().any(|coder| coder.id != LZMA) || between > unpacked.saturating_mul(2).saturating_add(1 << 20) {
            return Err(malformed("7z block of compressors that feed each other", 0));
        }
    }
    Ok(())
}

/// Bytes that a coder keeps: never more than comes out of it.
fn dictionary(coder: &Coder<'_>) -> u64 {
    let word = |at: usize| coder.properties.get(at..at + 4).and_then(|raw| raw.first_chunk::<4>().copied());
    let stated = match coder.id {
        LZMA => word(1).map_or(0, |raw| u64::from(u32::from_le_bytes(raw))),
        LZMA2 => match coder.properties.first() {
            Some(&bits) if bits < 40 => u64::from(2 | (bits & 1)) << (bits / 2 + 11),
            Some(_) => u64::from(u32::MAX),
            None => 0,
        },
        // The model of PPMd is allocated whole.
        PPMD => return word(1).map_or(0, |raw| u64::from(u32::from_le_bytes(raw))),
        _ => 0,
    };
    stated.min(coder.unpacked)
}

enum Refused {
    /// The bytes are no header.
    Broken,
    Other(ArchiveError),
}

/// Streams information of a header that is itself packed: one block, whose coders are checked.
fn encoded(mut bytes: &[u8], limits: &Limits) -> Result<(), Refused> {
    let bytes = &mut bytes;
    let mut id = byte(bytes)?;
    if id == PACK_INFO {
        let (_position, streams) = (number(bytes)?, number(bytes)?);
        id = byte(bytes)?;
        if id == SIZE {
            for _ in 0..streams {
                number(bytes)?;
            }
            id = byte(bytes)?;
        }
        if id == CRC {
            let defined = if byte(bytes)? == 0 { bits(bytes, streams)? } else { streams };
            take(bytes, defined.checked_mul(4).ok_or(Refused::Broken)?)?;
            id = byte(bytes)?;
        }
        if id != END {
            return Err(Refused::Broken);
        }
        id = byte(bytes)?;
    }
    if id != UNPACK_INFO || byte(bytes)? != FOLDER {
        return Err(Refused::Broken);
    }
    // One block is all that writers make, and all that readers look at.
    if number(bytes)? != 1 || byte(bytes)? != 0 {
        return Err(Refused::Broken);
    }
    let count = number(bytes)?;
    if count == 0 || count > 8 {
        return Err(Refused::Broken);
    }
    let mut coders = Vec::new();
    for _ in 0..count {
        let flags = byte(bytes)?;
        let id = take(bytes, u64::from(flags & 0x0f))?;
        // Coders of several streams do not occur in headers.
        if flags & 0x90 != 0 {
            return Err(Refused::Broken);
        }
        let properties = if flags & 0x20 != 0 {
            let len = number(bytes)?;
            take(bytes, len)?
        } else {
            &[]
        };
        coders.push(Coder { id, properties, unpacked: 0 });
    }
    for _ in 1..count {
        let _pair = (number(bytes)?, number(bytes)?);
    }
    if byte(bytes)? != UNPACK_SIZE {
        return Err(Refused::Broken);
    }
    for coder in &mut coders {
        coder.unpacked = number(bytes)?;
        allowed(coder.unpacked, limits).map_err(Refused::Other)?;
    }
    let unpacked = coders.iter().map(|coder| coder.unpacked).max().unwrap_or(0);
    check_coders(&coders, unpacked).map_err(Refused::Other)
}

fn allowed(size: u64, limits: &Limits) -> Result<(), ArchiveError> {
    let allowed = limits.header_bytes.min(HEADER_BYTES);
    if size > allowed { Err(LimitHit { limit: Limit::HeaderBytes, allowed }.into()) } else { Ok(()) }
}

fn byte(bytes: &mut &[u8]) -> Result<u8, Refused> {
    take(bytes, 1)?.first().copied().ok_or(Refused::Broken)
}

fn take<'a>(bytes: &mut &'a [u8], n: u64) -> Result<&'a [u8], Refused> {
    let n = usize::try_from(n).map_err(|_| Refused::Broken)?;
    let (taken, rest) = bytes.split_at_checked(n).ok_or(Refused::Broken)?;
    *bytes = rest;
    Ok(taken)
}

/// How many of `n` bits, most significant first, are set.
fn bits(bytes: &mut &[u8], n: u64) -> Result<u64, Refused> {
    let raw = take(bytes, n.div_ceil(8))?;
    Ok(raw.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>().min(n))
}

/// The leading ones of the first byte say how many bytes follow; its other bits are the highest.
fn number(bytes: &mut &[u8]) -> Result<u64, Refused> {
    let first = byte(bytes)?;
    let following = u64::from(first.leading_ones());
    let low = take(bytes, following)?.iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    if following >= 7 {
        return Ok(low);
    }
    let high = u64::from(first) & ((1 << (7 - following)) - 1);
    Ok(low | high << (8 * following))
}

fn malformed(what: &'static str, offset: u64) -> ArchiveError {
    ArchiveError::Malformed { what, offset }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_the_format_says() {
        let of = |mut bytes: &[u8]| number(&mut bytes).ok();
        assert_eq!(of(&[0x7f]), Some(0x7f));
        assert_eq!(of(&[0x81, 0x02]), Some(0x102));
        assert_eq!(of(&[0xc1, 0x02, 0x03]), Some(0x1_0302));
        assert_eq!(of(&[0xff, 1, 2, 3, 4, 5, 6, 7, 8]), Some(0x0807_0605_0403_0201));
        assert_eq!(of(&[0xc1, 0x02]), None);
    }

    #[test]
    fn memory_and_chains_are_refused() {
        let coder = |id, properties, unpacked| Coder { id, properties, unpacked };
        let limit = |coders: &[Coder<'_>]| matches!(check_coders(coders, 1 << 20), Err(ArchiveError::Limit(_)));
        assert!(limit(&[coder(LZMA, &[0x5d, 0, 0, 0, 0x40], 1 << 40)]));
        assert!(limit(&[coder(LZMA2, &[40], 1 << 40)]));
        assert!(limit(&[coder(PPMD, &[6, 0, 0, 0, 0x40], 1)]));
        // A large dictionary that can never fill is what writers of small archives state.
        assert!(!limit(&[coder(LZMA2, &[40], 1000)]));
        let chain = [coder(LZMA2, &[20], 1 << 40), coder(&[4, 1, 8], &[], 1)];
        assert!(matches!(check_coders(&chain, 1), Err(ArchiveError::Malformed { .. })));
        assert!(matches!(check_coders(&[coder(AES, &[], 1)], 1), Err(ArchiveError::Encrypted)));
    }
}
