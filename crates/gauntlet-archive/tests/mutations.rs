//! Seeded mutations of small containers: nothing may panic, hang or leave its budget.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use std::io::Write;

use gauntlet_archive::exercise;
use gauntlet_limits::{Budget, Limits};

struct Xorshift(u64);

impl Xorshift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/archive");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut seeds: Vec<_> = paths
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e != "md"))
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"some text, some more text").unwrap();
    seeds.push(gzip.finish().unwrap());
    seeds
}

#[test]
fn mutated_containers_end_in_an_answer() {
    let seeds = seeds();
    assert!(seeds.len() > 5);
    let limits = Limits { expanded_bytes: 1 << 20, members: 2000, ..Limits::default() };
    let mut random = Xorshift(0x9e37_79b9_7f4a_7c15);
    for round in 0..6000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..=random.below(6) {
            let at = random.below(bytes.len());
            match random.below(5) {
                0 => bytes.truncate(at),
                1 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
                2 if !bytes.is_empty() => bytes[at] = [0, 0xff, 0x7f, 0x80][random.below(4)],
                3 => {
                    let other = &seeds[random.below(seeds.len())];
                    let from = random.below(other.len());
                    let to = (from + random.below(64)).min(other.len());
                    bytes.splice(at..at, other[from..to].iter().copied());
                }
                _ => {
                    let to = (at + random.below(64)).min(bytes.len());
                    bytes.drain(at..to);
                }
            }
        }
        // Errors are answers; only a panic or an endless loop would fail here.
        exercise(&bytes, &Budget::new(limits.clone())).ok();
    }
}
