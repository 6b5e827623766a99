//! Bytes as a table of each format (the first byte chooses): an answer, and no more rows than the bytes can hold.
#![no_main]

use gauntlet_data::exercise;
use gauntlet_fuzz::limits;
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 11] = [
    "a.csv", "a.tsv", "a.jsonl", "a.parquet", "a.arrow", "a.arrows", "a.avro", "a.npy", "a.csv.gz", "a.jsonl.zst", "a.png",
];

fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_first() else { return };
    let name = NAMES[usize::from(*choice) % NAMES.len()];
    let (rows, said) = exercise(name, bytes.to_vec(), &limits());
    // Text of n bytes has at most n lines; a Parquet page of equal values is bounded by the ratio.
    assert!(rows <= 20_000_000, "{name}: {rows} rows of {} bytes ({said:?})", bytes.len());
});
