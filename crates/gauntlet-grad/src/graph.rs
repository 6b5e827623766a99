//! The graph both directions are made of: primitive operators of ONNX opset 18, their attributes resolved to numbers.

use gauntlet_onnx::ElementType;

use crate::array::Array;
use crate::dim::Dim;

/// Index into [`Graph::values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ValueId(pub(crate) usize);

/// A tensor: an input, a constant or what a node computes.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) kind: ElementType,
    pub(crate) shape: Vec<Dim>,
    pub(crate) constant: Option<Array>,
    /// The elements of an integer tensor of rank 0 or 1 that depends on nothing but sizes.
    pub(crate) content: Option<Vec<Term>>,
}

/// An integer that is known up to the number of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Term {
    Number(i64),
    Rows(usize),
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) op: Op,
    pub(crate) inputs: Vec<ValueId>,
    pub(crate) outputs: Vec<ValueId>,
    /// What it is called in the model, for messages.
    pub(crate) label: String,
}

/// Nodes stand behind what they use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    pub(crate) values: Vec<Value>,
    pub(crate) nodes: Vec<Node>,
}

impl Graph {
    /// Ids come from this graph alone.
    pub(crate) fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unary {
    Abs,
    Ceil,
    Cos,
    Erf,
    Exp,
    Floor,
    Identity,
    Log,
    Neg,
    Not,
    Reciprocal,
    Relu,
    Round,
    /// `Round` forward and the identity backward: the straight-through estimate for quantised models.
    RoundThrough,
    Sigmoid,
    Sign,
    Sin,
    Softplus,
    Sqrt,
    Tanh,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    And,
    Div,
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Max,
    Min,
    Mul,
    Or,
    Pow,
    Sub,
    Xor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reduction {
    Max,
    Mean,
    Min,
    Prod,
    Sum,
}

/// A sliding window; one entry a spatial axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) kernel: Vec<usize>,
    pub(crate) strides: Vec<usize>,
    pub(crate) dilations: Vec<usize>,
    pub(crate) before: Vec<usize>,
    pub(crate) after: Vec<usize>,
    pub(crate) group: usize,
}

/// `count` elements from `start` on, `step` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) axis: usize,
    pub(crate) start: usize,
    pub(crate) count: usize,
    pub(crate) step: i64,
}

/// An operator with its attributes; inputs are as in opset 18, but for those that became attributes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    Unary(Unary),
    Binary(Binary),
    LeakyRelu(f64),
    Elu(f64),
    HardSigmoid {
        alpha: f64,
        beta: f64,
    },
    Clip {
        min: Option<f64>,
        max: Option<f64>,
    },
    Where,
    Cast(ElementType),
    MatMul,
    Gemm {
        alpha: f64,
        beta: f64,
        trans_a: bool,
        trans_b: bool,
    },
    Conv(Window),
    ConvTranspose {
        window: Window,
        output_padding: Vec<usize>,
    },
    /// A second output, the flat indices, exists where the way back asked for it.
    MaxPool(Window),
    /// Padding counts as zeros: the divisor is always the size of the kernel.
    AveragePool(Window),
    Reduce {
        reduction: Reduction,
        axes: Vec<usize>,
        keep: bool,
    },
    CumSum {
        axis: usize,
        exclusive: bool,
        reverse: bool,
    },
    Softmax(usize),
    LogSoftmax(usize),
    Reshape(Vec<Dim>),
    Transpose(Vec<usize>),
    Concat(usize),
    Slice(Vec<Cut>),
    Split {
        axis: usize,
        sizes: Vec<usize>,
    },
    Pad {
        before: Vec<usize>,
        after: Vec<usize>,
        fill: f64,
    },
    Gather(usize),
    /// Inputs: data, shape.
    Expand,
    Shape {
        start: usize,
        end: usize,
    },
    /// Input: shape. The element type and value of what fills it.
    ConstantOfShape(ElementType, f64),
    /// `ScatterElements` along axis 0 of flat tensors, adding: data, indices, updates.
    ScatterAdd,
}

impl Op {
    /// Least and most inputs, and outputs.
    pub(crate) fn arity(&self) -> (usize, usize, usize) {
        match self {
            Self::Binary(_) | Self::MatMul | Self::Gather(_) | Self::Expand => (2, 2, 1),
            Self::Where | Self::ScatterAdd => (3, 3, 1),
            Self::Gemm { .. } | Self::Conv(_) | Self::ConvTranspose { .. } => (2, 3, 1),
            Self::Concat(_) => (1, usize::MAX, 1),
            Self::Split { sizes, .. } => (1, 1, sizes.len()),
            _ => (1, 1, 1),
        }
    }
}
