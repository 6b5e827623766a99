use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::{KnownVersions, MemoryError};
use super::*;
use crate::keys::{KeyKind, SigningKey};

fn keys(n: usize) -> Vec<SigningKey> {
    (0..n).map(|_| SigningKey::generate(KeyKind::Ed25519).unwrap()).collect()
}

fn signing<'a>(keys: &[&'a SigningKey]) -> Vec<&'a dyn Signer> {
    keys.iter().map(|key| *key as &dyn Signer).collect()
}

/// A text whose root is `threshold` of `root`.
fn text(number: u64, previous: Option<&[u8]>, threshold: usize, root: &[&SigningKey]) -> Vec<u8> {
    let mut text = format!("version: 1\nname: acme\nversion_number: {number}\n");
    if let Some(previous) = previous {
        text += &format!("previous: {}\n", Digest::sha256(previous));
    }
    text += &format!("root:\n  threshold: {threshold}\n  keys:\n");
    for key in root {
        let pem = key.verifying_key().to_pem().unwrap();
        text += &format!("  - |\n    {}\n", pem.trim_end().replace('\n', "\n    "));
    }
    text.into_bytes()
}

fn verify(bundle: &PolicyBundle, trusted: &[&SigningKey]) -> Result<VerifiedPolicy, String> {
    let trusted: Vec<VerifyingKey> = trusted.iter().map(|key| key.verifying_key().clone()).collect();
    bundle.verify("trust.bundle", &trusted, &["baseline"]).map_err(|error| error.to_string())
}

#[test]
fn the_exact_text_comes_back_with_who_signed() {
    let [a, b] = &keys(2)[..] else { panic!() };
    let first = text(1, None, 1, &[a, b]);
    let bundle = PolicyBundle::sign(&first, None, &[a]).unwrap();
    let bytes = bundle.to_bytes();
    assert!(PolicyBundle::is_meant(&bytes) && !PolicyBundle::is_meant(&first));
    let read = PolicyBundle::parse(&bytes).unwrap();
    assert_eq!((&read, read.unverified_text()), (&bundle, first.as_slice()));
    let verified = verify(&read, &[a]).unwrap();
    assert_eq!((verified.version_number, &verified.signers), (1, &vec![a.key_id()]));
    assert_eq!(verified.policy.digest, Digest::sha256(&first), "signed or not, the policy has the same name");
    assert!(verify(&read, &[b]).unwrap_err().contains("signed by every trust-root key"));
    assert!(verify(&read, &[a, b]).unwrap_err().contains("signed by every trust-root key"));
    assert!(verify(&read, &[]).unwrap_err().contains("cannot vouch for itself"));
}

#[test]
fn a_successor_needs_the_thresholds_of_both_roots() {
    let [a, b, c, d] = &keys(4)[..] else { panic!() };
    let first = text(1, None, 2, &[a, b, c]);
    let v1 = PolicyBundle::sign(&first, None, &[a, b]).unwrap();
    let second = text(2, Some(&first), 1, &[d]);
    // By signer: what is still missing, as (of the predecessor's root, found, needed).
    for (signers, missing) in [
        (vec![d], vec![(true, 0, 2)]),
        (vec![d, a], vec![(true, 1, 2)]),
        (vec![d, a, a], vec![(true, 1, 2)]),
        (vec![a, b], vec![(false, 0, 1)]),
        (vec![a, c, d], vec![]),
    ] {
        let v2 = PolicyBundle::sign(&second, Some(v1.clone()), &signing(&signers)).unwrap();
        let found: Vec<_> = v2.missing().unwrap().iter().map(|m| (m.of_previous, m.found, m.needed)).collect();
        assert_eq!(found, missing);
        assert_eq!(verify(&v2, &[a]).is_ok(), missing.is_empty(), "{:?}", verify(&v2, &[a]));
    }
    // One after the other, at different machines.
    let mut v2 = PolicyBundle::sign(&second, Some(v1), &[d]).unwrap();
    v2.sign_also(&[b]).unwrap();
    v2.sign_also(&[c]).unwrap();
    let verified = verify(&PolicyBundle::parse(&v2.to_bytes()).unwrap(), &[b]).unwrap();
    assert_eq!((verified.version_number, verified.signers), (2, vec![d.key_id()]));
    assert!(matches!(v2.sign_also(&[&keys(1)[0]]), Err(BundleError::NotARootKey(_))));
    // Whoever trusts the new root only can start there.
    assert!(verify(&v2, &[d]).is_ok());
}

#[test]
fn a_chain_that_does_not_fit_is_refused() {
    let [a, b] = &keys(2)[..] else { panic!() };
    let first = text(1, None, 1, &[a]);
    let v1 = PolicyBundle::sign(&first, None, &[a]).unwrap();
    for (successor, expected) in [
        (text(3, Some(&first), 1, &[a]), "where 2 follows"),
        (text(2, Some(b"other"), 1, &[a]), "does not name the text before it"),
        (
            String::from_utf8(text(2, Some(&first), 1, &[a])).unwrap().replace("acme", "evil").into_bytes(),
            "its predecessor of `acme`",
        ),
        (b"version: 1\nname: acme\n".to_vec(), "no `version_number`"),
        (b"version: 1\nname: acme\nversion_number: x\n".to_vec(), "invalid u64"),
        (
            format!("version: 1\nname: acme\nversion_number: 2\nprevious: {}\n", Digest::sha256(&first)).into_bytes(),
            "under `root`",
        ),
    ] {
        let error = PolicyBundle::sign(&successor, Some(v1.clone()), &[a]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        // A chain that somebody else put together is refused by whoever reads it.
        let link = Envelope::sign(PAYLOAD_TYPE, successor, &[a]).unwrap();
        let forged = PolicyBundle { links: [v1.links.clone(), vec![link]].concat() };
        assert!(verify(&forged, &[a]).unwrap_err().contains(expected));
    }
    // The middle of a chain, and one that was cut at its beginning.
    let second = text(2, Some(&first), 1, &[a]);
    let v2 = PolicyBundle::sign(&second, Some(v1.clone()), &[a]).unwrap();
    let cut = PolicyBundle { links: v2.links[1..].to_vec() };
    assert!(verify(&cut, &[a]).unwrap_err().contains("predecessors are missing"));
    assert!(matches!(PolicyBundle::sign(&first, None, &[b]), Err(BundleError::NotARootKey(_))));
    let stranger = Envelope::sign("text/plain", first, &[a]).unwrap().to_json();
    assert!(PolicyBundle::parse(&stranger).unwrap_err().to_string().contains("payload type"));
    assert!(PolicyBundle::parse(b"").is_err());
}

#[test]
fn an_older_or_another_history_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let memory = KnownVersions::new(folder.path());
    let [a, b] = &keys(2)[..] else { panic!() };
    let first = text(1, None, 1, &[a]);
    let v1 = PolicyBundle::sign(&first, None, &[a]).unwrap();
    let v2 = PolicyBundle::sign(&text(2, Some(&first), 1, &[b]), Some(v1.clone()), &[a, b]).unwrap();
    let admit = |bundle: &PolicyBundle| memory.admit(&verify(bundle, &[a]).unwrap());
    admit(&v1).unwrap();
    admit(&v2).unwrap();
    admit(&v2).unwrap();
    assert!(matches!(admit(&v1), Err(MemoryError::RolledBack { found: 1, known: 2, .. })));
    // The old key can still sign another second text; here the right one was seen.
    let forked = PolicyBundle::sign(&text(2, Some(&first), 1, &[a]), Some(v1.clone()), &[a]).unwrap();
    let refused = admit(&forked).unwrap_err();
    assert!(matches!(refused, MemoryError::Forked { number: 2, .. }) && refused.is_refusal());
    let third = text(3, Some(forked.unverified_text()), 1, &[a]);
    let longer = PolicyBundle::sign(&third, Some(forked), &[a]).unwrap();
    assert!(matches!(admit(&longer), Err(MemoryError::Forked { number: 2, .. })));
    // What cannot be read cannot be compared.
    let mut file = std::fs::read_dir(folder.path().join("trust-policies")).unwrap().map(|e| e.unwrap().path());
    let file = file.find(|path| path.extension().is_some_and(|e| e == "json")).unwrap();
    std::fs::write(file, b"{}").unwrap();
    let damaged = admit(&v2).unwrap_err();
    assert!(matches!(damaged, MemoryError::Damaged { .. }) && !damaged.is_refusal());
}

#[test]
fn no_damaged_bundle_verifies_as_something_else() {
    let [a, b] = &keys(2)[..] else { panic!() };
    let first = text(1, None, 1, &[a]);
    let v1 = PolicyBundle::sign(&first, None, &[a]).unwrap();
    let second = text(2, Some(&first), 1, &[b]);
    let seed = PolicyBundle::sign(&second, Some(v1), &[a, b]).unwrap().to_bytes();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap()
    };
    for _ in 0..600 {
        let mut bytes = seed.clone();
        let at = next() % bytes.len();
        match next() % 3 {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << (next() % 8),
            _ => {
                let tail = bytes.split_off(at);
                bytes.extend_from_slice(&seed[next() % seed.len()..]);
                bytes.extend(tail);
            }
        }
        if let Ok(verified) = PolicyBundle::parse(&bytes).map_err(drop).and_then(|b| verify(&b, &[a]).map_err(drop)) {
            assert!([Digest::sha256(&first), Digest::sha256(&second)].contains(&verified.policy.digest));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Chains of random roots and random signers verify exactly when each text has the signatures that both roots ask for.
    #[test]
    fn rotation_follows_the_thresholds(
        steps in proptest::collection::vec((1_usize..3, 1_u8..16, 0_u8..16), 1..5),
    ) {
        let keys = keys(4);
        let of = |mask: u8| -> Vec<&SigningKey> { (0..4).filter(|n| mask & (1 << n) != 0).map(|n| &keys[n]).collect() };
        let mut previous: Option<(Vec<u8>, usize, u8)> = None;
        let mut links = Vec::new();
        let mut expected = true;
        let mut anchor: Option<&SigningKey> = None;
        for (number, (threshold, root, signers)) in (1..).zip(&steps) {
            let threshold = (*threshold).min(root.count_ones() as usize);
            let text = text(number, previous.as_ref().map(|(text, ..)| text.as_slice()), threshold, &of(*root));
            // Somebody always signs, else there is no envelope at all.
            let signers = if *signers == 0 { 1 } else { *signers };
            links.push(Envelope::sign(PAYLOAD_TYPE, text.clone(), &signing(&of(signers))).unwrap());
            expected &= (signers & root).count_ones() as usize >= threshold;
            if let Some((_, threshold, root)) = previous {
                expected &= (signers & root).count_ones() as usize >= threshold;
            }
            anchor = anchor.or(of(signers).first().copied());
            previous = Some((text, threshold, *root));
        }
        let bundle = PolicyBundle { links };
        let outcome = verify(&bundle, &[anchor.unwrap()]);
        prop_assert_eq!(outcome.is_ok(), expected, "{:?}", outcome);
        if let Ok(verified) = outcome {
            let different: BTreeSet<&String> = verified.signers.iter().collect();
            prop_assert_eq!(different.len(), verified.signers.len());
        }
    }
}
