//! Parsers of strangers' bytes, fed with truncated, flipped and spliced inputs: no panic, and whatever is read is written back.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

mod support;

use gauntlet_ledger::checkpoint::{Checkpoint, SignedCheckpoint};
use gauntlet_ledger::note::{Note, VerifierKey};
use gauntlet_ledger::proof::ProofFile;
use gauntlet_ledger::record::Record;
use gauntlet_ledger::tile::{Tile, split_bundle};
use gauntlet_ledger::tree::Hash;
use support::{Random, with_envelope};

const ROUNDS: usize = 20_000;

fn mutate(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let pick = |random: &mut Random| seeds[random.below(seeds.len() as u64) as usize].clone();
    let mut bytes = pick(random);
    for _ in 0..=random.below(3) {
        let length = bytes.len() as u64 + 1;
        let at = random.below(length) as usize;
        match random.below(5) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 => bytes.insert(at, random.next() as u8),
            3 => {
                let other = pick(random);
                bytes.truncate(at);
                bytes.extend(&other[random.below(other.len() as u64 + 1) as usize..]);
            }
            _ => {
                let from = random.below(length) as usize;
                let part = bytes[from.min(at)..from.max(at)].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}

fn vectors() -> serde_json::Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/vectors/tlog/vectors.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn text(value: &serde_json::Value) -> Vec<u8> {
    value.as_str().unwrap().as_bytes().to_vec()
}

#[test]
fn notes_and_checkpoints() {
    let vectors = vectors();
    let key = VerifierKey::parse(vectors["log_vkey"].as_str().unwrap()).unwrap();
    let seeds: Vec<_> = vectors["checkpoints"].as_object().unwrap().values().map(text).collect();
    let signed: Vec<_> = seeds.iter().map(|seed| Note::parse(seed).unwrap().text().to_owned()).collect();
    let mut random = Random(1);
    for _ in 0..ROUNDS {
        let bytes = mutate(&mut random, &seeds);
        if let Ok(note) = Note::parse(&bytes) {
            assert_eq!(note.to_string().as_bytes(), bytes);
        }
        if let Ok(opened) = SignedCheckpoint::open(&bytes, &key, &[]) {
            assert!(signed.contains(&opened.checkpoint.text()), "a text that the log never signed");
        }
        if let Some(checkpoint) = std::str::from_utf8(&bytes).ok().and_then(|text| Checkpoint::parse(text).ok()) {
            assert_eq!(checkpoint.text().as_bytes(), bytes);
        }
    }
}

#[test]
fn proofs() {
    let vectors = vectors();
    let key = VerifierKey::parse(vectors["log_vkey"].as_str().unwrap()).unwrap();
    let seeds =
        vec![text(&vectors["tlog_proof_300_of_600"]), b"c2sp.org/tlog-proof@v1\nextra AAAA\nindex 0\n\nx".to_vec()];
    let mut random = Random(2);
    for _ in 0..ROUNDS {
        let bytes = mutate(&mut random, &seeds);
        if let Ok(proof) = ProofFile::parse(&bytes) {
            assert_eq!(proof.to_string().as_bytes(), bytes);
            assert!(proof.verify(b"an entry that is not in the log", &key, &[]).is_err());
        }
    }
}

#[test]
fn records_bundles_names_and_keys() {
    let record = with_envelope(Hash::of(b"envelope"), "key").to_bytes().unwrap();
    let bundle = [&(record.len() as u16).to_be_bytes()[..], &record, b"\0\x03abc"].concat();
    let vkey = text(&vectors()["log_vkey"]);
    let seeds = vec![record, bundle, vkey, b"tile/0/x001/067.p/12".to_vec(), b"tile/entries/000".to_vec()];
    let mut random = Random(3);
    for _ in 0..ROUNDS {
        let bytes = mutate(&mut random, &seeds);
        if let Ok(record) = Record::parse(&bytes) {
            assert_eq!(record.to_bytes().unwrap(), bytes);
        }
        if let Some(entries) = split_bundle(&bytes) {
            let length: usize = entries.iter().map(|entry| entry.len() + 2).sum();
            assert_eq!(length, bytes.len());
        }
        let Ok(text) = std::str::from_utf8(&bytes) else { continue };
        if let Some(tile) = Tile::parse(text) {
            assert_eq!(tile.path(), text);
        }
        if let Ok(key) = VerifierKey::parse(text) {
            assert_eq!(key.to_string(), text);
        }
    }
}
