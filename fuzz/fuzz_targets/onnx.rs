//! Bytes as an ONNX model: read, summarised, and the summary survives storage.
#![no_main]

use gauntlet_fuzz::{assert_stored, budget};
use gauntlet_onnx::{Model, OnnxFacts, looks_like_model};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let source = data.to_vec();
    let _ = looks_like_model(&source);
    if let Ok(model) = Model::read(&source, &budget()) {
        assert_stored(&OnnxFacts::of(&model));
    }
});
