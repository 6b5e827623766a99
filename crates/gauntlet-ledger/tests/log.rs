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
fn admits_evidence_with_its_envelope_once() {
    let root = tempfile::tempdir().unwrap();
    let place = place(root.path());
    let ledger = Ledger::open_or_create(&place, &Options::default()).unwrap();
    let envelopes: Vec<String> = (0..20).map(|n| format!("{{\"payload\":\"{n}\"}}")).collect();
    let evidence: Vec<_> = envelopes
        .iter()
        .map(|envelope| (envelope.as_bytes(), with_envelope(Hash::of(envelope.as_bytes()), "key")))
        .collect();
    let twice = [&evidence[..], &evidence[..1]].concat();
    let appended = ledger.admit(&twice).unwrap();
    assert!(appended[..20].iter().map(Appended::index).eq(0..20));
    assert_eq!(appended[20], Appended::Present { index: 0 });
    assert!(ledger.admit(&evidence).unwrap().iter().all(|one| matches!(one, Appended::Present { .. })));
    let wrong = [(b"other".as_slice(), evidence[0].1.clone())];
    assert!(matches!(ledger.admit(&wrong), Err(Error::WrongEnvelope { .. })));
    let verified = verify(&place, &Options::default()).unwrap();
    assert_eq!((verified.envelopes, verified.entries, verified.differences), (20, 20, vec![]));
}

#[test]
fn everything_that_is_not_synced_can_be_lost() {
    let root = tempfile::tempdir().unwrap();
    let place = place(root.path());
    drop(fill(&place, 0));
    let checkpoint = fs::read(place.log.join("checkpoint")).unwrap();
    drop(fill(&place, 600));
    fs::remove_dir_all(place.log.join("tile")).unwrap();
    fs::write(place.log.join("checkpoint"), checkpoint).unwrap();
    let verified = verify(&place, &Options::default()).unwrap();
    assert_eq!((verified.unfinished, verified.entries, verified.differences), (600, 600, vec![]));
    let ledger = Ledger::open(&place, &Options::default()).unwrap();
    assert_eq!((ledger.show(599).unwrap().key.as_str(), ledger.iter().count()), ("key-599", 600));
    assert_eq!(verify(&place, &Options::default()).unwrap().differences, []);
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

/// The reference's way to read tiles, from our folder as any static server would give it.
struct Folder(std::path::PathBuf);

impl tlog_tiles::tile::TileReader for Folder {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[tlog_tiles::tile::Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::tlog::Error> {
        // C2SP fixes the height and leaves it out of the name.
        let path = |tile: &tlog_tiles::tile::Tile| self.0.join(tile.path().replacen("tile/8/", "tile/", 1));
        Ok(tiles.iter().map(|tile| fs::read(path(tile)).unwrap()).collect())
    }

    fn save_tiles(&self, _: &[tlog_tiles::tile::Tile], _: &[Vec<u8>]) {}
}

#[test]
fn the_reference_reads_and_proves_from_our_folder() {
    use tlog_tiles::tlog;
    let root = tempfile::tempdir().unwrap();
    let place = place(root.path());
    let ledger = fill(&place, 777);
    let text = fs::read_to_string(place.log.join("checkpoint")).unwrap();
    let note = signed_note::Note::from_bytes(text.as_bytes()).unwrap();
    let key = signed_note::StandardVerifier::new(&ledger.verifier_key().to_string()).unwrap();
    note.verify(&signed_note::VerifierList::new(vec![Box::new(key)])).unwrap();
    let checkpoint = tlog_tiles::checkpoint::Checkpoint::from_bytes(note.text()).unwrap();
    let (size, hash) = (checkpoint.size(), *checkpoint.hash());
    let folder = Folder(place.log.clone());
    let reader = tlog_tiles::tile::TileHashReader::new(size, hash, &folder);
    assert_eq!(tlog::tree_hash(size, &reader).unwrap().0, hash.0);
    for index in [0, 255, 256, 700, 776] {
        let theirs = tlog::prove_record(size, index, &reader).unwrap();
        let ours = ledger.prove(index).unwrap().path;
        assert!(theirs.iter().map(|hash| hash.0).eq(ours.iter().map(|hash| *hash.as_bytes())), "{index}");
    }
}

#[test]
fn an_entry_whose_tiles_could_not_be_written_is_durable_and_the_next_opening_writes_them() {
    let root = tempfile::tempdir().unwrap();
    let place = place(root.path());
    let ledger = fill(&place, 2);
    // Stands for a full disk: nothing can be written below `tile`.
    let (tiles, aside) = (place.log.join("tile"), root.path().join("aside"));
    fs::rename(&tiles, &aside).unwrap();
    fs::write(&tiles, b"").unwrap();
    let refused = ledger.append(&[record(&place, "key-2")]).unwrap_err();
    let Error::Append(source) = &refused else { panic!("{refused}") };
    assert!(matches!(**source, Error::Unpublished(_)), "{refused}");
    let refused = ledger.append(&[record(&place, "key-3")]).unwrap_err();
    assert!(matches!(&refused, Error::Append(source) if matches!(**source, Error::Poisoned)), "{refused}");
    drop(ledger);

    fs::remove_file(&tiles).unwrap();
    fs::rename(&aside, &tiles).unwrap();
    let verified = verify(&place, &Options::default()).unwrap();
    assert_eq!((verified.unfinished, verified.entries, verified.differences), (1, 3, vec![]));
    let ledger = Ledger::open(&place, &Options::default()).unwrap();
    assert_eq!(ledger.show(2).unwrap().key, "key-2");
    assert_eq!(ledger.repairs(), []);
    let verified = verify(&place, &Options::default()).unwrap();
    assert_eq!((verified.unfinished, verified.differences), (0, vec![]));
}

#[test]
fn an_interrupted_write_of_the_journal_is_forgotten_and_a_changed_one_is_not() {
    use std::os::unix::fs::FileExt;
    let root = tempfile::tempdir().unwrap();
    let place = place(root.path());
    drop(fill(&place, 2));
    let path = place.log.join("journal");
    let whole = fs::read(&path).unwrap();
    // The header and one frame take a block each; the copy of that frame is no valid next frame.
    let journal = fs::OpenOptions::new().write(true).open(&path).unwrap();
    journal.write_all_at(&whole[4096..8000], 8192).unwrap();
    assert_eq!(verify(&place, &Options::default()).unwrap().differences, []);
    let ledger = Ledger::open(&place, &Options::default()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), whole);
    // Another process dies while this handle is open.
    journal.write_all_at(&whole[4096..8000], 8192).unwrap();
    ledger.append(&[record(&place, "key-2")]).unwrap();
    assert_eq!(verify(&place, &Options::default()).unwrap().differences, []);
    drop(ledger);

    journal.write_all_at(&[0; 100], 4096).unwrap();
    let refused = Ledger::open(&place, &Options::default()).unwrap_err();
    assert!(refused.is_verdict(), "{refused}");
    let found = verify(&place, &Options::default()).unwrap().differences;
    assert!(found.iter().any(|found| found.problem == Problem::JournalShort { published: 3, found: 0 }), "{found:?}");
}
