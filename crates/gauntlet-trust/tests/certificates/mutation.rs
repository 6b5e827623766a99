//! Mutated certificates and time stamps: never a panic, never a hang, never taken for something else.

use gauntlet_trust::timestamp::{self, Authorities};
use gauntlet_trust::x509::{Certificate, Purpose};

use crate::pki::{Authority, at, roots};
use crate::tsa::{Tsa, Twist};

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    /// Truncates, flips, splices or doubles a part.
    fn mutate(&mut self, seed: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            match self.below(6) {
                0 => bytes.truncate(at.max(1)),
                1..=3 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                4 => {
                    let from = self.below(other.len());
                    let to = (from + self.below(40)).min(other.len());
                    bytes.splice(at..at, other[from..to].iter().copied());
                }
                _ => {
                    let part = bytes[at..(at + 30).min(bytes.len())].to_vec();
                    bytes.extend(part);
                }
            }
        }
        bytes
    }
}

#[test]
fn a_mutated_certificate_is_the_same_or_not_trusted() {
    let root = Authority::root("root", |_| {});
    let between = root.below("between", |_| {});
    let (leaf, _) = between.leaf("leaf", |_| {});
    let trusted = roots(&[&root]);
    let mut random = Random(0x1357_9bdf_0246_8ace);
    let mut read = 0;
    for _ in 0..3_000 {
        let leaf_bytes = random.mutate(leaf.der(), between.certificate.der());
        if let Ok(mutated) = Certificate::from_der(&leaf_bytes) {
            read += 1;
            let _ = (
                mutated.subject(),
                mutated.alt_names(),
                mutated.public_key(),
                mutated.not_after(),
                format!("{mutated:?}"),
            );
            let held = trusted.verify(
                &mutated,
                std::slice::from_ref(&between.certificate),
                Purpose::ModelSigning,
                at("2030-01-01"),
            );
            assert!(held.is_err() || mutated == leaf, "{mutated:?}");
        }
        let between_bytes = random.mutate(between.certificate.der(), leaf.der());
        if let Ok(mutated) = Certificate::from_der(&between_bytes) {
            let held = trusted.verify(&leaf, std::slice::from_ref(&mutated), Purpose::ModelSigning, at("2030-01-01"));
            assert!(held.is_err() || mutated == between.certificate, "{mutated:?}");
        }
    }
    assert!(read > 100, "only {read} mutations could still be read");
}

#[test]
fn a_mutated_time_stamp_says_the_same_or_does_not_count() {
    let root = Authority::root("stamps", |_| {});
    let tsa = Tsa::new(&root);
    let authorities = Authorities::new(vec![root.certificate.clone()]).unwrap();
    let token = tsa.answer(b"message", "20300101000000Z", None, Twist::None);
    let right = timestamp::verify(&token, b"message", &authorities).unwrap();
    let other = tsa.answer(b"other", "20310101000000Z", Some(&[1, 2, 3]), Twist::NoCertificates);
    let mut random = Random(0x0f1e_2d3c_4b5a_6978);
    let mut held = 0;
    for _ in 0..6_000 {
        if let Ok(stamp) = timestamp::verify(&random.mutate(&token, &other), b"message", &authorities) {
            assert_eq!(stamp, right);
            held += 1;
        }
    }
    assert!(held < 1_200, "{held} of 6000: little outside of what is signed may change");
}

#[test]
fn a_token_made_of_small_parts_is_refused_at_once() {
    use crate::tsa::tlv;
    // As many members as fit, in the order that is worst for a reader who sorts them.
    let many: Vec<u8> = (0..20_000u32).rev().flat_map(|i| [0x04, 0x01, (i % 256).to_le_bytes()[0]]).collect();
    let authorities = Authorities::default();
    for seed in [many.clone(), tlv(0x30, &[&many]), tlv(0x31, &[&many])] {
        for tag in [0x30, 0x31, 0xa0] {
            assert!(timestamp::verify(&tlv(tag, &[&seed]), b"", &authorities).is_err());
        }
    }
    assert!(timestamp::verify(&vec![0x30; 1 << 20], b"", &authorities).is_err());
    let mut nested = Vec::new();
    for _ in 0..10_000 {
        nested = if nested.len() > 60_000 { break } else { tlv(0x30, &[&nested]) };
    }
    assert!(timestamp::verify(&nested, b"", &authorities).is_err());
}
