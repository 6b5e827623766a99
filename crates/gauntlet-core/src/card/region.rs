//! Regions that a program writes into a card: between two comments, with the digest of what stands between them, so that
//! regeneration replaces nothing that a person wrote and an edited region shows.

use crate::digest::sha256_hex;

const BEGIN: &str = "<!-- gauntlet:generated ";
const END: &str = "<!-- gauntlet:end ";

/// A region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region<'a> {
    /// Its name.
    pub name: &'a str,
    /// Line of the first marker, from 1.
    pub line: u64,
    /// Where the first marker starts, in bytes.
    pub start: usize,
    /// Where the line behind the last marker starts; the end of the text when it never ends.
    pub end: usize,
    /// What stands between the markers.
    pub content: &'a str,
    /// The digest that the first marker states is that of the content.
    pub intact: bool,
    /// There is a last marker.
    pub closed: bool,
}

/// The first marker of a region with this content.
#[must_use]
pub fn begin_marker(name: &str, content: &str) -> String {
    format!("{BEGIN}{name} sha256={} -->", sha256_hex(content.as_bytes()))
}

/// The last marker of a region.
#[must_use]
pub fn end_marker(name: &str) -> String {
    format!("{END}{name} -->")
}

/// All regions of a card, in order. Regions do not nest: whatever stands before a last marker belongs to the region.
#[must_use]
pub fn regions(text: &str) -> Vec<Region<'_>> {
    let mut found: Vec<Region<'_>> = Vec::new();
    let mut open: Option<(&str, &str, u64, usize, usize)> = None;
    let mut at = 0usize;
    for (line, number) in text.split_inclusive('\n').zip(1u64..) {
        let after = at.saturating_add(line.len());
        // In front matter the marker is a comment of YAML.
        let trimmed = line.trim();
        let trimmed = trimmed.strip_prefix("# ").unwrap_or(trimmed);
        match open {
            None => {
                let marker = trimmed.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix("-->"));
                if let Some((name, digest)) = marker.and_then(|rest| rest.trim_end().split_once(" sha256=")) {
                    open = Some((name, digest, number, at, after));
                }
            }
            Some((name, digest, line, start, inner)) => {
                let ended = trimmed.strip_prefix(END).and_then(|rest| rest.strip_suffix("-->")).map(str::trim);
                if ended == Some(name) {
                    found.push(region(text, name, digest, line, (start, inner, at, after), true));
                    open = None;
                }
            }
        }
        at = after;
    }
    if let Some((name, digest, line, start, inner)) = open {
        found.push(region(text, name, digest, line, (start, inner, at, at), false));
    }
    found
}

fn region<'a>(
    text: &'a str,
    name: &'a str,
    digest: &str,
    line: u64,
    (start, inner, outer, end): (usize, usize, usize, usize),
    closed: bool,
) -> Region<'a> {
    let content = text.get(inner..outer).unwrap_or_default();
    let intact = digest == sha256_hex(content.as_bytes());
    Region { name, line, start, end, content, intact, closed }
}
