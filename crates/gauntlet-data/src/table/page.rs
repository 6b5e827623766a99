//! The pages of a Parquet column before they are decoded: every page lies inside its column, claims no more than the
//! column does, and has the checksum that its header says. Reads just what is needed of the headers (Thrift, compact
//! protocol, as in `parquet.thrift`, `PageHeader`).

use std::ops::Range;

use gauntlet_core::SkipCode;
use gauntlet_limits::ReadAt;

use super::source::{Refusal, io_problem};

/// First guess at the length of a header.
const HEADER: u64 = 1 << 10;
/// Headers hold the smallest and largest value of their page, which may be long texts.
const MAX_HEADER: u64 = 16 << 20;
const MAX_DEPTH: u32 = 16;
const BLOCK: usize = 256 << 10;

/// Walks the pages in `range`, which claim `claimed` bytes when unpacked.
///
/// # Errors
/// What is wrong, with the number of the page.
pub(super) fn check(file: &dyn ReadAt, range: Range<u64>, claimed: u64) -> Result<(), Refusal> {
    let (mut at, mut number) = (range.start, 0u64);
    let mut buffer = Vec::new();
    while at < range.end {
        let malformed = |what: String| (SkipCode::Malformed, format!("page {number}: {what}"));
        let (header, length) = header(file, at..range.end).map_err(|(code, what)| (code, format!("page {number}: {what}")))?;
        let body = at + length;
        let size = u64::try_from(header.compressed).map_err(|_| malformed("claims a negative size".to_owned()))?;
        let unpacked = u64::try_from(header.unpacked).map_err(|_| malformed("claims a negative size".to_owned()))?;
        let end = body.checked_add(size).filter(|end| *end <= range.end);
        let end = end.ok_or_else(|| malformed("reaches behind the end of its column".to_owned()))?;
        if unpacked > claimed {
            return Err(malformed(format!("claims {unpacked} bytes in a column of {claimed}")));
        }
        if let Some(expected) = header.crc {
            let found = checksum(file, body..end, &mut buffer)?;
            if found != expected {
                return Err(malformed(format!("its checksum is {found:08x}, its header says {expected:08x}")));
            }
        }
        at = end;
        number += 1;
    }
    Ok(())
}

fn checksum(file: &dyn ReadAt, range: Range<u64>, buffer: &mut Vec<u8>) -> Result<u32, Refusal> {
    let mut hash = crc32fast::Hasher::new();
    let mut at = range.start;
    while at < range.end {
        let wanted = usize::try_from(range.end - at).unwrap_or(BLOCK).min(BLOCK);
        buffer.resize(wanted, 0);
        file.read_exact_at(at, buffer).map_err(|e| io_problem(&e))?;
        hash.update(buffer);
        at += wanted as u64;
    }
    Ok(hash.finalize())
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Header {
    unpacked: i64,
    compressed: i64,
    crc: Option<u32>,
}

/// The header at the start of `range`, and its length.
fn header(file: &dyn ReadAt, range: Range<u64>) -> Result<(Header, u64), Refusal> {
    let left = range.end - range.start;
    let mut guess = HEADER.min(left);
    loop {
        let mut bytes = vec![0; usize::try_from(guess).unwrap_or(0)];
        file.read_exact_at(range.start, &mut bytes).map_err(|e| io_problem(&e))?;
        match parse(&bytes) {
            Ok(found) => return Ok(found),
            Err(Thrift::Malformed) => return Err((SkipCode::Malformed, "its header cannot be read".to_owned())),
            Err(Thrift::More) if guess == left => {
                return Err((SkipCode::Malformed, "its header reaches behind the end of its column".to_owned()));
            }
            Err(Thrift::More) if guess >= MAX_HEADER => {
                return Err((SkipCode::Limit, format!("its header has more than {MAX_HEADER} bytes")));
            }
            Err(Thrift::More) => guess = (guess * 16).min(left).min(MAX_HEADER),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Thrift {
    More,
    Malformed,
}

fn parse(bytes: &[u8]) -> Result<(Header, u64), Thrift> {
    let mut input = Input { bytes, at: 0 };
    let mut out = Header::default();
    let mut seen = [false; 2];
    let mut field = 0i64;
    while let Some((id, kind)) = input.field(field)? {
        field = id;
        match (id, kind) {
            (2, I32) => (out.unpacked, seen[0]) = (input.zigzag()?, true),
            (3, I32) => (out.compressed, seen[1]) = (input.zigzag()?, true),
            (4, I32) => {
                let crc = i32::try_from(input.zigzag()?).map_err(|_| Thrift::Malformed)?;
                out.crc = Some(crc.cast_unsigned());
            }
            (_, kind) => input.skip(kind, 0)?,
        }
    }
    if seen == [true; 2] { Ok((out, input.at as u64)) } else { Err(Thrift::Malformed) }
}

const I32: u8 = 5;

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Input<'_> {
    fn byte(&mut self) -> Result<u8, Thrift> {
        let byte = self.bytes.get(self.at).copied().ok_or(Thrift::More)?;
        self.at += 1;
        Ok(byte)
    }

    fn varint(&mut self) -> Result<u64, Thrift> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Thrift::Malformed)
    }

    fn zigzag(&mut self) -> Result<i64, Thrift> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    fn pass(&mut self, count: u64) -> Result<(), Thrift> {
        let at = usize::try_from(count).ok().and_then(|n| self.at.checked_add(n)).ok_or(Thrift::Malformed)?;
        if at > self.bytes.len() {
            return Err(Thrift::More);
        }
        self.at = at;
        Ok(())
    }

    /// Id and type of the next field; `None` at the end of the struct.
    fn field(&mut self, last: i64) -> Result<Option<(i64, u8)>, Thrift> {
        let byte = self.byte()?;
        if byte == 0 {
            return Ok(None);
        }
        let id = match byte >> 4 {
            0 => self.zigzag()?,
            delta => last.checked_add(i64::from(delta)).ok_or(Thrift::Malformed)?,
        };
        Ok(Some((id, byte & 0x0f)))
    }

    fn skip(&mut self, kind: u8, depth: u32) -> Result<(), Thrift> {
        if depth > MAX_DEPTH {
            return Err(Thrift::Malformed);
        }
        match kind {
            1 | 2 => Ok(()),
            3 => self.pass(1),
            4..=6 => self.varint().map(|_| ()),
            7 => self.pass(8),
            8 => {
                let length = self.varint()?;
                self.pass(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
                self.items(count, &[head & 0x0f], depth)
            }
            11 => {
                let count = self.varint()?;
                if count == 0 {
                    return Ok(());
                }
                let kinds = self.byte()?;
                self.items(count, &[kinds >> 4, kinds & 0x0f], depth)
            }
            12 => {
                let mut last = 0;
                while let Some((id, kind)) = self.field(last)? {
                    last = id;
                    self.skip(kind, depth + 1)?;
                }
                Ok(())
            }
            _ => Err(Thrift::Malformed),
        }
    }

    fn items(&mut self, count: u64, kinds: &[u8], depth: u32) -> Result<(), Thrift> {
        // In a list a truth value takes a byte; everything takes at least one, so this ends with the bytes.
        for _ in 0..count {
            for kind in kinds {
                match kind {
                    1 | 2 => self.pass(1)?,
                    kind => self.skip(*kind, depth + 1)?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// type 0, unpacked 10, compressed 3, crc, a data page header with statistics.
    fn page(body: &[u8], crc: Option<u32>) -> Vec<u8> {
        let zigzag = |n: i32| {
            let mut value = ((n << 1) ^ (n >> 31)).cast_unsigned();
            let mut out = Vec::new();
            while value >= 0x80 {
                out.push(value as u8 | 0x80);
                value >>= 7;
            }
            out.push(value as u8);
            out
        };
        let mut out = vec![0x15, 0x00, 0x15];
        out.extend(zigzag(10));
        out.push(0x15);
        out.extend(zigzag(body.len() as i32));
        match crc {
            Some(crc) => {
                out.push(0x15);
                out.extend(zigzag(crc.cast_signed()));
                out.push(0x1c);
            }
            None => out.push(0x2c),
        }
        // num_values 1, then statistics { max: "abc" }.
        out.extend([0x15, 0x02, 0x4c, 0x18, 3, b'a', b'b', b'c', 0, 0, 0]);
        out.extend(body);
        out
    }

    fn walk(bytes: &[u8]) -> Result<(), String> {
        check(&bytes.to_vec(), 0..bytes.len() as u64, 1000).map_err(|(_, what)| what)
    }

    #[test]
    fn a_page_has_the_checksum_of_its_header() {
        let sound = page(b"body", Some(crc32fast::hash(b"body")));
        assert_eq!(walk(&sound), Ok(()));
        assert_eq!(walk(&[sound.clone(), page(b"x", None)].concat()), Ok(()));
        let mut wrong = sound.clone();
        *wrong.last_mut().unwrap() ^= 1;
        assert!(walk(&[page(b"x", None), wrong].concat()).unwrap_err().starts_with("page 1: its checksum is"));
        assert!(walk(&sound[..sound.len() - 1]).unwrap_err().contains("behind the end"));
    }

    #[test]
    fn hostile_headers_are_refused_within_their_bytes() {
        assert!(walk(&[0x1c; 64]).is_err(), "structs in structs");
        assert!(walk(&[0x19, 0xf1, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_err(), "a list of billions");
        assert!(walk(&[0]).is_err(), "no sizes");
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        let sound = page(b"body", Some(1));
        for _ in 0..20_000 {
            let mut bytes = sound.clone();
            for _ in 0..3 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let at = (state % bytes.len() as u64) as usize;
                bytes[at] = (state >> 32) as u8;
            }
            let _ = walk(&bytes);
        }
    }
}
