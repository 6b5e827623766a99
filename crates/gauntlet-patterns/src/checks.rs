//! Proof and disproof of candidates: checksums, decoded structure, entropy, placeholders.

use crate::alphabet::{BASE64, DIGIT, HEX, LETTER, LOWER, UPPER, URLSAFE};

/// Whether the last six characters are the base62 CRC-32 of the characters before them, as GitHub and npm mint tokens.
///
/// Source: GitHub engineering blog, "Behind GitHub's new authentication token formats" (2021).
pub(crate) fn crc_base62_holds(body: &[u8]) -> bool {
    let Some(split) = body.len().checked_sub(6) else { return false };
    let (payload, check) = body.split_at(split);
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rest = crc32fast::hash(payload) as usize;
    let mut expected = [b'0'; 6];
    for slot in expected.iter_mut().rev() {
        *slot = DIGITS[rest % 62];
        rest /= 62;
    }
    check == expected
}

/// Shannon entropy of the bytes, in bits for each byte; 0 for nothing.
pub(crate) fn entropy(text: &[u8]) -> f64 {
    if text.is_empty() {
        return 0.0;
    }
    let mut counts = [0u32; 256];
    for &b in text {
        counts[usize::from(b)] += 1;
    }
    let total = text.len() as f64;
    counts.iter().filter(|&&n| n > 0).map(|&n| f64::from(n) / total).map(|p| -p * p.log2()).sum()
}

/// How many of the four classes lower case, upper case, digit, other occur.
pub(crate) fn classes(text: &[u8]) -> usize {
    let any = |test: &dyn Fn(u8) -> bool| usize::from(text.iter().any(|&b| test(b)));
    any(&|b| LOWER.has(b)) + any(&|b| UPPER.has(b)) + any(&|b| DIGIT.has(b)) + any(&|b| !LETTER.has(b) && !DIGIT.has(b))
}

/// Whether `value` stands for a secret rather than being one: masks, samples, variables.
pub(crate) fn is_placeholder(value: &[u8]) -> bool {
    const WORDS: &[&str] = &[
        "example",
        "changeme",
        "change-me",
        "change_me",
        "placeholder",
        "dummy",
        "sample",
        "your",
        "redacted",
        "insert",
        "replace",
        "todo",
        "fixme",
        "notreal",
        "not-real",
        "not_real",
        "fake",
        "secret_here",
        "key_here",
        "token_here",
        "deadbeef",
        "foobar",
        "lorem",
    ];
    const SIGNS: &[&str] = &["${", "{{", "}}", "<", ">", "...", "\u{2026}", "***", "$(", "%(", "%s"];
    let lower = value.to_ascii_lowercase();
    let has = |needle: &str| find(&lower, needle.as_bytes()).is_some();
    WORDS.iter().any(|w| has(w)) || SIGNS.iter().any(|s| has(s)) || is_repetitive(&lower)
}

/// The first place of `needle`. Needles are short and texts bounded, so the plain search is right.
pub(crate) fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len().max(1)).position(|w| w == needle)
}

/// `xxxx...`, `1234567890`, `abcabcabc`: six equal bytes in a row, six counting up, or few distinct bytes for the length.
fn is_repetitive(lower: &[u8]) -> bool {
    let (mut same, mut rising) = (1, 1);
    for pair in lower.windows(2) {
        same = if pair[0] == pair[1] { same + 1 } else { 1 };
        rising =
            if pair[0].checked_add(1) == Some(pair[1]) && pair[0].is_ascii_alphanumeric() { rising + 1 } else { 1 };
        if same >= 6 || rising >= 6 {
            return true;
        }
    }
    let mut seen = [false; 256];
    lower.iter().for_each(|&b| seen[usize::from(b)] = true);
    let distinct = seen.iter().filter(|&&s| s).count();
    lower.len() >= 12 && distinct <= lower.len().min(20) / 4
}

/// Whether the value is a digest or an id rather than a secret: hexadecimal of a hash length, or a UUID.
pub(crate) fn is_digest_like(value: &[u8]) -> bool {
    let hex = value.iter().all(|&b| HEX.has(b.to_ascii_lowercase()));
    (hex && matches!(value.len(), 32 | 40 | 56 | 64 | 96 | 128)) || is_uuid(value)
}

/// Eight, four, four, four and twelve hexadecimal digits.
pub(crate) fn is_uuid(value: &[u8]) -> bool {
    value.len() == 36
        && value
            .iter()
            .enumerate()
            .all(|(i, &b)| if matches!(i, 8 | 13 | 18 | 23) { b == b'-' } else { HEX.has(b.to_ascii_lowercase()) })
}

/// Decodes base64 (either alphabet) until the first foreign byte or `most` bytes of output. Padding ends it.
pub(crate) fn decode_base64(text: &[u8], most: usize) -> Vec<u8> {
    let (mut out, mut bits, mut held) = (Vec::new(), 0u32, 0u32);
    for &b in text {
        let value = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => break,
        };
        bits = (bits << 6 | u32::from(value)) & 0xFFFF;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
            if out.len() >= most {
                break;
            }
        }
    }
    out
}

/// Whether `token` (three dotted parts) is a signed JWT: RFC 7515 header with an algorithm, RFC 7519 payload, signature.
pub(crate) fn is_jwt(token: &[u8]) -> bool {
    let mut parts = token.split(|&b| b == b'.');
    let (Some(header), Some(payload), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let object = |part: &[u8], key: &[u8]| {
        let text = decode_base64(part, 4096);
        part.iter().all(|&b| URLSAFE.has(b))
            && text.starts_with(b"{\"")
            && text.ends_with(b"}")
            && find(&text, key).is_some()
    };
    // The token that the documentation of every JWT library shows.
    let sample = find(&decode_base64(payload, 256), b"\"sub\":\"1234567890\"").is_some();
    object(header, b"\"alg\"") && object(payload, b"\":") && signature.len() >= 20 && !sample
}

/// Whether a PEM body starts like a key: DER sequence, or the magic of OpenSSH (PROTOCOL.key) or PGP (a packet tag).
pub(crate) fn is_key_body(base64: &[u8]) -> bool {
    let head = decode_base64(base64, 16);
    base64.iter().all(|&b| BASE64.has(b))
        && (head.first() == Some(&0x30)
            || head.starts_with(b"openssh-key-v1")
            || head.first().is_some_and(|b| b & 0x80 != 0))
}

/// ISO/IEC 7812-1 check digit over ASCII digits.
pub(crate) fn luhn_holds(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, &d)| {
            let d = u32::from(d.wrapping_sub(b'0'));
            if i % 2 == 0 { d } else { d * 2 - if d > 4 { 9 } else { 0 } }
        })
        .sum();
    !digits.is_empty() && sum.is_multiple_of(10)
}

/// ISO 7064 MOD 97-10 as ISO 13616 applies it to an IBAN without spaces.
pub(crate) fn iban_holds(iban: &[u8]) -> bool {
    if iban.len() < 5 {
        return false;
    }
    let rotated = iban[4..].iter().chain(&iban[..4]);
    let rest = rotated.fold(0u32, |rest, &b| match b {
        b'0'..=b'9' => (rest * 10 + u32::from(b - b'0')) % 97,
        b'A'..=b'Z' => (rest * 100 + u32::from(b - b'A') + 10) % 97,
        _ => 0,
    });
    rest == 1
}

/// NHS number: ten digits, the last one is the weighted sum modulo 11 (NHS Data Dictionary).
pub(crate) fn nhs_holds(digits: &[u8]) -> bool {
    if digits.len() != 10 {
        return false;
    }
    let sum: u32 = digits[..9].iter().zip((2..=10).rev()).map(|(&d, w)| u32::from(d.wrapping_sub(b'0')) * w).sum();
    let check = (11 - sum % 11) % 11;
    check != 10 && u32::from(digits[9] - b'0') == check
}

/// BIP-173 and BIP-350 checksum of a lower-case `bc1` address.
pub(crate) fn bech32_holds(address: &[u8]) -> bool {
    const CHARSET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const GENERATOR: [u32; 5] = [0x3B6A_57B2, 0x2650_8E6D, 0x1EA1_19FA, 0x3D42_33DD, 0x2A14_62B3];
    let Some(data) = address.strip_prefix(b"bc1") else { return false };
    let mut sum = 1u32;
    let mut step = |value: u32| {
        let top = sum >> 25;
        sum = (sum & 0x1FF_FFFF) << 5 ^ value;
        for (i, g) in GENERATOR.iter().enumerate() {
            if top >> i & 1 == 1 {
                sum ^= g;
            }
        }
    };
    // The human part `bc`, expanded.
    [3, 3, 0, 2, 3].into_iter().for_each(&mut step);
    for &b in data {
        let Some(value) = CHARSET.iter().position(|&c| c == b) else { return false };
        step(value as u32);
    }
    sum == 1 || sum == 0x2BC8_30A3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_matches_a_token_minted_by_hand() {
        // crc32("000000000000000000000000000000") computed by the test, encoded independently of the code above.
        let payload = "0".repeat(30);
        let mut n = u64::from(crc32fast::hash(payload.as_bytes()));
        let mut tail = Vec::new();
        for _ in 0..6 {
            let d = (n % 62) as u8;
            tail.push(match d {
                0..=9 => b'0' + d,
                10..=35 => b'A' + d - 10,
                _ => b'a' + d - 36,
            });
            n /= 62;
        }
        tail.reverse();
        let mut body = payload.into_bytes();
        body.extend(tail);
        assert!(crc_base62_holds(&body));
        body[0] = b'1';
        assert!(!crc_base62_holds(&body));
        assert!(!crc_base62_holds(b"short"));
    }

    #[test]
    fn check_digits_follow_published_examples() {
        assert!(luhn_holds(b"79927398713"));
        assert!(!luhn_holds(b"79927398710"));
        assert!(iban_holds(b"GB82WEST12345698765432"));
        assert!(!iban_holds(b"GB82WEST12345698765433"));
        assert!(nhs_holds(b"9434765919"));
        assert!(!nhs_holds(b"9434765918"));
        // BIP-173 and BIP-350 test vectors.
        assert!(bech32_holds(b"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"));
        assert!(bech32_holds(b"bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"));
        assert!(!bech32_holds(b"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5"));
    }

    #[test]
    fn placeholders_are_told_from_values() {
        for text in [
            "xxxxxxxxxxxx",
            "<your key>",
            "${HF_TOKEN}",
            "AKIAIOSFODNN7EXAMPLE",
            "sk-...",
            "1234567890",
            "changeme",
            "aaaa-aaaa-aaaa",
        ] {
            assert!(is_placeholder(text.as_bytes()), "{text}");
        }
        for text in ["q7Jd0sPz!m4TqRx%81", "Zk3v9QpLr8sTn2Wx"] {
            assert!(!is_placeholder(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn base64_decodes_both_alphabets() {
        assert_eq!(decode_base64(b"eyJhbGciOiJIUzI1NiJ9", 100), b"{\"alg\":\"HS256\"}");
        assert_eq!(decode_base64(b"-_-_", 100), decode_base64(b"+/+/", 100));
        assert_eq!(decode_base64(b"AAAA", 2).len(), 2);
    }

    #[test]
    fn digests_and_uuids_are_recognised() {
        assert!(is_digest_like(&[b'a'; 40]));
        assert!(!is_digest_like(&[b'a'; 41]));
        assert!(is_uuid(b"123e4567-e89b-42d3-a456-426614174000"));
    }
}
