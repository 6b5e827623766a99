//! Compressed single streams (gzip, zlib, bzip2, xz, lzma, lz4, zstd) under a budget, one member after another.

use std::io::{self, BufRead, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gauntlet_limits::{Budget, Limit, LimitHit, Limits, Stream};
use serde::{Deserialize, Serialize};

use crate::input::{Input, Progress};
use crate::lz4::{self, Lz4Frame};
use crate::zstd::{self, ZstdFrame};
use crate::{ArchiveError, Container};

/// LZMA dictionaries above this are refused: they are memory that the input asks for. Presets go up to 64 MiB.
pub(crate) const LZMA_MEMORY_KIB: u32 = 96 << 10;
/// Output below this is never held against the ratio limit, as [`gauntlet_limits::Limits::ratio`] says.
const RATIO_GRACE: u64 = 1 << 20;
/// Skipped frames whose place is kept.
const SKIPPED: usize = 64;
/// Bytes of a gzip header's texts that are kept.
const LABEL_BYTES: usize = 4096;

/// What a stream's end, and the headers of its members, say. Filled while the stream is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamInfo {
    /// The end was reached: without it nothing can be said about what follows.
    pub complete: bool,
    /// Members (gzip, bzip2, xz) or frames (lz4, zstd) that were read whole.
    pub members: u64,
    /// Where, in the compressed bytes, something begins that is neither a member nor zero padding.
    pub trailing: Option<u64>,
    /// Skippable frames of lz4 and zstd: offset and length of their content (the first 64).
    pub skipped: Vec<(u64, u64)>,
    /// File names in gzip headers, cut at 4096 bytes (the first 64).
    pub names: Vec<Vec<u8>>,
    /// Comments and extra fields in gzip headers, cut at 4096 bytes (the first 64).
    pub labels: Vec<Vec<u8>>,
}

/// Starts decompressing `input` as `container`.
///
/// gzip, bzip2, xz, lz4 and zstd follow concatenated streams, as Python's modules do, over zero padding; zlib and lzma
/// end with their stream. What follows is no error here: [`Decoder::info`] says where it begins.
///
/// # Errors
/// [`ArchiveError::Unsupported`] for what is no compressed stream; an error from the header of an lzma stream.
pub fn decoder<'a>(
    container: Container,
    input: impl Read + Send + 'a,
    budget: &'a Budget,
) -> Result<Decoder<'a>, ArchiveError> {
    if !container.is_stream() {
        return Err(ArchiveError::Unsupported(container));
    }
    let input = Input::new(input);
    let progress = input.progress();
    let info = Arc::new(Mutex::new(StreamInfo::default()));
    let meter = Meter::new(budget, Arc::clone(&progress.consumed));
    let mut members = Members { info: Arc::clone(&info), ..members(container, input, budget.limits()) };
    // What the header of the only member says is an error at once.
    if container == Container::Lzma {
        members.start().map_err(|error| progress.explain(error))?;
    }
    Ok(Decoder { inner: Box::new(members), meter, progress, info })
}

/// A decompressed stream; created by [`decoder`]. Reading fails with a [`LimitHit`] when a budget is spent.
pub struct Decoder<'a> {
    inner: Box<dyn Read + Send + 'a>,
    meter: Meter<'a>,
    progress: Arc<Progress>,
    info: Arc<Mutex<StreamInfo>>,
}

impl Decoder<'_> {
    /// Bytes of compressed input taken so far.
    #[must_use]
    pub fn consumed(&self) -> u64 {
        self.progress.consumed.load(Ordering::Relaxed)
    }

    /// What was learned of the stream up to here. The handle stays valid when the decoder is gone.
    #[must_use]
    pub fn info(&self) -> Arc<Mutex<StreamInfo>> {
        Arc::clone(&self.info)
    }
}

impl Read for Decoder<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(out).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ => self.progress.explain(error),
        })?;
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

/// The members of a stream, without a meter.
pub(crate) fn members<R: Read>(container: Container, input: Input<R>, limits: &Limits) -> Members<R> {
    Members {
        container,
        limits: limits.clone(),
        codec: None,
        idle: Some(input),
        read: 0,
        broken: false,
        info: Arc::default(),
    }
}

/// One member after another.
pub(crate) struct Members<R: Read> {
    container: Container,
    limits: Limits,
    codec: Option<Codec<R>>,
    /// The input while no codec holds it.
    idle: Option<Input<R>>,
    read: u64,
    /// A codec reported damage. The bzip2 library panics when it is read again then.
    broken: bool,
    info: Arc<Mutex<StreamInfo>>,
}

enum Codec<R: Read> {
    Gzip(Box<flate2::bufread::GzDecoder<Input<R>>>),
    Zlib(Box<flate2::bufread::ZlibDecoder<Input<R>>>),
    Bzip2(bzip2::bufread::BzDecoder<Input<R>>),
    Xz(Box<lzma_rust2::XzReader<Input<R>>>),
    Lzma(Box<lzma_rust2::LzmaReader<Input<R>>>),
    Lz4(Box<Lz4Frame<R>>),
    Zstd(Box<ZstdFrame<R>>),
}

impl<R: Read> Members<R> {
    /// Starts the next member; false when there is none.
    fn start(&mut self) -> io::Result<bool> {
        let Some(mut input) = self.idle.take() else { return Ok(false) };
        if self.read > 0 && !self.more(&mut input)? {
            return Ok(false);
        }
        if matches!(self.container, Container::Lz4 | Container::Zstd) {
            self.skip_frames(&mut input)?;
            if self.read > 0 && input.peek(1)?.is_empty() {
                self.info().complete = true;
                return Ok(false);
            }
        }
        self.codec = Some(match self.container {
            Container::Zlib => Codec::Zlib(Box::new(flate2::bufread::ZlibDecoder::new(input))),
            Container::Bzip2 => Codec::Bzip2(bzip2::bufread::BzDecoder::new(input)),
            Container::Xz => Codec::Xz(Box::new(lzma_rust2::XzReader::new_mem_limit(input, false, LZMA_MEMORY_KIB))),
            Container::Lzma => {
                let reader = lzma_rust2::LzmaReader::new_mem_limit(input, LZMA_MEMORY_KIB, None);
                Codec::Lzma(Box::new(reader.map_err(memory)?))
            }
            Container::Lz4 => Codec::Lz4(Box::new(Lz4Frame::new(input)?)),
            Container::Zstd => Codec::Zstd(Box::new(ZstdFrame::new(input, &self.limits)?)),
            _ => Codec::Gzip(Box::new(flate2::bufread::GzDecoder::new(input))),
        });
        Ok(true)
    }

    /// Whether another member follows, perhaps behind zero padding; notes the end of the stream.
    fn more(&mut self, input: &mut Input<R>) -> io::Result<bool> {
        let behind = input.consumed();
        loop {
            let (zeros, all) = {
                let available = input.fill_buf()?;
                if available.is_empty() {
                    self.info().complete = true;
                    return Ok(false);
                }
                let zeros = available.iter().take_while(|b| **b == 0).count();
                (zeros, available.len())
            };
            input.consume(zeros);
            if zeros < all {
                break;
            }
        }
        let next = input.peek(6)?;
        let follows = match self.container {
            Container::Gzip => next.starts_with(b"\x1f\x8b"),
            Container::Bzip2 => next.starts_with(b"BZh"),
            Container::Xz => next.starts_with(b"\xfd7zXZ\0"),
            Container::Lz4 => lz4::starts_frame(next),
            Container::Zstd => next.starts_with(&zstd::MAGIC) || lz4::is_skippable(next),
            _ => false,
        };
        if !follows {
            let mut info = self.info();
            (info.complete, info.trailing) = (true, Some(behind));
        }
        Ok(follows)
    }

    /// Passes over frames that decoders skip, and notes where their content lies.
    fn skip_frames(&mut self, input: &mut Input<R>) -> io::Result<()> {
        while lz4::is_skippable(input.peek(4)?) {
            let mut head = [0; 8];
            input.read_exact(&mut head)?;
            let len = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
            let at = input.consumed();
            if io::copy(&mut input.by_ref().take(len), &mut io::sink())? < len {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut info = self.info();
            if info.skipped.len() < SKIPPED {
                info.skipped.push((at, len));
            }
            drop(info);
            // A file of nothing but such frames is a stream without content.
            self.read += 1;
        }
        Ok(())
    }

    /// Takes the input back from the member that has ended.
    fn end_member(&mut self) {
        let mut info = self.info.lock().unwrap_or_else(PoisonError::into_inner);
        let input = match self.codec.take() {
            None => return,
            Some(Codec::Gzip(codec)) => {
                if let Some(header) = codec.header() {
                    let cut = |text: &[u8]| text[..text.len().min(LABEL_BYTES)].to_vec();
                    if info.names.len() < SKIPPED {
                        info.names.extend(header.filename().map(cut));
                    }
                    if info.labels.len() < SKIPPED {
                        info.labels.extend(header.comment().into_iter().chain(header.extra()).map(cut));
                    }
                }
                codec.into_inner()
            }
            Some(Codec::Zlib(codec)) => codec.into_inner(),
            Some(Codec::Bzip2(codec)) => codec.into_inner(),
            Some(Codec::Xz(codec)) => codec.into_inner(),
            Some(Codec::Lzma(codec)) => {
                // This decoder reads ahead.
                let (mut input, unused) = codec.into_parts();
                info.members += 1;
                info.complete = true;
                let rest = input.fill_buf().map_or(0, <[u8]>::len);
                if rest > 0 || unused.iter().any(|b| *b != 0) {
                    info.trailing = Some(input.consumed().saturating_sub(unused.len() as u64));
                }
                return;
            }
            Some(Codec::Lz4(codec)) => codec.into_inner(),
            Some(Codec::Zstd(codec)) => codec.into_inner(),
        };
        info.members += 1;
        drop(info);
        self.read += 1;
        self.idle = Some(input);
    }

    fn info(&self) -> std::sync::MutexGuard<'_, StreamInfo> {
        self.info.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Read> Read for Members<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if self.broken {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the stream broke before"));
        }
        loop {
            if self.codec.is_none() && !self.start()? {
                return Ok(0);
            }
            let read = match &mut self.codec {
                None => return Ok(0),
                Some(Codec::Gzip(codec)) => codec.read(out),
                Some(Codec::Zlib(codec)) => codec.read(out),
                Some(Codec::Bzip2(codec)) => codec.read(out),
                Some(Codec::Xz(codec)) => codec.read(out).map_err(memory),
                Some(Codec::Lzma(codec)) => codec.read(out).map_err(memory),
                Some(Codec::Lz4(codec)) => codec.read(out),
                Some(Codec::Zstd(codec)) => codec.read(out),
            };
            self.broken = read.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted);
            let n = read?;
            if n > 0 {
                return Ok(n);
            }
            self.end_member();
        }
    }
}

/// A dictionary above the limit is a limit, not damage.
pub(crate) fn memory(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::OutOfMemory {
        return LimitHit { limit: Limit::HeaderBytes, allowed: u64::from(LZMA_MEMORY_KIB) << 10 }.into();
    }
    error
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
        let info = decoder.info().lock().unwrap().clone();
        assert_eq!((info.complete, info.trailing), (true, Some(packed.len() as u64 - 4)));
    }

    fn drain(container: Container, packed: &[u8]) -> (io::Result<Vec<u8>>, StreamInfo) {
        let budget = Budget::default();
        let mut decoder = match decoder(container, packed, &budget) {
            Ok(decoder) => decoder,
            Err(error) => return (Err(io::Error::other(error)), StreamInfo::default()),
        };
        let mut out = Vec::new();
        let done = decoder.read_to_end(&mut out).map(|_| out);
        let info = decoder.info().lock().unwrap().clone();
        (done, info)
    }

    fn fixture(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/../../testdata/archive/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    #[test]
    fn members_follow_each_other_over_padding_and_the_rest_is_named() {
        let gzip = |text: &[u8]| {
            let mut encoder = flate2::GzBuilder::new()
                .filename("model.pkl")
                .comment("a comment")
                .write(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        };
        let streams: [(Container, [Vec<u8>; 2]); 4] = [
            (Container::Gzip, [gzip(b"one"), gzip(b"two")]),
            (Container::Bzip2, [bzip2(b"one"), bzip2(b"two")]),
            (Container::Xz, [fixture("one.xz"), fixture("two.xz")]),
            (Container::Zstd, [fixture("one.zst"), fixture("two.zst")]),
        ];
        for (container, [one, two]) in streams {
            let (out, info) = drain(container, &[one.clone(), two.clone()].concat());
            assert_eq!(
                (out.unwrap().as_slice(), info.members, info.trailing),
                (&b"onetwo"[..], 2, None),
                "{container}"
            );
            let (out, info) = drain(container, &[&one[..], &[0; 8], &two].concat());
            assert_eq!((out.unwrap().as_slice(), info.complete), (&b"onetwo"[..], true), "{container}");
            let (out, info) = drain(container, &[&one[..], b"more"].concat());
            assert_eq!((out.unwrap().as_slice(), info.trailing), (&b"one"[..], Some(one.len() as u64)), "{container}");
            for len in 1..one.len() {
                let (out, info) = drain(container, &one[..len]);
                assert!(out.is_err() && !info.complete, "{container} cut to {len}");
            }
            if container == Container::Gzip {
                let (_, info) = drain(container, &one);
                assert_eq!((info.names, info.labels), (vec![b"model.pkl".to_vec()], vec![b"a comment".to_vec()]));
            }
        }
    }

    #[test]
    fn zstd_frames_that_ask_for_much_or_for_a_dictionary_are_refused() {
        // Window of 2^(10+21) bytes; then a frame with dictionary 7.
        let wide = [&zstd::MAGIC[..], &[0, 21 << 3, 1, 0, 0]].concat();
        assert!(LimitHit::in_io(&drain(Container::Zstd, &wide).0.unwrap_err()).is_some());
        let dictionary = [&zstd::MAGIC[..], &[1, 0, 7, 1, 0, 0]].concat();
        assert_eq!(drain(Container::Zstd, &dictionary).0.unwrap_err().kind(), io::ErrorKind::Unsupported);
        let skippable = [&b"\x50\x2a\x4d\x18\x05\0\0\0extra"[..], &fixture("one.zst")].concat();
        let (out, info) = drain(Container::Zstd, &skippable);
        assert_eq!((out.unwrap().as_slice(), info.skipped), (&b"one"[..], vec![(8, 5)]));
        let mut wrong = fixture("one.zst");
        *wrong.last_mut().unwrap() ^= 1;
        assert_eq!(drain(Container::Zstd, &wrong).0.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn what_follows_an_lzma_stream_is_named() {
        let mut packed = fixture("one.lzma");
        let len = packed.len() as u64;
        assert_eq!(drain(Container::Lzma, &packed).1.trailing, None);
        packed.extend(b"more");
        let (out, info) = drain(Container::Lzma, &packed);
        assert_eq!((out.unwrap().as_slice(), info.trailing), (&b"one"[..], Some(len)));
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
