//! Paddle: programs in both forms (protobuf, and JSON since version 3), and the parameters beside them.

use gauntlet_core::SkipCode;
use gauntlet_protobuf::WireError;

use super::{DocumentReader, Head, Reader};
use crate::checks::PADDLE;
use crate::extract::{Content, Place, Walk};
use crate::facts::PaddleFact;
use crate::formats::json::{Document, Json};
use crate::formats::paddle::{self, PaddleFacts};

/// Reads `ProgramDesc`.
pub(crate) struct Program;

impl Reader for Program {
    fn format(&self) -> &'static str {
        "Paddle program"
    }

    fn endings(&self) -> &'static [&'static str] {
        &["pdmodel"]
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        paddle::looks_like(head.prefix)
    }

    fn read(&self, walk: &mut Walk<'_>, content: &Content<'_>, place: &Place) {
        walk.with_random(content, place, PADDLE, |walk, source| {
            let (facts, error) = paddle::read(source, walk.budget);
            match error {
                None if facts.operators.is_empty() => {
                    walk.skip(PADDLE, place, SkipCode::Malformed, "no program: no operator in it");
                }
                None if facts.more > 0 => walk.skip(PADDLE, place, SkipCode::Limit, "more entries than are kept"),
                None => walk.looked_at(PADDLE),
                Some(WireError::Limit(hit)) => walk.limit(PADDLE, place, hit),
                Some(WireError::Io(error)) => walk.io_failed(PADDLE, place, &error),
                Some(error) => walk.skip(PADDLE, place, SkipCode::Malformed, error.to_string()),
            }
            walk.facts.push(PADDLE, place.location.clone(), &PaddleFact(facts));
        });
    }
}

/// Reads saved parameters.
pub(crate) struct Parameters;

impl Reader for Parameters {
    fn format(&self) -> &'static str {
        "Paddle parameters"
    }

    fn endings(&self) -> &'static [&'static str] {
        &["pdiparams"]
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        paddle::looks_like_parameters(head.prefix)
    }

    fn read(&self, walk: &mut Walk<'_>, content: &Content<'_>, place: &Place) {
        walk.with_random(content, place, PADDLE, |walk, source| match paddle::parameters(source, walk.budget) {
            Ok(Some(_)) => walk.looked_at(PADDLE),
            Ok(None) => walk.skip(PADDLE, place, SkipCode::Malformed, "the tensors do not add up to the file"),
            Err(WireError::Limit(hit)) => walk.limit(PADDLE, place, hit),
            Err(WireError::Io(error)) => walk.io_failed(PADDLE, place, &error),
            Err(error) => walk.skip(PADDLE, place, SkipCode::Malformed, error.to_string()),
        });
    }
}

/// Reads programs in JSON.
pub(crate) struct Pir;

impl DocumentReader for Pir {
    fn format(&self) -> &'static str {
        "Paddle program"
    }

    fn check(&self) -> &'static str {
        PADDLE
    }

    fn expects(&self, _place: &Place) -> bool {
        false
    }

    fn concerns(&self, _name: &str, document: &Document) -> bool {
        document.root.path(&["base_code", "magic"]).and_then(Json::text) == Some("pir")
            && document.root.get("program").is_some()
    }

    fn read(&self, walk: &mut Walk<'_>, document: &Document, place: &Place) {
        let mut facts = PaddleFacts::default();
        document.root.visit(&mut |_, value| {
            // An operation has outputs, or attributes of its outputs; its dialect is a number in front of its name.
            let operation = value.get("#").and_then(Json::text);
            let Some(name) = operation.filter(|_| value.get("O").is_some() || value.get("OA").is_some()) else {
                return;
            };
            let name = name.split_once('.').map_or(name, |(_, name)| name);
            facts.count(&name.chars().take(512).collect::<String>());
            for attribute in value.get("A").map(Json::items).unwrap_or_default() {
                let key = attribute.get("N").and_then(Json::text).unwrap_or_default();
                let text = attribute.path(&["AT", "D"]).and_then(Json::text).filter(|text| text.contains(['/', '\\']));
                if let Some(text) = text.filter(|_| facts.paths.len() < 10_000) {
                    facts.paths.push((name.to_owned(), key.to_owned(), text.chars().take(512).collect()));
                }
            }
        });
        walk.looked_at(PADDLE);
        walk.facts.push(PADDLE, place.location.clone(), &PaddleFact(facts));
    }
}
