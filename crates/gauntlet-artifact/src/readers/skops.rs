//! skops archives: the schema in `schema.json` names what loading builds.

use super::{DocumentReader, base};
use crate::checks::SKOPS;
use crate::extract::{Place, Walk};
use crate::facts::{SkopsFact, SkopsNode};
use crate::formats::json::{Document, Json};

/// Nodes that are kept.
const NODES: usize = 50_000;

/// Reads a skops schema.
pub(crate) struct Skops;

impl DocumentReader for Skops {
    fn format(&self) -> &'static str {
        "skops schema"
    }

    fn check(&self) -> &'static str {
        SKOPS
    }

    fn expects(&self, _place: &Place) -> bool {
        false
    }

    fn concerns(&self, name: &str, document: &Document) -> bool {
        document.root.get("__loader__").is_some()
            || (base(name) == "schema.json" && document.root.get("_skops_version").is_some())
    }

    fn read(&self, walk: &mut Walk<'_>, document: &Document, place: &Place) {
        let mut fact = SkopsFact { duplicates: document.duplicates.clone(), ..SkopsFact::default() };
        document.root.visit(&mut |at, value| {
            if value.get("__loader__").is_some() || value.get("__class__").is_some() {
                if fact.nodes.len() < NODES {
                    fact.nodes.push(node(at, value));
                } else {
                    fact.more += 1;
                }
            }
        });
        walk.looked_at(SKOPS);
        walk.facts.push(SKOPS, place.location.clone(), &fact);
    }
}

fn node(at: &str, value: &Json) -> SkopsNode {
    let text = |value: &Json, key: &str| value.get(key).and_then(Json::text).unwrap_or_default().to_owned();
    let content = value.get("content");
    let owner = content.and_then(|content| content.get("obj"));
    SkopsNode {
        place: at.chars().take(300).collect(),
        loader: text(value, "__loader__"),
        module: text(value, "__module__"),
        class: text(value, "__class__"),
        function: content
            .and_then(|c| c.get("func").or_else(|| c.get("function")))
            .and_then(Json::text)
            .map(str::to_owned),
        module_path: content.and_then(|c| c.get("module_path")).and_then(Json::text).map(str::to_owned),
        owner: owner.map(|owner| (text(owner, "__module__"), text(owner, "__class__"))),
    }
}
