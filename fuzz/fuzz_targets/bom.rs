//! Bytes as a CycloneDX document: two readings agree, and every digest that comes out is one.
#![no_main]

use gauntlet_trust::bom::read;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(summary) = read(data) {
        assert_eq!(read(data).ok().as_ref(), Some(&summary));
        for component in summary.components.iter().chain(&summary.subject) {
            assert!(component.sha256.iter().all(|digest| digest.hex().len() == 64));
        }
    }
});
