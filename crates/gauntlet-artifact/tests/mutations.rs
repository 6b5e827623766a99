//! Damaged model files of every format: no panic, no hang, no unbounded memory, and facts that can be stored.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use std::path::{Path, PathBuf};

use gauntlet_artifact::{GATE, exercise};
use gauntlet_core::{Facts, Judging, Limits};

/// Mutations of each file; every format has several files.
const ROUNDS: usize = 25;
/// Larger files are cut: what readers trip over stands at the beginning or the end.
const MOST: usize = 48 << 10;

/// A small generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound.max(1) as u64).unwrap()
    }
}

fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["real", "artifact", "onnx", "pickle", "archive"].iter().map(|name| testdata().join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_none_or(|ending| ending != "md") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata")
}

fn limits() -> Limits {
    Limits { steps: 200_000, nodes: 50_000, expanded_bytes: 8 << 20, members: 2_000, depth: 4, ..Limits::default() }
}

/// Reads and judges; facts must survive storage.
fn judge(name: &str, bytes: &[u8]) {
    let facts = exercise(name, bytes, &limits());
    let stored = serde_json::to_vec(&facts).unwrap();
    let facts: Facts = serde_json::from_slice(&stored).unwrap();
    let config = serde_json::json!({});
    let judging = Judging { config: &config, now: jiff::Timestamp::UNIX_EPOCH };
    for check in GATE.checks {
        check.judge(&facts, &judging);
    }
}

fn mutate(bytes: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..=random.below(4) {
        if out.is_empty() {
            break;
        }
        let at = random.below(out.len());
        match random.below(7) {
            0 => out.truncate(at),
            1 => out[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            2 => out[at] ^= 1 << random.below(8),
            3 => {
                let end = (at + 8).min(out.len());
                out[at..end].fill(0xff);
            }
            4 => {
                out.remove(at);
            }
            5 => {
                let from = random.below(other.len().max(1));
                let piece = other[from.min(other.len())..].iter().take(random.below(200)).copied().collect::<Vec<_>>();
                out.splice(at..at, piece);
            }
            _ => {
                let piece: Vec<u8> = out[at..].iter().take(random.below(64)).copied().collect();
                out.splice(at..at, piece);
            }
        }
    }
    out
}

#[test]
fn damaged_files_are_judged_without_trouble() {
    let files = files();
    assert!(files.len() > 80, "test data is missing");
    let contents: Vec<Vec<u8>> = files
        .iter()
        .map(|path| {
            let mut bytes = std::fs::read(path).unwrap();
            bytes.truncate(MOST);
            bytes
        })
        .collect();
    let mut random = Random(0x5eed_1234_abcd_9876);
    for (path, bytes) in files.iter().zip(&contents) {
        let name = path.file_name().unwrap().to_string_lossy();
        judge(&name, bytes);
        for _ in 0..ROUNDS {
            let other = &contents[random.below(contents.len())];
            judge(&name, &mutate(bytes, other, &mut random));
        }
    }
}
