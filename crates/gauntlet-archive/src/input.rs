//! Compressed input: buffered, with its exact position and whatever a decoder's own errors would swallow.

use std::io::{self, BufRead, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gauntlet_limits::LimitHit;

const BUFFER: usize = 32 << 10;

/// What is known about an input while a decoder holds it.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Bytes that a decoder has taken.
    pub consumed: Arc<AtomicU64>,
    /// A decoder asked for bytes behind the end.
    ended: AtomicBool,
    /// The error of the medium, which decoders wrap in their own.
    failure: Mutex<Option<(io::ErrorKind, Option<LimitHit>, String)>>,
}

impl Progress {
    /// The true reason why a decoder failed with `error`: the medium, a limit, an input that ends early, or damage.
    pub(crate) fn explain(&self, error: io::Error) -> io::Error {
        if let Some((kind, hit, message)) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return hit.map_or_else(|| io::Error::new(kind, message), io::Error::from);
        }
        if LimitHit::in_io(&error).is_some() || error.kind() == io::ErrorKind::Unsupported {
            return error;
        }
        if self.ended.load(Ordering::Relaxed) {
            return io::Error::new(io::ErrorKind::UnexpectedEof, "the compressed data ends early");
        }
        io::Error::new(io::ErrorKind::InvalidData, error)
    }

    pub(crate) fn note_end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    pub(crate) fn note_failure(&self, error: &io::Error) {
        let failure = (error.kind(), LimitHit::in_io(error), error.to_string());
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
    }
}

/// A buffered reader that tells its [`Progress`].
pub(crate) struct Input<R> {
    inner: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    progress: Arc<Progress>,
}

impl<R: Read> Input<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, buffer: vec![0; BUFFER], start: 0, end: 0, progress: Arc::default() }
    }

    pub(crate) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    pub(crate) fn consumed(&self) -> u64 {
        self.progress.consumed.load(Ordering::Relaxed)
    }

    /// The next `wanted` bytes without taking them; fewer at the end of the input.
    pub(crate) fn peek(&mut self, wanted: usize) -> io::Result<&[u8]> {
        if self.end - self.start < wanted && self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        while self.end - self.start < wanted.min(BUFFER) {
            match self.inner.read(&mut self.buffer[self.end..]) {
                Ok(0) => break,
                Ok(n) => self.end += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(&self.buffer[self.start..self.end.min(self.start + wanted)])
    }
}

impl<R: Read> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            match self.inner.read(&mut self.buffer) {
                Ok(n) => self.end = n,
                Err(error) => {
                    if error.kind() != io::ErrorKind::Interrupted {
                        self.progress.note_failure(&error);
                    }
                    return Err(error);
                }
            }
            if self.end == 0 {
                self.progress.note_end();
            }
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, n: usize) {
        let n = n.min(self.end - self.start);
        self.start += n;
        self.progress.consumed.fetch_add(n as u64, Ordering::Relaxed);
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let available = self.fill_buf()?;
        let n = available.len().min(out.len());
        out[..n].copy_from_slice(&available[..n]);
        self.consume(n);
        Ok(n)
    }
}
