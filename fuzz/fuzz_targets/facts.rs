//! Bytes as a stored file of facts: read or refused, and what was read survives being written.
#![no_main]

use std::sync::Once;

use gauntlet_facts::{Limits, exercise, read};
use libfuzzer_sys::fuzz_target;

/// The reader of Parquet panics on some damage, and our reader catches that; the fuzzer's hook would end the process before.
static QUIET: Once = Once::new();

fuzz_target!(|data: &[u8]| {
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    let limits = Limits { table_bytes: 64 << 20, ..Limits::default() };
    if let Some(written) = exercise(data, &limits) {
        assert_eq!(read(data.to_vec(), &limits).ok(), read(written, &limits).ok(), "facts do not survive");
    }
});
