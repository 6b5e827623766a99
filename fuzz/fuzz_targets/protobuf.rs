//! Bytes as a protobuf message, and whatever is inside as messages, too.
#![no_main]

use gauntlet_fuzz::limits;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let limits = limits();
    assert!(gauntlet_protobuf::exercise(data, &limits) <= limits.steps, "more fields than steps");
});
