//! Keras configurations: documents in a `.keras` file, an HDF5 attribute, a SavedModel or alone.

use gauntlet_core::SkipCode;

use super::{DocumentReader, base};
use crate::checks::KERAS;
use crate::extract::{Content, Place, Walk};
use crate::facts::KerasFact;
use crate::formats::json::{Document, JsonError};
use crate::formats::keras::{self, KerasFacts};

/// Names that Keras, or whoever saves an architecture with it, gives to documents.
const NAMES: [&str; 5] =
    ["config.json", "model.json", "architecture.json", "model_config.json", "training_config.json"];

/// Reads JSON, and YAML of Keras 1 and 2.
pub(crate) struct KerasDocument;

impl DocumentReader for KerasDocument {
    fn format(&self) -> &'static str {
        "Keras configuration"
    }

    fn check(&self) -> &'static str {
        KERAS
    }

    fn expects(&self, place: &Place) -> bool {
        let name = base(&place.name);
        // Everything has a `config.json`; a Keras archive needs its own.
        let archive = || place.location.path.as_ref().is_some_and(|path| path.ends_with(".keras"));
        NAMES.contains(&name) && (name != "config.json" || archive())
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
        Err(error @ (JsonError::Limit(_) | JsonError::Depth)) => {
            walk.skip(KERAS, place, SkipCode::Limit, error.to_string());
        }
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
