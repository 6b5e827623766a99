//! Pure decoders, on constants only, with bounded output. What is refused stays an opaque call result.

use std::io::Read;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::value::Value;

/// The value of a pure function.
#[derive(Debug, PartialEq)]
pub(crate) enum Out {
    Text(Vec<u8>),
    Bytes(Vec<u8>),
    Int(i64),
    /// A list of texts.
    Texts(Vec<Vec<u8>>),
    /// A dict of code points.
    Table(Vec<(i64, i64)>),
    /// One of the arguments, or a part of one.
    Value(Value),
}

/// Why a decoder gave nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Python would raise, or the function is not known in this use.
    Unknown,
    /// The output is above the bound.
    TooLarge,
}

/// A lenient engine: Python ignores bytes outside the alphabet and these are removed before.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

pub(crate) fn base64(input: &[u8], url: bool) -> Option<Vec<u8>> {
    let extra: &[u8] = if url { b"-_" } else { b"+/" };
    let mut clean: Vec<u8> = Vec::with_capacity(input.len());
    for byte in input {
        match byte {
            // Padding ends the data once a group can end.
            b'=' if clean.len() % 4 >= 2 => break,
            b if b.is_ascii_alphanumeric() || extra.contains(b) => clean.push(*b),
            _ => {}
        }
    }
    let alphabet = if url { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
    GeneralPurpose::new(alphabet, LENIENT).decode(clean).ok()
}

pub(crate) fn base32(input: &[u8]) -> Option<Vec<u8>> {
    let (mut out, mut bits, mut count) = (Vec::new(), 0u64, 0u32);
    for byte in input.iter().take_while(|b| **b != b'=') {
        let digit = match byte.to_ascii_uppercase() {
            b @ b'A'..=b'Z' => b - b'A',
            b @ b'2'..=b'7' => b - b'2' + 26,
            _ => return None,
        };
        bits = bits << 5 | u64::from(digit);
        count += 5;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    Some(out)
}

pub(crate) fn base85(input: &[u8]) -> Option<Vec<u8>> {
    const DIGITS: &[u8; 85] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
    let mut out = Vec::new();
    for chunk in input.chunks(5) {
        let mut value = 0u64;
        for i in 0..5 {
            let digit = match chunk.get(i) {
                Some(byte) => DIGITS.iter().position(|d| d == byte)? as u64,
                None => 84,
            };
            value = value * 85 + digit;
        }
        let bytes = u32::try_from(value).ok()?.to_be_bytes();
        out.extend_from_slice(&bytes[..chunk.len().saturating_sub(1)]);
    }
    Some(out)
}

pub(crate) fn ascii85(input: &[u8]) -> Option<Vec<u8>> {
    let input = input.strip_prefix(b"<~").unwrap_or(input);
    let input = input.strip_suffix(b"~>").unwrap_or(input);
    let (mut out, mut group) = (Vec::new(), Vec::new());
    for byte in input {
        match byte {
            b'z' if group.is_empty() => out.extend_from_slice(&[0; 4]),
            b'!'..=b'u' => group.push(u64::from(byte - b'!')),
            b if b.is_ascii_whitespace() => continue,
            _ => return None,
        }
        if group.len() == 5 {
            let value = group.drain(..).fold(0, |sum, digit| sum * 85 + digit);
            out.extend_from_slice(&u32::try_from(value).ok()?.to_be_bytes());
        }
    }
    if let Some(keep) = group.len().checked_sub(1) {
        group.resize(5, 84);
        let value = group.into_iter().fold(0, |sum, digit| sum * 85 + digit);
        out.extend_from_slice(u32::try_from(value).ok()?.to_be_bytes().get(..keep)?);
    }
    Some(out)
}

/// One line of uuencoded data.
pub(crate) fn uu_line(input: &[u8]) -> Option<Vec<u8>> {
    let value = |byte: u8| byte.wrapping_sub(b' ') & 0x3f;
    let (first, rest) = input.split_first()?;
    let (len, mut out, mut bits, mut count) = (usize::from(value(*first)), Vec::new(), 0u32, 0);
    for byte in rest.iter().take_while(|b| !matches!(b, b'\n' | b'\r')) {
        bits = bits << 6 | u32::from(value(*byte));
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out.resize(len, 0);
    Some(out)
}

pub(crate) fn quoted_printable(input: &[u8]) -> Option<Vec<u8>> {
    let (mut out, mut at) = (Vec::new(), 0);
    while let Some(byte) = input.get(at) {
        at += 1;
        match (byte, input.get(at..at + 2)) {
            (b'=', Some(b"\r\n")) => at += 2,
            (b'=', _) if input.get(at) == Some(&b'\n') => at += 1,
            (b'=', Some(digits)) => match hex::decode(digits) {
                Ok(decoded) => {
                    out.extend(decoded);
                    at += 2;
                }
                Err(_) => out.push(b'='),
            },
            (byte, _) => out.push(*byte),
        }
    }
    Some(out)
}

/// `%41` of a URL.
pub(crate) fn unquote(input: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 0);
    while let Some(byte) = input.get(at) {
        at += 1;
        match input.get(at..at + 2).map(hex::decode) {
            Some(Ok(decoded)) if *byte == b'%' => {
                out.extend(decoded);
                at += 2;
            }
            _ => out.push(*byte),
        }
    }
    out
}

/// Expands bzip2 data up to `limit` bytes.
pub(crate) fn bunzip(input: &[u8], limit: usize) -> Result<Vec<u8>, Refused> {
    bounded(bzip2::read::MultiBzDecoder::new(input), limit)
}

/// Expands `.xz` or `.lzma` data up to `limit` bytes.
pub(crate) fn unlzma(input: &[u8], limit: usize) -> Result<Vec<u8>, Refused> {
    if input.starts_with(b"\xfd7zXZ\0") {
        return bounded(lzma_rust2::XzReader::new_mem_limit(input, true, 64 << 10), limit);
    }
    let reader = lzma_rust2::LzmaReader::new_mem_limit(input, 64 << 10, None).map_err(|_| Refused::Unknown)?;
    bounded(reader, limit)
}

fn bounded(reader: impl Read, limit: usize) -> Result<Vec<u8>, Refused> {
    let mut out = Vec::new();
    let limit = limit as u64 + 1;
    let done = reader.take(limit).read_to_end(&mut out);
    match done {
        _ if out.len() as u64 >= limit => Err(Refused::TooLarge),
        Ok(_) => Ok(out),
        Err(_) => Err(Refused::Unknown),
    }
}

pub(crate) fn unhex(input: &[u8]) -> Option<Vec<u8>> {
    let clean: Vec<u8> = input.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    hex::decode(clean).ok()
}

/// Inflates up to `limit` bytes.
pub(crate) fn inflate(input: &[u8], gzip: bool, limit: usize) -> Result<Vec<u8>, Refused> {
    if gzip {
        bounded(flate2::read::MultiGzDecoder::new(input), limit)
    } else {
        bounded(flate2::read::ZlibDecoder::new(input), limit)
    }
}

/// `codecs.decode` (`decode`) or `codecs.encode` with a codec by name.
pub(crate) fn codec(input: &[u8], text: bool, name: &str, decode: bool, limit: usize) -> Result<Out, Refused> {
    let name: String = name.to_ascii_lowercase().replace(['-', ' '], "_");
    let some = |bytes: Option<Vec<u8>>| bytes.map(Out::Bytes).ok_or(Refused::Unknown);
    match (name.as_str(), decode) {
        ("rot13" | "rot_13", _) if text => Ok(Out::Text(input.iter().map(|b| rot13(*b)).collect())),
        ("hex" | "hex_codec", true) => some(unhex(input)),
        ("base64" | "base_64" | "base64_codec", true) => some(base64(input, false)),
        ("zlib" | "zip" | "zlib_codec", true) => inflate(input, false, limit).map(Out::Bytes),
        ("bz2" | "bz2_codec", true) => bunzip(input, limit).map(Out::Bytes),
        ("quopri" | "quoted_printable" | "quopri_codec", true) => some(quoted_printable(input)),
        ("utf_7" | "utf7" | "u7" | "unicode_1_1_utf_7", true) if !text => {
            utf7(input).map(|s| Out::Text(s.into_bytes())).ok_or(Refused::Unknown)
        }
        ("utf_32" | "utf32" | "u32" | "utf_32_le" | "utf_32_be", true) if !text => {
            let big = name.ends_with("be") || input.starts_with(&[0, 0, 0xfe, 0xff]);
            let units = input
                .as_chunks::<4>()
                .0
                .iter()
                .map(|c| if big { u32::from_be_bytes(*c) } else { u32::from_le_bytes(*c) });
            let text: Option<String> = units.filter(|unit| *unit != 0xfeff).map(char::from_u32).collect();
            text.map(|s| Out::Text(s.into_bytes())).ok_or(Refused::Unknown)
        }
        ("utf_16_be" | "utf_16be", true) if !text => {
            let units: Vec<u16> = input.as_chunks::<2>().0.iter().map(|c| u16::from_be_bytes(*c)).collect();
            String::from_utf16(&units).map(|s| Out::Text(s.into_bytes())).map_err(|_| Refused::Unknown)
        }
        ("hex" | "hex_codec", false) => Ok(Out::Bytes(hex::encode(input).into_bytes())),
        ("utf_8" | "utf8" | "u8" | "utf" | "cp65001" | "ascii" | "us_ascii" | "646", true) if !text => {
            if std::str::from_utf8(input).is_err() {
                return Err(Refused::Unknown);
            }
            Ok(Out::Text(input.to_vec()))
        }
        ("utf_8" | "utf8" | "u8" | "utf" | "cp65001" | "ascii" | "us_ascii" | "646", false) if text => {
            Ok(Out::Bytes(input.to_vec()))
        }
        ("latin_1" | "latin1" | "latin" | "iso_8859_1" | "iso8859_1" | "8859" | "l1", true) if !text => {
            Ok(Out::Text(input.iter().map(|b| char::from(*b)).collect::<String>().into_bytes()))
        }
        ("latin_1" | "latin1" | "latin" | "iso_8859_1" | "iso8859_1" | "8859" | "l1", false) if text => {
            let text = std::str::from_utf8(input).map_err(|_| Refused::Unknown)?;
            let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
            some(bytes)
        }
        ("raw_unicode_escape", true) => Ok(Out::Text(crate::text::raw_unicode(input))),
        ("unicode_escape", true) if input.is_ascii() => {
            let plain = crate::text::raw_unicode(input);
            Ok(Out::Text(crate::text::unescape(&plain)))
        }
        ("utf_16" | "utf16" | "u16", true) if !text && input.starts_with(&[0xfe, 0xff]) => {
            codec(input.get(2..).unwrap_or_default(), text, "utf_16_be", true, limit)
        }
        ("utf_16_le" | "utf_16le" | "utf_16" | "utf16" | "u16", true) if !text => {
            let input = input.strip_prefix(&[0xff, 0xfe]).unwrap_or(input);
            let units: Vec<u16> = input.as_chunks::<2>().0.iter().map(|c| u16::from_le_bytes(*c)).collect();
            String::from_utf16(&units).map(|s| Out::Text(s.into_bytes())).map_err(|_| Refused::Unknown)
        }
        _ => Err(Refused::Unknown),
    }
}

/// UTF-7 (RFC 2152), lenient.
fn utf7(input: &[u8]) -> Option<String> {
    let (mut out, mut at) = (String::new(), 0);
    while let Some(byte) = input.get(at) {
        at += 1;
        if *byte != b'+' {
            out.push(char::from(*byte));
            continue;
        }
        let run = input.get(at..)?;
        let len = run.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/')).count();
        if len == 0 {
            out.push('+');
        } else {
            let decoded = base64(run.get(..len)?, false)?;
            let units: Vec<u16> = decoded.as_chunks::<2>().0.iter().map(|c| u16::from_be_bytes(*c)).collect();
            out.push_str(&String::from_utf16(&units).ok()?);
        }
        at += len;
        if input.get(at) == Some(&b'-') {
            at += 1;
        }
    }
    Some(out)
}

fn rot13(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => (byte - b'a' + 13) % 26 + b'a',
        b'A'..=b'Z' => (byte - b'A' + 13) % 26 + b'A',
        _ => byte,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoders_agree_with_python() {
        assert_eq!(base64(b"b3M=\n", false).unwrap(), b"os");
        assert_eq!(base64(b"b 3!M", false).unwrap(), b"os");
        assert_eq!(base64(b"-_8=", true).unwrap(), [0xfb, 0xff]);
        assert_eq!(base32(b"ON4XG5DFNU======").unwrap(), b"system");
        assert_eq!(base85(b"b9r-gWo-").unwrap(), b"system");
        assert_eq!(unhex(b"73 79").unwrap(), b"sy");
        assert_eq!(codec(b"flfgrz", true, "rot13", false, 99).unwrap(), Out::Text(b"system".to_vec()));
        assert_eq!(codec("\u{ff}a".as_bytes(), true, "latin1", false, 99).unwrap(), Out::Bytes(vec![0xff, b'a']));
        assert_eq!(codec(b"\xff", false, "Latin-1", true, 99).unwrap(), Out::Text("\u{ff}".into()));
        assert_eq!(codec(b"\\x73\\u0079", false, "unicode_escape", true, 99).unwrap(), Out::Text(b"sy".to_vec()));
        assert_eq!(codec(b"x", false, "bz2", true, 99), Err(Refused::Unknown));
        assert_eq!(codec(b"+AG8-s", false, "utf-7", true, 99).unwrap(), Out::Text(b"os".to_vec()));
        assert_eq!(codec(b"o\0\0\0s\0\0\0", false, "utf-32-le", true, 99).unwrap(), Out::Text(b"os".to_vec()));
        assert_eq!(ascii85(b"F*VhKAH").unwrap(), b"syste");
        assert_eq!(uu_line(b"&<WES=&5M\n").unwrap(), b"system");
        assert_eq!(quoted_printable(b"=73y=\nstem").unwrap(), b"system");
        assert_eq!(unquote(b"s%79stem%"), b"system%");
    }

    #[test]
    fn inflation_is_bounded() {
        let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut packed, &[0; 100_000]).unwrap();
        let packed = packed.finish().unwrap();
        assert_eq!(inflate(&packed, false, 1000), Err(Refused::TooLarge));
        assert_eq!(inflate(&packed, false, 100_000).unwrap().len(), 100_000);
        assert_eq!(inflate(b"junk", true, 10), Err(Refused::Unknown));
    }
}
