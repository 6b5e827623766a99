//! Puts nodes into a graph: each gets its types and shapes, and what depends on constants alone becomes one.

use gauntlet_limits::{Budget, Limit};
use gauntlet_onnx::ElementType;

use crate::array::{Array, width};
use crate::dim::{Dim, text};
use crate::error::{Fault, Result, malformed, unsupported};
use crate::fold;
use crate::graph::{Binary, Graph, Node, Op, Reduction, Term, Unary, Value, ValueId};
use crate::infer::{Typed, infer};

/// Axes of one tensor.
const RANK: usize = 16;
/// Elements of one tensor, for one row of the batch.
const ELEMENTS: usize = 1 << 28;

/// A graph that grows.
pub(crate) struct Builder<'a> {
    pub(crate) graph: Graph,
    pub(crate) label: String,
    /// The first input that has one row for each of the batch, and on which axis.
    rows: Option<(ValueId, usize)>,
    budget: &'a Budget,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(budget: &'a Budget) -> Self {
        Self { graph: Graph::default(), label: String::new(), rows: None, budget }
    }

    pub(crate) fn budget(&self) -> &'a Budget {
        self.budget
    }

    pub(crate) fn value(&self, id: ValueId) -> &Value {
        self.graph.value(id)
    }

    pub(crate) fn kind(&self, id: ValueId) -> ElementType {
        self.value(id).kind
    }

    pub(crate) fn shape(&self, id: ValueId) -> Vec<Dim> {
        self.value(id).shape.clone()
    }

    pub(crate) fn rank(&self, id: ValueId) -> usize {
        self.value(id).shape.len()
    }

    pub(crate) fn array(&self, id: ValueId) -> Option<&Array> {
        self.value(id).constant.as_ref()
    }

    /// Refuses constants of so many elements before they are made.
    pub(crate) fn affords(&self, elements: usize) -> Result<()> {
        Ok(self.budget.limits().check(Limit::ExpandedBytes, (elements as u64).saturating_mul(8))?)
    }

    /// A value that nothing in the graph computes.
    pub(crate) fn input(&mut self, kind: ElementType, shape: Vec<Dim>) -> Result<ValueId> {
        let rows = shape.iter().position(|dim| *dim == Dim::Rows(1));
        let id = self.push((kind, shape), None, None)?;
        self.rows = self.rows.or(rows.map(|axis| (id, axis)));
        Ok(id)
    }

    /// The shape `terms` as a tensor, asked of an input where it grows with the batch: engines follow that more easily
    /// than what exporters compute. `None` where no input tells.
    pub(crate) fn sizes(&mut self, terms: &[Term]) -> Result<Option<ValueId>> {
        let mut parts = Vec::with_capacity(terms.len());
        for term in terms {
            parts.push(match (term, self.rows) {
                (Term::Number(n), _) => self.constant(Array::ints(vec![1], vec![*n]))?,
                (Term::Rows(1), Some((input, axis))) => {
                    self.node(Op::Shape { start: axis, end: axis + 1 }, &[input])?
                }
                (Term::Rows(_), _) => return Ok(None),
            });
        }
        match parts[..] {
            [] => self.constant(Array::ints(vec![0], Vec::new())).map(Some),
            [only] => Ok(Some(only)),
            _ => self.node(Op::Concat(0), &parts).map(Some),
        }
    }

    pub(crate) fn constant(&mut self, array: Array) -> Result<ValueId> {
        self.budget.expand(array.bytes.len() as u64)?;
        let shape = array.dims.iter().map(|n| Dim::Fixed(*n)).collect();
        let content = if array.dims.len() < 2 { array.to_ints() } else { None };
        let content = content.map(|ints| ints.into_iter().map(Term::Number).collect());
        self.push((array.kind, shape), Some(array), content)
    }

    pub(crate) fn scalar(&mut self, kind: ElementType, number: f64) -> Result<ValueId> {
        self.constant(Array::scalar(kind, number))
    }

    /// A node with one output.
    pub(crate) fn node(&mut self, op: Op, inputs: &[ValueId]) -> Result<ValueId> {
        match self.nodes(op, inputs)?.first() {
            Some(output) => Ok(*output),
            None => malformed("a node without outputs"),
        }
    }

    /// A node with as many outputs as its operator has.
    pub(crate) fn nodes(&mut self, op: Op, inputs: &[ValueId]) -> Result<Vec<ValueId>> {
        let (least, most, outputs) = op.arity();
        if inputs.len() < least || inputs.len() > most || outputs == 0 {
            return malformed(format!("{} inputs", inputs.len()));
        }
        self.budget.steps(1)?;
        let values: Vec<&Value> = inputs.iter().map(|id| self.graph.value(*id)).collect();
        let typed = infer(&op, &values)?;
        for (kind, shape) in &typed {
            check(*kind, shape)?;
        }
        if let Some(arrays) = fold::evaluate(&op, &values, &typed, self.budget)? {
            return arrays.into_iter().map(|array| self.constant(array)).collect();
        }
        let mut content = fold::content(&op, &values);
        if let (Some(terms), [(kind, shape)]) = (&content, &typed[..]) {
            let numbers: Option<Vec<i64>> = terms.iter().map(Term::number).collect();
            if let Some(numbers) = numbers {
                let dims = crate::dim::all_fixed(shape).unwrap_or_default();
                let numbers = crate::array::Numbers::Ints(numbers);
                return Ok(vec![self.constant(Array::from_numbers(*kind, dims, &numbers))?]);
            }
        }
        if typed.iter().any(|(_, shape)| shape.contains(&Dim::Fixed(0))) {
            return unsupported("a tensor without elements");
        }
        let outputs =
            typed.into_iter().map(|typed| self.push(typed, None, content.take())).collect::<Result<Vec<_>>>()?;
        self.budget.limits().check(Limit::Nodes, self.graph.nodes.len() as u64)?;
        let label = self.label.clone();
        self.graph.nodes.push(Node { op, inputs: inputs.to_vec(), outputs: outputs.clone(), label });
        Ok(outputs)
    }

    fn push(&mut self, (kind, shape): Typed, constant: Option<Array>, content: Option<Vec<Term>>) -> Result<ValueId> {
        check(kind, &shape)?;
        self.budget.limits().check(Limit::Nodes, self.graph.values.len() as u64)?;
        self.graph.values.push(Value { kind, shape, constant, content });
        Ok(ValueId(self.graph.values.len() - 1))
    }
}

/// Shorthands for the rules.
impl Builder<'_> {
    pub(crate) fn unary(&mut self, unary: Unary, x: ValueId) -> Result<ValueId> {
        self.node(Op::Unary(unary), &[x])
    }

    pub(crate) fn binary(&mut self, binary: Binary, a: ValueId, b: ValueId) -> Result<ValueId> {
        self.node(Op::Binary(binary), &[a, b])
    }

    pub(crate) fn add(&mut self, a: ValueId, b: ValueId) -> Result<ValueId> {
        self.binary(Binary::Add, a, b)
    }

    pub(crate) fn sub(&mut self, a: ValueId, b: ValueId) -> Result<ValueId> {
        self.binary(Binary::Sub, a, b)
    }

    pub(crate) fn mul(&mut self, a: ValueId, b: ValueId) -> Result<ValueId> {
        self.binary(Binary::Mul, a, b)
    }

    pub(crate) fn div(&mut self, a: ValueId, b: ValueId) -> Result<ValueId> {
        self.binary(Binary::Div, a, b)
    }

    /// `x` times a number; itself where that is one.
    pub(crate) fn scale(&mut self, x: ValueId, number: f64) -> Result<ValueId> {
        if number == 1.0 {
            return Ok(x);
        }
        let number = self.scalar(self.kind(x), number)?;
        self.mul(x, number)
    }

    /// `x` plus a number.
    pub(crate) fn offset(&mut self, x: ValueId, number: f64) -> Result<ValueId> {
        let number = self.scalar(self.kind(x), number)?;
        self.add(x, number)
    }

    /// `x` compared with a number.
    pub(crate) fn compare(&mut self, binary: Binary, x: ValueId, number: f64) -> Result<ValueId> {
        let number = self.scalar(self.kind(x), number)?;
        self.binary(binary, x, number)
    }

    pub(crate) fn select(&mut self, condition: ValueId, a: ValueId, b: ValueId) -> Result<ValueId> {
        self.node(Op::Where, &[condition, a, b])
    }

    pub(crate) fn reshape(&mut self, x: ValueId, shape: &[Dim]) -> Result<ValueId> {
        if self.value(x).shape == shape { Ok(x) } else { self.node(Op::Reshape(shape.to_vec()), &[x]) }
    }

    pub(crate) fn transpose(&mut self, x: ValueId, order: Vec<usize>) -> Result<ValueId> {
        if order.iter().copied().eq(0..self.rank(x)) { Ok(x) } else { self.node(Op::Transpose(order), &[x]) }
    }

    /// The last two axes exchanged.
    pub(crate) fn swap_last(&mut self, x: ValueId) -> Result<ValueId> {
        let rank = self.rank(x);
        let mut order: Vec<usize> = (0..rank).collect();
        if rank >= 2 {
            order.swap(rank - 1, rank - 2);
        }
        self.transpose(x, order)
    }

    pub(crate) fn reduce(&mut self, reduction: Reduction, x: ValueId, axes: Vec<usize>, keep: bool) -> Result<ValueId> {
        if axes.is_empty() {
            return Ok(x);
        }
        if let Some(axis) = axes.iter().find(|axis| self.value(x).shape.get(**axis).is_none_or(|d| d.fixed().is_none()))
        {
            return unsupported(format!("a reduction of axis {axis}, which is the batch or missing"));
        }
        self.node(Op::Reduce { reduction, axes, keep }, &[x])
    }
}

impl Term {
    pub(crate) fn number(&self) -> Option<i64> {
        match self {
            Self::Number(n) => Some(*n),
            Self::Rows(_) => None,
        }
    }
}

/// Refuses what no engine could hold, before anything is computed with it.
fn check(kind: ElementType, shape: &[Dim]) -> Result<()> {
    if width(kind) == 0 {
        return unsupported(format!("element type {kind:?}"));
    }
    if shape.len() > RANK {
        return unsupported(format!("{} axes", shape.len()));
    }
    let size = shape.iter().try_fold(1usize, |product, dim| match dim {
        Dim::Fixed(n) | Dim::Rows(n) => product.checked_mul(*n),
    });
    match size {
        Some(n) if n <= ELEMENTS => Ok(()),
        _ => Err(Fault::Unsupported(format!("a tensor of shape {}", text(shape)))),
    }
}
