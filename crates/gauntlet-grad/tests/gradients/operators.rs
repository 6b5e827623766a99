//! Each operator and variant: the forward graph gives what ONNX Runtime gives for the original, and the backward graph
//! what finite differences give.
use crate::support::{differentiate, distance, finite_difference_error, forward, json, tensor};
use gauntlet_grad::{ConvGradient, Differentiable, Options};

fn model(case: &serde_json::Value) -> Vec<u8> {
    let text = case["model"].as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn check(case: &serde_json::Value, options: &Options<'_>) -> Result<(), String> {
    let graphs = differentiate(&model(case), options).map_err(|error| error.to_string())?;
    let (x, y) = (tensor(&case["x"]), tensor(&case["y"]));
    let found = &forward(&graphs, &x)[0];
    if found.dims != y.dims {
        return Err(format!("shape {:?} where {:?} is right", found.dims, y.dims));
    }
    let far = distance(found, &y);
    if far > 2e-5 {
        return Err(format!("the forward graph is off by {far:e}"));
    }
    let far = if case["note"] == "straight-through" { 0.0 } else { finite_difference_error(&graphs, &x) };
    if far > 1e-6 { Err(format!("the gradient is off by {far:e}")) } else { Ok(()) }
}

fn check_all(options: &Options<'_>) {
    let cases = json("operators.json");
    let cases = cases.as_array().unwrap();
    assert!(cases.len() > 180);
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| check(case, options).err().map(|error| format!("{}: {error}", case["name"])))
        .collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn every_operator_agrees_with_the_runtime_and_with_finite_differences() {
    check_all(&Options::default());
}

#[test]
fn flipped_kernels_give_the_same_gradients() {
    check_all(&Options { conv_gradient: ConvGradient::Flipped, ..Options::default() });
}

#[test]
fn the_straight_through_estimate_is_said_and_ignores_the_rounding() {
    let cases = json("operators.json");
    let case = cases.as_array().unwrap().iter().find(|case| case["name"] == "straight-through").unwrap();
    let graphs = differentiate(&model(case), &Options::default()).unwrap();
    assert!(graphs.is_straight_through());
    let x = tensor(&case["x"]);
    let outputs = forward(&graphs, &x);
    let seed = x.map(|_| 1.0);
    let gradient = crate::support::backward(&graphs, &x, &outputs, &seed);
    assert!(gradient.data.iter().all(|n| (n - 1.0).abs() < 1e-6), "{gradient:?}");
}

#[test]
fn every_named_operator_is_in_a_case() {
    let cases = json("operators.json");
    let mut seen = std::collections::BTreeSet::new();
    for case in cases.as_array().unwrap() {
        let bytes = model(case);
        let model = gauntlet_onnx::Model::read(&bytes, &gauntlet_limits::Budget::default()).unwrap();
        seen.extend(model.graphs[0].nodes.iter().map(|node| node.op_type.clone()));
    }
    let missing: Vec<_> = Differentiable::operators().iter().filter(|name| !seen.contains(**name)).collect();
    // Only where no gradient passes, or tested with whole networks.
    let elsewhere = ["CastLike", "Constant", "ReduceProd", "Size", "Swish"];
    let missing: Vec<_> = missing.into_iter().filter(|name| !elsewhere.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
