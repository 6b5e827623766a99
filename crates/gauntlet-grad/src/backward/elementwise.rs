//! Gradients of activations, arithmetic and choices.

use std::f64::consts::PI;

use super::{Backward, Gradients};
use crate::array::is_float;
use crate::error::{Result, unsupported};
use crate::graph::{Binary, Node, Op, Unary, ValueId};

impl Backward<'_, '_> {
    /// Of one input; `None` where the gradient is zero everywhere.
    pub(super) fn activation(&mut self, node: &Node, v: ValueId) -> Result<Option<ValueId>> {
        let x = self.input(node, 0)?;
        Ok(Some(match &node.op {
            Op::Unary(unary) => return self.unary(*unary, node, v),
            Op::LeakyRelu(alpha) => {
                let x = self.residual(x)?;
                let positive = self.b.compare(Binary::Greater, x, 0.0)?;
                let sloped = self.b.scale(v, *alpha)?;
                self.b.select(positive, v, sloped)?
            }
            Op::Elu(alpha) => {
                let (x, y) = (self.residual(x)?, self.residual_output(node)?);
                let positive = self.b.compare(Binary::Greater, x, 0.0)?;
                let slope = self.b.offset(y, *alpha)?;
                let bent = self.b.mul(v, slope)?;
                self.b.select(positive, v, bent)?
            }
            Op::HardSigmoid { alpha, .. } => {
                let y = self.residual_output(node)?;
                let (low, high) = (self.b.compare(Binary::Greater, y, 0.0)?, self.b.compare(Binary::Less, y, 1.0)?);
                let inside = self.b.binary(Binary::And, low, high)?;
                let sloped = self.b.scale(v, *alpha)?;
                self.gate(inside, sloped)?
            }
            Op::Clip { min, max } => {
                let x = self.residual(x)?;
                let mut gradient = v;
                for (bound, binary) in [(min, Binary::GreaterOrEqual), (max, Binary::LessOrEqual)] {
                    if let Some(bound) = bound {
                        let inside = self.b.compare(binary, x, *bound)?;
                        gradient = self.gate(inside, gradient)?;
                    }
                }
                gradient
            }
            Op::Cast(_) => {
                let kind = self.forward.value(x).kind;
                if !is_float(kind) {
                    return Ok(None);
                }
                self.b.node(Op::Cast(kind), &[v])?
            }
            _ => return unsupported("no gradient rule for this operator"),
        }))
    }

    fn unary(&mut self, unary: Unary, node: &Node, v: ValueId) -> Result<Option<ValueId>> {
        let slope = match unary {
            Unary::Identity | Unary::RoundThrough => return Ok(Some(v)),
            Unary::Ceil | Unary::Floor | Unary::Round | Unary::Sign | Unary::Not => return Ok(None),
            Unary::Neg => return self.b.unary(Unary::Neg, v).map(Some),
            Unary::Relu => {
                let y = self.residual_output(node)?;
                let positive = self.b.compare(Binary::Greater, y, 0.0)?;
                return self.gate(positive, v).map(Some);
            }
            Unary::Log => {
                let x = self.residual_input(node, 0)?;
                return self.b.div(v, x).map(Some);
            }
            Unary::Sqrt => {
                let y = self.residual_output(node)?;
                let twice = self.b.scale(y, 2.0)?;
                return self.b.div(v, twice).map(Some);
            }
            Unary::Exp => self.residual_output(node)?,
            Unary::Reciprocal => {
                let y = self.residual_output(node)?;
                let square = self.b.mul(y, y)?;
                self.b.unary(Unary::Neg, square)?
            }
            Unary::Sigmoid => {
                let y = self.residual_output(node)?;
                let rest = self.one_minus(y)?;
                self.b.mul(y, rest)?
            }
            Unary::Tanh => {
                let y = self.residual_output(node)?;
                let square = self.b.mul(y, y)?;
                self.one_minus(square)?
            }
            Unary::Abs => self.of_input(node, Unary::Sign)?,
            Unary::Sin => self.of_input(node, Unary::Cos)?,
            Unary::Cos => {
                let sine = self.of_input(node, Unary::Sin)?;
                self.b.unary(Unary::Neg, sine)?
            }
            Unary::Softplus => self.of_input(node, Unary::Sigmoid)?,
            Unary::Erf => {
                let x = self.residual_input(node, 0)?;
                let square = self.b.mul(x, x)?;
                let negative = self.b.unary(Unary::Neg, square)?;
                let bell = self.b.unary(Unary::Exp, negative)?;
                self.b.scale(bell, 2.0 / PI.sqrt())?
            }
        };
        self.b.mul(v, slope).map(Some)
    }

    pub(super) fn arithmetic(&mut self, binary: Binary, node: &Node, v: ValueId) -> Result<Gradients> {
        let (a, b) = (self.input(node, 0)?, self.input(node, 1)?);
        let (left, right) = (self.is_active(a), self.is_active(b));
        let (mut of_a, mut of_b) = (None, None);
        match binary {
            Binary::Add => (of_a, of_b) = (Some(v), Some(v)),
            Binary::Sub => {
                of_a = Some(v);
                of_b = if right { Some(self.b.unary(Unary::Neg, v)?) } else { None };
            }
            Binary::Mul => {
                if left {
                    let b = self.residual(b)?;
                    of_a = Some(self.b.mul(v, b)?);
                }
                if right {
                    let a = self.residual(a)?;
                    of_b = Some(self.b.mul(v, a)?);
                }
            }
            Binary::Div => {
                let b = self.residual(b)?;
                let share = self.b.div(v, b)?;
                of_a = Some(share);
                if right {
                    let y = self.residual_output(node)?;
                    let product = self.b.mul(share, y)?;
                    of_b = Some(self.b.unary(Unary::Neg, product)?);
                }
            }
            Binary::Pow => {
                let (x, exponent) = (self.residual(a)?, self.residual(b)?);
                if left {
                    // d(xᵖ)/dx = p·xᵖ⁻¹, and 0 where p is 0, whatever x is.
                    let is_square = self.b.array(exponent).is_some_and(|array| array.to_floats() == [2.0]);
                    let power = if is_square {
                        x
                    } else {
                        let lower = self.b.offset(exponent, -1.0)?;
                        self.b.binary(Binary::Pow, x, lower)?
                    };
                    let slope = self.b.mul(exponent, power)?;
                    let constant = self.b.compare(Binary::Equal, exponent, 0.0)?;
                    let zero = self.b.scalar(self.b.kind(v), 0.0)?;
                    let is_never = self.b.array(constant).is_some_and(|a| a.to_ints().is_some_and(|l| !l.contains(&1)));
                    let slope = if is_never { slope } else { self.b.select(constant, zero, slope)? };
                    of_a = Some(self.b.mul(v, slope)?);
                }
                if right {
                    let y = self.residual_output(node)?;
                    let log = self.b.unary(Unary::Log, x)?;
                    let slope = self.b.mul(y, log)?;
                    of_b = Some(self.b.mul(v, slope)?);
                }
            }
            Binary::Max | Binary::Min => {
                let (a, b) = (self.residual(a)?, self.residual(b)?);
                let wins = if binary == Binary::Max { Binary::Greater } else { Binary::Less };
                // Equals share the gradient.
                let tie = self.b.binary(Binary::Equal, a, b)?;
                let half = self.b.scale(v, 0.5)?;
                let mut won = |x, y| {
                    let wins = self.b.binary(wins, x, y)?;
                    let zero = self.b.scalar(self.b.kind(v), 0.0)?;
                    let rest = self.b.select(tie, half, zero)?;
                    self.b.select(wins, v, rest)
                };
                of_a = if left { Some(won(a, b)?) } else { None };
                of_b = if right { Some(won(b, a)?) } else { None };
            }
            _ => return Ok(vec![None, None]),
        }
        self.fit(node, vec![of_a, of_b])
    }

    pub(super) fn choice(&mut self, node: &Node, v: ValueId) -> Result<Gradients> {
        let condition = self.residual_input(node, 0)?;
        let zero = self.b.scalar(self.b.kind(v), 0.0)?;
        let mut gradients = vec![None];
        for at in [1, 2] {
            let active = self.is_active(self.input(node, at)?);
            let (yes, no) = if at == 1 { (v, zero) } else { (zero, v) };
            gradients.push(if active { Some(self.b.select(condition, yes, no)?) } else { None });
        }
        self.fit(node, gradients)
    }

    /// Gradients of broadcast inputs, summed; those of inputs that need none are dropped.
    fn fit(&mut self, node: &Node, gradients: Gradients) -> Result<Gradients> {
        let mut fitted = Vec::with_capacity(gradients.len());
        for (id, gradient) in node.inputs.iter().zip(gradients) {
            let shape = self.ahead_shape(*id);
            let gradient = gradient.filter(|_| self.is_active(*id));
            fitted.push(gradient.map(|v| self.unbroadcast(v, &shape)).transpose()?);
        }
        Ok(fitted)
    }

    /// `v` where `condition` holds, else 0: a product would make NaN of what is infinite elsewhere.
    fn gate(&mut self, condition: ValueId, v: ValueId) -> Result<ValueId> {
        let zero = self.b.scalar(self.b.kind(v), 0.0)?;
        self.b.select(condition, v, zero)
    }

    fn one_minus(&mut self, x: ValueId) -> Result<ValueId> {
        let one = self.b.scalar(self.b.kind(x), 1.0)?;
        self.b.sub(one, x)
    }

    fn of_input(&mut self, node: &Node, unary: Unary) -> Result<ValueId> {
        let x = self.residual_input(node, 0)?;
        self.b.unary(unary, x)
    }
}
