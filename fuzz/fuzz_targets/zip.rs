//! Bytes as a zip file: every member is read under every reading, strictly and leniently, within its budget.
#![no_main]

use std::io::{copy, sink};

use gauntlet_archive::{Trust, Zip};
use gauntlet_fuzz::budget;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let source = data.to_vec();
    for trust in [Trust::Strict, Trust::Lenient] {
        let budget = budget();
        let Ok(zip) = Zip::read(&source, &budget) else { return };
        assert!(zip.members().len() as u64 <= budget.limits().members, "more members than the limit");
        let mut produced = 0;
        for member in zip.members() {
            let _ = (member.display_name(), member.is_folder());
            for reading in member.readings() {
                let Ok(mut stream) = reading.open(&source, &budget, trust) else { continue };
                // A broken member does not keep the others from being read.
                produced += copy(&mut stream, &mut sink()).unwrap_or(0);
                let _ = (stream.crc_holds(), stream.size_holds(), stream.stored_offset());
            }
        }
        assert!(produced <= budget.limits().expanded_bytes, "more bytes came out than the limit allows");
    }
});
