//! Bytes as a stored file of facts: read or refused, and what was read survives being written.
#![no_main]

use gauntlet_facts::{Limits, exercise, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let limits = Limits { table_bytes: 64 << 20, ..Limits::default() };
    if let Some(written) = exercise(data, &limits) {
        assert_eq!(read(data.to_vec(), &limits).ok(), read(written, &limits).ok(), "facts do not survive");
    }
});
