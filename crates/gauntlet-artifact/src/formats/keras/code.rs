//! Texts that are base64 of compiled Python code or of a pickle, and the names within the code. Nothing is unmarshalled:
//! the names are found by the shape of marshal's records.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Python decodes with and without padding, and with stray bits.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Shortest text that is tried where no code is expected.
const SHORTEST: usize = 16;
/// Names of one code object that are kept.
const NAMES: usize = 64;
/// Bytes that are searched for names.
const SEARCHED: usize = 1 << 20;

/// What a text decodes to.
pub(super) enum Decoded {
    Pickle(Vec<u8>),
    Code { bytes: usize, names: Vec<String> },
    Other(Vec<u8>),
}

/// Consists of base64's characters alone, and begins like code or a pickle.
pub(super) fn may_be_base64(text: &str) -> bool {
    text.len() >= SHORTEST
        && ["4w", "Yw", "gA", "UE", "Y2", "Y3"].iter().any(|beginning| text.starts_with(beginning))
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'\n' | b'\r'))
}

/// Decodes as Python does: characters that are not base64's are ignored.
pub(super) fn decode(text: &str) -> Decoded {
    let kept: Vec<u8> = text.bytes().filter(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/')).collect();
    // A single character over carries no byte.
    let kept = if kept.len() % 4 == 1 { kept.get(..kept.len() - 1).unwrap_or(&kept) } else { &kept };
    let Ok(bytes) = LENIENT.decode(kept) else { return Decoded::Other(Vec::new()) };
    match bytes.as_slice() {
        [0x80, 1..=5, ..] => Decoded::Pickle(bytes),
        // `PK` of a zip, as PyTorch writes it.
        [b'P', b'K', 3, 4, ..] => Decoded::Pickle(bytes),
        // TYPE_CODE, with or without a reference flag, then a number of arguments.
        [0x63 | 0xe3, arguments, 0, 0, 0, ..] if *arguments < 64 => {
            Decoded::Code { bytes: bytes.len(), names: names(&bytes) }
        }
        // A global of protocol 0.
        [b'c', rest @ ..] if rest.iter().take(200).filter(|b| **b == b'\n').count() >= 2 => Decoded::Pickle(bytes),
        _ => Decoded::Other(bytes),
    }
}

/// Names and texts in marshalled bytes: records of ASCII and Unicode texts, long and short, interned or not.
pub(super) fn names(bytes: &[u8]) -> Vec<String> {
    let bytes = bytes.get(..SEARCHED).unwrap_or(bytes);
    let mut found: Vec<String> = Vec::new();
    let mut at = 0;
    while at < bytes.len() && found.len() < NAMES {
        let kind = bytes.get(at).copied().unwrap_or(0) & 0x7f;
        let (len, header) = match kind {
            b'z' | b'Z' => (bytes.get(at + 1).map(|len| usize::from(*len)), 2),
            b'a' | b'A' | b'u' | b't' => {
                let raw = bytes.get(at + 1..at + 5).and_then(|raw| raw.first_chunk::<4>());
                (raw.map(|raw| u32::from_le_bytes(*raw) as usize), 5)
            }
            _ => (None, 0),
        };
        let start = at + header;
        let text =
            len.filter(|len| (2..=200).contains(len)).and_then(|len| bytes.get(start..start.saturating_add(len)));
        let text = text.and_then(|text| std::str::from_utf8(text).ok());
        match text.filter(|text| text.chars().all(|c| !c.is_control())) {
            Some(text) => {
                at = start + text.len();
                if !found.iter().any(|known| known == text) {
                    found.push(text.to_owned());
                }
            }
            None => at += 1,
        }
    }
    found
}
