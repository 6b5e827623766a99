//! What free text looks like: lengths, alphabet, words.

use std::collections::BTreeMap;

use gauntlet_drift::{clean_sorted, distances, ks_test};

/// Different words that are counted; later ones are one word.
const MAX_WORDS: usize = 1 << 17;
/// Bytes of a text that are looked at.
const MAX_BYTES: usize = 64 << 10;
/// Words of the reference that have a bin of their own.
const BINS: usize = 500;

/// Classes of characters.
const CLASSES: usize = 8;

/// The texts of a column.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    lengths: Vec<f64>,
    alphabet: [u64; CLASSES],
    words: BTreeMap<String, u64>,
    /// Occurrences of words that came after the table was full.
    uncounted: u64,
    tokens: u64,
}

impl Texts {
    /// Adds a text that so many rows have.
    pub(super) fn push(&mut self, text: &str, times: u64) {
        let length = text.chars().count() as f64;
        self.lengths.extend(std::iter::repeat_n(length, usize::try_from(times).unwrap_or(0)));
        let text = text.get(..text.floor_char_boundary(MAX_BYTES.min(text.len()))).unwrap_or_default();
        for c in text.chars() {
            if let Some(count) = self.alphabet.get_mut(class(c)) {
                *count += times;
            }
        }
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            self.tokens += times;
            let word = shape(word);
            if let Some(count) = self.words.get_mut(word.as_ref()) {
                *count += times;
            } else if self.words.len() < MAX_WORDS {
                self.words.insert(word.into_owned(), times);
            } else {
                self.uncounted += times;
            }
        }
    }
}

/// What differs between two columns of texts.
#[derive(Clone, Debug, Default)]
pub(super) struct TextDrift {
    pub(super) metrics: Vec<(&'static str, f64)>,
    /// Words of the batch that the reference never had, with their occurrences, most frequent first.
    pub(super) new_words: Vec<(String, u64)>,
}

pub(super) fn compare(reference: &Texts, current: &Texts) -> TextDrift {
    let mut out = TextDrift::default();
    let (a, b) = (clean_sorted(reference.lengths.clone()), clean_sorted(current.lengths.clone()));
    let (p, q) = gauntlet_drift::Bins::guarded(&a, &b).count_both(&a, &b);
    if let (Some(d), Some(test)) = (distances(&p, &q), ks_test(&a, &b)) {
        out.metrics.extend([("length_psi", d.psi), ("length_ks", test.statistic), ("length_ks_p", test.p)]);
    }
    if let Some(d) = distances(&reference.alphabet, &current.alphabet) {
        out.metrics.push(("alphabet_js", d.js));
    }
    let mut frequent: Vec<(&String, u64)> = reference.words.iter().map(|(word, n)| (word, *n)).collect();
    frequent.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    frequent.truncate(BINS);
    let mut p: Vec<u64> = frequent.iter().map(|(_, n)| *n).collect();
    let mut q: Vec<u64> = frequent.iter().map(|(word, _)| current.words.get(*word).copied().unwrap_or(0)).collect();
    p.push(reference.tokens.saturating_sub(p.iter().sum()));
    q.push(current.tokens.saturating_sub(q.iter().sum()));
    if let Some(d) = distances(&p, &q) {
        out.metrics.push(("token_js", d.js));
    }
    // A vocabulary that did not fit says nothing about what is new.
    if reference.uncounted == 0 && current.tokens > 0 {
        let mut new: Vec<(String, u64)> = current
            .words
            .iter()
            .filter(|(word, _)| !reference.words.contains_key(*word))
            .map(|(word, n)| (word.clone(), *n))
            .collect();
        let occurrences: u64 = new.iter().map(|(_, n)| n).sum::<u64>() + current.uncounted;
        out.metrics.push(("new_vocabulary", occurrences as f64 / current.tokens as f64));
        new.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        new.truncate(20);
        out.new_words = new;
    }
    out
}

/// Words with digits are known by their shape: numbers are always new, and no vocabulary.
fn shape(word: &str) -> std::borrow::Cow<'_, str> {
    if !word.bytes().any(|b| b.is_ascii_digit()) && word.len() <= 40 {
        return std::borrow::Cow::Owned(word.to_lowercase());
    }
    let mut out = String::new();
    for c in word.chars() {
        let c = if c.is_numeric() {
            '9'
        } else if c.is_uppercase() {
            'A'
        } else {
            'a'
        };
        if !out.ends_with(c) {
            out.push(c);
        }
        if out.len() >= 16 {
            break;
        }
    }
    std::borrow::Cow::Owned(out)
}

fn class(c: char) -> usize {
    match c {
        'a'..='z' => 0,
        'A'..='Z' => 1,
        '0'..='9' => 2,
        ' ' => 3,
        c if c.is_control() || c.is_whitespace() => 4,
        c if c.is_ascii() => 5,
        c if c.is_alphabetic() => 6,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &[&str]) -> Texts {
        let mut out = Texts::default();
        lines.iter().cycle().take(200).for_each(|line| out.push(line, 1));
        out
    }

    #[test]
    fn a_new_word_and_another_alphabet_are_seen() {
        let reference = texts(&["please send the bill", "call back later"]);
        let same = compare(&reference, &texts(&["call back later", "please send the bill"]));
        let value = |drift: &TextDrift, name: &str| drift.metrics.iter().find(|(n, _)| *n == name).unwrap().1;
        assert_eq!((value(&same, "token_js"), value(&same, "new_vocabulary")), (0.0, 0.0));
        let other = compare(&reference, &texts(&["please send the rechnung ÄÖÜ", "call back later 4711"]));
        assert!(value(&other, "token_js") > 0.2 && value(&other, "alphabet_js") > 0.2, "{other:?}");
        assert_eq!(other.new_words.iter().map(|(w, _)| w.as_str()).collect::<Vec<_>>(), ["9", "rechnung", "äöü"]);
    }
}
