//! What several tests of the log need: places, records, and a small seeded generator.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gauntlet_ledger::record::{EnvelopeDigest, Record};
use gauntlet_ledger::tree::Hash;
use gauntlet_ledger::{EvidenceStore, Options, Place};

pub fn place(root: &Path) -> Place {
    Place::in_state(&root.join("project/.gauntlet"), &root.join("config"))
}

pub fn options(journal_limit: u64) -> Options {
    Options { journal_limit, ..Options::default() }
}

/// A record whose envelope is stored.
pub fn record(place: &Place, key: &str) -> Record {
    stored(place, "{\"payload\":\"\"}", key)
}

pub fn stored(place: &Place, envelope: &str, key: &str) -> Record {
    let digest = EvidenceStore::new(&place.evidence).put(envelope.as_bytes()).unwrap();
    with_envelope(digest, key)
}

pub fn with_envelope(digest: Hash, key: &str) -> Record {
    Record {
        envelope: EnvelopeDigest(digest),
        key: key.into(),
        kind: "report".into(),
        predicate_type: "https://in-toto.io/attestation/test-result/v0.1".into(),
        subject: BTreeMap::from([("dirHash1".to_owned(), Hash::of(key.as_bytes()).to_string())]),
        time: "2026-01-02T03:04:05Z".into(),
    }
}

/// All regular files below a folder, sorted.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

pub fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&file, target).unwrap();
    }
}

pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}
