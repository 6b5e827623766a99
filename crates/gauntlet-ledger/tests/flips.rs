//! Any flipped byte of a ledger is found by verifying it.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

mod support;

use std::fs;
use std::path::Path;

use gauntlet_ledger::{Ledger, Options, Place, verify};
use support::{Random, files, options, place, stored};

fn fill(place: &Place, count: usize, journal_limit: u64) {
    let ledger = Ledger::open_or_create(place, &options(journal_limit)).unwrap();
    let record = |n| stored(place, &format!("{{\"payload\":\"{}\"}}", n % 7), &format!("key-{n}"));
    for first in (0..count).step_by(3) {
        let records: Vec<_> = (first..count.min(first + 3)).map(record).collect();
        ledger.append(&records).unwrap();
    }
}

fn is_noticed(place: &Place) -> bool {
    verify(place, &Options::default()).map_or(true, |verified| !verified.differences.is_empty())
}

/// Flips bytes of a file one after the other and asserts that each is noticed.
fn flip(place: &Place, path: &Path, places: impl Iterator<Item = usize>, mask: u8) {
    let whole = fs::read(path).unwrap();
    for at in places {
        let mut bytes = whole.clone();
        bytes[at] ^= mask;
        fs::write(path, &bytes).unwrap();
        assert!(is_noticed(place), "byte {at} of {}", path.display());
    }
    fs::write(path, whole).unwrap();
}

fn evidence_files(place: &Place) -> Vec<std::path::PathBuf> {
    let all = files(&place.log).into_iter().chain(files(&place.evidence));
    // The locks hold no evidence; the log's documentation says so.
    all.filter(|path| !path.file_name().unwrap().to_str().unwrap().starts_with("lock")).collect()
}

#[test]
fn every_byte_of_a_small_log_counts() {
    let root = tempfile::tempdir().unwrap();
    let place = place(root.path());
    fill(&place, 5, 8 << 20);
    assert!(!is_noticed(&place));
    let mut flipped = 0;
    for path in evidence_files(&place) {
        let length = fs::metadata(&path).unwrap().len() as usize;
        flip(&place, &path, 0..length, 0x01);
        flip(&place, &path, (0..length).step_by(41), 0xff);
        flipped += length;
    }
    assert!(flipped > 16 << 10, "{flipped}");
    assert!(!is_noticed(&place));
}

#[test]
fn sampled_bytes_of_a_log_with_full_tiles_count() {
    let root = tempfile::tempdir().unwrap();
    let place = place(root.path());
    fill(&place, 300, 512 << 10);
    assert!(!is_noticed(&place));
    let mut random = Random(0x5EED);
    for path in evidence_files(&place) {
        let length = fs::metadata(&path).unwrap().len();
        let places: Vec<_> = (0..12).map(|_| random.below(length) as usize).collect();
        flip(&place, &path, places.into_iter(), 1 << random.below(8));
    }
    assert!(!is_noticed(&place));
}

#[test]
fn missing_and_added_files_count() {
    let root = tempfile::tempdir().unwrap();
    let place = place(root.path());
    fill(&place, 260, 8 << 20);
    for path in evidence_files(&place) {
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(is_noticed(&place), "{}", path.display());
        fs::write(&path, bytes).unwrap();
    }
    for name in ["tile/0/001", "tile/0/000.p/300", "tile/2/000.p/1", "tile/other", "more", "tile/0/001.p/5"] {
        let path = place.log.join(name);
        fs::write(&path, [0; 160])
            .or_else(|_| {
                fs::create_dir_all(path.parent().unwrap())?;
                fs::write(&path, [0; 160])
            })
            .unwrap();
        assert!(is_noticed(&place), "{name}");
        fs::remove_file(&path).unwrap();
    }
}
