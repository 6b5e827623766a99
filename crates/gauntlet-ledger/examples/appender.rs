//! Appends to a ledger and prints what was acknowledged, for tests that kill it, fill its disk or let it race with others.
//!
//! `appender PLACE CONFIG NAME COUNT`: PLACE is a state folder or a URL such as `s3://bucket/prefix`. Each line on stdout is
//! `acknowledged INDEX KEY`, printed after the entry is durable. A failed append is said on stderr, and the ledger opened anew; after
//! ten failures in a row the program ends with status 1.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is its purpose")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use gauntlet_ledger::record::{EnvelopeDigest, Record};
use gauntlet_ledger::tree::Hash;
use gauntlet_ledger::{Error, Ledger, Objects, Options, Place};

const ENVELOPE: &[u8] = b"{\"payload\":\"\"}";
const PATIENCE: usize = 10;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [place, config, name, count] = arguments.as_slice() else {
        eprintln!("usage: appender PLACE CONFIG NAME COUNT");
        return ExitCode::from(2);
    };
    let Ok(count) = count.parse::<u64>() else { return ExitCode::from(2) };
    let (mut ledger, mut failures, mut n) = (None, 0, 0);
    while n < count {
        let appended = open(&mut ledger, place, Path::new(config)).and_then(|ledger| {
            let key = format!("{name}-{n}");
            let appended = ledger.append(&[record(ledger.evidence().put(ENVELOPE)?, &key)])?;
            Ok(appended.first().map(|one| (one.index(), key)))
        });
        match appended {
            Ok(Some((index, key))) => {
                println!("acknowledged {index} {key}");
                (failures, n) = (0, n + 1);
            }
            Ok(None) => return ExitCode::FAILURE,
            Err(error) => {
                eprintln!("failed: {error}");
                ledger = None;
                failures += 1;
                if failures == PATIENCE {
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    println!("finished");
    ExitCode::SUCCESS
}

fn open<'a>(ledger: &'a mut Option<Ledger>, place: &str, config: &Path) -> Result<&'a Ledger, Error> {
    let opened = match ledger.take() {
        Some(ledger) => ledger,
        None if place.contains("://") => {
            Ledger::open_or_create_in(&Objects::connect(place)?, config, &Options::default())?
        }
        None => {
            let options = Options { journal_limit: 64 << 10, ..Options::default() };
            Ledger::open_or_create(&Place::in_state(Path::new(place), config), &options)?
        }
    };
    Ok(ledger.insert(opened))
}

fn record(envelope: Hash, key: &str) -> Record {
    Record {
        envelope: EnvelopeDigest(envelope),
        key: key.to_owned(),
        kind: "report".into(),
        predicate_type: "https://in-toto.io/attestation/test-result/v0.1".into(),
        subject: BTreeMap::from([("sha256".to_owned(), Hash::of(key.as_bytes()).to_string())]),
        time: "2026-01-02T03:04:05Z".into(),
    }
}
