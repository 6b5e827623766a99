//! Hashing files and ranges on all cores: largest first, one buffer a worker, read by position without mapping.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use blake2::Blake2b512;
use gauntlet_limits::ReadAt as _;
use rayon::iter::{IndexedParallelIterator as _, IntoParallelIterator as _, ParallelIterator as _};
use sha2::{Digest as _, Sha256};

/// Larger gains nothing and falls out of a core's own cache.
const BUFFER: usize = 256 << 10;

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

/// One thing to hash.
pub(super) struct Job<'a> {
    pub(super) path: &'a Path,
    /// Follow a link at `path`; its folders were walked and are no links.
    pub(super) follow: bool,
    /// Size when the folder was walked. A file that has another when it is opened is being written to.
    pub(super) size: u64,
    /// The range to hash, within `size`.
    pub(super) start: u64,
    pub(super) end: u64,
}

/// Hashes every job, in the order given. An error belongs to its job alone.
pub(super) fn hash_all(hash: HashType, jobs: &[Job<'_>]) -> Vec<io::Result<Vec<u8>>> {
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    // Largest first, so that no long file is left for the end when the other cores have nothing more to do.
    order.sort_by_key(|&i| std::cmp::Reverse(jobs[i].end - jobs[i].start));
    let next = AtomicUsize::new(0);
    let workers = rayon::current_num_threads().min(jobs.len());
    let done: Vec<Vec<(usize, io::Result<Vec<u8>>)>> = (0..workers)
        .into_par_iter()
        .with_max_len(1)
        .map(|_| {
            let mut buffer = vec![0; BUFFER];
            let mut mine = Vec::new();
            while let Some(&i) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                mine.push((i, hash_one(hash, &jobs[i], &mut buffer)));
            }
            mine
        })
        .collect();
    let mut results: Vec<io::Result<Vec<u8>>> = Vec::new();
    results.resize_with(jobs.len(), || Err(io::ErrorKind::Other.into()));
    for (i, result) in done.into_iter().flatten() {
        results[i] = result;
    }
    results
}

fn hash_one(hash: HashType, job: &Job<'_>, buffer: &mut [u8]) -> io::Result<Vec<u8>> {
    let (file, metadata) = open_regular(job.path, job.follow)?;
    unchanged(&metadata, job.size)?;
    let mut hasher = Hasher::new(hash);
    let mut at = job.start;
    while at < job.end {
        let want = usize::try_from(job.end - at).unwrap_or(usize::MAX).min(buffer.len());
        let n = file.read_at(at, &mut buffer[..want])?;
        if n == 0 {
            return Err(changed());
        }
        hasher.update(&buffer[..n]);
        at += n as u64;
    }
    unchanged(&file.metadata()?, job.size)?;
    Ok(hasher.finish())
}

/// Opens without waiting (a pipe would) and, unless `follow`, without stepping through a link that has just been put
/// in place of the file.
fn open_regular(path: &Path, follow: bool) -> io::Result<(File, Metadata)> {
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

fn unchanged(metadata: &Metadata, size: u64) -> io::Result<()> {
    if metadata.len() == size { Ok(()) } else { Err(changed()) }
}

fn changed() -> io::Error {
    io::Error::other("changed while it was being read")
}

enum Hasher {
    Sha256(Sha256),
    Blake2b(Box<Blake2b512>),
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    fn new(hash: HashType) -> Self {
        match hash {
            HashType::Sha256 => Self::Sha256(Sha256::new()),
            HashType::Blake2b => Self::Blake2b(Box::new(Blake2b512::new())),
            HashType::Blake3 => Self::Blake3(Box::new(blake3::Hasher::new())),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Blake2b(hasher) => hasher.update(bytes),
            Self::Blake3(hasher) => {
                hasher.update(bytes);
            }
        }
    }

    fn finish(self) -> Vec<u8> {
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
        let job = |start, end| Job { path: &path, follow: false, size, start, end };
        let jobs = [job(0, 10), job(0, size), job(5, 600_000), job(7, 7)];
        let results = hash_all(HashType::Sha256, &jobs);
        for (job, result) in jobs.iter().zip(results) {
            let range = usize::try_from(job.start).unwrap()..usize::try_from(job.end).unwrap();
            assert_eq!(result.unwrap(), Sha256::digest(&bytes[range]).to_vec());
        }
        let whole = hash_all(HashType::Blake3, &[job(0, size)]).remove(0).unwrap();
        assert_eq!(whole, blake3::hash(&bytes).as_bytes());
        let whole = hash_all(HashType::Blake2b, &[job(0, size)]).remove(0).unwrap();
        assert_eq!(whole.len(), HashType::Blake2b.size());
    }

    #[test]
    fn a_file_of_another_size_is_an_error_of_its_own_job() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, b"abc").unwrap();
        let jobs = [
            Job { path: &path, follow: false, size: 4, start: 0, end: 4 },
            Job { path: &path, follow: false, size: 3, start: 0, end: 3 },
            Job { path: folder.path(), follow: false, size: 3, start: 0, end: 3 },
        ];
        let results = hash_all(HashType::Sha256, &jobs);
        assert!(results[0].as_ref().unwrap_err().to_string().contains("changed"));
        assert!(results[1].is_ok());
        assert!(results[2].is_err());
    }
}
