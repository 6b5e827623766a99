//! PMML: models in XML, with extensions that some consumers run.

use super::{Head, Reader};
use crate::checks::PMML;
use crate::extract::{Content, Place, Walk};
use crate::facts::PmmlFact;
use crate::formats::pmml;

/// Reads PMML.
pub(crate) struct Pmml;

impl Reader for Pmml {
    fn format(&self) -> &'static str {
        "PMML"
    }

    fn endings(&self) -> &'static [&'static str] {
        &["pmml"]
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        crate::formats::xml::root(head.prefix).is_some_and(|root| root == "PMML")
    }

    fn read(&self, walk: &mut Walk<'_>, content: &Content<'_>, place: &Place) {
        let read = walk.xml(content, place, PMML, |stream, budget| {
            let (facts, done) = pmml::read(stream, budget);
            (PmmlFact(facts), done)
        });
        if let Some(fact) = read {
            walk.facts.push(PMML, place.location.clone(), &fact);
        }
    }
}
