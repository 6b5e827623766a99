//! Normalisations, composed of reductions and arithmetic.

use crate::array::{Array, Numbers};
use crate::dim::Dim;
use crate::error::{Result, malformed, unsupported};
use crate::graph::{Op, Reduction, Unary, ValueId, Window};

use super::{Lowering, UNKNOWN, per_channel, power, require_float};

pub(super) fn lower(l: &mut Lowering<'_, '_>, operator: &str) -> Result<ValueId> {
    let x = l.x(0)?;
    require_float(l, x)?;
    match operator {
        "BatchNormalization" => batch(l, x),
        "InstanceNormalization" => {
            let axes = (2..l.b.rank(x)).collect();
            let normal = standardise(l, x, axes)?;
            affine(l, normal, true)
        }
        "LayerNormalization" | "RMSNormalization" => {
            let axis = l.axis(l.attributes.int("axis", -1)?, x)?;
            let axes = (axis..l.b.rank(x)).collect();
            let normal =
                if operator == "LayerNormalization" { standardise(l, x, axes)? } else { unit_square(l, x, axes)? };
            affine(l, normal, false)
        }
        "GroupNormalization" => group(l, x),
        "LpNormalization" => {
            let axis = l.axis(l.attributes.int("axis", -1)?, x)?;
            let size = match l.attributes.int("p", 2)? {
                1 => {
                    let size = l.b.unary(Unary::Abs, x)?;
                    l.b.reduce(Reduction::Sum, size, vec![axis], true)?
                }
                2 => {
                    let square = l.b.mul(x, x)?;
                    let sum = l.b.reduce(Reduction::Sum, square, vec![axis], true)?;
                    l.b.unary(Unary::Sqrt, sum)?
                }
                p => return malformed(format!("p = {p}")),
            };
            l.b.div(x, size)
        }
        "LRN" => local_response(l, x),
        "Softmax" => softmax(l, x, Op::Softmax),
        "LogSoftmax" => softmax(l, x, Op::LogSoftmax),
        _ => unsupported(UNKNOWN),
    }
}

/// Before opset 13, all axes from `axis` on are normalised as one.
fn softmax(l: &mut Lowering<'_, '_>, x: ValueId, op: fn(usize) -> Op) -> Result<ValueId> {
    let rank = l.b.rank(x);
    if l.opset >= 13 {
        let axis = l.axis(l.attributes.int("axis", -1)?, x)?;
        return l.b.node(op(axis), &[x]);
    }
    let axis = l.axis(l.attributes.int("axis", 1)?, x)?;
    if axis + 1 == rank {
        return l.b.node(op(axis), &[x]);
    }
    let shape = l.b.shape(x);
    let (front, back) = shape.split_at(axis);
    let flat = l.b.reshape(x, &[front, &[crate::dim::product(back)?]].concat())?;
    let normal = l.b.node(op(axis), &[flat])?;
    l.b.reshape(normal, &shape)
}

fn batch(l: &mut Lowering<'_, '_>, x: ValueId) -> Result<ValueId> {
    if l.attributes.int("training_mode", 0)? != 0 || l.attributes.int("spatial", 1)? != 1 {
        return unsupported("batch normalisation in training mode");
    }
    let (scale, bias, mean, variance) = (l.x(1)?, l.x(2)?, l.x(3)?, l.x(4)?);
    let epsilon = l.attributes.float("epsilon", f64::from(1e-5f32))?;
    let variance = l.b.offset(variance, epsilon)?;
    let deviation = l.b.unary(Unary::Sqrt, variance)?;
    let factor = l.b.div(scale, deviation)?;
    let moved = l.b.mul(mean, factor)?;
    let summand = l.b.sub(bias, moved)?;
    let (factor, summand) = (per_channel(l, factor, x)?, per_channel(l, summand, x)?);
    let scaled = l.b.mul(x, factor)?;
    l.b.add(scaled, summand)
}

/// Mean 0 and variance 1 along `axes`.
fn standardise(l: &mut Lowering<'_, '_>, x: ValueId, axes: Vec<usize>) -> Result<ValueId> {
    let mean = l.b.reduce(Reduction::Mean, x, axes.clone(), true)?;
    let centred = l.b.sub(x, mean)?;
    unit_square(l, centred, axes)
}

/// Mean square 1 along `axes`.
fn unit_square(l: &mut Lowering<'_, '_>, x: ValueId, axes: Vec<usize>) -> Result<ValueId> {
    let epsilon = l.attributes.float("epsilon", f64::from(1e-5f32))?;
    let square = l.b.mul(x, x)?;
    let variance = l.b.reduce(Reduction::Mean, square, axes, true)?;
    let variance = l.b.offset(variance, epsilon)?;
    let deviation = l.b.unary(Unary::Sqrt, variance)?;
    l.b.div(x, deviation)
}

/// Scale and bias, by channel or shaped like the last axes.
fn affine(l: &mut Lowering<'_, '_>, x: ValueId, by_channel: bool) -> Result<ValueId> {
    let mut y = x;
    if let Some(scale) = l.optional(1) {
        let scale = if by_channel { per_channel(l, scale, x)? } else { scale };
        y = l.b.mul(y, scale)?;
    }
    if let Some(bias) = l.optional(2) {
        let bias = if by_channel { per_channel(l, bias, x)? } else { bias };
        y = l.b.add(y, bias)?;
    }
    Ok(y)
}

fn group(l: &mut Lowering<'_, '_>, x: ValueId) -> Result<ValueId> {
    let shape = l.b.shape(x);
    let groups = usize::try_from(l.attributes.int("num_groups", 0)?).unwrap_or(0);
    let channels = l.fixed(x, 1)?;
    if groups == 0 || !channels.is_multiple_of(groups) {
        return malformed(format!("{channels} channels in {groups} groups"));
    }
    let split = [&shape[..1], &[Dim::Fixed(groups), Dim::Fixed(channels / groups)], &shape[2..]].concat();
    let grouped = l.b.reshape(x, &split)?;
    let normal = standardise(l, grouped, (2..split.len()).collect())?;
    // Until opset 21 scale and bias stand for groups, from then on for channels.
    let scale = l.x(1)?;
    if l.b.shape(scale) == [Dim::Fixed(groups)] && groups != channels {
        let normal = affine(l, normal, true)?;
        return l.b.reshape(normal, &shape);
    }
    let normal = l.b.reshape(normal, &shape)?;
    affine(l, normal, true)
}

/// Each channel divided by a power of the squares around it: the sum is a 1×1 convolution.
fn local_response(l: &mut Lowering<'_, '_>, x: ValueId) -> Result<ValueId> {
    let (alpha, beta) = (l.attributes.float("alpha", f64::from(1e-4f32))?, l.attributes.float("beta", 0.75)?);
    let bias = l.attributes.float("bias", 1.0)?;
    let size = usize::try_from(l.attributes.int("size", 1)?).unwrap_or(0);
    let channels = l.fixed(x, 1)?;
    if size == 0 || channels > 2048 {
        return unsupported("a window of that size over so many channels");
    }
    l.b.affords(channels * channels)?;
    let (before, after) = ((size - 1) / 2, size / 2);
    let near = |to: usize, from: usize| from + before >= to && from <= to.saturating_add(after);
    let weight = |at: usize| if near(at / channels, at % channels) { alpha / size as f64 } else { 0.0 };
    let weights = (0..channels * channels).map(weight).collect();
    let spatial = l.b.rank(x).saturating_sub(2);
    let dims = [&[channels, channels][..], &vec![1; spatial]].concat();
    let weights = l.b.constant(Array::from_numbers(l.b.kind(x), dims, &Numbers::Floats(weights)))?;
    let window = Window {
        kernel: vec![1; spatial],
        strides: vec![1; spatial],
        dilations: vec![1; spatial],
        before: vec![0; spatial],
        after: vec![0; spatial],
        group: 1,
    };
    let square = l.b.mul(x, x)?;
    let sums = l.b.node(Op::Conv(window), &[square, weights])?;
    let sums = l.b.offset(sums, bias)?;
    let divisor = power(l, sums, beta)?;
    l.b.div(x, divisor)
}
