//! Bytes as every text of the ledger: the spelling that is read is the only one, and nothing unsigned is opened.
#![no_main]

use std::sync::LazyLock;

use gauntlet_ledger::checkpoint::{Checkpoint, SignedCheckpoint};
use gauntlet_ledger::note::{Note, VerifierKey};
use gauntlet_ledger::proof::ProofFile;
use gauntlet_ledger::record::Record;
use gauntlet_ledger::tile::{Tile, split_bundle};
use libfuzzer_sys::fuzz_target;

/// The key of the vectors, and the texts that it signed.
static LOG: LazyLock<(VerifierKey, Vec<String>)> = LazyLock::new(|| {
    let vectors = include_bytes!("../../testdata/vectors/tlog/vectors.json");
    let vectors: serde_json::Value = serde_json::from_slice(vectors).expect("vectors are JSON");
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let mut notes: Vec<_> = vectors["checkpoints"].as_object().expect("checkpoints").values().map(text).collect();
    let proof = ProofFile::parse(text(&vectors["tlog_proof_300_of_600"]).as_bytes()).expect("the proof is sound");
    notes.push(proof.checkpoint);
    let signed = notes.iter().map(|note| Note::parse(note.as_bytes()).expect("a note").text().to_owned()).collect();
    (VerifierKey::parse(&text(&vectors["log_vkey"])).expect("a key"), signed)
});

fuzz_target!(|data: &[u8]| {
    let (key, signed) = &*LOG;
    if let Ok(note) = Note::parse(data) {
        assert_eq!(note.to_string().as_bytes(), data);
    }
    if let Ok(opened) = SignedCheckpoint::open(data, key, &[]) {
        assert!(signed.contains(&opened.checkpoint.text()), "a text that the log never signed");
    }
    if let Ok(proof) = ProofFile::parse(data) {
        assert_eq!(proof.to_string().as_bytes(), data);
        assert!(proof.verify(b"an entry that is not in the log", key, &[]).is_err());
    }
    if let Ok(record) = Record::parse(data) {
        assert_eq!(record.to_bytes().expect("what is read is written"), data);
    }
    if let Some(entries) = split_bundle(data) {
        assert_eq!(entries.iter().map(|entry| entry.len() + 2).sum::<usize>(), data.len());
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(checkpoint.text(), text);
    }
    if let Some(tile) = Tile::parse(text) {
        assert_eq!(tile.path(), text);
    }
    if let Ok(key) = VerifierKey::parse(text) {
        assert_eq!(key.to_string(), text);
    }
});
