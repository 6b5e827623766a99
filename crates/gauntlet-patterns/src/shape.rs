//! Token shapes: a fixed sequence of literals and runs, matched greedily without going back.

use crate::alphabet::Alphabet;

/// One part of a shape.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// These very bytes.
    Lit(&'static str),
    /// At least `.1` and at most `.2` bytes of an alphabet, as many as there are.
    Run(Alphabet, usize, usize),
    /// The part list, when it fits here; else nothing.
    Opt(&'static [Part]),
}

/// Exactly `n` bytes of `alphabet`.
pub(crate) const fn exactly(alphabet: Alphabet, n: usize) -> Part {
    Part::Run(alphabet, n, n)
}

/// Length of the match of `parts` at the start of `text`.
pub(crate) fn length(parts: &[Part], text: &[u8]) -> Option<usize> {
    let mut at = 0;
    for part in parts {
        let rest = text.get(at..)?;
        at += match *part {
            Part::Lit(literal) => rest.starts_with(literal.as_bytes()).then_some(literal.len())?,
            Part::Run(alphabet, least, most) => Some(alphabet.run(rest, most)).filter(|&n| n >= least)?,
            // Optional parts hold no further options, so this goes one level deep.
            Part::Opt(inner) => length(inner, rest).unwrap_or(0),
        };
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alphabet::{DIGIT, HEX};

    #[test]
    fn runs_take_all_they_may_and_no_more() {
        let parts = [Part::Lit("k-"), Part::Run(HEX, 2, 4)];
        assert_eq!(length(&parts, b"k-abcdef"), Some(6));
        assert_eq!(length(&parts, b"k-a!"), None);
        assert_eq!(length(&parts, b"k"), None);
    }

    #[test]
    fn options_may_be_absent() {
        const PARTS: &[Part] = &[exactly(HEX, 2), Part::Opt(&[Part::Lit("-"), exactly(DIGIT, 1)])];
        assert_eq!(length(PARTS, b"ab-7"), Some(4));
        assert_eq!(length(PARTS, b"ab-x"), Some(2));
    }
}
