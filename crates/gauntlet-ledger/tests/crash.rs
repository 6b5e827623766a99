//! A process that is killed at any moment loses no acknowledged entry, and two processes never corrupt a ledger.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

mod support;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gauntlet_ledger::tree::Hash;
use gauntlet_ledger::{EvidenceStore, Ledger, Options, verify};
use support::{Random, options, place, with_envelope};

const KILLS: usize = 320;
const KILLS_PER_LEDGER: usize = 16;
const ENVELOPE: &[u8] = b"{\"payload\":\"\"}";

/// Not a test of its own: the program that the tests start and kill. It appends and prints what was acknowledged.
#[test]
fn helper_process_appends() {
    let Ok(root) = std::env::var("LEDGER_TEST_ROOT") else { return };
    let number = |name: &str| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let place = place(Path::new(&root));
    let ledger = Ledger::open_or_create(&place, &options(number("LEDGER_TEST_JOURNAL"))).unwrap();
    let (count, process) = (number("LEDGER_TEST_COUNT"), std::process::id());
    std::thread::scope(|scope| {
        for thread in 0..number("LEDGER_TEST_THREADS") {
            let ledger = &ledger;
            scope.spawn(move || {
                for n in 0..count {
                    let key = format!("{process}-{thread}-{n}");
                    let record = with_envelope(Hash::of(ENVELOPE), &key);
                    let index = ledger.append(&[record]).unwrap()[0].index();
                    println!("\nacknowledged {index} {key}");
                }
            });
        }
    });
    println!("\nfinished");
}

fn start(root: &Path, count: u64, threads: u64, journal: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "helper_process_appends", "--nocapture", "--test-threads=1"])
        .env("LEDGER_TEST_ROOT", root)
        .env("LEDGER_TEST_COUNT", count.to_string())
        .env("LEDGER_TEST_THREADS", threads.to_string())
        .env("LEDGER_TEST_JOURNAL", journal.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What a process acknowledged, from whole lines only.
fn acknowledged(child: &mut Child, into: &mut BTreeMap<u64, String>) -> bool {
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    child.wait().unwrap();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    for line in whole.lines().filter_map(|line| line.strip_prefix("acknowledged ")) {
        let (index, key) = line.split_once(' ').unwrap();
        assert_eq!(into.insert(index.parse().unwrap(), key.to_owned()), None, "an index was given twice");
    }
    whole.lines().any(|line| line == "finished")
}

fn assert_all_there(root: &Path, expected: &BTreeMap<u64, String>) {
    let place = place(root);
    // Verifying comes first: it repairs nothing.
    if place.log.join("format").exists() {
        let verified = verify(&place, &Options::default()).unwrap();
        assert_eq!(verified.differences, []);
    }
    let ledger = Ledger::open_or_create(&place, &Options::default()).unwrap();
    assert_eq!(ledger.repairs(), []);
    let found: BTreeMap<u64, String> =
        ledger.iter().map(|item| item.map(|(index, record)| (index, record.key)).unwrap()).collect();
    for (index, key) in expected {
        assert_eq!(found.get(index), Some(key), "entry {index}");
    }
    let verified = verify(&place, &Options::default()).unwrap();
    assert_eq!((verified.differences, verified.unfinished), (vec![], 0));
    assert_eq!(verified.entries, found.len() as u64);
}

#[test]
fn killed_at_any_moment_no_acknowledged_entry_is_lost() {
    // Another seed, for a longer search by hand.
    let seed = std::env::var("LEDGER_TEST_SEED").map_or(0xC0FF_EE00_1234, |seed| seed.parse().unwrap());
    let mut random = Random(seed);
    let mut acknowledged_entries = 0;
    for _ in 0..KILLS / KILLS_PER_LEDGER {
        let root = tempfile::tempdir().unwrap();
        EvidenceStore::new(&place(root.path()).evidence).put(ENVELOPE).unwrap();
        let mut expected = BTreeMap::new();
        for _ in 0..KILLS_PER_LEDGER {
            let journal = [32 << 10, 256 << 10, 8 << 20][random.below(3) as usize];
            let processes = 1 + random.below(2);
            let mut children: Vec<_> =
                (0..processes).map(|_| start(root.path(), u64::MAX, 1 + random.below(4), journal)).collect();
            std::thread::sleep(Duration::from_micros(1_000 + random.below(70_000)));
            for child in &mut children {
                child.kill().unwrap();
            }
            for child in &mut children {
                assert!(!acknowledged(child, &mut expected));
            }
            assert_all_there(root.path(), &expected);
        }
        acknowledged_entries += expected.len();
    }
    assert!(acknowledged_entries > KILLS, "the processes were killed too early: {acknowledged_entries}");
}

#[test]
fn two_processes_at_once_never_corrupt_a_ledger() {
    let root = tempfile::tempdir().unwrap();
    EvidenceStore::new(&place(root.path()).evidence).put(ENVELOPE).unwrap();
    let mut children = [start(root.path(), 150, 2, 256 << 10), start(root.path(), 150, 2, 128 << 10)];
    let mut expected = BTreeMap::new();
    for child in &mut children {
        assert!(acknowledged(child, &mut expected), "a process did not finish");
    }
    assert_eq!(expected.len(), 600);
    assert_all_there(root.path(), &expected);
}
