//! Buffered, forward-only bytes with a look ahead, so that a search can try a place before going there.

use std::io;

use gauntlet_limits::Stream;

/// How far [`Input::peek`] can look.
pub(crate) const WINDOW: usize = 64 << 10;

const CAPACITY: usize = 2 * WINDOW;

/// Why bytes could not be had.
#[derive(Debug)]
pub(crate) enum Short {
    /// The input ended.
    End,
    /// Reading failed.
    Failed(io::Error),
    /// No newline within what a text operand may hold.
    LongLine,
}

pub(crate) struct Input<'a> {
    stream: &'a mut dyn Stream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Position in the stream of `buffer[start]`.
    position: u64,
}

impl<'a> Input<'a> {
    pub(crate) fn new(stream: &'a mut dyn Stream) -> Self {
        let position = stream.position();
        Self { stream, buffer: vec![0; CAPACITY], start: 0, end: 0, position }
    }

    #[inline]
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, Short> {
        if self.start == self.end {
            self.fill(1)?;
        }
        let byte = self.buffer[self.start];
        self.start += 1;
        self.position += 1;
        Ok(byte)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        if self.end - self.start < N {
            self.fill(N)?;
        }
        let mut out = [0; N];
        out.copy_from_slice(&self.buffer[self.start..self.start + N]);
        self.consume(N);
        Ok(out)
    }

    /// Up to `len` bytes ahead (at most [`WINDOW`]); fewer only at the end.
    pub(crate) fn peek(&mut self, len: usize) -> Result<&[u8], Short> {
        let len = len.min(WINDOW);
        if self.end - self.start < len {
            match self.fill(len) {
                Ok(()) | Err(Short::End) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(&self.buffer[self.start..self.end.min(self.start + len)])
    }

    /// Consumes `len` bytes that a peek has shown.
    #[inline]
    pub(crate) fn consume(&mut self, len: usize) {
        let len = len.min(self.end - self.start);
        self.start += len;
        self.position += len as u64;
    }

    /// Appends exactly `len` bytes to `out`.
    pub(crate) fn take(&mut self, mut len: usize, out: &mut Vec<u8>) -> Result<(), Short> {
        while len > 0 {
            if self.start == self.end {
                self.fill(1)?;
            }
            let n = len.min(self.end - self.start);
            out.extend_from_slice(&self.buffer[self.start..self.start + n]);
            self.consume(n);
            len -= n;
        }
        Ok(())
    }

    /// Skips exactly `len` bytes.
    pub(crate) fn skip(&mut self, len: u64) -> Result<(), Short> {
        if self.skip_up_to(len)? == len { Ok(()) } else { Err(Short::End) }
    }

    /// Skips up to `len` bytes; returns how many there were.
    pub(crate) fn skip_up_to(&mut self, len: u64) -> Result<u64, Short> {
        let buffered = ((self.end - self.start) as u64).min(len);
        self.consume(usize::try_from(buffered).unwrap_or(usize::MAX));
        let mut done = buffered;
        while done < len {
            let n = self.stream.skip(len - done).map_err(Short::Failed)?;
            if n == 0 {
                break;
            }
            done += n;
            self.position += n;
        }
        Ok(done)
    }

    /// Appends the bytes up to the next newline to `out` and consumes the newline.
    pub(crate) fn line(&mut self, out: &mut Vec<u8>, limit: usize) -> Result<(), Short> {
        loop {
            if self.start == self.end {
                self.fill(1)?;
            }
            let ahead = &self.buffer[self.start..self.end];
            let newline = memchr::memchr(b'\n', ahead);
            let n = newline.unwrap_or(ahead.len());
            if out.len() + n > limit {
                return Err(Short::LongLine);
            }
            out.extend_from_slice(&ahead[..n]);
            self.consume(n + usize::from(newline.is_some()));
            if newline.is_some() {
                return Ok(());
            }
        }
    }

    #[cold]
    fn fill(&mut self, wanted: usize) -> Result<(), Short> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        while self.end < wanted {
            match self.stream.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Err(Short::End),
                Ok(n) => self.end += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Short::Failed(e)),
            }
        }
        Ok(())
    }
}
