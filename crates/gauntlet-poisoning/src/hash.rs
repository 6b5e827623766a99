//! Hashes of rows and values: fast, keyed by a seed, no proof against whoever knows the seed.

use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

/// 64 bits of some bytes.
#[must_use]
pub fn hash64(bytes: &[u8], seed: u64) -> u64 {
    xxh3_64_with_seed(bytes, seed)
}

/// 128 bits of some bytes: enough to tell all rows of a table apart.
#[must_use]
pub fn hash128(bytes: &[u8], seed: u64) -> u128 {
    xxh3_128_with_seed(bytes, seed)
}
