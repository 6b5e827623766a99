//! Bytes that may be opened as a stream again and again, and as random access when a format needs it.

use std::fs::File;
use std::io::{self, Read, Write};

use gauntlet_archive::ArchiveError;
use gauntlet_limits::{Cursor, ReadAt, Stream};

/// What is kept in memory before a temporary file is used.
const IN_MEMORY: usize = 8 << 20;

/// A stream that can move between threads.
pub(crate) type Opened<'a> = Box<dyn Stream + Send + 'a>;

/// The bytes of a file or member.
pub(crate) enum Content<'a> {
    /// They lie somewhere as they are.
    Plain(&'a dyn ReadAt),
    /// They have to be unpacked; each call starts from the beginning.
    Packed(&'a (dyn Fn() -> Result<Opened<'a>, ArchiveError> + 'a)),
}

/// The first bytes of a content.
pub(crate) struct Prefix {
    pub bytes: Vec<u8>,
    /// There is nothing behind them.
    pub complete: bool,
    /// Reading failed behind them.
    pub error: Option<io::Error>,
}

impl<'a> Content<'a> {
    pub(crate) fn open(&self) -> Result<Opened<'a>, ArchiveError> {
        match self {
            Self::Plain(source) => Ok(Box::new(Cursor::new(*source, 0))),
            Self::Packed(open) => open(),
        }
    }

    pub(crate) fn size(&self) -> Option<u64> {
        match self {
            Self::Plain(source) => Some(source.size()),
            Self::Packed(_) => None,
        }
    }

    pub(crate) fn prefix(&self, len: usize) -> Result<Prefix, ArchiveError> {
        let mut stream = self.open()?;
        let mut prefix = Prefix { bytes: vec![0; len], complete: false, error: None };
        let mut filled = 0;
        while filled < len {
            match stream.read(&mut prefix.bytes[filled..]) {
                Ok(0) => {
                    prefix.complete = true;
                    break;
                }
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    prefix.error = Some(e);
                    break;
                }
            }
        }
        prefix.bytes.truncate(filled);
        Ok(prefix)
    }
}

/// Unpacked bytes that can be read at any place: in memory while small, else in an unnamed temporary file.
pub(crate) enum Spool {
    Memory(Vec<u8>),
    Disk(File),
}

impl Spool {
    /// Unpacks all of `content`; the budget bounds how much that is. A stream that breaks keeps what came before, and
    /// gives its error.
    pub(crate) fn fill(content: &Content<'_>) -> Result<(Self, Option<io::Error>), ArchiveError> {
        Ok(Self::from_stream(&mut content.open()?)?)
    }

    /// As [`Spool::fill`], from a stream that can be read only once.
    pub(crate) fn from_stream(stream: &mut dyn Read) -> io::Result<(Self, Option<io::Error>)> {
        let mut memory = Vec::new();
        let broken = match stream.take(IN_MEMORY as u64).read_to_end(&mut memory) {
            Ok(n) if n < IN_MEMORY => return Ok((Self::Memory(memory), None)),
            Ok(_) => None,
            Err(error) => Some(error),
        };
        if broken.is_some() {
            return Ok((Self::Memory(memory), broken));
        }
        let mut file = tempfile::tempfile()?;
        file.write_all(&memory)?;
        drop(memory);
        let error = io::copy(stream, &mut file).err();
        Ok((Self::Disk(file), error))
    }
}

impl ReadAt for Spool {
    fn size(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.size(),
            Self::Disk(file) => file.size(),
        }
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Memory(bytes) => bytes.read_at(offset, buf),
            Self::Disk(file) => file.read_at(offset, buf),
        }
    }
}
