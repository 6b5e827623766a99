//! A model, and the two graphs made of it.

use std::collections::BTreeMap;

use gauntlet_limits::{Budget, ReadAt};
use gauntlet_onnx::{ElementType, Model};

use crate::array::is_float;
use crate::backward::differentiate;
use crate::build::Builder;
use crate::dim::{Dim, text};
use crate::emit::{Named, model_bytes, names};
use crate::error::GradError;
use crate::graph::{Graph, ValueId};
use crate::import::{ExternalData, Imported, import, options_error};
use crate::lower::OPERATORS;

/// What to differentiate, and how. The defaults fit a classifier with one input.
#[derive(Clone, Default)]
pub struct Options<'a> {
    /// The value whose gradient is wanted; any value of the model may be. Without it: the first float input that the
    /// output needs, or, where all inputs are integers (tokens), the embedding that is looked up with the first.
    pub with_respect_to: Option<String>,
    /// The value that is differentiated. Without it: the first float output.
    pub output: Option<String>,
    /// Sizes of axes that the model leaves open, by the axis' name or by `input:axis`. The first axis of an input is
    /// the batch and may stay open.
    pub sizes: BTreeMap<String, usize>,
    /// How the gradient of convolutions with stride 1 is computed.
    pub conv_gradient: ConvGradient,
    /// Where constants outside of the model's file come from; without it such a constant is an error.
    pub external: Option<&'a dyn ExternalData>,
}

/// The gradient of a convolution is a transposed convolution, which with stride 1 is also a convolution with the
/// flipped kernel. Which is faster depends on the engine and on the layer; both give the same numbers but for rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConvGradient {
    /// `ConvTranspose` with the forward kernel, always.
    #[default]
    Transposed,
    /// `Conv` with the flipped kernel where the stride is 1 and the kernel is a constant.
    Flipped,
}

/// An input or output of one of the graphs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name in the graph.
    pub name: String,
    /// Element type.
    pub element_type: ElementType,
    /// Its shape.
    pub shape: Vec<Dim>,
}

/// What the backward graph is fed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// The vector of `Jᵀv`, shaped like the logits.
    Seed,
    /// An input of the forward graph, by its place in [`Differentiable::inputs`].
    Input(usize),
    /// An output of the forward graph, by its place in [`Differentiable::outputs`].
    Output(usize),
}

/// A model with the graphs that compute it and its gradient, both in ONNX opset 18, and each complete in itself.
///
/// The forward graph gives the logits and the residuals; the backward graph takes a seed on the logits and some of
/// what the forward graph took and gave, and returns the gradient `Jᵀv`. Rows of a batch do not mix unless the model
/// mixes them, which is refused where it is seen.
#[derive(Clone, Debug)]
pub struct Differentiable {
    forward: Vec<u8>,
    backward: Vec<u8>,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    target: Port,
    feeds: Vec<(String, Feed)>,
    gradient: Port,
    has_quantised: bool,
    has_halves: bool,
}

impl Differentiable {
    /// Makes the graphs of `model`, whose constants are read from `source`, the file it was read from.
    ///
    /// `budget` pays for constants (`expanded_bytes`), nodes and values (`nodes`), and folding (`steps`).
    ///
    /// # Errors
    /// [`GradError::Unsupported`] names all operators without a gradient; the other variants say what is wrong with
    /// the model, the options or the budget.
    pub fn new(model: &Model, source: &dyn ReadAt, options: &Options<'_>, budget: &Budget) -> Result<Self, GradError> {
        let mut imported = import(model, source, options, Builder::new(budget))?;
        let (target_name, target) = target(&imported, options)?;
        let (logits_name, logits) = imported.output.clone();
        let mut forward = std::mem::take(&mut imported.builder.graph);
        let kind = forward.value(logits).kind;
        if !is_float(kind) || forward.value(logits).constant.is_some() || logits == target {
            return Err(options_error(format!("the output `{logits_name}` is no function of floats: name another")));
        }
        let reverse = differentiate(&mut forward, target, logits, options.conv_gradient, budget)?;
        let Some(gradient) = reverse.gradient else {
            let what = format!("`{logits_name}` does not depend on `{target_name}` by anything that has a gradient");
            return Err(options_error(what));
        };

        let used = model_inputs(&reverse.graph, &[gradient]);
        if !used.contains(&reverse.seed) {
            return Err(options_error(format!("the gradient of `{logits_name}` is always zero")));
        }
        let residuals: Vec<(ValueId, ValueId)> =
            reverse.residuals.into_iter().filter(|(_, b)| used.contains(b)).collect();

        // An input that neither graph needs would be refused by some engines.
        let ahead: Vec<ValueId> = residuals.iter().map(|(ahead, _)| *ahead).chain([logits]).collect();
        let needed = model_inputs(&forward, &ahead);
        let inputs: Vec<(String, ValueId)> =
            imported.inputs.iter().filter(|(_, id)| needed.contains(id)).cloned().collect();
        let places: BTreeMap<ValueId, usize> = inputs.iter().enumerate().map(|(at, (_, id))| (*id, at)).collect();
        let mut outputs = vec![(logits_name, logits)];
        let free = names(inputs.iter().chain(&outputs).map(|(name, _)| name.as_str()));
        let mut feeds = vec![(reverse.seed, Feed::Seed)];
        for (ahead, back) in residuals {
            let feed = if let Some(at) = places.get(&ahead) {
                Feed::Input(*at)
            } else if ahead == logits {
                Feed::Output(0)
            } else {
                outputs.push((format!("{free}r{}", ahead.0), ahead));
                Feed::Output(outputs.len() - 1)
            };
            feeds.push((back, feed));
        }

        let taken: Vec<Named> = inputs.iter().map(|(name, id)| Named { name: name.clone(), id: *id }).collect();
        let given: Vec<Named> = outputs.iter().map(|(name, id)| Named { name: name.clone(), id: *id }).collect();
        let fed: Vec<Named> =
            feeds.iter().enumerate().map(|(n, (id, _))| Named { name: format!("feed{n}"), id: *id }).collect();
        let returned = [Named { name: "gradient".to_owned(), id: gradient }];
        let port = |graph: &Graph, named: &Named| {
            let value = graph.value(named.id);
            Port { name: named.name.clone(), element_type: value.kind, shape: value.shape.clone() }
        };
        Ok(Self {
            forward: model_bytes(&forward, &taken, &given, &free),
            backward: model_bytes(&reverse.graph, &fed, &returned, "t"),
            inputs: taken.iter().map(|named| port(&forward, named)).collect(),
            outputs: given.iter().map(|named| port(&forward, named)).collect(),
            target: port(&forward, &Named { name: target_name, id: target }),
            feeds: fed.iter().zip(&feeds).map(|(named, (_, feed))| (named.name.clone(), *feed)).collect(),
            gradient: port(&reverse.graph, &returned[0]),
            has_quantised: imported.has_quantised,
            has_halves: imported.has_halves,
        })
    }

    /// Operators of ONNX's own domain that models may hold; not every attribute of each is supported. Of `ai.onnx.ml`
    /// there are `Scaler`, `LinearRegressor` and `LinearClassifier`.
    #[must_use]
    pub fn operators() -> &'static [&'static str] {
        OPERATORS
    }

    /// The forward graph, an ONNX file.
    #[must_use]
    pub fn forward(&self) -> &[u8] {
        &self.forward
    }

    /// The backward graph, an ONNX file.
    #[must_use]
    pub fn backward(&self) -> &[u8] {
        &self.backward
    }

    /// Inputs of the forward graph: those of the model that the output needs, under their own names.
    #[must_use]
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// Outputs of the forward graph: the logits first, then the residuals.
    #[must_use]
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// The logits, [`Self::outputs`]' first.
    #[must_use]
    pub fn logits(&self) -> &Port {
        // There is always one.
        self.outputs.first().unwrap_or(&self.target)
    }

    /// The value that the gradient is taken with respect to: an input, or a value inside of the graph.
    #[must_use]
    pub fn target(&self) -> &Port {
        &self.target
    }

    /// Inputs of the backward graph by name, and what each is fed with.
    #[must_use]
    pub fn feeds(&self) -> &[(String, Feed)] {
        &self.feeds
    }

    /// The only output of the backward graph, shaped like [`Self::target`].
    #[must_use]
    pub fn gradient(&self) -> &Port {
        &self.gradient
    }

    /// Bytes that inputs, outputs and gradient of one row take together, for choosing the size of a batch.
    #[must_use]
    pub fn bytes_per_row(&self) -> u64 {
        let ports = self.inputs.iter().chain(&self.outputs).chain([&self.gradient]);
        let elements = |port: &Port| {
            let sizes = port.shape.iter().map(|dim| match dim {
                Dim::Fixed(n) | Dim::Rows(n) => *n as u64,
            });
            sizes.fold(1, u64::saturating_mul).saturating_mul(port.element_type.bytes(1).unwrap_or(1))
        };
        ports.map(elements).fold(0, u64::saturating_add)
    }

    /// The model rounds to quantised numbers; the gradient is the straight-through estimate, as if it did not.
    #[must_use]
    pub fn is_straight_through(&self) -> bool {
        self.has_quantised
    }

    /// The model computes in half precision; the graphs compute in single.
    #[must_use]
    pub fn is_widened(&self) -> bool {
        self.has_halves
    }
}

fn target(imported: &Imported<'_>, options: &Options<'_>) -> Result<(String, ValueId), GradError> {
    let value = |id: ValueId| imported.builder.value(id);
    if let Some(name) = &options.with_respect_to {
        let Some(id) = imported.names.get(name) else {
            return Err(options_error(format!("the output does not need a value `{name}`")));
        };
        if !is_float(value(*id).kind) || value(*id).constant.is_some() {
            let shape = text(&value(*id).shape);
            return Err(options_error(format!("`{name}` ({:?} {shape}) is no variable float tensor", value(*id).kind)));
        }
        return Ok((name.clone(), *id));
    }
    let float = imported.inputs.iter().find(|(_, id)| is_float(value(*id).kind));
    let found = float.or(imported.embedding.as_ref()).cloned();
    found.ok_or_else(|| {
        options_error(
            "no float input and no embedding of an integer one: name the value to differentiate with respect to",
        )
    })
}

/// Values that nothing computes and that `outputs` need.
fn model_inputs(graph: &Graph, outputs: &[ValueId]) -> std::collections::BTreeSet<ValueId> {
    let mut needed: std::collections::BTreeSet<ValueId> = outputs.iter().copied().collect();
    for node in graph.nodes.iter().rev() {
        if node.outputs.iter().any(|id| needed.contains(id)) {
            needed.extend(&node.inputs);
        }
    }
    for node in &graph.nodes {
        for id in &node.outputs {
            needed.remove(id);
        }
    }
    needed
}
