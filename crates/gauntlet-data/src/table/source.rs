//! Where the bytes of a data file lie and what they are wrapped in. Readers see plain bytes by position or in order;
//! whether those come from a disk or a bucket, encrypted or compressed, is decided here.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gauntlet_archive::{Container, decoder};
use gauntlet_core::{LimitHit, Limits, SkipCode, TreeFile, display_path, open_regular};
use gauntlet_limits::{Budget, ReadAt};
use sha2::{Digest as _, Sha256};

use super::encrypted::{Identities, Plain};
use super::remote::Object;

/// Why a file, or a part of it, could not be read: class and detail.
pub(crate) type Refusal = (SkipCode, String);

/// Bytes that are read at once when a file is read in order.
const BLOCK: usize = 256 << 10;

/// Where the stored bytes are.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// A file below a folder, as it was walked.
    Local { root: PathBuf, file: TreeFile },
    /// An object in a bucket or on a web server, as it was listed.
    Object(Arc<Object>),
    /// Bytes at hand.
    Memory(Arc<Vec<u8>>),
}

/// One data file.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// For people: the path relative to the root, or the address.
    pub(crate) path: String,
    /// Where the stored bytes are.
    pub(crate) origin: Origin,
    /// Stored as an `age` file.
    pub(crate) encrypted: bool,
    /// What the text is compressed with.
    pub(crate) compressed: Option<Container>,
    /// Keys for encrypted files.
    pub(crate) identities: Option<Arc<Identities>>,
    /// What reading may cost.
    pub(crate) limits: Limits,
    /// Names and values of the folders `k=v` that it lies in.
    pub(crate) partitions: Vec<(String, Option<String>)>,
    /// The name without `.age` and `.gz`, from which the format follows.
    name: PathBuf,
}

impl Source {
    /// A file of a walked tree.
    pub(crate) fn local(root: &Path, file: &TreeFile, limits: &Limits) -> Self {
        let origin = Origin::Local { root: root.to_owned(), file: file.clone() };
        Self::new(display_path(&file.path).0, &file.path, origin, limits)
    }

    /// An object of a bucket.
    pub(crate) fn object(object: Arc<Object>, limits: &Limits) -> Self {
        let (shown, name) = (object.address(), PathBuf::from(object.name()));
        Self::new(shown, &name, Origin::Object(object), limits)
    }

    /// Bytes under a name that says what they are.
    pub(crate) fn memory(name: &str, bytes: Vec<u8>, limits: &Limits) -> Self {
        Self::new(name.to_owned(), Path::new(name), Origin::Memory(Arc::new(bytes)), limits)
    }

    fn new(path: String, name: &Path, origin: Origin, limits: &Limits) -> Self {
        let mut name = name.to_owned();
        let encrypted = has_extension(&name, "age");
        if encrypted {
            name.set_extension("");
        }
        let compressed = [("gz", Container::Gzip), ("zst", Container::Zstd), ("zstd", Container::Zstd)];
        let compressed = compressed.into_iter().find(|(word, _)| has_extension(&name, word)).map(|(_, c)| c);
        if compressed.is_some() {
            name.set_extension("");
        }
        Self { path, origin, encrypted, compressed, identities: None, limits: limits.clone(), partitions: Vec::new(), name }
    }

    /// With keys for encrypted files.
    pub(crate) fn with_identities(mut self, identities: Option<Arc<Identities>>) -> Self {
        self.identities = identities;
        self
    }

    /// With the columns of its folders.
    pub(crate) fn with_partitions(mut self, partitions: Vec<(String, Option<String>)>) -> Self {
        self.partitions = partitions;
        self
    }

    /// Under another name for people.
    pub(crate) fn shown_as(mut self, path: String) -> Self {
        self.path = path;
        self
    }

    /// The name from which the format follows: without `.age`, `.gz` and `.zst`.
    pub(crate) fn name(&self) -> &Path {
        &self.name
    }

    /// Stored bytes: encrypted and compressed as they are.
    pub(crate) fn size(&self) -> u64 {
        match &self.origin {
            Origin::Local { file, .. } => file.size,
            Origin::Object(object) => object.size(),
            Origin::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// The server's tag of this version of an object.
    pub(crate) fn version(&self) -> Option<String> {
        match &self.origin {
            Origin::Object(object) => object.version(),
            _ => None,
        }
    }

    /// The file of a walked tree, unless it lies elsewhere.
    pub(crate) fn tree_file(&self) -> Option<&TreeFile> {
        match &self.origin {
            Origin::Local { file, .. } => Some(file),
            _ => None,
        }
    }

    /// Opens the stored bytes, whatever they are wrapped in.
    pub(crate) fn open_stored(&self) -> Result<Stored, Refusal> {
        Ok(match &self.origin {
            Origin::Local { root, file } => {
                let handle = open_regular(root, file).map_err(|e| io_problem(&e))?;
                Stored::File(handle, file.clone())
            }
            Origin::Object(object) => Stored::Object(object.reader()),
            Origin::Memory(bytes) => Stored::Memory(Arc::clone(bytes)),
        })
    }

    /// Opens the bytes by position, decrypted. A compressed file has no positions.
    pub(crate) fn open(&self) -> Result<Handle, Refusal> {
        if let Some(container) = self.compressed {
            let what = format!("{container} around a format that is read by position; store it uncompressed");
            return Err((SkipCode::Unsupported, what));
        }
        self.open_plain()
    }

    /// Opens the bytes by position, decrypted and compressed as they are.
    pub(crate) fn open_plain(&self) -> Result<Handle, Refusal> {
        let stored = Arc::new(self.open_stored()?);
        let bytes: Arc<dyn ReadAt> = if self.encrypted {
            Arc::new(Plain::open(Arc::clone(&stored), self.identities.as_deref())?)
        } else {
            Arc::clone(&stored) as Arc<dyn ReadAt>
        };
        Ok(Handle { bytes, stored })
    }

    /// Hands the bytes to `read` in order, decrypted and decompressed. What `read` makes of them counts only when the
    /// file did not change meanwhile.
    pub(crate) fn stream<T, E: From<Refusal>>(
        &self,
        read: impl FnOnce(&mut dyn Read) -> Result<T, E>,
    ) -> Result<T, E> {
        let handle = self.open_plain()?;
        let mut input = handle.reader();
        let out = match self.compressed {
            None => read(&mut input)?,
            Some(container) => {
                let budget = Budget::new(self.limits.clone());
                let mut decoder = decoder(container, input, &budget)
                    .map_err(|error| (SkipCode::Malformed, format!("{container}: {error}")))?;
                let info = decoder.info();
                let out = read(&mut decoder)?;
                let info = info.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if let Some(at) = info.trailing {
                    let what = format!("{container}: bytes that are not compressed follow at offset {at}");
                    return Err((SkipCode::Malformed, what).into());
                }
                out
            }
        };
        handle.unchanged()?;
        Ok(out)
    }

    /// As [`Source::stream`] for the first part of a file, after which nothing is said about the rest.
    pub(crate) fn stream_head<T>(&self, read: impl FnOnce(&mut dyn Read) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let input = self.open_plain()?.reader();
        let Some(container) = self.compressed else { return read(&mut { input }) };
        let budget = Budget::new(self.limits.clone());
        let decoder = decoder(container, input, &budget);
        read(&mut decoder.map_err(|error| (SkipCode::Malformed, format!("{container}: {error}")))?)
    }

    /// SHA-256 of the stored bytes.
    pub(crate) fn sha256(&self) -> Result<[u8; 32], Refusal> {
        let stored = Arc::new(self.open_stored()?);
        let mut input = AtReader::new(Arc::clone(&stored) as Arc<dyn ReadAt>);
        let (mut hash, mut buffer) = (Sha256::new(), vec![0; BLOCK]);
        loop {
            match input.read(&mut buffer).map_err(|e| io_problem(&e))? {
                0 => break,
                n => hash.update(buffer.get(..n).unwrap_or_default()),
            }
        }
        stored.unchanged()?;
        Ok(hash.finalize().into())
    }
}

/// Open stored bytes.
pub(crate) enum Stored {
    /// A file with what it was when it was walked.
    File(File, TreeFile),
    /// Ranges of an object, each asked for under its entity tag.
    Object(super::remote::Ranges),
    /// Bytes at hand.
    Memory(Arc<Vec<u8>>),
}

impl Stored {
    /// Whether the bytes are still what was listed.
    ///
    /// # Errors
    /// That they changed.
    pub(crate) fn unchanged(&self) -> Result<(), Refusal> {
        match self {
            Self::File(handle, file) => file.unchanged(handle).map_err(|e| io_problem(&e)),
            // Every range was asked for under the tag of the listing.
            Self::Object(_) | Self::Memory(_) => Ok(()),
        }
    }
}

impl ReadAt for Stored {
    fn size(&self) -> u64 {
        match self {
            // A file that grew since is read up to where it ended, and then found changed.
            Self::File(_, file) => file.size,
            Self::Object(ranges) => ranges.size(),
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size().saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = buf.len().min(left);
        let Some(buf) = buf.get_mut(..wanted) else { return Ok(0) };
        match self {
            Self::File(handle, _) => handle.read_at(offset, buf),
            Self::Object(ranges) => ranges.read_at(offset, buf),
            Self::Memory(bytes) => bytes.read_at(offset, buf),
        }
    }
}

/// Open plain bytes.
#[derive(Clone)]
pub(crate) struct Handle {
    bytes: Arc<dyn ReadAt>,
    stored: Arc<Stored>,
}

impl Handle {
    /// A reader of its own from the start.
    pub(crate) fn reader(&self) -> AtReader {
        AtReader::new(Arc::clone(&self.bytes))
    }

    /// The bytes by position.
    pub(crate) fn bytes(&self) -> &Arc<dyn ReadAt> {
        &self.bytes
    }

    /// Plain bytes.
    pub(crate) fn size(&self) -> u64 {
        self.bytes.size()
    }

    /// Whether the bytes are still what was listed.
    ///
    /// # Errors
    /// That they changed.
    pub(crate) fn unchanged(&self) -> Result<(), Refusal> {
        self.stored.unchanged()
    }

    /// Says that ranges are about to be read, so that a server is asked once for each and not once a page.
    pub(crate) fn expect(&self, ranges: &[std::ops::Range<u64>]) -> Result<(), Refusal> {
        match self.stored.as_ref() {
            Stored::Object(object) => object.expect(ranges).map_err(|e| io_problem(&e)),
            _ => Ok(()),
        }
    }
}

/// Reads in order what can be read by position. A file that ends before its size is an error and never an end.
pub(crate) struct AtReader {
    bytes: Arc<dyn ReadAt>,
    at: u64,
}

impl AtReader {
    pub(crate) fn new(bytes: Arc<dyn ReadAt>) -> Self {
        Self { bytes, at: 0 }
    }
}

impl Read for AtReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.bytes.size().saturating_sub(self.at);
        if left == 0 || buf.is_empty() {
            return Ok(0);
        }
        let n = self.bytes.read_at(self.at, buf)?;
        if n == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{left} bytes less than announced")));
        }
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for AtReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let outside = || io::Error::from(io::ErrorKind::InvalidInput);
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::End(by) => self.bytes.size().checked_add_signed(by).ok_or_else(outside)?,
            SeekFrom::Current(by) => self.at.checked_add_signed(by).ok_or_else(outside)?,
        };
        Ok(self.at)
    }
}

fn has_extension(name: &Path, word: &str) -> bool {
    name.extension().is_some_and(|e| e.eq_ignore_ascii_case(word))
}

/// The class of an error of the system, of a decompressor or of a server.
pub(crate) fn io_problem(error: &io::Error) -> Refusal {
    let text = error.to_string();
    let code = if LimitHit::in_io(error).is_some() {
        SkipCode::Limit
    } else if text.contains("changed while") {
        SkipCode::Changed
    } else if error.kind() == io::ErrorKind::UnexpectedEof || text.contains("truncated") {
        SkipCode::Truncated
    } else if error.kind() == io::ErrorKind::InvalidData || error.kind() == io::ErrorKind::InvalidInput {
        SkipCode::Malformed
    } else {
        SkipCode::Unreadable
    };
    (code, text.chars().take(300).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    fn text(name: &str, bytes: Vec<u8>) -> Result<Vec<u8>, Refusal> {
        Source::memory(name, bytes, &Limits::default()).stream(|input| {
            let mut out = Vec::new();
            input.read_to_end(&mut out).map_err(|e| io_problem(&e))?;
            Ok(out)
        })
    }

    #[test]
    fn wrappings_are_read_off_the_name() {
        let source = |name: &str| Source::memory(name, Vec::new(), &Limits::default());
        let all = source("a/b.csv.GZ.age");
        assert!(all.encrypted && all.compressed == Some(Container::Gzip) && all.name() == Path::new("a/b.csv"));
        assert_eq!(source("b.jsonl.zst").compressed, Some(Container::Zstd));
        assert_eq!(source("b.parquet").name(), Path::new("b.parquet"));
    }

    #[test]
    fn a_cut_or_extended_compressed_file_is_never_an_end() {
        let whole = gzip(b"id\n1\n2\n");
        assert_eq!(text("a.csv.gz", whole.clone()).unwrap(), b"id\n1\n2\n");
        assert_eq!(text("a.csv.gz", whole[..whole.len() - 9].to_vec()).unwrap_err().0, SkipCode::Truncated);
        let trailed = text("a.csv.gz", [whole.as_slice(), b"#!/bin/sh\n"].concat()).unwrap_err();
        assert!(trailed.1.contains("follow at offset"), "{trailed:?}");
        let mut flipped = whole.clone();
        let at = flipped.len() - 6;
        flipped[at] ^= 1;
        assert!(text("a.csv.gz", flipped).is_err());
    }

    #[test]
    fn a_bomb_hits_the_ratio() {
        let bomb = gzip(&vec![b'1'; 64 << 20]);
        let source = Source::memory("a.csv.gz", bomb, &Limits { ratio: 100, ..Limits::default() });
        let refused: Result<u64, Refusal> =
            source.stream(|input| io::copy(input, &mut io::sink()).map_err(|e| io_problem(&e)));
        assert_eq!(refused.unwrap_err().0, SkipCode::Limit);
    }
}
