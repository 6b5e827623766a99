//! Reverse-mode differentiation: from the logits back, each node's rule turns the gradient of its outputs into that of
//! its inputs. What a rule needs of the way there becomes an input of the way back.

mod elementwise;
mod linear;
mod moves;
mod reduce;
mod window;

use std::collections::BTreeMap;

use gauntlet_limits::Budget;

use crate::array::{Array, is_float};
use crate::build::Builder;
use crate::differentiable::ConvGradient;
use crate::dim::{Dim, all_fixed};
use crate::error::{Fault, GradError, Result, Unsupported, unsupported};
use crate::graph::{Graph, Node, Op, Reduction, Term, ValueId};

/// The way back.
pub(crate) struct Reverse {
    pub(crate) graph: Graph,
    pub(crate) seed: ValueId,
    /// `None` when nothing with a gradient leads from the logits to the target.
    pub(crate) gradient: Option<ValueId>,
    /// Values of the forward graph and the inputs here that stand for them.
    pub(crate) residuals: Vec<(ValueId, ValueId)>,
}

/// The graph of `Jᵀv` for the values `target` and `logits` of `forward`, which gets the extra outputs that it needs.
pub(crate) fn differentiate(
    forward: &mut Graph,
    target: ValueId,
    logits: ValueId,
    conv: ConvGradient,
    budget: &Budget,
) -> std::result::Result<Reverse, GradError> {
    let mut b = Builder::new(budget);
    let value = forward.value(logits);
    let shape = value.shape.clone();
    let seed = b.input(value.kind, shape).map_err(|fault| fault.at("the seed", "input"))?;
    let active = active(forward, target);
    let mut back = Backward { forward, b, residuals: BTreeMap::new(), active, seed, conv };
    let gradient = back.run(target, logits)?;
    Ok(Reverse { graph: back.b.graph, seed, gradient, residuals: back.residuals.into_iter().collect() })
}

pub(crate) struct Backward<'f, 'a> {
    forward: &'f mut Graph,
    b: Builder<'a>,
    residuals: BTreeMap<ValueId, ValueId>,
    active: Vec<bool>,
    seed: ValueId,
    conv: ConvGradient,
}

/// A gradient for each input; `None` where there is none to give.
type Gradients = Vec<Option<ValueId>>;

impl Backward<'_, '_> {
    fn run(&mut self, target: ValueId, logits: ValueId) -> std::result::Result<Option<ValueId>, GradError> {
        let mut gradients: Vec<Option<ValueId>> = vec![None; self.forward.values.len()];
        gradients[logits.0] = Some(self.seed);
        let mut refused = Vec::new();
        for index in (0..self.forward.nodes.len()).rev() {
            let node = self.forward.nodes[index].clone();
            let outputs: Gradients = node.outputs.iter().map(|id| gradients.get(id.0).copied().flatten()).collect();
            let leads_on = node.inputs.iter().any(|id| self.is_active(*id));
            if !leads_on || outputs.iter().all(Option::is_none) {
                continue;
            }
            node.label.clone_into(&mut self.b.label);
            let given = match self.rule(index, &node, &outputs) {
                Ok(given) => given,
                Err(Fault::Unsupported(reason)) => {
                    let operator = operator(&node.op);
                    refused.push(Unsupported { operator, node: node.label.clone(), reason });
                    // Goes on as if there were gradients, so that everything that is missing is named at once.
                    self.stand_ins(&node).map_err(|fault| fault.at(&node.label, "gradient"))?
                }
                Err(fault) => return Err(fault.at(&format!("gradient of {}", node.label), &operator(&node.op))),
            };
            for (input, new) in node.inputs.iter().zip(given) {
                let Some(new) = new.filter(|_| self.is_active(*input)) else { continue };
                let sum = match gradients[input.0] {
                    Some(known) => self.b.add(known, new).map_err(|fault| fault.at(&node.label, "Add"))?,
                    None => new,
                };
                gradients[input.0] = Some(sum);
            }
        }
        if refused.is_empty() { Ok(gradients[target.0]) } else { Err(GradError::Unsupported(refused)) }
    }

    fn stand_ins(&mut self, node: &Node) -> Result<Gradients> {
        let stand_in = |id: &ValueId| {
            let value = self.forward.value(*id);
            let (kind, shape) = (value.kind, value.shape.clone());
            self.b.input(kind, shape).map(Some)
        };
        node.inputs.iter().map(stand_in).collect()
    }

    fn rule(&mut self, index: usize, node: &Node, gradients: &Gradients) -> Result<Gradients> {
        if let Op::Split { axis, .. } = node.op {
            return self.split(node, axis, gradients);
        }
        let Some(v) = gradients.first().copied().flatten() else { return Ok(Vec::new()) };
        match &node.op {
            Op::Unary(_) | Op::LeakyRelu(_) | Op::Elu(_) | Op::HardSigmoid { .. } | Op::Clip { .. } | Op::Cast(_) => {
                Ok(vec![self.activation(node, v)?])
            }
            Op::Binary(binary) => self.arithmetic(*binary, node, v),
            Op::Where => self.choice(node, v),
            Op::MatMul => self.matmul(node, v),
            Op::Gemm { .. } => self.gemm(node, v),
            Op::Conv(window) => self.convolution(node, window, v),
            Op::ConvTranspose { window, .. } => self.transposed_convolution(node, window, v),
            Op::MaxPool(_) => self.max_pool(index, node, v),
            Op::AveragePool(window) => self.average_pool(node, window, v),
            Op::Reduce { reduction, axes, .. } => Ok(vec![Some(self.reduction(node, *reduction, axes, v)?)]),
            Op::CumSum { axis, exclusive, reverse } => {
                // Each sum gives to all that it counted: the sums of the other direction.
                let opposite = Op::CumSum { axis: *axis, exclusive: *exclusive, reverse: !reverse };
                Ok(vec![Some(self.b.node(opposite, &[v])?)])
            }
            Op::Softmax(axis) => Ok(vec![Some(self.softmax(node, *axis, v)?)]),
            Op::LogSoftmax(axis) => Ok(vec![Some(self.log_softmax(node, *axis, v)?)]),
            Op::Reshape(_) | Op::Transpose(_) | Op::Slice(_) | Op::Pad { .. } | Op::Expand => {
                Ok(vec![Some(self.moved(node, v)?)])
            }
            Op::Concat(axis) => self.concat(node, *axis, v),
            Op::Gather(axis) => Ok(vec![Some(self.gather(node, *axis, v)?)]),
            Op::Split { .. } | Op::Shape { .. } | Op::ConstantOfShape(..) | Op::ScatterAdd => {
                unsupported("no gradient rule for this operator")
            }
        }
    }

    // === What rules ask for ===

    fn is_active(&self, id: ValueId) -> bool {
        self.active.get(id.0).copied().unwrap_or(false)
    }

    fn input(&self, node: &Node, at: usize) -> Result<ValueId> {
        node.inputs.get(at).copied().map_or_else(|| unsupported("an input is missing"), Ok)
    }

    fn ahead_shape(&self, id: ValueId) -> Vec<Dim> {
        self.forward.value(id).shape.clone()
    }

    /// A value of the way there.
    fn residual(&mut self, id: ValueId) -> Result<ValueId> {
        if let Some(known) = self.residuals.get(&id) {
            return Ok(*known);
        }
        let value = self.forward.value(id);
        let (kind, shape, constant) = (value.kind, value.shape.clone(), value.constant.clone());
        if let Some(array) = constant {
            return self.b.constant(array);
        }
        let new = self.b.input(kind, shape)?;
        self.residuals.insert(id, new);
        Ok(new)
    }

    fn residual_input(&mut self, node: &Node, at: usize) -> Result<ValueId> {
        let id = self.input(node, at)?;
        self.residual(id)
    }

    fn residual_output(&mut self, node: &Node) -> Result<ValueId> {
        match node.outputs.first() {
            Some(id) => self.residual(*id),
            None => unsupported("an output is missing"),
        }
    }

    /// The gradient of a value that was broadcast: sums over what was repeated.
    fn unbroadcast(&mut self, v: ValueId, shape: &[Dim]) -> Result<ValueId> {
        let from = self.b.shape(v);
        if from == shape {
            return Ok(v);
        }
        let extra = from.len().saturating_sub(shape.len());
        let repeated = |axis: &usize| match axis.checked_sub(extra).and_then(|axis| shape.get(axis)) {
            None => true,
            Some(dim) => *dim == Dim::Fixed(1) && from.get(*axis) != Some(&Dim::Fixed(1)),
        };
        let axes = (0..from.len()).filter(repeated).collect();
        let sum = self.b.reduce(Reduction::Sum, v, axes, true)?;
        self.b.reshape(sum, shape)
    }

    /// Zeros of a shape that may grow with the batch; how many rows there are is asked of the seed.
    fn zeros(&mut self, like: ValueId, shape: &[Dim]) -> Result<ValueId> {
        let kind = self.b.kind(like);
        let Some(batch) = shape.iter().position(|dim| dim.fixed().is_none()) else {
            let dims = all_fixed(shape).unwrap_or_default();
            let sizes = self.b.constant(Array::ints(vec![dims.len()], dims.iter().map(|n| *n as i64).collect()))?;
            return self.b.node(Op::ConstantOfShape(kind, 0.0), &[sizes]);
        };
        let Dim::Rows(times) = shape[batch] else { return unsupported("no batch") };
        let others: usize = shape.iter().filter_map(|dim| dim.fixed()).product();
        let Some(sizes) = self.b.sizes(&[Term::Rows(1), Term::Number((times * others) as i64)])? else {
            return unsupported("the logits have no axis for the rows of the batch");
        };
        let flat = self.b.node(Op::ConstantOfShape(kind, 0.0), &[sizes])?;
        self.b.reshape(flat, shape)
    }
}

/// Values that depend on `target` by floats.
fn active(graph: &Graph, target: ValueId) -> Vec<bool> {
    let mut active = vec![false; graph.values.len()];
    active[target.0] = true;
    for node in &graph.nodes {
        if node.inputs.iter().any(|id| active[id.0]) {
            for id in node.outputs.iter().filter(|id| is_float(graph.value(**id).kind)) {
                active[id.0] = true;
            }
        }
    }
    active
}

fn operator(op: &Op) -> String {
    let text = format!("{op:?}");
    match op {
        Op::Unary(unary) => format!("{unary:?}"),
        Op::Binary(binary) => format!("{binary:?}"),
        Op::Reduce { reduction, .. } => format!("Reduce{reduction:?}"),
        _ => text.split([' ', '(', '{']).next().unwrap_or_default().to_owned(),
    }
}
