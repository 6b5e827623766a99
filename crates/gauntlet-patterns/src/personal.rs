//! Personal data: one pass over the bytes that stops at `@`, digits, capitals and `bc1`.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::alphabet::{ALNUM, Alphabet, DIGIT, HEX, LETTER, LOWER_DIGIT, UPPER, UPPER_DIGIT, WORD};
use crate::checks::{bech32_holds, find, iban_holds};
use crate::digits;
use crate::kinds::{Confidence, Family, Match, Proof};

/// Adds what `text` holds to `out`. Every byte is visited a bounded number of times.
pub(crate) fn scan(text: &[u8], out: &mut Vec<Match>) {
    let first = out.len();
    let mut at = 0;
    while at < text.len() {
        let found = match text[at] {
            b'@' => email(text, at),
            // The middle of a word or number is no start.
            _ if at > 0 && WORD.has(text[at - 1]) && !after_escape(text, at) => None,
            b'0'..=b'9' | b'+' | b'(' => ip(text, at).or_else(|| digits::number(text, at)),
            b'A'..=b'Z' => iban(text, at).or_else(|| passport(text, at)),
            b'b' if text[at..].starts_with(b"bc1") => bitcoin(text, at),
            _ => None,
        }
        .or_else(|| {
            if HEX.has(text[at] | 0x20) && (at == 0 || !ALNUM.has(text[at - 1])) { ipv6(text, at) } else { None }
        });
        match found {
            Some(found) if replaces(&found, text, first, out) => {
                at = found.range.end.max(at + 1);
                out.push(found);
            }
            _ => at += 1,
        }
    }
}

/// Takes matches away that lie inside `found`, which only an address does that begins before its marker (the number in
/// `+49…@…`, its sign included). False when `found` cuts through one (`a@b.me@c.me`): the earlier one stays.
fn replaces(found: &Match, text: &[u8], first: usize, out: &mut Vec<Match>) -> bool {
    let sign = text[..found.range.start].ends_with(b"+");
    let start = found.range.start - usize::from(sign);
    let inside = out[first..].iter().rev().take_while(|m| m.range.start >= start).count();
    let kept = out.len() - inside;
    if kept > first && out[kept - 1].range.end > found.range.start {
        return false;
    }
    out.truncate(kept);
    true
}

/// A match of personal data.
pub(crate) fn personal(
    kind: &str,
    title: &str,
    range: std::ops::Range<usize>,
    confidence: Confidence,
    proof: Proof,
) -> Match {
    Match { family: Family::Personal, kind: kind.to_owned(), title: title.to_owned(), range, confidence, proof }
}

/// Whether one of `words` (lower case) stands in the `reach` bytes before `at`.
pub(crate) fn follows(text: &[u8], at: usize, reach: usize, words: &[&str]) -> bool {
    let before = text[at.saturating_sub(reach)..at].to_ascii_lowercase();
    words.iter().any(|w| find(&before, w.as_bytes()).is_some())
}

fn after_escape(text: &[u8], at: usize) -> bool {
    at >= 2 && text[at - 2] == b'\\' && matches!(text[at - 1], b'n' | b't' | b'r')
}

/// An address with a plausible domain; the marker is the `@` at `at`.
fn email(text: &[u8], at: usize) -> Option<Match> {
    const LOCAL: Alphabet = ALNUM.and(Alphabet::of(b"._%+-"));
    const DOMAIN: Alphabet = ALNUM.and(Alphabet::of(b".-"));
    let mut start = at - LOCAL.run_back(&text[..at], 64);
    if start >= 1 && text[start - 1] == b'\\' && matches!(text.get(start), Some(b'n' | b't' | b'r')) {
        start += 1;
    }
    while start < at && !ALNUM.has(text[start]) {
        start += 1;
    }
    let run = DOMAIN.run(&text[at + 1..], 253);
    let domain = text[at + 1..at + 1 + run].to_ascii_lowercase();
    let trimmed = domain.len() - domain.iter().rev().take_while(|&&b| b == b'.' || b == b'-').count();
    let domain = &domain[..trimmed];
    let (end, local) = (at + 1 + trimmed, &text[start..at]);
    let addressed = start > 0 && matches!(text[start - 1], b'/' | b':') && !follows(text, start, 7, &["mailto:"]);
    let git = local.eq_ignore_ascii_case(b"git") && text.get(end) == Some(&b':');
    (!local.is_empty()
        && !local.ends_with(b".")
        && !addressed
        && !git
        && is_plausible_domain(domain)
        && !is_machine(local, domain))
    .then(|| personal("email", "E-mail address", start..end, Confidence::High, Proof::Shape))
}

fn is_plausible_domain(domain: &[u8]) -> bool {
    // File names such as `icon@2x.png` look like addresses.
    const FILES: &[&str] = &[
        "png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "ts", "json", "yaml", "yml", "toml", "txt", "md",
        "html", "so", "gz", "zip", "whl",
    ];
    let mut labels = domain.split(|&b| b == b'.');
    let well_formed = labels.clone().count() >= 2
        && labels.clone().all(|l| !l.is_empty() && l.len() <= 63 && !l.starts_with(b"-") && !l.ends_with(b"-"));
    let top = labels.next_back().unwrap_or_default();
    well_formed
        && (2..=18).contains(&top.len())
        && top.iter().all(|&b| LETTER.has(b))
        && !FILES.iter().any(|f| top == f.as_bytes())
}

/// Reserved domains (RFC 2606, RFC 6761), and mailboxes that belong to no person.
fn is_machine(local: &[u8], domain: &[u8]) -> bool {
    const ENDS: &[&str] = &[
        ".example",
        ".test",
        ".invalid",
        ".localhost",
        ".local",
        ".internal",
        "example.com",
        "example.org",
        "example.net",
        ".gserviceaccount.com",
        "users.noreply.github.com",
    ];
    const BOXES: &[&str] = &["noreply", "no-reply", "donotreply", "do-not-reply", "mailer-daemon", "postmaster"];
    let local = local.to_ascii_lowercase();
    let reserved = ENDS.iter().any(|e| {
        domain.ends_with(e.as_bytes())
            && (e.starts_with('.') || e.len() == domain.len() || domain[domain.len() - e.len() - 1] == b'.')
    });
    reserved || BOXES.iter().any(|b| local == b.as_bytes())
}

/// Lengths by country, from the SWIFT IBAN registry.
const IBAN_LENGTHS: &[(&[u8; 2], usize)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BR", 29),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NL", 18),
    (b"NO", 15),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"SA", 24),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
];

/// An IBAN, written solid or in groups of four.
fn iban(text: &[u8], at: usize) -> Option<Match> {
    let head = text.get(at..at + 4)?;
    if !(UPPER.has(head[1]) && DIGIT.has(head[2]) && DIGIT.has(head[3])) {
        return None;
    }
    let &(_, length) = IBAN_LENGTHS.iter().find(|(country, _)| country.as_slice() == &head[..2])?;
    let (mut solid, mut end) = (Vec::with_capacity(34), at);
    while solid.len() < length {
        match *text.get(end)? {
            b if UPPER_DIGIT.has(b) => solid.push(b),
            b' ' if solid.len() % 4 == 0 => {}
            _ => return None,
        }
        end += 1;
    }
    let bounded = text.get(end).is_none_or(|&b| !WORD.has(b));
    (bounded && iban_holds(&solid))
        .then(|| personal("iban", "Bank account number (IBAN)", at..end, Confidence::High, Proof::Checksum))
}

/// One or two capitals and seven or eight digits, named a passport right before.
fn passport(text: &[u8], at: usize) -> Option<Match> {
    let letters = UPPER.run(&text[at..], 3);
    let digits = DIGIT.run(&text[at + letters..], 9);
    let end = at + letters + digits;
    let shaped = matches!((letters, digits), (1, 7 | 8) | (2, 6 | 7));
    let bounded = text.get(end).is_none_or(|&b| !WORD.has(b));
    (shaped && bounded && follows(text, at, 32, &["passport", "reisepass", "passeport", "pasaporte"]))
        .then(|| personal("passport", "Passport number", at..end, Confidence::Medium, Proof::Context))
}

fn bitcoin(text: &[u8], at: usize) -> Option<Match> {
    let run = LOWER_DIGIT.run(&text[at..], 91);
    ((26..=90).contains(&run) && bech32_holds(&text[at..at + run]))
        .then(|| personal("crypto-address", "Bitcoin address", at..at + run, Confidence::High, Proof::Checksum))
}

/// A public IPv4 address that is not introduced as a version.
fn ip(text: &[u8], at: usize) -> Option<Match> {
    const DOTTED: Alphabet = DIGIT.and(Alphabet::of(b"."));
    let mut run = DOTTED.run(&text[at..], 18);
    if run > 7 && text[at + run - 1] == b'.' {
        run -= 1;
    }
    let word = text[at..at + run].to_vec();
    if at > 0 && text[at - 1] == b'.' || text.get(at + run).is_some_and(|&b| WORD.has(b) || b == b'-') {
        return None;
    }
    let address: Ipv4Addr = String::from_utf8(word).ok()?.parse().ok()?;
    let named_version = follows(text, at, 14, &["version", "release", "ver.", "==", ">=", "<=", "~=", "oid"]);
    (is_public_v4(address) && !named_version)
        .then(|| personal("ip-address", "Public IP address", at..at + run, Confidence::Medium, Proof::Structure))
}

/// Addresses that lead to a subscriber: not private, shared, loopback, link-local, test, multicast or reserved
/// (IANA special-purpose registry), and not the public resolvers that configuration files name.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let reserved = a == 0 || a >= 224 || (a == 192 && b == 0 && c == 0) || (a == 198 && (b == 18 || b == 19));
    let resolver = matches!(address.octets(), [8, 8, 8, 8] | [8, 8, 4, 4] | [1, 1, 1, 1] | [1, 0, 0, 1] | [9, 9, 9, 9]);
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || shared
        || reserved
        || resolver)
}

/// A global unicast IPv6 address with all or most of its groups.
fn ipv6(text: &[u8], at: usize) -> Option<Match> {
    const SIGNS: Alphabet = HEX.and(Alphabet::of(b"ABCDEF:"));
    if at > 0 && text[at - 1] == b':' {
        return None;
    }
    let run = SIGNS.run(&text[at..], 40);
    let word = &text[at..at + run];
    // Times and MAC addresses have colons too; an address of use has four groups at least.
    if word.iter().filter(|&&b| b == b':').count() < 3 || text.get(at + run).is_some_and(|&b| WORD.has(b)) {
        return None;
    }
    let address: Ipv6Addr = std::str::from_utf8(word).ok()?.trim_end_matches(':').parse().ok()?;
    let [first, second, ..] = address.segments();
    let global = first & 0xE000 == 0x2000 && !(first == 0x2001 && second == 0x0DB8);
    global.then(|| personal("ip-address", "Public IP address", at..at + run, Confidence::Medium, Proof::Structure))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(String, String)> {
        let mut out = Vec::new();
        scan(text.as_bytes(), &mut out);
        out.into_iter().map(|m| (m.kind, text[m.range].to_owned())).collect()
    }

    fn silent(text: &str) {
        assert!(found(text).is_empty(), "{text}: {:?}", found(text));
    }

    #[test]
    fn mail_addresses_need_a_plausible_domain() {
        assert_eq!(found("write to ana.b+x@mail.acme.dev."), [("email".into(), "ana.b+x@mail.acme.dev".into())]);
        assert_eq!(found("\\nana@acme.dev"), [("email".into(), "ana@acme.dev".into())]);
        for text in [
            "user@example.com",
            "@dataclass",
            "a@b",
            "icon@2x.png",
            "git@github.com:acme/x",
            "x@y.iam.gserviceaccount.com",
            "https://u@acme.dev/",
            "noreply@acme.dev",
        ] {
            silent(text);
        }
    }

    #[test]
    fn accounts_need_their_check_digits() {
        assert_eq!(found("IBAN GB82 WEST 1234 5698 7654 32 please").len(), 1);
        assert_eq!(found("GB82WEST12345698765432").len(), 1);
        silent("GB82WEST12345698765433");
        silent("GB82WEST123456987654321");
    }

    #[test]
    fn only_public_addresses_count() {
        assert_eq!(found("login from 81.2.69.142 was blocked").len(), 1);
        assert_eq!(found("from 2a02:1f2:3a4:5b6:7c8:9d1:aef:1b2 seen").len(), 1);
        for text in [
            "10.2.33.4",
            "127.0.0.1",
            "192.168.1.4",
            "203.0.113.9",
            "version 81.2.69.142",
            "pkg==81.2.69.142",
            "1.2.3.4.5",
            "::1",
            "12:45:03",
            "2001:db8::1:2:3",
        ] {
            silent(text);
        }
    }

    #[test]
    fn passports_need_the_word() {
        assert_eq!(found("passport no. C01234567 expires").len(), 1);
        silent("bin C01234567 empty");
    }

    #[test]
    fn bitcoin_addresses_need_their_checksum() {
        assert_eq!(found("to bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4 today").len(), 1);
        silent("to bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5 today");
    }
}
