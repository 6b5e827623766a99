//! Which words and numbers of a table may be shown as they are.

use gauntlet_core::{MaskKey, Masked};

use crate::personal::{Search, of_persons};

/// Longest word that is shown.
const MAX_SHOWN: usize = 32;
/// A word that fewer rows have may tell who somebody is.
const MIN_ROWS: u64 = 20;
/// Values beyond which they are no names of categories.
const MAX_CATEGORIES: usize = 200;

/// Whether the values of a column with so many different ones may be shown at all: few, and not those of persons.
pub(super) fn categories(column: &str, distinct: usize) -> bool {
    distinct <= MAX_CATEGORIES && !of_persons(column)
}

/// What the values of a column are called before people, by their rows.
pub(super) fn namer<'a>(column: &str, distinct: usize, key: &'a MaskKey) -> impl Fn(&str, u64) -> String + 'a {
    let shown = categories(column, distinct);
    move |text, rows| word(text, if shown { rows } else { 0 }, key)
}

/// A category's name: as it is when many rows have it, it is short and holds nothing personal; else masked.
pub(super) fn word(text: &str, rows: u64, key: &MaskKey) -> String {
    let personal = text.contains('@') || text.bytes().filter(u8::is_ascii_digit).count() >= 6;
    let plain = rows >= MIN_ROWS && text.len() <= MAX_SHOWN && !text.chars().any(char::is_control);
    if text == gauntlet_drift::OTHER || plain && !personal && !Search::may_hold(text.as_bytes()) {
        text.to_owned()
    } else {
        Masked::new(text, 2, key).as_str().to_owned()
    }
}

/// Four significant digits.
pub(super) fn number(x: f64) -> String {
    if x == 0.0 || !x.is_finite() {
        return x.to_string();
    }
    let digits = 3 - x.abs().log10().floor().clamp(-300.0, 300.0) as i32;
    if digits <= 0 && x.abs() < 1e15 {
        let scale = 10_f64.powi(-digits);
        return ((x / scale).round() * scale).to_string();
    }
    let text = format!("{x:.*}", digits.clamp(0, 12) as usize);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "0" || text == "-0" || text.len() > 18 { format!("{x:.3e}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_many_are_shown_and_those_of_few_masked() {
        let key = MaskKey::for_project("");
        assert_eq!(word("PL", 500, &key), "PL");
        assert!(word("PL", 2, &key).contains('#'));
        assert!(word("user@example.com", 500, &key).contains('#'));
        assert!(categories("country", 12) && !categories("country", 500));
        assert!(!categories("customer_name", 12) && !categories("email", 3) && !categories("homeAddress", 3));
        assert!(word("+49 30 55512345", 500, &key).contains('#'));
    }

    #[test]
    fn numbers_are_rounded() {
        assert_eq!(number(123_456.7), "123500");
        assert_eq!(number(-0.001_234_56), "-0.001235");
        assert_eq!(number(3.0), "3");
        assert_eq!(number(0.0), "0");
    }
}
