//! Names a tree's files by SHA-256, in parallel, reusing what is known to be unchanged.
//!
//! A file is known by its BLAKE3 (content that hashed to X before hashes to X again, at a quarter of the cost) and, where the
//! user allows it, by inode, size and times. The table is kept under a key that only this user has, so a table that came
//! with somebody's repository counts for nothing.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Context;
use gauntlet_core::{Stamp, Tree, TreeFile, open_regular};
use gauntlet_trust::oms::{HashType, Hashing, KnownDigests, blake3_file};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::cli::Global;
use crate::progress::Meter;
use crate::state::UserConfig;

const MAGIC: &[u8; 8] = b"GNTHASH1";
const RECORD: usize = 32 + 32 + 56;
const MAC: usize = 32;
/// Larger tables start anew; 400,000 records are 48 MB.
const MAX_RECORDS: usize = 400_000;
/// Below this, SHA-256 alone is quicker than looking.
const SMALL: u64 = 64 << 10;
/// Stands for the BLAKE3 of a file that has none in the table: too small for it, or learned by its SHA-256 alone.
const SMALL_FILE: Hash = [0; 32];
const CHUNK: usize = 1 << 20;
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
    /// How often [`KnownDigests::get`] had an answer.
    believed: AtomicU64,
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

    /// What the times vouch for, if the user lets them: BLAKE3 (or [`SMALL_FILE`]) and SHA-256.
    fn by_times(&self, stamp: &Stamp) -> Option<(Hash, Hash)> {
        let believed = self.trust_stamps && stamp.changed_second() + SETTLED < self.now;
        self.by_stamp.get(&stamp.to_bytes()).filter(|_| believed).copied()
    }

    fn of(&self, root: &Path, file: &TreeFile) -> io::Result<Hash> {
        if let Some((_, sha256)) = self.by_times(&file.stamp) {
            return Ok(sha256);
        }
        if file.size < SMALL {
            let sha256 = file.sha256(root)?;
            self.note(SMALL_FILE, sha256, file.stamp);
            return Ok(sha256);
        }
        if self.by_content.is_empty() {
            let (content, sha256) = both(root, file)?;
            self.note(content, sha256, file.stamp);
            return Ok(sha256);
        }
        let content = blake3_of(root, file)?;
        let sha256 = match self.by_content.get(&content) {
            Some(sha256) => *sha256,
            None => file.sha256(root)?,
        };
        self.note(content, sha256, file.stamp);
        Ok(sha256)
    }

    fn note(&self, content: Hash, sha256: Hash, stamp: Stamp) {
        if let Ok(mut learned) = self.learned.lock() {
            learned.push((content, sha256, stamp));
        }
    }

    /// Files whose times were believed in this run.
    pub(crate) fn believed(&self) -> u64 {
        self.believed.load(Ordering::Relaxed)
    }
}

/// Model signatures ask by times alone: a table of contents would not save them the reading.
impl KnownDigests for KnownHashes {
    fn get(&self, hash: HashType, stamp: &Stamp) -> Option<Vec<u8>> {
        let (content, sha256) = self.by_times(stamp)?;
        let digest = match hash {
            HashType::Sha256 => Some(sha256),
            HashType::Blake3 => Some(content).filter(|content| *content != SMALL_FILE),
            HashType::Blake2b => None,
        };
        if digest.is_some() {
            self.believed.fetch_add(1, Ordering::Relaxed);
        }
        digest.map(Vec::from)
    }

    fn learn(&self, hash: HashType, stamp: &Stamp, digest: &[u8]) {
        if let (HashType::Sha256, Ok(sha256)) = (hash, Hash::try_from(digest)) {
            self.note(SMALL_FILE, sha256, *stamp);
        }
    }
}

/// What helps a model signature with hashing: a meter, and the table of known hashes when the user trusts times.
pub(crate) struct SignatureHashing {
    pub(crate) hashing: Hashing,
    meter: Arc<Meter>,
    known: Option<(Arc<KnownHashes>, PathBuf, Hash)>,
}

impl SignatureHashing {
    /// `trusted` opens the user's folder, where the table lies, and names the time of this run.
    pub(crate) fn new(global: &Global, what: &str, trusted: Option<(UserConfig, i64)>) -> anyhow::Result<Self> {
        let meter = Arc::new(Meter::new(!global.quiet && !global.no_progress));
        meter.step(what);
        let known = match trusted {
            None => None,
            Some((config, now)) => {
                let (path, key) = (config.hashes()?, config.cache_key()?);
                Some((Arc::new(KnownHashes::load(&path, &key, true, now)), path, key))
            }
        };
        let ticking = Arc::clone(&meter);
        let hashing = Hashing {
            known: known.as_ref().map(|(known, ..)| Arc::clone(known) as Arc<dyn KnownDigests>),
            progress: Some(Arc::new(move |bytes| ticking.tick(bytes))),
        };
        Ok(Self { hashing, meter, known })
    }

    /// Clears the meter and keeps what was learned. A sentence when times were believed: it belongs into the result.
    pub(crate) fn finish(&self) -> anyhow::Result<Option<String>> {
        self.meter.finish();
        let Some((known, path, key)) = &self.known else { return Ok(None) };
        known.store(path, key).with_context(|| format!("cannot write {}", path.display()))?;
        let count = known.believed();
        let text = format!("{count} file(s) were not read: inode, size and times are those of an earlier run");
        Ok((count > 0).then_some(text))
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

/// BLAKE3 of a file, its parts hashed in parallel.
fn blake3_of(root: &Path, file: &TreeFile) -> io::Result<Hash> {
    let handle = open_regular(root, file)?;
    let hash = blake3_file(&handle, file.size)?;
    file.unchanged(&handle)?;
    Ok(hash)
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

    #[test]
    fn signatures_learn_from_the_table_and_ask_it_only_when_times_are_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, b"x").unwrap();
        let stamp = Stamp::of(&std::fs::metadata(&path).unwrap());
        let table = dir.path().join("table");
        let first = KnownHashes::load(&table, &[1; 32], true, 0);
        assert_eq!(first.get(HashType::Sha256, &stamp), None);
        first.learn(HashType::Sha256, &stamp, &[9; 32]);
        first.store(&table, &[1; 32]).unwrap();
        let later = stamp.changed_second() + 10;
        let ask = |trusted, now, hash| KnownHashes::load(&table, &[1; 32], trusted, now).get(hash, &stamp);
        assert_eq!(ask(true, later, HashType::Sha256), Some(vec![9; 32]));
        assert_eq!(ask(true, later, HashType::Blake3), None, "what was learned as SHA-256 is no BLAKE3");
        assert_eq!(ask(true, later, HashType::Blake2b), None);
        assert_eq!(ask(false, later, HashType::Sha256), None);
        assert_eq!(ask(true, stamp.changed_second(), HashType::Sha256), None, "the file may still be written to");
    }
}
