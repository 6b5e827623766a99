//! LightGBM's text model (`GBDT::SaveModelToString`): a header, trees as `key=values` lines, parameters.

use std::io::{self, BufRead, BufReader};

use gauntlet_limits::{Budget, Cursor, Limit, LimitHit, ReadAt};

use super::{BoostingFacts, Problem};

/// First line.
pub(crate) const MAGIC: &[u8] = b"tree\nversion=v";

/// Lists with an element for each inner node.
const BY_SPLIT: [&str; 8] = [
    "split_feature",
    "split_gain",
    "threshold",
    "decision_type",
    "left_child",
    "right_child",
    "internal_value",
    "internal_count",
];
/// Lists with an element for each leaf.
const BY_LEAF: [&str; 2] = ["leaf_value", "leaf_count"];

/// Reads a model line by line.
///
/// # Errors
/// When the medium fails or a line is longer than `header_bytes`.
pub(crate) fn read(source: &dyn ReadAt, budget: &Budget) -> Result<BoostingFacts, io::Error> {
    let mut facts = BoostingFacts::new("LightGBM");
    let mut lines = BufReader::with_capacity(64 << 10, Cursor::new(source, 0));
    let (mut line, mut at, mut ended) = (Vec::new(), 0_u64, false);
    let (mut leaves, mut features): (Option<u64>, Option<u64>) = (None, None);
    loop {
        line.clear();
        let most = budget.limits().header_bytes;
        let read = std::io::Read::take(&mut lines, most).read_until(b'\n', &mut line)? as u64;
        if read == 0 {
            break;
        }
        if read == most {
            return Err(LimitHit { limit: Limit::HeaderBytes, allowed: most }.into());
        }
        budget.steps(1 + read / 64)?;
        let Ok(text) = std::str::from_utf8(&line) else {
            facts.problem(Problem::Broken { offset: at, what: "a line that is no text".to_owned() });
            if ended {
                facts.tail = Some(at);
            }
            break;
        };
        let text = text.trim_end();
        if text == "end of trees" {
            ended = true;
        } else if let Some((key, value)) = text.split_once('=').filter(|_| !ended) {
            match key {
                "Tree" => {
                    facts.trees += 1;
                    leaves = None;
                }
                "num_leaves" => leaves = facts.count("num_leaves", value),
                "max_feature_idx" => features = facts.count("max_feature_idx", value),
                _ => list(&mut facts, key, value, leaves, features),
            }
        }
        at += read;
    }
    if !ended {
        facts.problem(Problem::Broken { offset: at, what: "there is no `end of trees`".to_owned() });
    }
    Ok(facts)
}

fn list(facts: &mut BoostingFacts, key: &str, value: &str, leaves: Option<u64>, features: Option<u64>) {
    let Some(leaves) = leaves else { return };
    let expected = if BY_SPLIT.contains(&key) {
        leaves.saturating_sub(1)
    } else if BY_LEAF.contains(&key) {
        leaves
    } else {
        return;
    };
    let tree = facts.trees.saturating_sub(1);
    let field = || format!("Tree={tree}.{key}");
    let found = value.split_ascii_whitespace().count() as u64;
    // A tree of one leaf keeps empty lists, or lists of one.
    if found != expected && leaves > 1 {
        let field = field();
        facts.problem(Problem::Length { field, expected, found });
    }
    let (low, bound) = match key {
        "split_feature" => (
            0,
            features
                .map_or(i64::from(i32::MAX), |features| i64::try_from(features).unwrap_or(i64::MAX))
                .saturating_add(1),
        ),
        "left_child" | "right_child" => {
            let leaves = i64::try_from(leaves).unwrap_or(i64::MAX);
            (-leaves, leaves.max(1))
        }
        _ => return,
    };
    let wrong = value.split_ascii_whitespace().find_map(|text| match text.parse::<i64>() {
        Ok(index) if (low..bound).contains(&index) => None,
        Ok(index) => Some(index),
        Err(_) => Some(i64::MAX),
    });
    if let Some(value) = wrong {
        let field = field();
        facts.problem(Problem::Index { field, value, bound: bound.unsigned_abs() });
    }
}
