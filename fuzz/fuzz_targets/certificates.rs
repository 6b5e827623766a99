//! Bytes as certificates, in DER and PEM: a chain holds only with the certificates that the authorities of the vectors made.
#![no_main]

use std::sync::LazyLock;

use gauntlet_trust::x509::{Certificate, Purpose, Roots};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

struct Known {
    between: Vec<Certificate>,
    issued: Vec<Certificate>,
    roots: Roots,
    at: Timestamp,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let read = |pem: &[u8]| Certificate::all_from_pem(pem).expect("a certificate");
    let between = read(include_bytes!("../../testdata/vectors/oms/keys/intermediate.crt.pem"));
    let mut issued = between.clone();
    for leaf in [
        include_bytes!("../../testdata/vectors/oms/keys/leaf.crt.pem").as_slice(),
        include_bytes!("../../testdata/vectors/oms/keys/leaf-eku-only.crt.pem"),
        include_bytes!("../../testdata/vectors/oms/keys/leaf-no-sign-usage.crt.pem"),
    ] {
        issued.extend(read(leaf));
    }
    let roots = read(include_bytes!("../../testdata/vectors/oms/keys/root.crt.pem"));
    let at = "2027-01-01T00:00:00Z".parse().expect("a time");
    Known { between, issued, roots: Roots::new(roots).expect("an authority"), at }
});

fuzz_target!(|data: &[u8]| {
    let all = match Certificate::from_der(data) {
        Ok(one) => vec![one],
        Err(_) => Certificate::all_from_pem(data).unwrap_or_default(),
    };
    let Some((leaf, rest)) = all.split_first() else { return };
    let _ = (leaf.subject(), leaf.issuer(), leaf.alt_names(), leaf.public_key(), leaf.not_after(), format!("{leaf:?}"));
    assert_eq!(Certificate::from_der(leaf.der()).as_ref().ok(), Some(leaf));
    assert_eq!(Certificate::all_from_pem(leaf.to_pem().as_bytes()).ok().as_deref(), Some(std::slice::from_ref(leaf)));
    let between: Vec<Certificate> = rest.iter().take(8).chain(&KNOWN.between).cloned().collect();
    for purpose in [Purpose::ModelSigning, Purpose::CodeSigning, Purpose::TimeStamping] {
        if let Ok(chain) = KNOWN.roots.verify(leaf, &between, purpose, KNOWN.at) {
            let ends = chain.certificates().iter().rev().skip(1);
            assert!(ends.clone().all(|one| KNOWN.issued.contains(one)), "a certificate that nobody issued");
        }
    }
});
