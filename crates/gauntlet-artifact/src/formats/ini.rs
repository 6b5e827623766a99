//! Sections of `key = value` lines, as Python's `configparser` reads them.

use gauntlet_limits::{Limit, LimitHit, Limits};

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Without its brackets; empty before the first section.
    pub section: String,
    pub key: String,
    /// As written, lines that belong to it joined by newlines.
    pub value: String,
    /// From 1.
    pub line: u64,
}

/// Reads a text. Lines that are neither a section nor a value are passed over.
///
/// # Errors
/// More entries than the limits allow.
pub(crate) fn parse(text: &str, limits: &Limits) -> Result<Vec<Entry>, LimitHit> {
    let (mut entries, mut section): (Vec<Entry>, String) = (Vec::new(), String::new());
    // An indented line goes on with the value before it.
    let mut open = false;
    for (line, raw) in (1..).zip(text.lines()) {
        let trimmed = raw.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        let indented = raw.starts_with([' ', '\t']);
        if let Some(last) = entries.last_mut().filter(|_| indented && open) {
            last.value.push('\n');
            last.value.push_str(trimmed);
            continue;
        }
        open = false;
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim().to_owned();
        } else if let Some((key, value)) = trimmed.split_once(['=', ':']) {
            limits.check(Limit::Nodes, entries.len() as u64 + 1)?;
            let entry =
                Entry { section: section.clone(), key: key.trim().to_owned(), value: value.trim().to_owned(), line };
            entries.push(entry);
            open = true;
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_values_and_lines_that_go_on_are_read() {
        let text = "top = 1\n# comment\n[a.b]\n@x = \"n.v1\"\nlist = [\n  1,\n  2]\n\n[c]\nk: v\nnothing\n";
        let entries = parse(text, &Limits::default()).unwrap();
        let found: Vec<_> = entries.iter().map(|e| (e.section.as_str(), e.key.as_str(), e.value.as_str())).collect();
        assert_eq!(found, [("", "top", "1"), ("a.b", "@x", "\"n.v1\""), ("a.b", "list", "[\n1,\n2]"), ("c", "k", "v")]);
        assert_eq!(entries[1].line, 4);
    }

    #[test]
    fn no_more_entries_are_kept_than_allowed() {
        let limits = Limits { nodes: 3, ..Limits::default() };
        assert!(parse("a=1\nb=2\nc=3\n", &limits).is_ok());
        assert!(parse("a=1\nb=2\nc=3\nd=4\n", &limits).is_err());
    }
}
