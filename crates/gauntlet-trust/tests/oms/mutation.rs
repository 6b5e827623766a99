//! Mutated bundles: never a panic, never a hang, and never a pass unless the signed bytes are untouched.

use std::num::NonZeroUsize;

use gauntlet_core::Verdict;
use gauntlet_trust::dsse::Envelope;
use gauntlet_trust::keys::SigningKey;
use gauntlet_trust::oms::{self, SignOptions, Trust, VerifyOptions};
use serde_json::{Value, json};

use crate::common::{copy_model, private_key, read};

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
            match self.below(5) {
                0 => bytes.truncate(at.max(1)),
                1 | 2 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                3 => {
                    let from = self.below(other.len());
                    let to = (from + self.below(60)).min(other.len());
                    bytes.splice(at..at, other[from..to].iter().copied());
                }
                _ => {
                    let part = bytes[at..(at + 40).min(bytes.len())].to_vec();
                    bytes.extend(part);
                }
            }
        }
        bytes
    }
}

fn payload_of(bundle: &[u8]) -> Option<Vec<u8>> {
    let bundle: Value = serde_json::from_slice(bundle).ok()?;
    let envelope = serde_json::to_vec(&bundle["dsseEnvelope"]).ok()?;
    Some(Envelope::parse(&envelope).ok()?.unverified_payload().to_vec())
}

#[test]
fn a_mutated_bundle_passes_only_with_untouched_signed_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let model = copy_model("models/mini", folder.path());
    let key = private_key("keys/p256.key.pem");
    let seed = oms::sign(&model, &key, &SignOptions::default()).unwrap().bundle;
    let other = read("bundles/ref-cert-chain.sig");
    let trust = Trust::Keys(vec![key.verifying_key().clone()]);
    let mut random = Random(0x1234_5678_9abc_def1);
    let mut passes = 0;
    for _ in 0..3_000 {
        let mutated = random.mutate(&seed, &other);
        let _ = oms::claims(&mutated);
        let found = oms::verify(&model, &mutated, &trust, &VerifyOptions::default());
        if found.verdict == Verdict::Pass {
            assert_eq!(payload_of(&mutated), payload_of(&seed));
            passes += 1;
        }
    }
    assert!(passes < 600, "{passes} of 3000: hints and unknown members may change, little else");
}

/// A signer that we trust may still be broken or hostile: its statements are mutated and then signed properly.
#[test]
fn a_mutated_statement_that_is_signed_passes_only_when_it_still_describes_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let model = copy_model("models/mini", folder.path());
    let key = private_key("keys/p256.key.pem");
    let seed = oms::sign(&model, &key, &SignOptions::default()).unwrap().bundle;
    let payload = payload_of(&seed).unwrap();
    let trust = Trust::Keys(vec![key.verifying_key().clone()]);
    let mut random = Random(0x0bad_cafe_1234_5679);
    for _ in 0..400 {
        let mutated = random.mutate(&payload, &payload);
        let found = oms::verify(&model, &resigned(&seed, &mutated, &key), &trust, &VerifyOptions::default());
        if found.verdict == Verdict::Pass {
            let statement: Value = serde_json::from_slice(&mutated).unwrap();
            let original: Value = serde_json::from_slice(&payload).unwrap();
            let digests = |v: &Value| {
                let all = v["predicate"]["resources"].as_array().unwrap();
                all.iter().map(|r| r["digest"].as_str().unwrap().to_lowercase()).collect::<Vec<_>>()
            };
            assert_eq!(digests(&statement), digests(&original));
        }
    }
}

#[test]
fn fifty_thousand_resources_are_all_judged() {
    let folder = tempfile::tempdir().unwrap();
    let model = copy_model("models/mini", folder.path());
    let key = private_key("keys/p256.key.pem");
    let seed = oms::sign(&model, &key, &SignOptions::default()).unwrap().bundle;
    let mut statement: Value = serde_json::from_slice(&payload_of(&seed).unwrap()).unwrap();
    let digest = "ab".repeat(32);
    let resource = |i: usize| json!({"name": format!("f{i}"), "algorithm": "sha256", "digest": digest});
    statement["predicate"]["resources"] = (0..50_000).map(resource).collect();
    let bundle = resigned(&seed, &serde_json::to_vec(&statement).unwrap(), &key);
    let trust = Trust::Keys(vec![key.verifying_key().clone()]);
    let found = oms::verify(&model, &bundle, &trust, &VerifyOptions::default());
    assert_eq!(found.verdict, Verdict::Fail);
    assert_eq!(found.reasons.len(), 50_000 + 3 + 1, "each missing, three unexpected, the root digest");
}

fn resigned(bundle: &[u8], payload: &[u8], key: &SigningKey) -> Vec<u8> {
    let mut bundle: Value = serde_json::from_slice(bundle).unwrap();
    let envelope = Envelope::sign(gauntlet_trust::dsse::IN_TOTO, payload.to_vec(), &[key]).unwrap();
    assert!(envelope.verify(std::slice::from_ref(key.verifying_key()), NonZeroUsize::MIN).is_ok());
    bundle["dsseEnvelope"] = serde_json::from_slice(&envelope.to_json()).unwrap();
    serde_json::to_vec(&bundle).unwrap()
}
