//! XGBoost, LightGBM and CatBoost.

use gauntlet_core::{LimitHit, SkipCode};
use gauntlet_limits::{ReadAt, Window};

use super::{DocumentReader, Head, Reader};
use crate::checks::BOOSTING;
use crate::extract::{Content, Place, Walk};
use crate::facts::BoostingFact;
use crate::formats::boosting::ubjson::{self, UbjsonError};
use crate::formats::boosting::{BoostingFacts, Problem, catboost, lightgbm, xgboost};
use crate::formats::flatbuffer::FlatError;
use crate::formats::json::Document;

/// Reads XGBoost's JSON.
pub(crate) struct XgboostJson;

impl DocumentReader for XgboostJson {
    fn format(&self) -> &'static str {
        "XGBoost JSON"
    }

    fn check(&self) -> &'static str {
        BOOSTING
    }

    fn expects(&self, _place: &Place) -> bool {
        false
    }

    fn concerns(&self, _name: &str, document: &Document) -> bool {
        xgboost::is_model(document)
    }

    fn read(&self, walk: &mut Walk<'_>, document: &Document, place: &Place) {
        push(walk, place, xgboost::read(document));
    }
}

/// Reads XGBoost's UBJSON.
pub(crate) struct XgboostUbjson;

impl Reader for XgboostUbjson {
    fn format(&self) -> &'static str {
        "XGBoost UBJSON"
    }

    fn endings(&self) -> &'static [&'static str] {
        &["ubj"]
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        ubjson::looks_like(head.prefix)
    }

    fn read(&self, walk: &mut Walk<'_>, content: &Content<'_>, place: &Place) {
        walk.with_random(content, place, BOOSTING, |walk, source| match ubjson::read(source, walk.budget) {
            Ok((document, end)) => {
                let mut facts = xgboost::read(&document);
                if end < source.size() {
                    facts.tail = Some(end);
                    facts.problems.push(Problem::Tail { bytes: source.size() - end });
                }
                let tail = facts.tail;
                push(walk, place, facts);
                examine_tail(walk, source, tail, place);
            }
            Err(UbjsonError::Problem(problem)) => {
                walk.skip(BOOSTING, place, SkipCode::Malformed, "no UBJSON document");
                let facts = BoostingFacts {
                    library: "XGBoost".to_owned(),
                    problems: vec![problem],
                    ..BoostingFacts::default()
                };
                walk.facts.push(BOOSTING, place.location.clone(), &BoostingFact(facts));
            }
            Err(UbjsonError::Io(error)) => walk.io_failed(BOOSTING, place, &error),
            Err(UbjsonError::Limit(hit)) => walk.limit(BOOSTING, place, hit),
        });
    }
}

/// Reads LightGBM's text.
pub(crate) struct Lightgbm;

impl Reader for Lightgbm {
    fn format(&self) -> &'static str {
        "LightGBM text"
    }

    fn endings(&self) -> &'static [&'static str] {
        &[]
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        head.prefix.starts_with(lightgbm::MAGIC)
    }

    fn read(&self, walk: &mut Walk<'_>, content: &Content<'_>, place: &Place) {
        walk.with_random(content, place, BOOSTING, |walk, source| match lightgbm::read(source, walk.budget) {
            Ok(facts) => {
                let tail = facts.tail;
                push(walk, place, facts);
                examine_tail(walk, source, tail, place);
            }
            Err(error) => match LimitHit::in_io(&error) {
                Some(hit) => walk.limit(BOOSTING, place, hit),
                None => walk.io_failed(BOOSTING, place, &error),
            },
        });
    }
}

/// Reads CatBoost's binary model.
pub(crate) struct Catboost;

impl Reader for Catboost {
    fn format(&self) -> &'static str {
        "CatBoost"
    }

    fn endings(&self) -> &'static [&'static str] {
        &["cbm"]
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        head.prefix.starts_with(catboost::MAGIC)
    }

    fn read(&self, walk: &mut Walk<'_>, content: &Content<'_>, place: &Place) {
        walk.with_random(content, place, BOOSTING, |walk, source| match catboost::read(source, walk.budget) {
            Ok(facts) => {
                let tail = facts.tail;
                push(walk, place, facts);
                examine_tail(walk, source, tail, place);
            }
            Err(FlatError::Limit(hit)) => walk.limit(BOOSTING, place, hit),
            Err(FlatError::Io(error)) => walk.io_failed(BOOSTING, place, &error),
            Err(error @ FlatError::OutOfRange { .. }) => {
                walk.skip(BOOSTING, place, SkipCode::Malformed, error.to_string());
            }
        });
    }
}

fn push(walk: &mut Walk<'_>, place: &Place, facts: BoostingFacts) {
    walk.looked_at(BOOSTING);
    walk.facts.push(BOOSTING, place.location.clone(), &BoostingFact(facts));
}

/// Bytes behind a model are read when they begin like a file; tables of categories do not.
fn examine_tail(walk: &mut Walk<'_>, source: &dyn ReadAt, tail: Option<u64>, place: &Place) {
    if let Some(offset) = tail {
        let rest = Window::new(source, offset, u64::MAX);
        walk.embedded(source, offset, rest.size(), place, &format!("<bytes from {offset}>"));
    }
}
