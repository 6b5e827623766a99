//! Activations, arithmetic, comparisons, quantisation.

use gauntlet_onnx::ElementType;

use crate::array::is_float;
use crate::dim::Dim;
use crate::error::{Result, malformed, unsupported};
use crate::graph::{Binary, Op, Unary, ValueId};
use crate::infer::compares;

use super::{Lowering, UNKNOWN, power, require_float, sigmoid, single};

pub(super) fn lower(l: &mut Lowering<'_, '_>, operator: &str) -> Result<ValueId> {
    if let Some(unary) = unary(operator) {
        let x = l.x(0)?;
        return l.b.unary(unary, x);
    }
    if let Some(binary) = binary(operator) {
        return arithmetic(l, binary);
    }
    let x = l.x(0)?;
    match operator {
        "Sum" => fold(l, Binary::Add),
        "Mean" => {
            let sum = fold(l, Binary::Add)?;
            let parts = l.inputs.len() as f64;
            l.b.scale(sum, 1.0 / parts)
        }
        "LeakyRelu" => {
            let alpha = l.attributes.float("alpha", f64::from(0.01f32))?;
            l.b.node(Op::LeakyRelu(alpha), &[x])
        }
        "Elu" => {
            let alpha = l.attributes.float("alpha", 1.0)?;
            l.b.node(Op::Elu(alpha), &[x])
        }
        "Selu" => {
            let alpha = l.attributes.float("alpha", f64::from(1.673_263_2_f32))?;
            let gamma = l.attributes.float("gamma", f64::from(1.050_701_f32))?;
            let elu = l.b.node(Op::Elu(alpha), &[x])?;
            l.b.scale(elu, gamma)
        }
        "Celu" => {
            // max(0, x) + min(0, α(exp(x/α) − 1)) = α·elu(x/α) for α > 0.
            let alpha = l.attributes.float("alpha", 1.0)?;
            if alpha <= 0.0 {
                return unsupported("an alpha that is not positive");
            }
            let scaled = l.b.scale(x, 1.0 / alpha)?;
            let elu = l.b.node(Op::Elu(1.0), &[scaled])?;
            l.b.scale(elu, alpha)
        }
        "HardSigmoid" => {
            let (alpha, beta) = (l.attributes.float("alpha", f64::from(0.2f32))?, l.attributes.float("beta", 0.5)?);
            l.b.node(Op::HardSigmoid { alpha, beta }, &[x])
        }
        "HardSwish" => {
            let gate = l.b.node(Op::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 }, &[x])?;
            l.b.mul(x, gate)
        }
        "Swish" => {
            let alpha = l.attributes.float("alpha", 1.0)?;
            let scaled = l.b.scale(x, alpha)?;
            let gate = sigmoid(l, scaled)?;
            l.b.mul(x, gate)
        }
        "Mish" => {
            let softplus = l.b.unary(Unary::Softplus, x)?;
            let gate = l.b.unary(Unary::Tanh, softplus)?;
            l.b.mul(x, gate)
        }
        "Softsign" => {
            let size = l.b.unary(Unary::Abs, x)?;
            let divisor = l.b.offset(size, 1.0)?;
            l.b.div(x, divisor)
        }
        "ThresholdedRelu" => {
            let alpha = l.attributes.float("alpha", 1.0)?;
            let passes = l.b.compare(Binary::Greater, x, alpha)?;
            let zero = l.b.scalar(l.b.kind(x), 0.0)?;
            l.b.select(passes, x, zero)
        }
        "PRelu" => {
            let slope = l.x(1)?;
            let sloped = l.b.mul(x, slope)?;
            let negative = l.b.compare(Binary::Less, x, 0.0)?;
            l.b.select(negative, sloped, x)
        }
        "Gelu" => gelu(l, x),
        "Clip" => clip(l, x),
        "Where" => {
            let (a, b) = (l.x(1)?, l.x(2)?);
            l.b.select(x, a, b)
        }
        "QuantizeLinear" => quantize(l, x),
        "DequantizeLinear" => dequantize(l, x),
        _ => unsupported(UNKNOWN),
    }
}

fn unary(operator: &str) -> Option<Unary> {
    Some(match operator {
        "Abs" => Unary::Abs,
        "Ceil" => Unary::Ceil,
        "Cos" => Unary::Cos,
        "Erf" => Unary::Erf,
        "Exp" => Unary::Exp,
        "Floor" => Unary::Floor,
        "Log" => Unary::Log,
        "Neg" => Unary::Neg,
        "Not" => Unary::Not,
        "Reciprocal" => Unary::Reciprocal,
        "Relu" => Unary::Relu,
        "Round" => Unary::Round,
        "Sigmoid" => Unary::Sigmoid,
        "Sign" => Unary::Sign,
        "Sin" => Unary::Sin,
        "Softplus" => Unary::Softplus,
        "Sqrt" => Unary::Sqrt,
        "Tanh" => Unary::Tanh,
        _ => return None,
    })
}

fn binary(operator: &str) -> Option<Binary> {
    Some(match operator {
        "Add" => Binary::Add,
        "And" => Binary::And,
        "Div" => Binary::Div,
        "Equal" => Binary::Equal,
        "Greater" => Binary::Greater,
        "GreaterOrEqual" => Binary::GreaterOrEqual,
        "Less" => Binary::Less,
        "LessOrEqual" => Binary::LessOrEqual,
        "Max" => Binary::Max,
        "Min" => Binary::Min,
        "Mul" => Binary::Mul,
        "Or" => Binary::Or,
        "Pow" => Binary::Pow,
        "Sub" => Binary::Sub,
        "Xor" => Binary::Xor,
        _ => return None,
    })
}

fn arithmetic(l: &mut Lowering<'_, '_>, binary: Binary) -> Result<ValueId> {
    match binary {
        Binary::Max | Binary::Min => fold(l, binary),
        Binary::Pow => {
            let (x, mut exponent) = (l.x(0)?, l.x(1)?);
            if l.b.kind(exponent) != l.b.kind(x) {
                let kind = l.b.kind(x);
                exponent = l.b.node(Op::Cast(kind), &[exponent])?;
            }
            l.b.binary(Binary::Pow, x, exponent)
        }
        _ => {
            let (a, b) = (l.x(0)?, l.x(1)?);
            if compares(binary) && l.inputs.len() != 2 {
                return malformed("a comparison takes two inputs");
            }
            l.b.binary(binary, a, b)
        }
    }
}

/// Any number of inputs, two at a time.
fn fold(l: &mut Lowering<'_, '_>, binary: Binary) -> Result<ValueId> {
    let inputs = l.all()?;
    let (first, rest) = (l.x(0)?, inputs.get(1..).unwrap_or_default());
    rest.iter().try_fold(first, |sum, next| l.b.binary(binary, sum, *next))
}

fn gelu(l: &mut Lowering<'_, '_>, x: ValueId) -> Result<ValueId> {
    let inner = match l.attributes.string("approximate", "none")?.as_str() {
        "none" => {
            let scaled = l.b.scale(x, std::f64::consts::FRAC_1_SQRT_2)?;
            l.b.unary(Unary::Erf, scaled)?
        }
        "tanh" => {
            let cube = power(l, x, 3.0)?;
            let small = l.b.scale(cube, 0.044_715)?;
            let sum = l.b.add(x, small)?;
            let scaled = l.b.scale(sum, (2.0 / std::f64::consts::PI).sqrt())?;
            l.b.unary(Unary::Tanh, scaled)?
        }
        other => return malformed(format!("the approximation `{other}`")),
    };
    let gate = l.b.offset(inner, 1.0)?;
    let half = l.b.scale(x, 0.5)?;
    l.b.mul(half, gate)
}

fn clip(l: &mut Lowering<'_, '_>, x: ValueId) -> Result<ValueId> {
    if l.opset < 11 {
        let (min, max) = (l.attributes.float("min", f64::NEG_INFINITY)?, l.attributes.float("max", f64::INFINITY)?);
        let bound = |n: f64| n.is_finite().then_some(n);
        return l.b.node(Op::Clip { min: bound(min), max: bound(max) }, &[x]);
    }
    let array = |at: usize| l.optional(at).map(|id| l.b.array(id).cloned());
    match (array(1), array(2)) {
        (None, None) => Ok(x),
        (Some(None), _) | (_, Some(None)) => {
            // Bounds that are computed: the larger, then the smaller.
            let raised = l.optional(1).map_or(Ok(x), |min| l.b.binary(Binary::Max, x, min))?;
            l.optional(2).map_or(Ok(raised), |max| l.b.binary(Binary::Min, raised, max))
        }
        (min, max) => {
            let number = |array: Option<Option<_>>| array.flatten().map(|array| single(&array)).transpose();
            let (min, max) = (number(min)?, number(max)?);
            if is_float(l.b.kind(x)) { l.b.node(Op::Clip { min, max }, &[x]) } else { unsupported("clipped integers") }
        }
    }
}

/// What stands along one axis, or is one number, shaped so that it goes with `x`.
fn along(l: &mut Lowering<'_, '_>, id: ValueId, x: ValueId) -> Result<ValueId> {
    if l.attributes.int("block_size", 0)? != 0 {
        return unsupported("quantisation by blocks");
    }
    match l.b.shape(id)[..] {
        [] => Ok(id),
        [Dim::Fixed(1)] => l.b.reshape(id, &[]),
        [size] => {
            let axis = l.axis(l.attributes.int("axis", 1)?, x)?;
            let mut shape = vec![Dim::Fixed(1); l.b.rank(x) - axis];
            shape[0] = size;
            l.b.reshape(id, &shape)
        }
        _ => unsupported("quantisation by blocks"),
    }
}

/// The quantised number stays a float; its gradient is that of the number before rounding, where it was not cut off.
fn quantize(l: &mut Lowering<'_, '_>, x: ValueId) -> Result<ValueId> {
    require_float(l, x)?;
    let scale = l.x(1)?;
    let scale = along(l, scale, x)?;
    let scaled = l.b.div(x, scale)?;
    let rounded = l.b.unary(Unary::RoundThrough, scaled)?;
    use ElementType::{Int8, Int16, Uint8, Uint16};
    let stated = i32::try_from(l.attributes.int("output_dtype", 0)?).ok().and_then(ElementType::from_number);
    let kind = l.optional(2).map_or(stated.unwrap_or(Uint8), |zero| l.b.kind(zero));
    let (min, max) = match kind {
        Uint8 => (0.0, 255.0),
        Int8 => (-128.0, 127.0),
        Uint16 => (0.0, 65_535.0),
        Int16 => (-32_768.0, 32_767.0),
        other => return unsupported(format!("quantisation to {other:?}")),
    };
    let shifted = match l.optional(2) {
        Some(zero) => {
            let zero = l.b.node(Op::Cast(l.b.kind(x)), &[zero])?;
            let zero = along(l, zero, x)?;
            l.b.add(rounded, zero)?
        }
        None => rounded,
    };
    l.b.node(Op::Clip { min: Some(min), max: Some(max) }, &[shifted])
}

fn dequantize(l: &mut Lowering<'_, '_>, x: ValueId) -> Result<ValueId> {
    let scale = l.x(1)?;
    let kind = l.b.kind(scale);
    let scale = along(l, scale, x)?;
    let float = if l.b.kind(x) == kind { x } else { l.b.node(Op::Cast(kind), &[x])? };
    let shifted = match l.optional(2) {
        Some(zero) => {
            let zero = if l.b.kind(zero) == kind { zero } else { l.b.node(Op::Cast(kind), &[zero])? };
            let zero = along(l, zero, x)?;
            l.b.sub(float, zero)?
        }
        None => float,
    };
    l.b.mul(shifted, scale)
}
