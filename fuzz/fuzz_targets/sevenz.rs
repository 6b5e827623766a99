//! Bytes as a 7z archive: every entry is read to its end or its error, within its budget.
#![no_main]

use std::io::{copy, sink};

use gauntlet_archive::SevenZip;
use gauntlet_fuzz::budget;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let source = data.to_vec();
    let budget = budget();
    let Ok(mut archive) = SevenZip::read(&source, &budget) else { return };
    assert!(archive.len() as u64 <= budget.limits().members, "more entries than the limit");
    let mut produced = 0;
    archive.visit(|_, data| {
        if let Ok(Some(data)) = data {
            produced += copy(data, &mut sink()).unwrap_or(0);
            let _ = data.crc_holds();
        }
        true
    });
    assert!(produced <= budget.limits().expanded_bytes, "more bytes came out than the limit allows");
});
