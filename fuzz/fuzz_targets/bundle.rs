//! Bytes as the signature file of a model: it passes only with a statement that the signers of the vectors signed.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use gauntlet_core::Verdict;
use gauntlet_trust::dsse::Envelope;
use gauntlet_trust::keys::VerifyingKey;
use gauntlet_trust::oms::{self, CertificateTrust, Trust, VerifyOptions};
use gauntlet_trust::x509::{Certificate, Roots};
use libfuzzer_sys::fuzz_target;

struct Known {
    model: PathBuf,
    trust: Vec<Trust>,
    payloads: Vec<Vec<u8>>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/vectors/oms");
    let read = |name: &str| std::fs::read(vectors.join(name)).expect("a file of the vectors");
    let key = String::from_utf8(read("keys/p256.pub.pem")).expect("PEM");
    let roots = Certificate::all_from_pem(&read("keys/root.crt.pem")).expect("a certificate");
    let certificates = CertificateTrust {
        roots: Roots::new(roots).expect("an authority"),
        time_stamping: None,
        at: "2027-01-01T00:00:00Z".parse().expect("a time"),
        known_at: None,
    };
    let bundles = std::fs::read_dir(vectors.join("bundles")).expect("bundles");
    let payload = |entry: std::io::Result<std::fs::DirEntry>| payload(&std::fs::read(entry.ok()?.path()).ok()?);
    Known {
        model: vectors.join("models/mini"),
        trust: vec![
            Trust::Keys(vec![VerifyingKey::from_pem(&key).expect("a key")]),
            Trust::Certificates(certificates),
        ],
        payloads: bundles.filter_map(payload).collect(),
    }
});

fn payload(bundle: &[u8]) -> Option<Vec<u8>> {
    let bundle: serde_json::Value = serde_json::from_slice(bundle).ok()?;
    let envelope = serde_json::to_vec(bundle.get("dsseEnvelope")?).ok()?;
    Some(Envelope::parse(&envelope).ok()?.unverified_payload().to_vec())
}

fuzz_target!(|data: &[u8]| {
    let _ = oms::claims(data);
    let found = oms::verify_any(&KNOWN.model, data, &KNOWN.trust, &VerifyOptions::default());
    assert_eq!(found.verdict == Verdict::Pass, found.reasons.is_empty());
    if found.verdict == Verdict::Pass {
        let payload = payload(data).expect("what passes has a payload");
        assert!(KNOWN.payloads.contains(&payload), "a statement that nobody signed");
    }
});
