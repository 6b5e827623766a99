//! The text operands of protocol 0, read as leniently as Python does.

/// An integer operand, as small as it goes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Number {
    Bool(bool),
    Int(i64),
    /// Valid, but above 64 bits or in an unusual notation.
    Other,
    Invalid,
}

/// INT (`bools` allowed) and LONG operands.
pub(crate) fn number(line: &[u8], long: bool) -> Number {
    match line {
        b"00" if !long => return Number::Bool(false),
        b"01" if !long => return Number::Bool(true),
        _ => {}
    }
    let mut text = line.trim_ascii();
    if long && let Some(rest) = text.strip_suffix(b"L") {
        text = rest;
    }
    let Ok(text) = std::str::from_utf8(text) else { return Number::Invalid };
    if let Ok(value) = text.parse::<i64>() {
        return Number::Int(value);
    }
    let digits = text.trim_start_matches(['+', '-']);
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let prefixed = digits.len() > 2
        && matches!(&digits.as_bytes()[..2], b"0x" | b"0X" | b"0o" | b"0O" | b"0b" | b"0B")
        && digits[2..].bytes().all(|b| b.is_ascii_hexdigit() || b == b'_');
    let spaced = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    if plain || prefixed || spaced { Number::Other } else { Number::Invalid }
}

/// A memo index written as a line, as Python's `int()` reads it: `1_0` is ten and `-0` nothing. The C unpickler reads up
/// to a zero byte.
pub(crate) fn index(line: &[u8]) -> Option<u64> {
    let line = line.split(|byte| *byte == 0).next()?;
    let text = std::str::from_utf8(line.trim_ascii()).ok()?;
    let single = !text.starts_with('_') && !text.ends_with('_') && !text.contains("__");
    let digits = text.strip_prefix('-').filter(|rest| rest.bytes().all(|b| b == b'0' || b == b'_')).unwrap_or(text);
    digits.replace('_', "").parse().ok().filter(|_| single)
}

/// Whether Python reads the line as a float.
pub(crate) fn is_float(line: &[u8]) -> bool {
    std::str::from_utf8(line.trim_ascii()).is_ok_and(|t| t.parse::<f64>().is_ok())
}

/// A quoted STRING operand with its backslash escapes undone; none when the quotes are wrong.
pub(crate) fn quoted(line: &[u8]) -> Option<Vec<u8>> {
    let line = line.trim_ascii();
    let (first, last) = (*line.first()?, *line.last()?);
    if line.len() < 2 || first != last || !matches!(first, b'\'' | b'"') {
        return None;
    }
    Some(unescape(&line[1..line.len() - 1]))
}

/// The escapes of a bytes literal.
pub(crate) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut i = 0;
    while i < text.len() {
        if text[i] != b'\\' || i + 1 == text.len() {
            out.push(text[i]);
            i += 1;
            continue;
        }
        i += 2;
        match text[i - 1] {
            b'\n' => {}
            b'\\' => out.push(b'\\'),
            b'\'' => out.push(b'\''),
            b'"' => out.push(b'"'),
            b'a' => out.push(7),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'v' => out.push(11),
            b'x' => match (hex(text, i, 2), text.get(i..i + 2)) {
                (Some(value), Some(_)) => {
                    out.push(value as u8);
                    i += 2;
                }
                _ => out.extend_from_slice(b"\\x"),
            },
            digit @ b'0'..=b'7' => {
                let mut value = u32::from(digit - b'0');
                for _ in 0..2 {
                    match text.get(i) {
                        Some(d @ b'0'..=b'7') => {
                            value = value * 8 + u32::from(d - b'0');
                            i += 1;
                        }
                        _ => break,
                    }
                }
                out.push(value as u8);
            }
            other => out.extend_from_slice(&[b'\\', other]),
        }
    }
    out
}

/// Raw-unicode-escape: Latin-1 with `\uXXXX` and `\UXXXXXXXX`, as UTF-8. Lone surrogates become U+FFFD.
pub(crate) fn raw_unicode(line: &[u8]) -> Vec<u8> {
    if line.is_ascii() && memchr::memchr(b'\\', line).is_none() {
        return line.to_vec();
    }
    let mut out = String::with_capacity(line.len());
    let mut i = 0;
    while i < line.len() {
        let digits = match (line[i], line.get(i + 1)) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            _ => 0,
        };
        match if digits > 0 { hex(line, i + 2, digits) } else { None } {
            Some(code) => {
                out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                i += 2 + digits;
            }
            // A doubled backslash is two characters; the second must not start an escape.
            None if line[i] == b'\\' && line.get(i + 1) == Some(&b'\\') => {
                out.push_str("\\\\");
                i += 2;
            }
            None => {
                out.push(char::from(line[i]));
                i += 1;
            }
        }
    }
    out.into_bytes()
}

fn hex(text: &[u8], at: usize, digits: usize) -> Option<u32> {
    let digits = text.get(at..at + digits)?;
    digits.iter().try_fold(0u32, |sum, d| Some(sum << 4 | char::from(*d).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_python_reads_them() {
        assert_eq!(number(b"01", false), Number::Bool(true));
        assert_eq!(number(b"01", true), Number::Int(1));
        assert_eq!(number(b"-7L", true), Number::Int(-7));
        assert_eq!(number(b"0x1F", false), Number::Other);
        assert_eq!(number(b"123456789012345678901234567890", false), Number::Other);
        assert_eq!(number(b"", false), Number::Invalid);
        assert_eq!(number(b"seven", false), Number::Invalid);
    }

    #[test]
    fn strings_lose_their_quotes_and_escapes() {
        assert_eq!(quoted(b"'a\\x41\\101\\n\\'\\q'").unwrap(), b"aAA\n'\\q");
        assert_eq!(quoted(b"\"x\" ").unwrap(), b"x");
        assert_eq!(quoted(b"'x\""), None);
        assert_eq!(quoted(b"'"), None);
        assert_eq!(unescape(b"\\x4\\"), b"\\x4\\");
    }

    #[test]
    fn unicode_escapes_hide_no_letter() {
        assert_eq!(raw_unicode(b"\\u0073ystem"), b"system");
        assert_eq!(raw_unicode(b"\\U00000073\\u00e9\xe9"), "s\u{e9}\u{e9}".as_bytes());
        assert_eq!(raw_unicode(b"\\\\u0073"), b"\\\\u0073");
        assert_eq!(raw_unicode(b"\\ud800"), "\u{fffd}".as_bytes());
    }
}
