//! OpenVINO: the XML half of a model; its weights are numbers in a file beside it.

use super::{Head, Reader};
use crate::checks::OPENVINO;
use crate::extract::{Content, Place, Walk};
use crate::facts::OpenvinoFact;
use crate::formats::{openvino, xml};

/// Reads OpenVINO IR.
pub(crate) struct Openvino;

impl Reader for Openvino {
    fn format(&self) -> &'static str {
        "OpenVINO"
    }

    fn endings(&self) -> &'static [&'static str] {
        // Documents of every kind are called `.xml`.
        &[]
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        xml::root(head.prefix).is_some_and(|root| root == "net")
    }

    fn read(&self, walk: &mut Walk<'_>, content: &Content<'_>, place: &Place) {
        let read = walk.xml(content, place, OPENVINO, |stream, budget| {
            let (facts, done) = openvino::read(stream, budget);
            (OpenvinoFact(facts), done)
        });
        if let Some(fact) = read {
            walk.facts.push(OPENVINO, place.location.clone(), &fact);
        }
    }
}
