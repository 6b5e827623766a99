//! TensorFlow.js: the manifest of weights as facts, a graph as TensorFlow's. A Keras topology is read as the Keras
//! document that it is.

use super::DocumentReader;
use crate::checks::{TENSORFLOW, TFJS};
use crate::extract::{Place, Walk};
use crate::facts::{TensorflowFact, TfjsFact};
use crate::formats::json::{Document, Json};
use crate::formats::tensorflow::{Kind, MetaGraph, Model, Node, Scope, TensorflowFacts};

/// Paths that are kept.
const PATHS: usize = 10_000;

/// Reads `model.json`.
pub(crate) struct Tfjs;

impl DocumentReader for Tfjs {
    fn format(&self) -> &'static str {
        "TensorFlow.js"
    }

    fn check(&self) -> &'static str {
        TFJS
    }

    fn expects(&self, _place: &Place) -> bool {
        false
    }

    fn concerns(&self, _name: &str, document: &Document) -> bool {
        document.root.get("modelTopology").is_some() || document.root.get("weightsManifest").is_some()
    }

    fn read(&self, walk: &mut Walk<'_>, document: &Document, place: &Place) {
        let root = &document.root;
        let text = |key: &str| root.get(key).and_then(Json::text).unwrap_or_default().chars().take(200).collect();
        let mut fact = TfjsFact { format: text("format"), writer: text("convertedBy"), ..TfjsFact::default() };
        fact.duplicates.clone_from(&document.duplicates);
        let groups = root.get("weightsManifest").map(Json::items).unwrap_or_default();
        for path in groups.iter().flat_map(|group| group.get("paths").map(Json::items).unwrap_or_default()) {
            match path.text() {
                Some(path) if fact.paths.len() < PATHS => fact.paths.push(path.chars().take(512).collect()),
                _ => fact.more += 1,
            }
        }
        walk.looked_at(TFJS);
        walk.facts.push(TFJS, place.location.clone(), &fact);
        let Some(topology) = root.get("modelTopology") else { return };
        if topology.get("node").is_some() || topology.get("library").is_some() {
            walk.looked_at(TENSORFLOW);
            walk.facts.push(TENSORFLOW, place.location.clone(), &TensorflowFact(graph(topology)));
        }
    }
}

/// `GraphDef` as protobuf's JSON writes it.
fn graph(topology: &Json) -> TensorflowFacts {
    let functions = topology.path(&["library", "function"]).map(Json::items).unwrap_or_default();
    let functions = functions.iter().map(|function| {
        let signature = function.get("signature");
        let arguments = signature.and_then(|s| s.get("inputArg")).map(Json::items).unwrap_or_default();
        Scope {
            name: named(signature),
            arguments: arguments.iter().map(|argument| named(Some(argument))).collect(),
            nodes: nodes(function.get("nodeDef")),
        }
    });
    let functions = functions.collect();
    let main = Scope { nodes: nodes(topology.get("node")), ..Scope::default() };
    let graph = MetaGraph { main, functions, ..MetaGraph::default() };
    let mut facts = TensorflowFacts::of(&Model { kind: Kind::Graph, graphs: vec![graph], ..Model::default() });
    // There are no byte offsets in a JSON document.
    facts.text = true;
    facts
}

fn nodes(list: Option<&Json>) -> Vec<Node> {
    let text = |value: &Json, key: &str| value.get(key).and_then(Json::text).unwrap_or_default().to_owned();
    let nodes = list.map(Json::items).unwrap_or_default().iter().map(|node| {
        let inputs = node.get("input").map(Json::items).unwrap_or_default();
        let mut functions = Vec::new();
        for (_, value) in node.get("attr").map(Json::entries).unwrap_or_default() {
            let listed = value.path(&["list", "func"]).map(Json::items).unwrap_or_default();
            functions.extend(value.get("func").into_iter().chain(listed).map(|called| named(Some(called))));
        }
        Node {
            name: text(node, "name"),
            op: text(node, "op"),
            inputs: inputs.iter().filter_map(Json::text).map(str::to_owned).collect(),
            functions,
            ..Node::default()
        }
    });
    nodes.collect()
}

fn named(value: Option<&Json>) -> String {
    value.and_then(|value| value.get("name")).and_then(Json::text).unwrap_or_default().to_owned()
}
