//! Where the values of a YAML document stand, by path of keys, so that a judgement over stored facts can name the line.

use std::collections::BTreeMap;
use std::fmt;

use gauntlet_core::yaml::{self, Located};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::facts::Lines;

/// Paths kept; a manifest of a million files has no need for the line of each.
const MOST: usize = 10_000;

/// The lines of all values: `{"license.spdx": 12, "files.0.path": 4}`. Empty when the document cannot be read.
pub(crate) fn lines(bytes: &[u8]) -> Lines {
    let mut out = Lines::new();
    let Ok(root) = yaml::parse::<Node>("", bytes) else { return out };
    let mut open: Vec<(String, Node)> = vec![(String::new(), root)];
    while let Some((prefix, node)) = open.pop() {
        if out.len() >= MOST {
            break;
        }
        let children: Vec<(String, Located<Node>)> = match node {
            Node::Leaf => continue,
            Node::Map(map) => map.into_iter().collect(),
            Node::List(list) => list.into_iter().enumerate().map(|(i, n)| (i.to_string(), n)).collect(),
        };
        for (key, child) in children {
            let path = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
            if child.line > 0 {
                out.insert(path.clone(), child.line);
            }
            open.push((path, child.value));
        }
    }
    out
}

enum Node {
    Leaf,
    Map(BTreeMap<String, Located<Node>>),
    List(Vec<Located<Node>>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Leaf)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }
    fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
        Ok(Node::Leaf)
    }
    fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
        Ok(Node::Leaf)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }
    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Leaf)
    }
    fn visit_bytes<E>(self, _: &[u8]) -> Result<Node, E> {
        Ok(Node::Leaf)
    }
    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf)
    }
    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while list.len() < MOST {
            match seq.next_element()? {
                Some(node) => list.push(node),
                None => return Ok(Node::List(list)),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut out = BTreeMap::new();
        while let Some((key, value)) = map.next_entry()? {
            out.insert(key, value);
        }
        Ok(Node::Map(out))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_value_has_its_line() {
        let lines = super::lines(b"a: 1\nb:\n  c: x\n  d: [1, 2]\nfiles:\n  - path: p\n");
        assert_eq!(lines.get("b.c"), Some(&3));
        assert_eq!(lines.get("b.d.1"), Some(&4));
        assert_eq!(lines.get("files.0.path"), Some(&6));
        assert!(super::lines(b"{").is_empty());
    }
}
