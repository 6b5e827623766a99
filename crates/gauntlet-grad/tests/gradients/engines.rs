//! Hands the graphs to engines outside: `tests/interop/gradients.py` runs them.
use std::path::Path;

use crate::interpreter::Tensor;
use crate::support::{backward, differentiate, file, forward, noise, tensor};
use gauntlet_grad::{ConvGradient, Feed, Options};
use serde_json::{Value, json};

fn numbers(tensor: &Tensor) -> Value {
    json!({ "dims": tensor.dims, "data": tensor.data })
}

/// Two files and what has to come out of them.
fn write(folder: &Path, name: &str, model: &[u8], x: &Tensor, options: &Options<'_>) {
    let graphs = differentiate(model, options).unwrap();
    let outputs = forward(&graphs, x);
    let seed = Tensor::float(&outputs[0].dims, noise(11, outputs[0].data.len()));
    let gradient = backward(&graphs, x, &outputs, &seed);
    let feed = |(name, feed): &(String, Feed)| match feed {
        Feed::Seed => json!([name, "seed", 0]),
        Feed::Input(at) => json!([name, "input", at]),
        Feed::Output(at) => json!([name, "output", at]),
    };
    let expected = json!({
        "input": graphs.inputs()[0].name, "integers": graphs.inputs()[0].element_type != gauntlet_onnx::ElementType::Float,
        "feeds": graphs.feeds().iter().map(feed).collect::<Vec<_>>(), "x": numbers(x), "seed": numbers(&seed),
        "logits": numbers(&outputs[0]), "gradient": numbers(&gradient),
    });
    std::fs::write(folder.join(format!("{name}.forward.onnx")), graphs.forward()).unwrap();
    std::fs::write(folder.join(format!("{name}.backward.onnx")), graphs.backward()).unwrap();
    std::fs::write(folder.join(format!("{name}.json")), expected.to_string()).unwrap();
}

#[test]
#[ignore = "writes files for engines that run outside, into the folder GAUNTLET_GRAPHS"]
fn writes_graphs() {
    let folder = std::env::var("GAUNTLET_GRAPHS").unwrap();
    let folder = Path::new(&folder);
    for case in crate::support::json("operators.json").as_array().unwrap() {
        let text = case["model"].as_str().unwrap();
        let model: Vec<u8> =
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect();
        write(folder, case["name"].as_str().unwrap(), &model, &tensor(&case["x"]), &Options::default());
    }
    for (name, network) in crate::support::json("networks.json").as_object().unwrap() {
        let (model, x) = (file(&format!("{name}.onnx")), tensor(&network["x"]));
        write(folder, name, &model, &x, &Options::default());
        let flipped = Options { conv_gradient: ConvGradient::Flipped, ..Options::default() };
        write(folder, &format!("{name}-flipped"), &model, &x, &flipped);
    }
}
