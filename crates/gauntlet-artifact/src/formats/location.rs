//! Where a path or address in a document leads: inside its folder or out of it.

use serde::{Deserialize, Serialize};

/// How a path leaves the folder of the document that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outside {
    /// From the root of the file system, or of a drive or share.
    Absolute,
    /// Above the folder, by `..`.
    Parent,
    /// Into someone's home folder.
    Home,
    /// An address.
    Url,
    /// A control character in it: what is shown is not what is opened.
    Control,
}

/// How `path` leaves its folder, if it does. Both separators count, as readers on either system would.
pub(crate) fn outside(path: &str) -> Option<Outside> {
    if path.chars().any(char::is_control) {
        return Some(Outside::Control);
    }
    let trimmed = path.trim();
    if let Some((scheme, _)) = trimmed.split_once(':') {
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
        match (is_scheme, scheme.len()) {
            (true, 1) => return Some(Outside::Absolute),
            (true, _) if trimmed.contains("://") || matches!(scheme.to_ascii_lowercase().as_str(), "file" | "data") => {
                return Some(Outside::Url);
            }
            _ => {}
        }
    }
    if trimmed.starts_with(['/', '\\']) {
        return Some(Outside::Absolute);
    }
    if trimmed.starts_with('~') {
        return Some(Outside::Home);
    }
    let mut depth = 0usize;
    for part in trimmed.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." => match depth.checked_sub(1) {
                Some(above) => depth = above,
                None => return Some(Outside::Parent),
            },
            _ => depth += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_the_folder_are_told_from_those_inside() {
        for inside in
            ["", "model-00001-of-00002.safetensors", "1_Pooling", "a/../b", "./x", "ab:c", "org/name", "..x/y", "data:"]
        {
            let expected = (inside == "data:").then_some(Outside::Url);
            assert_eq!(outside(inside), expected, "{inside}");
        }
        for (path, how) in [
            ("../../../etc/passwd", Outside::Parent),
            ("a/../../b", Outside::Parent),
            ("..\\x", Outside::Parent),
            ("/etc/passwd", Outside::Absolute),
            ("C:\\x", Outside::Absolute),
            ("\\\\host\\share", Outside::Absolute),
            ("~/.ssh/id", Outside::Home),
            ("https://example.com/x", Outside::Url),
            ("file:/etc/passwd", Outside::Url),
            ("a\0b", Outside::Control),
        ] {
            assert_eq!(outside(path), Some(how), "{path}");
        }
    }
}
