//! Reading test data, and running the two graphs as an engine would.

pub(crate) mod build;

use std::collections::BTreeMap;

use gauntlet_grad::{Differentiable, Feed, GradError, Options};
use gauntlet_limits::Budget;
use gauntlet_onnx::Model;
use serde_json::Value;

use crate::interpreter::{Kind, Tensor, run};

pub(crate) fn path(name: &str) -> String {
    format!("{}/../../testdata/models/{name}", env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn file(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap()
}

pub(crate) fn json(name: &str) -> Value {
    serde_json::from_slice(&file(name)).unwrap()
}

/// `{dims, data}`
pub(crate) fn tensor(value: &Value) -> Tensor {
    let dims: Vec<usize> = value["dims"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
    Tensor::float(&dims, value["data"].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect())
}

pub(crate) fn differentiate(bytes: &[u8], options: &Options<'_>) -> Result<Differentiable, GradError> {
    let bytes = bytes.to_vec();
    let budget = Budget::default();
    Differentiable::new(&Model::read(&bytes, &budget).unwrap(), &bytes, options, &budget)
}

/// Logits and residuals.
pub(crate) fn forward(graphs: &Differentiable, x: &Tensor) -> Vec<Tensor> {
    assert_eq!(graphs.inputs().len(), 1);
    let mut x = x.clone();
    if !matches!(graphs.inputs()[0].element_type, gauntlet_onnx::ElementType::Float) {
        x.kind = Kind::Int;
    }
    run(graphs.forward(), &BTreeMap::from([(graphs.inputs()[0].name.clone(), x)]))
}

/// `Jᵀ·seed`, from what [`forward`] gave.
pub(crate) fn backward(graphs: &Differentiable, x: &Tensor, outputs: &[Tensor], seed: &Tensor) -> Tensor {
    let feed = |(name, feed): &(String, Feed)| {
        let value = match feed {
            Feed::Seed => seed,
            Feed::Input(_) => x,
            Feed::Output(at) => &outputs[*at],
        };
        let mut value = value.clone();
        if matches!(feed, Feed::Input(at) if graphs.inputs()[*at].element_type != gauntlet_onnx::ElementType::Float) {
            value.kind = Kind::Int;
        }
        (name.clone(), value)
    };
    let fed = graphs.feeds().iter().map(feed).collect();
    run(graphs.backward(), &fed).remove(0)
}

/// The largest difference, relative to the largest of `expected`, at least 1.
pub(crate) fn distance(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.dims, expected.dims);
    let scale = expected.data.iter().fold(1.0, |m: f64, n| m.max(n.abs()));
    let far = |(a, b): (&f64, &f64)| if a.is_finite() { (a - b).abs() / scale } else { f64::INFINITY };
    found.data.iter().zip(&expected.data).map(far).fold(0.0, f64::max)
}

/// Numbers in −1..1 that depend on `seed` alone.
pub(crate) fn noise(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// How far the gradient is from central differences of `seed·logits`, over every element of `x`.
pub(crate) fn finite_difference_error(graphs: &Differentiable, x: &Tensor) -> f64 {
    let outputs = forward(graphs, x);
    let seed = Tensor::float(&outputs[0].dims, noise(5, outputs[0].data.len()));
    let gradient = backward(graphs, x, &outputs, &seed);
    let value = |x: &Tensor| forward(graphs, x)[0].data.iter().zip(&seed.data).map(|(a, b)| a * b).sum::<f64>();
    let step = 1e-6;
    let difference = |at: usize| {
        let moved = |by: f64| {
            let mut moved = x.clone();
            moved.data[at] += by;
            value(&moved)
        };
        (moved(step) - moved(-step)) / (2.0 * step)
    };
    let expected = Tensor::float(&x.dims, (0..x.data.len()).map(difference).collect());
    distance(&gradient, &expected)
}
