//! Hashing files and ranges on all cores: largest first, one buffer a worker, read by position without mapping.
//!
//! SHA-256 and BLAKE2b are serial, so that files and shards are what runs in parallel; a large file under BLAKE3 is
//! split along the hash's own tree.

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use blake2::Blake2b512;
use blake3::hazmat::{
    ChainingValue, HasherExt as _, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root,
};
use gauntlet_core::Stamp;
use gauntlet_limits::ReadAt as _;
use rayon::iter::{IndexedParallelIterator as _, IntoParallelIterator as _, ParallelIterator as _};
use sha2::{Digest as _, Sha256};

/// Bytes read at once: with the hasher's own state they fit into a core's second-level cache.
const PIECE: usize = 128 << 10;
/// Bytes that one task hashes under BLAKE3; a power of two above its chunk of 1 KiB, so that parts are subtrees.
const PART: u64 = 4 << 20;

/// The hashes of the format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashType {
    /// SHA-256.
    #[default]
    Sha256,
    /// BLAKE2b with 64 bytes.
    Blake2b,
    /// BLAKE3 with 32 bytes.
    Blake3,
}

impl HashType {
    /// The name in `hash_type` and `algorithm`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Blake2b => "blake2b",
            Self::Blake3 => "blake3",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Blake2b, Self::Blake3].into_iter().find(|hash| hash.as_str() == name)
    }

    /// Bytes of one digest.
    pub(super) fn size(self) -> usize {
        match self {
            Self::Blake2b => 64,
            Self::Sha256 | Self::Blake3 => 32,
        }
    }
}

/// What may help with hashing. Nothing by default: every byte is read, and nobody is told how far it is.
#[derive(Clone, Default)]
pub struct Hashing {
    /// Digests that are known from an earlier run; they are believed, so give them only when the user asked for it.
    pub known: Option<Arc<dyn KnownDigests>>,
    /// Called with the number of bytes that have just been done.
    pub progress: Option<Arc<dyn Fn(u64) + Send + Sync>>,
}

impl fmt::Debug for Hashing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hashing").field("known", &self.known.is_some()).finish_non_exhaustive()
    }
}

impl Hashing {
    pub(crate) fn done(&self, bytes: u64) {
        if let Some(progress) = &self.progress {
            progress(bytes);
        }
    }
}

/// A table of digests by what the system says about a file (device, inode, size, times).
///
/// Whoever can set a file's times, or writes while they stand still, can make such a table lie; it saves time where
/// that is no concern, and is no proof.
pub trait KnownDigests: Send + Sync {
    /// The digest of a whole file that looked like this.
    fn get(&self, hash: HashType, stamp: &Stamp) -> Option<Vec<u8>>;
    /// A whole file that looked like this before and after was read.
    fn learn(&self, hash: HashType, stamp: &Stamp, digest: &[u8]);
}

/// One thing to hash.
pub(super) struct Job<'a> {
    /// The name inside the model.
    pub(super) name: &'a str,
    pub(super) path: &'a Path,
    /// Follow a link at `path`; its folders were walked and are no links.
    pub(super) follow: bool,
    /// Size when the folder was walked. A file that has another when it is opened is being written to.
    pub(super) size: u64,
    /// The range to hash, within `size`.
    pub(super) start: u64,
    pub(super) end: u64,
    /// What was signed; only who writes the bytes elsewhere at once needs it.
    pub(super) signed: Option<&'a [u8]>,
}

/// Hashes every job, in the order given. An error belongs to its job alone.
pub(super) fn hash_all(hash: HashType, jobs: &[Job<'_>], hashing: &Hashing) -> Vec<io::Result<Vec<u8>>> {
    let order = largest_first(jobs);
    let next = AtomicUsize::new(0);
    let workers = rayon::current_num_threads().min(jobs.len());
    let done: Vec<Vec<(usize, io::Result<Vec<u8>>)>> = (0..workers)
        .into_par_iter()
        .with_max_len(1)
        .map(|_| {
            let mut buffer = vec![0; PIECE];
            let mut mine = Vec::new();
            while let Some(&i) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                mine.push((i, hash_one(hash, &jobs[i], hashing, &mut buffer)));
            }
            mine
        })
        .collect();
    in_order(jobs.len(), done)
}

/// Hashes whole files that are no links, each of the size that it was seen with.
pub(crate) fn hash_whole(hash: HashType, files: &[(PathBuf, u64)], hashing: &Hashing) -> Vec<io::Result<Vec<u8>>> {
    let jobs: Vec<Job<'_>> = files
        .iter()
        .map(|(path, size)| Job { name: "", path, follow: false, size: *size, start: 0, end: *size, signed: None })
        .collect();
    hash_all(hash, &jobs, hashing)
}

/// Largest first, so that no long file is left for the end when the other cores have nothing more to do.
pub(super) fn largest_first(jobs: &[Job<'_>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(jobs[i].end - jobs[i].start));
    order
}

/// Results by worker, put back into the order of the jobs.
pub(super) fn in_order(jobs: usize, done: Vec<Vec<(usize, io::Result<Vec<u8>>)>>) -> Vec<io::Result<Vec<u8>>> {
    let mut results: Vec<io::Result<Vec<u8>>> = Vec::new();
    results.resize_with(jobs, || Err(io::ErrorKind::Other.into()));
    for (i, result) in done.into_iter().flatten() {
        results[i] = result;
    }
    results
}

fn hash_one(hash: HashType, job: &Job<'_>, hashing: &Hashing, buffer: &mut [u8]) -> io::Result<Vec<u8>> {
    let (file, metadata) = open_regular(job.path, job.follow)?;
    unchanged(&metadata, job.size)?;
    let stamp = Stamp::of(&metadata);
    let known = hashing.known.as_deref().filter(|_| job.start == 0 && job.end == job.size);
    if let Some(digest) = known.and_then(|known| known.get(hash, &stamp)).filter(|digest| digest.len() == hash.size()) {
        hashing.done(job.size);
        return Ok(digest);
    }
    let digest = if hash == HashType::Blake3 && job.end - job.start > PART {
        blake3_of(&file, job.start, job.end - job.start, hashing)?.to_vec()
    } else {
        let mut hasher = Hasher::new(hash);
        each_piece(&file, job.start..job.end, buffer, |bytes| {
            hasher.update(bytes);
            hashing.done(bytes.len() as u64);
            Ok(())
        })?;
        hasher.finish()
    };
    let after = file.metadata()?;
    unchanged(&after, job.size)?;
    if let Some(known) = known.filter(|_| Stamp::of(&after) == stamp) {
        known.learn(hash, &stamp, &digest);
    }
    Ok(digest)
}

/// Hands the range to `take` piece by piece; a file that ends before the range does is an error.
pub(super) fn each_piece(
    file: &File,
    range: std::ops::Range<u64>,
    buffer: &mut [u8],
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut at = range.start;
    while at < range.end {
        let want = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(buffer.len());
        let n = file.read_at(at, &mut buffer[..want])?;
        if n == 0 {
            return Err(changed());
        }
        take(&buffer[..n])?;
        at += n as u64;
    }
    Ok(())
}

/// BLAKE3 of a whole open file of this size, its parts hashed on all cores.
///
/// # Errors
/// What reading says, `UnexpectedEof` when the file is shorter.
pub fn blake3_file(file: &File, size: u64) -> io::Result<[u8; 32]> {
    blake3_of(file, 0, size, &Hashing::default())
}

fn blake3_of(file: &File, start: u64, len: u64, hashing: &Hashing) -> io::Result<[u8; 32]> {
    let range = Blake3Range { file, start, hashing };
    if len <= PART {
        let mut whole = blake3::Hasher::new();
        range.feed(&mut whole, 0, len)?;
        return Ok(*whole.finalize().as_bytes());
    }
    let middle = left_subtree_len(len);
    let (left, right) = rayon::join(|| range.subtree(0, middle), || range.subtree(middle, len - middle));
    Ok(*merge_subtrees_root(&left?, &right?, Mode::Hash).as_bytes())
}

/// A range of a file; offsets below count from its start.
#[derive(Clone, Copy)]
struct Blake3Range<'a> {
    file: &'a File,
    start: u64,
    hashing: &'a Hashing,
}

impl Blake3Range<'_> {
    /// The chaining value of one subtree of BLAKE3's tree (section 2.1 of its paper); depth is the logarithm of the size.
    fn subtree(self, offset: u64, len: u64) -> io::Result<ChainingValue> {
        if len > PART {
            let middle = left_subtree_len(len);
            let (left, right) =
                rayon::join(|| self.subtree(offset, middle), || self.subtree(offset + middle, len - middle));
            return Ok(merge_subtrees_non_root(&left?, &right?, Mode::Hash));
        }
        let mut part = blake3::Hasher::new();
        part.set_input_offset(offset);
        self.feed(&mut part, offset, len)?;
        Ok(part.finalize_non_root())
    }

    fn feed(self, hasher: &mut blake3::Hasher, offset: u64, len: u64) -> io::Result<()> {
        let start = self.start + offset;
        each_piece(self.file, start..start + len, &mut vec![0; PIECE], |bytes| {
            hasher.update(bytes);
            self.hashing.done(bytes.len() as u64);
            Ok(())
        })
    }
}

/// Opens without waiting (a pipe would) and, unless `follow`, without stepping through a link that has just been put
/// in place of the file.
pub(super) fn open_regular(path: &Path, follow: bool) -> io::Result<(File, Metadata)> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        let flags = if follow { OFlags::NONBLOCK } else { OFlags::NONBLOCK | OFlags::NOFOLLOW };
        options.custom_flags(flags.bits().cast_signed());
    }
    #[cfg(not(unix))]
    let _ = follow;
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok((file, metadata)) } else { Err(changed()) }
}

pub(super) fn unchanged(metadata: &Metadata, size: u64) -> io::Result<()> {
    if metadata.len() == size { Ok(()) } else { Err(changed()) }
}

fn changed() -> io::Error {
    io::Error::other("changed while it was being read")
}

pub(super) enum Hasher {
    Sha256(Sha256),
    Blake2b(Box<Blake2b512>),
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    pub(super) fn new(hash: HashType) -> Self {
        match hash {
            HashType::Sha256 => Self::Sha256(Sha256::new()),
            HashType::Blake2b => Self::Blake2b(Box::new(Blake2b512::new())),
            HashType::Blake3 => Self::Blake3(Box::new(blake3::Hasher::new())),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Blake2b(hasher) => hasher.update(bytes),
            Self::Blake3(hasher) => {
                hasher.update(bytes);
            }
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha256(hasher) => hasher.finalize().to_vec(),
            Self::Blake2b(hasher) => hasher.finalize().to_vec(),
            Self::Blake3(hasher) => hasher.finalize().as_bytes().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_whole_files_hash_as_their_bytes_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let bytes: Vec<u8> = (0..700_000u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
        std::fs::write(&path, &bytes).unwrap();
        let size = bytes.len() as u64;
        let job = |start, end| Job { name: "f", path: &path, follow: false, size, start, end, signed: None };
        let jobs = [job(0, 10), job(0, size), job(5, 600_000), job(7, 7)];
        let results = hash_all(HashType::Sha256, &jobs, &Hashing::default());
        for (job, result) in jobs.iter().zip(results) {
            let range = usize::try_from(job.start).unwrap()..usize::try_from(job.end).unwrap();
            assert_eq!(result.unwrap(), Sha256::digest(&bytes[range]).to_vec());
        }
        let whole = hash_all(HashType::Blake3, &[job(0, size)], &Hashing::default()).remove(0).unwrap();
        assert_eq!(whole, blake3::hash(&bytes).as_bytes());
        let whole = hash_all(HashType::Blake2b, &[job(0, size)], &Hashing::default()).remove(0).unwrap();
        assert_eq!(whole.len(), HashType::Blake2b.size());
    }

    #[test]
    fn a_file_of_another_size_is_an_error_of_its_own_job() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, b"abc").unwrap();
        fn job(path: &Path, size: u64) -> Job<'_> {
            Job { name: "f", path, follow: false, size, start: 0, end: size, signed: None }
        }
        let jobs = [job(&path, 4), job(&path, 3), job(folder.path(), 3)];
        let results = hash_all(HashType::Sha256, &jobs, &Hashing::default());
        assert!(results[0].as_ref().unwrap_err().to_string().contains("changed"));
        assert!(results[1].is_ok());
        assert!(results[2].is_err());
    }

    #[test]
    fn large_ranges_under_blake3_hash_as_their_bytes_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let part = usize::try_from(PART).unwrap();
        let bytes: Vec<u8> = (0..5 * part).map(|i| (i * 31 + i / 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let size = bytes.len() as u64;
        let sizes = [0, 1, 70_000, part, part + 1, 3 * part + 1024, 5 * part - 7];
        for (start, end) in sizes.map(|end| (0, end)).into_iter().chain([(3, 4 * part + 5), (part, 5 * part)]) {
            let job =
                Job { name: "f", path: &path, follow: false, size, start: start as u64, end: end as u64, signed: None };
            let found = hash_all(HashType::Blake3, &[job], &Hashing::default()).remove(0).unwrap();
            assert_eq!(found, blake3::hash(&bytes[start..end]).as_bytes(), "{start}..{end}");
        }
        let file = File::open(&path).unwrap();
        assert_eq!(blake3_file(&file, size).unwrap(), *blake3::hash(&bytes).as_bytes());
        assert!(blake3_file(&file, size + 1).is_err());
    }

    #[derive(Default)]
    struct Table(std::sync::Mutex<Vec<(HashType, Stamp, Vec<u8>)>>);

    impl KnownDigests for Table {
        fn get(&self, hash: HashType, stamp: &Stamp) -> Option<Vec<u8>> {
            let table = self.0.lock().unwrap();
            table.iter().find(|(h, s, _)| *h == hash && s == stamp).map(|(_, _, digest)| digest.clone())
        }

        fn learn(&self, hash: HashType, stamp: &Stamp, digest: &[u8]) {
            self.0.lock().unwrap().push((hash, *stamp, digest.to_vec()));
        }
    }

    #[test]
    fn a_known_digest_is_taken_for_whole_files_of_the_same_stamp_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, b"abc").unwrap();
        let job = |start, end| Job { name: "f", path: &path, follow: false, size: 3, start, end, signed: None };
        let table = Arc::new(Table::default());
        let hashing = Hashing { known: Some(table.clone()), progress: None };
        let digest = |job| hash_all(HashType::Sha256, &[job], &hashing).remove(0).unwrap();
        assert_eq!(digest(job(0, 3)), Sha256::digest(b"abc").to_vec());
        // A lie shows whether the table was asked.
        table.0.lock().unwrap()[0].2 = vec![7; 32];
        assert_eq!(digest(job(0, 3)), [7; 32]);
        assert_eq!(digest(job(0, 2)), Sha256::digest(b"ab").to_vec(), "a range is never taken from the table");
        let other = hash_all(HashType::Blake3, &[job(0, 3)], &hashing).remove(0).unwrap();
        assert_eq!(other, blake3::hash(b"abc").as_bytes());
        table.0.lock().unwrap()[0].2 = vec![7; 31];
        assert_eq!(digest(job(0, 3)), Sha256::digest(b"abc").to_vec(), "a digest of another length is none");
    }
}
