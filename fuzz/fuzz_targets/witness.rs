//! Bytes as a request to a witness: one spelling, and no cosignature for what the log did not sign.
#![no_main]

use std::sync::LazyLock;

use gauntlet_ledger::note::{SignerKey, VerifierKey};
use gauntlet_ledger::witness::{AddCheckpoint, Witness};
use libfuzzer_sys::fuzz_target;

/// A test key; it signs nothing but the answers of this target.
const PEM: &str = concat!(
    "-----BEGIN PRIV", "ATE KEY-----\nMC4CAQAwBQYDK2VwBCIEICoqKioqKioqKioqKioqKioqKioqKioqKioqKioqKioq\n-----END PRIV", "ATE KEY-----\n"
);

/// A witness of the vectors' log, and the texts that this log signed.
static WITNESS: LazyLock<(Witness, Vec<String>)> = LazyLock::new(|| {
    let vectors = include_bytes!("../../testdata/vectors/tlog/vectors.json");
    let vectors: serde_json::Value = serde_json::from_slice(vectors).expect("vectors are JSON");
    let log = VerifierKey::parse(vectors["log_vkey"].as_str().expect("a text")).expect("a key");
    let notes = vectors["checkpoints"].as_object().expect("checkpoints").values();
    let texts = notes.map(|note| note.as_str().expect("a text").split("\n\n").next().expect("a text").to_owned() + "\n");
    let state = std::env::temp_dir().join(format!("gauntlet-fuzz-witness-{}", std::process::id()));
    let key = SignerKey::from_pem("witness.example/fuzz", PEM).expect("a key");
    (Witness::open(key, vec![log], &state).expect("a witness"), texts.collect())
});

fuzz_target!(|data: &[u8]| {
    let (witness, signed) = &*WITNESS;
    let request = AddCheckpoint::parse(data);
    if let Ok(request) = &request {
        assert_eq!(request.to_string().as_bytes(), data);
    }
    let answer = witness.add_checkpoint(data, 1);
    assert!(matches!(answer.status, 200 | 400 | 403 | 404 | 409 | 422), "{answer:?}");
    if answer.status == 200 {
        assert!(signed.contains(&request.expect("a request").checkpoint.text()), "a text that the log never signed");
    }
});
