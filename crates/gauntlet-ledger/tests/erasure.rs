//! Erased envelopes: gone for good, and only with a tombstone by somebody who may erase.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

mod support;

use std::fs;

use gauntlet_ledger::bundle::Bundle;
use gauntlet_ledger::record::Record;
use gauntlet_ledger::tree::Hash;
use gauntlet_ledger::{
    ERASURE_KIND, Erasure, Error, EvidenceStore, Ledger, Options, Place, Problem, Selection, verify,
};
use gauntlet_trust::keys::{KeyKind, SigningKey};
use support::{place, with_envelope};

const PERSON: &str = "Erika Mustermann, +49 170 0000000";
const TIME: &str = "2026-02-03T04:05:06Z";

fn ledger(place: &Place) -> (Ledger, Hash) {
    let ledger = Ledger::open_or_create(place, &Options::default()).unwrap();
    let envelope = format!("{{\"payload\":\"{PERSON}\"}}");
    let digest = Hash::of(envelope.as_bytes());
    let other = b"{\"payload\":\"other\"}";
    let records = [with_envelope(digest, "key"), with_envelope(Hash::of(other), "key")];
    ledger.admit(&[(envelope.as_bytes(), records[0].clone()), (other, records[1].clone())]).unwrap();
    (ledger, digest)
}

fn problems(place: &Place, erasers: &[&SigningKey]) -> Vec<Problem> {
    let erasers = erasers.iter().map(|key| key.verifying_key().clone()).collect();
    let verified = verify(place, &Options { erasers, ..Options::default() }).unwrap();
    verified.differences.into_iter().map(|difference| difference.problem).collect()
}

#[test]
fn an_absence_is_accepted_only_with_a_tombstone_by_an_allowed_key() {
    let root = tempfile::tempdir().unwrap();
    let place = place(root.path());
    let (ledger, digest) = ledger(&place);
    let (officer, stranger) =
        (SigningKey::generate(KeyKind::P256).unwrap(), SigningKey::generate(KeyKind::Ed25519).unwrap());
    let path = ledger.evidence().path(&digest);
    let bytes = fs::read(&path).unwrap();

    // Removed by hand: a difference.
    fs::remove_file(&path).unwrap();
    assert_eq!(problems(&place, &[&officer]), [Problem::EnvelopeMissing { index: 0 }]);
    fs::write(&path, &bytes).unwrap();

    assert!(matches!(ledger.erase(&Hash::of(b"unknown"), "asked for", &officer, TIME), Err(Error::CannotErase { .. })));
    assert!(matches!(ledger.erase(&digest, "  ", &officer, TIME), Err(Error::CannotErase { .. })));
    let appended = ledger.erase(&digest, "asked for by the person", &officer, TIME).unwrap();
    assert_eq!(appended.index(), 2);
    assert!(!path.exists());
    assert_eq!(problems(&place, &[&officer]), []);
    assert!(matches!(&problems(&place, &[&stranger])[..], [Problem::Tombstone { index: 0, .. }]));
    assert!(matches!(&problems(&place, &[])[..], [Problem::Tombstone { index: 0, .. }]));
    let verified =
        verify(&place, &Options { erasers: vec![officer.verifying_key().clone()], ..Options::default() }).unwrap();
    assert_eq!((verified.entries, verified.envelopes, verified.erased), (3, 2, 1));

    // Once more changes nothing; the tombstone itself stays; what was erased does not come back.
    assert_eq!(ledger.erase(&digest, "again", &officer, TIME).unwrap().index(), 2);
    let tombstone = ledger.tombstone_of(&digest).unwrap().unwrap();
    assert!(matches!(ledger.erase(&tombstone, "why not", &officer, TIME), Err(Error::CannotErase { .. })));
    let again = [(bytes.as_slice(), with_envelope(digest, "key"))];
    assert!(matches!(ledger.admit(&again), Err(Error::Erased(found)) if found == digest));
    fs::write(&path, &bytes).unwrap();
    assert_eq!(problems(&place, &[&officer]), [Problem::NotErased]);
    ledger.erase(&digest, "came back from a backup", &officer, TIME).unwrap();
    assert_eq!(problems(&place, &[&officer]), []);

    // The tombstone travels in place of the envelope.
    let bundle = ledger.export(&Selection::Range(0, 1)).unwrap().to_bytes().unwrap();
    let bundle = Bundle::parse(&bundle).unwrap();
    let (verified, _) = bundle.verify_logs(std::slice::from_ref(ledger.verifier_key()), &[]);
    let kinds: Vec<_> = verified[0].entries.iter().map(|entry| (entry.record.kind.as_str(), entry.envelope)).collect();
    assert!(matches!(kinds[..], [("report", None), (ERASURE_KIND, Some(_))]), "{kinds:?}");
    let erasure = Erasure::verify(kinds[1].1.unwrap(), &digest, &[officer.verifying_key().clone()]).unwrap();
    assert_eq!(erasure, Erasure { reason: "asked for by the person".into(), entries: vec![0] });
    assert!(Erasure::verify(kinds[1].1.unwrap(), &tombstone, &[officer.verifying_key().clone()]).is_err());
}

#[test]
fn a_crash_between_tombstone_and_removal_is_ended_by_erasing_again() {
    let root = tempfile::tempdir().unwrap();
    let place = place(root.path());
    let (ledger, digest) = ledger(&place);
    let officer = SigningKey::generate(KeyKind::P256).unwrap();
    let bytes = fs::read(ledger.evidence().path(&digest)).unwrap();
    ledger.erase(&digest, "asked for", &officer, TIME).unwrap();
    // As if the process had ended before the bytes went.
    EvidenceStore::new(&place.evidence).put(&bytes).unwrap();
    drop(ledger);
    assert_eq!(problems(&place, &[&officer]), [Problem::NotErased]);
    let ledger = Ledger::open(&place, &Options::default()).unwrap();
    assert_eq!(ledger.erase(&digest, "asked for", &officer, TIME).unwrap().index(), 2);
    assert_eq!(problems(&place, &[&officer]), []);
}

#[test]
fn nothing_of_an_envelope_enters_the_log_but_digests() {
    let root = tempfile::tempdir().unwrap();
    let place = place(root.path());
    let (ledger, digest) = ledger(&place);
    let officer = SigningKey::generate(KeyKind::P256).unwrap();
    ledger.erase(&digest, &format!("asked for by {PERSON}"), &officer, TIME).unwrap();
    // Not even a tombstone whose reason says too much gets it into an entry, a tile or the journal.
    for file in support::files(&place.log) {
        let bytes = fs::read(&file).unwrap();
        for word in PERSON.split([' ', ',']).filter(|word| word.len() > 3) {
            assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()), "{}", file.display());
        }
    }
    // A record has no member that takes a sentence.
    for entry in ledger.iter() {
        let record: Record = entry.unwrap().1;
        for text in [&record.kind, &record.key, &record.predicate_type, &record.time] {
            assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
        }
        assert!(record.subject.values().all(|digest| digest.bytes().all(|byte| byte.is_ascii_hexdigit())));
    }
    for text in [PERSON, "erika@example.org mustermann", "two words"] {
        let mut record = with_envelope(digest, "key");
        record.key = text.into();
        assert!(record.to_bytes().is_err(), "{text}");
    }
}
