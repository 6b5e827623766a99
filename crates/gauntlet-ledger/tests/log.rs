//! The log as its callers see it: appending, reading, proofs, two handles, rollback, recovery.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

mod support;

use std::fs;
use std::time::Duration;

use gauntlet_ledger::record::RecordError;
use gauntlet_ledger::tree::{Hash, verify_consistency};
use gauntlet_ledger::{Appended, Error, Lease, Ledger, Options, Place, Problem, verify};
use support::{copy, files, options, place, record, stored, with_envelope};

fn fill(place: &Place, count: usize) -> Ledger {
    let ledger = Ledger::open_or_create(place, &Options::default()).unwrap();
    let base = ledger.checkpoint().size as usize;
    let records: Vec<_> = (base..base + count).map(|n| record(place, &format!("key-{n}"))).collect();
    ledger.append(&records).unwrap();
    ledger
}

#[test]
fn gives_back_what_was_appended() {
    let root = tempfile::tempdir().unwrap();
    let place = place(root.path());
    let ledger = fill(&place, 3);
    let appended = ledger.append(&[record(&place, "key-3")]).unwrap();
    assert_eq!(appended, [Appended::New { index: 3, size: 4 }]);
    drop(ledger);
    let ledger = Ledger::open(&place, &Options::default()).unwrap();
    assert_eq!(ledger.repairs(), []);
    let keys: Vec<_> = ledger.iter().map(|item| item.unwrap().1.key).collect();
    assert_eq!(keys, ["key-0", "key-1", "key-2", "key-3"]);
    assert_eq!(ledger.show(2).unwrap().key, "key-2");
    assert!(matches!(ledger.show(4), Err(Error::Proof(_))));
    let verified = verify(&place, &Options::default()).unwrap();
    assert_eq!((verified.differences, verified.entries, verified.envelopes), (vec![], 4, 1));
}

#[test]
fn every_proof_convinces_a_stranger() {
    let root = tempfile::tempdir().unwrap();
    let place = place(root.path());
    let ledger = fill(&place, 5);
    let (old, old_root) = (ledger.checkpoint().size, ledger.checkpoint().root);
    let ledger = fill(&place, 700);
    for index in [0, 4, 255, 256, 511, 512, 703, 704] {
        let proof = ledger.prove(index).unwrap().to_string();
        let read = gauntlet_ledger::proof::ProofFile::parse(proof.as_bytes()).unwrap();
        read.verify(&ledger.entry(index).unwrap(), ledger.verifier_key(), &[]).unwrap();
    }
    let now = ledger.checkpoint();
    let proof = ledger.prove_consistency(old).unwrap();
    verify_consistency(old, &old_root, now.size, &now.root, &proof).unwrap();
    assert_eq!(verify(&place, &Options::default()).unwrap().differences, []);
}

#[test]
fn finds_entries_and_appends_unchanged_evidence_once() {
    let root = tempfile::tempdir().unwrap();
    let place = place(root.path());
    let ledger = fill(&place, 300);
    let other = Ledger::open(&place, &Options::default()).unwrap();
    let fresh = stored(&place, "{\"payload\":\"new\"}", "fresh");
    assert_eq!(other.append_unless_present(&fresh).unwrap(), Appended::New { index: 300, size: 301 });
    // The first handle has not looked since: it must notice under the lock.
    assert_eq!(ledger.append_unless_present(&fresh).unwrap(), Appended::Present { index: 300 });
    assert_eq!(ledger.by_envelope(&fresh.envelope.0).unwrap(), [300]);
    let subject = Hash::of(b"key-17").to_string();
    assert_eq!(ledger.by_subject("dirHash1", &subject).unwrap(), [17]);
    assert!(ledger.by_subject("sha256", &subject).unwrap().is_empty());
}

#[test]
fn refuses_records_without_an_envelope_or_with_bad_members() {
    let root = tempfile::tempdir().unwrap();
    let place = place(root.path());
    let ledger = fill(&place, 1);
    let lost = with_envelope(Hash::of(b"never stored"), "key");
    assert!(matches!(ledger.append(&[lost]), Err(Error::NoEnvelope(_))));
    let mut bad = record(&place, "key");
    bad.time = "now".into();
    assert!(matches!(ledger.append(&[bad]), Err(Error::Record(RecordError::Member { member: "time", .. }))));
    assert_eq!(ledger.checkpoint().size, 1);
}

#[test]
fn many_threads_and_two_handles_lose_nothing() {
    let root = tempfile::tempdir().unwrap();
    let place = place(root.path());
    let handles = [fill(&place, 1), Ledger::open(&place, &options(256 << 10)).unwrap()];
    let digest = record(&place, "x").envelope.0;
    let mut indices: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let ledger = &handles[thread % 2];
                scope.spawn(move || {
                    let append = |n| {
                        let record = with_envelope(digest, &format!("{thread}-{n}"));
                        let index = ledger.append(std::slice::from_ref(&record)).unwrap()[0].index();
                        assert_eq!(ledger.show(index).unwrap(), record);
                        index
                    };
                    (0..60).map(append).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    indices.sort_unstable();
    assert!(indices.into_iter().eq(1..481));
    let verified = verify(&place, &Options::default()).unwrap();
    assert_eq!((verified.entries, verified.differences), (481, vec![]));
}

#[test]
fn a_large_batch_spans_frames_and_journals() {
    let root = tempfile::tempdir().unwrap();
    let place = place(root.path());
    let ledger = Ledger::open_or_create(&place, &options(64 << 10)).unwrap();
    let digest = record(&place, "x").envelope.0;
    let records: Vec<_> = (0..6000).map(|n| with_envelope(digest, &format!("key-{n}"))).collect();
    let appended = ledger.append(&records).unwrap();
    assert!(appended.iter().map(Appended::index).eq(0..6000));
    let reader = Ledger::open_read_only(&place, &Options::default()).unwrap();
    assert_eq!(reader.show(5999).unwrap().key, "key-5999");
    assert!(matches!(reader.append(&records[..1]), Err(Error::ReadOnly)));
    assert_eq!(verify(&place, &Options::default()).unwrap().differences, []);
}

#[test]
fn says_who_holds_the_lock() {
    let root = tempfile::tempdir().unwrap();
    let place = place(root.path());
    let ledger = fill(&place, 1);
    let _lease = Lease::acquire(&place.log.join("lock"), Duration::ZERO).unwrap();
    let impatient = Options { lock_timeout: Duration::from_millis(20), ..Options::default() };
    let refused = Ledger::open(&place, &impatient).unwrap_err().to_string();
    assert!(refused.contains(&format!("held by process {}", std::process::id())), "{refused}");
    assert_eq!(ledger.checkpoint().size, 1);
}

#[test]
fn a_rolled_back_or_rewritten_ledger_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let place = place(root.path());
    drop(fill(&place, 3));
    let (old, new) = (root.path().join("old"), root.path().join("new"));
    copy(&place.log, &old);
    let stale = fill(&place, 2);
    copy(&place.log, &new);

    fs::remove_dir_all(&place.log).unwrap();
    copy(&old, &place.log);
    let refused = Ledger::open(&place, &Options::default()).unwrap_err();
    assert!(matches!(refused, Error::RolledBack { remembered: 5, found: 3, .. }) && refused.is_verdict(), "{refused}");
    assert!(matches!(Ledger::open_read_only(&place, &Options::default()), Err(Error::RolledBack { .. })));
    let differences = verify(&place, &Options::default()).unwrap().differences;
    assert!(differences.iter().any(|found| found.problem == Problem::RolledBack { remembered: 5, found: 3 }));
    // A handle that was open all the time must not go on from the old state either.
    let refused = stale.append(&[record(&place, "fork")]).unwrap_err();
    assert!(refused.is_verdict(), "{refused}");

    fs::remove_dir_all(&place.log).unwrap();
    copy(&new, &place.log);
    Ledger::open(&place, &Options::default()).unwrap();

    // Everything but the identity is gone.
    fs::remove_dir_all(place.log.join("tile")).unwrap();
    fs::remove_file(place.log.join("checkpoint")).unwrap();
    fs::remove_file(place.log.join("journal")).unwrap();
    assert!(Ledger::open(&place, &Options::default()).unwrap_err().is_verdict());
    fs::remove_file(place.log.join("format")).unwrap();
    assert!(Ledger::open_or_create(&place, &Options::default()).unwrap_err().is_verdict());
}

#[test]
fn two_copies_of_one_ledger_cannot_fork() {
    let root = tempfile::tempdir().unwrap();
    let first = place(root.path());
    drop(fill(&first, 3));
    let second = Place { log: root.path().join("copy"), ..first.clone() };
    copy(&first.log, &second.log);
    let (one, two) = (fill(&first, 0), Ledger::open(&second, &Options::default()).unwrap());
    one.append(&[record(&first, "one")]).unwrap();
    assert!(two.append(&[record(&first, "two")]).unwrap_err().is_verdict());
}

#[test]
fn a_key_of_another_machine_or_a_newer_format_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let place = place(root.path());
    drop(fill(&place, 1));
    let elsewhere = Place { config: root.path().join("elsewhere"), ..place.clone() };
    assert!(matches!(Ledger::open(&elsewhere, &Options::default()), Err(Error::NoKey { .. })));
    assert!(matches!(verify(&elsewhere, &Options::default()), Err(Error::NoKey { .. })));
    fs::write(place.log.join("format"), "gauntlet ledger 2\n").unwrap();
    assert!(matches!(Ledger::open(&place, &Options::default()), Err(Error::UnknownFormat(_))));
    let nowhere = Place { log: root.path().join("nowhere"), ..place };
    assert!(matches!(Ledger::open(&nowhere, &Options::default()), Err(Error::NoLedger(_))));
}

#[test]
fn whatever_a_loss_of_power_tears_is_written_again_from_the_journal() {
    let root = tempfile::tempdir().unwrap();
    let place = place(root.path());
    let ledger = fill(&place, 270);
    let keys: Vec<_> = ledger.iter().map(|item| item.unwrap().1.key).collect();
    drop(ledger);
    let whole = root.path().join("whole");
    copy(&place.log, &whole);
    let torn = files(&whole).into_iter().filter(|path| {
        let name = path.strip_prefix(&whole).unwrap();
        name.starts_with("tile") || name.starts_with("checkpoint")
    });
    type Tear = fn(&mut Vec<u8>);
    let tears: [Tear; 3] = [Vec::clear, |bytes| bytes.fill(0), |bytes| bytes.truncate(bytes.len() / 2)];
    let mut repaired = 0;
    for path in torn {
        for tear in tears {
            let target = place.log.join(path.strip_prefix(&whole).unwrap());
            let mut bytes = fs::read(&path).unwrap();
            tear(&mut bytes);
            fs::write(&target, bytes).unwrap();
            assert_ne!(verify(&place, &Options::default()).unwrap().differences, [], "{}", target.display());
            let ledger = Ledger::open(&place, &Options::default()).unwrap();
            assert_eq!(ledger.repairs().len(), 1, "{}", target.display());
            assert!(ledger.iter().map(|item| item.unwrap().1.key).eq(keys.iter().cloned()));
            assert_eq!(verify(&place, &Options::default()).unwrap().differences, []);
            repaired += 1;
        }
    }
    assert_eq!(repaired, 3 * 6);
}

#[test]
fn a_changed_tile_is_an_error_and_never_repaired() {
    let root = tempfile::tempdir().unwrap();
    let place = place(root.path());
    drop(fill(&place, 5));
    let tile = place.log.join("tile/0/000.p/5");
    let mut bytes = fs::read(&tile).unwrap();
    bytes[40] ^= 1;
    fs::write(&tile, &bytes).unwrap();
    let refused = Ledger::open(&place, &Options::default()).unwrap_err();
    assert!(refused.is_verdict(), "{refused}");
    assert_eq!(fs::read(&tile).unwrap(), bytes);
}
