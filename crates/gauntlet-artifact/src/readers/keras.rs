//! Keras configurations: JSON documents (in a `.keras` file, an HDF5 attribute, a SavedModel or alone) and YAML.

use gauntlet_core::{SkipCode, yaml};
use gauntlet_limits::Limit;

use super::{DocumentReader, Head, Reader};
use crate::checks::KERAS;
use crate::extract::{Content, Place, Walk};
use crate::facts::KerasFact;
use crate::formats::json::{Document, JsonError};
use crate::formats::keras::{self, KerasFacts, tags};

/// Reads JSON.
pub(crate) struct KerasJson;

impl DocumentReader for KerasJson {
    fn format(&self) -> &'static str {
        "Keras JSON"
    }

    fn check(&self) -> &'static str {
        KERAS
    }

    fn expects(&self, _name: &str) -> bool {
        false
    }

    fn concerns(&self, _name: &str, document: &Document) -> bool {
        keras::is_keras(document)
    }

    fn read(&self, walk: &mut Walk<'_>, document: &Document, place: &Place) {
        self::document(walk, document, place);
    }
}

/// Reads what a Keras document names, wherever the document was found, and hands on what is embedded in it.
pub(crate) fn document(walk: &mut Walk<'_>, document: &Document, place: &Place) {
    let (facts, parts) = keras::read(document);
    push(walk, facts, place);
    for (name, bytes) in parts {
        // Called like a pickle, so that a broken one is said to be broken.
        walk.part(&Content::Plain(&bytes), place, &format!("{name}.pkl"));
    }
}

/// [`document`] of a text that has to be JSON. One that is not is an open question.
pub(crate) fn text(walk: &mut Walk<'_>, bytes: &[u8], place: &Place) {
    match Document::parse(bytes, walk.budget.limits()) {
        Ok(parsed) => document(walk, &parsed, place),
        Err(JsonError::Limit(hit)) => walk.limit(KERAS, place, hit),
        Err(error @ JsonError::Malformed(_)) => {
            walk.skip(KERAS, place, SkipCode::Malformed, format!("a configuration is no JSON: {error}"));
        }
    }
}

fn push(walk: &mut Walk<'_>, facts: KerasFacts, place: &Place) {
    if facts.more > 0 {
        walk.skip(KERAS, place, SkipCode::Limit, format!("{} more entries than are kept", facts.more));
    } else {
        walk.looked_at(KERAS);
    }
    walk.facts.push(KERAS, place.location.clone(), &KerasFact(facts));
}

/// Reads YAML: architectures of Keras 1 and 2, and any document with tags of Python.
pub(crate) struct KerasYaml;

impl Reader for KerasYaml {
    fn format(&self) -> &'static str {
        "Keras YAML"
    }

    fn check(&self) -> &'static str {
        KERAS
    }

    fn endings(&self) -> &'static [&'static str] {
        // Most YAML is no model.
        &[]
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        let named = matches!(head.ending().as_str(), "yaml" | "yml");
        let text = String::from_utf8_lossy(head.prefix);
        if head.prefix.contains(&0) || text.trim_start().starts_with(['{', '<']) {
            return false;
        }
        let tagged = named && (text.contains("python/") || text.contains("%TAG") || !head.complete);
        tagged || is_architecture(&text) || (!tags::find(&text).0.is_empty() && text.contains(": !!python/"))
    }

    fn read(&self, walk: &mut Walk<'_>, content: &Content<'_>, place: &Place) {
        walk.with_random(content, place, KERAS, |walk, source| {
            let limits = walk.budget.limits();
            if let Err(hit) = limits.check(Limit::TextBytes, source.size()) {
                return walk.limit(KERAS, place, hit);
            }
            let bytes = match source.read_block(0, source.size(), limits) {
                Ok(bytes) => bytes,
                Err(error) => return walk.io_failed(KERAS, place, &error),
            };
            let text = String::from_utf8_lossy(&bytes);
            let (tags, more) = tags::find(&text);
            let mut facts = KerasFacts { tags, more, ..KerasFacts::default() };
            if !is_architecture(&text) {
                return push(walk, facts, place);
            }
            // Values under tags of Python cannot all be read; what can, is.
            let value = yaml::parse::<serde_json::Value>(&place.name, &bytes);
            let json = value.ok().and_then(|value| serde_json::to_vec(&value).ok());
            match json.map(|json| Document::parse(&json, limits)) {
                Some(Ok(parsed)) => {
                    let tags = std::mem::take(&mut facts.tags);
                    let (read, parts) = keras::read(&parsed);
                    push(walk, KerasFacts { tags, more: more + read.more, ..read }, place);
                    for (name, bytes) in parts {
                        walk.part(&Content::Plain(&bytes), place, &format!("{name}.pkl"));
                    }
                }
                _ => {
                    walk.skip(KERAS, place, SkipCode::Malformed, "the YAML of an architecture cannot be read");
                    push(walk, facts, place);
                }
            }
        });
    }
}

/// Has the two keys of a serialised object.
fn is_architecture(text: &str) -> bool {
    let has = |key: &str| {
        text.lines().any(|line| line.trim_start_matches(['-', ' ']).trim_start_matches('"').starts_with(key))
    };
    has("class_name") && has("config")
}
