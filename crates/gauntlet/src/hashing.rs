//! Names a tree's files by SHA-256, in parallel, reusing what is known to be unchanged.
//!
//! A file is known by its BLAKE3 (content that hashed to X before hashes to X again, at a quarter of the cost) and, where the
//! user allows it, by inode, size and times. The table is kept under a key that only this user has, so a table that came
//! with somebody's repository counts for nothing.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Mutex;

use blake3::hazmat::{ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};
use gauntlet_core::{Stamp, Tree, TreeFile, open_regular};
use gauntlet_limits::ReadAt;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::progress::Meter;

const MAGIC: &[u8; 8] = b"GNTHASH1";
const RECORD: usize = 32 + 32 + 56;
const MAC: usize = 32;
/// Larger tables start anew; 400,000 records are 48 MB.
const MAX_RECORDS: usize = 400_000;
/// Below this, SHA-256 alone is quicker than looking.
const SMALL: u64 = 64 << 10;
/// Stands for the BLAKE3 of a file too small to have one in the table.
const SMALL_FILE: Hash = [0; 32];
const CHUNK: usize = 1 << 20;
/// Bytes that one task hashes; a power of two above BLAKE3's chunk of 1 KiB, so that parts are subtrees.
const PART: u64 = 4 << 20;
/// Bytes read at once: with the hasher's own state they fit into a core's second-level cache.
const PIECE: usize = 128 << 10;
/// Seconds that a file must have been left alone before its times are taken as proof (a change within the clock's
/// resolution would not show).
const SETTLED: i64 = 2;

type Hash = [u8; 32];

/// What is known about files from earlier runs.
#[derive(Default)]
pub(crate) struct KnownHashes {
    by_content: HashMap<Hash, Hash>,
    by_stamp: HashMap<[u8; 56], (Hash, Hash)>,
    trust_stamps: bool,
    /// Seconds since 1970 at which this run reads.
    now: i64,
    learned: Mutex<Vec<(Hash, Hash, Stamp)>>,
}

impl KnownHashes {
    /// Reads a table; anything wrong with it (absent, cut, written under another key) makes an empty one.
    pub(crate) fn load(path: &Path, key: &Hash, trust_stamps: bool, now: i64) -> Self {
        let mut known = Self { trust_stamps, now, ..Self::default() };
        let Ok(bytes) = std::fs::read(path) else { return known };
        let Some(records) = authentic(&bytes, key) else { return known };
        for record in records.chunks_exact(RECORD) {
            let (content, rest) = record.split_at(32);
            let (sha256, stamp) = rest.split_at(32);
            if let (Ok(content), Ok(sha256), Ok(stamp)) = (content.try_into(), sha256.try_into(), stamp.try_into()) {
                if content != SMALL_FILE {
                    known.by_content.insert(content, sha256);
                }
                known.by_stamp.insert(stamp, (content, sha256));
            }
        }
        known
    }

    /// Writes what this run learned and what it found again; nothing when nothing is new.
    pub(crate) fn store(&self, path: &Path, key: &Hash) -> io::Result<()> {
        let learned = match self.learned.lock() {
            Ok(guard) => guard,
            Err(poisoned) => poisoned.into_inner(),
        };
        let mut records: HashMap<[u8; 56], (Hash, Hash)> = self.by_stamp.clone();
        let mut new = false;
        for (content, sha256, stamp) in learned.iter() {
            new |= records.insert(stamp.to_bytes(), (*content, *sha256)).is_none();
        }
        if !new {
            return Ok(());
        }
        if records.len() > MAX_RECORDS {
            records = learned.iter().map(|(content, sha256, stamp)| (stamp.to_bytes(), (*content, *sha256))).collect();
        }
        let mut bytes = Vec::with_capacity(MAGIC.len() + records.len() * RECORD + MAC);
        bytes.extend_from_slice(MAGIC);
        for (stamp, (content, sha256)) in &records {
            bytes.extend_from_slice(content);
            bytes.extend_from_slice(sha256);
            bytes.extend_from_slice(stamp);
        }
        let mac = blake3::keyed_hash(key, &bytes);
        bytes.extend_from_slice(mac.as_bytes());
        gauntlet_core::write_durably(path, &bytes, 0o644)
    }

    fn of(&self, root: &Path, file: &TreeFile) -> io::Result<Hash> {
        if self.trust_stamps
            && file.stamp.changed_second() + SETTLED < self.now
            && let Some((_, sha256)) = self.by_stamp.get(&file.stamp.to_bytes())
        {
            return Ok(*sha256);
        }
        if file.size < SMALL {
            let sha256 = file.sha256(root)?;
            self.learn(SMALL_FILE, sha256, file);
            return Ok(sha256);
        }
        if self.by_content.is_empty() {
            let (content, sha256) = both(root, file)?;
            self.learn(content, sha256, file);
            return Ok(sha256);
        }
        let content = blake3_of(root, file)?;
        let sha256 = match self.by_content.get(&content) {
            Some(sha256) => *sha256,
            None => file.sha256(root)?,
        };
        self.learn(content, sha256, file);
        Ok(sha256)
    }

    fn learn(&self, content: Hash, sha256: Hash, file: &TreeFile) {
        if let Ok(mut learned) = self.learned.lock() {
            learned.push((content, sha256, file.stamp));
        }
    }
}

/// SHA-256 of every file of a tree, in its order; what cannot be read is named with the reason.
pub(crate) fn hash_tree(tree: &Tree, known: Option<&KnownHashes>, meter: &Meter) -> Vec<Result<String, String>> {
    // Largest first, so that one big file does not start when everything else is done.
    let mut order: Vec<usize> = (0..tree.files.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(tree.files[i].size));
    let mut hashes: Vec<(usize, Result<String, String>)> = order
        .into_par_iter()
        .with_max_len(64)
        .map(|i| {
            let file = &tree.files[i];
            let hash = match known {
                Some(known) => known.of(&tree.root, file),
                None => file.sha256(&tree.root),
            };
            meter.tick(file.size);
            (i, hash.map(hex::encode).map_err(|error| error.to_string()))
        })
        .collect();
    hashes.sort_by_key(|(i, _)| *i);
    hashes.into_iter().map(|(_, hash)| hash).collect()
}

/// BLAKE3 and SHA-256 in one reading, each on a core of its own.
fn both(root: &Path, file: &TreeFile) -> io::Result<(Hash, Hash)> {
    let mut handle = open_regular(root, file)?;
    let (mut content, mut sha256) = (blake3::Hasher::new(), Sha256::new());
    let mut buffer = vec![0; CHUNK];
    loop {
        let n = fill(&mut handle, &mut buffer)?;
        if n == 0 {
            break;
        }
        rayon::join(|| content.update(&buffer[..n]), || sha256.update(&buffer[..n]));
    }
    file.unchanged(&handle)?;
    Ok((*content.finalize().as_bytes(), sha256.finalize().into()))
}

/// BLAKE3 of a file, its parts hashed in parallel: each thread reads pieces small enough to stay in its core's cache.
fn blake3_of(root: &Path, file: &TreeFile) -> io::Result<Hash> {
    let handle = open_regular(root, file)?;
    let hash = if file.size <= PART {
        let mut whole = blake3::Hasher::new();
        feed(&mut whole, &handle, 0, file.size)?;
        whole.finalize()
    } else {
        let middle = left_subtree_len(file.size);
        let (left, right) =
            rayon::join(|| subtree(&handle, 0, middle), || subtree(&handle, middle, file.size - middle));
        merge_subtrees_root(&left?, &right?, Mode::Hash)
    };
    file.unchanged(&handle)?;
    Ok(*hash.as_bytes())
}

/// The chaining value of one subtree of BLAKE3's tree (section 2.1 of its paper); depth is the logarithm of the size.
fn subtree(handle: &File, offset: u64, len: u64) -> io::Result<ChainingValue> {
    if len > PART {
        let middle = left_subtree_len(len);
        let (left, right) =
            rayon::join(|| subtree(handle, offset, middle), || subtree(handle, offset + middle, len - middle));
        return Ok(merge_subtrees_non_root(&left?, &right?, Mode::Hash));
    }
    let mut part = blake3::Hasher::new();
    part.set_input_offset(offset);
    feed(&mut part, handle, offset, len)?;
    Ok(part.finalize_non_root())
}

fn feed(hasher: &mut blake3::Hasher, handle: &File, mut offset: u64, len: u64) -> io::Result<()> {
    let end = offset + len;
    let mut buffer = vec![0; PIECE];
    while offset < end {
        let wanted = usize::try_from(end - offset).unwrap_or(PIECE).min(PIECE);
        handle.read_exact_at(offset, &mut buffer[..wanted])?;
        hasher.update(&buffer[..wanted]);
        offset += wanted as u64;
    }
    Ok(())
}

fn fill(handle: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match handle.read(&mut buffer[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

fn authentic<'a>(bytes: &'a [u8], key: &Hash) -> Option<&'a [u8]> {
    let (signed, mac) = bytes.split_at(bytes.len().checked_sub(MAC)?);
    let expected = blake3::keyed_hash(key, signed);
    // blake3::Hash compares in constant time.
    if expected != blake3::Hash::from_bytes(mac.try_into().ok()?) {
        return None;
    }
    signed.strip_prefix(MAGIC.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gauntlet_core::{Limits, TreeOptions};

    fn tree(dir: &Path) -> Tree {
        Tree::read(dir, &TreeOptions::default(), &Limits::default()).unwrap()
    }

    #[test]
    fn known_and_fresh_hashes_agree_and_forged_tables_count_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("big"), vec![7u8; 300_000]).unwrap();
        std::fs::write(data.join("small"), b"x").unwrap();
        let table = dir.path().join("table");
        let meter = Meter::new(false);
        let plain = hash_tree(&tree(&data), None, &meter);
        let key = [1; 32];

        let first = KnownHashes::load(&table, &key, false, 0);
        assert_eq!(hash_tree(&tree(&data), Some(&first), &meter), plain);
        first.store(&table, &key).unwrap();

        let again = KnownHashes::load(&table, &key, false, 0);
        assert_eq!(again.by_stamp.len(), 2);
        assert_eq!(hash_tree(&tree(&data), Some(&again), &meter), plain);

        assert!(KnownHashes::load(&table, &[2; 32], false, 0).by_content.is_empty());
        let mut bytes = std::fs::read(&table).unwrap();
        bytes[20] ^= 1;
        std::fs::write(&table, bytes).unwrap();
        assert!(KnownHashes::load(&table, &key, false, 0).by_content.is_empty());
    }

    #[test]
    fn parts_make_the_hash_of_the_whole() {
        let dir = tempfile::tempdir().unwrap();
        let part = usize::try_from(PART).unwrap();
        for size in [0, 1, 70_000, part, part + 1, 3 * part + 1024, 5 * part - 7] {
            let bytes: Vec<u8> = (0..size).map(|i| (i * 31 + i / 251) as u8).collect();
            std::fs::write(dir.path().join("a"), &bytes).unwrap();
            let tree = tree(dir.path());
            assert_eq!(blake3_of(&tree.root, &tree.files[0]).unwrap(), *blake3::hash(&bytes).as_bytes(), "{size}");
        }
    }

    #[test]
    fn trusted_times_are_used_only_when_settled() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), vec![7u8; 300_000]).unwrap();
        let tree = tree(dir.path());
        let file = &tree.files[0];
        let changed = file.stamp.changed_second();
        for (now, trusted) in [(changed, false), (changed + 10, true)] {
            let mut known = KnownHashes { trust_stamps: true, now, ..KnownHashes::default() };
            known.by_stamp.insert(file.stamp.to_bytes(), ([0; 32], [9; 32]));
            assert_eq!(known.of(&tree.root, file).unwrap() == [9; 32], trusted);
        }
    }
}
