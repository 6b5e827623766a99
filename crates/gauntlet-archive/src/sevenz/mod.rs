//! 7z through `sevenz-rust2`, which is given nothing before the sizes and dictionaries in the headers were checked.
//!
//! What that crate was found to do with hostile input, and what is done about it here: it allows dictionaries and PPMd
//! models of any size (checked against [`crate::decode::LZMA_MEMORY_KIB`]), it allocates a hundred bytes for each
//! byte of a header that claims to list files (headers above 1 MiB are refused), it looks for a lost header by trying
//! each offset (such archives are malformed), and it withholds the last bytes of content with a wrong checksum (sums
//! are compared here instead).

mod header;

use std::collections::HashSet;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use gauntlet_limits::{Budget, Limit, LimitHit, ReadAt, Stream};
use sevenz_rust2::{Archive, ArchiveEntry, BlockDecoder, Error, Password};

use crate::decode::Meter;
use crate::entry::{normal, passes_link};
use crate::input::Progress;
use crate::{ArchiveError, Container, EntryKind, EntryProblem, name_problems};

/// Bytes of a link's target that are read.
const LINK_BYTES: u64 = 4096;
/// `FILE_ATTRIBUTE_UNIX_EXTENSION`: the upper half of the attributes is a Unix mode.
const UNIX_MODE: u32 = 0x8000;
/// `FILE_ATTRIBUTE_REPARSE_POINT`
const REPARSE_POINT: u32 = 0x400;

/// A 7z archive whose headers were read.
pub struct SevenZip<'a> {
    archive: Archive,
    source: Source<'a>,
    budget: &'a Budget,
    problems: Vec<Vec<EntryProblem>>,
    /// Checksums of the entries, which the library is not told.
    sums: Vec<Option<u64>>,
    end: u64,
}

/// One entry, as its headers describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SevenZipEntry {
    /// The name, in UTF-8.
    pub name: Vec<u8>,
    /// What it is; only Unix modes and reparse points tell links and devices.
    pub kind: EntryKind,
    /// Bytes of content, as stated.
    pub size: u64,
    /// What is remarkable about it.
    pub problems: Vec<EntryProblem>,
}

/// The content of one entry. Reading is metered; what the caller leaves unread is passed over.
pub struct SevenZipData<'r, 'a> {
    inner: &'r mut dyn Read,
    progress: &'r Progress,
    meter: &'r mut Meter<'a>,
    left: u64,
    failed: bool,
    position: u64,
    crc: crc32fast::Hasher,
    stated: Option<u64>,
}

impl<'a> SevenZip<'a> {
    /// Reads the headers of `source`.
    ///
    /// # Errors
    /// [`ArchiveError::Encrypted`] when the headers are; limits; malformed headers.
    pub fn read(source: &'a dyn ReadAt, budget: &'a Budget) -> Result<Self, ArchiveError> {
        let end = header::check(source, budget.limits())?;
        let mut source = Source { inner: source, position: 0, progress: Arc::default() };
        let progress = Arc::clone(&source.progress);
        let mut archive =
            Archive::read(&mut source, &Password::empty()).map_err(|error| archive_error(error, &progress))?;
        budget.members(archive.files.len() as u64)?;
        let sums = archive.files.iter_mut().map(|file| std::mem::take(&mut file.has_crc).then_some(file.crc)).collect();
        let problems = problems(&archive);
        Ok(Self { archive, source, budget, problems, sums, end })
    }

    /// How many entries the headers list.
    #[must_use]
    pub fn len(&self) -> usize {
        self.archive.files.len()
    }

    /// True for an archive that lists nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.archive.files.is_empty()
    }

    /// Where the archive ends, by its headers: the file may go on.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Gives every entry to `visit`, with its content or the reason why there is none. Solid blocks are unpacked once.
    ///
    /// `visit` returns false to end the walk. A block that cannot be unpacked gives its error to its first entry, or to
    /// the entry where it breaks.
    pub fn visit(
        &mut self,
        mut visit: impl FnMut(SevenZipEntry, Result<Option<&mut SevenZipData<'_, 'a>>, ArchiveError>) -> bool,
    ) {
        for block in 0..self.archive.blocks.len() {
            if !self.visit_block(block, &mut visit) {
                return;
            }
        }
        for index in 0..self.archive.files.len() {
            let in_block = self.archive.stream_map.file_block_index.get(index).copied().flatten().is_some();
            if !in_block && !visit(self.entry(index), Ok(None)) {
                return;
            }
        }
    }

    fn visit_block(
        &mut self,
        block: usize,
        visit: &mut impl FnMut(SevenZipEntry, Result<Option<&mut SevenZipData<'_, 'a>>, ArchiveError>) -> bool,
    ) -> bool {
        let password = Password::empty();
        let count = BlockDecoder::new(1, block, &self.archive, &password, &mut self.source).entry_count();
        let first = self.archive.stream_map.block_first_file_index.get(block).copied().unwrap_or(0);
        let entries: Vec<_> = (first..first.saturating_add(count)).map(|index| self.entry(index)).collect();
        if let Some(coders) = self.archive.blocks.get(block)
            && let Err(error) = header::check_block(coders)
        {
            return entries.into_iter().next().is_none_or(|entry| visit(entry, Err(error)));
        }
        let progress = Arc::clone(&self.source.progress);
        // Bytes of this block only: its ratio is not to be diluted by what was read before.
        progress.consumed.store(0, Ordering::Relaxed);
        let mut meter = Meter::new(self.budget, Arc::clone(&progress.consumed));
        let sums = self.sums.get(first..).unwrap_or_default();
        let mut next = 0;
        let mut stopped = false;
        let decoder = BlockDecoder::new(1, block, &self.archive, &password, &mut self.source);
        let done = decoder.for_each_entries(&mut |_, reader| {
            let Some(entry) = entries.get(next) else { return Ok(false) };
            let stated = sums.get(next).copied().flatten();
            next += 1;
            let mut data = SevenZipData {
                inner: reader,
                progress: &progress,
                meter: &mut meter,
                left: entry.size,
                failed: false,
                position: 0,
                crc: crc32fast::Hasher::new(),
                stated,
            };
            stopped = !visit(entry.clone(), Ok(Some(&mut data)));
            if stopped {
                return Ok(false);
            }
            // The library would pass over the rest without a budget.
            let left = data.left;
            data.skip(left).map_err(Error::from)?;
            Ok(true)
        });
        if let Err(error) = done {
            let error = archive_error(error, &progress);
            let Some(entry) = entries.get(next.saturating_sub(1)).cloned() else { return true };
            return visit(entry, Err(error));
        }
        !stopped
    }

    fn entry(&self, index: usize) -> SevenZipEntry {
        let Some(file) = self.archive.files.get(index) else {
            return SevenZipEntry { name: Vec::new(), kind: EntryKind::File, size: 0, problems: Vec::new() };
        };
        SevenZipEntry {
            name: file.name.as_bytes().to_vec(),
            kind: kind(file),
            size: if file.has_stream { file.size } else { 0 },
            problems: self.problems.get(index).cloned().unwrap_or_default(),
        }
    }
}

impl SevenZipData<'_, '_> {
    /// Whether the checksum holds, once all bytes were read; `None` before, or when none is stated.
    #[must_use]
    pub fn crc_holds(&self) -> Option<bool> {
        let stated = self.stated.filter(|_| self.left == 0)?;
        Some(u64::from(self.crc.clone().finalize()) == stated)
    }

    /// Reads the content as the target of a link, cut at 4096 bytes.
    ///
    /// # Errors
    /// Whatever reading says.
    pub fn link_target(&mut self) -> io::Result<Vec<u8>> {
        let mut target = Vec::new();
        self.by_ref().take(LINK_BYTES).read_to_end(&mut target)?;
        Ok(target)
    }
}

impl Read for SevenZipData<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        // The last byte is read on its own: with it a block's checksum is compared, and a wrong one withholds
        // everything that the same call would have delivered.
        let wanted = self.left.saturating_sub(1).max(self.left.min(1));
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX).min(out.len());
        if wanted == 0 {
            return Ok(0);
        }
        // The bzip2 library panics when it is read again after it reported damage.
        if std::mem::replace(&mut self.failed, true) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the 7z block broke before"));
        }
        let n = match self.inner.read(&mut out[..wanted]) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the 7z block ends early")),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.failed = false;
                return Err(error);
            }
            Err(error) => return Err(self.progress.explain(error)),
        };
        self.meter.produced(n as u64)?;
        self.failed = false;
        self.left -= n as u64;
        self.position += n as u64;
        self.crc.update(&out[..n]);
        Ok(n)
    }
}

impl Stream for SevenZipData<'_, '_> {
    fn position(&self) -> u64 {
        self.position
    }

    fn skip(&mut self, n: u64) -> io::Result<u64> {
        io::copy(&mut self.by_ref().take(n), &mut io::sink())
    }
}

fn kind(file: &ArchiveEntry) -> EntryKind {
    let attributes = if file.has_windows_attributes { file.windows_attributes } else { 0 };
    match (attributes >> 16) & 0o170_000 {
        0o120_000 if attributes & UNIX_MODE != 0 => EntryKind::SymbolicLink,
        0o020_000 | 0o060_000 if attributes & UNIX_MODE != 0 => EntryKind::Device,
        0o010_000 if attributes & UNIX_MODE != 0 => EntryKind::Fifo,
        _ if attributes & REPARSE_POINT != 0 => EntryKind::SymbolicLink,
        _ if file.is_directory => EntryKind::Folder,
        _ => EntryKind::File,
    }
}

/// What names say, and which of them meet.
fn problems(archive: &Archive) -> Vec<Vec<EntryProblem>> {
    let mut names: HashSet<&str> = HashSet::with_capacity(archive.files.len());
    let links = archive.files.iter().filter(|file| kind(file) == EntryKind::SymbolicLink);
    let links: HashSet<Vec<u8>> = links.map(|file| normal(file.name.as_bytes())).collect();
    let problems = archive.files.iter().map(|file| {
        let mut problems: Vec<_> = name_problems(file.name.as_bytes()).into_iter().map(EntryProblem::Name).collect();
        if !names.insert(&file.name) && !file.is_directory {
            problems.push(EntryProblem::Duplicate);
        }
        if passes_link(&links, &normal(file.name.as_bytes())) {
            problems.push(EntryProblem::ThroughLink);
        }
        if file.is_anti_item {
            problems.push(EntryProblem::AntiItem);
        }
        problems
    });
    problems.collect()
}

fn archive_error(error: Error, progress: &Progress) -> ArchiveError {
    match error {
        Error::PasswordRequired | Error::MaybeBadPassword(_) => ArchiveError::Encrypted,
        Error::UnsupportedCompressionMethod(_)
        | Error::Unsupported(_)
        | Error::ExternalUnsupported
        | Error::UnsupportedVersion { .. } => ArchiveError::Unsupported(Container::SevenZip),
        Error::MaxMemLimited { .. } => {
            LimitHit { limit: Limit::HeaderBytes, allowed: u64::from(crate::decode::LZMA_MEMORY_KIB) << 10 }.into()
        }
        Error::Io(error, _) | Error::FileOpen(error, _) => progress.explain(error).into(),
        _ => ArchiveError::Malformed { what: "7z structure or checksum", offset: 0 },
    }
}

/// The file as the library wants it, keeping the medium's own errors.
struct Source<'a> {
    inner: &'a dyn ReadAt,
    position: u64,
    progress: Arc<Progress>,
}

impl Read for Source<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.inner.read_at(self.position, out) {
            Ok(n) => {
                if n == 0 && !out.is_empty() {
                    self.progress.note_end();
                }
                self.position += n as u64;
                self.progress.consumed.fetch_add(n as u64, Ordering::Relaxed);
                Ok(n)
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::Interrupted {
                    self.progress.note_failure(&error);
                }
                Err(error)
            }
        }
    }
}

impl Seek for Source<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.inner.size().checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests;
