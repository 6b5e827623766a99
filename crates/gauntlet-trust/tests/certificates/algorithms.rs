//! Chains that OpenSSL made, in every algorithm.

use std::path::Path;

use gauntlet_trust::x509::{Certificate, ChainError, Purpose, Roots, read_certificates};

use crate::pki::at;

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/x509")
}

fn verify(leaf: &Certificate, root: &Certificate) -> Result<(), ChainError> {
    let roots = Roots::new(vec![root.clone()]).unwrap();
    roots.verify(leaf, &[], Purpose::CodeSigning, at("2027-06-01")).map(drop)
}

#[test]
fn every_algorithm_holds_and_its_damaged_twin_does_not() {
    let mut held = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".pem") {
            continue;
        }
        let all = read_certificates(&path).unwrap();
        let [leaf, root] = all.as_slice() else { panic!("{name} holds a leaf and its root") };
        if name.starts_with("refused-") {
            assert!(matches!(verify(leaf, root), Err(ChainError::Untrusted(_))), "{name}");
            continue;
        }
        verify(leaf, root).unwrap_or_else(|e| panic!("{name}: {e}"));
        held += 1;
        // The last bytes are the signature's, whatever the algorithm.
        let mut bytes = leaf.der().to_vec();
        let last = bytes.len() - 3;
        bytes[last] ^= 4;
        if let Ok(damaged) = Certificate::from_der(&bytes) {
            assert!(matches!(verify(&damaged, root), Err(ChainError::Untrusted(_))), "{name}");
        }
        // The serial number is signed, too.
        let mut bytes = leaf.der().to_vec();
        let serial = bytes.windows(3).position(|w| w == [2, 1, 7]).unwrap();
        bytes[serial + 2] = 8;
        let changed = Certificate::from_der(&bytes).unwrap();
        assert!(matches!(verify(&changed, root), Err(ChainError::Untrusted(_))), "{name}");
    }
    assert_eq!(held, 16);
}
