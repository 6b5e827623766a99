//! Bytes as a model file called `model.safetensors`, through the reader that the gate uses for it.
#![no_main]

use gauntlet_fuzz::limits;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let once = gauntlet_artifact::exercise("model.safetensors", data, &limits());
    let again = gauntlet_artifact::exercise("model.safetensors", data, &limits());
    assert_eq!(serde_json::to_vec(&once).ok(), serde_json::to_vec(&again).ok(), "two readings differ");
});
