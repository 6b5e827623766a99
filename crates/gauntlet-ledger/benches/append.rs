//! Durable appends a second with eight writers through one handle. Run with `cargo bench -p gauntlet-ledger`; the folder for the
//! ledger is made below `CARGO_TARGET_TMPDIR`, which must lie on the disk to be measured.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints its figures and may stop")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use gauntlet_ledger::record::{EnvelopeDigest, Record};
use gauntlet_ledger::tree::Hash;
use gauntlet_ledger::{Ledger, Options, Place, verify};

const WRITERS: usize = 8;
const RUNNING: Duration = Duration::from_secs(5);

fn main() {
    let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let place = Place::in_state(&root.path().join("state"), &root.path().join("config"));
    let ledger = Ledger::open_or_create(&place, &Options::default()).unwrap();
    let envelope = ledger.evidence().put(b"{}").unwrap();

    let (entries, seconds) = append_for(&ledger, |_| envelope);
    println!(
        "append: {:.0} acknowledged durable appends/s ({WRITERS} writers, one stored envelope)",
        entries as f64 / seconds
    );

    let (more, seconds) = append_for(&ledger, |key| ledger.evidence().put(key.as_bytes()).unwrap());
    println!("store and append: {:.0}/s ({WRITERS} writers, each a new envelope)", more as f64 / seconds);

    let start = Instant::now();
    drop(ledger);
    let ledger = Ledger::open(&place, &Options::default()).unwrap();
    println!("open: {:.1} ms with {} entries", start.elapsed().as_secs_f64() * 1e3, ledger.checkpoint().size);

    let mut times: Vec<_> = (0..1000)
        .map(|n| {
            let start = Instant::now();
            ledger.prove(n * 7919 % ledger.checkpoint().size).unwrap();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("prove: p50 {:.3} ms, p99 {:.3} ms", times[500].as_secs_f64() * 1e3, times[990].as_secs_f64() * 1e3);

    let start = Instant::now();
    let verified = verify(&place, &Options::default()).unwrap();
    assert!(verified.differences.is_empty() && verified.entries == (entries + more) as u64);
    println!(
        "verify: {:.2} s for {} entries and {} envelopes",
        start.elapsed().as_secs_f64(),
        verified.entries,
        verified.envelopes
    );
}

/// Appends from all writers for a while; how many were acknowledged, and in how many seconds.
fn append_for(ledger: &Ledger, envelope: impl Fn(&str) -> Hash + Sync) -> (usize, f64) {
    let start = Instant::now();
    let counts: Vec<usize> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let envelope = &envelope;
                scope.spawn(move || {
                    let mut count = 0;
                    while start.elapsed() < RUNNING {
                        let key = format!("{start:?}-{writer}-{count}");
                        let key = Hash::of(key.as_bytes()).to_string();
                        ledger.append(&[record(&key, envelope(&key))]).unwrap();
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    (counts.into_iter().sum(), start.elapsed().as_secs_f64())
}

fn record(key: &str, envelope: Hash) -> Record {
    Record {
        envelope: EnvelopeDigest(envelope),
        key: key.to_owned(),
        kind: "report".into(),
        predicate_type: "https://in-toto.io/attestation/test-result/v0.1".into(),
        subject: BTreeMap::from([("dirHash1".to_owned(), key.to_owned())]),
        time: "2026-01-02T03:04:05Z".into(),
    }
}
