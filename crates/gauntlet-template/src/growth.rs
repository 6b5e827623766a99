//! Variables that are joined to themselves: `{% set x = x ~ x %}` doubles with every round.

use std::collections::{HashMap, HashSet};

use crate::tree::{Id, Node, Target, Text, Tree};

/// Doublings without a loop from which on they are one fact; ten make a thousandfold.
const DOUBLINGS: u64 = 10;
/// Steps of looking for how one variable comes from another.
const SEARCH: usize = 10_000;

/// Where a variable at least doubles with every round, and how often at least; 0 is without end.
pub(crate) fn doublings(tree: &Tree) -> Vec<(Id, u64)> {
    // Variables that each variable is made of, and assignments that take more than one piece.
    let mut sources: HashMap<Text, HashSet<Text>> = HashMap::new();
    let mut candidates = Vec::new();
    let mut loops = 0usize;
    let mut begin = 0;
    for (id, node) in tree.nodes.iter().enumerate() {
        match node {
            Node::For { .. } => loops += 1,
            Node::EndFor => loops = loops.saturating_sub(1),
            Node::Macro { .. } | Node::Capture | Node::Text(_) | Node::Print(_) => {}
            Node::Set { target, value } => {
                let weights = weights(tree, begin, *value);
                if let Some(name) = single(target)
                    && !weights.is_empty()
                {
                    let total: u64 = weights.values().fold(0, |sum, weight| sum.saturating_add(*weight));
                    sources.entry(name.clone()).or_default().extend(weights.keys().cloned());
                    if total >= 2 {
                        candidates.push((id, name, weights, loops > 0));
                    }
                }
            }
            _ => continue,
        }
        begin = id + 1;
    }
    let mut found = Vec::new();
    let mut straight: HashMap<Text, (Id, u64)> = HashMap::new();
    for (id, name, weights, looped) in candidates {
        let from_itself = weights.iter().filter(|(source, _)| comes_from(&sources, source, &name));
        if from_itself.fold(0u64, |sum, (_, weight)| sum.saturating_add(*weight)) < 2 {
            continue;
        }
        if looped {
            found.push((id, 0));
        } else {
            let entry = straight.entry(name).or_insert((id, 0));
            entry.1 += 1;
        }
    }
    let mut repeated: Vec<_> = straight.into_values().filter(|(_, count)| *count >= DOUBLINGS).collect();
    repeated.sort_unstable();
    found.extend(repeated);
    found
}

fn single(target: &Target) -> Option<Text> {
    match target {
        Target::Name(name) => Some(name.clone()),
        Target::Member(object, name) => Some(format!("{object}.{name}").into()),
        Target::Several(_) => None,
    }
}

/// How many copies of each variable an expression joins; its nodes are `begin..=value`.
fn weights(tree: &Tree, begin: Id, value: Id) -> HashMap<Text, u64> {
    // From the outside in: a node stands behind those it is made of.
    let mut copies: HashMap<Id, u64> = HashMap::from([(value, 1)]);
    let mut out = HashMap::new();
    for id in (begin..=value).rev() {
        let Some(count) = copies.get(&id).copied() else { continue };
        let mut give = |of: Id, times: u64| {
            let entry = copies.entry(of).or_insert(0);
            *entry = entry.saturating_add(count.saturating_mul(times));
        };
        match tree.nodes.get(id) {
            Some(Node::Name(name)) => {
                let entry = out.entry(name.clone()).or_insert(0u64);
                *entry = entry.saturating_add(count);
            }
            Some(Node::Attribute { of, name }) => {
                if let Some(Node::Name(object)) = tree.nodes.get(*of) {
                    let entry = out.entry(format!("{object}.{name}").into()).or_insert(0);
                    *entry = entry.saturating_add(count);
                } else {
                    give(*of, 1);
                }
            }
            Some(Node::Binary { operator: "+" | "~", left, right }) => {
                give(*left, 1);
                give(*right, 1);
            }
            Some(Node::Binary { operator: "*", left, right }) => {
                for (of, times) in [(*left, *right), (*right, *left)] {
                    let times = match tree.nodes.get(times) {
                        Some(Node::Integer(n)) => n.unsigned_abs(),
                        _ => 1,
                    };
                    give(of, times);
                }
            }
            Some(Node::List(items)) => items.iter().for_each(|item| give(*item, 1)),
            // The runs of a condition exclude each other: the greatest is what counts, and the first is as good a guess.
            Some(Node::Either(either)) => {
                for of in either {
                    copies.insert(*of, count.max(copies.get(of).copied().unwrap_or(0)));
                }
            }
            Some(Node::Filter { of, name, arguments }) => {
                give(*of, 1);
                if matches!(&**name, "join" | "replace" | "format") {
                    arguments.all().for_each(|argument| give(argument, 1));
                }
            }
            Some(Node::Call { callee, arguments }) => {
                if let Some(Node::Attribute { of, name }) = tree.nodes.get(*callee)
                    && matches!(&**name, "join" | "replace" | "format" | "append" | "extend")
                {
                    give(*of, 1);
                    arguments.all().for_each(|argument| give(argument, 1));
                }
            }
            _ => {}
        }
    }
    out
}

/// Whether the value of `name` goes into `source`, through any number of assignments.
fn comes_from(sources: &HashMap<Text, HashSet<Text>>, source: &Text, name: &Text) -> bool {
    let mut seen = HashSet::from([source.clone()]);
    let mut open = vec![source.clone()];
    while let Some(next) = open.pop() {
        if next == *name {
            return true;
        }
        for further in sources.get(&next).into_iter().flatten() {
            if seen.len() < SEARCH && seen.insert(further.clone()) {
                open.push(further.clone());
            }
        }
    }
    false
}
