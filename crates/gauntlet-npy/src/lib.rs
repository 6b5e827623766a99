//! NumPy's `.npy` header, read by its own small literal parser and never evaluated. Numbers behind it are the caller's.

#![forbid(unsafe_code)]

use gauntlet_limits::ReadAt;
use serde::{Deserialize, Serialize};

/// How every file begins.
pub const MAGIC: &[u8] = b"\x93NUMPY";
/// NumPy refuses longer headers, too, unless told otherwise (10,000 bytes); structured types may need more.
const MAX_HEADER: u64 = 1 << 20;
/// Dimensions kept.
const DIMENSIONS: usize = 32;

/// What an `.npy` header says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NpyFacts {
    /// Format version.
    pub version: (u8, u8),
    /// The element type as written, cut.
    pub descr: String,
    /// Elements are Python objects, at least in one field: the data is a pickle.
    pub has_objects: bool,
    /// Shape as written, cut at 32 dimensions.
    pub shape: Vec<u64>,
    /// Bytes that type and shape ask for, when that can be told.
    pub expected: Option<u64>,
    /// Where data starts.
    pub data: u64,
    /// Bytes of data that are there.
    pub available: u64,
}

/// Why the header cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NpyError {
    /// The medium failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The header does not follow the format.
    #[error("npy header: {0}")]
    Malformed(&'static str),
}

/// Reads the header at the start of `source`.
///
/// # Errors
/// [`NpyError`].
pub fn read(source: &dyn ReadAt) -> Result<NpyFacts, NpyError> {
    read_text(source).map(|(facts, _)| facts)
}

/// [`read`], and whether elements lie in Fortran's order; the shape must be whole.
///
/// # Errors
/// [`NpyError`], also above 31 dimensions.
pub fn read_with_order(source: &dyn ReadAt) -> Result<(NpyFacts, bool), NpyError> {
    let (facts, header) = read_text(source)?;
    if facts.shape.len() >= DIMENSIONS {
        return Err(NpyError::Malformed("too many dimensions"));
    }
    match value_of(&header, "fortran_order") {
        Some("True") => Ok((facts, true)),
        Some("False") => Ok((facts, false)),
        _ => Err(NpyError::Malformed("no readable `fortran_order`")),
    }
}

/// An element type in the spelling of safetensors; empty when its numbers are not read.
#[must_use]
pub fn dtype(descr: &str) -> &'static str {
    match descr.trim_matches(['\'', '"']) {
        "<f8" => "F64",
        "<f4" => "F32",
        "<f2" => "F16",
        "<i8" => "I64",
        "<i4" => "I32",
        "<i2" => "I16",
        "|i1" => "I8",
        "|u1" => "U8",
        "|b1" => "BOOL",
        _ => "",
    }
}

fn read_text(source: &dyn ReadAt) -> Result<(NpyFacts, String), NpyError> {
    let mut start = [0; 12];
    let have = source.size().min(12);
    let have = usize::try_from(have).unwrap_or(12);
    source.read_exact_at(0, &mut start[..have])?;
    if have < 10 || !start.starts_with(MAGIC) {
        return Err(NpyError::Malformed("no magic number"));
    }
    let version = (start[6], start[7]);
    let (len, at) = match version.0 {
        1 => (u64::from(u16::from_le_bytes([start[8], start[9]])), 10),
        2 | 3 if have == 12 => (u64::from(u32::from_le_bytes([start[8], start[9], start[10], start[11]])), 12),
        _ => return Err(NpyError::Malformed("unknown version")),
    };
    if len > MAX_HEADER {
        return Err(NpyError::Malformed("header above 1 MiB"));
    }
    let data = at + len;
    if data > source.size() {
        return Err(NpyError::Malformed("header reaches behind the end of the file"));
    }
    let mut header = vec![0; usize::try_from(len).unwrap_or(0)];
    source.read_exact_at(at, &mut header)?;
    let header = String::from_utf8_lossy(&header).into_owned();
    let descr = value_of(&header, "descr").ok_or(NpyError::Malformed("no `descr`"))?;
    let shape = value_of(&header, "shape").and_then(numbers).ok_or(NpyError::Malformed("no readable `shape`"))?;
    let item = item_size(descr);
    let count = shape.iter().try_fold(1u64, |product, dim| product.checked_mul(*dim));
    let facts = NpyFacts {
        version,
        has_objects: has_objects(descr),
        descr: descr.chars().take(200).collect(),
        expected: item.zip(count).and_then(|(size, count)| size.checked_mul(count)),
        shape: shape.into_iter().take(DIMENSIONS).collect(),
        data,
        available: source.size() - data,
    };
    Ok((facts, header))
}

/// The text of a top-level value of the header's dict. Brackets are counted, strings are passed over.
fn value_of<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let bytes = header.as_bytes();
    let (mut depth, mut quote, mut start) = (0u32, None, None);
    for (at, byte) in bytes.iter().enumerate() {
        match (quote, byte) {
            (Some(open), byte) if *byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"') => {
                quote = Some(*byte);
                let rest = &header[at + 1..];
                let ends = rest.strip_prefix(key).and_then(|r| r.strip_prefix(char::from(*byte)));
                if depth == 1
                    && start.is_none()
                    && let Some(rest) = ends.map(str::trim_start).and_then(|r| r.strip_prefix(':'))
                {
                    start = Some(header.len() - rest.len());
                }
            }
            (None, b'{' | b'[' | b'(') => depth += 1,
            (None, b'}' | b']' | b')') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return start.filter(|s| *s <= at).map(|s| header[s..at].trim());
                }
            }
            (None, b',') if depth == 1 => {
                if let Some(s) = start.filter(|s| *s <= at) {
                    return Some(header[s..at].trim());
                }
            }
            _ => {}
        }
    }
    None
}

fn numbers(text: &str) -> Option<Vec<u64>> {
    let inner = text.strip_prefix('(')?.strip_suffix(')')?;
    let parts = inner.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.trim_end_matches('L').parse().ok()).collect()
}

/// Any quoted type code that is `O`, with or without byte order and size.
fn has_objects(descr: &str) -> bool {
    descr.split(['\'', '"']).skip(1).step_by(2).any(|code| {
        let code = code.trim_start_matches(['|', '<', '>', '=']);
        matches!(code, "O" | "object") || code.strip_prefix('O').is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// Bytes of one element of a plain type such as `<f4`; `None` for structured ones.
fn item_size(descr: &str) -> Option<u64> {
    let code = descr.strip_prefix('\'')?.strip_suffix('\'')?;
    let code = code.trim_start_matches(['|', '<', '>', '=']);
    let (kind, size) = code.split_at_checked(1)?;
    let size: u64 = size.split('[').next()?.parse().ok()?;
    match kind {
        "U" => size.checked_mul(4),
        "b" | "i" | "u" | "f" | "c" | "S" | "V" | "M" | "m" | "a" => Some(size),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        [MAGIC, &[1, 0], &(header.len() as u16).to_le_bytes(), header.as_bytes(), data].concat()
    }

    #[test]
    fn headers_are_read() {
        let bytes = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }  \n", &[0; 24]);
        let facts = read(&bytes).unwrap();
        assert_eq!((facts.expected, facts.available, facts.has_objects), (Some(24), 24, false));
        let objects = npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"N.");
        assert!(read(&objects).unwrap().has_objects);
        let fields = npy("{'descr': [('a', '|O'), ('O', '<f4')], 'fortran_order': False, 'shape': (1,)}", b"");
        assert!(read(&fields).unwrap().has_objects);
        let plain = npy("{'descr': [('a', '<f4'), ('b', '<i8')], 'fortran_order': False, 'shape': ()}", b"");
        assert!(!read(&plain).unwrap().has_objects);
    }

    #[test]
    fn broken_headers_are_errors() {
        for bytes in [
            b"\x93NUMPY".to_vec(),
            b"\x93NUMPY\x01\0\xff\xff{}".to_vec(),
            b"\x93NUMPY\x09\0\0\0{}".to_vec(),
            npy("", b""),
            npy("{'descr': '<f4'", b""),
            npy("{'descr': '<f4', 'shape': (-1,)}", b""),
        ] {
            assert!(matches!(read(&bytes), Err(NpyError::Malformed(_))), "{bytes:?}");
        }
    }
}
