//! The first byte names a compression, the rest is its stream: zstd and lz4 above all, whose frames are followed here.
#![no_main]

use std::io::{copy, sink};

use gauntlet_archive::{Container, decoder};
use gauntlet_fuzz::budget;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    let containers = [
        Container::Zstd,
        Container::Lz4,
        Container::Gzip,
        Container::Bzip2,
        Container::Xz,
        Container::Lzma,
        Container::Zlib,
    ];
    let container = containers[usize::from(*first) % containers.len()];
    let budget = budget();
    let Ok(mut stream) = decoder(container, rest, &budget) else { return };
    let done = copy(&mut stream, &mut sink());
    assert!(done.unwrap_or(0) <= budget.limits().expanded_bytes, "more bytes came out than the limit allows");
    let info = stream.info();
    let info = info.lock().unwrap();
    assert!(info.trailing.is_none_or(|from| from <= rest.len() as u64), "something follows behind the end");
});
