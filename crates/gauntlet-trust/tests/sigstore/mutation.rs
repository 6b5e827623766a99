//! Thousands of damaged bundles, trusted roots and attestations: an answer each time, and never the wrong yes.

use gauntlet_trust::attestation::{read, read_tags};
use gauntlet_trust::sigstore::{Bundle, TrustedRoot};

use crate::common::{cases, folder};

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end.max(1)
    }

    fn damage(&mut self, seed: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        let at = self.below(bytes.len());
        match self.below(4) {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << self.below(8),
            2 => bytes[at] = b"0123456789abcdef{}[]\",:"[self.below(23)],
            _ => {
                let from = self.below(other.len());
                let to = from + self.below(200).min(other.len() - from);
                bytes.splice(at..at, other[from..to].iter().copied());
            }
        }
        bytes
    }
}

#[test]
fn no_damaged_bundle_holds_unless_it_says_the_same() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let genuine: Vec<_> = cases().into_iter().filter(|case| case.reasons.is_empty()).map(|case| case.load()).collect();
    let texts: Vec<Vec<u8>> = genuine.iter().map(|one| serde_json::to_vec(&one.bundle).unwrap()).collect();
    let mut parsed = 0;
    for round in 0..genuine.len() * 25 {
        let (judged, seed) = (&genuine[round % genuine.len()], &texts[round % genuine.len()]);
        let other = random.below(texts.len());
        let bytes = random.damage(seed, &texts[other]);
        let Ok(bundle) = Bundle::parse(&bytes) else { continue };
        parsed += 1;
        let mut damaged = judged.clone();
        damaged.bundle = serde_json::from_slice(&bytes).unwrap();
        // The digest that stands for an absent artifact is the genuine one.
        if damaged.artifact.is_none() && damaged.bundle.pointer("/messageSignature").is_some() {
            damaged.bundle["messageSignature"]["messageDigest"] =
                judged.bundle["messageSignature"]["messageDigest"].clone();
        }
        if damaged.verify().is_ok() {
            // What holds has the payload, the signature and the certificate of the genuine one.
            let there = Bundle::parse(&texts[round % genuine.len()]).unwrap();
            assert_eq!(
                bundle.envelope().map(|e| e.unverified_payload()),
                there.envelope().map(|e| e.unverified_payload())
            );
            assert_eq!(bundle.certificate(), there.certificate());
        }
    }
    assert!(parsed > 40, "only {parsed} could be parsed");
}

#[test]
fn damaged_trusted_roots_and_attestations_are_answered() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let roots: Vec<Vec<u8>> = ["public-good", "staging"]
        .iter()
        .map(|name| std::fs::read(folder().join(format!("roots/{name}.json"))).unwrap())
        .collect();
    let lists = crate::attestations::files();
    for round in 0..400 {
        let _ = TrustedRoot::parse(&random.damage(&roots[round % 2], &roots[(round + 1) % 2]));
        let list = random.damage(&lists[round % 3], &lists[(round + 1) % 3]);
        let _ = (read(&list), read_tags(&list));
    }
}
