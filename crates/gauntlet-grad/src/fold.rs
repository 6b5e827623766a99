//! Computes nodes that depend on constants alone, and shapes that depend on nothing but the number of rows.

mod content;
mod walk;

pub(crate) use content::content;

use gauntlet_limits::{Budget, Limit};
use gauntlet_onnx::ElementType;

use crate::array::{Array, Numbers};
use crate::dim::all_fixed;
use crate::error::{Result, malformed};
use crate::graph::{Binary, Cut, Op, Reduction, Unary, Value};
use crate::infer::Typed;
use walk::{Walk, broadcast_strides, strides};

/// Constants that folding would make larger than this stay computations.
const LARGEST: usize = 16 << 20;
/// What only repeats one number stays a computation from this size on.
const GROWN: usize = 1 << 16;
/// Products of a matrix multiplication that are worth doing here.
const PRODUCTS: usize = 1 << 28;

/// The outputs of `op`, when all inputs are constants and the operator is one that is folded.
pub(crate) fn evaluate(op: &Op, inputs: &[&Value], typed: &[Typed], budget: &Budget) -> Result<Option<Vec<Array>>> {
    let arrays: Option<Vec<&Array>> = inputs.iter().map(|value| value.constant.as_ref()).collect();
    let dims: Option<Vec<Vec<usize>>> = typed.iter().map(|(_, shape)| all_fixed(shape)).collect();
    let (Some(arrays), Some(dims), Some((kind, _))) = (arrays, dims, typed.first()) else { return Ok(None) };
    let elements: usize = dims.iter().map(|dims| dims.iter().product::<usize>()).sum();
    let read: usize = arrays.iter().map(|array| array.len()).sum();
    let grows = matches!(op, Op::ConstantOfShape(..) | Op::Expand);
    if elements > LARGEST || read > LARGEST || (grows && elements > GROWN) {
        return Ok(None);
    }
    budget.limits().check(Limit::ExpandedBytes, (elements as u64).saturating_mul(8))?;
    budget.steps(((elements + read) >> 6) as u64)?;
    if let Op::Split { axis, sizes } = op {
        return Ok(split(&arrays, *axis, sizes, &dims));
    }
    let Some(out) = dims.into_iter().next() else { return Ok(None) };
    let numbers = one(op, *kind, &arrays, &out, budget)?;
    Ok(numbers.map(|numbers| vec![Array::from_numbers(*kind, out, &numbers)]))
}

fn one(op: &Op, kind: ElementType, arrays: &[&Array], out: &[usize], budget: &Budget) -> Result<Option<Numbers>> {
    let Some(first) = arrays.first() else { return Ok(None) };
    let numbers = || first.numbers();
    Ok(match (op, arrays) {
        (Op::Unary(unary), _) => unary_numbers(*unary, numbers()),
        (Op::Binary(binary), [a, b]) => Some(binary_numbers(*binary, a, b, out)?),
        (Op::Clip { min, max }, _) => match numbers() {
            Numbers::Floats(x) => {
                let (low, high) = (min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY));
                Some(Numbers::Floats(x.into_iter().map(|n| n.max(low).min(high)).collect()))
            }
            Numbers::Ints(_) => None,
        },
        (Op::Cast(ElementType::Bool), _) => {
            Some(Numbers::Ints(first.to_floats().into_iter().map(|n| i64::from(n != 0.0)).collect()))
        }
        (Op::Cast(_) | Op::Reshape(_), _) => Some(numbers()),
        (Op::Where, [condition, a, b]) => Some(choose(condition, a, b, out)),
        (Op::Transpose(order), _) => {
            let from = strides(&first.dims);
            let permuted = order.iter().filter_map(|axis| from.get(*axis).copied()).collect();
            Some(pick(&numbers(), Walk::new(out.to_vec(), permuted, 0)))
        }
        (Op::Expand, _) => {
            Some(pick(&numbers(), Walk::new(out.to_vec(), broadcast_strides(&first.dims, out.len()), 0)))
        }
        (Op::Slice(cuts), _) => Some(slice(first, cuts, out)),
        (Op::Pad { before, fill, .. }, _) => Some(pad(first, before, *fill, out)),
        (Op::Concat(axis), _) => Some(concat(arrays, *axis, out)),
        (Op::Gather(axis), [data, indices]) => Some(gather(data, indices, *axis)?),
        (Op::Reduce { reduction, axes, .. }, _) => Some(reduce(first, *reduction, axes)),
        (Op::MatMul, [a, b]) => matmul(a, b, out, budget)?,
        (Op::Shape { start, end }, _) => {
            let sizes = first.dims.get(*start..*end).unwrap_or_default();
            Some(Numbers::Ints(sizes.iter().map(|n| *n as i64).collect()))
        }
        (Op::ConstantOfShape(_, fill), _) => Some(filled(kind, *fill, out.iter().product())),
        _ => None,
    })
}

fn unary_numbers(unary: Unary, numbers: Numbers) -> Option<Numbers> {
    let float: fn(f64) -> f64 = match unary {
        Unary::Abs => f64::abs,
        Unary::Ceil => f64::ceil,
        Unary::Cos => f64::cos,
        Unary::Exp => f64::exp,
        Unary::Floor => f64::floor,
        Unary::Identity => |x| x,
        Unary::Log => f64::ln,
        Unary::Neg => |x| -x,
        Unary::Reciprocal => f64::recip,
        Unary::Relu => |x| x.max(0.0),
        Unary::Round | Unary::RoundThrough => f64::round_ties_even,
        Unary::Sigmoid => |x| 1.0 / (1.0 + (-x).exp()),
        Unary::Sign => |x| if x == 0.0 { 0.0 } else { x.signum() },
        Unary::Sin => f64::sin,
        Unary::Sqrt => f64::sqrt,
        Unary::Tanh => f64::tanh,
        Unary::Not | Unary::Erf | Unary::Softplus => |_| f64::NAN,
    };
    Some(match (unary, numbers) {
        (Unary::Erf | Unary::Softplus, _) => return None,
        (Unary::Not, Numbers::Ints(x)) => Numbers::Ints(x.into_iter().map(|n| i64::from(n == 0)).collect()),
        (Unary::Identity, same) => same,
        (Unary::Neg, Numbers::Ints(x)) => Numbers::Ints(x.into_iter().map(i64::wrapping_neg).collect()),
        (Unary::Abs, Numbers::Ints(x)) => Numbers::Ints(x.into_iter().map(i64::wrapping_abs).collect()),
        (Unary::Sign, Numbers::Ints(x)) => Numbers::Ints(x.into_iter().map(i64::signum).collect()),
        (_, Numbers::Ints(_)) => return None,
        (_, Numbers::Floats(x)) => Numbers::Floats(x.into_iter().map(float).collect()),
    })
}

fn binary_numbers(binary: Binary, a: &Array, b: &Array, out: &[usize]) -> Result<Numbers> {
    let walk = |array: &Array| Walk::new(out.to_vec(), broadcast_strides(&array.dims, out.len()), 0);
    let places = walk(a).zip(walk(b));
    if let (Numbers::Ints(x), Numbers::Ints(y)) = (a.numbers(), b.numbers()) {
        if binary == Binary::Div && y.contains(&0) {
            return malformed("an integer divided by zero");
        }
        return Ok(Numbers::Ints(places.map(|(i, j)| int_of(binary, x[i], y[j])).collect()));
    }
    let (x, y) = (a.to_floats(), b.to_floats());
    let compared = |holds: fn(f64, f64) -> bool| {
        let places = walk(a).zip(walk(b));
        Numbers::Ints(places.map(|(i, j)| i64::from(holds(x[i], y[j]))).collect())
    };
    let float: fn(f64, f64) -> f64 = match binary {
        Binary::Equal => return Ok(compared(|a, b| a == b)),
        Binary::Greater => return Ok(compared(|a, b| a > b)),
        Binary::GreaterOrEqual => return Ok(compared(|a, b| a >= b)),
        Binary::Less => return Ok(compared(|a, b| a < b)),
        Binary::LessOrEqual => return Ok(compared(|a, b| a <= b)),
        Binary::And | Binary::Or | Binary::Xor => return malformed("a logical operator over floats"),
        Binary::Add => |a, b| a + b,
        Binary::Div => |a, b| a / b,
        Binary::Max => f64::max,
        Binary::Min => f64::min,
        Binary::Mul => |a, b| a * b,
        Binary::Pow => f64::powf,
        Binary::Sub => |a, b| a - b,
    };
    Ok(Numbers::Floats(places.map(|(i, j)| float(x[i], y[j])).collect()))
}

/// Integers wrap, as they do in every engine.
pub(crate) fn int_of(binary: Binary, a: i64, b: i64) -> i64 {
    match binary {
        Binary::Add => a.wrapping_add(b),
        Binary::Sub => a.wrapping_sub(b),
        Binary::Mul => a.wrapping_mul(b),
        Binary::Div => a.checked_div(b).unwrap_or(a),
        Binary::Max => a.max(b),
        Binary::Min => a.min(b),
        Binary::Pow => u32::try_from(b).map_or(0, |b| a.wrapping_pow(b)),
        Binary::And => i64::from(a != 0 && b != 0),
        Binary::Or => i64::from(a != 0 || b != 0),
        Binary::Xor => i64::from((a != 0) != (b != 0)),
        Binary::Equal => i64::from(a == b),
        Binary::Greater => i64::from(a > b),
        Binary::GreaterOrEqual => i64::from(a >= b),
        Binary::Less => i64::from(a < b),
        Binary::LessOrEqual => i64::from(a <= b),
    }
}

fn choose(condition: &Array, a: &Array, b: &Array, out: &[usize]) -> Numbers {
    let walk = |array: &Array| Walk::new(out.to_vec(), broadcast_strides(&array.dims, out.len()), 0);
    let holds = condition.to_ints().unwrap_or_default();
    let places = walk(condition).zip(walk(a)).zip(walk(b));
    match (a.numbers(), b.numbers()) {
        (Numbers::Ints(x), Numbers::Ints(y)) => {
            Numbers::Ints(places.map(|((c, i), j)| if holds[c] != 0 { x[i] } else { y[j] }).collect())
        }
        _ => {
            let (x, y) = (a.to_floats(), b.to_floats());
            Numbers::Floats(places.map(|((c, i), j)| if holds[c] != 0 { x[i] } else { y[j] }).collect())
        }
    }
}

/// The elements at the places of `walk`, which stay inside because shapes were inferred before.
fn pick(numbers: &Numbers, walk: Walk) -> Numbers {
    match numbers {
        Numbers::Floats(x) => Numbers::Floats(walk.map(|at| x[at]).collect()),
        Numbers::Ints(x) => Numbers::Ints(walk.map(|at| x[at]).collect()),
    }
}

fn slice(array: &Array, cuts: &[Cut], out: &[usize]) -> Numbers {
    let mut steps = strides(&array.dims);
    let mut start = 0;
    for cut in cuts {
        start += cut.start * steps[cut.axis].unsigned_abs();
        steps[cut.axis] *= isize::try_from(cut.step).unwrap_or(1);
    }
    pick(&array.numbers(), Walk::new(out.to_vec(), steps, start))
}

fn split(arrays: &[&Array], axis: usize, sizes: &[usize], dims: &[Vec<usize>]) -> Option<Vec<Array>> {
    let array = arrays.first()?;
    let mut start = 0;
    let part = |(size, out): (&usize, &Vec<usize>)| {
        let cut = Cut { axis, start, count: *size, step: 1 };
        start += size;
        Array::from_numbers(array.kind, out.clone(), &slice(array, &[cut], out))
    };
    Some(sizes.iter().zip(dims).map(part).collect())
}

fn pad(array: &Array, before: &[usize], fill: f64, out: &[usize]) -> Numbers {
    let to = strides(out);
    let start = before.iter().zip(&to).map(|(n, stride)| n * stride.unsigned_abs()).sum();
    let places = Walk::new(array.dims.clone(), to, start);
    let mut padded = filled(array.kind, fill, out.iter().product());
    match (&mut padded, array.numbers()) {
        (Numbers::Floats(padded), Numbers::Floats(x)) => places.zip(x).for_each(|(at, n)| padded[at] = n),
        (Numbers::Ints(padded), Numbers::Ints(x)) => places.zip(x).for_each(|(at, n)| padded[at] = n),
        _ => {}
    }
    padded
}

fn filled(kind: ElementType, fill: f64, elements: usize) -> Numbers {
    if crate::array::is_float(kind) {
        Numbers::Floats(vec![fill; elements])
    } else {
        Numbers::Ints(vec![fill as i64; elements])
    }
}

fn concat(arrays: &[&Array], axis: usize, out: &[usize]) -> Numbers {
    let to = strides(out);
    let kind = arrays.first().map_or(ElementType::Float, |array| array.kind);
    let mut joined = filled(kind, 0.0, out.iter().product());
    let mut start = 0;
    for array in arrays {
        let places = Walk::new(array.dims.clone(), to.clone(), start);
        match (&mut joined, array.numbers()) {
            (Numbers::Floats(joined), Numbers::Floats(x)) => places.zip(x).for_each(|(at, n)| joined[at] = n),
            (Numbers::Ints(joined), Numbers::Ints(x)) => places.zip(x).for_each(|(at, n)| joined[at] = n),
            _ => {}
        }
        start += array.dims[axis] * to[axis].unsigned_abs();
    }
    joined
}

fn gather(data: &Array, indices: &Array, axis: usize) -> Result<Numbers> {
    let size = data.dims[axis];
    let (outer, inner): (usize, usize) = (data.dims[..axis].iter().product(), data.dims[axis + 1..].iter().product());
    let mut chosen = Vec::new();
    for index in indices.to_ints().unwrap_or_default() {
        let counted = if index < 0 { index.saturating_add(size as i64) } else { index };
        match usize::try_from(counted) {
            Ok(at) if at < size => chosen.push(at),
            _ => return malformed(format!("index {index} of an axis of {size}")),
        }
    }
    let places = (0..outer).flat_map(|block| chosen.iter().map(move |at| (block * size + at) * inner));
    let places = places.flat_map(|start| start..start + inner);
    Ok(match data.numbers() {
        Numbers::Floats(x) => Numbers::Floats(places.map(|at| x[at]).collect()),
        Numbers::Ints(x) => Numbers::Ints(places.map(|at| x[at]).collect()),
    })
}

fn reduce(array: &Array, reduction: Reduction, axes: &[usize]) -> Numbers {
    let kept: Vec<usize> =
        array.dims.iter().enumerate().map(|(axis, n)| if axes.contains(&axis) { 1 } else { *n }).collect();
    let places = || Walk::new(array.dims.clone(), broadcast_strides(&kept, kept.len()), 0);
    let outputs = kept.iter().product::<usize>();
    match array.numbers() {
        Numbers::Ints(x) => {
            let (start, combine): (i64, Binary) = match reduction {
                Reduction::Max => (i64::MIN, Binary::Max),
                Reduction::Min => (i64::MAX, Binary::Min),
                Reduction::Prod => (1, Binary::Mul),
                Reduction::Sum | Reduction::Mean => (0, Binary::Add),
            };
            let mut sums = vec![start; outputs];
            places().zip(&x).for_each(|(at, n)| sums[at] = int_of(combine, sums[at], *n));
            let count = i64::try_from(x.len() / outputs.max(1)).unwrap_or(1).max(1);
            if reduction == Reduction::Mean {
                sums.iter_mut().for_each(|n| *n /= count);
            }
            Numbers::Ints(sums)
        }
        Numbers::Floats(x) => {
            let (start, combine): (f64, fn(f64, f64) -> f64) = match reduction {
                Reduction::Max => (f64::NEG_INFINITY, f64::max),
                Reduction::Min => (f64::INFINITY, f64::min),
                Reduction::Prod => (1.0, |a, b| a * b),
                Reduction::Sum | Reduction::Mean => (0.0, |a, b| a + b),
            };
            let mut sums = vec![start; outputs];
            places().zip(&x).for_each(|(at, n)| sums[at] = combine(sums[at], *n));
            if reduction == Reduction::Mean {
                let count = (x.len() / outputs.max(1)) as f64;
                sums.iter_mut().for_each(|n| *n /= count);
            }
            Numbers::Floats(sums)
        }
    }
}

fn matmul(a: &Array, b: &Array, out: &[usize], budget: &Budget) -> Result<Option<Numbers>> {
    let ([.., rows, inner], [.., _, columns]) = (&a.dims[..], &b.dims[..]) else { return Ok(None) };
    let products = out.iter().product::<usize>().checked_mul(*inner);
    let Some(products) = products.filter(|n| *n <= PRODUCTS) else { return Ok(None) };
    budget.steps((products >> 8) as u64)?;
    let (x, y) = (a.to_floats(), b.to_floats());
    let front = &out[..out.len() - 2];
    let starts = |array: &Array| {
        let mut steps = broadcast_strides(&array.dims, out.len());
        steps.truncate(front.len());
        Walk::new(front.to_vec(), steps, 0)
    };
    let mut product = Vec::with_capacity(out.iter().product());
    for (i, j) in starts(a).zip(starts(b)) {
        for row in 0..*rows {
            for column in 0..*columns {
                let terms = (0..*inner).map(|k| x[i + row * inner + k] * y[j + k * columns + column]);
                product.push(terms.sum());
            }
        }
    }
    Ok(crate::array::is_float(a.kind).then_some(Numbers::Floats(product)))
}
