//! Whether an external-data location stays beside the model, judged by its text alone.

use serde::{Deserialize, Serialize};

/// Why a location may lead somewhere else. Links are not followed here; that needs the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LocationProblem {
    /// Nothing, or only dots.
    Empty,
    /// Starts with a separator.
    Absolute,
    /// Starts with a drive letter.
    Drive,
    /// A `..` segment, even when later segments come back (CVE-2024-27318).
    Parent,
    /// A backslash, which is a separator on some systems only.
    Backslash,
    /// A NUL byte.
    Nul,
    /// A scheme such as `http://`.
    Url,
    /// `~`, someone's home folder.
    Home,
    /// Separators or dots written in another way: `%2e%2e`, `....`.
    Encoded,
}

/// Lists what is wrong with `location`; the specification asks for a path relative to the model.
#[must_use]
pub fn location_problems(location: &str) -> Vec<LocationProblem> {
    let bytes = location.as_bytes();
    let mut problems = Vec::new();
    let mut note = |found: bool, problem| {
        if found {
            problems.push(problem);
        }
    };
    let segments = || location.split(['/', '\\']);
    note(segments().all(|segment| matches!(segment, "" | ".")), LocationProblem::Empty);
    note(location.starts_with(['/', '\\']), LocationProblem::Absolute);
    note(bytes.len() >= 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':', LocationProblem::Drive);
    note(segments().any(|segment| segment == ".."), LocationProblem::Parent);
    note(location.contains('\\'), LocationProblem::Backslash);
    note(location.contains('\0'), LocationProblem::Nul);
    note(location.starts_with('~'), LocationProblem::Home);
    let lower = location.to_ascii_lowercase();
    let encoded = ["%2e", "%2f", "%5c", "%00"].iter().any(|code| lower.contains(code));
    let dots = |segment: &str| {
        let inner = segment.trim();
        (segment.len() > 2 && segment.bytes().all(|byte| byte == b'.')) || (inner == ".." && inner != segment)
    };
    note(encoded || segments().any(dots), LocationProblem::Encoded);
    note(location.contains("://") || lower.starts_with("file:"), LocationProblem::Url);
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beside_the_model_are_fine() {
        for fine in ["weights.bin", "data/w.0", "a..b", "./w.bin"] {
            assert_eq!(location_problems(fine), [], "{fine}");
        }
    }

    #[test]
    fn other_spellings_are_seen() {
        assert_eq!(location_problems("~/.ssh/id"), [LocationProblem::Home]);
        for encoded in ["%2E%2e/x", "....//x", "a%2Fb"] {
            assert_eq!(location_problems(encoded), [LocationProblem::Encoded], "{encoded}");
        }
    }

    #[test]
    fn ways_out_are_seen() {
        use LocationProblem::{Absolute, Backslash, Drive, Empty, Nul, Parent, Url};
        let cases: [(&str, &[LocationProblem]); 8] = [
            ("", &[Empty]),
            ("/etc/passwd", &[Absolute]),
            ("../x", &[Parent]),
            ("a/../../x", &[Parent]),
            ("..\\x", &[Parent, Backslash]),
            ("C:x", &[Drive]),
            ("a\0b", &[Nul]),
            ("http://host.invalid/x", &[Url]),
        ];
        for (location, problems) in cases {
            assert_eq!(location_problems(location), problems, "{location:?}");
        }
    }
}
