//! Pure decoders, on constants only, with bounded output. What is refused stays an opaque call result.

use std::io::Read;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// The value of a pure function.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Out {
    Text(Vec<u8>),
    Bytes(Vec<u8>),
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

pub(crate) fn unhex(input: &[u8]) -> Option<Vec<u8>> {
    let clean: Vec<u8> = input.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    hex::decode(clean).ok()
}

/// Inflates up to `limit` bytes.
pub(crate) fn inflate(input: &[u8], gzip: bool, limit: usize) -> Result<Vec<u8>, Refused> {
    let mut out = Vec::new();
    let limit = limit as u64 + 1;
    let done = if gzip {
        flate2::read::MultiGzDecoder::new(input).take(limit).read_to_end(&mut out)
    } else {
        flate2::read::ZlibDecoder::new(input).take(limit).read_to_end(&mut out)
    };
    match done {
        _ if out.len() as u64 >= limit => Err(Refused::TooLarge),
        Ok(_) => Ok(out),
        Err(_) => Err(Refused::Unknown),
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
        ("hex" | "hex_codec", false) => Ok(Out::Bytes(hex::encode(input).into_bytes())),
        ("utf_8" | "utf8" | "u8" | "ascii" | "us_ascii" | "646", true) if !text => {
            if std::str::from_utf8(input).is_err() {
                return Err(Refused::Unknown);
            }
            Ok(Out::Text(input.to_vec()))
        }
        ("utf_8" | "utf8" | "u8" | "ascii" | "us_ascii" | "646", false) if text => Ok(Out::Bytes(input.to_vec())),
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
        ("utf_16_le" | "utf_16le" | "utf_16", true) if !text => {
            let input = input.strip_prefix(&[0xff, 0xfe]).unwrap_or(input);
            let units: Vec<u16> = input.as_chunks::<2>().0.iter().map(|c| u16::from_le_bytes(*c)).collect();
            String::from_utf16(&units).map(|s| Out::Text(s.into_bytes())).map_err(|_| Refused::Unknown)
        }
        _ => Err(Refused::Unknown),
    }
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
