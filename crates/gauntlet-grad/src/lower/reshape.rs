//! Operators that move elements about, and those that compute with shapes.

use gauntlet_onnx::ElementType;

use crate::array::{Array, Numbers};
use crate::dim::{Dim, product};
use crate::error::{Result, malformed, unsupported};
use crate::graph::{Cut, Op, Reduction, Term, ValueId};

use super::{Lowering, UNKNOWN, single, terms};

/// Parts that a `Tile` or a reflected `Pad` may have along one axis.
pub(super) const PARTS: usize = 1 << 12;

pub(super) fn lower(l: &mut Lowering<'_, '_>, operator: &str) -> Result<ValueId> {
    match operator {
        "Range" => range(l),
        "ConstantOfShape" => {
            let shape = l.x(0)?;
            let fill = l.attributes.tensor("value")?.unwrap_or_else(|| Array::scalar(ElementType::Float, 0.0));
            let shape = plain_sizes(l, shape)?;
            l.b.node(Op::ConstantOfShape(fill.kind, single(&fill)?), &[shape])
        }
        _ => {
            let x = l.x(0)?;
            moved(l, operator, x)
        }
    }
}

fn moved(l: &mut Lowering<'_, '_>, operator: &str, x: ValueId) -> Result<ValueId> {
    let shape = l.b.shape(x);
    match operator {
        "Reshape" => reshape(l, x),
        "Flatten" => {
            let axis = l.attributes.int("axis", 1)?;
            let at = if axis == shape.len() as i64 { shape.len() } else { l.axis(axis, x)? };
            let (front, back) = shape.split_at(at);
            l.b.reshape(x, &[product(front)?, product(back)?])
        }
        "Squeeze" => squeeze(l, x, &shape),
        "Unsqueeze" => unsqueeze(l, x, shape),
        "Transpose" => {
            let reversed = || (0..shape.len()).rev().collect();
            let order = l.attributes.sizes("perm")?.unwrap_or_else(reversed);
            l.b.transpose(x, order)
        }
        "Concat" => {
            let axis = l.axis(l.attributes.int("axis", 0)?, x)?;
            let inputs = l.all()?;
            l.b.node(Op::Concat(axis), &inputs)
        }
        "Slice" => slice(l, x),
        "Gather" => gather(l, x),
        "Pad" => super::pad::pad(l, x),
        "Expand" => {
            let target = l.x(1)?;
            let target = plain_sizes(l, target)?;
            l.b.node(Op::Expand, &[x, target])
        }
        "Tile" => tile(l, x),
        "DepthToSpace" | "SpaceToDepth" => blocks(l, x, operator == "DepthToSpace"),
        "Shape" => {
            let count = |default: i64, name: &str| -> Result<usize> {
                let place = l.attributes.int(name, default)?;
                let rank = shape.len() as i64;
                let place = if place < 0 { place.saturating_add(rank) } else { place };
                Ok(usize::try_from(place.clamp(0, rank)).unwrap_or(0))
            };
            let (start, end) = (count(0, "start")?, count(shape.len() as i64, "end")?);
            l.b.node(Op::Shape { start, end: end.max(start) }, &[x])
        }
        "Size" => {
            let sizes = l.b.node(Op::Shape { start: 0, end: shape.len() }, &[x])?;
            l.b.node(Op::Reduce { reduction: Reduction::Prod, axes: vec![0], keep: false }, &[sizes])
        }
        _ => unsupported(UNKNOWN),
    }
}

/// The same shape without the arithmetic that it was computed by.
fn plain_sizes(l: &mut Lowering<'_, '_>, shape: ValueId) -> Result<ValueId> {
    match l.b.value(shape).content.clone() {
        Some(terms) if l.b.array(shape).is_none() => Ok(l.b.sizes(&terms)?.unwrap_or(shape)),
        _ => Ok(shape),
    }
}

/// One part for each output.
pub(super) fn split(l: &mut Lowering<'_, '_>, outputs: usize) -> Result<Vec<ValueId>> {
    let x = l.x(0)?;
    let axis = l.axis(l.attributes.int("axis", 0)?, x)?;
    let size = l.fixed(x, axis)?;
    let sizes = match l.list("split", 1, 13)? {
        Some(list) => list.iter().map(|n| usize::try_from(*n).unwrap_or(usize::MAX)).collect(),
        None => {
            let parts = match l.attributes.optional_int("num_outputs")? {
                Some(n) => usize::try_from(n).unwrap_or(0),
                None => outputs,
            };
            if parts == 0 || parts > size || parts > outputs {
                return malformed(format!("{size} elements in {parts} parts"));
            }
            // Equal parts, the last one smaller.
            let part = size.div_ceil(parts);
            (0..parts).map(|n| part.min(size.saturating_sub(n * part))).collect::<Vec<_>>()
        }
    };
    if sizes.len() < outputs {
        return malformed(format!("{} parts for {outputs} outputs", sizes.len()));
    }
    l.b.nodes(Op::Split { axis, sizes }, &[x])
}

fn reshape(l: &mut Lowering<'_, '_>, x: ValueId) -> Result<ValueId> {
    let (shape, target) = (l.b.shape(x), terms(l, 1)?);
    let zero_is_zero = l.attributes.int("allowzero", 0)? != 0;
    let mut sizes = Vec::with_capacity(target.len());
    let mut open = None;
    for (axis, term) in target.iter().enumerate() {
        sizes.push(match term {
            Term::Rows(k) => Dim::Rows(*k),
            Term::Number(0) if !zero_is_zero => match shape.get(axis) {
                Some(dim) => *dim,
                None => return malformed("a 0 where the tensor has no axis to copy"),
            },
            Term::Number(-1) if open.is_none() => {
                open = Some(axis);
                Dim::Fixed(1)
            }
            Term::Number(n) => match usize::try_from(*n) {
                Ok(n) => Dim::Fixed(n),
                Err(_) => return malformed(format!("a size of {n}")),
            },
        });
    }
    if let Some(axis) = open {
        match product(&shape)?.over(product(&sizes)?) {
            Some(size) => sizes[axis] = size,
            None => {
                let (from, to) = (crate::dim::text(&shape), crate::dim::text(&sizes));
                return malformed(format!("{from} does not divide into {to}"));
            }
        }
    }
    l.b.reshape(x, &sizes)
}

fn squeeze(l: &mut Lowering<'_, '_>, x: ValueId, shape: &[Dim]) -> Result<ValueId> {
    let axes = match l.list("axes", 1, 13)? {
        Some(axes) => axes.iter().map(|axis| l.axis(*axis, x)).collect::<Result<Vec<_>>>()?,
        None => (0..shape.len()).filter(|axis| shape.get(*axis) == Some(&Dim::Fixed(1))).collect(),
    };
    if axes.iter().any(|axis| shape.get(*axis) != Some(&Dim::Fixed(1))) {
        return malformed(format!("an axis of {} that is not 1 cannot go", crate::dim::text(shape)));
    }
    let kept = shape.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, dim)| *dim);
    let kept: Vec<Dim> = kept.collect();
    l.b.reshape(x, &kept)
}

fn unsqueeze(l: &mut Lowering<'_, '_>, x: ValueId, mut shape: Vec<Dim>) -> Result<ValueId> {
    let Some(axes) = l.list("axes", 1, 13)?.filter(|axes| axes.len() <= 16) else {
        return malformed("no axes, or too many");
    };
    let rank = shape.len().saturating_add(axes.len());
    let mut places = axes.iter().map(|axis| crate::dim::axis(*axis, rank)).collect::<Result<Vec<_>>>()?;
    places.sort_unstable();
    places.dedup();
    if places.len() != axes.len() {
        return malformed("an axis is named twice");
    }
    for place in places {
        shape.insert(place, Dim::Fixed(1));
    }
    l.b.reshape(x, &shape)
}

fn slice(l: &mut Lowering<'_, '_>, x: ValueId) -> Result<ValueId> {
    let (Some(starts), Some(ends)) = (l.list("starts", 1, 10)?, l.list("ends", 2, 10)?) else {
        return malformed("starts and ends are missing");
    };
    let counted = || (0..starts.len() as i64).collect();
    let axes = l.list("axes", 3, 10)?.unwrap_or_else(counted);
    let steps = if l.opset < 10 { None } else { l.constant_ints(4)? };
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()].iter().any(|length| *length != starts.len()) {
        return malformed("starts, ends, axes and steps of different lengths");
    }
    let mut cuts: Vec<Cut> = Vec::new();
    for (((start, end), axis), step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let axis = l.axis(*axis, x)?;
        if cuts.iter().any(|cut| cut.axis == axis) {
            return malformed("an axis is sliced twice");
        }
        // Exporters write slices that take everything, also of the batch.
        if *start == 0 && *step == 1 && *end >= i64::from(i32::MAX) {
            continue;
        }
        let size = l.fixed(x, axis)?;
        match cut(axis, size, *start, *end, *step) {
            Some(cut) if cut.start == 0 && cut.step == 1 && cut.count == size => {}
            Some(cut) => cuts.push(cut),
            None => return malformed("a slice with step 0"),
        }
    }
    if cuts.is_empty() { Ok(x) } else { l.b.node(Op::Slice(cuts), &[x]) }
}

/// Python's slicing.
fn cut(axis: usize, size: usize, start: i64, end: i64, step: i64) -> Option<Cut> {
    let length = i64::try_from(size).ok()?;
    let from_front = |n: i64| if n < 0 { n.saturating_add(length) } else { n };
    let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let (first, last) = (from_front(start).clamp(low.max(0), high.max(0)), from_front(end).clamp(low, high));
    let distance = if step > 0 { last - first } else { first - last };
    let count = if distance <= 0 { 0 } else { (distance - 1) / step.checked_abs().filter(|n| *n > 0)? + 1 };
    (step != 0).then_some(Cut { axis, start: usize::try_from(first).ok()?, count: usize::try_from(count).ok()?, step })
}

/// Indices that are known and follow one another are a slice.
fn gather(l: &mut Lowering<'_, '_>, x: ValueId) -> Result<ValueId> {
    let indices = l.x(1)?;
    let axis = l.axis(l.attributes.int("axis", 0)?, x)?;
    let known = l.b.array(indices).and_then(|array| Some((array.to_ints()?, array.dims.clone())));
    let (Some((list, dims)), true) = (known, l.b.array(x).is_none() && l.b.value(x).content.is_none()) else {
        return l.b.node(Op::Gather(axis), &[x, indices]);
    };
    let size = l.fixed(x, axis)?;
    let count =
        |n: &i64| usize::try_from(if *n < 0 { n.saturating_add(size as i64) } else { *n }).unwrap_or(usize::MAX);
    let places: Vec<usize> = list.iter().map(count).collect();
    if let Some(place) = places.iter().position(|place| *place >= size) {
        return malformed(format!("index {} of an axis of {size}", list[place]));
    }
    let consecutive = places.windows(2).all(|pair| pair[0] + 1 == pair[1]);
    let Some(start) = places.first().copied().filter(|_| consecutive) else {
        let places = Array::ints(dims, places.iter().map(|n| *n as i64).collect());
        let indices = l.b.constant(places)?;
        return l.b.node(Op::Gather(axis), &[x, indices]);
    };
    let mut shape = l.b.shape(x);
    let part = if places.len() == size {
        x
    } else {
        l.b.node(Op::Slice(vec![Cut { axis, start, count: places.len(), step: 1 }]), &[x])?
    };
    shape.splice(axis..=axis, dims.iter().map(|n| Dim::Fixed(*n)));
    l.b.reshape(part, &shape)
}

fn tile(l: &mut Lowering<'_, '_>, x: ValueId) -> Result<ValueId> {
    let Some(repeats) = l.constant_ints(1)? else { return malformed("no repeats") };
    if repeats.len() != l.b.rank(x) {
        return malformed("not one number of repeats an axis");
    }
    let mut y = x;
    for (axis, repeats) in repeats.iter().enumerate().filter(|(_, n)| **n != 1) {
        match usize::try_from(*repeats) {
            Ok(n) if (1..=PARTS).contains(&n) => y = l.b.node(Op::Concat(axis), &vec![y; n])?,
            _ => return unsupported(format!("{repeats} repeats")),
        }
    }
    Ok(y)
}

/// Blocks of pixels to channels, or back.
fn blocks(l: &mut Lowering<'_, '_>, x: ValueId, to_space: bool) -> Result<ValueId> {
    let side = usize::try_from(l.attributes.int("blocksize", 0)?).unwrap_or(0);
    let [batch, Dim::Fixed(c), Dim::Fixed(h), Dim::Fixed(w)] = l.b.shape(x)[..] else {
        return malformed("an image is needed");
    };
    let f = Dim::Fixed;
    let area = side.saturating_mul(side);
    if side == 0
        || (to_space && !c.is_multiple_of(area))
        || !(to_space || h.is_multiple_of(side) && w.is_multiple_of(side))
    {
        return malformed(format!("blocks of {side}"));
    }
    let mode = l.attributes.string("mode", "DCR")?;
    let (split, order, joined) = if to_space {
        let inner = c / area;
        let joined = [batch, f(inner), f(h * side), f(w * side)];
        match mode.as_str() {
            "DCR" => ([batch, f(side), f(side), f(inner), f(h), f(w)], vec![0, 3, 4, 1, 5, 2], joined),
            "CRD" => ([batch, f(inner), f(side), f(side), f(h), f(w)], vec![0, 1, 4, 2, 5, 3], joined),
            mode => return malformed(format!("the mode `{mode}`")),
        }
    } else {
        let (rows, columns) = (h / side, w / side);
        let split = [batch, f(c), f(rows), f(side), f(columns), f(side)];
        let order = match mode.as_str() {
            "DCR" => vec![0, 3, 5, 1, 2, 4],
            // Since opset 28.
            "CRD" => vec![0, 1, 3, 5, 2, 4],
            mode => return malformed(format!("the mode `{mode}`")),
        };
        (split, order, [batch, f(c.saturating_mul(area)), f(rows), f(columns)])
    };
    let parts = l.b.reshape(x, &split)?;
    let parts = l.b.transpose(parts, order)?;
    l.b.reshape(parts, &joined)
}

fn range(l: &mut Lowering<'_, '_>) -> Result<ValueId> {
    let (Some(start), Some(limit), Some(step)) = (l.constant_input(0)?, l.constant_input(1)?, l.constant_input(2)?)
    else {
        return malformed("start, limit and delta are needed");
    };
    let kind = start.kind;
    let (start, limit, step) = (single(&start)?, single(&limit)?, single(&step)?);
    let count = ((limit - start) / step).ceil();
    if !count.is_finite() || count > f64::from(1 << 22) {
        return malformed(format!("a range from {start} to {limit} in steps of {step}"));
    }
    l.b.affords(count.max(0.0) as usize)?;
    let numbers: Vec<f64> = (0..count.max(0.0) as usize).map(|n| start + n as f64 * step).collect();
    l.b.constant(Array::from_numbers(kind, vec![numbers.len()], &Numbers::Floats(numbers)))
}

/// The same along `axis` for each of its places: `matrix` is given row by row, a row for each new place.
pub(super) fn along_axis(
    l: &mut Lowering<'_, '_>,
    x: ValueId,
    axis: usize,
    rows: usize,
    matrix: Vec<f64>,
) -> Result<ValueId> {
    let (rank, kind, size) = (l.b.rank(x), l.b.kind(x), l.fixed(x, axis)?);
    let weights = Array::floats(kind, vec![rows, size], matrix);
    let weights = l.b.constant(weights)?;
    if axis + 2 == rank {
        return l.b.node(Op::MatMul, &[weights, x]);
    }
    let mut order: Vec<usize> = (0..rank).filter(|at| *at != axis).collect();
    order.push(axis);
    let moved = l.b.transpose(x, order.clone())?;
    let weights = l.b.swap_last(weights)?;
    let product = if rank == 1 {
        let row = l.b.reshape(moved, &[Dim::Fixed(1), Dim::Fixed(size)])?;
        let row = l.b.node(Op::MatMul, &[row, weights])?;
        l.b.reshape(row, &[Dim::Fixed(rows)])?
    } else {
        l.b.node(Op::MatMul, &[moved, weights])?
    };
    let mut back = vec![0; rank];
    for (to, from) in order.iter().enumerate() {
        back[*from] = to;
    }
    l.b.transpose(product, back)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_pythons() {
        let places = |size, start, end, step| {
            let cut = cut(0, size, start, end, step).unwrap();
            (0..cut.count as i64).map(|n| cut.start as i64 + n * cut.step).collect::<Vec<_>>()
        };
        assert_eq!(places(5, 1, i64::MAX, 2), [1, 3]);
        assert_eq!(places(5, -2, 5, 1), [3, 4]);
        assert_eq!(places(5, -1, i64::MIN, -2), [4, 2, 0]);
        assert_eq!(places(5, 3, 1, 1), Vec::<i64>::new());
        assert_eq!(places(5, 10, 0, -1), [4, 3, 2, 1]);
        assert!(cut(0, 5, 0, 5, 0).is_none());
    }
}
