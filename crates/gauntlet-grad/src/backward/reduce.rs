//! Gradients of reductions and of softmax.

use gauntlet_onnx::ElementType;

use super::Backward;
use crate::array::Array;
use crate::dim::Dim;
use crate::error::{Result, unsupported};
use crate::graph::{Binary, Node, Op, Reduction, Unary, ValueId};

impl Backward<'_, '_> {
    pub(super) fn reduction(
        &mut self,
        node: &Node,
        reduction: Reduction,
        axes: &[usize],
        v: ValueId,
    ) -> Result<ValueId> {
        let x = self.input(node, 0)?;
        let shape = self.ahead_shape(x);
        let reduced = |axis: usize| axes.contains(&axis);
        let kept: Vec<Dim> =
            shape.iter().enumerate().map(|(axis, dim)| if reduced(axis) { Dim::Fixed(1) } else { *dim }).collect();
        let v = self.b.reshape(v, &kept)?;
        match reduction {
            Reduction::Sum | Reduction::Mean => {
                let repeated = |(axis, dim): (usize, &Dim)| dim.fixed().filter(|_| reduced(axis)).unwrap_or(1);
                let dims: Vec<usize> = shape.iter().enumerate().map(repeated).collect();
                let count: usize = dims.iter().product();
                if count > 1 << 24 {
                    return unsupported("a reduction of that size");
                }
                self.b.affords(count)?;
                let weight = if reduction == Reduction::Mean { 1.0 / count as f64 } else { 1.0 };
                let weights = self.b.constant(Array::floats(self.b.kind(v), dims, vec![weight; count]))?;
                self.b.mul(v, weights)
            }
            Reduction::Max | Reduction::Min => {
                // Equals share the gradient.
                let (x, y) = (self.residual(x)?, self.residual_output(node)?);
                let y = self.b.reshape(y, &kept)?;
                let mask = self.b.binary(Binary::Equal, x, y)?;
                let kind = self.b.kind(v);
                let ones = self.b.node(Op::Cast(kind), &[mask])?;
                let count = self.b.reduce(Reduction::Sum, ones, axes.to_vec(), true)?;
                let share = self.b.div(v, count)?;
                let zero = self.b.scalar(kind, 0.0)?;
                self.b.select(mask, share, zero)
            }
            Reduction::Prod => unsupported("a product along an axis"),
        }
    }

    pub(super) fn softmax(&mut self, node: &Node, axis: usize, v: ValueId) -> Result<ValueId> {
        let y = self.residual_output(node)?;
        let weighted = self.b.mul(v, y)?;
        let sum = self.b.reduce(Reduction::Sum, weighted, vec![axis], true)?;
        let centred = self.b.sub(v, sum)?;
        self.b.mul(centred, y)
    }

    pub(super) fn log_softmax(&mut self, node: &Node, axis: usize, v: ValueId) -> Result<ValueId> {
        let y = self.residual_output(node)?;
        let share = self.b.unary(Unary::Exp, y)?;
        let sum = self.b.reduce(Reduction::Sum, v, vec![axis], true)?;
        let shared = self.b.mul(share, sum)?;
        self.b.sub(v, shared)
    }

    /// The constant 0/1 matrix that sums gradients of chosen places: a row for each choice.
    pub(super) fn choices(&mut self, kind: ElementType, places: &[usize], size: usize) -> Result<ValueId> {
        if places.len().checked_mul(size).is_none_or(|n| n > 1 << 24) {
            return unsupported("so many indices");
        }
        self.b.affords(places.len() * size)?;
        let mut matrix = vec![0.0; places.len() * size];
        for (row, place) in matrix.chunks_exact_mut(size.max(1)).zip(places) {
            if let Some(cell) = row.get_mut(*place) {
                *cell = 1.0;
            }
        }
        self.b.constant(Array::floats(kind, vec![places.len(), size], matrix))
    }
}
