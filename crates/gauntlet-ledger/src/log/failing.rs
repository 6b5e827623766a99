//! The log over a file system that fails: at every single change, in every way. Whatever happens, what was acknowledged stays, the
//! log does not fork, and the next opening leaves nothing that verifying would object to.

use std::fs;
use std::path::Path;

use crate::files::guard::{Mode, Plan};
use crate::log::state::JOURNAL;
use crate::record::{EnvelopeDigest, Record};
use crate::tree::{Hash, verify_consistency};
use crate::{EvidenceStore, Ledger, Options, Place, verify};

fn place(root: &Path) -> Place {
    Place::in_state(&root.join("project/.gauntlet"), &root.join("config"))
}

fn record(place: &Place, key: &str) -> Record {
    let digest = EvidenceStore::new(&place.evidence).put(b"{}").unwrap();
    Record {
        envelope: EnvelopeDigest(digest),
        key: key.into(),
        kind: "report".into(),
        predicate_type: "https://in-toto.io/attestation/test-result/v0.1".into(),
        subject: [("sha256".to_owned(), Hash::of(key.as_bytes()).to_string())].into(),
        time: "2026-01-02T03:04:05Z".into(),
    }
}

/// A folder in memory where there is one: a sync is then free, and thousands of them are part of these tests.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Small enough that a few appends close it.
fn options() -> Options {
    Options { journal_limit: 48 << 10, ..Options::default() }
}

/// Opens, appends batches of different sizes and opens again; gives what was acknowledged, by index.
fn work(place: &Place, run: &str) -> Vec<(u64, String)> {
    let mut acknowledged = Vec::new();
    let Ok(mut ledger) = Ledger::open_or_create(place, &options()) else { return acknowledged };
    for (batch, count) in [1usize, 40, 3, 90, 2, 1].into_iter().enumerate() {
        let keys: Vec<String> = (0..count).map(|n| format!("{run}-{batch}-{n}")).collect();
        let template = record_of(place);
        let records: Vec<Record> = keys.iter().map(|key| Record { key: key.clone(), ..template.clone() }).collect();
        match ledger.append(&records) {
            Ok(appended) => acknowledged.extend(appended.iter().map(|one| one.index()).zip(keys)),
            // A handle that failed is given up for a new one, as a careful caller would.
            Err(_) => match Ledger::open(place, &options()) {
                Ok(anew) => ledger = anew,
                Err(_) => break,
            },
        }
    }
    acknowledged
}

/// The record of the envelope that was stored before anything failed.
fn record_of(place: &Place) -> Record {
    let digest = Hash::of(b"{}");
    assert!(EvidenceStore::new(&place.evidence).path(&digest).exists());
    Record {
        envelope: EnvelopeDigest(digest),
        key: String::new(),
        kind: "report".into(),
        predicate_type: "https://in-toto.io/attestation/test-result/v0.1".into(),
        subject: [("sha256".to_owned(), digest.to_string())].into(),
        time: "2026-01-02T03:04:05Z".into(),
    }
}

fn assert_sound(place: &Place, acknowledged: &[(u64, String)], what: &str) -> Ledger {
    let ledger = Ledger::open_or_create(place, &options()).unwrap_or_else(|error| panic!("{what}: {error}"));
    for (index, key) in acknowledged {
        assert_eq!(ledger.show(*index).unwrap().key, *key, "{what}: entry {index}");
    }
    let verified = verify(place, &Options::default()).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!((verified.differences, verified.unfinished), (vec![], 0), "{what}");
    ledger
}

fn fail_everywhere(mode: Mode) {
    let mut tried = 0;
    for after in 0.. {
        let root = scratch();
        let place = place(root.path());
        record(&place, "stored");
        // A log that is there, so that failing writes meet one with durable tiles.
        drop(work(&place, "before"));
        let head = Ledger::open(&place, &options()).unwrap();
        let (old, before) = (head.checkpoint(), head.checkpoint().size);
        drop(head);
        let plan = Plan::new(root.path(), after, mode);
        let acknowledged = work(&place, "during");
        let fired = plan.fired();
        drop(plan);
        let what = format!("{mode:?} after {after} changes");
        let ledger = assert_sound(&place, &acknowledged, &what);
        // What was signed before is a beginning of what is there now.
        let now = ledger.checkpoint();
        let proof = ledger.prove_consistency(before).unwrap();
        verify_consistency(before, &old.root, now.size, &now.root, &proof).unwrap_or_else(|_| panic!("{what}"));
        drop(ledger);
        // And it goes on.
        let more = work(&place, "after");
        assert_eq!(more.len(), 137, "{what}");
        assert_sound(&place, &more, &what);
        tried = after;
        if !fired {
            break;
        }
    }
    assert!(tried > 60, "only {tried} changes were made to fail");
}

#[test]
fn survives_a_disk_that_is_full_at_any_change() {
    fail_everywhere(Mode::Full);
}

#[test]
fn survives_one_failure_at_any_change() {
    fail_everywhere(Mode::Once);
}

#[test]
fn survives_a_change_that_happened_but_was_reported_as_failed() {
    fail_everywhere(Mode::Late);
}

#[test]
fn survives_failures_while_a_ledger_is_made() {
    for mode in [Mode::Full, Mode::Once, Mode::Late] {
        for after in 0.. {
            let root = scratch();
            let place = place(root.path());
            record(&place, "stored");
            let plan = Plan::new(root.path(), after, mode);
            let made = Ledger::open_or_create(&place, &options()).map(drop);
            let fired = plan.fired();
            drop(plan);
            assert_sound(&place, &[], &format!("{mode:?} after {after} changes"));
            if !fired {
                made.unwrap();
                break;
            }
        }
    }
}

#[test]
fn a_last_write_that_was_cut_at_any_byte_loses_nothing() {
    let root = scratch();
    let place = place(root.path());
    let first = record(&place, "first");
    let ledger = Ledger::open_or_create(&place, &options()).unwrap();
    ledger.append(&[first]).unwrap();
    let old = snapshot(&place);
    let second: Vec<Record> = (0..3).map(|n| record(&place, &format!("second-{n}"))).collect();
    ledger.append(&second).unwrap();
    drop(ledger);
    let new = snapshot(&place);
    let end = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let (from, to) = (end(&old.journal).next_multiple_of(4096), end(&new.journal));
    assert!(to > from);
    for cut in from..=to {
        // The journal holds the beginning of the frame; nothing after it was written.
        restore(&place, &old);
        let mut journal = new.journal.clone();
        journal[cut..].fill(0);
        fs::write(place.log.join(JOURNAL), &journal).unwrap();
        let size = assert_sound(&place, &[(0, "first".into())], &format!("journal cut at {cut}")).checkpoint().size;
        assert_eq!(size, if cut == to { 4 } else { 1 }, "journal cut at {cut}");
    }
    // Once the frame is whole, tiles and checkpoint may be anything that a loss of power makes of them.
    for name in ["tile/entries/000.p/4", "tile/0/000.p/4", "checkpoint"] {
        let whole = fs::read(new.folder.path().join(name)).unwrap();
        for cut in 0..whole.len() {
            for zeroes in [false, true] {
                restore(&place, &new);
                let mut bytes = whole[..cut].to_vec();
                bytes.resize(if zeroes { whole.len() } else { cut }, 0);
                fs::write(place.log.join(name), bytes).unwrap();
                let ledger = assert_sound(&place, &[(0, "first".into())], &format!("{name} cut at {cut}"));
                assert_eq!(ledger.checkpoint().size, 4);
            }
        }
    }
}

/// Sectors of one write may reach the device in any order.
#[test]
fn a_last_write_whose_sectors_arrived_out_of_order_loses_nothing() {
    let root = scratch();
    let place = place(root.path());
    let first = record(&place, "first");
    let ledger = Ledger::open_or_create(&place, &Options::default()).unwrap();
    ledger.append(&[first]).unwrap();
    let old = snapshot(&place);
    let many: Vec<Record> = (0..30).map(|n| record(&place, &format!("many-{n}"))).collect();
    ledger.append(&many).unwrap();
    drop(ledger);
    let new = snapshot(&place);
    let sectors: Vec<usize> = (0..new.journal.len() / 512)
        .filter(|sector| {
            let range = sector * 512..sector * 512 + 512;
            old.journal.get(range.clone()) != Some(&new.journal[range])
        })
        .collect();
    assert!(sectors.len() > 16, "{}", sectors.len());
    let mut random = 0x5EC7_0125_u64;
    for _ in 0..200 {
        restore(&place, &old);
        let mut journal = new.journal.clone();
        let mut lost = 0;
        for sector in &sectors {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            if random.is_multiple_of(3) {
                journal[sector * 512..sector * 512 + 512].fill(0);
                lost += 1;
            }
        }
        fs::write(place.log.join(JOURNAL), &journal).unwrap();
        let size = assert_sound(&place, &[(0, "first".into())], "sectors").checkpoint().size;
        assert!(size == 1 || lost == 0, "{lost} sectors are lost");
    }
}

/// The log's folder at one moment.
struct Snapshot {
    folder: tempfile::TempDir,
    config: tempfile::TempDir,
    journal: Vec<u8>,
}

fn snapshot(place: &Place) -> Snapshot {
    let (folder, config) = (scratch(), scratch());
    copy(&place.log, folder.path());
    copy(&place.config, config.path());
    Snapshot { journal: fs::read(place.log.join(JOURNAL)).unwrap(), folder, config }
}

fn restore(place: &Place, snapshot: &Snapshot) {
    for (from, to) in [(snapshot.folder.path(), &place.log), (snapshot.config.path(), &place.config)] {
        fs::remove_dir_all(to).unwrap();
        copy(from, to);
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
