//! Core ML: classes and files that a model asks for as facts.

use gauntlet_core::SkipCode;
use gauntlet_protobuf::WireError;

use super::{Head, Reader};
use crate::checks::COREML;
use crate::extract::{Content, Place, Walk};
use crate::facts::CoremlFact;
use crate::formats::coreml;

/// Reads Core ML models.
pub(crate) struct Coreml;

impl Reader for Coreml {
    fn format(&self) -> &'static str {
        "Core ML"
    }

    fn endings(&self) -> &'static [&'static str] {
        &["mlmodel"]
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        coreml::looks_like(head.prefix)
    }

    fn read(&self, walk: &mut Walk<'_>, content: &Content<'_>, place: &Place) {
        walk.with_random(content, place, COREML, |walk, source| {
            let (facts, error) = coreml::read(source, walk.budget);
            match error {
                None if facts.kinds.is_empty() => {
                    walk.skip(COREML, place, SkipCode::Malformed, "no model of a known kind");
                }
                None if facts.more > 0 => walk.skip(COREML, place, SkipCode::Limit, "more entries than are kept"),
                None => walk.looked_at(COREML),
                Some(WireError::Limit(hit)) => walk.limit(COREML, place, hit),
                Some(WireError::Io(error)) => walk.io_failed(COREML, place, &error),
                Some(error) => walk.skip(COREML, place, SkipCode::Malformed, error.to_string()),
            }
            walk.facts.push(COREML, place.location.clone(), &CoremlFact(facts));
        });
    }
}
