//! Padding: constants are put around, what is repeated is gathered.

use crate::array::Array;
use crate::error::{Result, malformed, unsupported};
use crate::graph::{Cut, Op, ValueId};

use super::reshape::PARTS;
use super::{Lowering, single};

pub(super) fn pad(l: &mut Lowering<'_, '_>, x: ValueId) -> Result<ValueId> {
    let rank = l.b.rank(x);
    let Some(list) = l.list("pads", 1, 11)? else { return malformed("no pads") };
    let axes = if l.opset < 18 { None } else { l.constant_ints(3)? };
    let axes = match axes {
        Some(axes) => axes.iter().map(|axis| l.axis(*axis, x)).collect::<Result<Vec<_>>>()?,
        None => (0..rank).collect(),
    };
    if list.len() != axes.len() * 2 {
        return malformed(format!("{} pads for {} axes", list.len(), axes.len()));
    }
    let (mut pads, mut y) = (vec![(0i64, 0i64); rank], x);
    for (n, axis) in axes.iter().enumerate() {
        pads[*axis] = (list[n], list[n + axes.len()]);
    }
    // Negative pads cut off.
    let mut cuts = Vec::new();
    for (axis, (before, after)) in pads.iter_mut().enumerate().filter(|(_, (b, a))| *b < 0 || *a < 0) {
        let size = l.fixed(x, axis)?;
        let cut = |n: i64| usize::try_from(n.min(0).unsigned_abs()).unwrap_or(usize::MAX);
        let (start, gone) = (cut(*before), cut(*before).saturating_add(cut(*after)));
        let Some(count) = size.checked_sub(gone).filter(|n| *n > 0) else { return malformed("pads that cut all off") };
        cuts.push(Cut { axis, start, count, step: 1 });
        (*before, *after) = ((*before).max(0), (*after).max(0));
    }
    if !cuts.is_empty() {
        y = l.b.node(Op::Slice(cuts), &[y])?;
    }
    let side = |side: fn(&(i64, i64)) -> i64| -> Vec<usize> {
        pads.iter().map(|pad| usize::try_from(side(pad)).unwrap_or(usize::MAX)).collect()
    };
    let (before, after) = (side(|pad| pad.0), side(|pad| pad.1));
    let mode = l.attributes.string("mode", "constant")?;
    if mode != "constant" {
        return mirrored(l, y, &mode, &before, &after);
    }
    if before.iter().chain(&after).all(|n| *n == 0) {
        return Ok(y);
    }
    let fill = if l.opset < 11 {
        l.attributes.float("value", 0.0)?
    } else {
        l.constant_input(2)?.map_or(Ok(0.0), |array| single(&array))?
    };
    l.b.node(Op::Pad { before, after, fill }, &[y])
}

/// What the padding repeats is gathered, axis by axis.
fn mirrored(l: &mut Lowering<'_, '_>, x: ValueId, mode: &str, before: &[usize], after: &[usize]) -> Result<ValueId> {
    let mut y = x;
    for (axis, (before, after)) in before.iter().zip(after).enumerate().filter(|(_, (b, a))| **b > 0 || **a > 0) {
        let size = l.fixed(x, axis)?;
        if size == 0 || before.saturating_add(size).saturating_add(*after) > PARTS {
            return unsupported("so much padding");
        }
        let (size, before, after) = (size as i64, *before as i64, *after as i64);
        let period = (2 * (size - 1)).max(1);
        let place = |n: i64| match mode {
            "reflect" => {
                let n = n.rem_euclid(period);
                if n < size { n } else { period - n }
            }
            "edge" => n.clamp(0, size - 1),
            _ => n.rem_euclid(size),
        };
        if !matches!(mode, "reflect" | "edge" | "wrap") {
            return malformed(format!("the padding `{mode}`"));
        }
        let places: Vec<i64> = (-before..size + after).map(place).collect();
        let indices = l.b.constant(Array::ints(vec![places.len()], places))?;
        y = l.b.node(Op::Gather(axis), &[y, indices])?;
    }
    Ok(y)
}
