//! What a cell holds. A cheap look at its bytes comes first: most cells have neither `@` nor enough digits.

use std::net::Ipv4Addr;
use std::ops::Range;

use gauntlet_patterns::{Confidence, Dialect, Families, Match, PatternError, Scanner};

use super::{KINDS, Kind};

/// Fewest digits of a telephone number.
const FEWEST_DIGITS: usize = 7;
/// Fewest digits of an internet address.
const FEWEST_ADDRESS_DIGITS: usize = 4;
/// Longest value that is read as the value of its column's name.
const MAX_NAMED: usize = 8 << 10;
/// Longest cell that is searched whole; beyond it, pieces of this size with an overlap.
const PIECE: usize = 1 << 20;
const OVERLAP: usize = 512;

/// What one value holds, by [`Kind::index`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The first match of each kind.
    pub(crate) matched: [Option<Range<usize>>; KINDS],
    /// Whether the match is the whole value.
    pub(crate) whole: [bool; KINDS],
    /// Whether the value is 13 to 19 digits and nothing else.
    pub(crate) digit_run: bool,
}

/// A credential in a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Secret {
    /// The pattern's kind, such as `aws-key`.
    pub(crate) kind: String,
    /// In words.
    pub(crate) title: String,
    /// Whether prefix, shape and checksum prove it.
    pub(crate) proven: bool,
    /// Where it stands in the value.
    pub(crate) range: Range<usize>,
}

/// Searches values.
#[derive(Debug)]
pub(crate) struct Search {
    scanner: Scanner,
}

impl Search {
    /// Builds the scanner.
    pub(crate) fn new() -> Result<Self, PatternError> {
        Ok(Self { scanner: Scanner::new()? })
    }

    /// Whether any value inside `bytes` (many values behind each other) may hold personal data.
    pub(crate) fn may_hold(bytes: &[u8]) -> bool {
        bytes.iter().any(|&b| b == b'@' || b.is_ascii_digit())
    }

    /// Places in `bytes` (many values behind each other) around which a secret may stand, in order of the keywords' ends.
    pub(crate) fn sift(&self, bytes: &[u8], visit: impl FnMut(usize)) {
        self.scanner.secret_candidates(bytes, visit);
    }

    /// The secrets of one value. `name` is the column's, when it says that the column holds credentials.
    pub(crate) fn secrets(&self, value: &[u8], name: Option<&str>) -> Vec<Secret> {
        let mut out = Vec::new();
        let mut add = |found: Vec<Match>, shift: usize, proven: bool| {
            for found in found {
                let (Some(start), end) =
                    (found.range.start.checked_sub(shift), found.range.end - shift.min(found.range.end))
                else {
                    continue;
                };
                let overlaps = out.iter().any(|s: &Secret| s.range.start < end && start < s.range.end);
                if end <= value.len() && !overlaps {
                    let proven = proven && found.confidence == Confidence::High;
                    out.push(Secret { kind: found.kind, title: found.title, proven, range: start..end });
                }
            }
        };
        for start in pieces(value.len()) {
            let piece = &value[start..value.len().min(start + PIECE)];
            let shifted = |found: Vec<Match>| {
                found.into_iter().map(|m| Match { range: m.range.start + start..m.range.end + start, ..m }).collect()
            };
            add(shifted(self.scanner.scan(piece, Families::SECRETS, Dialect::Prose).matches), 0, true);
            add(shifted(self.scanner.unproven(piece)), 0, false);
        }
        if let Some(name) = name.filter(|_| value.len() <= MAX_NAMED) {
            // As a line of a configuration file says it: the column's name is the name of the value.
            let head = format!("{name}=");
            let line = [head.as_bytes(), value].concat();
            add(self.scanner.scan(&line, Families::SECRETS, Dialect::Config).matches, head.len(), true);
        }
        out
    }

    /// Looks at one value; `None` when it holds nothing. `phone` says that the column is called one.
    pub(crate) fn look(&self, value: &[u8], phone: bool) -> Option<Seen> {
        let (mut digits, mut dots, mut colons, mut at_sign) = (0usize, 0usize, 0usize, false);
        for &b in value {
            digits += usize::from(b.is_ascii_digit());
            dots += usize::from(b == b'.');
            colons += usize::from(b == b':');
            at_sign |= b == b'@';
        }
        let address = digits >= FEWEST_ADDRESS_DIGITS && (dots >= 3 || colons >= 2);
        if digits < FEWEST_DIGITS && !at_sign && !address {
            return None;
        }
        let mut seen = Seen::default();
        if at_sign && let Some(range) = email(value) {
            seen.note(Kind::Email, range, value);
        }
        if digits >= FEWEST_DIGITS || address {
            seen.digit_run = digits == value.len() && (13..=19).contains(&digits);
            self.numbers(value, &mut seen);
            if dots >= 3
                && let Some(range) = documentation_address(value)
            {
                seen.note(Kind::Ip, range, value);
            }
            let written = || value.iter().all(|b| b.is_ascii_digit() || b" +-()./".contains(b));
            if phone && (FEWEST_DIGITS..=15).contains(&digits) && written() {
                seen.note(Kind::Phone, 0..value.len(), value);
            }
        }
        (seen.digit_run || seen.matched.iter().any(Option::is_some)).then_some(seen)
    }

    fn numbers(&self, value: &[u8], seen: &mut Seen) {
        for start in pieces(value.len()) {
            let end = value.len().min(start + PIECE);
            for found in self.scanner.scan(&value[start..end], Families::PERSONAL, Dialect::Prose).matches {
                let kind = match found.kind.as_str() {
                    "phone" => Kind::Phone,
                    "card" => Kind::Card,
                    "iban" => Kind::Iban,
                    "us-ssn" | "uk-nhs" => Kind::NationalId,
                    "passport" => Kind::Passport,
                    "ip-address" => Kind::Ip,
                    "crypto-address" => Kind::CryptoAddress,
                    _ => continue,
                };
                seen.note(kind, found.range.start + start..found.range.end + start, value);
            }
        }
    }
}

/// Where the pieces of a value of `length` bytes begin.
fn pieces(length: usize) -> impl Iterator<Item = usize> {
    (0..length).step_by(PIECE - OVERLAP).take_while(move |&start| start == 0 || start + OVERLAP < length)
}

/// An IPv4 address of the ranges for documentation (RFC 5737). Like addresses at example domains they count here: whoever
/// made them up stands in for people.
fn documentation_address(value: &[u8]) -> Option<Range<usize>> {
    let is_part = |b: u8| b.is_ascii_digit() || b == b'.';
    let mut at = 0;
    while let Some(start) = value.get(at..)?.iter().position(u8::is_ascii_digit).map(|n| at + n) {
        let end = start + value[start..].iter().take_while(|&&b| is_part(b)).count();
        let word = value[start..end].strip_suffix(b".").unwrap_or(&value[start..end]);
        let apart = start == 0 || !(value[start - 1].is_ascii_alphanumeric() || b"._-".contains(&value[start - 1]));
        let parsed = std::str::from_utf8(word).ok().filter(|_| apart).and_then(|w| w.parse::<Ipv4Addr>().ok());
        if parsed.is_some_and(|address| address.is_documentation()) {
            return Some(start..start + word.len());
        }
        at = end;
    }
    None
}

impl Seen {
    fn note(&mut self, kind: Kind, range: Range<usize>, value: &[u8]) {
        let i = kind.index();
        if self.matched[i].is_none() {
            self.whole[i] = value.trim_ascii().len() <= range.len();
            self.matched[i] = Some(range);
        }
    }
}

/// The first address of a value. Unlike in code, reserved domains count: a column of `@example.com` addresses is a column
/// of addresses, and whoever reads it next will not check the domain.
fn email(value: &[u8]) -> Option<std::ops::Range<usize>> {
    memchr::memchr_iter(b'@', value).take(64).find_map(|at| {
        let local = value[..at].iter().rev().take(64).take_while(|&&b| is_local(b)).count();
        let run = value[at + 1..]
            .iter()
            .take(253)
            .take_while(|&&b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
            .count();
        let domain = &value[at + 1..at + 1 + run];
        let domain = &domain[..domain.len() - domain.iter().rev().take_while(|&&b| b == b'.' || b == b'-').count()];
        let (start, end) = (at - local, at + 1 + domain.len());
        let well_formed = local > 0 && value[start] != b'.' && value[at - 1] != b'.' && is_domain(domain);
        (well_formed && !is_sample(&value[start..at], domain)).then_some(start..end)
    })
}

/// An address of documentation: a word that names no person, at a reserved domain.
fn is_sample(local: &[u8], domain: &[u8]) -> bool {
    const WORDS: [&str; 16] = [
        "docs", "user", "username", "name", "you", "your", "me", "test", "info", "admin", "support", "someone", "foo",
        "bar", "email", "example",
    ];
    let reserved =
        ["example.com", "example.org", "example.net"].iter().any(|d| domain.eq_ignore_ascii_case(d.as_bytes()));
    reserved && WORDS.iter().any(|word| local.eq_ignore_ascii_case(word.as_bytes()))
}

fn is_local(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"._%+-'".contains(&b)
}

fn is_domain(domain: &[u8]) -> bool {
    let labels: Vec<&[u8]> = domain.split(|&b| b == b'.').collect();
    let top = labels.last().copied().unwrap_or_default();
    labels.len() >= 2
        && labels.iter().all(|l| !l.is_empty() && l.len() <= 63 && !l.starts_with(b"-") && !l.ends_with(b"-"))
        && (2..=18).contains(&top.len())
        && top.iter().all(u8::is_ascii_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(value: &str) -> Vec<(Kind, bool)> {
        let search = Search::new().unwrap();
        let seen = search.look(value.as_bytes(), false).unwrap_or_default();
        Kind::ALL
            .into_iter()
            .filter(|k| seen.matched[k.index()].is_some())
            .map(|k| (k, seen.whole[k.index()]))
            .collect()
    }

    #[test]
    fn addresses_numbers_and_cards_are_told_apart() {
        assert_eq!(kinds("ana.b@mail.example.org"), [(Kind::Email, true)]);
        assert_eq!(kinds("mail user12345@example.com."), [(Kind::Email, false)]);
        assert_eq!(kinds("ring +49 30 55512345"), [(Kind::Phone, false)]);
        assert_eq!(kinds(&["4111", "1111", "1111", "1111"].join(" ")), [(Kind::Card, true)]);
        assert_eq!(kinds("4000001234567890"), [], "no check digit");
        for nothing in ["a@b", "@home", "x@y.1", "12345678", "2026-11-21", "", "price 1234.50"] {
            assert_eq!(kinds(nothing), [], "{nothing}");
        }
    }

    #[test]
    fn accounts_identity_numbers_and_addresses_are_found() {
        assert_eq!(kinds(&["iban GB82", "WEST", "1234", "5698", "7654", "32"].concat()), [(Kind::Iban, false)]);
        assert_eq!(kinds("her number is 219-46-7731"), [(Kind::NationalId, false)]);
        assert_eq!(kinds("from 203.0.113.5"), [(Kind::Ip, false)]);
        assert_eq!(kinds("81.2.69.142"), [(Kind::Ip, true)]);
        for nothing in ["pod at 10.2.33.4 restarted", "version 10.2.33.4", "docs@example.com", "v203.0.113.5", "::1"] {
            assert_eq!(kinds(nothing), [], "{nothing}");
        }
    }

    #[test]
    fn secrets_are_proven_or_likely_and_a_name_proves_random_values() {
        let search = Search::new().unwrap();
        let found = |value: &str, name: Option<&str>| {
            let list = search.secrets(value.as_bytes(), name);
            list.into_iter().map(|s| (s.kind, s.proven, value[s.range].to_owned())).collect::<Vec<_>>()
        };
        let key = ["AK", "IA", "QYLPMN5HFIQ7ZKRT"].concat();
        assert_eq!(found(&format!("key {key}"), None), [("aws-key".to_owned(), true, key)]);
        let cut = ["gh", "p_", "Zk3v9QpLr8sTn2WxYb7Hc5JdEf1Gm4Ka0q"].concat();
        assert_eq!(found(&cut, None), [("github-token".to_owned(), false, cut.clone())]);
        let word = ["Zk3v9QpLr8", "sTn2WxYb7H"].concat();
        assert_eq!(found(&word, None), []);
        assert_eq!(found(&word, Some("api_key")), [("generic-secret".to_owned(), true, word.clone())]);
        assert_eq!(found("none", Some("api_key")), []);
    }

    #[test]
    fn digits_in_a_phone_column_are_numbers() {
        let search = Search::new().unwrap();
        for value in ["01701234567", "0170 / 123 45 67", "491701234567"] {
            assert!(search.look(value.as_bytes(), true).unwrap().whole[Kind::Phone.index()], "{value}");
        }
        assert_eq!(search.look(b"room 1234567", true), None);
    }

    #[test]
    fn long_cells_are_searched_to_the_end() {
        let text = format!("{} +49 30 55512345", "word ".repeat(500_000));
        assert_eq!(kinds(&text), [(Kind::Phone, false)]);
    }
}
