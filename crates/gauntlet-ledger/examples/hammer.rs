//! Writers append while readers fetch and verify the proof of every entry they pick, on a log that is large already.
//!
//! `hammer [ENTRIES] [SECONDS] [FOLDER]` (1000000, 20, `target/tmp`): FOLDER must lie on the disk that is to be measured. Prints
//! acknowledged durable appends a second and the time of one proof, made and verified, with writers busy and with none.
//! `cargo run --release -p gauntlet-ledger --example hammer` runs it.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints its figures and may stop")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gauntlet_ledger::record::{EnvelopeDigest, Record};
use gauntlet_ledger::tree::Hash;
use gauntlet_ledger::{Ledger, Options, Place};

const WRITERS: usize = 16;
const READERS: usize = 2;
const BATCH: usize = 2_000;

fn main() {
    // `cargo bench` adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let number = |place: usize, default: u64| arguments.get(place).map_or(default, |text| text.parse().unwrap());
    let (entries, seconds) = (number(0, 1_000_000), number(1, 20));
    let folder = arguments
        .get(2)
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/tmp"), PathBuf::from);
    std::fs::create_dir_all(&folder).unwrap();
    let root = tempfile::tempdir_in(folder).unwrap();
    let place = Place::in_state(&root.path().join("state"), &root.path().join("config"));
    let ledger = Ledger::open_or_create(&place, &Options::default()).unwrap();
    let envelope = ledger.evidence().put(b"{}").unwrap();

    let start = Instant::now();
    while ledger.checkpoint().size < entries {
        let first = ledger.checkpoint().size;
        let count = (entries - first).min(BATCH as u64);
        let records: Vec<Record> = (first..first + count).map(|n| record(&format!("fill-{n}"), envelope)).collect();
        ledger.append(&records).unwrap();
    }
    println!("fill: {entries} entries in {:.1} s, in batches of {BATCH}", start.elapsed().as_secs_f64());

    let quiet = read_for(&ledger, Duration::from_secs(3), &AtomicBool::new(false));
    print_times("proofs, nobody writes", quiet);

    let stop = AtomicBool::new(false);
    let running = Duration::from_secs(seconds);
    let start = Instant::now();
    let (appended, times) = std::thread::scope(|scope| {
        let (ledger, stop) = (&ledger, &stop);
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn(move || {
                    let mut count = 0u64;
                    while start.elapsed() < running {
                        ledger.append(&[record(&format!("hammer-{writer}-{count}"), envelope)]).unwrap();
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(move || read_for(ledger, running, stop))).collect();
        let appended: u64 = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
        let took = start.elapsed().as_secs_f64();
        stop.store(true, Ordering::Relaxed);
        let times: Vec<Duration> = readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect();
        println!(
            "append: {:.0} acknowledged durable appends/s ({WRITERS} writers, {READERS} readers beside them)",
            appended as f64 / took
        );
        (appended, times)
    });
    print_times("proofs beside writers", times);
    assert_eq!(ledger.checkpoint().size, entries + appended);
}

/// Makes and verifies proofs of entries all over the log; the time of each.
fn read_for(ledger: &Ledger, running: Duration, stop: &AtomicBool) -> Vec<Duration> {
    let start = Instant::now();
    let mut random = 0x9E37_79B9_7F4A_7C15u64;
    let mut times = Vec::new();
    while start.elapsed() < running && !stop.load(Ordering::Relaxed) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let index = random % ledger.checkpoint().size;
        let entry = ledger.entry(index).unwrap();
        let begun = Instant::now();
        let proof = ledger.prove(index).unwrap();
        proof.verify(&entry, ledger.verifier_key(), &[]).unwrap();
        times.push(begun.elapsed());
    }
    times
}

fn print_times(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{what}: {} made and verified, p50 {:.3} ms, p99 {:.3} ms, longest {:.1} ms",
        times.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

fn record(key: &str, envelope: Hash) -> Record {
    let subject = Hash::of(key.as_bytes()).to_string();
    Record {
        envelope: EnvelopeDigest(envelope),
        key: subject.clone(),
        kind: "report".into(),
        predicate_type: "https://in-toto.io/attestation/test-result/v0.1".into(),
        subject: BTreeMap::from([("dirHash1".to_owned(), subject)]),
        time: "2026-01-02T03:04:05Z".into(),
    }
}
