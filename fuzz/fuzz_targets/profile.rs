//! Bytes as a stored profile: read or refused, and what was read answers every question and survives being written.
#![no_main]

use gauntlet_sketch::Profile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // A checksum that fits lets the fuzzer reach what stands behind it.
    let sealed = Profile::seal(data);
    for bytes in [data, sealed.as_slice()] {
        let Ok(profile) = Profile::from_bytes(bytes) else { continue };
        let _json = profile.canonical_json();
        for column in &profile.columns {
            let sketch = &column.sketch;
            let _answers = (sketch.quantile(0.5), sketch.top(), sketch.range(), sketch.text(), sketch.moments());
        }
        let written = profile.to_bytes();
        let again = Profile::from_bytes(&written).map(|profile| profile.to_bytes());
        assert_eq!(again.as_ref(), Ok(&written), "a profile does not survive");
    }
});
