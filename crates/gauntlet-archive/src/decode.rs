//! Compressed single streams (gzip, zlib, bzip2, xz, lzma, lz4) under a budget.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gauntlet_limits::{Budget, Limit, LimitHit, Stream};

use crate::lz4::Lz4Reader;
use crate::{ArchiveError, Container};

/// LZMA dictionaries above this are refused: they are memory that the input asks for. Presets go up to 64 MiB.
const LZMA_MEMORY_KIB: u32 = 96 << 10;
/// Output below this is never held against the ratio limit, as [`gauntlet_limits::Limits::ratio`] says.
const RATIO_GRACE: u64 = 1 << 20;

/// Starts decompressing `input` as `container`.
///
/// gzip, bzip2, xz and lz4 follow concatenated streams, as Python's modules do; zlib and lzma end with their stream.
///
/// # Errors
/// [`ArchiveError::Unsupported`] for what is no compressed stream; an error from the header of an lzma stream.
pub fn decoder<'a>(
    container: Container,
    input: impl Read + Send + 'a,
    budget: &'a Budget,
) -> Result<Decoder<'a>, ArchiveError> {
    let (input, consumed) = Counted::new(input);
    let input = BufReader::with_capacity(32 << 10, input);
    let inner: Box<dyn Inner + Send + 'a> = match container {
        Container::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Container::Zlib => Box::new(flate2::bufread::ZlibDecoder::new(input)),
        Container::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
        Container::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(input, true, LZMA_MEMORY_KIB)),
        Container::Lzma => {
            let reader = lzma_rust2::LzmaReader::new_mem_limit(input, LZMA_MEMORY_KIB, None)?;
            Box::new(reader)
        }
        Container::Lz4 => Box::new(Lz4Reader::new(input)),
        other => return Err(ArchiveError::Unsupported(other)),
    };
    Ok(Decoder { inner, meter: Meter::new(budget, consumed) })
}

/// A decompressed stream; created by [`decoder`]. Reading fails with a [`LimitHit`] when a budget is spent.
pub struct Decoder<'a> {
    inner: Box<dyn Inner + Send + 'a>,
    meter: Meter<'a>,
}

impl Decoder<'_> {
    /// Bytes of compressed input taken so far (buffering included).
    #[must_use]
    pub fn consumed(&self) -> u64 {
        self.meter.consumed.load(Ordering::Relaxed)
    }

    /// True when, the stream being at its end, compressed input is left over that the decoder does not follow.
    ///
    /// # Errors
    /// Whatever reading the input says.
    pub fn has_trailing(&mut self) -> io::Result<bool> {
        self.inner.has_trailing()
    }
}

impl Read for Decoder<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(out)?;
        self.meter.produced(n as u64)?;
        Ok(n)
    }
}

impl Stream for Decoder<'_> {
    fn position(&self) -> u64 {
        self.meter.produced
    }

    fn skip(&mut self, n: u64) -> io::Result<u64> {
        io::copy(&mut self.by_ref().take(n), &mut io::sink())
    }
}

/// Charges decompressed bytes to the budget and watches the ratio of this one stream.
pub(crate) struct Meter<'a> {
    budget: &'a Budget,
    consumed: Arc<AtomicU64>,
    pub(crate) produced: u64,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(budget: &'a Budget, consumed: Arc<AtomicU64>) -> Self {
        Self { budget, consumed, produced: 0 }
    }

    pub(crate) fn produced(&mut self, n: u64) -> Result<(), LimitHit> {
        self.produced += n;
        self.budget.expand(n)?;
        let consumed = self.consumed.load(Ordering::Relaxed).max(1);
        let ratio = self.budget.limits().ratio;
        if self.produced > RATIO_GRACE && self.produced / consumed > ratio {
            return Err(LimitHit { limit: Limit::Ratio, allowed: ratio });
        }
        Ok(())
    }
}

/// Counts the bytes that a decompressor takes.
pub(crate) struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R> Counted<R> {
    pub(crate) fn new(inner: R) -> (Self, Arc<AtomicU64>) {
        let count = Arc::new(AtomicU64::new(0));
        (Self { inner, count: Arc::clone(&count) }, count)
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(out)?;
        self.count.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

trait Inner: Read {
    fn has_trailing(&mut self) -> io::Result<bool>;
}

impl<R: BufRead> Inner for flate2::bufread::MultiGzDecoder<R> {
    fn has_trailing(&mut self) -> io::Result<bool> {
        Ok(!self.get_mut().fill_buf()?.is_empty())
    }
}

impl<R: BufRead> Inner for flate2::bufread::ZlibDecoder<R> {
    fn has_trailing(&mut self) -> io::Result<bool> {
        Ok(!self.get_mut().fill_buf()?.is_empty())
    }
}

impl<R: BufRead> Inner for bzip2::bufread::MultiBzDecoder<R> {
    fn has_trailing(&mut self) -> io::Result<bool> {
        Ok(!self.get_mut().fill_buf()?.is_empty())
    }
}

impl<R: BufRead> Inner for lzma_rust2::XzReader<R> {
    fn has_trailing(&mut self) -> io::Result<bool> {
        Ok(!self.inner_mut().fill_buf()?.is_empty())
    }
}

impl<R: BufRead> Inner for lzma_rust2::LzmaReader<R> {
    fn has_trailing(&mut self) -> io::Result<bool> {
        Ok(!self.inner_mut().fill_buf()?.is_empty())
    }
}

impl<R: BufRead> Inner for Lz4Reader<R> {
    fn has_trailing(&mut self) -> io::Result<bool> {
        Ok(!self.get_mut().fill_buf()?.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use gauntlet_limits::Limits;

    use super::*;

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn bzip2(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn round_trips_and_tells_what_follows() {
        let budget = Budget::default();
        let mut packed = zlib(b"hello");
        packed.extend(b"tail");
        let mut decoder = decoder(Container::Zlib, packed.as_slice(), &budget).unwrap();
        let mut out = Vec::new();
        decoder.read_to_end(&mut out).unwrap();
        assert_eq!(out, b"hello");
        assert!(decoder.has_trailing().unwrap());
    }

    #[test]
    fn bombs_end_at_the_ratio() {
        let packed = bzip2(&vec![0; 8 << 20]);
        let budget = Budget::default();
        let mut decoder = decoder(Container::Bzip2, packed.as_slice(), &budget).unwrap();
        let error = io::copy(&mut decoder, &mut io::sink()).unwrap_err();
        assert_eq!(LimitHit::in_io(&error).unwrap().limit, Limit::Ratio);
    }

    #[test]
    fn expanded_bytes_are_shared_by_streams() {
        let budget = Budget::new(Limits { expanded_bytes: 1500, ..Limits::default() });
        let packed = zlib(&[7; 1000]);
        let drain = || {
            let mut decoder = decoder(Container::Zlib, packed.as_slice(), &budget).unwrap();
            io::copy(&mut decoder, &mut io::sink())
        };
        assert_eq!(drain().unwrap(), 1000);
        assert!(LimitHit::in_io(&drain().unwrap_err()).is_some());
    }

    #[test]
    fn giant_lzma_dictionary_is_refused_before_it_is_allocated() {
        let header = b"\x5d\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0";
        assert!(decoder(Container::Lzma, header.as_slice(), &Budget::default()).is_err());
    }
}
