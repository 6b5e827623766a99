//! Bytes as a SavedModel, in the wire format and as text, through the readers that the gate uses for them.
#![no_main]

use gauntlet_fuzz::limits;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for name in ["saved_model.pb", "saved_model.pbtxt", "model.meta", "keras_metadata.pb"] {
        let once = gauntlet_artifact::exercise(name, data, &limits());
        let again = gauntlet_artifact::exercise(name, data, &limits());
        assert_eq!(serde_json::to_vec(&once).ok(), serde_json::to_vec(&again).ok(), "two readings differ");
    }
});
