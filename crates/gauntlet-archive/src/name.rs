//! What is wrong with a member's name, judged by its bytes alone.

use serde::{Deserialize, Serialize};

/// A trait of a name that lets two programs see different files, or that leaves the folder it is unpacked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NameProblem {
    /// No bytes at all.
    Empty,
    /// A NUL byte: C programs end the name there.
    Nul,
    /// A backslash: a separator on Windows and for some loaders.
    Backslash,
    /// Starts with a separator.
    Absolute,
    /// Starts with a drive letter.
    Drive,
    /// A `..` segment.
    Parent,
    /// A control character other than NUL.
    Control,
    /// Not UTF-8, so that its text depends on the reader's guess.
    NotUtf8,
}

impl NameProblem {
    /// True when unpacking by this name may write outside the target folder.
    #[must_use]
    pub fn leaves_folder(self) -> bool {
        matches!(self, Self::Absolute | Self::Drive | Self::Parent)
    }
}

/// Lists what is wrong with `name`; empty for an ordinary relative path.
#[must_use]
pub fn name_problems(name: &[u8]) -> Vec<NameProblem> {
    let separator = |b: &u8| matches!(b, b'/' | b'\\');
    let mut problems = Vec::new();
    let mut note = |found: bool, problem| {
        if found {
            problems.push(problem);
        }
    };
    note(name.is_empty(), NameProblem::Empty);
    note(name.contains(&0), NameProblem::Nul);
    note(name.contains(&b'\\'), NameProblem::Backslash);
    note(name.first().is_some_and(separator), NameProblem::Absolute);
    note(name.len() >= 2 && name[0].is_ascii_alphabetic() && name[1] == b':', NameProblem::Drive);
    note(name.split(|b| separator(b)).any(|segment| segment == b".."), NameProblem::Parent);
    note(name.iter().any(|b| *b != 0 && b.is_ascii_control()), NameProblem::Control);
    note(std::str::from_utf8(name).is_err(), NameProblem::NotUtf8);
    problems
}

/// A printable form: invalid UTF-8 and control characters become `\xNN`.
#[must_use]
pub fn lossy_name(name: &[u8]) -> String {
    let mut out = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() {
                out.extend(c.escape_default());
            } else {
                out.push(c);
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_silent() {
        for name in ["archive/data.pkl", "a..b/c", "ünïcode", "dir/"] {
            assert!(name_problems(name.as_bytes()).is_empty(), "{name}");
        }
    }

    #[test]
    fn each_problem_is_seen() {
        let cases: [(&[u8], NameProblem); 9] = [
            (b"", NameProblem::Empty),
            (b"a\0b", NameProblem::Nul),
            (b"a\\b", NameProblem::Backslash),
            (b"/etc/passwd", NameProblem::Absolute),
            (b"C:x", NameProblem::Drive),
            (b"a/../b", NameProblem::Parent),
            (b"..\\x", NameProblem::Parent),
            (b"a\nb", NameProblem::Control),
            (b"\xff", NameProblem::NotUtf8),
        ];
        for (name, problem) in cases {
            assert!(name_problems(name).contains(&problem), "{name:?}");
        }
    }

    #[test]
    fn lossy_name_has_no_control_characters() {
        assert_eq!(lossy_name(b"a\x1b[1m\xff"), "a\\u{1b}[1m\\xff");
    }
}
