//! How fast the hashes are by themselves: so many bytes from memory, on so many threads.
//!
//! `hash_rate sha256|blake3 BYTES THREADS`; prints the seconds. The buffer fits into a core's own cache, so that nothing but
//! the hash is measured. `benches/trust.py` compares signing and verifying with it.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;
use std::time::Instant;

use sha2::{Digest as _, Sha256};

const BUFFER: usize = 128 << 10;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match arguments.as_slice() {
        [hash, bytes, threads] => Some((hash.as_str(), bytes.parse::<usize>(), threads.parse::<usize>())),
        _ => None,
    };
    let Some((hash @ ("sha256" | "blake3"), Ok(bytes), Ok(threads @ 1..))) = parsed else {
        eprintln!("usage: hash_rate sha256|blake3 BYTES THREADS");
        return ExitCode::from(2);
    };
    let rounds = bytes / threads / BUFFER;
    let started = Instant::now();
    let digests: Vec<u8> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(move || run(hash, rounds))).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).flatten().collect()
    });
    let took = started.elapsed();
    // The digests are used, so that no hash is optimised away.
    println!("{:.4} {:02x}", took.as_secs_f64(), digests.iter().fold(0, |a, b| a ^ b));
    ExitCode::SUCCESS
}

fn run(hash: &str, rounds: usize) -> Vec<u8> {
    let buffer = vec![0x5a; BUFFER];
    if hash == "blake3" {
        let mut hasher = blake3::Hasher::new();
        (0..rounds).for_each(|_| {
            hasher.update(&buffer);
        });
        return hasher.finalize().as_bytes().to_vec();
    }
    let mut hasher = Sha256::new();
    (0..rounds).for_each(|_| hasher.update(&buffer));
    hasher.finalize().to_vec()
}
