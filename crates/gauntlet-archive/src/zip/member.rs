//! One member: what each header says of it, and its bytes under each reading.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use gauntlet_limits::{Budget, Cursor, LimitHit, ReadAt, Sequential, Stream, Window};

use super::header::{Header, Local};
use crate::decode::{LZMA_MEMORY_KIB, Meter, members, memory};
use crate::input::{Input, Progress};
use crate::{ArchiveError, Container, lossy_name};

/// What one reading says about a member; the same fields in both headers.
pub type Entry = Header;

/// One member as the directory and as its local header describe it.
#[derive(Clone, Debug)]
pub struct Member {
    /// What the directory says; absent when only a local header was found.
    pub central: Option<Entry>,
    /// What the local header says; absent when there is none where the directory points.
    pub local: Option<Entry>,
    /// Offset of the local header.
    pub header_offset: u64,
    /// Offset of the content.
    pub data: Option<u64>,
    /// A symbolic link by its Unix mode.
    pub is_link: bool,
    pub(super) end: u64,
}

/// Compression methods that this crate reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Method 0.
    Stored,
    /// Method 8.
    Deflate,
    /// Method 12.
    Bzip2,
    /// Method 14: LZMA with a header of its own (APPNOTE 5.8.8).
    Lzma,
    /// Method 93 (and its old number 20).
    Zstd,
    /// Method 95.
    Xz,
    /// Any other number.
    Other(u16),
}

impl From<u16> for Method {
    fn from(method: u16) -> Self {
        match method {
            0 => Self::Stored,
            8 => Self::Deflate,
            12 => Self::Bzip2,
            14 => Self::Lzma,
            20 | 93 => Self::Zstd,
            95 => Self::Xz,
            other => Self::Other(other),
        }
    }
}

/// How much a reader lets itself be told by flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// As Python's `zipfile`: an encryption flag is an error.
    Strict,
    /// As PyTorch's reader: flags are ignored, the bytes are delivered.
    Lenient,
}

/// One way to read a member's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Where the content starts.
    pub data: u64,
    /// Compressed bytes.
    pub compressed: u64,
    /// How they are compressed.
    pub method: Method,
    /// Uncompressed bytes, as stated.
    pub size: u64,
    /// Checksum, as stated.
    pub crc: u32,
    /// An encryption flag is set.
    pub encrypted: bool,
}

impl Member {
    pub(super) fn new(header_offset: u64, central: Option<Entry>, local: Option<&Local>, is_link: bool) -> Self {
        Self {
            end: local.map_or(header_offset, |l| l.data),
            data: local.map(|l| l.data),
            central,
            local: local.map(|l| l.header.clone()),
            header_offset,
            is_link,
        }
    }

    /// The directory's name, else the local one.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.central.as_ref().or(self.local.as_ref()).map_or(&[], |entry| &entry.name)
    }

    /// [`Member::name`] in printable form.
    #[must_use]
    pub fn display_name(&self) -> String {
        lossy_name(self.name())
    }

    /// A folder entry without content.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.name().ends_with(b"/") && self.readings().iter().all(|reading| reading.compressed == 0)
    }

    /// Every distinct way to read the bytes: by the directory, by the local header, or one if they agree.
    ///
    /// Empty when there is no local header, hence no content to find.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        let Some(data) = self.data else { return Vec::new() };
        let flags = self.central.iter().chain(&self.local).fold(0, |flags, entry| flags | entry.flags);
        let mut readings: Vec<Reading> = Vec::new();
        for entry in self.central.iter().chain(&self.local) {
            let deferred = entry.flags & 8 != 0 && entry.compressed == 0;
            // Without a directory a deferred header keeps its stated zero; the walk has put a length there.
            if deferred && self.central.is_some() {
                // The local header leaves the sizes to the directory, but its method may still differ.
                if let (Some(known), Some(central)) = (readings.first().copied(), &self.central) {
                    let method = Method::from(entry.method);
                    if method != known.method {
                        readings.push(Reading { method, size: central.size, ..known });
                    }
                    continue;
                }
            }
            let reading = Reading {
                data,
                compressed: entry.compressed,
                method: entry.method.into(),
                size: entry.size,
                crc: entry.crc,
                encrypted: flags & 1 != 0,
            };
            let same = |r: &Reading| (r.compressed, r.method) == (reading.compressed, reading.method);
            if !readings.iter().any(same) {
                readings.push(reading);
            }
        }
        readings
    }

    /// The file's bytes from the local header to behind content and descriptor.
    pub(super) fn span(&self) -> Range<u64> {
        self.header_offset..self.end.max(self.header_offset)
    }
}

impl Reading {
    /// The content where it stands, when it is stored: for readers that need random access.
    #[must_use]
    pub fn stored<'a>(&self, source: &'a dyn ReadAt) -> Option<Window<'a>> {
        (self.method == Method::Stored).then(|| Window::new(source, self.data, self.compressed))
    }

    /// Starts reading the content.
    ///
    /// # Errors
    /// [`ArchiveError::Encrypted`] when a flag says so and `trust` is strict; [`ArchiveError::UnknownMethod`].
    pub fn open<'a>(
        &self,
        source: &'a dyn ReadAt,
        budget: &'a Budget,
        trust: Trust,
    ) -> Result<MemberStream<'a>, ArchiveError> {
        if self.encrypted && trust == Trust::Strict {
            return Err(ArchiveError::Encrypted);
        }
        let window = OwnedWindow { source, start: self.data, len: self.compressed };
        let (coded, container): (Box<dyn Read + Send + 'a>, _) = match self.method {
            Method::Stored => {
                let inner = Inner::Stored(window.cursor());
                return Ok(MemberStream::new(inner, Arc::default(), *self, budget));
            }
            Method::Other(method) => return Err(ArchiveError::UnknownMethod(method)),
            Method::Deflate => {
                let input = Input::new(window.cursor());
                let progress = input.progress();
                let decoder = Box::new(flate2::bufread::DeflateDecoder::new(input));
                return Ok(MemberStream::new(Inner::Coded(decoder), progress, *self, budget));
            }
            Method::Lzma => {
                let input = Input::new(window.cursor());
                let progress = input.progress();
                let decoder = Box::new(zip_lzma(input, self.size).map_err(|error| progress.explain(error))?);
                return Ok(MemberStream::new(Inner::Coded(decoder), progress, *self, budget));
            }
            Method::Bzip2 => (Box::new(window.cursor()), Container::Bzip2),
            Method::Zstd => (Box::new(window.cursor()), Container::Zstd),
            Method::Xz => (Box::new(window.cursor()), Container::Xz),
        };
        let input = Input::new(coded);
        let progress = input.progress();
        let decoder = Box::new(members(container, input, budget.limits()));
        Ok(MemberStream::new(Inner::Coded(decoder), progress, *self, budget))
    }
}

/// A window that owns its numbers, so that a cursor over it may live as long as the source.
struct OwnedWindow<'a> {
    source: &'a dyn ReadAt,
    start: u64,
    len: u64,
}

impl<'a> OwnedWindow<'a> {
    fn cursor(&self) -> Bounded<'a> {
        let size = self.source.size();
        let start = self.start.min(size);
        Bounded { cursor: Cursor::new(self.source, start), left: self.len.min(size - start), start }
    }
}

/// A cursor that ends with the member.
struct Bounded<'a> {
    cursor: Cursor<'a>,
    left: u64,
    start: u64,
}

impl Read for Bounded<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
        let n = self.cursor.read(&mut out[..wanted])?;
        self.left -= n as u64;
        Ok(n)
    }
}

impl Bounded<'_> {
    fn skip(&mut self, n: u64) -> io::Result<u64> {
        let n = self.cursor.skip(n.min(self.left))?;
        self.left -= n;
        Ok(n)
    }
}

enum Inner<'a> {
    Stored(Bounded<'a>),
    Coded(Box<dyn Read + Send + 'a>),
}

/// Two bytes of version, the length of the properties, the properties, then bare LZMA.
fn zip_lzma<R: Read>(mut input: Input<R>, size: u64) -> io::Result<lzma_rust2::LzmaReader<Input<R>>> {
    let mut head = [0; 9];
    input.read_exact(&mut head)?;
    let [_, _, 5, 0, properties, a, b, c, d] = head else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "lzma properties of a zip member"));
    };
    let dictionary = u32::from_le_bytes([a, b, c, d]);
    if dictionary.min(u32::try_from(size).unwrap_or(u32::MAX)) >> 10 > LZMA_MEMORY_KIB {
        return Err(memory(io::ErrorKind::OutOfMemory.into()));
    }
    lzma_rust2::LzmaReader::new_with_props(input, size, properties, dictionary, None)
}

/// The content of a member. Sizes and checksum are compared at the end and never withhold bytes.
pub struct MemberStream<'a> {
    inner: Inner<'a>,
    progress: Arc<Progress>,
    meter: Meter<'a>,
    budget: &'a Budget,
    skipped: u64,
    crc: crc32fast::Hasher,
    stated: Reading,
    at_end: bool,
    taken: Arc<OnceLock<u64>>,
}

impl<'a> MemberStream<'a> {
    fn new(inner: Inner<'a>, progress: Arc<Progress>, stated: Reading, budget: &'a Budget) -> Self {
        let consumed: Arc<AtomicU64> = Arc::clone(&progress.consumed);
        Self {
            inner,
            progress,
            meter: Meter::new(budget, consumed),
            budget,
            skipped: 0,
            crc: crc32fast::Hasher::new(),
            stated,
            at_end: false,
            taken: Arc::default(),
        }
    }
}

impl MemberStream<'_> {
    /// Whether the checksum holds; `None` before the end, or when bytes were skipped.
    #[must_use]
    pub fn crc_holds(&self) -> Option<bool> {
        (self.at_end && self.skipped == 0).then(|| self.crc.clone().finalize() == self.stated.crc)
    }

    /// Whether as many bytes came out as the header states; `None` before the end.
    #[must_use]
    pub fn size_holds(&self) -> Option<bool> {
        self.at_end.then(|| self.position() == self.stated.size)
    }

    /// Bytes of the file that a stored member occupies before its content: positions plus this are file offsets.
    #[must_use]
    pub fn stored_offset(&self) -> Option<u64> {
        match &self.inner {
            Inner::Stored(bounded) => Some(bounded.start),
            Inner::Coded(_) => None,
        }
    }

    /// Set when the content has ended: how many compressed bytes it took. What lies between that and the stated length
    /// belongs to the member, and no reader sees it. The handle outlives the stream. LZMA reads ahead and tells nothing.
    #[must_use]
    pub fn taken(&self) -> Arc<OnceLock<u64>> {
        Arc::clone(&self.taken)
    }
}

impl Read for MemberStream<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let n = match &mut self.inner {
            Inner::Stored(bounded) => {
                let n = bounded.read(out)?;
                // Overlapping members make stored bytes multiply, too.
                self.budget.expand(n as u64)?;
                self.meter.produced += n as u64;
                n
            }
            Inner::Coded(decoder) => {
                let n = decoder.read(out).map_err(|error| match error.kind() {
                    io::ErrorKind::Interrupted => error,
                    _ => self.progress.explain(error),
                })?;
                self.meter.produced(n as u64)?;
                n
            }
        };
        self.crc.update(&out[..n]);
        if n == 0 {
            self.at_end = true;
            if !matches!(self.stated.method, Method::Stored | Method::Lzma) {
                self.taken.set(self.progress.consumed.load(Ordering::Relaxed)).ok();
            }
        }
        Ok(n)
    }
}

impl Stream for MemberStream<'_> {
    fn position(&self) -> u64 {
        self.meter.produced
    }

    fn skip(&mut self, n: u64) -> io::Result<u64> {
        if let Inner::Stored(bounded) = &mut self.inner {
            let n = bounded.skip(n)?;
            self.meter.produced += n;
            self.skipped += n;
            return Ok(n);
        }
        io::copy(&mut self.by_ref().take(n), &mut io::sink())
    }
}

/// Compressed length of a deflate stream of unknown length; `None` when it is broken.
pub(super) fn deflated_len(source: &dyn ReadAt, at: u64, budget: &Budget) -> Result<Option<u64>, ArchiveError> {
    let mut decoder = flate2::bufread::DeflateDecoder::new(io::BufReader::new(Cursor::new(source, at)));
    let mut sink = Sequential::new(decoder.by_ref());
    loop {
        match sink.skip(64 << 10) {
            Ok(0) => break,
            Ok(n) => budget.expand(n)?,
            Err(e) => match LimitHit::in_io(&e) {
                Some(hit) => return Err(hit.into()),
                None => return Ok(None),
            },
        }
    }
    Ok(Some(decoder.total_in()))
}
