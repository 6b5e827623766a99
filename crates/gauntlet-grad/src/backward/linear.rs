//! Gradients of matrix products.

use super::{Backward, Gradients};
use crate::error::{Result, unsupported};
use crate::graph::{Node, Op, ValueId};

impl Backward<'_, '_> {
    pub(super) fn matmul(&mut self, node: &Node, v: ValueId) -> Result<Gradients> {
        let (a, b) = (self.input(node, 0)?, self.input(node, 1)?);
        let (mut of_a, mut of_b) = (None, None);
        if self.is_active(a) {
            let other = self.residual(b)?;
            let other = self.b.swap_last(other)?;
            let product = self.b.node(Op::MatMul, &[v, other])?;
            let shape = self.ahead_shape(a);
            of_a = Some(self.unbroadcast(product, &shape)?);
        }
        if self.is_active(b) {
            let other = self.residual(a)?;
            let other = self.b.swap_last(other)?;
            let product = self.b.node(Op::MatMul, &[other, v])?;
            let shape = self.ahead_shape(b);
            of_b = Some(self.unbroadcast(product, &shape)?);
        }
        Ok(vec![of_a, of_b])
    }

    /// `Y = α·A'·B' + β·C`.
    pub(super) fn gemm(&mut self, node: &Node, v: ValueId) -> Result<Gradients> {
        let Op::Gemm { alpha, beta, trans_a, trans_b } = node.op else { return unsupported("no product") };
        let (a, b) = (self.input(node, 0)?, self.input(node, 1)?);
        let product = |trans_a, trans_b| Op::Gemm { alpha, beta: 1.0, trans_a, trans_b };
        let mut gradients = vec![None; node.inputs.len()];
        if self.is_active(a) {
            let other = self.residual(b)?;
            gradients[0] = Some(if trans_a {
                self.b.node(product(trans_b, true), &[other, v])?
            } else {
                self.b.node(product(false, !trans_b), &[v, other])?
            });
        }
        if self.is_active(b) {
            let other = self.residual(a)?;
            gradients[1] = Some(if trans_b {
                self.b.node(product(true, trans_a), &[v, other])?
            } else {
                self.b.node(product(!trans_a, false), &[other, v])?
            });
        }
        if let Some(c) = node.inputs.get(2).copied().filter(|c| self.is_active(*c)) {
            let scaled = self.b.scale(v, beta)?;
            let shape = self.ahead_shape(c);
            gradients[2] = Some(self.unbroadcast(scaled, &shape)?);
        }
        Ok(gradients)
    }
}
