//! What a cell holds. A cheap look at its bytes comes first: most cells have neither `@` nor enough digits.

use gauntlet_patterns::{Dialect, Families, PatternError, Scanner};

use super::Kind;

/// Fewest digits of a telephone number.
const FEWEST_DIGITS: usize = 7;
/// Longest cell that is searched whole; beyond it, pieces of this size with an overlap.
const PIECE: usize = 1 << 20;
const OVERLAP: usize = 512;

/// What one value holds, by [`Kind::index`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The first match of each kind.
    pub(crate) matched: [Option<std::ops::Range<usize>>; 3],
    /// Whether the match is the whole value.
    pub(crate) whole: [bool; 3],
    /// Whether the value is 13 to 19 digits and nothing else.
    pub(crate) digit_run: bool,
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

    /// Whether any value inside `bytes` (many values behind each other) may hold something.
    pub(crate) fn may_hold(bytes: &[u8]) -> bool {
        bytes.iter().any(|&b| b == b'@' || b.is_ascii_digit())
    }

    /// Looks at one value; `None` when it holds nothing. `phone` says that the column is called one.
    pub(crate) fn look(&self, value: &[u8], phone: bool) -> Option<Seen> {
        let (mut digits, mut at_sign) = (0, false);
        for &b in value {
            digits += usize::from(b.is_ascii_digit());
            at_sign |= b == b'@';
        }
        if digits < FEWEST_DIGITS && !at_sign {
            return None;
        }
        let mut seen = Seen::default();
        if at_sign && let Some(range) = email(value) {
            seen.note(Kind::Email, range, value);
        }
        if digits >= FEWEST_DIGITS {
            seen.digit_run = digits == value.len() && (13..=19).contains(&digits);
            self.numbers(value, &mut seen);
            if phone && digits <= 15 && value.iter().all(|b| b.is_ascii_digit() || b" +-()./".contains(b)) {
                seen.note(Kind::Phone, 0..value.len(), value);
            }
        }
        (seen.digit_run || seen.matched.iter().any(Option::is_some)).then_some(seen)
    }

    fn numbers(&self, value: &[u8], seen: &mut Seen) {
        let mut start = 0;
        while start < value.len() {
            let end = value.len().min(start + PIECE);
            for found in self.scanner.scan(&value[start..end], Families::PERSONAL, Dialect::Prose).matches {
                let kind = match found.kind.as_str() {
                    "phone" => Kind::Phone,
                    "card" => Kind::Card,
                    _ => continue,
                };
                seen.note(kind, found.range.start + start..found.range.end + start, value);
            }
            if end == value.len() {
                break;
            }
            start = end - OVERLAP;
        }
    }
}

impl Seen {
    fn note(&mut self, kind: Kind, range: std::ops::Range<usize>, value: &[u8]) {
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
        well_formed.then_some(start..end)
    })
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
