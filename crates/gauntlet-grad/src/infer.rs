//! Element types and shapes of what a node computes.

use gauntlet_onnx::ElementType;

use crate::array::is_float;
use crate::dim::{Dim, all_fixed, broadcast, product, text};
use crate::error::{Result, malformed, unsupported};
use crate::graph::{Binary, Cut, Op, Term, Unary, Value, Window};

pub(crate) type Typed = (ElementType, Vec<Dim>);

/// The outputs of `op` over `inputs`, whose number has been checked.
pub(crate) fn infer(op: &Op, inputs: &[&Value]) -> Result<Vec<Typed>> {
    let Some(first) = inputs.first() else { return malformed("no inputs") };
    let one = |kind, shape| Ok(vec![(kind, shape)]);
    match op {
        Op::Unary(Unary::Not) => one(ElementType::Bool, first.shape.clone()),
        Op::Unary(_) | Op::Clip { .. } => one(first.kind, first.shape.clone()),
        Op::LeakyRelu(_) | Op::Elu(_) | Op::HardSigmoid { .. } => {
            floating(first)?;
            one(first.kind, first.shape.clone())
        }
        Op::Binary(binary) => {
            let [a, b] = inputs else { return malformed("two inputs are needed") };
            let kind = if *binary == Binary::Pow { a.kind } else { same_kind(a, b)? };
            let kind = if compares(*binary) { ElementType::Bool } else { kind };
            one(kind, broadcast(&a.shape, &b.shape)?)
        }
        Op::Where => {
            let [condition, a, b] = inputs else { return malformed("three inputs are needed") };
            if condition.kind != ElementType::Bool {
                return malformed("the condition holds no truth values");
            }
            let shape = broadcast(&condition.shape, &broadcast(&a.shape, &b.shape)?)?;
            one(same_kind(a, b)?, shape)
        }
        Op::Cast(kind) => one(*kind, first.shape.clone()),
        Op::MatMul => matmul(inputs),
        Op::Gemm { trans_a, trans_b, .. } => gemm(inputs, *trans_a, *trans_b),
        Op::Conv(window) => conv(inputs, window),
        Op::ConvTranspose { window, output_padding } => conv_transpose(inputs, window, output_padding),
        Op::MaxPool(window) | Op::AveragePool(window) => {
            floating(first)?;
            let channels = first.shape.get(1).copied().unwrap_or(Dim::Fixed(1));
            one(first.kind, windows(first, window, channels)?)
        }
        Op::Reduce { axes, keep, .. } => {
            let reduced = |axis: usize| axes.contains(&axis);
            if first.shape.iter().enumerate().any(|(axis, dim)| reduced(axis) && dim.fixed().is_none()) {
                return unsupported("a reduction across the batch");
            }
            let shape = first.shape.iter().enumerate().filter(|(axis, _)| *keep || !reduced(*axis));
            let shape = shape.map(|(axis, dim)| if reduced(axis) { Dim::Fixed(1) } else { *dim }).collect();
            one(first.kind, shape)
        }
        Op::CumSum { axis, .. } => match first.shape.get(*axis) {
            Some(Dim::Fixed(_)) => one(first.kind, first.shape.clone()),
            _ => unsupported("sums across the batch"),
        },
        Op::Softmax(axis) | Op::LogSoftmax(axis) => {
            floating(first)?;
            match first.shape.get(*axis) {
                Some(Dim::Fixed(_)) => one(first.kind, first.shape.clone()),
                _ => unsupported("normalisation across the batch"),
            }
        }
        Op::Reshape(shape) => {
            if product(shape)? != product(&first.shape)? {
                return malformed(format!("{} cannot be reshaped to {}", text(&first.shape), text(shape)));
            }
            if shape.iter().filter(|dim| dim.fixed().is_none()).count() > 1 {
                return unsupported("two axes that grow with the batch");
            }
            one(first.kind, shape.clone())
        }
        Op::Transpose(order) => {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            if !sorted.into_iter().eq(0..first.shape.len()) {
                return malformed("the order of axes is no permutation");
            }
            one(first.kind, order.iter().filter_map(|axis| first.shape.get(*axis).copied()).collect())
        }
        Op::Concat(axis) => concat(inputs, *axis),
        Op::Slice(cuts) => {
            let mut shape = first.shape.clone();
            for cut in cuts {
                match shape.get_mut(cut.axis) {
                    Some(dim @ Dim::Fixed(_)) if dim.fixed().is_some_and(|size| cut.fits(size)) => {
                        *dim = Dim::Fixed(cut.count);
                    }
                    Some(Dim::Rows(_)) => return unsupported("a slice of the batch"),
                    _ => return malformed("a slice that leaves its axis"),
                }
            }
            one(first.kind, shape)
        }
        Op::Split { axis, sizes } => {
            let total = sizes.iter().try_fold(0usize, |sum, size| sum.checked_add(*size));
            if first.shape.get(*axis).copied() != total.map(Dim::Fixed) {
                return malformed("the parts do not add up to the axis that is split");
            }
            let part = |size: &usize| {
                let mut shape = first.shape.clone();
                shape[*axis] = Dim::Fixed(*size);
                (first.kind, shape)
            };
            Ok(sizes.iter().map(part).collect())
        }
        Op::Pad { before, after, .. } => {
            if before.len() != first.shape.len() || after.len() != first.shape.len() {
                return malformed("the padding has another rank than the tensor");
            }
            let pads = before.iter().zip(after);
            let padded = first.shape.iter().zip(pads).map(|(dim, pads)| match (dim, pads) {
                (dim, (0, 0)) => Ok(*dim),
                (Dim::Fixed(n), (b, a)) => match n.checked_add(*b).and_then(|n| n.checked_add(*a)) {
                    Some(n) => Ok(Dim::Fixed(n)),
                    None => malformed("the padding overflows"),
                },
                (Dim::Rows(_), _) => unsupported("padding of the batch"),
            });
            one(first.kind, padded.collect::<Result<_>>()?)
        }
        Op::Gather(axis) => {
            let [data, indices] = inputs else { return malformed("two inputs are needed") };
            if data.shape.len() <= *axis || is_float(indices.kind) {
                return malformed("no such axis, or indices that are no integers");
            }
            if data.shape.get(*axis).is_some_and(|dim| dim.fixed().is_none()) {
                return unsupported("a choice among the rows of the batch");
            }
            let (front, back) = data.shape.split_at(*axis);
            one(data.kind, [front, &indices.shape, back.get(1..).unwrap_or_default()].concat())
        }
        Op::Expand => {
            let [data, target] = inputs else { return malformed("two inputs are needed") };
            one(data.kind, broadcast(&data.shape, &sizes(target)?)?)
        }
        Op::Shape { start, end } => one(ElementType::Int64, vec![Dim::Fixed(end.saturating_sub(*start))]),
        Op::ConstantOfShape(kind, _) => one(*kind, sizes(first)?),
        Op::ScatterAdd => one(first.kind, first.shape.clone()),
    }
}

/// The shape that an integer tensor holds.
pub(crate) fn sizes(value: &Value) -> Result<Vec<Dim>> {
    let Some(content) = &value.content else { return unsupported("a shape that depends on the values of the input") };
    let size = |term: &Term| match term {
        Term::Rows(k) => Ok(Dim::Rows(*k)),
        Term::Number(n) => {
            usize::try_from(*n).map_or_else(|_| malformed(format!("a size of {n}")), |n| Ok(Dim::Fixed(n)))
        }
    };
    content.iter().map(size).collect()
}

pub(crate) fn compares(binary: Binary) -> bool {
    use Binary::{And, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, Or, Xor};
    matches!(binary, And | Equal | Greater | GreaterOrEqual | Less | LessOrEqual | Or | Xor)
}

fn same_kind(a: &Value, b: &Value) -> Result<ElementType> {
    if a.kind == b.kind { Ok(a.kind) } else { malformed(format!("element types {:?} and {:?} mixed", a.kind, b.kind)) }
}

fn floating(value: &Value) -> Result<()> {
    if is_float(value.kind) { Ok(()) } else { unsupported(format!("element type {:?}", value.kind)) }
}

fn matmul(inputs: &[&Value]) -> Result<Vec<Typed>> {
    let [a, b] = inputs else { return malformed("two inputs are needed") };
    let ([front_a @ .., rows, inner_a], [front_b @ .., inner_b, columns]) = (&a.shape[..], &b.shape[..]) else {
        return malformed("factors need two axes at least");
    };
    if inner_a != inner_b {
        return malformed(format!("{} and {} cannot be multiplied", text(&a.shape), text(&b.shape)));
    }
    if inner_a.fixed().is_none() {
        return unsupported("a sum over the batch");
    }
    let mut shape = broadcast(front_a, front_b)?;
    shape.extend([*rows, *columns]);
    Ok(vec![(same_kind(a, b)?, shape)])
}

fn gemm(inputs: &[&Value], trans_a: bool, trans_b: bool) -> Result<Vec<Typed>> {
    let [a, b, rest @ ..] = inputs else { return malformed("two inputs are needed") };
    let ([a0, a1], [b0, b1]) = (&a.shape[..], &b.shape[..]) else { return malformed("factors need two axes") };
    let (rows, inner_a) = if trans_a { (a1, a0) } else { (a0, a1) };
    let (inner_b, columns) = if trans_b { (b1, b0) } else { (b0, b1) };
    if inner_a != inner_b {
        return malformed(format!("{} and {} cannot be multiplied", text(&a.shape), text(&b.shape)));
    }
    if inner_a.fixed().is_none() {
        return unsupported("a sum over the batch");
    }
    let shape = vec![*rows, *columns];
    if let Some(c) = rest.first()
        && (broadcast(&shape, &c.shape)? != shape || same_kind(a, c)? != a.kind)
    {
        return malformed("the summand does not fit the product");
    }
    Ok(vec![(same_kind(a, b)?, shape)])
}

fn conv(inputs: &[&Value], window: &Window) -> Result<Vec<Typed>> {
    let [x, weight, rest @ ..] = inputs else { return malformed("two inputs are needed") };
    floating(x)?;
    let kind = same_kind(x, weight)?;
    let weights = all_fixed(&weight.shape);
    let ([_, Dim::Fixed(channels), ..], Some([outputs, per_group, kernel @ ..])) = (&x.shape[..], weights.as_deref())
    else {
        return malformed("input and kernel need a channel axis of known size");
    };
    let group = window.group;
    let fits = group > 0 && per_group.checked_mul(group) == Some(*channels) && outputs.is_multiple_of(group);
    if !fits || kernel != window.kernel {
        return malformed(format!("kernel {} does not fit the input {}", text(&weight.shape), text(&x.shape)));
    }
    bias(rest.first(), kind, *outputs)?;
    Ok(vec![(kind, windows(x, window, Dim::Fixed(*outputs))?)])
}

fn conv_transpose(inputs: &[&Value], window: &Window, output_padding: &[usize]) -> Result<Vec<Typed>> {
    let [x, weight, rest @ ..] = inputs else { return malformed("two inputs are needed") };
    floating(x)?;
    let kind = same_kind(x, weight)?;
    let weights = all_fixed(&weight.shape);
    let ([batch, Dim::Fixed(channels), spatial @ ..], Some([inputs, per_group, kernel @ ..])) =
        (&x.shape[..], weights.as_deref())
    else {
        return malformed("input and kernel need a channel axis of known size");
    };
    let group = window.group;
    let outputs = per_group.checked_mul(group);
    let (Some(outputs), true) = (outputs, group > 0 && inputs == channels && channels.is_multiple_of(group)) else {
        return malformed(format!("kernel {} does not fit the input {}", text(&weight.shape), text(&x.shape)));
    };
    let rank = spatial.len();
    if kernel != window.kernel || !fits_rank(window, rank) || output_padding.len() != rank {
        return malformed("the window has another rank than the input");
    }
    bias(rest.first(), kind, outputs)?;
    let mut shape = vec![*batch, Dim::Fixed(outputs)];
    for (axis, dim) in spatial.iter().enumerate() {
        let Some(size) = dim.fixed() else { return unsupported("a spatial size that grows with the batch") };
        let long = size.checked_sub(1).and_then(|n| n.checked_mul(window.strides[axis]));
        let long = long.and_then(|n| n.checked_add(window.reach(axis)?)?.checked_add(output_padding[axis]));
        let pads = window.before[axis].checked_add(window.after[axis]);
        match long.zip(pads).and_then(|(long, pads)| long.checked_sub(pads)) {
            Some(size) if size > 0 => shape.push(Dim::Fixed(size)),
            _ => return malformed("the window leaves nothing"),
        }
    }
    Ok(vec![(kind, shape)])
}

fn bias(bias: Option<&&Value>, kind: ElementType, outputs: usize) -> Result<()> {
    match bias {
        Some(bias) if bias.kind != kind || bias.shape != [Dim::Fixed(outputs)] => malformed("the bias does not fit"),
        _ => Ok(()),
    }
}

fn concat(inputs: &[&Value], axis: usize) -> Result<Vec<Typed>> {
    let Some((first, rest)) = inputs.split_first() else { return malformed("nothing to put together") };
    if axis >= first.shape.len() {
        return malformed("no such axis");
    }
    let mut shape = first.shape.clone();
    for part in rest {
        let fits = part.kind == first.kind
            && part.shape.len() == shape.len()
            && shape.iter().zip(&part.shape).enumerate().all(|(at, (a, b))| at == axis || a == b);
        if !fits {
            return malformed(format!("{} cannot be put beside {}", text(&part.shape), text(&first.shape)));
        }
        shape[axis] = match (shape[axis], part.shape[axis]) {
            (Dim::Fixed(a), Dim::Fixed(b)) => match a.checked_add(b) {
                Some(sum) => Dim::Fixed(sum),
                None => return malformed("sizes overflow"),
            },
            _ => return unsupported("rows put beside rows"),
        };
    }
    Ok(vec![(first.kind, shape)])
}

fn windows(x: &Value, window: &Window, channels: Dim) -> Result<Vec<Dim>> {
    let [batch, _, spatial @ ..] = &x.shape[..] else { return malformed("a batch and a channel axis are needed") };
    if !fits_rank(window, spatial.len()) || spatial.is_empty() {
        return malformed("the window has another rank than the input");
    }
    let mut shape = vec![*batch, channels];
    for (axis, dim) in spatial.iter().enumerate() {
        let Some(size) = dim.fixed() else { return unsupported("a spatial size that grows with the batch") };
        match window.places(axis, size) {
            Some(places) if places > 0 => shape.push(Dim::Fixed(places)),
            _ => return malformed(format!("a window larger than {}", text(&x.shape))),
        }
    }
    Ok(shape)
}

fn fits_rank(window: &Window, rank: usize) -> bool {
    [&window.kernel, &window.strides, &window.dilations, &window.before, &window.after].iter().all(|l| l.len() == rank)
        && window.strides.iter().chain(&window.dilations).chain(&window.kernel).all(|n| *n > 0)
}

impl Cut {
    /// All elements lie within an axis of `size`.
    fn fits(&self, size: usize) -> bool {
        let Some(steps) = self.count.checked_sub(1) else { return true };
        let moved = i64::try_from(steps).ok().and_then(|n| n.checked_mul(self.step));
        let last = moved.and_then(|n| i64::try_from(self.start).ok()?.checked_add(n));
        self.start < size && last.and_then(|n| usize::try_from(n).ok()).is_some_and(|last| last < size)
    }
}

impl Window {
    /// How far the dilated kernel reaches along `axis`.
    pub(crate) fn reach(&self, axis: usize) -> Option<usize> {
        self.kernel.get(axis)?.checked_sub(1)?.checked_mul(*self.dilations.get(axis)?)?.checked_add(1)
    }

    /// At how many places the window fits along `axis`, over `size` elements.
    pub(crate) fn places(&self, axis: usize, size: usize) -> Option<usize> {
        let padded = size.checked_add(*self.before.get(axis)?)?.checked_add(*self.after.get(axis)?)?;
        (padded.checked_sub(self.reach(axis)?)? / self.strides.get(axis)?).checked_add(1)
    }
}
