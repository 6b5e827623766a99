//! Bytes as a Sigstore bundle: nothing but the genuine ones is ever believed.
#![no_main]

use std::sync::LazyLock;

use gauntlet_trust::sigstore::{Bundle, Identity, Material, TrustedRoot, Who, verify};
use libfuzzer_sys::fuzz_target;

static ROOTS: LazyLock<Vec<TrustedRoot>> = LazyLock::new(|| {
    let public = include_bytes!("../../testdata/sigstore/roots/public-good.json");
    let staging = include_bytes!("../../testdata/sigstore/roots/staging.json");
    [public.as_slice(), staging].iter().map(|root| TrustedRoot::parse(root).expect("a trusted root")).collect()
});

fuzz_target!(|data: &[u8]| {
    let Ok(bundle) = Bundle::parse(data) else { return };
    let _ = bundle.signer();
    let artifact = bundle.hash(b"an artifact that nobody signed".as_slice(), None).expect("memory is readable");
    let who = Who::Identity(Identity::matching(".*", "https://nobody.example").expect("an identity"));
    let at = jiff::Timestamp::from_second(1_800_000_000).expect("a time");
    for root in ROOTS.iter() {
        for material in [Material::Artifact(&artifact), Material::Envelope] {
            assert!(verify(&bundle, root, &who, material, at).is_err(), "an identity that nobody has");
        }
    }
});
