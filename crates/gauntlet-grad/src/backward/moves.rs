//! Gradients of operators that move elements about: they move them back.

use super::{Backward, Gradients};
use crate::dim::Dim;
use crate::error::{Result, unsupported};
use crate::graph::{Cut, Node, Op, ValueId};

impl Backward<'_, '_> {
    pub(super) fn moved(&mut self, node: &Node, v: ValueId) -> Result<ValueId> {
        let shape = self.ahead_shape(self.input(node, 0)?);
        match &node.op {
            Op::Reshape(_) => self.b.reshape(v, &shape),
            Op::Transpose(order) => {
                let mut back = vec![0; order.len()];
                for (to, from) in order.iter().enumerate() {
                    back[*from] = to;
                }
                self.b.transpose(v, back)
            }
            Op::Pad { before, .. } => {
                let padded = self.b.shape(v);
                let cut = |axis: usize| Some(Cut { axis, start: before[axis], count: shape[axis].fixed()?, step: 1 });
                let cuts = (0..shape.len()).filter(|axis| padded[*axis] != shape[*axis]).filter_map(cut).collect();
                self.b.node(Op::Slice(cuts), &[v])
            }
            Op::Slice(cuts) => self.placed(v, cuts, &shape),
            Op::Expand => self.unbroadcast(v, &shape),
            _ => unsupported("no gradient rule for this operator"),
        }
    }

    pub(super) fn concat(&mut self, node: &Node, axis: usize, v: ValueId) -> Result<Gradients> {
        if node.inputs.len() == 1 {
            return Ok(vec![Some(v)]);
        }
        let (mut gradients, mut start) = (Vec::with_capacity(node.inputs.len()), 0);
        for id in &node.inputs {
            let Some(Dim::Fixed(count)) = self.ahead_shape(*id).get(axis).copied() else {
                return unsupported("rows put beside rows");
            };
            let cut = Cut { axis, start, count, step: 1 };
            gradients.push(if self.is_active(*id) { Some(self.b.node(Op::Slice(vec![cut]), &[v])?) } else { None });
            start += count;
        }
        Ok(gradients)
    }

    pub(super) fn split(&mut self, node: &Node, axis: usize, gradients: &Gradients) -> Result<Gradients> {
        let Some(like) = gradients.iter().flatten().next().copied() else { return Ok(Vec::new()) };
        let mut parts = Vec::with_capacity(gradients.len());
        for (id, gradient) in node.outputs.iter().zip(gradients) {
            let shape = self.ahead_shape(*id);
            parts.push(match gradient {
                Some(part) => *part,
                None => self.zeros(like, &shape)?,
            });
        }
        Ok(vec![Some(self.b.node(Op::Concat(axis), &parts)?)])
    }

    /// Chosen along an axis by indices that are known: a product with a matrix of zeros and ones.
    pub(super) fn gather(&mut self, node: &Node, axis: usize, v: ValueId) -> Result<ValueId> {
        let (data, indices) = (self.input(node, 0)?, self.input(node, 1)?);
        let shape = self.ahead_shape(data);
        let Some(list) = self.forward.value(indices).constant.as_ref().and_then(|array| array.to_ints()) else {
            return unsupported("a choice by indices that are computed");
        };
        let Some(Dim::Fixed(size)) = shape.get(axis).copied() else { return unsupported("a choice of rows") };
        let place =
            |n: &i64| usize::try_from(if *n < 0 { n.saturating_add(size as i64) } else { *n }).unwrap_or(usize::MAX);
        let places: Vec<usize> = list.iter().map(place).collect();
        // As one axis of choices, which is moved to the end.
        let (front, back) = (&shape[..axis], &shape[axis + 1..]);
        let chosen = [front, &[Dim::Fixed(places.len())], back].concat();
        let v = self.b.reshape(v, &chosen)?;
        let mut order: Vec<usize> = (0..chosen.len()).filter(|at| *at != axis).collect();
        order.push(axis);
        let moved = self.b.transpose(v, order.clone())?;
        let matrix = self.choices(self.b.kind(v), &places, size)?;
        if chosen.len() == 1 {
            let row = self.b.reshape(moved, &[Dim::Fixed(1), Dim::Fixed(places.len())])?;
            let row = self.b.node(Op::MatMul, &[row, matrix])?;
            return self.b.reshape(row, &shape);
        }
        let product = self.b.node(Op::MatMul, &[moved, matrix])?;
        let mut inverse = vec![0; order.len()];
        for (to, from) in order.iter().enumerate() {
            inverse[*from] = to;
        }
        self.b.transpose(product, inverse)
    }

    /// The elements of `v` back at the places that `cuts` took them from, zeros around them.
    fn placed(&mut self, v: ValueId, cuts: &[Cut], shape: &[Dim]) -> Result<ValueId> {
        let mut v = v;
        let (mut before, mut after) = (vec![0; shape.len()], vec![0; shape.len()]);
        for cut in cuts {
            let Some(Dim::Fixed(size)) = shape.get(cut.axis).copied() else {
                return unsupported("a slice of the batch");
            };
            let step = usize::try_from(cut.step.unsigned_abs()).unwrap_or(usize::MAX);
            let steps = cut.count.saturating_sub(1);
            let mut start = cut.start;
            if cut.step < 0 {
                let reverse = Cut { axis: cut.axis, start: steps, count: cut.count, step: -1 };
                v = self.b.node(Op::Slice(vec![reverse]), &[v])?;
                start = start.saturating_sub(steps.saturating_mul(step));
            }
            let reach = steps.saturating_mul(step).saturating_add(1);
            if steps > 0 && step > 1 {
                v = self.spread(v, cut.axis, step, reach)?;
            }
            before[cut.axis] = start;
            after[cut.axis] = size.saturating_sub(start).saturating_sub(reach);
        }
        if before.iter().chain(&after).all(|n| *n == 0) {
            return Ok(v);
        }
        self.b.node(Op::Pad { before, after, fill: 0.0 }, &[v])
    }

    /// Zeros between neighbours, so that they are `step` apart.
    fn spread(&mut self, v: ValueId, axis: usize, step: usize, reach: usize) -> Result<ValueId> {
        let shape = self.b.shape(v);
        let (front, back) = (&shape[..=axis], &shape[axis + 1..]);
        let apart = self.b.reshape(v, &[front, &[Dim::Fixed(1)], back].concat())?;
        let mut after = vec![0; shape.len() + 1];
        after[axis + 1] = step - 1;
        let wide = self.b.node(Op::Pad { before: vec![0; after.len()], after, fill: 0.0 }, &[apart])?;
        let mut flat = shape.clone();
        flat[axis] = shape[axis].times(Dim::Fixed(step))?;
        let flat = self.b.reshape(wide, &flat)?;
        self.b.node(Op::Slice(vec![Cut { axis, start: 0, count: reach, step: 1 }]), &[flat])
    }
}
