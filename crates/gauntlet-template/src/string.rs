//! String literals as Jinja reads them: Python's escapes.

/// The text of a literal, and whether an escape hid letters that could have been written plainly.
///
/// Jinja decodes with Python's `unicode-escape`; an unknown escape keeps its backslash. `None` for what Python refuses.
pub(crate) fn unescape(body: &str) -> Option<(String, bool)> {
    if !body.contains('\\') {
        return Some((body.to_owned(), false));
    }
    let mut out = String::with_capacity(body.len());
    let mut hidden = false;
    let mut chars = body.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let mut coded = true;
        let decoded = match chars.next()? {
            '\n' => continue,
            '\r' => {
                if chars.clone().next() == Some('\n') {
                    chars.next();
                }
                continue;
            }
            'x' => digits(&mut chars, 2)?,
            'u' => digits(&mut chars, 4)?,
            'U' => digits(&mut chars, 8)?,
            'N' => named(&mut chars)?,
            first @ '0'..='7' => {
                let mut value = first.to_digit(8)?;
                for _ in 0..2 {
                    let Some(digit) = chars.clone().next().and_then(|c| c.to_digit(8)) else { break };
                    chars.next();
                    value = value * 8 + digit;
                }
                character(value)
            }
            other => {
                coded = false;
                plain(other, &mut out)
            }
        };
        hidden |= coded && (decoded.is_ascii_alphanumeric() || decoded == '_');
        out.push(decoded);
    }
    Some((out, hidden))
}

/// Escapes of one letter; one that is none stays as it is, backslash included.
fn plain(c: char, out: &mut String) -> char {
    match c {
        '\\' | '\'' | '"' => c,
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        other => {
            out.push('\\');
            other
        }
    }
}

fn digits(chars: &mut std::str::Chars<'_>, count: usize) -> Option<char> {
    let mut value = 0u32;
    for _ in 0..count {
        value = value.checked_mul(16)?.checked_add(chars.next()?.to_digit(16)?)?;
    }
    (value <= 0x10_ffff).then(|| character(value))
}

/// Half of a surrogate pair is no character of ours; no attribute has one in its name either.
fn character(value: u32) -> char {
    char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// `\N{LOW LINE}`: the names that attributes can be spelled with. Any other character stands for itself as unknown.
fn named(chars: &mut std::str::Chars<'_>) -> Option<char> {
    if chars.next()? != '{' {
        return None;
    }
    let rest = chars.as_str();
    let (name, after) = rest.split_once('}')?;
    *chars = after.chars();
    let name = name.to_ascii_uppercase();
    if let Some(letter) = name.strip_prefix("LATIN SMALL LETTER ").filter(|letter| letter.len() == 1) {
        return letter.chars().next().map(|c| c.to_ascii_lowercase());
    }
    if let Some(letter) = name.strip_prefix("LATIN CAPITAL LETTER ").filter(|letter| letter.len() == 1) {
        return letter.chars().next();
    }
    Some(match name.as_str() {
        "LOW LINE" => '_',
        "FULL STOP" => '.',
        "LEFT CURLY BRACKET" => '{',
        "RIGHT CURLY BRACKET" => '}',
        "DIGIT ZERO" => '0',
        "DIGIT ONE" => '1',
        "DIGIT TWO" => '2',
        _ => char::REPLACEMENT_CHARACTER,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_decode_as_in_python() {
        for (body, text, hidden) in [
            (r"\x5f\x5fclass\x5f\x5f", "__class__", true),
            (r"\137\137mro", "__mro", true),
            (r"\u005f\U0000005f", "__", true),
            (r"\N{LOW LINE}\N{latin small letter a}", "_a", true),
            (r"<|end|>\n\n", "<|end|>\n\n", false),
            (r"\d\\", "\\d\\", false),
            ("plain", "plain", false),
        ] {
            let (decoded, found) = unescape(body).unwrap();
            assert_eq!(decoded, text);
            assert_eq!(found, hidden, "{body}");
        }
        for refused in [r"\x5", r"\u12", r"\U00110000", r"\N{LOW", "\\"] {
            assert_eq!(unescape(refused), None, "{refused}");
        }
    }
}
