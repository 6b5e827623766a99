//! Numbers that lead to a person: cards, telephone numbers, social security and health numbers.

use crate::alphabet::{Alphabet, DIGIT, WORD};
use crate::checks::{luhn_holds, nhs_holds};
use crate::kinds::{Confidence, Match, Proof};
use crate::personal::{follows, personal};

/// Digits in groups, as people write long numbers.
struct Groups {
    /// All digits in order.
    digits: Vec<u8>,
    /// Digits in each group.
    sizes: Vec<usize>,
    /// The separator where there is one and it stays the same; `?` where it varies.
    separator: u8,
    /// Whether the first group stands in parentheses.
    parenthesised: bool,
    /// Whether a plus sign leads.
    plus: bool,
    /// First byte behind the last digit.
    end: usize,
}

/// The longest number that is read: an IBAN-like run is not ours, a card has 19 digits.
const MOST_DIGITS: usize = 24;

/// What the number at `at` is, if it is personal.
pub(crate) fn number(text: &[u8], at: usize) -> Option<Match> {
    let groups = groups(text, at)?;
    let before = at.checked_sub(1).and_then(|i| text.get(i));
    let after = text.get(groups.end);
    let decimal =
        |b: Option<&u8>, next: Option<&u8>| matches!(b, Some(b'.' | b',')) && next.is_some_and(|&n| DIGIT.has(n));
    let follows_number = matches!(before, Some(b'.' | b'-' | b'/')) && at >= 2 && WORD.has(text[at - 2]);
    if follows_number || after.is_some_and(|&b| WORD.has(b)) || decimal(after, text.get(groups.end + 1)) {
        return None;
    }
    let range = at..groups.end;
    let (kind, title, confidence, proof) = if is_card(&groups) {
        ("card", "Payment card number", Confidence::High, Proof::Checksum)
    } else if is_ssn(&groups) {
        ("us-ssn", "US social security number", Confidence::Medium, Proof::Shape)
    } else if groups.digits.len() == 10 && nhs_holds(&groups.digits) && follows(text, at, 32, &["nhs"]) {
        ("uk-nhs", "UK NHS number", Confidence::High, Proof::Checksum)
    } else {
        ("phone", "Telephone number", phone(text, at, &groups)?, Proof::Shape)
    };
    Some(personal(kind, title, range, confidence, proof))
}

/// Reads groups of digits with one blank, dash or dot between them.
fn groups(text: &[u8], at: usize) -> Option<Groups> {
    let mut g = Groups {
        digits: Vec::new(),
        sizes: Vec::new(),
        separator: 0,
        parenthesised: false,
        plus: text[at] == b'+',
        end: at,
    };
    let mut cursor = at + usize::from(g.plus);
    g.parenthesised = text.get(cursor) == Some(&b'(');
    cursor += usize::from(g.parenthesised);
    let mut closing = g.parenthesised;
    loop {
        let run = DIGIT.run(&text[cursor.min(text.len())..], MOST_DIGITS + 1);
        if run == 0 {
            break;
        }
        g.digits.extend_from_slice(&text[cursor..cursor + run]);
        if g.digits.len() > MOST_DIGITS {
            return None;
        }
        g.sizes.push(run);
        cursor += run;
        g.end = cursor;
        let mut next = cursor;
        if closing && text.get(next) == Some(&b')') {
            next += 1;
            closing = false;
            next += usize::from(text.get(next) == Some(&b' '));
        } else if let Some(&s) = text.get(next).filter(|&&b| matches!(b, b' ' | b'-' | b'.')) {
            // A group behind a blank may be the next number of a table.
            g.separator = if g.separator == 0 || g.separator == s { s } else { b'?' };
            next += 1;
            if text.get(next) == Some(&b'(') && g.plus {
                closing = true;
                next += 1;
            }
        }
        if next == cursor {
            break;
        }
        cursor = next;
    }
    (!g.sizes.is_empty()).then_some(g)
}

/// Issuer identification numbers and lengths (ISO/IEC 7812 ranges as published by the schemes).
fn is_card(g: &Groups) -> bool {
    let d = &g.digits;
    if g.plus || g.parenthesised || d.len() < 13 {
        return false;
    }
    let prefix = |n: usize| d[..n].iter().fold(0u32, |sum, &b| sum * 10 + u32::from(b - b'0'));
    let (two, three, four) = (prefix(2), prefix(3), prefix(4));
    let issuer = match d.len() {
        13 => d[0] == b'4' && g.separator != 0,
        14 => (300..=305).contains(&three) || matches!(two, 36 | 38),
        15 => matches!(two, 34 | 37),
        16 => {
            d[0] == b'4'
                || (51..=55).contains(&two)
                || (2221..=2720).contains(&four)
                || four == 6011
                || two == 65
                || (644..=649).contains(&three)
                || (3528..=3589).contains(&four)
                || two == 62
        }
        19 => d[0] == b'4' || two == 62 || four == 6011,
        _ => false,
    };
    let grouping = match g.sizes.as_slice() {
        [_] => true,
        [4, 6, 4 | 5] => true,
        [4, 4, 4, rest @ ..] => rest.iter().sum::<usize>() + 12 == d.len() && rest.len() <= 2,
        _ => false,
    };
    let varied = d.iter().any(|b| b != &d[0]);
    issuer && grouping && matches!(g.separator, 0 | b' ' | b'-') && varied && luhn_holds(d)
}

/// Area, group and serial that were issued (Social Security Administration: never 000, 666, 900 and above).
fn is_ssn(g: &Groups) -> bool {
    let number =
        |from: usize, to: usize| g.digits[from..to].iter().fold(0u32, |sum, &b| sum * 10 + u32::from(b - b'0'));
    g.sizes == [3, 2, 4]
        && matches!(g.separator, b'-' | b' ')
        && !g.plus
        && !matches!(number(0, 3), 0 | 666 | 900..)
        && number(3, 5) != 0
        && number(5, 9) != 0
        // Printed on samples and in advertisements.
        && g.digits != b"123456789"
        && g.digits != b"078051120"
        && g.digits != b"219099999"
}

/// A number with a country code, or in the groups of the North American plan, or announced by a word.
fn phone(text: &[u8], at: usize, g: &Groups) -> Option<Confidence> {
    let count = g.digits.len();
    if g.plus {
        return (country_fits(&g.digits) && (8..=15).contains(&count)).then_some(Confidence::High);
    }
    const NANP_FIRST: Alphabet = Alphabet::of(b"23456789");
    let nanp = |d: &[u8]| {
        d.len() == 10 && NANP_FIRST.has(d[0]) && NANP_FIRST.has(d[3]) && d[1..3] != *b"11" && d[3..6] != *b"555"
    };
    match g.sizes.as_slice() {
        [3, 3, 4] if nanp(&g.digits) && (g.parenthesised || g.separator != b'?') => {
            let likely = g.parenthesised || g.separator == b'-' || announced(text, at);
            Some(if likely { Confidence::High } else { Confidence::Medium })
        }
        [1, 3, 3, 4] if g.digits[0] == b'1' && nanp(&g.digits[1..]) && matches!(g.separator, b'-' | b'.') => {
            Some(Confidence::Medium)
        }
        // National writing with a trunk zero: groups, and a word that says so.
        [first, _, ..] if *first >= 2 && g.digits[0] == b'0' && (9..=12).contains(&count) && g.sizes.len() <= 6 => {
            announced(text, at).then_some(Confidence::Medium)
        }
        [10..=12] => (announced(text, at) && g.digits[0] != b'1').then_some(Confidence::Low),
        _ => None,
    }
}

fn announced(text: &[u8], at: usize) -> bool {
    follows(text, at, 24, &["phone", "mobile", "tel", "call", "fax", "whatsapp", "cell", "sms"])
}

/// Whether the digits start with a country code that exists and have a length that the country uses (ITU-T E.164
/// and national plans; ranges are those of subscriber numbers, country code included).
fn country_fits(d: &[u8]) -> bool {
    const PLANS: &[(&str, usize, usize)] = &[
        ("1", 11, 11),
        ("7", 11, 11),
        ("20", 11, 12),
        ("27", 11, 11),
        ("30", 12, 12),
        ("31", 11, 11),
        ("32", 10, 11),
        ("33", 11, 11),
        ("34", 11, 11),
        ("36", 10, 11),
        ("39", 10, 13),
        ("40", 11, 11),
        ("41", 11, 11),
        ("43", 9, 14),
        ("44", 11, 12),
        ("45", 10, 10),
        ("46", 9, 12),
        ("47", 10, 10),
        ("48", 11, 11),
        ("49", 9, 14),
        ("51", 10, 11),
        ("52", 12, 12),
        ("53", 10, 10),
        ("54", 12, 13),
        ("55", 12, 13),
        ("56", 11, 11),
        ("57", 12, 12),
        ("58", 12, 12),
        ("60", 10, 12),
        ("61", 11, 11),
        ("62", 10, 14),
        ("63", 11, 12),
        ("64", 10, 12),
        ("65", 10, 10),
        ("66", 10, 11),
        ("81", 11, 12),
        ("82", 10, 12),
        ("84", 10, 12),
        ("86", 12, 13),
        ("90", 12, 12),
        ("91", 12, 12),
        ("92", 11, 12),
        ("93", 11, 11),
        ("94", 11, 11),
        ("95", 9, 12),
        ("98", 12, 12),
    ];
    const THREE_DIGIT_ZONES: &[&str] = &[
        "21", "22", "23", "24", "25", "26", "29", "35", "37", "38", "42", "50", "59", "67", "68", "69", "80", "85",
        "87", "88", "96", "97", "99",
    ];
    let plan = PLANS.iter().find(|(code, ..)| d.starts_with(code.as_bytes()));
    plan.is_some_and(|&(_, least, most)| (least..=most).contains(&d.len()))
        || (THREE_DIGIT_ZONES.iter().any(|z| d.starts_with(z.as_bytes())) && (9..=15).contains(&d.len()))
}

#[cfg(test)]
mod tests {
    use crate::kinds::{Dialect, Families};
    use crate::scanner::Scanner;

    fn kinds(text: &str) -> Vec<String> {
        let scan = Scanner::new().unwrap().scan(text.as_bytes(), Families::PERSONAL, Dialect::Prose);
        scan.matches.into_iter().map(|m| m.kind).collect()
    }

    fn luhn(body: &str) -> String {
        (0..10).map(|d| format!("{body}{d}")).find(|n| crate::checks::luhn_holds(n.as_bytes())).unwrap()
    }

    #[test]
    fn cards_need_issuer_length_grouping_and_check_digit() {
        let card = luhn("453914880343646");
        assert_eq!(kinds(&format!("card {card} twice")), ["card"]);
        let spaced = format!("{} {} {} {}", &card[..4], &card[4..8], &card[8..12], &card[12..]);
        assert_eq!(kinds(&spaced), ["card"]);
        assert_eq!(kinds(&luhn("37828224631000")), ["card"]);
        assert!(kinds(&format!("{spaced} 2")).is_empty());
        assert!(kinds(&luhn("953914880343646")).is_empty());
        assert!(kinds("0000000000000000").is_empty());
        assert!(kinds("1700000000000").is_empty());
        assert!(kinds(&format!("{card}a")).is_empty());
    }

    #[test]
    fn telephone_numbers_need_a_country_code_or_separators() {
        for text in [
            "(212) 734-5561",
            "212-734-5561",
            "+44 7911 123456",
            "+33 6 12 34 56 78",
            "+49 151 23456789",
            "+91 98123 45678",
            "call 030 1234 5678",
        ] {
            assert_eq!(kinds(text), ["phone"], "{text}");
        }
        for text in [
            "2024-10-31 12:45:03",
            "3.14159265358979",
            "9780306406157",
            "2127345561",
            "+3 more",
            "100-200-300",
            "555-0100",
            "1.2.3",
            "381 seconds for 1200345",
        ] {
            assert!(kinds(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn social_security_numbers_must_have_been_issued() {
        assert_eq!(kinds("her number is 219-46-7731"), ["us-ssn"]);
        for text in ["666-46-7731", "000-46-7731", "987-46-7731", "123-45-678", "123-45-6789", "2024-10-3112"] {
            assert!(kinds(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn health_numbers_need_the_word_and_the_check_digit() {
        assert_eq!(kinds("NHS number 943 476 5919 on file"), ["uk-nhs"]);
        assert!(!kinds("NHS number 943 476 5918").contains(&"uk-nhs".to_owned()));
    }
}
