//! From the operators of the file, whatever their opset, to primitive ones of opset 18.

mod elementwise;
mod normalise;
mod pad;
mod predictor;
mod reduce;
mod reshape;
mod resize;
mod window;

use gauntlet_onnx::ElementType;

use crate::array::{Array, is_float};
use crate::build::Builder;
use crate::dim::Dim;
use crate::error::{Fault, Result, malformed, unsupported};
use crate::graph::{Binary, Op, Term, Unary, ValueId};
use crate::import::Attributes;

/// Operators of ONNX's own domain that are differentiated, or computed where no gradient passes.
pub(crate) const OPERATORS: &[&str] = &[
    "Abs",
    "Add",
    "And",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "CastLike",
    "Ceil",
    "Celu",
    "Clip",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "ConvTranspose",
    "Cos",
    "CumSum",
    "DepthToSpace",
    "DequantizeLinear",
    "Div",
    "Dropout",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Floor",
    "Gather",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Greater",
    "GreaterOrEqual",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "LRN",
    "LayerNormalization",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "LogSoftmax",
    "LpNormalization",
    "MatMul",
    "Max",
    "MaxPool",
    "Mean",
    "Min",
    "Mish",
    "Mul",
    "Neg",
    "Not",
    "Or",
    "PRelu",
    "Pad",
    "Pow",
    "QuantizeLinear",
    "RMSNormalization",
    "Range",
    "Reciprocal",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Relu",
    "Reshape",
    "Resize",
    "Round",
    "Selu",
    "Shape",
    "Sigmoid",
    "Sign",
    "Sin",
    "Size",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Swish",
    "Tanh",
    "ThresholdedRelu",
    "Tile",
    "Transpose",
    "Unsqueeze",
    "Upsample",
    "Where",
    "Xor",
];

const UNKNOWN: &str = "no gradient rule for this operator";

pub(crate) fn knows(domain: &str, operator: &str) -> bool {
    match domain {
        "" | "ai.onnx" => OPERATORS.binary_search(&operator).is_ok(),
        "ai.onnx.ml" => predictor::OPERATORS.contains(&operator),
        _ => false,
    }
}

/// One node of the file on its way.
pub(crate) struct Lowering<'l, 'a> {
    pub(crate) b: &'l mut Builder<'a>,
    pub(crate) attributes: Attributes<'l>,
    pub(crate) inputs: Vec<Option<ValueId>>,
    pub(crate) opset: i64,
}

/// The values of the node's outputs, from the first on; some, or those behind them, may not be computed.
pub(crate) fn lower(
    l: &mut Lowering<'_, '_>,
    domain: &str,
    operator: &str,
    outputs: usize,
) -> Result<Vec<Option<ValueId>>> {
    if !knows(domain, operator) {
        return unsupported(UNKNOWN);
    }
    if domain == "ai.onnx.ml" {
        return predictor::lower(l, operator);
    }
    if operator == "Split" {
        return Ok(reshape::split(l, outputs)?.into_iter().map(Some).collect());
    }
    let lowered = match operator {
        "Constant" => l.constant(),
        "Cast" => l.cast(),
        "CastLike" => {
            let (x, like) = (l.x(0)?, l.x(1)?);
            let kind = l.b.kind(like);
            l.b.node(Op::Cast(kind), &[x])
        }
        "Identity" => l.x(0),
        "Dropout" => match l.constant_input(2)?.map(|array| array.to_floats()) {
            Some(training) if training.first().is_some_and(|n| *n != 0.0) => unsupported("dropout in training mode"),
            _ => l.x(0),
        },
        "MatMul" => l.matmul(),
        "Gemm" => l.gemm(),
        "Conv" | "ConvTranspose" | "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool" => {
            window::lower(l, operator)
        }
        "BatchNormalization"
        | "InstanceNormalization"
        | "LayerNormalization"
        | "GroupNormalization"
        | "RMSNormalization"
        | "LpNormalization"
        | "LRN"
        | "Softmax"
        | "LogSoftmax" => normalise::lower(l, operator),
        "Resize" | "Upsample" => resize::lower(l, operator),
        "CumSum" => l.cumulative(),
        name if name.starts_with("Reduce") => reduce::lower(l, name),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Transpose" | "Concat" | "Slice" | "Gather" | "Pad"
        | "Expand" | "Tile" | "DepthToSpace" | "SpaceToDepth" | "Shape" | "Size" | "ConstantOfShape" | "Range" => {
            reshape::lower(l, operator)
        }
        _ => elementwise::lower(l, operator),
    };
    Ok(vec![Some(lowered?)])
}

impl Lowering<'_, '_> {
    /// An input that has to be there.
    fn x(&self, at: usize) -> Result<ValueId> {
        match self.optional(at) {
            Some(id) => Ok(id),
            None => malformed(format!("input {at} is missing")),
        }
    }

    fn optional(&self, at: usize) -> Option<ValueId> {
        self.inputs.get(at).copied().flatten()
    }

    /// All inputs of an operator that takes any number of them.
    fn all(&self) -> Result<Vec<ValueId>> {
        match self.inputs.iter().copied().collect::<Option<Vec<_>>>() {
            Some(inputs) if !inputs.is_empty() => Ok(inputs),
            _ => malformed("an input is missing"),
        }
    }

    /// An optional input that has to be a constant.
    fn constant_input(&self, at: usize) -> Result<Option<Array>> {
        let Some(id) = self.optional(at) else { return Ok(None) };
        match self.b.array(id) {
            Some(array) => Ok(Some(array.clone())),
            None => unsupported(format!("input {at} is computed from the input of the model")),
        }
    }

    fn constant_ints(&self, at: usize) -> Result<Option<Vec<i64>>> {
        match self.constant_input(at)?.map(|array| array.to_ints()) {
            None => Ok(None),
            Some(Some(ints)) => Ok(Some(ints)),
            Some(None) => malformed(format!("input {at} holds no integers")),
        }
    }

    /// A list that is an attribute before opset `since`, and the input `at` from then on.
    fn list(&self, name: &str, at: usize, since: i64) -> Result<Option<Vec<i64>>> {
        if self.opset < since { self.attributes.ints(name) } else { self.constant_ints(at) }
    }

    /// The sizes of `x` along its axes, none of which may grow with the batch but those that `free` allows.
    fn fixed(&self, x: ValueId, axis: usize) -> Result<usize> {
        match self.b.value(x).shape.get(axis) {
            Some(Dim::Fixed(n)) => Ok(*n),
            Some(Dim::Rows(_)) => unsupported(format!("axis {axis} grows with the batch")),
            None => malformed(format!("there is no axis {axis}")),
        }
    }

    fn axis(&self, axis: i64, x: ValueId) -> Result<usize> {
        crate::dim::axis(axis, self.b.rank(x))
    }

    fn constant(&mut self) -> Result<ValueId> {
        if let Some(array) = self.attributes.tensor("value")? {
            return self.b.constant(array);
        }
        if self.attributes.has("value_int") {
            let number = self.attributes.int("value_int", 0)?;
            return self.b.constant(Array::ints(Vec::new(), vec![number]));
        }
        if self.attributes.has("value_float") {
            let number = self.attributes.float("value_float", 0.0)?;
            return self.b.scalar(ElementType::Float, number);
        }
        if let Some(list) = self.attributes.floats("value_floats")? {
            return self.b.constant(Array::floats(ElementType::Float, vec![list.len()], list));
        }
        if self.attributes.has("value_ints") {
            let list = self.attributes.ints("value_ints")?.unwrap_or_default();
            return self.b.constant(Array::ints(vec![list.len()], list));
        }
        unsupported("a constant that is no dense tensor of numbers")
    }

    fn cast(&mut self) -> Result<ValueId> {
        let number = self.attributes.int("to", 0)?;
        let kind = i32::try_from(number).ok().and_then(ElementType::from_number);
        let Some(kind) = kind else { return malformed(format!("a cast to the unknown element type {number}")) };
        let (x, kind) = (self.x(0)?, crate::array::widened(kind));
        if self.b.kind(x) == kind { Ok(x) } else { self.b.node(Op::Cast(kind), &[x]) }
    }

    fn cumulative(&mut self) -> Result<ValueId> {
        let x = self.x(0)?;
        let Some(axis) = self.constant_ints(1)?.and_then(|list| list.first().copied()) else {
            return malformed("no axis");
        };
        let op = Op::CumSum {
            axis: self.axis(axis, x)?,
            exclusive: self.attributes.int("exclusive", 0)? != 0,
            reverse: self.attributes.int("reverse", 0)? != 0,
        };
        self.b.node(op, &[x])
    }

    /// Vectors become matrices with one row or column for the time of the product.
    fn matmul(&mut self) -> Result<ValueId> {
        let (a, b) = (self.x(0)?, self.x(1)?);
        let (is_row, is_column) = (self.b.rank(a) == 1, self.b.rank(b) == 1);
        let shape = self.b.shape(a);
        let a = if is_row { self.b.reshape(a, &[&[Dim::Fixed(1)], &shape[..]].concat())? } else { a };
        let shape = self.b.shape(b);
        let b = if is_column { self.b.reshape(b, &[&shape[..], &[Dim::Fixed(1)]].concat())? } else { b };
        let product = self.b.node(Op::MatMul, &[a, b])?;
        let mut shape = self.b.shape(product);
        if is_column {
            shape.pop();
        }
        // The product of matrices has two axes at least.
        if is_row && let Some(at) = shape.len().checked_sub(if is_column { 1 } else { 2 }) {
            shape.remove(at);
        }
        self.b.reshape(product, &shape)
    }

    fn gemm(&mut self) -> Result<ValueId> {
        let op = Op::Gemm {
            alpha: self.attributes.float("alpha", 1.0)?,
            beta: self.attributes.float("beta", 1.0)?,
            trans_a: self.attributes.int("transA", 0)? != 0,
            trans_b: self.attributes.int("transB", 0)? != 0,
        };
        let mut inputs = vec![self.x(0)?, self.x(1)?];
        inputs.extend(self.optional(2));
        self.b.node(op, &inputs)
    }
}

/// Shapes that the file gives as an input: numbers, or multiples of the number of rows.
fn terms(l: &Lowering<'_, '_>, at: usize) -> Result<Vec<Term>> {
    let id = l.x(at)?;
    match &l.b.value(id).content {
        Some(terms) => Ok(terms.clone()),
        None => unsupported("a shape that depends on the values of the input"),
    }
}

/// The only element of a constant.
fn single(array: &Array) -> Result<f64> {
    match array.to_floats()[..] {
        [number] => Ok(number),
        _ => malformed("a number is needed where a list is"),
    }
}

fn require_float(l: &Lowering<'_, '_>, x: ValueId) -> Result<()> {
    let kind = l.b.kind(x);
    if is_float(kind) { Ok(()) } else { Err(Fault::Unsupported(format!("element type {kind:?}"))) }
}

/// A number for each channel, shaped so that it goes with `x`, whose channels are at axis 1.
fn per_channel(l: &mut Lowering<'_, '_>, id: ValueId, x: ValueId) -> Result<ValueId> {
    let channels = l.fixed(x, 1)?;
    let mut shape = vec![Dim::Fixed(1); l.b.rank(x)];
    shape[1] = Dim::Fixed(channels);
    shape.remove(0);
    l.b.reshape(id, &shape)
}

/// `Softplus` and the like are composed often enough to have a name.
fn sigmoid(l: &mut Lowering<'_, '_>, x: ValueId) -> Result<ValueId> {
    l.b.unary(Unary::Sigmoid, x)
}

fn power(l: &mut Lowering<'_, '_>, x: ValueId, exponent: f64) -> Result<ValueId> {
    l.b.compare(Binary::Pow, x, exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_operators_is_sorted() {
        assert!(OPERATORS.is_sorted());
        assert!(knows("", "Conv") && knows("ai.onnx", "Gemm"));
        assert!(!knows("", "TopK") && !knows("com.microsoft", "Conv"));
    }
}
