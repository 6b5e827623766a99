//! Bytes as a time stamp: it counts only with what a genuine one says.
#![no_main]

use std::sync::LazyLock;

use gauntlet_trust::timestamp::{self, Authorities, Stamp};
use gauntlet_trust::x509::Certificate;
use libfuzzer_sys::fuzz_target;

const MESSAGE: &[u8] = include_bytes!("../../testdata/timestamp/message.bin");

static KNOWN: LazyLock<(Authorities, Vec<Stamp>)> = LazyLock::new(|| {
    let mut certificates = Vec::new();
    for pem in [
        include_bytes!("../../testdata/timestamp/root.pem").as_slice(),
        include_bytes!("../../testdata/timestamp/tsa-p256.pem"),
    ] {
        certificates.extend(Certificate::all_from_pem(pem).expect("a certificate"));
    }
    let authorities = Authorities::new(certificates).expect("an authority");
    let stamps = [
        include_bytes!("../../testdata/timestamp/p256.tsr").as_slice(),
        include_bytes!("../../testdata/timestamp/p384.tsr"),
        include_bytes!("../../testdata/timestamp/rsa.tsr"),
        include_bytes!("../../testdata/timestamp/bare.tsr"),
    ];
    let stamps = stamps.map(|token| timestamp::verify(token, MESSAGE, &authorities).expect("a genuine stamp"));
    (authorities, stamps.to_vec())
});

fuzz_target!(|data: &[u8]| {
    if let Ok(stamp) = timestamp::verify(data, MESSAGE, &KNOWN.0) {
        assert!(KNOWN.1.contains(&stamp), "a stamp that nobody gave");
    }
    let _ = timestamp::verify(data, data, &KNOWN.0);
});
