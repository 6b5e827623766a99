//! What has to hold for the text of a module before it is parsed: the parser's time is exponential in nested brackets.

use crate::outcome::Why;

/// Longest module that is read.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// Deepest nesting of brackets of all kinds. The parser needs about 0.1 s for twelve, and 1.7 times that for each one more.
const MAX_DEPTH: usize = 12;
/// Longest run of operators and dots in one expression; parsing and dropping such chains recurses.
const MAX_CHAIN: usize = 400;

/// Holds the text against length, bracket depth and chain length.
pub(super) fn check(path: &str, text: &str) -> Result<(), (Why, String)> {
    if text.len() > MAX_BYTES {
        return Err((Why::NotParsable, format!("{path}: is {} bytes long; at most {MAX_BYTES} are read", text.len())));
    }
    let mut depth = 0_usize;
    let mut chain = 0_usize;
    let mut line = 1_u64;
    let mut last = b' ';
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\n' => {
                line += 1;
                // A statement ends with its line unless the line ends in an operator.
                if !matches!(last, b'+' | b'-' | b'*' | b'/' | b'%' | b'&' | b'|' | b'.' | b'(' | b'[') {
                    chain = 0;
                }
            }
            b'#' => while bytes.next_if(|b| *b != b'\n').is_some() {},
            b'"' => skip_string(&mut bytes)
                .ok_or_else(|| (Why::NotParsable, format!("{path}:{line}: a string does not end on its line")))?,
            b'`' => {
                let begun = line;
                loop {
                    match bytes.next() {
                        Some(b'`') => break,
                        Some(b) => line += u64::from(b == b'\n'),
                        None => return Err((Why::NotParsable, format!("{path}:{begun}: a raw string does not end"))),
                    }
                }
            }
            b'[' | b'{' | b'(' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err((Why::TooDeep, format!("{path}:{line}: more than {MAX_DEPTH} brackets are nested")));
                }
            }
            b']' | b'}' | b')' => depth = depth.saturating_sub(1),
            b'.' | b'+' | b'-' | b'*' | b'/' | b'%' | b'&' | b'|' | b'!' | b'=' | b'<' | b'>' => {
                chain += 1;
                if chain > MAX_CHAIN {
                    return Err((Why::TooDeep, format!("{path}:{line}: more than {MAX_CHAIN} operators in a row")));
                }
            }
            b',' | b';' => chain = 0,
            _ => {}
        }
        if !byte.is_ascii_whitespace() && byte != b'#' {
            last = byte;
        }
    }
    Ok(())
}

fn skip_string(bytes: &mut impl Iterator<Item = u8>) -> Option<()> {
    loop {
        match bytes.next()? {
            b'"' => return Some(()),
            b'\\' => {
                bytes.next()?;
            }
            b'\n' => return None,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_modules_pass() {
        assert_eq!(
            check("a.rego", "package a\nx := [1, {\"a[[[[[[[[[[[[[[\": `((((((((((((((`}] # [[[[[[[[[[[[[[[\n"),
            Ok(())
        );
    }

    #[test]
    fn deep_brackets_are_refused_before_parsing() {
        let (why, detail) = check("a.rego", &format!("package a\nx := {}", "[".repeat(20))).unwrap_err();
        assert_eq!(why, Why::TooDeep);
        assert!(detail.starts_with("a.rego:2: "), "{detail}");
        for deep in ["({".repeat(7), "[{(".repeat(5)] {
            assert_eq!(check("a.rego", &deep).unwrap_err().0, Why::TooDeep);
        }
    }

    #[test]
    fn endless_chains_are_refused() {
        for link in [".a", "+1", "-", " +\n1", " + # more\n1"] {
            let text = format!("package a\nx := a{}", link.repeat(2_000));
            assert_eq!(check("a.rego", &text).unwrap_err().0, Why::TooDeep, "{link:?}");
        }
    }

    #[test]
    fn open_strings_and_huge_files_are_refused() {
        for text in ["x := \"abc", "x := \"abc\n\"", "x := `abc"] {
            assert_eq!(check("a.rego", text).unwrap_err().0, Why::NotParsable, "{text}");
        }
        assert_eq!(check("a.rego", &" ".repeat(MAX_BYTES + 1)).unwrap_err().0, Why::NotParsable);
    }

    /// Any damage to a module is read to its end or refused, in time linear in its length.
    #[test]
    fn damaged_modules_are_refused_or_read() {
        let seed = include_str!("../../../../policies/baseline/baseline.rego").as_bytes();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).unwrap()
        };
        for _ in 0..2_000 {
            let mut bytes = seed.to_vec();
            for _ in 0..=next(4) {
                let at = next(bytes.len());
                match next(4) {
                    0 => bytes.truncate(at.max(1)),
                    1 => bytes[at] = b"\"`\\[{(#\n."[next(9)],
                    2 => bytes[at] ^= 1 << next(8),
                    _ => {
                        let from = next(bytes.len());
                        let piece = bytes[from..(from + next(40)).min(bytes.len())].to_vec();
                        bytes.splice(at..at, piece);
                    }
                }
            }
            let _ = check("damaged.rego", &String::from_utf8_lossy(&bytes));
        }
    }
}
