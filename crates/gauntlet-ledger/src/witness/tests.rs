use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;

use super::*;
use crate::note::{Note, Signature};
use crate::record::{EnvelopeDigest, Record};
use crate::tree::empty_root;
use crate::{EvidenceStore, Ledger, Options, Place};

fn signer(name: &str, seed: u8) -> SignerKey {
    SignerKey::new(name, SigningKey::from_bytes(&[seed; 32])).unwrap()
}

/// A log with a known key, so that it can be forked.
fn ledger(root: &Path, keys: &[&str]) -> Ledger {
    let place = Place::in_state(&root.join("state"), &root.join("config"));
    let options = Options { origin: Some("log.example/l".into()), ..Options::default() };
    let ledger = Ledger::open_or_create(&place, &options).unwrap();
    let envelope = EvidenceStore::new(&place.evidence).put(b"{}").unwrap();
    for key in keys {
        let record = Record {
            envelope: EnvelopeDigest(envelope),
            key: (*key).to_owned(),
            kind: "report".into(),
            predicate_type: "https://in-toto.io/attestation/test-result/v0.1".into(),
            subject: BTreeMap::from([("sha256".to_owned(), Hash::of(key.as_bytes()).to_string())]),
            time: "2026-01-02T03:04:05Z".into(),
        };
        ledger.append(&[record]).unwrap();
    }
    ledger
}

fn request(ledger: &Ledger, old: u64) -> AddCheckpoint {
    let note = ledger.signed_checkpoint();
    let proof = ledger.prove_consistency(old).unwrap();
    AddCheckpoint { old, proof, checkpoint: ledger.checkpoint(), note }
}

fn status(witness: &Witness, request: &AddCheckpoint) -> u16 {
    witness.add_checkpoint(request.to_string().as_bytes(), 1_700_000_000).status
}

#[test]
fn cosigns_what_continues_and_answers_as_the_specification_says() {
    let root = tempfile::tempdir().unwrap();
    let log = ledger(root.path(), &["a", "b", "c"]);
    let state = root.path().join("witness");
    let witness = Witness::open(signer("witness.example/w", 9), vec![log.verifier_key().clone()], &state).unwrap();

    // 409 with the known size, for a log of which nothing is known yet.
    let early = witness.add_checkpoint(request(&log, 2).to_string().as_bytes(), 1);
    assert_eq!((early.status, early.content_type, early.body.as_str()), (409, "text/x.tlog.size", "0\n"));

    let answer = witness.add_checkpoint(request(&log, 0).to_string().as_bytes(), 1_700_000_000);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let mut note = Note::new(log.checkpoint().text()).unwrap();
    note.add(Signature::parse(answer.body.trim_end()).unwrap());
    assert_eq!(note.verify(&[witness.verifier()]).unwrap()[0].time, Some(1_700_000_000));
    // The same size once more: a fresh cosignature.
    assert_eq!(status(&witness, &request(&log, 3)), 200);
    assert_eq!(status(&witness, &request(&log, 0)), 409);

    let log = ledger(root.path(), &["d", "e"]);
    let again = witness.add_checkpoint(request(&log, 0).to_string().as_bytes(), 1);
    assert_eq!((again.status, again.body.as_str()), (409, "3\n"));
    let mut short = request(&log, 3);
    short.proof.pop();
    assert_eq!(status(&witness, &short), 422);
    assert_eq!(status(&witness, &request(&log, 3)), 200);
    // 400: the old tree is larger than the new one.
    let larger = AddCheckpoint { old: 6, proof: Vec::new(), ..request(&log, 5) };
    assert_eq!(status(&witness, &larger), 400);

    // After a restart it still knows, and another witness may not take its state.
    drop(witness);
    let refused = Witness::open(signer("witness.example/other", 8), vec![log.verifier_key().clone()], &state);
    assert!(matches!(refused, Err(Error::Damaged { .. })));
    let witness = Witness::open(signer("witness.example/w", 9), vec![log.verifier_key().clone()], &state).unwrap();
    assert!(Witness::open(signer("witness.example/w", 9), Vec::new(), &state).is_err(), "the state is in use");
    assert_eq!(witness.add_checkpoint(request(&log, 3).to_string().as_bytes(), 1).body, "5\n");
    assert_eq!(status(&witness, &request(&log, 5)), 200);
}

#[test]
fn refuses_forks_strangers_and_unsigned_checkpoints() {
    let root = tempfile::tempdir().unwrap();
    let log = ledger(root.path(), &["a", "b", "c"]);
    let key = log.verifier_key().clone();
    let witness = Witness::open(signer("witness.example/w", 9), vec![key], &root.path().join("witness")).unwrap();
    assert_eq!(status(&witness, &request(&log, 0)), 200);

    // The same key over another history, of the same size and longer.
    let place = root.path().join("config");
    let pem = std::fs::read_dir(place.join("ledgers")).unwrap().next().unwrap().unwrap().path().join("log.pem");
    let secret = SignerKey::from_pem("log.example/l", &std::fs::read_to_string(pem).unwrap()).unwrap();
    let fork = Checkpoint { origin: "log.example/l".into(), size: 3, root: Hash::of(b"other") };
    let signed = |tree: &Checkpoint| tree.sign(&secret).unwrap().to_string();
    let same = AddCheckpoint { old: 3, proof: Vec::new(), note: signed(&fork), checkpoint: fork.clone() };
    assert_eq!(status(&witness, &same), 409);
    let longer = Checkpoint { size: 5, ..fork };
    let proof = vec![Hash::of(b"1"), Hash::of(b"2"), Hash::of(b"3"), Hash::of(b"4")];
    let longer = AddCheckpoint { old: 3, proof, note: signed(&longer), checkpoint: longer };
    assert_eq!(status(&witness, &longer), 422);
    let empty = Checkpoint { origin: "log.example/l".into(), size: 0, root: empty_root() };
    let empty = AddCheckpoint { old: 0, proof: Vec::new(), note: signed(&empty), checkpoint: empty };
    assert_eq!(status(&witness, &empty), 409);

    let stranger = signer("stranger.example/l", 3);
    let foreign = Checkpoint { origin: "stranger.example/l".into(), size: 1, root: Hash::of(b"x") };
    let note = foreign.sign(&stranger).unwrap().to_string();
    let foreign = AddCheckpoint { old: 0, proof: Vec::new(), note, checkpoint: foreign };
    assert_eq!(status(&witness, &foreign), 404);
    let forged = signer("log.example/l", 4);
    let mut request = request(&log, 3);
    request.note = log.checkpoint().sign(&forged).unwrap().to_string();
    assert_eq!(status(&witness, &request), 403);
    // None of it moved the witness.
    assert_eq!(status(&witness, &self::request(&log, 3)), 200);
}

#[test]
fn a_changed_state_stops_the_witness_instead_of_beginning_anew() {
    let root = tempfile::tempdir().unwrap();
    let log = ledger(root.path(), &["a", "b"]);
    let state = root.path().join("witness");
    let witness = Witness::open(signer("w", 9), vec![log.verifier_key().clone()], &state).unwrap();
    assert_eq!(status(&witness, &request(&log, 0)), 200);
    let path = witness.path("log.example/l");
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let answer = witness.add_checkpoint(request(&log, 0).to_string().as_bytes(), 1);
        assert_eq!(answer.status, 500, "byte {at}: {}", answer.body);
    }
}

#[test]
fn changed_requests_never_get_another_cosignature() {
    let root = tempfile::tempdir().unwrap();
    let log = ledger(root.path(), &["a", "b", "c"]);
    let key = log.verifier_key().clone();
    let witness = Witness::open(signer("w", 9), vec![key], &root.path().join("witness")).unwrap();
    assert_eq!(status(&witness, &request(&log, 0)), 200);
    let log = ledger(root.path(), &["d", "e", "f", "g"]);
    let good = request(&log, 3).to_string().into_bytes();
    let mut random = 0x0DD5_EED5_u64;
    let mut next = |limit: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % limit as u64) as usize
    };
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << next(8);
        assert_ne!(witness.add_checkpoint(&bytes, 1).status, 200, "byte {at}");
        assert_ne!(witness.add_checkpoint(&good[..at], 1).status, 200, "cut at {at}");
    }
    for _ in 0..5_000 {
        let mut bytes = good.clone();
        let from = next(good.len());
        let part = good[from..from + 1 + next(good.len() - from)].to_vec();
        let at = next(good.len());
        bytes.splice(at..at, part);
        assert_ne!(witness.add_checkpoint(&bytes, 1).status, 200);
        if let Ok(read) = AddCheckpoint::parse(&bytes) {
            assert_eq!(read.to_string().as_bytes(), bytes);
        }
    }
    let huge = [b"old 0\n".as_slice(), &b"A".repeat(MAX_REQUEST)].concat();
    assert_eq!(witness.add_checkpoint(&huge, 1).status, 400);
    assert_eq!(witness.add_checkpoint(&good, 1).status, 200);
}

/// Serves a witness on a free port for the rest of the test process.
fn serve_one(name: &str, seed: u8, log: &VerifierKey, state: &Path) -> (String, VerifierKey) {
    let witness = Witness::open(signer(name, seed), vec![log.clone()], state).unwrap();
    let key = witness.verifier();
    let listening = Listening::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/w", listening.address());
    std::thread::spawn(move || {
        serve(std::sync::Arc::new(witness), listening, "/w", std::sync::Arc::new(|| 1_700_000_000))
    });
    (url, key)
}

#[test]
fn a_log_collects_cosignatures_and_a_forked_copy_gets_none() {
    let root = tempfile::tempdir().unwrap();
    let log = ledger(root.path(), &["a", "b"]);
    let (one, key_one) = serve_one("one.example/w", 1, log.verifier_key(), &root.path().join("w1"));
    let (two, key_two) = serve_one("two.example/w", 2, log.verifier_key(), &root.path().join("w2"));
    assert_eq!(cosign(&log, &one, &key_one).unwrap(), 1_700_000_000);
    cosign(&log, &two, &key_two).unwrap();
    assert_eq!(log.cosigned().unwrap().unwrap().signatures.len(), 3);

    // A copy of before, key and all, that goes on in another way.
    let fork = tempfile::tempdir().unwrap();
    copy(root.path(), fork.path());
    let log = ledger(root.path(), &["c", "d", "e"]);
    cosign(&log, &one, &key_one).unwrap();
    cosign(&log, &two, &key_two).unwrap();
    let signed = log.cosigned().unwrap().unwrap();
    assert_eq!((signed.checkpoint.size, signed.signatures.len()), (5, 3));
    let place = Place::in_state(&root.path().join("state"), &root.path().join("config"));
    assert_eq!(crate::verify(&place, &Options::default()).unwrap().differences, []);
    assert!(std::fs::read_to_string(place.log.join("checkpoint")).unwrap().contains("two.example/w"));

    let forked = ledger(fork.path(), &["x"]);
    let refused = cosign(&forked, &one, &key_one).unwrap_err();
    assert!(matches!(refused, WitnessError::Ahead { seen: 5, size: 3, .. }) && refused.is_verdict(), "{refused}");
    let forked = ledger(fork.path(), &["y", "z"]);
    let refused = cosign(&forked, &one, &key_one).unwrap_err();
    assert!(matches!(refused, WitnessError::Forked { status: 409, .. }) && refused.is_verdict(), "{refused}");
    let forked = ledger(fork.path(), &["v", "w"]);
    let refused = cosign(&forked, &two, &key_two).unwrap_err();
    assert!(matches!(refused, WitnessError::Forked { status: 422, .. }), "{refused}");

    // Under another key than the witness has, its answer counts for nothing.
    let wrong = signer("one.example/w", 7).cosignature_verifier();
    assert!(matches!(cosign(&log, &one, &wrong), Err(WitnessError::BadSignature { .. })));
    assert!(matches!(cosign(&log, "http://127.0.0.1:1", &key_one), Err(WitnessError::Unreachable { .. })));

    // Every byte of the cosignatures is looked at.
    drop(log);
    for name in ["cosigned", "witnesses", "checkpoint"] {
        let path = place.log.join(name);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            let found = crate::verify(&place, &Options::default());
            assert!(found.map_or(true, |found| !found.differences.is_empty()), "byte {at} of {name}");
        }
        std::fs::write(&path, whole).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &target) } else { assert!(std::fs::copy(&path, &target).is_ok()) }
    }
}
