//! Resizing of pictures: along each axis a matrix of weights.

use crate::error::{Result, malformed, unsupported};
use crate::graph::ValueId;

use super::reshape::along_axis;
use super::{Lowering, require_float};

/// Weights of one axis.
const WEIGHTS: usize = 1 << 24;

pub(super) fn lower(l: &mut Lowering<'_, '_>, operator: &str) -> Result<ValueId> {
    let x = l.x(0)?;
    require_float(l, x)?;
    let is_old = operator == "Upsample" || l.opset < 11;
    let rank = l.b.rank(x);
    let (scales_at, sizes_at) = if is_old { (1, usize::MAX) } else { (2, 3) };
    let scales = match l.attributes.floats("scales")? {
        Some(scales) => Some(scales),
        None => l.constant_input(scales_at)?.map(|array| array.to_floats()).filter(|list| !list.is_empty()),
    };
    let sizes = l.constant_size_terms(sizes_at, x)?;
    let axes = match l.attributes.ints("axes")? {
        Some(axes) => axes.iter().map(|axis| l.axis(*axis, x)).collect::<Result<Vec<_>>>()?,
        None => (0..rank).collect(),
    };
    if l.attributes.string("keep_aspect_ratio_policy", "stretch")? != "stretch" {
        return unsupported("a kept aspect ratio");
    }
    let mode = l.attributes.string("mode", "nearest")?;
    let coordinates = if is_old {
        "asymmetric".to_owned()
    } else {
        l.attributes.string("coordinate_transformation_mode", "half_pixel")?
    };
    let nearest =
        if is_old { "floor".to_owned() } else { l.attributes.string("nearest_mode", "round_prefer_floor")? };
    if l.attributes.int("antialias", 0)? != 0 {
        return unsupported("smoothing before shrinking");
    }
    let mut y = x;
    for (n, axis) in axes.iter().enumerate() {
        let given = (sizes.as_ref().map(|list| list.get(n).copied()), scales.as_ref().map(|list| list.get(n).copied()));
        let (size, scale) = match given {
            (Some(Some(None)), _) => continue,
            (Some(Some(Some(to))), _) => {
                let from = l.fixed(x, *axis)?;
                (to, to as f64 / from.max(1) as f64)
            }
            (None, Some(Some(1.0))) => continue,
            (None, Some(Some(scale))) if scale > 0.0 => ((l.fixed(x, *axis)? as f64 * scale).floor() as usize, scale),
            _ => return malformed("not one size or scale an axis"),
        };
        let from = l.fixed(x, *axis)?;
        if size == from && scale == 1.0 {
            continue;
        }
        if size == 0 || from == 0 || size.checked_mul(from).is_none_or(|n| n > WEIGHTS) {
            return unsupported(format!("resizing {from} to {size}"));
        }
        l.b.affords(size * from)?;
        let place = |to: usize| coordinate(&coordinates, to as f64, scale, from as f64, size as f64);
        let mut matrix = vec![0.0; size * from];
        for (to, row) in matrix.chunks_exact_mut(from).enumerate() {
            let Some(place) = place(to) else { return unsupported(format!("coordinates `{coordinates}`")) };
            match mode.as_str() {
                "nearest" => row[rounded(&nearest, place)?.clamp(0.0, (from - 1) as f64) as usize] = 1.0,
                "linear" => {
                    let place = place.clamp(0.0, (from - 1) as f64);
                    let low = place.floor() as usize;
                    row[low] += 1.0 - place.fract();
                    row[(low + 1).min(from - 1)] += place.fract();
                }
                other => return unsupported(format!("the mode `{other}`")),
            }
        }
        y = along_axis(l, y, *axis, size, matrix)?;
    }
    Ok(y)
}

fn coordinate(mode: &str, to: f64, scale: f64, from_size: f64, to_size: f64) -> Option<f64> {
    Some(match mode {
        "asymmetric" => to / scale,
        "half_pixel" => (to + 0.5) / scale - 0.5,
        "pytorch_half_pixel" if to_size <= 1.0 => 0.0,
        "pytorch_half_pixel" => (to + 0.5) / scale - 0.5,
        "align_corners" if to_size <= 1.0 => 0.0,
        "align_corners" => to * (from_size - 1.0) / (to_size - 1.0),
        _ => return None,
    })
}

fn rounded(mode: &str, place: f64) -> Result<f64> {
    Ok(match mode {
        "floor" => place.floor(),
        "ceil" => place.ceil(),
        "round_prefer_floor" => (place - 0.5).ceil(),
        "round_prefer_ceil" => (place + 0.5).floor(),
        other => return malformed(format!("the rounding `{other}`")),
    })
}

impl Lowering<'_, '_> {
    /// Sizes, `None` for an axis that keeps its own (the batch does).
    fn constant_size_terms(&self, at: usize, x: ValueId) -> Result<Option<Vec<Option<usize>>>> {
        use crate::dim::Dim;
        if at == usize::MAX || self.optional(at).is_none() {
            return Ok(None);
        }
        let own = self.b.shape(x);
        let sizes = crate::infer::sizes(self.b.value(self.x(at)?))?;
        let size = |(axis, size): (usize, &Dim)| match size {
            size if own.get(axis) == Some(size) && own.len() == sizes.len() => Ok(None),
            Dim::Fixed(n) => Ok(Some(*n)),
            Dim::Rows(_) => unsupported("a resized batch"),
        };
        sizes.iter().enumerate().map(size).collect::<Result<Vec<_>>>().map(Some)
    }
}
