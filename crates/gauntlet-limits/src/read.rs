//! Reading without mapping: random access with [`ReadAt`], forward only with [`Stream`].

use std::fs::File;
use std::io::{self, Read};

use crate::{Limit, LimitHit, Limits};

/// Random access to bytes of known length.
pub trait ReadAt: Send + Sync {
    /// Length in bytes.
    fn size(&self) -> u64;

    /// Reads up to `buf.len()` bytes at `offset`; 0 means past the end.
    ///
    /// # Errors
    /// Whatever the medium says.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` when fewer bytes are there.
    fn read_exact_at(&self, mut offset: u64, mut buf: &mut [u8]) -> io::Result<()> {
        while !buf.is_empty() {
            match self.read_at(offset, buf)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => {
                    offset += n as u64;
                    buf = &mut buf[n..];
                }
            }
        }
        Ok(())
    }

    /// Reads `len` bytes at `offset` into memory, refusing more than `limits.header_bytes` *before* allocating.
    ///
    /// # Errors
    /// `UnexpectedEof` when the range leaves the input; `FileTooLarge`, wrapping a [`LimitHit`], when over the limit.
    fn read_block(&self, offset: u64, len: u64, limits: &Limits) -> io::Result<Vec<u8>> {
        let end = offset.checked_add(len).ok_or(io::ErrorKind::UnexpectedEof)?;
        if end > self.size() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        limits.check(Limit::HeaderBytes, len).map_err(limit_error)?;
        let mut block = vec![0; usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?];
        self.read_exact_at(offset, &mut block)?;
        Ok(block)
    }
}

/// Wraps a [`LimitHit`] so that it can pass through `std::io` interfaces; [`limit_hit`] gets it back out.
fn limit_error(hit: LimitHit) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, hit)
}

impl From<LimitHit> for io::Error {
    fn from(hit: LimitHit) -> Self {
        limit_error(hit)
    }
}

impl LimitHit {
    /// The limit inside an I/O error, when a limit is what failed.
    #[must_use]
    pub fn in_io(error: &io::Error) -> Option<LimitHit> {
        error.get_ref().and_then(|inner| inner.downcast_ref::<LimitHit>()).copied()
    }
}

impl ReadAt for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let n = buf.len().min(self.len() - start);
        buf[..n].copy_from_slice(&self[start..start + n]);
        Ok(n)
    }
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.as_slice().read_at(offset, buf)
    }
}

impl ReadAt for File {
    fn size(&self) -> u64 {
        self.metadata().map_or(0, |m| m.len())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        loop {
            match std::os::unix::fs::FileExt::read_at(self, buf, offset) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
        #[cfg(windows)]
        std::os::windows::fs::FileExt::seek_read(self, buf, offset)
    }
}

/// A part of another source, with offsets of its own.
#[derive(Clone, Copy)]
pub struct Window<'a> {
    source: &'a dyn ReadAt,
    start: u64,
    len: u64,
}

impl<'a> Window<'a> {
    /// The bytes `start..start + len` of `source`, cut where `source` ends.
    #[must_use]
    pub fn new(source: &'a dyn ReadAt, start: u64, len: u64) -> Self {
        let size = source.size();
        let start = start.min(size);
        Self { source, start, len: len.min(size - start) }
    }
}

impl ReadAt for Window<'_> {
    fn size(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let offset = offset.min(self.len);
        let n = usize::try_from(self.len - offset).unwrap_or(usize::MAX).min(buf.len());
        self.source.read_at(self.start + offset, &mut buf[..n])
    }
}

/// Forward-only bytes with a position and a skip that may be cheaper than reading.
pub trait Stream: Read {
    /// Bytes consumed so far.
    fn position(&self) -> u64;

    /// Consumes up to `n` bytes without handing them out; returns how many there were.
    ///
    /// # Errors
    /// Whatever reading says.
    fn skip(&mut self, n: u64) -> io::Result<u64>;
}

const BUFFER: usize = 64 << 10;

/// A buffered [`Stream`] over a [`ReadAt`]; skipping moves the position without reading.
pub struct Cursor<'a> {
    source: &'a dyn ReadAt,
    position: u64,
    buffer: Vec<u8>,
    /// Unread part of `buffer`.
    unread: std::ops::Range<usize>,
}

impl<'a> Cursor<'a> {
    /// Starts at `position`.
    #[must_use]
    pub fn new(source: &'a dyn ReadAt, position: u64) -> Self {
        Self { source, position, buffer: Vec::new(), unread: 0..0 }
    }
}

impl Read for Cursor<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if self.unread.is_empty() {
            if out.len() >= BUFFER {
                let n = self.source.read_at(self.position, out)?;
                self.position += n as u64;
                return Ok(n);
            }
            self.buffer.resize(BUFFER, 0);
            let n = self.source.read_at(self.position, &mut self.buffer)?;
            self.unread = 0..n;
        }
        let n = out.len().min(self.unread.len());
        out[..n].copy_from_slice(&self.buffer[self.unread.start..self.unread.start + n]);
        self.unread.start += n;
        self.position += n as u64;
        Ok(n)
    }
}

impl Stream for Cursor<'_> {
    fn position(&self) -> u64 {
        self.position
    }

    fn skip(&mut self, n: u64) -> io::Result<u64> {
        let left = self.source.size().saturating_sub(self.position);
        let n = n.min(left);
        let buffered = (self.unread.len() as u64).min(n);
        self.unread.start += usize::try_from(buffered).unwrap_or(usize::MAX);
        self.position += n;
        Ok(n)
    }
}

/// Makes any reader (a decompressor, say) a [`Stream`]; skipping reads and discards.
pub struct Sequential<R> {
    inner: R,
    position: u64,
}

impl<R: Read> Sequential<R> {
    /// Starts at position 0.
    pub fn new(inner: R) -> Self {
        Self { inner, position: 0 }
    }
}

impl<R: Read> Read for Sequential<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(out)?;
        self.position += n as u64;
        Ok(n)
    }
}

impl<R: Read> Stream for Sequential<R> {
    fn position(&self) -> u64 {
        self.position
    }

    fn skip(&mut self, n: u64) -> io::Result<u64> {
        io::copy(&mut self.by_ref().take(n), &mut io::sink())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn block_over_the_limit_is_refused_before_reading() {
        let bytes = vec![0u8; 100];
        let limits = Limits { header_bytes: 10, ..Limits::default() };
        let error = bytes.read_block(0, 11, &limits).unwrap_err();
        assert_eq!(LimitHit::in_io(&error).unwrap().limit, Limit::HeaderBytes);
        assert_eq!(bytes.read_block(95, 10, &limits).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(bytes.read_block(u64::MAX, 10, &limits).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    proptest! {
        #[test]
        fn cursor_window_and_sequential_agree(bytes in proptest::collection::vec(any::<u8>(), 0..500),
                                              start in 0u64..600, len in 0u64..600,
                                              moves in proptest::collection::vec((any::<bool>(), 0usize..80), 0..20)) {
            let window = Window::new(&bytes, start, len);
            let lo = (start as usize).min(bytes.len());
            let hi = (lo + len as usize).min(bytes.len());
            let mut cursor = Cursor::new(&window, 0);
            let mut sequential = Sequential::new(&bytes[lo..hi]);
            for (skip, n) in moves {
                if skip {
                    prop_assert_eq!(cursor.skip(n as u64).unwrap(), sequential.skip(n as u64).unwrap());
                } else {
                    let (mut a, mut b) = (Vec::new(), Vec::new());
                    cursor.by_ref().take(n as u64).read_to_end(&mut a).unwrap();
                    sequential.by_ref().take(n as u64).read_to_end(&mut b).unwrap();
                    prop_assert_eq!(a, b);
                }
                prop_assert_eq!(cursor.position(), sequential.position());
            }
        }
    }
}
