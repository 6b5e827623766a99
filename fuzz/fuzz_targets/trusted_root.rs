//! Bytes as a trusted root: read or refused, in bounded time.
#![no_main]

use gauntlet_trust::sigstore::TrustedRoot;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(root) = TrustedRoot::parse(data) {
        let _ = (root.names_logs(), root.names_certificate_logs());
    }
});
