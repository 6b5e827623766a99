//! JSON as Python's `json` module reads it, beyond the standard: `NaN` and `Infinity`, numbers out of range, halves of
//! surrogate pairs, UTF-16 and UTF-32. What Python loads must not hide from us.

/// The text in strict JSON, when it differs: constants and huge numbers become `null`, lone surrogates U+FFFD.
pub(crate) fn strict(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len());
    let (mut at, mut changed) = (0, false);
    while let Some(byte) = bytes.get(at).copied() {
        match byte {
            b'"' => at = string(bytes, at, &mut out, &mut changed),
            b'N' | b'I' | b'-' | b'0'..=b'9' => {
                let rest = bytes.get(at..).unwrap_or_default();
                let end = rest.iter().position(|b| !b.is_ascii_alphanumeric() && !matches!(b, b'+' | b'-' | b'.'));
                let token = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
                let huge = || {
                    let text = std::str::from_utf8(token).ok();
                    text.and_then(|text| text.parse::<f64>().ok()).is_some_and(f64::is_infinite)
                };
                if matches!(token, b"NaN" | b"Infinity" | b"-Infinity") || huge() {
                    out.extend_from_slice(b"null");
                    changed = true;
                } else {
                    out.extend_from_slice(token);
                }
                at += token.len();
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    changed.then_some(out)
}

/// Copies the string that begins at `at`; returns where it ends.
fn string(bytes: &[u8], mut at: usize, out: &mut Vec<u8>, changed: &mut bool) -> usize {
    out.push(b'"');
    at += 1;
    while let Some(byte) = bytes.get(at).copied() {
        if byte == b'\\' {
            match unit(bytes, at) {
                Some(0xd800..=0xdbff) if matches!(unit(bytes, at + 6), Some(0xdc00..=0xdfff)) => {
                    out.extend_from_slice(bytes.get(at..at + 12).unwrap_or_default());
                    at += 12;
                }
                Some(0xd800..=0xdfff) => {
                    out.extend_from_slice(b"\\ufffd");
                    *changed = true;
                    at += 6;
                }
                _ => {
                    out.extend_from_slice(bytes.get(at..at + 2).unwrap_or_default());
                    at += 2;
                }
            }
            continue;
        }
        out.push(byte);
        at += 1;
        if byte == b'"' {
            break;
        }
    }
    at
}

/// The number of `\uXXXX` at `at`.
fn unit(bytes: &[u8], at: usize) -> Option<u32> {
    let escape = bytes.get(at..at.checked_add(6)?)?;
    let digits = escape.strip_prefix(b"\\u")?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The UTF-8 of a text in UTF-16 or UTF-32 that begins like JSON, with or without a byte order mark.
pub(crate) fn from_wide(bytes: &[u8]) -> Option<String> {
    let text = match bytes {
        [0xff, 0xfe, 0, 0, rest @ ..] => wide32(rest, u32::from_le_bytes),
        [0, 0, 0xfe, 0xff, rest @ ..] => wide32(rest, u32::from_be_bytes),
        [0xff, 0xfe, rest @ ..] => wide16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide16(rest, u16::from_be_bytes),
        [0, 0, 0, 1..=255, ..] => wide32(bytes, u32::from_be_bytes),
        [1..=255, 0, 0, 0, ..] => wide32(bytes, u32::from_le_bytes),
        [0, 1..=255, 0, 1..=255, ..] => wide16(bytes, u16::from_be_bytes),
        [1..=255, 0, 1..=255, 0, ..] => wide16(bytes, u16::from_le_bytes),
        _ => None,
    }?;
    text.trim_start().starts_with(['{', '[', '"']).then_some(text)
}

fn wide16(bytes: &[u8], number: fn([u8; 2]) -> u16) -> Option<String> {
    let units = bytes.as_chunks::<2>().0.iter().map(|unit| number(*unit));
    begins(units.clone().map(u32::from))?;
    Some(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
}

fn wide32(bytes: &[u8], number: fn([u8; 4]) -> u32) -> Option<String> {
    let units = bytes.as_chunks::<4>().0.iter().map(|unit| number(*unit));
    begins(units.clone())?;
    // Python takes lone surrogates and nothing else that is no character.
    let decode = |unit| match unit {
        0xd800..0xe000 => Some(char::REPLACEMENT_CHARACTER),
        other => char::from_u32(other),
    };
    units.map(decode).collect()
}

/// The first character that is no space begins a JSON value with parts.
fn begins(mut units: impl Iterator<Item = u32>) -> Option<()> {
    let first = units.find(|unit| !matches!(unit, 0x20 | 0x09 | 0x0a | 0x0d))?;
    [b'{', b'[', b'"'].iter().any(|wanted| u32::from(*wanted) == first).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strictly(text: &str) -> Option<String> {
        strict(text.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn what_python_accepts_becomes_strict() {
        assert_eq!(
            strictly(r#"{"a": NaN, "b": [-Infinity, 1e999, 1.5]}"#).unwrap(),
            r#"{"a": null, "b": [null, null, 1.5]}"#
        );
        assert_eq!(strictly(r#"{"a": "\ud800x\ud83d\ude00"}"#).unwrap(), r#"{"a": "\ufffdx\ud83d\ude00"}"#);
        assert_eq!(strictly(r#"{"a": "NaN \" Infinity", "b": -1}"#), None);
        for broken in ["\"\\", "\"\\u12", "{\"a\": NaN", "\"", "-"] {
            let _ = strict(broken.as_bytes());
        }
    }

    #[test]
    fn wide_texts_are_read() {
        let text = r#"{"a": "ä"}"#;
        let le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let be32: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect();
        for bytes in [le.clone(), be, be32, [&[0xff, 0xfe], le.as_slice()].concat()] {
            assert_eq!(from_wide(&bytes).as_deref(), Some(text));
        }
        assert_eq!(from_wide(text.as_bytes()), None);
        assert_eq!(from_wide(b"\x80\x04N."), None);
    }
}
