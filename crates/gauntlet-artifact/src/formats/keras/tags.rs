//! YAML tags that make a loader of Python construct objects. Found line by line: comments, quoted texts and block
//! texts are no tags.

use serde::{Deserialize, Serialize};

/// Tags of one document that are kept.
const TAGS: usize = 1000;

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tag {
    /// Line, from 1.
    pub line: u64,
    /// What follows `python/`, such as `object/apply:os.system`.
    pub tag: String,
}

impl Tag {
    /// `object/apply`, `object/new`, `object`, `name`, `module` or a type of data.
    pub(crate) fn action(&self) -> &str {
        self.tag.split(':').next().unwrap_or(&self.tag)
    }

    /// The dotted name.
    pub(crate) fn target(&self) -> &str {
        self.tag.split_once(':').map_or("", |(_, target)| target)
    }
}

/// All of them, and how many more there are.
pub(crate) fn find(text: &str) -> (Vec<Tag>, u64) {
    let (mut found, mut more) = (Vec::new(), 0);
    // Prefixes that stand for Python's tags: PyYAML's own, spelled out, and what %TAG makes of it.
    let mut prefixes = vec!["!!python/".to_owned(), "!<tag:yaml.org,2002:python/".to_owned()];
    let mut block: Option<usize> = None;
    for (index, line) in text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).enumerate() {
        let indent = line.len() - line.trim_start_matches(' ').len();
        if let Some(outer) = block {
            if line.trim().is_empty() || indent > outer {
                continue;
            }
            block = None;
        }
        if let Some((handle, prefix)) = declaration(line) {
            let full = "tag:yaml.org,2002:python/";
            if let Some(left) = full.strip_prefix(prefix) {
                prefixes.push(format!("{handle}{left}"));
            } else if let Some(rest) = prefix.strip_prefix(full) {
                // The declaration holds a part of the tag itself.
                prefixes.push(format!("{handle}\u{0}{rest}"));
            }
            continue;
        }
        let code = outside(line);
        for prefix in &prefixes {
            let (literal, rest) = prefix.split_once('\u{0}').unwrap_or((prefix, ""));
            for (at, _) in code.match_indices(literal) {
                let before = code.get(..at).and_then(|before| before.chars().next_back());
                if before.is_some_and(|c| !matches!(c, ' ' | '\t' | '[' | '{' | ',' | ':' | '-' | '?')) {
                    continue;
                }
                let after = code.get(at + literal.len()..).unwrap_or_default();
                let end = after.find([' ', '\t', ',', ']', '}', '>']).unwrap_or(after.len());
                let tag = format!("{rest}{}", percent(after.get(..end).unwrap_or_default()));
                if found.len() < TAGS {
                    found.push(Tag { line: index as u64 + 1, tag: tag.chars().take(200).collect() });
                } else {
                    more += 1;
                }
            }
        }
        if begins_block(&code) {
            block = Some(indent);
        }
    }
    (found, more)
}

/// `%TAG !handle! prefix`.
fn declaration(line: &str) -> Option<(&str, &str)> {
    let mut words = line.strip_prefix("%TAG")?.split_whitespace();
    Some((words.next()?, words.next()?))
}

/// The line without quoted texts and comments.
fn outside(line: &str) -> String {
    let (mut out, mut quote, mut before) = (String::new(), None, ' ');
    for c in line.chars() {
        match quote {
            Some(open) => {
                if c == open {
                    quote = None;
                }
            }
            None if matches!(c, '"' | '\'') && matches!(before, ' ' | '\t' | '[' | '{' | ',' | ':' | '-') => {
                quote = Some(c)
            }
            None if c == '#' && matches!(before, ' ' | '\t') => break,
            None => out.push(c),
        }
        before = c;
    }
    out
}

/// A text in lines of their own follows: `key: |`, `- >-`.
fn begins_block(code: &str) -> bool {
    let code = code.trim_end();
    let Some(last) = code.split_whitespace().next_back() else { return false };
    let mut chars = last.chars();
    let indicator = matches!(chars.next(), Some('|' | '>')) && chars.all(|c| matches!(c, '+' | '-' | '1'..='9'));
    let before = code.strip_suffix(last).unwrap_or_default().trim_end();
    indicator
        && (before.ends_with([':', '-', '?'])
            || before.split_whitespace().next_back().is_some_and(|w| w.starts_with('!')))
}

/// `%6f` for `o`, as tags may be written.
fn percent(tag: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = tag.bytes();
    while let Some(byte) = bytes.next() {
        let mut rest = bytes.clone();
        let hex = |digit: Option<u8>| digit.and_then(|digit| char::from(digit).to_digit(16));
        match (byte, hex(rest.next()), hex(rest.next())) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                bytes = rest;
            }
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(text: &str) -> Vec<String> {
        find(text).0.into_iter().map(|tag| tag.tag).collect()
    }

    #[test]
    fn tags_are_found_in_every_spelling() {
        for text in [
            "a: !!python/object/apply:os.system ['x']",
            "- !!python/object/apply:os.system\n  - x",
            "[1, !!python/object/apply:os.system [x]]",
            "a: !<tag:yaml.org,2002:python/object/apply:os.system> [x]",
            "%TAG !p! tag:yaml.org,2002:python/\n---\na: !p!object/apply:os.system [x]",
            "%TAG ! tag:yaml.org,2002:\n---\na: !python/object/apply:os.system [x]",
            "%TAG !q! tag:yaml.org,2002:python/object/\n---\na: !q!apply:os.system [x]",
            "a: !!python/object/apply:os.%73ystem [x]",
        ] {
            assert_eq!(tags(text), ["object/apply:os.system"], "{text}");
        }
        let tag = &find("a: !!python/name:builtins.eval ''").0[0];
        assert_eq!((tag.action(), tag.target(), tag.line), ("name", "builtins.eval", 1));
    }

    #[test]
    fn texts_and_comments_hold_no_tags() {
        for text in [
            "# !!python/object/apply:os.system",
            "a: 'never write !!python/object/apply:os.system'",
            "a: \"!!python/object/apply:os.system\"",
            "a: |\n  !!python/object/apply:os.system\n\n  b\nc: 1",
            "a: text about x!!python/object",
        ] {
            assert!(tags(text).is_empty(), "{text}");
        }
        assert_eq!(tags("a: |\n  text\nb: !!python/tuple [1]"), ["tuple"]);
    }
}
