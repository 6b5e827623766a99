//! Sets of ASCII bytes that tokens are made of.

/// A set of ASCII bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alphabet(u128);

impl Alphabet {
    /// The set of the bytes in `bytes`; bytes above 127 are left out.
    pub(crate) const fn of(bytes: &[u8]) -> Self {
        let mut set = 0u128;
        let mut at = 0;
        while at < bytes.len() {
            if bytes[at] < 128 {
                set |= 1 << bytes[at];
            }
            at += 1;
        }
        Self(set)
    }

    /// Both sets together.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `byte` is in the set.
    pub(crate) const fn has(self, byte: u8) -> bool {
        byte < 128 && (self.0 >> byte) & 1 == 1
    }

    /// Length of the run of members at the start of `text`, at most `most`.
    pub(crate) fn run(self, text: &[u8], most: usize) -> usize {
        text.iter().take(most).take_while(|&&b| self.has(b)).count()
    }

    /// Length of the run of members at the end of `text`, at most `most`.
    pub(crate) fn run_back(self, text: &[u8], most: usize) -> usize {
        text.iter().rev().take(most).take_while(|&&b| self.has(b)).count()
    }
}

pub(crate) const DIGIT: Alphabet = Alphabet::of(b"0123456789");
pub(crate) const UPPER: Alphabet = Alphabet::of(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ");
pub(crate) const LOWER: Alphabet = Alphabet::of(b"abcdefghijklmnopqrstuvwxyz");
pub(crate) const LETTER: Alphabet = UPPER.and(LOWER);
pub(crate) const ALNUM: Alphabet = LETTER.and(DIGIT);
pub(crate) const UPPER_DIGIT: Alphabet = UPPER.and(DIGIT);
pub(crate) const LOWER_DIGIT: Alphabet = LOWER.and(DIGIT);
pub(crate) const HEX: Alphabet = Alphabet::of(b"0123456789abcdef");
/// Base32 as AWS uses it in key ids.
pub(crate) const BASE32: Alphabet = UPPER.and(Alphabet::of(b"234567"));
pub(crate) const URLSAFE: Alphabet = ALNUM.and(Alphabet::of(b"-_"));
pub(crate) const WORD: Alphabet = ALNUM.and(Alphabet::of(b"_"));
pub(crate) const BASE64: Alphabet = ALNUM.and(Alphabet::of(b"+/="));
/// What identifiers, keys of configuration files and environment variables are made of.
pub(crate) const NAME: Alphabet = ALNUM.and(Alphabet::of(b"_-."));
