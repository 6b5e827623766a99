//! Bytes as attestations of others, as tags, and as an image signature: nobody is believed whom nobody trusts.
#![no_main]

use std::sync::LazyLock;

use gauntlet_core::Digest;
use gauntlet_trust::attestation::{SignerTrust, cosign, read, read_tags};
use gauntlet_trust::keys::{KeyKind, SigningKey, VerifyingKey};
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<VerifyingKey> =
    LazyLock::new(|| SigningKey::generate(KeyKind::Ed25519).expect("a key").verifying_key().clone());

fuzz_target!(|data: &[u8]| {
    let trust = SignerTrust { keys: vec![KEY.clone()], sigstore: None };
    let at = jiff::Timestamp::from_second(1_800_000_000).expect("a time");
    let tags = read_tags(data).map(|tags| tags.attestations.into_iter().map(|(_, found)| found).collect());
    for found in [read(data), tags].into_iter().flatten().flatten() {
        let _ = found.unverified_envelope();
        assert!(found.verify(&trust, at).is_err(), "a key that signed nothing");
    }
    assert!(cosign::verify(data, "AAAA", &trust.keys, &Digest::sha256(b"image")).is_err());
});
