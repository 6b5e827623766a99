//! Inputs on which fuzzing found a panic.

use gauntlet_archive::{Container, SevenZip, decoder, exercise};
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

/// `bzip2-code-wraps`: the library counts a code's length below zero, a panic where overflow is checked, so the profiles
/// turn that off for it. `bzip2-read-after-damage`: it panics when it is read again after an error.
#[test]
fn damaged_bzip2_in_7z_is_an_error_however_often_it_is_read() {
    for name in ["bzip2-code-wraps.7z", "bzip2-read-after-damage.7z"] {
        let bytes = std::fs::read(format!("{FOLDER}/{name}")).unwrap();
        let budget = Budget::default();
        let mut errors = 0;
        SevenZip::read(&bytes, &budget).unwrap().visit(|_, data| {
            if let Ok(Some(data)) = data {
                errors += u32::from(std::io::copy(data, &mut std::io::sink()).is_err());
                errors += u32::from(std::io::copy(data, &mut std::io::sink()).is_err());
            }
            true
        });
        assert!(errors >= 2, "{name}: damaged content was read");
    }
}

#[test]
fn a_bzip2_stream_that_broke_stays_broken() {
    let bytes = std::fs::read(format!("{FOLDER}/bzip2-read-after-damage.7z")).unwrap();
    let budget = Budget::default();
    // The packed stream begins behind the 7z signature header.
    let mut stream = decoder(Container::Bzip2, &bytes[32..], &budget).unwrap();
    for _ in 0..3 {
        assert!(std::io::copy(&mut stream, &mut std::io::sink()).is_err(), "damaged content was read");
    }
}
