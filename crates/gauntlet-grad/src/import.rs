//! From a model as the file has it to a graph of primitive operators: what the output needs, in an order in which
//! everything stands behind what it uses.

mod attributes;
mod tensor;

pub(crate) use attributes::Attributes;
pub use tensor::ExternalData;

use std::collections::{BTreeMap, BTreeSet};

use gauntlet_limits::{Limit, ReadAt};
use gauntlet_onnx::{AttributeValue, Dimension, ElementType, Graph as OnnxGraph, Model, Node as OnnxNode, ValueInfo};

use crate::array::widened;
use crate::build::Builder;
use crate::differentiable::Options;
use crate::dim::Dim;
use crate::error::{Fault, GradError, Unsupported, malformed};
use crate::graph::ValueId;
use crate::lower::{self, Lowering};
use tensor::TensorReader;

/// Versions of ONNX's own operators that are understood.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=28;

/// Characters of a node's name that messages show.
const LABEL: usize = 200;
/// Inputs among which tokens are looked for.
const INPUTS: usize = 64;

/// A model, read.
pub(crate) struct Imported<'a> {
    pub(crate) builder: Builder<'a>,
    /// Inputs of the model that are no constants, in its order.
    pub(crate) inputs: Vec<(String, ValueId)>,
    pub(crate) output: (String, ValueId),
    /// Values by the names they have in the model.
    pub(crate) names: BTreeMap<String, ValueId>,
    /// The embedding: what `Gather` made of an integer input, the first such.
    pub(crate) embedding: Option<(String, ValueId)>,
    pub(crate) has_quantised: bool,
    pub(crate) has_halves: bool,
}

pub(crate) fn import<'a>(
    model: &Model,
    source: &dyn ReadAt,
    options: &Options<'_>,
    builder: Builder<'a>,
) -> Result<Imported<'a>, GradError> {
    let Some(main) = model.graphs.first() else { return Err(options_error("the model has no graph")) };
    let opset = opset(model)?;
    let reader = TensorReader { source, budget: builder.budget(), external: options.external };
    let mut importer = Importer {
        opset,
        main,
        reader,
        options,
        unsupported: Vec::new(),
        poisoned: BTreeSet::new(),
        result: Imported {
            builder,
            inputs: Vec::new(),
            output: (output_name(main, options)?, ValueId(0)),
            names: BTreeMap::new(),
            embedding: None,
            has_quantised: false,
            has_halves: false,
        },
    };
    importer.run()?;
    Ok(importer.result)
}

struct Importer<'m, 'a> {
    opset: i64,
    main: &'m OnnxGraph,
    reader: TensorReader<'m>,
    options: &'m Options<'m>,
    unsupported: Vec<Unsupported>,
    /// Names whose computation failed; what uses them is not looked at.
    poisoned: BTreeSet<&'m str>,
    result: Imported<'a>,
}

impl<'m> Importer<'m, '_> {
    fn run(&mut self) -> Result<(), GradError> {
        let output = self.result.output.0.clone();
        let order = order(self.main, &output)?;
        self.result.builder.budget().limits().check(Limit::Nodes, order.nodes.len() as u64)?;
        self.constants(&order.used)?;
        self.inputs(&order.used)?;
        for index in order.nodes {
            self.node(&self.main.nodes[index])?;
        }
        if !self.unsupported.is_empty() {
            return Err(GradError::Unsupported(std::mem::take(&mut self.unsupported)));
        }
        match self.result.names.get(&output) {
            Some(id) => self.result.output.1 = *id,
            None => return Err(options_error(format!("nothing computes the output `{output}`"))),
        }
        Ok(())
    }

    fn constants(&mut self, used: &BTreeSet<&str>) -> Result<(), GradError> {
        if let Some(sparse) = self.main.sparse_initializers.iter().find(|s| used.contains(s.values.name.as_str())) {
            let fault = Fault::Unsupported("a sparse constant".to_owned());
            return Err(fault.at(&sparse.values.name, "sparse_initializer"));
        }
        for tensor in self.main.initializers.iter().filter(|tensor| used.contains(tensor.name.as_str())) {
            self.note_halves(tensor.data_type);
            let array = self.reader.read(tensor).map_err(|fault| fault.at(&tensor.name, "initializer"))?;
            let id = self.result.builder.constant(array).map_err(|fault| fault.at(&tensor.name, "initializer"))?;
            if self.result.names.insert(tensor.name.clone(), id).is_some() {
                return Err(twice(&tensor.name));
            }
        }
        Ok(())
    }

    fn inputs(&mut self, used: &BTreeSet<&str>) -> Result<(), GradError> {
        for info in &self.main.inputs {
            // Old files list constants among the inputs, too: the constant is the default that nobody overrides.
            if self.result.names.contains_key(&info.name) || !used.contains(info.name.as_str()) {
                continue;
            }
            self.note_halves(info.element_type);
            let Some(kind) = ElementType::from_number(info.element_type) else {
                return Err(options_error(format!("the input `{}` is no tensor", info.name)));
            };
            let shape = self.input_shape(info)?;
            let id = self.result.builder.input(widened(kind), shape).map_err(|fault| fault.at(&info.name, "input"))?;
            self.result.inputs.push((info.name.clone(), id));
            self.result.names.insert(info.name.clone(), id);
        }
        Ok(())
    }

    fn input_shape(&self, info: &ValueInfo) -> Result<Vec<Dim>, GradError> {
        let name = &info.name;
        let Some(dims) = &info.dims else {
            return Err(options_error(format!("the input `{name}` has no shape: export the model with one")));
        };
        let size = |(axis, dim): (usize, &Dimension)| {
            let place = format!("{name}:{axis}");
            let key = match dim {
                Dimension::Name(symbol) if self.options.sizes.contains_key(symbol) => symbol,
                _ => &place,
            };
            match (dim, self.options.sizes.get(key)) {
                (_, Some(0)) => Err(options_error(format!("a size of 0 is given for `{key}`"))),
                (_, Some(size)) => Ok(Dim::Fixed(*size)),
                (Dimension::Value(n), _) if *n > 0 => Ok(Dim::Fixed(usize::try_from(*n).unwrap_or(usize::MAX))),
                (_, None) if axis == 0 => Ok(Dim::Rows(1)),
                (Dimension::Name(symbol), None) => Err(options_error(format!(
                    "axis {axis} of the input `{name}` has no fixed size: give one for `{symbol}`"
                ))),
                _ => Err(options_error(format!(
                    "axis {axis} of the input `{name}` has no fixed size: give one for `{place}`"
                ))),
            }
        };
        dims.iter().enumerate().map(size).collect()
    }

    fn node(&mut self, node: &'m OnnxNode) -> Result<(), GradError> {
        let place = place(node);
        let taints = node.inputs.iter().any(|name| self.poisoned.contains(name.as_str()));
        if lower::knows(&node.domain, &node.op_type) && taints {
            self.poisoned.extend(node.outputs.iter().map(String::as_str));
            return Ok(());
        }
        match self.lowered(node, &place) {
            Ok(outputs) => {
                for (name, id) in node.outputs.iter().zip(outputs) {
                    let Some(id) = id.filter(|_| !name.is_empty()) else { continue };
                    if self.result.names.insert(name.clone(), id).is_some() {
                        return Err(twice(name));
                    }
                }
                self.note_embedding(node);
                Ok(())
            }
            Err(Fault::Unsupported(reason)) => {
                self.unsupported.push(Unsupported { operator: operator(node), node: place, reason });
                self.poisoned.extend(node.outputs.iter().map(String::as_str));
                Ok(())
            }
            Err(fault) => Err(fault.at(&place, &operator(node))),
        }
    }

    fn lowered(&mut self, node: &'m OnnxNode, place: &str) -> Result<Vec<Option<ValueId>>, Fault> {
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for name in &node.inputs {
            inputs.push(match self.result.names.get(name) {
                Some(id) => Some(*id),
                None if name.is_empty() => None,
                None if self.poisoned.contains(name.as_str()) => None,
                None => return malformed(format!("nothing computes its input `{name}`")),
            });
        }
        self.result.has_quantised |= node.op_type == "QuantizeLinear";
        for value in node.attributes.iter().flat_map(|attribute| &attribute.values) {
            if let AttributeValue::Tensor(tensor) = value {
                self.note_halves(tensor.data_type);
            }
        }
        place.clone_into(&mut self.result.builder.label);
        let attributes = Attributes { node, reader: &self.reader };
        let mut lowering = Lowering { b: &mut self.result.builder, attributes, inputs, opset: self.opset };
        lower::lower(&mut lowering, &node.domain, &node.op_type, node.outputs.len())
    }

    /// Text models: the gradient is taken with respect to the embeddings of the tokens.
    fn note_embedding(&mut self, node: &OnnxNode) {
        if node.op_type != "Gather" || self.result.embedding.is_some() {
            return;
        }
        let is_input = |name: &String| self.main.inputs.iter().take(INPUTS).any(|input| input.name == *name);
        let (Some(data), Some(indices), Some(output)) = (node.inputs.first(), node.inputs.get(1), node.outputs.first())
        else {
            return;
        };
        let names = &self.result.names;
        let is_constant = names.get(data).is_some_and(|id| self.result.builder.array(*id).is_some());
        if is_constant
            && is_input(indices)
            && let Some(id) = names.get(output)
        {
            self.result.embedding = Some((output.clone(), *id));
        }
    }

    fn note_halves(&mut self, data_type: i32) {
        let kind = ElementType::from_number(data_type);
        self.result.has_halves |= matches!(kind, Some(ElementType::Float16 | ElementType::Bfloat16));
    }
}

struct Order<'m> {
    nodes: Vec<usize>,
    used: BTreeSet<&'m str>,
}

/// The nodes that `output` needs, each behind those it uses, wherever the file has them.
fn order<'m>(graph: &'m OnnxGraph, output: &'m str) -> Result<Order<'m>, GradError> {
    let mut makers = BTreeMap::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        for name in node.outputs.iter().filter(|name| !name.is_empty()) {
            if makers.insert(name.as_str(), index).is_some() {
                return Err(twice(name));
            }
        }
    }
    let mut order = Order { nodes: Vec::new(), used: BTreeSet::from([output]) };
    // 0: not seen, 1: waits for what it uses, 2: done.
    let mut state = vec![0u8; graph.nodes.len()];
    let mut stack: Vec<(usize, usize)> = makers.get(output).map(|index| (*index, 0)).into_iter().collect();
    while let Some((index, at)) = stack.pop() {
        state[index] = 1;
        let Some(name) = graph.nodes[index].inputs.get(at) else {
            state[index] = 2;
            order.nodes.push(index);
            continue;
        };
        stack.push((index, at + 1));
        order.used.insert(name);
        match makers.get(name.as_str()).map(|maker| (*maker, state[*maker])) {
            Some((maker, 0)) => stack.push((maker, 0)),
            Some((_, 1)) => {
                let what = format!("needs its own result through `{name}`");
                return Err(GradError::Malformed { at: place(&graph.nodes[index]), what });
            }
            _ => {}
        }
    }
    Ok(order)
}

fn output_name(graph: &OnnxGraph, options: &Options<'_>) -> Result<String, GradError> {
    if let Some(name) = &options.output {
        let known = graph.nodes.iter().flat_map(|node| &node.outputs).any(|output| output == name);
        return if known { Ok(name.clone()) } else { Err(options_error(format!("the model has no value `{name}`"))) };
    }
    let is_float = |info: &&ValueInfo| matches!(info.element_type, 1 | 10 | 11 | 16);
    let first = graph.outputs.iter().find(is_float).or_else(|| graph.outputs.first());
    first.map(|info| info.name.clone()).ok_or_else(|| options_error("the model has no output"))
}

fn opset(model: &Model) -> Result<i64, GradError> {
    let own = model.opsets.iter().rfind(|opset| matches!(opset.domain.as_str(), "" | "ai.onnx"));
    let Some(opset) = own else { return Err(options_error("the model does not say which ONNX opset it uses")) };
    if OPSETS.contains(&opset.version) {
        return Ok(opset.version);
    }
    let (first, last) = (OPSETS.start(), OPSETS.end());
    Err(options_error(format!("opset {} is not understood: convert the model to {first}..={last}", opset.version)))
}

/// The type, with its domain where that is not ONNX itself.
pub(crate) fn operator(node: &OnnxNode) -> String {
    match node.domain.as_str() {
        "" | "ai.onnx" => node.op_type.clone(),
        domain => format!("{domain}.{}", node.op_type),
    }
}

/// The name, or that of the first output; cut, because every node that is made of this one keeps it.
fn place(node: &OnnxNode) -> String {
    let name = if node.name.is_empty() { node.outputs.first() } else { Some(&node.name) };
    name.map(|name| name.chars().take(LABEL).collect()).unwrap_or_default()
}

fn twice(name: &str) -> GradError {
    GradError::Malformed { at: name.to_owned(), what: "two definitions of this value".to_owned() }
}

pub(crate) fn options_error(text: impl Into<String>) -> GradError {
    GradError::Options(text.into())
}
