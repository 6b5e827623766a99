//! Bundles: what is exported is read back, convinces a stranger, and nothing false in it does.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

mod support;

use std::collections::BTreeMap;

use gauntlet_ledger::bundle::{Bundle, BundleError, LogPart, TimestampOf};
use gauntlet_ledger::note::VerifierKey;
use gauntlet_ledger::record::{EnvelopeDigest, Record};
use gauntlet_ledger::tree::Hash;
use gauntlet_ledger::{ForeignError, ForeignStore, Ledger, Options, Place, Selection};
use gauntlet_trust::keys::{KeyKind, SigningKey};
use gauntlet_trust::statement::{ResourceDescriptor, Statement};
use support::{Random, place};

fn statement(subject: &str, predicate: serde_json::Value) -> Statement<serde_json::Value> {
    let digest = serde_json::from_value(serde_json::json!({ "sha256": Hash::of(subject.as_bytes()).to_string() }));
    let subject = ResourceDescriptor { digest: digest.unwrap(), ..Default::default() };
    Statement::new(vec![subject], "https://example.org/claim/v1", predicate)
}

fn admit(ledger: &Ledger, key: &SigningKey, kind: &str, subject: &str, predicate: serde_json::Value) -> Hash {
    let envelope = statement(subject, predicate).sign(&[key]).unwrap().to_json();
    let digest = Hash::of(&envelope);
    let record = Record {
        envelope: EnvelopeDigest(digest),
        key: key.key_id(),
        kind: kind.to_owned(),
        predicate_type: "https://example.org/claim/v1".into(),
        subject: BTreeMap::from([("sha256".to_owned(), Hash::of(subject.as_bytes()).to_string())]),
        time: "2026-01-02T03:04:05Z".into(),
    };
    ledger.admit(&[(envelope.as_slice(), record)]).unwrap();
    digest
}

/// Two subjects, a decision about the first that names evidence about the second, noise, and a revocation.
fn filled(place: &Place) -> (Ledger, SigningKey) {
    let key = SigningKey::generate(KeyKind::P256).unwrap();
    let ledger = Ledger::open_or_create(place, &Options::default()).unwrap();
    admit(&ledger, &key, "report", "model", serde_json::json!({"n": 1}));
    let data = admit(&ledger, &key, "report", "data", serde_json::json!({"n": 2}));
    admit(&ledger, &key, "report", "noise", serde_json::json!({"n": 3}));
    let inputs = serde_json::json!({"inputAttestations": [{"digest": {"sha256": data.to_string()}}]});
    admit(&ledger, &key, "decision", "model", inputs);
    admit(&ledger, &key, "revocation", "something else", serde_json::json!({"n": 4}));
    (ledger, key)
}

fn log_key(ledger: &Ledger) -> VerifierKey {
    ledger.verifier_key().clone()
}

#[test]
fn an_export_convinces_a_stranger_and_is_reproducible() {
    let root = tempfile::tempdir().unwrap();
    let (ledger, _) = filled(&place(root.path()));
    for (selection, count, complete) in [
        (Selection::All, 5, true),
        (Selection::Range(1, 3), 2, false),
        (Selection::Subject(Hash::of(b"model").to_string().to_uppercase()), 4, false),
        (Selection::Subject(Hash::of(b"nobody").to_string()), 0, false),
    ] {
        let bytes = ledger.export(&selection).unwrap().to_bytes().unwrap();
        assert_eq!(bytes, ledger.export(&selection).unwrap().to_bytes().unwrap());
        let bundle = Bundle::parse(&bytes).unwrap();
        let (verified, refused) = bundle.verify_logs(&[log_key(&ledger)], &[]);
        assert_eq!((verified.len(), refused), (1, vec![]));
        assert_eq!((verified[0].entries.len(), verified[0].complete), (count, complete), "{selection:?}");
        assert!(verified[0].entries.iter().all(|entry| entry.envelope.is_some()));
    }
    assert!(ledger.export(&Selection::Range(3, 9)).is_err());
}

#[test]
fn foreign_evidence_enters_with_its_proof_and_stays_foreign() {
    let root = tempfile::tempdir().unwrap();
    let (theirs, _) = filled(&place(&root.path().join("theirs")));
    let ours_place = place(&root.path().join("ours"));
    let (ours, key) = filled(&ours_place);
    let state = ours_place.log.parent().unwrap();
    let store = ForeignStore::in_state(state);
    let bytes = theirs.export(&Selection::All).unwrap().to_bytes().unwrap();
    let own = ours.verifier_key().name().to_owned();
    let before = ours.checkpoint();

    let stranger = [log_key(&ours)];
    let refused = store.import(&bytes, &stranger, &[], Some(&own)).unwrap_err();
    assert!(matches!(&refused, ForeignError::Log(log) if matches!(log.reason, BundleError::UnknownLog { .. })));
    assert!(!refused.is_verdict());
    let known = [log_key(&theirs)];
    let first = store.import(&bytes, &known, &[], Some(&own)).unwrap();
    assert_eq!(store.import(&bytes, &known, &[], Some(&own)).unwrap(), first);
    assert_eq!(store.list().unwrap(), std::slice::from_ref(&first));
    let digest = *first.bundle.envelopes.keys().next().unwrap();
    let found = store.find(&digest).unwrap().unwrap();
    assert_eq!(Hash::of(&found.envelope), digest);
    assert_eq!(found.origins, [theirs.verifier_key().name()]);
    // The local log does not know it.
    assert_eq!(ours.checkpoint(), before);
    assert!(first.bundle.envelopes.keys().all(|digest| ours.by_envelope(digest).unwrap().is_empty()));

    let own_bytes = ours.export(&Selection::All).unwrap().to_bytes().unwrap();
    assert!(matches!(store.import(&own_bytes, &stranger, &[], Some(&own)), Err(ForeignError::Own(_))));
    // An envelope that was never logged.
    let mut stray = theirs.export(&Selection::All).unwrap();
    let digest = stray.add_envelope(statement("x", serde_json::json!({})).sign(&[&key]).unwrap().to_json());
    let refused = store.import(&stray.to_bytes().unwrap(), &known, &[], None).unwrap_err();
    assert!(matches!(refused, ForeignError::Unproven(found) if found == digest));

    // Every byte of what is kept counts.
    let folder = state.join("foreign");
    for path in support::files(&folder) {
        let whole = std::fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(7) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            assert!(store.list().is_err(), "byte {at} of {}", path.display());
        }
        std::fs::write(&path, whole).unwrap();
    }
    assert_eq!(store.list().unwrap().len(), 1);
}

fn part(bundle: &mut Bundle) -> &mut LogPart {
    bundle.logs.values_mut().next().unwrap()
}

#[test]
fn nothing_false_convinces() {
    let root = tempfile::tempdir().unwrap();
    let (ledger, _) = filled(&place(root.path()));
    let key = log_key(&ledger);
    let good = ledger.export(&Selection::All).unwrap();
    let refuse = |change: &dyn Fn(&mut Bundle)| {
        let mut bundle = good.clone();
        change(&mut bundle);
        let (verified, refused) = bundle.verify_logs(std::slice::from_ref(&key), &[]);
        assert!(verified.is_empty());
        refused.into_iter().next().unwrap().reason
    };
    let reason = refuse(&|bundle| part(bundle).entries.get_mut(&1).unwrap().proof.truncate(1));
    assert!(matches!(reason, BundleError::Proof { index: 1, .. }), "{reason}");
    let reason = refuse(&|bundle| {
        let moved = part(bundle).entries.remove(&2).unwrap();
        part(bundle).entries.insert(1, moved);
    });
    assert!(matches!(reason, BundleError::Proof { index: 1, .. }), "{reason}");
    let reason = refuse(&|bundle| {
        let entry = part(bundle).entries.get_mut(&0).unwrap();
        entry.entry = String::from_utf8(entry.entry.clone()).unwrap().replace("report", "waiver").into_bytes();
    });
    assert!(matches!(reason, BundleError::Proof { index: 0, .. }), "{reason}");
    let reason = refuse(&|bundle| part(bundle).checkpoint = part(bundle).checkpoint.replace("\n5\n", "\n6\n"));
    assert!(matches!(reason, BundleError::Checkpoint { .. }), "{reason}");
    // An envelope is found by the digest of its bytes, so another one is simply not there.
    let mut without = good.clone();
    let (_, bytes) = without.envelopes.pop_first().unwrap();
    without.add_envelope([&bytes[..], b" "].concat());
    let (verified, _) = without.verify_logs(std::slice::from_ref(&key), &[]);
    assert_eq!(verified[0].entries.iter().filter(|entry| entry.envelope.is_none()).count(), 1);
}

#[test]
fn there_is_one_spelling_and_everything_else_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let (ledger, _) = filled(&place(root.path()));
    let mut bundle = ledger.export(&Selection::All).unwrap();
    bundle.certificates.extend([vec![0x30, 0], vec![0x30, 1, 2]]);
    bundle.add_report(b"{\"report\":1}".to_vec());
    let envelope = *bundle.envelopes.keys().next().unwrap();
    for token in [[0x30, 1], [0x30, 0], [0x30, 1]] {
        bundle.add_timestamp(envelope, 0, token.to_vec());
    }
    assert_eq!(bundle.timestamps.values().collect::<Vec<_>>(), [&[0x30, 0], &[0x30, 1]]);
    let good = bundle.to_bytes().unwrap();
    assert_eq!(Bundle::parse(&good).unwrap(), bundle);
    let text = String::from_utf8(good.clone()).unwrap();
    for broken in [
        text.replace("\"logs\":", "\"more\":1,\"logs\":"),
        text.replace("\"reports\":", "\"reports\":[],\"reports\":"),
        text.replace("\"index\":0,", "\"index\":0.0,"),
        text.replace("\"index\":1,", "\"index\":0,"),
        text.replace("bundle.v1", "bundle.v2"),
        text.replace("\"entry\":\"{", "\"entry\":\"\\u007b"),
        text.replace("{\"mediaType", " {\"mediaType"),
        text.trim_end().to_owned(),
        format!("{text}\n"),
        text.replace("\"MAA=\"", "\"MAB=\""),
        text.replace("\"token\":\"MAA=\"", "\"token\":\"MAE=\""),
        text.replace("\"signature\":0", "\"signature\":-1"),
        text.replacen("\"envelope\":", "\"envelop\":", 1).replace("\"token\"", "\"tokens\""),
        String::new(),
        "[]".into(),
        "{}".into(),
    ] {
        let parsed = Bundle::parse(broken.as_bytes());
        assert!(parsed.is_err(), "{broken}");
    }
    let mut loose = bundle.clone();
    loose.timestamps.remove(&TimestampOf { envelope, signature: 0, number: 0 });
    assert!(matches!(loose.to_bytes(), Err(BundleError::Timestamp { .. })));
    let mut wrong = bundle.clone();
    let part = wrong.logs.pop_first().unwrap().1;
    wrong.logs.insert("another.example/log".into(), part);
    assert!(matches!(wrong.to_bytes(), Err(BundleError::Log { .. })));

    let deep = [b"{\"mediaType\":".as_slice(), &b"[".repeat(100_000)].concat();
    assert!(Bundle::parse(&deep).is_err());
}

#[test]
fn mutated_bundles_never_convince_of_anything_else() {
    let root = tempfile::tempdir().unwrap();
    let (ledger, _) = filled(&place(root.path()));
    let key = log_key(&ledger);
    let seed = ledger.export(&Selection::All).unwrap().to_bytes().unwrap();
    let entries: Vec<_> = (0..5).map(|index| ledger.entry(index).unwrap()).collect();
    let mut random = Random(11);
    for _ in 0..3_000 {
        let mut bytes = seed.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len() as u64) as usize;
            match random.below(4) {
                0 => bytes.truncate(at.max(1)),
                1 => bytes[at] ^= 1 << random.below(8),
                2 => bytes.insert(at, random.next() as u8),
                _ => {
                    let from = random.below(bytes.len() as u64) as usize;
                    let part = bytes[from.min(at)..from.max(at)].to_vec();
                    bytes.splice(at..at, part);
                }
            }
        }
        let Ok(bundle) = Bundle::parse(&bytes) else { continue };
        assert_eq!(bundle.to_bytes().unwrap(), bytes);
        for log in bundle.verify_logs(std::slice::from_ref(&key), &[]).0 {
            for entry in log.entries {
                assert_eq!(entry.record.to_bytes().unwrap(), entries[entry.index as usize]);
            }
        }
    }
}
