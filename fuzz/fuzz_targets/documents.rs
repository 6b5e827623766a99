//! Bytes as R data, Torch7, Java objects, PMML, OpenVINO or textual configuration: whatever they begin like, by the whole gate.
#![no_main]

use gauntlet_artifact::exercise;
use gauntlet_fuzz::budget;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let limits = budget().limits().clone();
    // A name that promises nothing, then those that hand broken content to a reader all the same.
    for name in ["model", "model.pmml", "model.rds", "model.t7", "config.cfg", "config.pbtxt", "Modelfile", "net.prototxt"] {
        let _ = exercise(name, data, &limits);
    }
});
