//! What texts look like: lengths, alphabet, and the pattern of their characters.

use std::collections::BTreeMap;

use crate::codec::{DecodeError, Reader, Writer};

/// Characters of a pattern that are kept.
const KEPT: usize = 32;

/// One text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) chars: u64,
    pub(crate) digits: u64,
    pub(crate) ascii: bool,
}

impl Shape {
    /// `text` is UTF-8, or bytes that count as characters.
    pub(crate) fn of(text: &[u8], utf8: bool) -> Self {
        let ascii = text.is_ascii();
        let chars = if ascii || !utf8 { text.len() } else { text.iter().filter(|&&b| b & 0xc0 != 0x80).count() };
        let digits = text.iter().filter(|b| b.is_ascii_digit()).count();
        Self { chars: chars as u64, digits: digits as u64, ascii }
    }
}

/// All texts of a column. For binary columns lengths are in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextStats {
    /// Texts.
    pub count: u64,
    /// Characters of the shortest.
    pub shortest: u64,
    /// Characters of the longest.
    pub longest: u64,
    /// Characters of all.
    pub chars: u64,
    /// Texts of nothing but ASCII.
    pub ascii: u64,
    /// ASCII digits of all texts.
    pub digits: u64,
    /// Texts of nothing but ASCII digits.
    pub numeric: u64,
    /// Texts without a character.
    pub empty: u64,
}

#[expect(clippy::cast_precision_loss, reason = "shares")]
impl TextStats {
    /// Characters of the average text.
    #[must_use]
    pub fn mean_length(&self) -> Option<f64> {
        (self.count > 0).then(|| self.chars as f64 / self.count as f64)
    }

    /// Share of texts that are ASCII only.
    #[must_use]
    pub fn ascii_share(&self) -> Option<f64> {
        (self.count > 0).then(|| self.ascii as f64 / self.count as f64)
    }

    /// Share of characters that are digits.
    #[must_use]
    pub fn digit_share(&self) -> Option<f64> {
        (self.chars > 0).then(|| self.digits as f64 / self.chars as f64)
    }

    #[inline]
    pub(crate) fn add(&mut self, shape: Shape, times: u64) {
        let first = self.count == 0;
        self.shortest = if first { shape.chars } else { self.shortest.min(shape.chars) };
        self.longest = self.longest.max(shape.chars);
        self.count += times;
        self.chars = self.chars.saturating_add(shape.chars.saturating_mul(times));
        self.digits = self.digits.saturating_add(shape.digits.saturating_mul(times));
        self.ascii += if shape.ascii { times } else { 0 };
        self.numeric += if shape.digits == shape.chars && shape.chars > 0 { times } else { 0 };
        self.empty += if shape.chars == 0 { times } else { 0 };
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.shortest = if self.count == 0 { other.shortest } else { self.shortest.min(other.shortest) };
        self.longest = self.longest.max(other.longest);
        self.count += other.count;
        self.chars = self.chars.saturating_add(other.chars);
        self.digits = self.digits.saturating_add(other.digits);
        self.ascii += other.ascii;
        self.numeric += other.numeric;
        self.empty += other.empty;
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        for n in self.fields() {
            out.count(n);
        }
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut next = || input.count();
        Ok(Self {
            count: next()?,
            shortest: next()?,
            longest: next()?,
            chars: next()?,
            ascii: next()?,
            digits: next()?,
            numeric: next()?,
            empty: next()?,
        })
    }

    fn fields(&self) -> [u64; 8] {
        [self.count, self.shortest, self.longest, self.chars, self.ascii, self.digits, self.numeric, self.empty]
    }

    /// For the canonical form.
    pub(crate) fn named(&self) -> BTreeMap<&'static str, u64> {
        let names = ["count", "shortest", "longest", "chars", "ascii", "digits", "numeric", "empty"];
        names.into_iter().zip(self.fields()).collect()
    }
}

/// The pattern of a text's first characters, in `out`: `A` for capitals, `a` for other letters, `9` for digits, everything
/// else as it is, runs once. Returns its length.
#[inline]
pub(crate) fn pattern(text: &[u8], out: &mut [u8; KEPT]) -> usize {
    let mut n = 0;
    let mut before = 0u8;
    for &byte in text {
        let class = CLASS[usize::from(byte)];
        if class != before {
            let Some(slot) = out.get_mut(n) else { break };
            *slot = class;
            n += 1;
            before = class;
        }
    }
    n
}

/// Classes of bytes. Bytes of characters beyond ASCII are letters: nearly all of them are, and a table cannot know the rest.
static CLASS: [u8; 256] = {
    let mut table = [b'a'; 256];
    let mut i = 0;
    while i < 128 {
        let byte = i as u8;
        table[i] = match byte {
            b'A'..=b'Z' => b'A',
            b'a'..=b'z' => b'a',
            b'0'..=b'9' => b'9',
            b'\t' | b'\n' | b'\r' => b' ',
            0..=31 | 127 => b'?',
            other => other,
        };
        i += 1;
    }
    table
};

/// A pattern's buffer.
pub(crate) const fn buffer() -> [u8; KEPT] {
    [0; KEPT]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_collapse_runs() {
        let of = |text: &str| {
            let mut out = buffer();
            let n = pattern(text.as_bytes(), &mut out);
            String::from_utf8(out[..n].to_vec()).unwrap()
        };
        assert_eq!(of("Ab-12 über"), "Aa-9 a");
        assert_eq!(of("2026-11-21"), "9-9-9");
        assert_eq!(of(""), "");
        assert_eq!(of(&"a1".repeat(40)).len(), KEPT);
    }

    #[test]
    fn lengths_are_characters() {
        let s = Shape::of("é12".as_bytes(), true);
        assert_eq!((s.chars, s.digits, s.ascii), (3, 2, false));
    }
}
