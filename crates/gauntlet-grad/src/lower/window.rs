//! Convolutions and pools: automatic padding, rounding up and divisors become explicit numbers.

use crate::array::Array;
use crate::dim::all_fixed;
use crate::error::{Result, malformed, unsupported};
use crate::graph::{Op, Reduction, ValueId, Window};

use super::{Lowering, UNKNOWN};

/// Places of a padded average along one axis.
const PLACES: usize = 1 << 20;

pub(super) fn lower(l: &mut Lowering<'_, '_>, operator: &str) -> Result<ValueId> {
    let x = l.x(0)?;
    match operator {
        "Conv" => {
            let weight = l.x(1)?;
            let (window, _) = window(l, x, Some(weight))?;
            let inputs: Vec<ValueId> = [Some(x), Some(weight), l.optional(2)].into_iter().flatten().collect();
            l.b.node(Op::Conv(window), &inputs)
        }
        "ConvTranspose" => transposed(l, x),
        "MaxPool" => {
            if l.attributes.int("storage_order", 0)? != 0 {
                return unsupported("indices in column order");
            }
            let (window, _) = window(l, x, None)?;
            l.b.node(Op::MaxPool(window), &[x])
        }
        "AveragePool" => average(l, x),
        "GlobalAveragePool" => l.b.reduce(Reduction::Mean, x, (2..l.b.rank(x)).collect(), true),
        "GlobalMaxPool" => l.b.reduce(Reduction::Max, x, (2..l.b.rank(x)).collect(), true),
        _ => unsupported(UNKNOWN),
    }
}

/// The window with explicit padding; with it, how many elements of the padding are there only because sizes are
/// rounded up, by axis.
fn window(l: &Lowering<'_, '_>, x: ValueId, weight: Option<ValueId>) -> Result<(Window, Vec<usize>)> {
    let shape = l.b.shape(x);
    let Some(sizes) = shape.get(2..).filter(|spatial| !spatial.is_empty()).and_then(all_fixed) else {
        return unsupported(format!("spatial sizes of {}", crate::dim::text(&shape)));
    };
    let rank = sizes.len();
    let mut window = bare(l, rank, weight)?;
    let mut extra = vec![0; rank];
    match l.attributes.string("auto_pad", "NOTSET")?.as_str() {
        "NOTSET" | "" => {
            let pads = l.attributes.sizes("pads")?.unwrap_or_else(|| vec![0; rank * 2]);
            if pads.len() != rank * 2 {
                return malformed(format!("{} pads for {rank} axes", pads.len()));
            }
            let (before, after) = pads.split_at(rank);
            (window.before, window.after) = (before.to_vec(), after.to_vec());
            if l.attributes.int("ceil_mode", 0)? != 0 {
                for (axis, size) in sizes.iter().enumerate() {
                    extra[axis] = rounded_up(&window, axis, *size).unwrap_or(0);
                    window.after[axis] = window.after[axis].saturating_add(extra[axis]);
                }
            }
        }
        "VALID" => {}
        same @ ("SAME_UPPER" | "SAME_LOWER") => {
            for (axis, size) in sizes.iter().copied().enumerate() {
                let stride = window.strides[axis];
                let places = size.div_ceil(stride).max(1);
                let Some(reach) = (places - 1).checked_mul(stride).and_then(|n| n.checked_add(window.reach(axis)?))
                else {
                    return malformed("a window that overflows");
                };
                let pads = reach.saturating_sub(size);
                let (small, large) = (pads / 2, pads - pads / 2);
                let (before, after) = if same == "SAME_UPPER" { (small, large) } else { (large, small) };
                (window.before[axis], window.after[axis]) = (before, after);
            }
        }
        other => return malformed(format!("the padding `{other}`")),
    }
    Ok((window, extra))
}

/// Kernel, strides, dilations and group; no padding.
fn bare(l: &Lowering<'_, '_>, rank: usize, weight: Option<ValueId>) -> Result<Window> {
    let ones = || vec![1; rank];
    let given = l.attributes.sizes("kernel_shape")?;
    let kernel = match weight.map(|weight| all_fixed(l.b.value(weight).shape.get(2..).unwrap_or_default())) {
        Some(Some(kernel)) if given.as_ref().is_none_or(|given| *given == kernel) => kernel,
        Some(_) => return malformed("`kernel_shape` contradicts the kernel"),
        None => given.unwrap_or_default(),
    };
    let window = Window {
        kernel,
        strides: l.attributes.sizes("strides")?.unwrap_or_else(ones),
        dilations: l.attributes.sizes("dilations")?.unwrap_or_else(ones),
        before: vec![0; rank],
        after: vec![0; rank],
        group: usize::try_from(l.attributes.int("group", 1)?).unwrap_or(0),
    };
    let lists = [&window.kernel, &window.strides, &window.dilations];
    if lists.iter().any(|list| list.len() != rank || list.contains(&0)) {
        return malformed(format!("a window that does not fit {rank} spatial axes"));
    }
    Ok(window)
}

/// Padding behind the end that makes a last, partial window whole, if that window begins before the padding does.
fn rounded_up(window: &Window, axis: usize, size: usize) -> Option<usize> {
    let (stride, before) = (window.strides[axis], window.before[axis]);
    let padded = size.checked_add(before)?.checked_add(window.after[axis])?;
    let room = padded.checked_sub(window.reach(axis)?)?;
    let last = room.div_ceil(stride).checked_mul(stride)?;
    if last >= size.checked_add(before)? { None } else { Some(last - room.min(last)) }
}

fn average(l: &mut Lowering<'_, '_>, x: ValueId) -> Result<ValueId> {
    let (window, extra) = window(l, x, None)?;
    if window.dilations.iter().any(|n| *n != 1) {
        return unsupported("a dilated average");
    }
    let counts_padding = l.attributes.int("count_include_pad", 0)? != 0;
    let y = l.b.node(Op::AveragePool(window.clone()), &[x])?;
    let counted = |axis: usize, size: usize, place: usize| {
        let (first, padded) = (place * window.strides[axis], size + window.before[axis] + window.after[axis]);
        let last = first + window.kernel[axis];
        let (low, high) =
            if counts_padding { (0, padded - extra[axis]) } else { (window.before[axis], window.before[axis] + size) };
        last.min(high).saturating_sub(first.max(low))
    };
    // What the divisor of each place should have been, one axis after another.
    let mut corrected = y;
    let rank = l.b.rank(x);
    for axis in 0..rank.saturating_sub(2) {
        let (size, places) = (l.fixed(x, axis + 2)?, l.fixed(y, axis + 2)?);
        let kernel = window.kernel[axis];
        if window.before[axis] == 0 && window.after[axis] == 0 {
            continue;
        }
        if places > PLACES {
            return unsupported(format!("an average over {places} places"));
        }
        l.b.affords(places)?;
        let counts: Vec<usize> = (0..places).map(|place| counted(axis, size, place)).collect();
        if counts.contains(&0) {
            return malformed("a window that holds nothing but padding");
        }
        if counts.iter().any(|count| *count != kernel) {
            let mut dims = vec![1; rank - 2 - axis];
            dims[0] = places;
            let factors = counts.iter().map(|count| kernel as f64 / *count as f64).collect();
            let factors = l.b.constant(Array::floats(l.b.kind(x), dims, factors))?;
            corrected = l.b.mul(corrected, factors)?;
        }
    }
    Ok(corrected)
}

fn transposed(l: &mut Lowering<'_, '_>, x: ValueId) -> Result<ValueId> {
    let weight = l.x(1)?;
    let Some(sizes) = l.b.shape(x).get(2..).filter(|spatial| !spatial.is_empty()).and_then(all_fixed) else {
        return unsupported("spatial sizes that are not known");
    };
    let rank = sizes.len();
    let mut window = bare(l, rank, Some(weight))?;
    let padding = l.attributes.sizes("output_padding")?.unwrap_or_else(|| vec![0; rank]);
    let wanted = l.attributes.sizes("output_shape")?;
    let automatic = l.attributes.string("auto_pad", "NOTSET")?;
    let pads = l.attributes.sizes("pads")?.unwrap_or_else(|| vec![0; rank * 2]);
    if pads.len() != rank * 2 || padding.len() != rank || wanted.as_ref().is_some_and(|list| list.len() != rank) {
        return malformed("pads or sizes that do not fit");
    }
    for axis in 0..rank {
        let stride = window.strides[axis];
        let full = sizes[axis].saturating_sub(1).checked_mul(stride);
        let full = full.and_then(|n| n.checked_add(window.reach(axis)?)?.checked_add(padding[axis]));
        let Some(full) = full else { return malformed("a window that overflows") };
        let target = match (&wanted, automatic.as_str()) {
            (Some(sizes), _) => Some(sizes[axis]),
            (None, "SAME_UPPER" | "SAME_LOWER") => sizes[axis].checked_mul(stride),
            _ => None,
        };
        (window.before[axis], window.after[axis]) = match target {
            None if automatic == "VALID" => (0, 0),
            None => (pads[axis], pads[axis + rank]),
            Some(target) => {
                let Some(total) = full.checked_sub(target) else {
                    return unsupported("an output larger than its windows");
                };
                if automatic == "SAME_UPPER" { (total / 2, total - total / 2) } else { (total - total / 2, total / 2) }
            }
        };
    }
    let inputs: Vec<ValueId> = [Some(x), Some(weight), l.optional(2)].into_iter().flatten().collect();
    l.b.node(Op::ConvTranspose { window, output_padding: padding }, &inputs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dim::Dim;

    #[test]
    fn rounding_up_adds_a_window_only_where_it_begins_inside() {
        let window = |kernel, stride, pad| Window {
            kernel: vec![kernel],
            strides: vec![stride],
            dilations: vec![1],
            before: vec![pad],
            after: vec![pad],
            group: 1,
        };
        assert_eq!(rounded_up(&window(2, 2, 0), 0, 7), Some(1));
        assert_eq!(rounded_up(&window(2, 2, 0), 0, 6), Some(0));
        // The last window would begin behind the input and its front padding.
        assert_eq!(rounded_up(&window(2, 3, 1), 0, 5), None);
    }

    #[test]
    fn dims_of_a_batch_are_no_spatial_sizes() {
        assert_eq!(all_fixed(&[Dim::Rows(1), Dim::Fixed(2)]), None);
    }
}
