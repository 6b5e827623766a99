//! Bytes as a tar file, compressed or not: every entry is read within the budget.
#![no_main]

use std::io::{copy, sink};

use gauntlet_archive::{Tar, decoder, sniff};
use gauntlet_fuzz::budget;
use gauntlet_limits::{Cursor, Sequential, Stream};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let source = data.to_vec();
    let budget = budget();
    match sniff(&source).filter(|container| container.is_stream()) {
        Some(container) => {
            let Ok(decoder) = decoder(container, Cursor::new(&source, 0), &budget) else { return };
            let produced = drain(Tar::new(Sequential::new(decoder), &budget));
            assert!(produced <= budget.limits().expanded_bytes, "more bytes came out than the limit allows");
        }
        None => {
            let produced = drain(Tar::new(Cursor::new(&source, 0), &budget));
            assert!(produced <= source.len() as u64, "more bytes came out than went in");
        }
    }
});

fn drain(mut tar: Tar<'_, impl Stream>) -> u64 {
    let mut produced = 0;
    while let Ok(Some(_)) = tar.next_entry() {
        match copy(&mut tar.data(), &mut sink()) {
            Ok(bytes) => produced += bytes,
            Err(_) => break,
        }
    }
    produced
}
