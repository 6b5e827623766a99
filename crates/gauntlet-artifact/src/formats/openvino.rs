//! OpenVINO intermediate representation: layers, the libraries they name, and where their weights lie.

use std::io::Read;

use gauntlet_limits::Budget;
use serde::{Deserialize, Serialize};

use super::pmml::marker;
use super::xml::{self, Node, XmlError, XmlFacts};

/// Entries of each list.
const ENTRIES: usize = 100;

/// What a network's description holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenvinoFacts {
    /// Entities, instructions, problems.
    pub xml: XmlFacts,
    /// The version attribute.
    pub version: String,
    /// Layers, those of bodies included.
    pub layers: u64,
    /// Layer types outside of the operation sets that come with OpenVINO: type and version.
    pub custom: Vec<(String, String)>,
    /// Attributes that name code to load: element, attribute, value.
    pub libraries: Vec<(String, String, String)>,
    /// Attributes or text that read as code: element and what is seen.
    pub code: Vec<(String, String)>,
    /// Behind the last byte of weights that a constant claims; absent without constants.
    pub weights_end: Option<u64>,
    /// Constants whose offset or size is no number or whose end overflows.
    pub broken_ranges: u64,
}

/// Reads a description to its end or first error.
pub(crate) fn read(stream: impl Read, budget: &Budget) -> (OpenvinoFacts, Result<(), XmlError>) {
    let mut facts = OpenvinoFacts::default();
    let (xml, done) = xml::walk(stream, budget, |open, node| match node {
        Node::Open { name, attributes } => {
            let value = |key: &str| attributes.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
            if open.is_empty() {
                facts.version = xml::cut(value("version").unwrap_or_default());
            }
            if *name == "layer" {
                facts.layers += 1;
                let (kind, version) = (value("type").unwrap_or_default(), value("version").unwrap_or_default());
                let custom = (xml::cut(kind), xml::cut(version));
                if !is_known_set(version) && facts.custom.len() < ENTRIES && !facts.custom.contains(&custom) {
                    facts.custom.push(custom);
                }
            }
            if let (Some(offset), Some(size)) = (value("offset"), value("size"))
                && open.last().is_some_and(|parent| parent == "layer")
            {
                let end = offset.parse::<u64>().ok().zip(size.parse::<u64>().ok()).and_then(|(o, s)| o.checked_add(s));
                match end {
                    Some(end) => facts.weights_end = facts.weights_end.max(Some(end)),
                    None => facts.broken_ranges += 1,
                }
            }
            for (key, text) in *attributes {
                if names_library(key, text) && facts.libraries.len() < ENTRIES {
                    facts.libraries.push((xml::cut(name), xml::cut(key), xml::cut(text)));
                }
                facts.code(name, text);
            }
        }
        Node::Text(text) => {
            facts.code(open.last().map_or("", String::as_str), text);
        }
    });
    facts.xml = xml;
    (facts, done)
}

impl OpenvinoFacts {
    fn code(&mut self, element: &str, text: &str) {
        if let Some(marker) = marker(text)
            && self.code.len() < ENTRIES
        {
            self.code.push((xml::cut(element), marker.to_owned()));
        }
    }
}

/// `opset1` and so on; models converted before operation sets had none.
fn is_known_set(version: &str) -> bool {
    let numbered = |prefix: &str| {
        version.strip_prefix(prefix).is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    version.is_empty() || numbered("opset") || matches!(version, "experimental" | "ie_internal_opset" | "util")
}

/// An attribute called like a library, or a value that ends like one.
fn names_library(key: &str, text: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let called =
        ["library", "library_path", "extension_path", "extension_lib", "plugin", "dll", "so_path", "custom_config"];
    let lower = text.trim().to_ascii_lowercase();
    let path = lower.split(['?', '#']).next().unwrap_or_default();
    let ends = [".so", ".dll", ".dylib", ".pyd"].iter().any(|ending| path.ends_with(ending)) || path.contains(".so.");
    (called.contains(&key.as_str()) && !text.is_empty()) || ends
}
