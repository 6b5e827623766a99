//! What PyYAML makes of the tags of a document.

use serde::{Deserialize, Serialize};

use crate::formats::json::TagFact;

/// The beginning of tags that make Python objects.
const PYTHON: &str = "tag:yaml.org,2002:python/";

/// A tag of Python.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tag {
    /// Where in the document.
    pub place: String,
    /// `object/apply`, `object/new`, `object`, `name`, `module` or a type of data.
    pub action: String,
    /// The dotted name.
    pub target: String,
}

impl Tag {
    /// `None` for tags of other kinds.
    pub(crate) fn of(fact: &TagFact) -> Option<Self> {
        let tag = percent(&fact.tag);
        let python = tag.strip_prefix(PYTHON)?;
        let (action, target) = python.split_once(':').unwrap_or((python, ""));
        Some(Self { place: fact.place.clone(), action: action.to_owned(), target: target.to_owned() })
    }
}

/// `%6f` is `o`: tags are URIs.
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
    use gauntlet_limits::Limits;

    use super::*;
    use crate::formats::yaml;

    #[test]
    fn tags_are_read_in_every_spelling() {
        for text in [
            "a: !!python/object/apply:os.system ['x']",
            "- !!python/object/apply:os.system\n  - x",
            "a: !<tag:yaml.org,2002:python/object/apply:os.system> [x]",
            "%TAG !p! tag:yaml.org,2002:python/\n---\na: !p!object/apply:os.system [x]",
            "a: !!python/object/apply:os.%73ystem [x]",
        ] {
            let document = yaml::parse(text, &Limits::default()).unwrap();
            let tags: Vec<_> = document.tags.iter().filter_map(Tag::of).map(|t| (t.action, t.target)).collect();
            assert_eq!(tags, [("object/apply".to_owned(), "os.system".to_owned())], "{text}");
        }
    }
}
