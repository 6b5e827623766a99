//! Bytes as an entry bundle and as the name of a tile: whatever is read is written back.
#![no_main]

use gauntlet_ledger::record::Record;
use gauntlet_ledger::tile::{Tile, split_bundle};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(entries) = split_bundle(data) {
        assert!(entries.len() <= 256);
        let mut written = Vec::new();
        for entry in entries {
            written.extend((entry.len() as u16).to_be_bytes());
            written.extend(entry);
            if let Ok(record) = Record::parse(entry) {
                assert_eq!(record.to_bytes().expect("what is read is written"), entry);
            }
        }
        assert_eq!(written, data);
    }
    if let Some(tile) = std::str::from_utf8(data).ok().and_then(Tile::parse) {
        assert_eq!(tile.path().as_bytes(), data);
        assert_eq!(Tile::of(tile.kind, tile.index, u64::MAX).map(|whole| whole.index), Some(tile.index));
    }
});
