//! Scalers and linear predictors of `ai.onnx.ml`, which are matrix products.

use gauntlet_onnx::ElementType;

use crate::array::Array;
use crate::error::{Result, malformed, unsupported};
use crate::graph::{Op, Unary, ValueId};

use super::{Lowering, UNKNOWN};

/// Operators of `ai.onnx.ml` that are differentiated.
pub(super) const OPERATORS: &[&str] = &["LinearClassifier", "LinearRegressor", "Scaler"];

/// A classifier's first output, the label, has no gradient and is not computed.
pub(super) fn lower(l: &mut Lowering<'_, '_>, operator: &str) -> Result<Vec<Option<ValueId>>> {
    let x = l.x(0)?;
    let x = if l.b.kind(x) == ElementType::Float { x } else { l.b.node(Op::Cast(ElementType::Float), &[x])? };
    match operator {
        "Scaler" => {
            let (offset, scale) = (row(l, "offset")?, row(l, "scale")?);
            let centred = l.b.sub(x, offset)?;
            Ok(vec![Some(l.b.mul(centred, scale)?)])
        }
        "LinearRegressor" => {
            let targets = usize::try_from(l.attributes.int("targets", 1)?).unwrap_or(0);
            let scores = linear(l, x, targets)?;
            if l.attributes.string("post_transform", "NONE")? != "NONE" {
                return unsupported("a transformed regression");
            }
            Ok(vec![Some(scores)])
        }
        "LinearClassifier" => {
            let classes = match l.attributes.ints("classlabels_ints")? {
                Some(labels) => labels.len(),
                None => l.attributes.count("classlabels_strings"),
            };
            let scores = linear(l, x, classes)?;
            let scores = match l.attributes.string("post_transform", "NONE")?.as_str() {
                "NONE" => scores,
                "LOGISTIC" => l.b.unary(Unary::Sigmoid, scores)?,
                "SOFTMAX" => l.b.node(Op::Softmax(1), &[scores])?,
                other => return unsupported(format!("the transform `{other}`")),
            };
            Ok(vec![None, Some(scores)])
        }
        _ => unsupported(UNKNOWN),
    }
}

/// A list of floats that goes with the features.
fn row(l: &mut Lowering<'_, '_>, name: &str) -> Result<ValueId> {
    let Some(list) = l.attributes.floats(name)? else { return malformed(format!("no `{name}`")) };
    l.b.constant(Array::floats(ElementType::Float, vec![list.len()], list))
}

/// `x·Wᵀ + b`, a row of `W` for each of `targets`.
fn linear(l: &mut Lowering<'_, '_>, x: ValueId, targets: usize) -> Result<ValueId> {
    let features = l.fixed(x, 1)?;
    let weights = l.attributes.floats("coefficients")?.unwrap_or_default();
    if targets == 0 || targets.checked_mul(features) != Some(weights.len()) {
        // One row for two classes is a convention that runtimes read in different ways.
        return unsupported(format!("{} coefficients for {targets} outputs of {features} features", weights.len()));
    }
    let weights = l.b.constant(Array::floats(ElementType::Float, vec![targets, features], weights))?;
    let mut inputs = vec![x, weights];
    if l.attributes.has("intercepts") {
        let bias = row(l, "intercepts")?;
        inputs.push(bias);
    }
    l.b.node(Op::Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: true }, &inputs)
}
