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
    /// A segment that Windows takes for a device (`NUL`, `COM1`, `aux.txt`) or for a stream of a file (`a:b`).
    Reserved,
    /// A segment that ends with a dot or a space, which Windows drops.
    TrailingDot,
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
    let segments = || name.split(|b| separator(b)).filter(|segment| !matches!(*segment, b"" | b"." | b".."));
    let stream = |(i, b): (usize, &u8)| *b == b':' && i > 1;
    note(segments().any(is_device) || name.iter().enumerate().any(stream), NameProblem::Reserved);
    note(segments().any(|segment| matches!(segment.last(), Some(b'.' | b' '))), NameProblem::TrailingDot);
    problems
}

/// `CON`, `PRN`, `AUX`, `NUL`, `COM1` to `COM9`, `LPT1` to `LPT9`, with any ending.
fn is_device(segment: &[u8]) -> bool {
    let stem = segment.split(|b| *b == b'.').next().unwrap_or(segment).to_ascii_lowercase();
    match stem.as_slice() {
        b"con" | b"prn" | b"aux" | b"nul" => true,
        [b'c', b'o', b'm', digit] | [b'l', b'p', b't', digit] => (b'1'..=b'9').contains(digit),
        _ => false,
    }
}

/// The file that most readers would find under `name`: cut at NUL, one kind of separator, no empty and no `.` segments,
/// no dots and spaces at the end of a segment, lower case.
pub(crate) fn folded(name: &[u8]) -> String {
    let name = &name[..memchr::memchr(0, name).unwrap_or(name.len())];
    let text = String::from_utf8_lossy(name).to_lowercase();
    let segments = text
        .split(['/', '\\'])
        .map(|segment| if segment == ".." { segment } else { segment.trim_end_matches(['.', ' ']) });
    let segments: Vec<_> = segments.filter(|segment| !segment.is_empty()).collect();
    segments.join("/")
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
        for name in ["archive/data.pkl", "a..b/c", "ünïcode", "dir/", "./a", "console.txt", "com10", ".hidden"] {
            assert!(name_problems(name.as_bytes()).is_empty(), "{name}");
        }
    }

    #[test]
    fn each_problem_is_seen() {
        let cases: [(&[u8], NameProblem); 13] = [
            (b"", NameProblem::Empty),
            (b"a\0b", NameProblem::Nul),
            (b"a\\b", NameProblem::Backslash),
            (b"/etc/passwd", NameProblem::Absolute),
            (b"C:x", NameProblem::Drive),
            (b"a/../b", NameProblem::Parent),
            (b"..\\x", NameProblem::Parent),
            (b"a\nb", NameProblem::Control),
            (b"\xff", NameProblem::NotUtf8),
            (b"a/NUL", NameProblem::Reserved),
            (b"Aux.txt", NameProblem::Reserved),
            (b"file.txt:hidden", NameProblem::Reserved),
            (b"data.pkl.", NameProblem::TrailingDot),
        ];
        for (name, problem) in cases {
            assert!(name_problems(name).contains(&problem), "{name:?}");
        }
    }

    #[test]
    fn spellings_of_one_file_fold_to_one_name() {
        for name in
            [&b"A/data.pkl"[..], b"a\\data.pkl", b"./a//data.pkl", b"a/data.pkl\0.txt", b"a/data.pkl/", b"a./data.pkl "]
        {
            assert_eq!(folded(name), "a/data.pkl", "{name:?}");
        }
        assert_ne!(folded(b"../a"), folded(b"a"));
    }

    #[test]
    fn lossy_name_has_no_control_characters() {
        assert_eq!(lossy_name(b"a\x1b[1m\xff"), "a\\u{1b}[1m\\xff");
    }
}
