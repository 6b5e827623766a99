//! Bytes as an evidence bundle: one spelling, and nothing unsigned convinces.
#![no_main]

use std::sync::LazyLock;

use gauntlet_ledger::bundle::Bundle;
use gauntlet_ledger::note::VerifierKey;
use libfuzzer_sys::fuzz_target;

/// The key of the vectors. None of its entries is a record, so no entry can be proven under it.
static LOG: LazyLock<VerifierKey> = LazyLock::new(|| {
    let vectors = include_bytes!("../../testdata/vectors/tlog/vectors.json");
    let vectors: serde_json::Value = serde_json::from_slice(vectors).expect("vectors are JSON");
    VerifierKey::parse(vectors["log_vkey"].as_str().expect("a text")).expect("a key")
});

fuzz_target!(|data: &[u8]| {
    let Ok(bundle) = Bundle::parse(data) else { return };
    assert_eq!(bundle.to_bytes().expect("what is read is written"), data);
    let (verified, _) = bundle.verify_logs(std::slice::from_ref(&*LOG), &[]);
    assert!(verified.iter().all(|log| log.entries.is_empty()), "an entry that the log never had");
});
