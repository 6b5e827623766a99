//! Gradients of convolutions and pools.

use gauntlet_onnx::ElementType;

use super::{Backward, Gradients};
use crate::array::Array;
use crate::differentiable::ConvGradient;
use crate::dim::{Dim, all_fixed, product};
use crate::error::{Result, unsupported};
use crate::graph::{Node, Op, Value, ValueId, Window};

impl Backward<'_, '_> {
    pub(super) fn convolution(&mut self, node: &Node, window: &Window, v: ValueId) -> Result<Gradients> {
        let (x, weight) = (self.input(node, 0)?, self.input(node, 1)?);
        self.refuse_variable_kernel(node)?;
        if self.conv == ConvGradient::Flipped
            && let Some((op, flipped)) = self.flipped(window, weight)?
        {
            return Ok(vec![Some(self.b.node(op, &[v, flipped])?)]);
        }
        let shape = self.ahead_shape(x);
        let weight = self.residual(weight)?;
        let op = self.opposite(window, &shape, v)?;
        Ok(vec![Some(self.b.node(op, &[v, weight])?)])
    }

    pub(super) fn transposed_convolution(&mut self, node: &Node, window: &Window, v: ValueId) -> Result<Gradients> {
        self.refuse_variable_kernel(node)?;
        let weight = self.residual_input(node, 1)?;
        Ok(vec![Some(self.b.node(Op::Conv(window.clone()), &[v, weight])?)])
    }

    /// Each output gives its gradient to the place that it was taken from. Windows may overlap, so it is added.
    pub(super) fn max_pool(&mut self, index: usize, node: &Node, v: ValueId) -> Result<Gradients> {
        let (x, y) = (self.input(node, 0)?, node.outputs.first().copied());
        let Some(y) = y else { return unsupported("an output is missing") };
        let shape = self.ahead_shape(y);
        self.forward.values.push(Value { kind: ElementType::Int64, shape, constant: None, content: None });
        let indices = ValueId(self.forward.values.len() - 1);
        if let Some(node) = self.forward.nodes.get_mut(index) {
            node.outputs.push(indices);
        }
        let indices = self.residual(indices)?;
        let flat = |back: &mut Self, id: ValueId| {
            let all = product(&back.b.shape(id))?;
            back.b.reshape(id, &[all])
        };
        let (indices, updates) = (flat(self, indices)?, flat(self, v)?);
        let shape = self.ahead_shape(x);
        let zeros = self.zeros(v, &[product(&shape)?])?;
        let scattered = self.b.node(Op::ScatterAdd, &[zeros, indices, updates])?;
        Ok(vec![Some(self.b.reshape(scattered, &shape)?)])
    }

    /// A mean is a convolution with a constant kernel, channel by channel.
    pub(super) fn average_pool(&mut self, node: &Node, window: &Window, v: ValueId) -> Result<Gradients> {
        let shape = self.ahead_shape(self.input(node, 0)?);
        let Some(Dim::Fixed(channels)) = shape.get(1).copied() else {
            return unsupported("channels of unknown number");
        };
        let area: usize = window.kernel.iter().product();
        if channels.checked_mul(area).is_none_or(|n| n > 1 << 24) {
            return unsupported("a window of that size");
        }
        self.b.affords(channels * area)?;
        let dims = [&[channels, 1][..], &window.kernel].concat();
        let weights = Array::floats(self.b.kind(v), dims, vec![1.0 / area as f64; channels * area]);
        let weights = self.b.constant(weights)?;
        let window = Window { group: channels, ..window.clone() };
        let op = self.opposite(&window, &shape, v)?;
        Ok(vec![Some(self.b.node(op, &[v, weights])?)])
    }

    /// The transposed convolution that leads back to `shape`.
    fn opposite(&self, window: &Window, shape: &[Dim], v: ValueId) -> Result<Op> {
        let (Some(to), Some(from)) =
            (shape.get(2..).and_then(all_fixed), self.b.value(v).shape.get(2..).and_then(all_fixed))
        else {
            return unsupported("spatial sizes that are not known");
        };
        let missing = |axis: usize| {
            let reached = from.get(axis)?.checked_sub(1)?.checked_mul(*window.strides.get(axis)?)?;
            let reached = reached.checked_add(window.reach(axis)?)?;
            let padded = to.get(axis)?.checked_add(*window.before.get(axis)?)?.checked_add(*window.after.get(axis)?)?;
            padded.checked_sub(reached)
        };
        match (0..to.len()).map(missing).collect::<Option<Vec<_>>>() {
            Some(output_padding) => Ok(Op::ConvTranspose { window: window.clone(), output_padding }),
            None => unsupported("a window that does not lead back"),
        }
    }

    /// With stride 1 the way back is a convolution with the kernel turned around and its channels exchanged.
    fn flipped(&mut self, window: &Window, weight: ValueId) -> Result<Option<(Op, ValueId)>> {
        let Some(array) = self.forward.value(weight).constant.clone() else { return Ok(None) };
        let axes = 0..window.kernel.len();
        let opposite = |pads: &[usize]| -> Option<Vec<usize>> {
            axes.clone().map(|axis| window.reach(axis)?.checked_sub(1)?.checked_sub(*pads.get(axis)?)).collect()
        };
        let pads = opposite(&window.before).zip(opposite(&window.after));
        let (Some((before, after)), true) = (pads, window.strides.iter().all(|n| *n == 1)) else { return Ok(None) };
        let ([outputs, per_group, kernel @ ..], group) = (&array.dims[..], window.group) else { return Ok(None) };
        let (area, rows) = (kernel.iter().product::<usize>(), outputs / group.max(1));
        let numbers = array.to_floats();
        let mut turned = Vec::with_capacity(numbers.len());
        for (block, channel) in (0..group).flat_map(|block| (0..*per_group).map(move |channel| (block, channel))) {
            for row in 0..rows {
                let start = ((block * rows + row) * per_group + channel) * area;
                turned.extend(numbers.get(start..start + area).unwrap_or_default().iter().rev());
            }
        }
        let dims = [&[per_group * group, rows][..], kernel].concat();
        let weight = self.b.constant(Array::floats(array.kind, dims, turned))?;
        Ok(Some((Op::Conv(Window { before, after, ..window.clone() }), weight)))
    }

    fn refuse_variable_kernel(&self, node: &Node) -> Result<()> {
        if node.inputs.iter().skip(1).any(|id| self.is_active(*id)) {
            return unsupported("a kernel that is computed from the input");
        }
        Ok(())
    }
}
