//! GGUF headers: facts and findings, whatever the bytes.
#![no_main]

use gauntlet_artifact::{GATE, exercise};
use gauntlet_core::Judging;
use gauntlet_fuzz::budget;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let limits = budget().limits().clone();
    let config = serde_json::json!({});
    let judging = Judging { config: &config, now: jiff::Timestamp::UNIX_EPOCH };
    for name in ["model.gguf"] {
        let facts = exercise(name, data, &limits);
        for check in GATE.checks {
            check.judge(&facts, &judging);
        }
    }
});
