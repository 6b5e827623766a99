//! MXNet: symbols, whose custom operators are facts, and lists of arrays.

use gauntlet_core::SkipCode;

use super::{DocumentReader, Head, Reader};
use crate::checks::MXNET;
use crate::extract::{Content, Place, Walk};
use crate::facts::MxnetFact;
use crate::formats::json::{Document, Json};
use crate::formats::mxnet::{self, CustomNode, MxnetFacts};

/// Nodes that are kept.
const NODES: usize = 10_000;

/// Reads a symbol.
pub(crate) struct Symbol;

impl DocumentReader for Symbol {
    fn format(&self) -> &'static str {
        "MXNet symbol"
    }

    fn check(&self) -> &'static str {
        MXNET
    }

    fn expects(&self, place: &Place) -> bool {
        place.name.ends_with("-symbol.json")
    }

    fn concerns(&self, _name: &str, document: &Document) -> bool {
        let root = &document.root;
        let node = |node: &Json| node.get("op").is_some() && node.get("name").is_some();
        root.get("arg_nodes").is_some() && root.get("nodes").is_some_and(|nodes| nodes.items().iter().any(node))
    }

    fn read(&self, walk: &mut Walk<'_>, document: &Document, place: &Place) {
        let mut facts = MxnetFacts::default();
        // Sub-graphs of control flow hold nodes of their own.
        document.root.visit(&mut |_, value| {
            let Some(op) = value.get("op").and_then(Json::text) else { return };
            facts.nodes += 1;
            let own =
                matches!(op, "Custom" | "_Custom" | "_CustomFunction" | "_Native" | "_NDArray" | "_CachedOp" | "torch");
            let attributes =
                ["attrs", "param", "attr"].iter().flat_map(|key| value.get(key).map(Json::entries).unwrap_or_default());
            let texts: Vec<_> = attributes.filter_map(|(key, value)| Some((key.clone(), value.text()?))).collect();
            let loads = texts.iter().any(|(key, text)| is_library(key, text));
            if !own && !loads {
                return;
            }
            let texts = texts.into_iter().take(16).map(|(key, text)| (key, text.chars().take(200).collect()));
            let name = value.get("name").and_then(Json::text).unwrap_or_default();
            if facts.custom.len() < NODES {
                facts.custom.push(CustomNode { op: op.to_owned(), name: name.to_owned(), attributes: texts.collect() });
            } else {
                facts.more += 1;
            }
        });
        walk.looked_at(MXNET);
        walk.facts.push(MXNET, place.location.clone(), &MxnetFact(facts));
    }
}

/// An attribute that names native code.
pub(crate) fn is_library(key: &str, text: &str) -> bool {
    matches!(key, "library" | "lib" | "lib_path" | "path")
        || [".so", ".dll", ".dylib"].iter().any(|ending| text.ends_with(ending))
}

/// Reads a list of arrays.
pub(crate) struct Arrays;

impl Reader for Arrays {
    fn format(&self) -> &'static str {
        "MXNet arrays"
    }

    fn endings(&self) -> &'static [&'static str] {
        &[]
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        head.prefix.starts_with(mxnet::MAGIC)
    }

    fn read(&self, walk: &mut Walk<'_>, content: &Content<'_>, place: &Place) {
        walk.with_random(content, place, MXNET, |walk, source| match mxnet::arrays(source, walk.budget) {
            Ok(Some(arrays)) => {
                walk.looked_at(MXNET);
                let facts = MxnetFacts { arrays, ..MxnetFacts::default() };
                walk.facts.push(MXNET, place.location.clone(), &MxnetFact(facts));
            }
            Ok(None) => walk.skip(MXNET, place, SkipCode::Malformed, "the arrays do not add up to the file"),
            Err(error) => walk.io_failed(MXNET, place, &error),
        });
    }
}
