//! Exported graphs of PyTorch (`.pt2`): the operators that the nodes name.

use std::collections::BTreeMap;

use super::DocumentReader;
use crate::checks::TORCH;
use crate::extract::{Place, Walk};
use crate::facts::GraphFact;
use crate::formats::json::{Document, Json};

/// Reads an exported program.
pub(crate) struct ExportedProgram;

impl DocumentReader for ExportedProgram {
    fn format(&self) -> &'static str {
        "torch.export program"
    }

    fn check(&self) -> &'static str {
        TORCH
    }

    fn expects(&self, _place: &Place) -> bool {
        false
    }

    fn concerns(&self, _name: &str, document: &Document) -> bool {
        document.root.path(&["graph_module", "graph", "nodes"]).is_some()
    }

    fn read(&self, walk: &mut Walk<'_>, document: &Document, place: &Place) {
        let mut targets = BTreeMap::new();
        document.root.visit(&mut |_, value| {
            if let Some(target) = value.get("target").and_then(Json::text) {
                *targets.entry(target.chars().take(300).collect()).or_default() += 1;
            }
        });
        walk.looked_at(TORCH);
        walk.facts.push(TORCH, place.location.clone(), &GraphFact { targets });
    }
}
