//! XGBoost's JSON model (doc/model.schema of the library), which its UBJSON form repeats.

use super::{BoostingFacts, Problem};
use crate::formats::json::{Document, Json};
use crate::formats::text::reads_as_code;

/// Lists of a tree that have an element for each node.
const BY_NODE: [&str; 6] =
    ["left_children", "right_children", "parents", "split_indices", "split_conditions", "default_left"];

/// Whether a document is a model.
pub(crate) fn is_model(document: &Document) -> bool {
    let learner = document.root.get("learner");
    learner.is_some_and(|learner| {
        learner.get("gradient_booster").is_some() || learner.get("learner_model_param").is_some()
    })
}

/// Reads a model.
pub(crate) fn read(document: &Document) -> BoostingFacts {
    let mut facts = BoostingFacts::new("XGBoost");
    for key in &document.duplicates {
        facts.problem(Problem::DuplicateKey { key: key.clone() });
    }
    let Some(learner) = document.root.get("learner") else { return facts };
    for (key, value) in learner.get("attributes").map_or(&[][..], Json::entries) {
        if value.text().is_some_and(reads_as_code) {
            facts.code.push(key.chars().take(200).collect());
        }
    }
    for (key, value) in learner.get("learner_model_param").map_or(&[][..], Json::entries) {
        if key.starts_with("num_") {
            number(&mut facts, &format!("learner_model_param.{key}"), value);
        }
    }
    let booster = learner.get("gradient_booster");
    // The booster `dart` keeps another booster inside.
    let model = booster.and_then(|b| b.get("model").or_else(|| b.path(&["gbtree", "model"])));
    for (number, tree) in model.and_then(|model| model.get("trees")).map_or(&[][..], Json::items).iter().enumerate() {
        facts.trees += 1;
        judge_tree(&mut facts, number, tree);
    }
    facts
}

fn judge_tree(facts: &mut BoostingFacts, tree: usize, value: &Json) {
    let field = |name: &str| format!("trees[{tree}].{name}");
    let Some(nodes) = value.path(&["tree_param", "num_nodes"]) else { return };
    let Some(nodes) = number(facts, &field("tree_param.num_nodes"), nodes) else { return };
    for name in BY_NODE {
        let Some(Json::List { items, more }) = value.get(name) else { continue };
        let found = items.len() as u64 + more;
        if found != nodes {
            facts.problem(Problem::Length { field: field(name), expected: nodes, found });
        }
        let child = matches!(name, "left_children" | "right_children");
        let beyond = |item: &&Json| match item {
            Json::Number(n) => n.as_i64().is_none_or(|n| n < -1 || n >= i64::try_from(nodes).unwrap_or(i64::MAX)),
            _ => true,
        };
        if let Some(bad) = items.iter().find(beyond).filter(|_| child) {
            let value = if let Json::Number(n) = bad { n.as_i64().unwrap_or(i64::MAX) } else { i64::MAX };
            facts.problem(Problem::Index { field: field(name), value, bound: nodes });
        }
    }
}

fn number(facts: &mut BoostingFacts, field: &str, value: &Json) -> Option<u64> {
    match value {
        Json::Text(text) => facts.count(field, text),
        Json::Number(number) => facts.count(field, &number.to_string()),
        other => {
            let value = format!("{other:?}").chars().take(40).collect();
            facts.problem(Problem::Number { field: field.to_owned(), value });
            None
        }
    }
}
