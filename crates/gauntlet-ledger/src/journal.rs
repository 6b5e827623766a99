//! The write-ahead journal: what makes an append durable. One write and one data sync for a whole group of entries and the
//! checkpoint that covers them; the tiles follow and can always be written again from here.
//!
//! Layout: a header with the checkpoint at which the journal begins (the base, whose tiles are durable), then frames, each on a
//! 4 KiB boundary so that no write touches a durable sector, then zeroes. A hash chain ties every frame to this very journal.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rand_core::{OsRng, RngCore};
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::files::{self, Durability, guard};
use crate::note::MAX_NOTE;
use crate::tile::MAX_ENTRY;
use crate::tree::Hash;

/// Most bytes of entries in one frame, their lengths included.
pub(crate) const MAX_FRAME_ENTRIES: usize = 1 << 20;

const HEADER_MAGIC: [u8; 8] = *b"\xA9gjrnl1\n";
const FRAME_MAGIC: [u8; 8] = *b"\xA9gframe1";
const BLOCK: u64 = 4096;
const FIRST_LENGTH: u64 = 4 * BLOCK;
const FRAME_HEAD: usize = 64;
/// A journal that is longer was not written by us.
const MAX_LENGTH: u64 = 64 << 20;

/// An open journal, positioned behind the last frame that was read or written.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    /// The signed checkpoint of the base, whose tiles are durable.
    pub(crate) base: String,
    chain: Hash,
    end: u64,
    length: u64,
    /// Length beyond which frames go to a new journal, in bytes.
    limit: u64,
}

/// A group of entries and the signed checkpoint that covers them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Index of the first entry.
    pub(crate) start: u64,
    pub(crate) entries: Vec<Vec<u8>>,
    /// The signed checkpoint after the last entry.
    pub(crate) checkpoint: String,
}

/// What lies behind the last whole frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Zeroes only.
    Clean,
    /// The beginning of a frame whose writing was interrupted; nothing in it was acknowledged.
    Torn,
    /// Bytes that no interrupted append leaves when the system keeps running.
    Noise,
}

impl Journal {
    /// Writes a new journal that begins at this checkpoint, durably, in the place of an old one.
    pub(crate) fn create(scratch: &Path, path: &Path, base: &str) -> Result<(), Error> {
        let mut bytes = HEADER_MAGIC.to_vec();
        let mut generation = [0; 16];
        OsRng.fill_bytes(&mut generation);
        bytes.extend(generation);
        bytes.extend((base.len() as u32).to_be_bytes());
        bytes.extend(base.as_bytes());
        bytes.extend(Hash::of(&bytes).as_bytes());
        let length = FIRST_LENGTH.max(round_up(bytes.len() as u64) + BLOCK);
        bytes.resize(length as usize, 0);
        files::replace(scratch, path, &bytes, 0o644, Durability::Device).map_err(Error::io(path))
    }

    /// Opens a journal and reads its header.
    pub(crate) fn open(path: &Path, writable: bool, limit: u64) -> Result<Self, Error> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
        let file = OpenOptions::new().read(true).write(writable).custom_flags(flags).open(path);
        let file = file.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::damaged(path, "the journal is missing"),
            _ => Error::io(path)(error),
        })?;
        let metadata = file.metadata().map_err(Error::io(path))?;
        let length = metadata.len();
        if !metadata.is_file() || length > MAX_LENGTH {
            return Err(Error::damaged(path, "not a journal: no regular file, or too long"));
        }
        let bad = || Error::damaged(path, "the header of the journal is damaged");
        let mut head = [0; 28];
        file.read_exact_at(&mut head, 0).map_err(|_| bad())?;
        let base_length = u32::from_be_bytes([head[24], head[25], head[26], head[27]]) as usize;
        if head[..8] != HEADER_MAGIC || base_length > MAX_NOTE {
            return Err(bad());
        }
        let mut bytes = vec![0; 28 + base_length + 32];
        file.read_exact_at(&mut bytes, 0).map_err(|_| bad())?;
        let (hashed, sum) = bytes.split_at(28 + base_length);
        let chain = Hash::of(hashed);
        let base = std::str::from_utf8(&hashed[28..]).map_err(|_| bad())?.to_owned();
        let end = round_up(bytes.len() as u64);
        let journal = Self { path: path.to_owned(), file, base, chain, end, length, limit };
        if sum != chain.as_bytes() || !journal.is_zero(bytes.len() as u64..end)? {
            return Err(bad());
        }
        Ok(journal)
    }

    /// Reads the frame at the position and steps behind it; `None` when no whole frame stands there.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, Error> {
        let mut head = [0; FRAME_HEAD];
        let Some(lengths) = self.read_head(&mut head)? else { return Ok(None) };
        let mut payload = vec![0; lengths.0 + lengths.1];
        self.read(&mut payload, self.end + FRAME_HEAD as u64)?;
        let chain = self.link(&head[..32], &payload);
        if head[32..] != *chain.as_bytes() {
            return Ok(None);
        }
        let bad = || Error::damaged(&self.path, format!("the frame at byte {} of the journal is malformed", self.end));
        let (entries, checkpoint) = payload.split_at(lengths.0);
        let count = u32::from_be_bytes([head[16], head[17], head[18], head[19]]);
        let frame = Frame {
            start: u64::from_be_bytes([head[8], head[9], head[10], head[11], head[12], head[13], head[14], head[15]]),
            entries: split(entries).filter(|entries| entries.len() == count as usize).ok_or_else(bad)?,
            checkpoint: std::str::from_utf8(checkpoint).map_err(|_| bad())?.to_owned(),
        };
        let end = self.end + (FRAME_HEAD + payload.len()) as u64;
        if !self.is_zero(end..round_up(end))? {
            return Err(bad());
        }
        self.chain = chain;
        self.end = round_up(end);
        Ok(Some(frame))
    }

    /// Writes a frame and syncs it. On an error the journal must not be written again through this value.
    pub(crate) fn append(&mut self, frame: &Frame) -> Result<(), Error> {
        let (bytes, chain) = self.encode(frame);
        let end = self.end + bytes.len() as u64;
        if end > self.length {
            self.grow(end)?;
        }
        guard::write_all_at(&self.file, &self.path, &bytes, self.end).map_err(Error::io(&self.path))?;
        guard::change(&self.path, || self.file.sync_data()).map_err(Error::io(&self.path))?;
        self.chain = chain;
        self.end = end;
        Ok(())
    }

    /// Whether a frame fits before the journal has to be closed.
    pub(crate) fn has_room(&self, frame: &Frame) -> bool {
        let entries: usize = frame.entries.iter().map(|entry| entry.len() + 2).sum();
        self.end + round_up((FRAME_HEAD + entries + frame.checkpoint.len()) as u64) <= self.limit
    }

    /// Makes every frame that was read durable before anything is built on it: its writer may have ended before its sync.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        guard::change(&self.path, || self.file.sync_all()).map_err(Error::io(&self.path))
    }

    /// Looks behind the last whole frame.
    pub(crate) fn tail(&self) -> Result<Tail, Error> {
        if self.is_zero(self.end..self.length)? {
            return Ok(Tail::Clean);
        }
        let mut head = [0; FRAME_HEAD];
        let torn = match self.read_head(&mut head)? {
            Some((entries, checkpoint)) => {
                self.is_zero(round_up(self.end + (FRAME_HEAD + entries + checkpoint) as u64)..self.length)?
            }
            None => false,
        };
        Ok(if torn { Tail::Torn } else { Tail::Noise })
    }

    /// Overwrites everything behind the last whole frame with zeroes, durably.
    pub(crate) fn clear_tail(&mut self) -> Result<(), Error> {
        let mut at = self.end;
        let zeroes = [0; 65536];
        while at < self.length {
            let step = (self.length - at).min(zeroes.len() as u64);
            guard::write_all_at(&self.file, &self.path, &zeroes[..step as usize], at).map_err(Error::io(&self.path))?;
            at += step;
        }
        self.sync()
    }

    /// Whether the block behind the last whole frame is zero: an interrupted write begins there.
    pub(crate) fn next_block_is_zero(&self) -> Result<bool, Error> {
        self.is_zero(self.end..self.end + BLOCK)
    }

    /// Whether the file at the path is still this one.
    pub(crate) fn is_current(&self) -> bool {
        let (Ok(open), Ok(there)) = (self.file.metadata(), std::fs::symlink_metadata(&self.path)) else { return false };
        (open.dev(), open.ino()) == (there.dev(), there.ino())
    }

    /// Takes notice of a length that another process changed.
    pub(crate) fn refresh_length(&mut self) -> Result<(), Error> {
        self.length = self.file.metadata().map_err(Error::io(&self.path))?.len();
        Ok(())
    }

    /// Lengths of entries and checkpoint of the frame at the position, when a plausible frame begins there.
    fn read_head(&self, head: &mut [u8; FRAME_HEAD]) -> Result<Option<(usize, usize)>, Error> {
        if self.end + FRAME_HEAD as u64 > self.length {
            return Ok(None);
        }
        self.read(head, self.end)?;
        let entries = u32::from_be_bytes([head[20], head[21], head[22], head[23]]) as usize;
        let checkpoint = u32::from_be_bytes([head[24], head[25], head[26], head[27]]) as usize;
        let plausible = head[..8] == FRAME_MAGIC
            && head[28..32] == [0; 4]
            && entries <= MAX_FRAME_ENTRIES + MAX_ENTRY + 2
            && checkpoint <= MAX_NOTE
            && self.end + (FRAME_HEAD + entries + checkpoint) as u64 <= self.length;
        Ok(plausible.then_some((entries, checkpoint)))
    }

    fn encode(&self, frame: &Frame) -> (Vec<u8>, Hash) {
        let mut payload = Vec::new();
        for entry in &frame.entries {
            payload.extend((entry.len() as u16).to_be_bytes());
            payload.extend(entry);
        }
        let entries = payload.len() as u32;
        payload.extend(frame.checkpoint.as_bytes());
        let mut bytes = FRAME_MAGIC.to_vec();
        bytes.extend(frame.start.to_be_bytes());
        bytes.extend((frame.entries.len() as u32).to_be_bytes());
        bytes.extend(entries.to_be_bytes());
        bytes.extend((frame.checkpoint.len() as u32).to_be_bytes());
        bytes.extend([0; 4]);
        let chain = self.link(&bytes, &payload);
        bytes.extend(chain.as_bytes());
        bytes.extend(payload);
        bytes.resize(round_up(bytes.len() as u64) as usize, 0);
        (bytes, chain)
    }

    fn link(&self, head: &[u8], payload: &[u8]) -> Hash {
        let mut hasher = Sha256::new();
        hasher.update(self.chain.as_bytes());
        hasher.update(head);
        hasher.update(payload);
        <[u8; 32]>::from(hasher.finalize()).into()
    }

    /// Writes zeroes ahead, so that an append changes data only and its sync needs no change of metadata.
    fn grow(&mut self, needed: u64) -> Result<(), Error> {
        let length = needed.max((self.length * 2).min(self.limit));
        let zeroes = vec![0; (length - self.length) as usize];
        guard::write_all_at(&self.file, &self.path, &zeroes, self.length).map_err(Error::io(&self.path))?;
        self.sync()?;
        self.length = length;
        Ok(())
    }

    fn is_zero(&self, range: std::ops::Range<u64>) -> Result<bool, Error> {
        let mut at = range.start;
        let mut buffer = [0; 16384];
        while at < range.end.min(self.length) {
            let step = (range.end.min(self.length) - at).min(buffer.len() as u64) as usize;
            self.read(&mut buffer[..step], at)?;
            if buffer[..step].iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            at += step as u64;
        }
        Ok(true)
    }

    fn read(&self, buffer: &mut [u8], at: u64) -> Result<(), Error> {
        match self.file.read_exact_at(buffer, at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(Error::damaged(&self.path, "the journal became shorter while it was read"))
            }
            other => other.map_err(Error::io(&self.path)),
        }
    }
}

/// Reads journal bytes as a fuzz target would: a header and all whole frames behind it. The count of frames.
///
/// # Errors
/// When the header or a frame whose sum fits is malformed.
pub fn read_all(path: &Path) -> Result<usize, Error> {
    let mut journal = Journal::open(path, false, MAX_LENGTH)?;
    let mut frames = 0;
    while journal.next()?.is_some() {
        frames += 1;
    }
    journal.tail()?;
    Ok(frames)
}

fn split(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry.to_vec());
        bytes = rest;
    }
    Some(entries)
}

fn round_up(length: u64) -> u64 {
    length.next_multiple_of(BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(start: u64, count: usize) -> Frame {
        let entries = (0..count).map(|n| vec![n as u8; n * 7]).collect();
        Frame { start, entries, checkpoint: format!("checkpoint {start}") }
    }

    fn journal(folder: &Path) -> PathBuf {
        let path = folder.join("journal");
        Journal::create(folder, &path, "base").unwrap();
        let mut journal = Journal::open(&path, true, 1 << 20).unwrap();
        for start in 0..6 {
            journal.append(&frame(start, 3)).unwrap();
        }
        path
    }

    #[test]
    fn gives_back_what_was_appended() {
        let folder = tempfile::tempdir().unwrap();
        let path = journal(folder.path());
        let mut journal = Journal::open(&path, true, 1 << 20).unwrap();
        for start in 0..6 {
            assert_eq!(journal.next().unwrap(), Some(frame(start, 3)));
        }
        assert_eq!((journal.next().unwrap(), journal.tail().unwrap()), (None, Tail::Clean));
        journal.append(&frame(6, 400)).unwrap();
        assert_eq!(read_all(&path).unwrap(), 7);
    }

    #[test]
    fn a_frame_of_another_journal_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let first = journal(folder.path());
        let old = std::fs::read(&first).unwrap();
        let second = journal(folder.path());
        let mut new = std::fs::read(&second).unwrap();
        new[8192..].copy_from_slice(&old[8192..]);
        std::fs::write(&second, new).unwrap();
        assert_eq!(read_all(&second).unwrap(), 1);
    }

    #[test]
    fn an_interrupted_write_is_told_from_noise_and_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let path = journal(folder.path());
        let whole = std::fs::read(&path).unwrap();
        let last = 6 * 4096;
        for (at, expected) in [(last + 60, Tail::Noise), (last + 70, Tail::Torn), (last + 4095, Tail::Clean)] {
            let mut bytes = whole.clone();
            bytes[at..last + 4096].fill(0);
            std::fs::write(&path, &bytes).unwrap();
            let mut journal = Journal::open(&path, true, 1 << 20).unwrap();
            while journal.next().unwrap().is_some() {}
            // A head without its whole sum is still the beginning of a frame.
            let expected = if at < last + 64 { Tail::Torn } else { expected };
            assert_eq!(journal.tail().unwrap(), expected, "{at}");
            journal.clear_tail().unwrap();
            assert_eq!(journal.tail().unwrap(), Tail::Clean);
        }
        let mut bytes = whole;
        *bytes.last_mut().unwrap() = 1;
        std::fs::write(&path, &bytes).unwrap();
        let mut journal = Journal::open(&path, true, 1 << 20).unwrap();
        while journal.next().unwrap().is_some() {}
        assert_eq!(journal.tail().unwrap(), Tail::Noise);
    }

    #[test]
    fn changed_bytes_never_give_another_frame() {
        let folder = tempfile::tempdir().unwrap();
        let path = journal(folder.path());
        let whole = std::fs::read(&path).unwrap();
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        for _ in 0..400 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let mut bytes = whole.clone();
            let at = state as usize % (7 * 4096);
            bytes[at] ^= (state >> 32) as u8 | 1;
            bytes.truncate(bytes.len() - (state >> 40) as usize % 4096);
            std::fs::write(&path, &bytes).unwrap();
            let Ok(mut journal) = Journal::open(&path, false, 1 << 20) else { continue };
            let mut start = 0;
            while let Ok(Some(read)) = journal.next() {
                assert_eq!(read, frame(start, 3));
                start += 1;
            }
            assert!(start <= 6);
        }
    }
}
