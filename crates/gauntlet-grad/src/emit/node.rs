//! One node of the graph as a `NodeProto`, with the constants that opset 18 wants as inputs.

use std::collections::BTreeMap;

use gauntlet_onnx::ElementType;

use super::wire::Message;
use super::{Named, number, tensor};
use crate::array::Array;
use crate::dim::Dim;
use crate::graph::{Binary, Cut, Graph, Op, Reduction, Unary, ValueId, Window};

/// Constants up to this size are written once, however often they are used.
const SHARED: usize = 64;

pub(super) struct Emitter<'p> {
    prefix: &'p str,
    known: BTreeMap<ValueId, String>,
    shared: BTreeMap<(i64, Vec<usize>, Vec<u8>), String>,
    pub(super) nodes: Vec<Message>,
    pub(super) initializers: Vec<(String, Array)>,
}

enum Attribute {
    Int(&'static str, i64),
    Ints(&'static str, Vec<i64>),
    Float(&'static str, f64),
    Text(&'static str, &'static str),
    Tensor(&'static str, Array),
}

impl<'p> Emitter<'p> {
    pub(super) fn new(prefix: &'p str, known: BTreeMap<ValueId, String>) -> Self {
        Self { prefix, known, shared: BTreeMap::new(), nodes: Vec::new(), initializers: Vec::new() }
    }

    pub(super) fn node(&mut self, graph: &Graph, op: &Op, inputs: &[ValueId], outputs: &[ValueId]) {
        let mut names: Vec<String> = inputs.iter().map(|id| self.name(graph, *id)).collect();
        names.extend(self.lists(graph, op, inputs));
        let outputs: Vec<String> = outputs.iter().map(|id| self.name(graph, *id)).collect();
        self.push(op, &names, &outputs);
    }

    /// `named` as an output of its own.
    pub(super) fn copy(&mut self, graph: &Graph, identity: &Op, named: &Named) {
        let from = self.name(graph, named.id);
        self.push(identity, &[from], std::slice::from_ref(&named.name));
    }

    fn push(&mut self, op: &Op, inputs: &[String], outputs: &[String]) {
        let mut node = Message::default();
        inputs.iter().for_each(|name| node.text(1, name));
        outputs.iter().for_each(|name| node.text(2, name));
        node.text(3, &format!("{}n{}", self.prefix, self.nodes.len()));
        node.text(4, op_type(op));
        for attribute in attributes(op) {
            node.message(5, &attribute.message());
        }
        self.nodes.push(node);
    }

    fn name(&mut self, graph: &Graph, id: ValueId) -> String {
        if let Some(name) = self.known.get(&id) {
            return name.clone();
        }
        let name = match &graph.value(id).constant {
            Some(array) => self.initializer(array.clone()),
            None => format!("{}{}", self.prefix, id.0),
        };
        self.known.insert(id, name.clone());
        name
    }

    fn initializer(&mut self, array: Array) -> String {
        let name = format!("{}c{}", self.prefix, self.initializers.len());
        if array.bytes.len() <= SHARED {
            let key = (number(array.kind), array.dims.clone(), array.bytes.to_vec());
            if let Some(name) = self.shared.get(&key) {
                return name.clone();
            }
            self.shared.insert(key, name.clone());
        }
        self.initializers.push((name.clone(), array));
        name
    }

    fn list(&mut self, numbers: impl IntoIterator<Item = i64>) -> String {
        let numbers: Vec<i64> = numbers.into_iter().collect();
        self.initializer(Array::ints(vec![numbers.len()], numbers))
    }

    /// Attributes that opset 18 has as inputs.
    fn lists(&mut self, graph: &Graph, op: &Op, inputs: &[ValueId]) -> Vec<String> {
        let kind = inputs.first().map_or(ElementType::Float, |id| graph.value(*id).kind);
        match op {
            Op::Clip { min, max } => {
                let mut bound = |n: &Option<f64>| n.map_or(String::new(), |n| self.initializer(Array::scalar(kind, n)));
                let bounds = [bound(min), bound(max)];
                let given = bounds.iter().rposition(|name| !name.is_empty()).map_or(0, |at| at + 1);
                bounds.into_iter().take(given).collect()
            }
            Op::Reduce { axes, .. } => vec![self.list(axes.iter().map(|n| *n as i64))],
            Op::CumSum { axis, .. } => vec![self.initializer(Array::ints(Vec::new(), vec![*axis as i64]))],
            Op::Reshape(shape) => vec![self.list(shape.iter().map(|dim| match dim {
                Dim::Fixed(n) => *n as i64,
                Dim::Rows(_) => -1,
            }))],
            Op::Slice(cuts) => {
                let starts = self.list(cuts.iter().map(|cut| cut.start as i64));
                let ends = self.list(cuts.iter().map(end));
                let axes = self.list(cuts.iter().map(|cut| cut.axis as i64));
                let steps = self.list(cuts.iter().map(|cut| cut.step));
                vec![starts, ends, axes, steps]
            }
            Op::Split { sizes, .. } => vec![self.list(sizes.iter().map(|n| *n as i64))],
            Op::Pad { before, after, fill } => {
                let pads = self.list(before.iter().chain(after).map(|n| *n as i64));
                vec![pads, self.initializer(Array::scalar(kind, *fill))]
            }
            _ => Vec::new(),
        }
    }
}

/// Behind the last element; going backwards that may be in front of the first.
fn end(cut: &Cut) -> i64 {
    let last = cut.start as i64 + (cut.count as i64 - 1) * cut.step;
    match (cut.step > 0, last) {
        (true, last) => last + 1,
        (false, 0) => i64::MIN + 1,
        (false, last) => last - 1,
    }
}

fn op_type(op: &Op) -> &'static str {
    match op {
        Op::Unary(unary) => match unary {
            Unary::Abs => "Abs",
            Unary::Ceil => "Ceil",
            Unary::Cos => "Cos",
            Unary::Erf => "Erf",
            Unary::Exp => "Exp",
            Unary::Floor => "Floor",
            Unary::Identity => "Identity",
            Unary::Log => "Log",
            Unary::Neg => "Neg",
            Unary::Not => "Not",
            Unary::Reciprocal => "Reciprocal",
            Unary::Relu => "Relu",
            Unary::Round | Unary::RoundThrough => "Round",
            Unary::Sigmoid => "Sigmoid",
            Unary::Sign => "Sign",
            Unary::Sin => "Sin",
            Unary::Softplus => "Softplus",
            Unary::Sqrt => "Sqrt",
            Unary::Tanh => "Tanh",
        },
        Op::Binary(binary) => match binary {
            Binary::Add => "Add",
            Binary::And => "And",
            Binary::Div => "Div",
            Binary::Equal => "Equal",
            Binary::Greater => "Greater",
            Binary::GreaterOrEqual => "GreaterOrEqual",
            Binary::Less => "Less",
            Binary::LessOrEqual => "LessOrEqual",
            Binary::Max => "Max",
            Binary::Min => "Min",
            Binary::Mul => "Mul",
            Binary::Or => "Or",
            Binary::Pow => "Pow",
            Binary::Sub => "Sub",
            Binary::Xor => "Xor",
        },
        Op::Reduce { reduction, .. } => match reduction {
            Reduction::Max => "ReduceMax",
            Reduction::Mean => "ReduceMean",
            Reduction::Min => "ReduceMin",
            Reduction::Prod => "ReduceProd",
            Reduction::Sum => "ReduceSum",
        },
        Op::LeakyRelu(_) => "LeakyRelu",
        Op::Elu(_) => "Elu",
        Op::HardSigmoid { .. } => "HardSigmoid",
        Op::Clip { .. } => "Clip",
        Op::Where => "Where",
        Op::Cast(_) => "Cast",
        Op::MatMul => "MatMul",
        Op::Gemm { .. } => "Gemm",
        Op::Conv(_) => "Conv",
        Op::ConvTranspose { .. } => "ConvTranspose",
        Op::MaxPool(_) => "MaxPool",
        Op::AveragePool(_) => "AveragePool",
        Op::CumSum { .. } => "CumSum",
        Op::Softmax(_) => "Softmax",
        Op::LogSoftmax(_) => "LogSoftmax",
        Op::Reshape(_) => "Reshape",
        Op::Transpose(_) => "Transpose",
        Op::Concat(_) => "Concat",
        Op::Slice(_) => "Slice",
        Op::Split { .. } => "Split",
        Op::Pad { .. } => "Pad",
        Op::Gather(_) => "Gather",
        Op::Expand => "Expand",
        Op::Shape { .. } => "Shape",
        Op::ConstantOfShape(..) => "ConstantOfShape",
        Op::ScatterAdd => "ScatterElements",
    }
}

fn attributes(op: &Op) -> Vec<Attribute> {
    use Attribute::{Float, Int, Ints, Tensor, Text};
    let signed = |list: &[usize]| list.iter().map(|n| *n as i64).collect::<Vec<_>>();
    match op {
        Op::LeakyRelu(alpha) | Op::Elu(alpha) => vec![Float("alpha", *alpha)],
        Op::HardSigmoid { alpha, beta } => vec![Float("alpha", *alpha), Float("beta", *beta)],
        Op::Cast(kind) => vec![Int("to", number(*kind))],
        Op::Gemm { alpha, beta, trans_a, trans_b } => vec![
            Float("alpha", *alpha),
            Float("beta", *beta),
            Int("transA", i64::from(*trans_a)),
            Int("transB", i64::from(*trans_b)),
        ],
        Op::Conv(window) => {
            [pads(window), vec![Ints("dilations", signed(&window.dilations)), Int("group", window.group as i64)]]
                .into_iter()
                .flatten()
                .collect()
        }
        Op::ConvTranspose { window, output_padding } => {
            let mut list = pads(window);
            list.push(Ints("dilations", signed(&window.dilations)));
            list.push(Int("group", window.group as i64));
            list.push(Ints("output_padding", signed(output_padding)));
            list
        }
        Op::MaxPool(window) => {
            let mut list = pads(window);
            if window.dilations.iter().any(|n| *n != 1) {
                list.push(Ints("dilations", signed(&window.dilations)));
            }
            list
        }
        Op::AveragePool(window) => {
            let mut list = pads(window);
            list.push(Int("count_include_pad", 1));
            list
        }
        Op::CumSum { exclusive, reverse, .. } => {
            vec![Int("exclusive", i64::from(*exclusive)), Int("reverse", i64::from(*reverse))]
        }
        Op::Reduce { keep, .. } => vec![Int("keepdims", i64::from(*keep))],
        Op::Softmax(axis) | Op::LogSoftmax(axis) | Op::Concat(axis) | Op::Gather(axis) | Op::Split { axis, .. } => {
            vec![Int("axis", *axis as i64)]
        }
        Op::Transpose(order) => vec![Ints("perm", signed(order))],
        Op::Shape { start, end } => vec![Int("start", *start as i64), Int("end", *end as i64)],
        Op::ConstantOfShape(kind, fill) => {
            vec![Tensor("value", Array::floats(*kind, vec![1], vec![*fill]))]
        }
        Op::ScatterAdd => vec![Int("axis", 0), Text("reduction", "add")],
        _ => Vec::new(),
    }
}

fn pads(window: &Window) -> Vec<Attribute> {
    let signed = |list: &[usize]| list.iter().map(|n| *n as i64).collect::<Vec<_>>();
    vec![
        Attribute::Ints("kernel_shape", signed(&window.kernel)),
        Attribute::Ints("strides", signed(&window.strides)),
        Attribute::Ints("pads", [signed(&window.before), signed(&window.after)].concat()),
    ]
}

impl Attribute {
    /// `AttributeProto`; field 20 is its type.
    fn message(&self) -> Message {
        let mut message = Message::default();
        let (name, kind) = match self {
            Self::Float(name, _) => (name, 1),
            Self::Int(name, _) => (name, 2),
            Self::Text(name, _) => (name, 3),
            Self::Tensor(name, _) => (name, 4),
            Self::Ints(name, _) => (name, 7),
        };
        message.text(1, name);
        match self {
            Self::Float(_, number) => message.float(2, *number as f32),
            Self::Int(_, number) => message.int(3, *number),
            Self::Text(_, text) => message.text(4, text),
            Self::Tensor(_, array) => message.message(5, &tensor("", array)),
            Self::Ints(_, list) => list.iter().for_each(|number| message.int(8, *number)),
        }
        message.int(20, kind);
        message
    }
}
