//! Sums, means and the like along axes.

use crate::error::{Result, unsupported};
use crate::graph::{Binary, Op, Reduction, Unary, ValueId};

use super::{Lowering, UNKNOWN};

pub(super) fn lower(l: &mut Lowering<'_, '_>, operator: &str) -> Result<ValueId> {
    let x = l.x(0)?;
    let since = if operator == "ReduceSum" { 13 } else { 18 };
    let given = l.list("axes", 1, since)?.filter(|axes| !axes.is_empty());
    let axes = match given {
        Some(axes) => {
            let mut counted = axes.iter().map(|axis| l.axis(*axis, x)).collect::<Result<Vec<_>>>()?;
            counted.sort_unstable();
            counted.dedup();
            counted
        }
        None if l.attributes.int("noop_with_empty_axes", 0)? != 0 => Vec::new(),
        None => (0..l.b.rank(x)).collect(),
    };
    let keep = l.attributes.int("keepdims", 1)? != 0;
    match operator {
        "ReduceMax" => l.b.reduce(Reduction::Max, x, axes, keep),
        "ReduceMin" => l.b.reduce(Reduction::Min, x, axes, keep),
        "ReduceMean" => l.b.reduce(Reduction::Mean, x, axes, keep),
        "ReduceProd" => l.b.reduce(Reduction::Prod, x, axes, keep),
        "ReduceSum" => l.b.reduce(Reduction::Sum, x, axes, keep),
        "ReduceSumSquare" => {
            let square = l.b.mul(x, x)?;
            l.b.reduce(Reduction::Sum, square, axes, keep)
        }
        "ReduceL1" => {
            let size = l.b.unary(Unary::Abs, x)?;
            l.b.reduce(Reduction::Sum, size, axes, keep)
        }
        "ReduceL2" => {
            let square = l.b.mul(x, x)?;
            let sum = l.b.reduce(Reduction::Sum, square, axes, keep)?;
            // The root of zero has no slope; as in PyTorch, the gradient is zero there.
            let positive = l.b.compare(Binary::Greater, sum, 0.0)?;
            let kind = l.b.kind(sum);
            let (zero, one) = (l.b.scalar(kind, 0.0)?, l.b.scalar(kind, 1.0)?);
            let inside = l.b.select(positive, sum, one)?;
            let root = l.b.unary(Unary::Sqrt, inside)?;
            l.b.select(positive, root, zero)
        }
        "ReduceLogSum" => {
            let sum = l.b.reduce(Reduction::Sum, x, axes, keep)?;
            l.b.unary(Unary::Log, sum)
        }
        "ReduceLogSumExp" => {
            // The largest is taken out first, so that nothing overflows; its gradient cancels.
            let largest = l.b.reduce(Reduction::Max, x, axes.clone(), true)?;
            let rest = l.b.binary(Binary::Sub, x, largest)?;
            let exp = l.b.unary(Unary::Exp, rest)?;
            let sum = l.b.reduce(Reduction::Sum, exp, axes.clone(), true)?;
            let log = l.b.unary(Unary::Log, sum)?;
            let kept = l.b.add(log, largest)?;
            let out = crate::infer::infer(&Op::Reduce { reduction: Reduction::Sum, axes, keep }, &[l.b.value(x)])?;
            match out.into_iter().next() {
                Some((_, shape)) => l.b.reshape(kept, &shape),
                None => Ok(kept),
            }
        }
        _ => unsupported(UNKNOWN),
    }
}
