//! Variables that are joined to themselves: `{% set x = x ~ x %}` doubles with every round.

use std::collections::{HashMap, HashSet};

use crate::tree::{Id, Node, Target, Text, Tree};

/// Doublings without a loop from which on they are one fact; ten make a thousandfold.
const DOUBLINGS: u64 = 10;
/// Steps of looking for how one variable comes from another.
const SEARCH: usize = 10_000;

/// Copies of each variable.
type Weights = HashMap<Text, u64>;

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

/// How many copies of each variable an expression joins; its nodes are `begin..=value`, the inner ones first.
fn weights(tree: &Tree, begin: Id, value: Id) -> Weights {
    let mut found: HashMap<Id, Weights> = HashMap::new();
    for id in begin..=value {
        let mut take = |of: Id| found.remove(&of).unwrap_or_default();
        let weights = match tree.nodes.get(id) {
            Some(Node::Name(name)) => Weights::from([(name.clone(), 1)]),
            Some(Node::Attribute { of, name }) => match tree.nodes.get(*of) {
                Some(Node::Name(object)) => Weights::from([(format!("{object}.{name}").into(), 1)]),
                _ => take(*of),
            },
            Some(Node::Binary { operator: "+" | "~", left, right }) => {
                merge(take(*left), take(*right), u64::saturating_add)
            }
            Some(Node::Binary { operator: "*", left, right }) => {
                let times = |id: Id| match tree.nodes.get(id) {
                    Some(Node::Integer(n)) => n.unsigned_abs(),
                    _ => 1,
                };
                let scaled = |weights: Weights, times: u64| -> Weights {
                    weights.into_iter().map(|(name, weight)| (name, weight.saturating_mul(times))).collect()
                };
                let (left_times, right_times) = (times(*left), times(*right));
                merge(scaled(take(*left), right_times), scaled(take(*right), left_times), u64::saturating_add)
            }
            Some(Node::List(items)) => {
                items.iter().fold(Weights::new(), |all, item| merge(all, take(*item), u64::saturating_add))
            }
            // Only one of them is run.
            Some(Node::Either(either)) => {
                either.iter().fold(Weights::new(), |all, one| merge(all, take(*one), u64::max))
            }
            Some(Node::Filter { of, name, arguments }) => {
                let joins = matches!(&**name, "join" | "replace" | "format");
                let start = take(*of);
                let joined = arguments.all().filter(|_| joins);
                joined.fold(start, |all, argument| merge(all, take(argument), u64::saturating_add))
            }
            Some(Node::Call { callee, arguments }) => match tree.nodes.get(*callee) {
                Some(Node::Attribute { of, name })
                    if matches!(&**name, "join" | "replace" | "format" | "append" | "extend") =>
                {
                    // A plain name went into `object.name`; the method is none of its members.
                    let start = match tree.nodes.get(*of) {
                        Some(Node::Name(object)) => Weights::from([(object.clone(), 1)]),
                        _ => take(*callee),
                    };
                    arguments.all().fold(start, |all, argument| merge(all, take(argument), u64::saturating_add))
                }
                _ => Weights::new(),
            },
            _ => Weights::new(),
        };
        if !weights.is_empty() {
            found.insert(id, weights);
        }
    }
    found.remove(&value).unwrap_or_default()
}

/// The smaller goes into the larger, so that a long chain costs little more than its length.
fn merge(one: Weights, other: Weights, with: fn(u64, u64) -> u64) -> Weights {
    let (mut into, from) = if one.len() < other.len() { (other, one) } else { (one, other) };
    for (name, weight) in from {
        let entry = into.entry(name).or_insert(0);
        *entry = with(*entry, weight);
    }
    into
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
