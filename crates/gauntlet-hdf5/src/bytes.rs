//! A cursor over the bytes of one structure; reading past its end says which structure is too short.

use crate::error::{ProblemKind, Stop};

#[derive(Clone)]
pub(crate) struct Bytes<'a> {
    bytes: &'a [u8],
    at: usize,
    what: &'static str,
}

impl<'a> Bytes<'a> {
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { bytes, at: 0, what }
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], Stop> {
        let taken = self.at.checked_add(n).and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| Stop::bad(ProblemKind::Truncated, format!("{} ends early", self.what)))?;
        self.at += n;
        Ok(taken)
    }

    /// Everything that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        self.at = self.bytes.len();
        rest
    }

    pub(crate) fn skip(&mut self, n: usize) -> Result<(), Stop> {
        self.take(n).map(|_| ())
    }

    /// A little-endian number of `width` bytes; numbers above 64 bits keep their low half only when the rest is zero.
    pub(crate) fn uint(&mut self, width: usize) -> Result<u64, Stop> {
        let taken = self.take(width)?;
        if taken.iter().skip(8).any(|byte| *byte != 0) && taken.iter().any(|byte| *byte != 0xff) {
            return Err(Stop::bad(ProblemKind::Malformed, format!("{} has a number above 64 bits", self.what)));
        }
        Ok(taken.iter().take(8).rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Stop> {
        self.take(1).map(|taken| taken.first().copied().unwrap_or(0))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Stop> {
        self.uint(2).map(|value| value as u16)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Stop> {
        self.uint(4).map(|value| value as u32)
    }

    /// A number that becomes a length in memory.
    pub(crate) fn len(&mut self, width: usize) -> Result<usize, Stop> {
        let value = self.uint(width)?;
        usize::try_from(value)
            .map_err(|_| Stop::bad(ProblemKind::Malformed, format!("{} has a huge length", self.what)))
    }

    pub(crate) fn signature(&mut self, wanted: &[u8]) -> Result<(), Stop> {
        if self.take(wanted.len())? == wanted {
            Ok(())
        } else {
            let name = String::from_utf8_lossy(wanted).into_owned();
            Err(Stop::bad(ProblemKind::Malformed, format!("{} does not begin with `{name}`", self.what)))
        }
    }

    /// A version byte that has to be one of `known`.
    pub(crate) fn version(&mut self, known: std::ops::RangeInclusive<u8>) -> Result<u8, Stop> {
        let version = self.u8()?;
        if known.contains(&version) {
            Ok(version)
        } else {
            Err(Stop::bad(ProblemKind::Unsupported, format!("{} has the unknown version {version}", self.what)))
        }
    }

    /// Bytes up to a NUL, which is consumed.
    pub(crate) fn until_nul(&mut self) -> Result<&'a [u8], Stop> {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        match rest.iter().position(|byte| *byte == 0) {
            Some(end) => {
                self.at += end + 1;
                Ok(rest.get(..end).unwrap_or(&[]))
            }
            None => Err(Stop::bad(ProblemKind::Truncated, format!("a text in {} has no end", self.what))),
        }
    }

    /// Skips to the next multiple of `to`, counted from `start`.
    pub(crate) fn align(&mut self, start: usize, to: usize) -> Result<(), Stop> {
        let over = self.at.saturating_sub(start) % to;
        if over == 0 { Ok(()) } else { self.skip(to - over) }
    }
}

/// Text of a name, with what is not UTF-8 replaced; at most 4096 characters.
pub(crate) fn name(bytes: &[u8]) -> String {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or(&[]);
    String::from_utf8_lossy(bytes.get(..4096).unwrap_or(bytes)).into_owned()
}

/// Bytes needed for numbers up to `limit`.
pub(crate) fn width_of(limit: u64) -> usize {
    limit.checked_ilog2().map_or(1, |bits| bits as usize / 8 + 1)
}
