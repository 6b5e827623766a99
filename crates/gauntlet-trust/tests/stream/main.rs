//! Models that are streamed: from memory with every lie a source can tell, and from a web server of our own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod memory;
mod web;

use std::num::NonZeroU64;
use std::path::Path;

use gauntlet_trust::keys::{KeyKind, SigningKey};
use gauntlet_trust::oms::{ReasonCode, Serialization, SignOptions, Trust, Verification, sign};

/// A signed model in memory.
struct Model {
    files: Vec<(String, Vec<u8>)>,
    bundle: Vec<u8>,
    trust: Vec<Trust>,
}

fn model(serialization: Serialization) -> Model {
    let files: Vec<(String, Vec<u8>)> =
        [("config.json", 20), ("sub/a b.bin", 700_000), ("weights.safetensors", 3_000_017)]
            .into_iter()
            .map(|(name, size)| (name.to_owned(), (0..size).map(|i: usize| (i * 31 + i / 251) as u8).collect()))
            .collect();
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in &files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let key = SigningKey::generate(KeyKind::P256).unwrap();
    let bundle = sign(folder.path(), &key, &SignOptions { serialization, ..SignOptions::default() }).unwrap().bundle;
    Model { files, bundle, trust: vec![Trust::Keys(vec![key.verifying_key().clone()])] }
}

fn shards() -> Serialization {
    Serialization::Shards(NonZeroU64::new(1_000_000).unwrap())
}

fn codes(found: &Verification) -> Vec<ReasonCode> {
    let mut codes: Vec<ReasonCode> = found.reasons.iter().map(|reason| reason.code).collect();
    codes.dedup();
    codes
}

/// Names of everything below a folder, hidden names too.
fn everything(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            names.push(path.strip_prefix(folder).unwrap().to_string_lossy().into_owned());
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    names.sort();
    names
}
