//! Graphs as ONNX files, opset 18. Field numbers are those of onnx.proto3.

mod node;
mod wire;

use std::collections::{BTreeMap, BTreeSet};

use gauntlet_onnx::ElementType;

use crate::array::Array;
use crate::dim::Dim;
use crate::graph::{Graph, Op, Unary, ValueId};
use node::Emitter;
use wire::Message;

const IR_VERSION: i64 = 8;
const OPSET: i64 = 18;

/// A value with the name it has outside.
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) id: ValueId,
}

/// A prefix that none of `taken` begins with, for values inside: `t0_`, or the first number that is free.
pub(crate) fn names<'n>(taken: impl Iterator<Item = &'n str>) -> String {
    let number = |name: &str| name.strip_prefix('t')?.split_once('_')?.0.parse::<usize>().ok();
    let used: BTreeSet<usize> = taken.filter_map(number).collect();
    let free = (0..).find(|n| !used.contains(n)).unwrap_or(used.len());
    format!("t{free}_")
}

/// The part of `graph` that `outputs` need, as an ONNX file.
pub(crate) fn model_bytes(graph: &Graph, inputs: &[Named], outputs: &[Named], prefix: &str) -> Vec<u8> {
    let needed = needed(graph, outputs);
    let mut known: BTreeMap<ValueId, String> = inputs.iter().map(|named| (named.id, named.name.clone())).collect();
    let computed: BTreeSet<ValueId> = graph.nodes.iter().flat_map(|node| node.outputs.iter().copied()).collect();
    let mut copies = Vec::new();
    for named in outputs {
        // An output that is an input, a constant or another output, too, gets a node of its own.
        if computed.contains(&named.id) && !known.contains_key(&named.id) {
            known.insert(named.id, named.name.clone());
        } else {
            copies.push(named);
        }
    }
    let mut emitter = Emitter::new(prefix, known);
    for node in graph.nodes.iter().filter(|node| node.outputs.iter().any(|id| needed.contains(id))) {
        emitter.node(graph, &node.op, &node.inputs, &node.outputs);
    }
    for named in copies {
        emitter.copy(graph, &Op::Unary(Unary::Identity), named);
    }

    let mut body = Message::default();
    for node in &emitter.nodes {
        body.message(1, node);
    }
    body.text(2, "gauntlet");
    for (name, array) in emitter.initializers {
        body.message(5, &tensor(&name, &array));
    }
    for named in inputs {
        body.message(11, &value_info(graph, named));
    }
    for named in outputs {
        body.message(12, &value_info(graph, named));
    }
    let mut opset = Message::default();
    opset.int(2, OPSET);
    let mut model = Message::default();
    model.int(1, IR_VERSION);
    model.text(2, "gauntlet-grad");
    model.message(7, &body);
    model.message(8, &opset);
    model.into_bytes()
}

fn needed(graph: &Graph, outputs: &[Named]) -> BTreeSet<ValueId> {
    let mut needed: BTreeSet<ValueId> = outputs.iter().map(|named| named.id).collect();
    for node in graph.nodes.iter().rev() {
        if node.outputs.iter().any(|id| needed.contains(id)) {
            needed.extend(&node.inputs);
        }
    }
    needed
}

fn tensor(name: &str, array: &Array) -> Message {
    let mut message = Message::default();
    for dim in &array.dims {
        message.int(1, *dim as i64);
    }
    message.int(2, number(array.kind));
    if !name.is_empty() {
        message.text(8, name);
    }
    message.bytes(9, &array.bytes);
    message
}

fn value_info(graph: &Graph, named: &Named) -> Message {
    let value = graph.value(named.id);
    let mut shape = Message::default();
    for dim in &value.shape {
        let mut size = Message::default();
        match dim {
            Dim::Fixed(n) => size.int(1, *n as i64),
            Dim::Rows(_) => size.text(2, &dim.to_string()),
        }
        shape.message(1, &size);
    }
    let mut tensor = Message::default();
    tensor.int(1, number(value.kind));
    tensor.message(2, &shape);
    let mut kind = Message::default();
    kind.message(1, &tensor);
    let mut info = Message::default();
    info.text(1, &named.name);
    info.message(2, &kind);
    info
}

/// `TensorProto.DataType`.
fn number(kind: ElementType) -> i64 {
    (1..=26).find(|n| ElementType::from_number(*n) == Some(kind)).map_or(0, i64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_inside_are_none_of_those_outside() {
        assert_eq!(names(["x", "logits"].into_iter()), "t0_");
        assert_eq!(names(["t0_3", "t1_", "t3_r", "t2"].into_iter()), "t2_");
    }
}
