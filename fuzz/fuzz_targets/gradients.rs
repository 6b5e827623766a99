//! Bytes as an ONNX model whose gradient graphs are wanted: an answer within the budget, and graphs that can be read.
#![no_main]

use gauntlet_fuzz::budget;
use gauntlet_grad::{Differentiable, Options};
use gauntlet_limits::Budget;
use gauntlet_onnx::Model;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let source = data.to_vec();
    let budget = budget();
    let Ok(model) = Model::read(&source, &budget) else { return };
    let Ok(graphs) = Differentiable::new(&model, &source, &Options::default(), &budget) else { return };
    for emitted in [graphs.forward(), graphs.backward()] {
        assert!(Model::read(&emitted.to_vec(), &Budget::default()).is_ok());
    }
});
