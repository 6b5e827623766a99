//! Inputs on which fuzzing found a panic.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use gauntlet_archive::{SevenZip, exercise};
use gauntlet_limits::Budget;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/archive/crashes");

#[test]
fn seeds_end_in_an_answer() {
    let mut seeds = 0;
    for entry in std::fs::read_dir(FOLDER).unwrap() {
        exercise(&std::fs::read(entry.unwrap().path()).unwrap(), &Budget::default()).ok();
        seeds += 1;
    }
    assert!(seeds > 0, "no seeds in {FOLDER}");
}

/// The bzip2 library counts a code's length below zero here: a panic where overflow is checked, so the profiles turn
/// that off for it, and the library itself sees that the length is out of range.
#[test]
fn a_bzip2_code_that_wraps_is_an_error() {
    let bytes = std::fs::read(format!("{FOLDER}/bzip2-code-wraps.7z")).unwrap();
    let budget = Budget::default();
    let mut errors = 0;
    SevenZip::read(&bytes, &budget).unwrap().visit(|_, data| {
        errors += match data {
            Ok(Some(data)) => u32::from(std::io::copy(data, &mut std::io::sink()).is_err()),
            Ok(None) => 0,
            Err(_) => 1,
        };
        true
    });
    assert!(errors > 0, "damaged content was read");
}
