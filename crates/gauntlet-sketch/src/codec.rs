//! The compact binary form: little-endian, variable-length counts, every length checked before anything is allocated.

/// Why bytes are no sketch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end early.
    #[error("the bytes end in the middle of a value")]
    Truncated,
    /// Bytes are left over.
    #[error("{0} bytes follow the end")]
    Trailing(usize),
    /// Not a profile or sketch at all.
    #[error("does not begin as a stored profile does")]
    Magic,
    /// Written by a newer program.
    #[error("version {0} of the format is not known to this program")]
    Version(u8),
    /// The checksum differs: the file was damaged or cut.
    #[error("the checksum does not match: the file is damaged")]
    Checksum,
    /// More of something than a sketch can hold.
    #[error("claims {claimed} {what}; at most {limit} are possible")]
    Limit {
        /// What is counted.
        what: &'static str,
        /// What the bytes say.
        claimed: u64,
        /// What is possible.
        limit: u64,
    },
    /// Contradicts itself.
    #[error("malformed: {0}")]
    Malformed(&'static str),
}

/// Writes values one after the other.
#[derive(Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    /// LEB128.
    pub(crate) fn count(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// Zigzag, then LEB128.
    pub(crate) fn signed(&mut self, value: i64) {
        self.count(((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u128(&mut self, value: u128) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn f64(&mut self, value: f64) {
        self.u64(value.to_bits());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }
}

/// Reads what [`Writer`] wrote, from bytes that may be anybody's.
#[derive(Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let (head, tail) = self.0.split_at_checked(n).ok_or(DecodeError::Truncated)?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.take(N)?.try_into().map_err(|_| DecodeError::Truncated)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn flag(&mut self) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Malformed("a flag is neither 0 nor 1")),
        }
    }

    pub(crate) fn count(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let part = u64::from(byte & 0x7f);
            if part << shift >> shift != part || (shift > 0 && byte == 0) {
                return Err(DecodeError::Malformed("a count is written in an unusual way"));
            }
            value |= part << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::Malformed("a count is longer than 64 bits"))
    }

    /// A number of things that follow: no more than `limit`, and no more than there are bytes left.
    pub(crate) fn length(&mut self, what: &'static str, limit: usize) -> Result<usize, DecodeError> {
        let claimed = self.count()?;
        match usize::try_from(claimed) {
            Ok(n) if n <= limit && n <= self.0.len() => Ok(n),
            Ok(n) if n <= limit => Err(DecodeError::Truncated),
            _ => Err(DecodeError::Limit { what, claimed, limit: limit as u64 }),
        }
    }

    pub(crate) fn signed(&mut self) -> Result<i64, DecodeError> {
        let value = self.count()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn u128(&mut self) -> Result<u128, DecodeError> {
        Ok(u128::from_le_bytes(self.array()?))
    }

    pub(crate) fn f64(&mut self) -> Result<f64, DecodeError> {
        Ok(f64::from_bits(self.u64()?))
    }

    pub(crate) fn bytes(&mut self, what: &'static str, limit: usize) -> Result<&'a [u8], DecodeError> {
        let n = self.length(what, limit)?;
        self.take(n)
    }

    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(DecodeError::Trailing(self.0.len())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let mut w = Writer::default();
        for n in [0, 1, 127, 128, 300, u64::MAX] {
            w.count(n);
        }
        for n in [0, -1, 1, i64::MIN, i64::MAX] {
            w.signed(n);
        }
        let mut r = Reader(&w.0);
        for n in [0, 1, 127, 128, 300, u64::MAX] {
            assert_eq!(r.count().unwrap(), n);
        }
        for n in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(r.signed().unwrap(), n);
        }
        r.finish().unwrap();
    }

    #[test]
    fn a_count_has_one_form_and_never_claims_more_than_there_is() {
        assert!(Reader(&[0x80, 0x00]).count().is_err());
        assert!(Reader(&[0xff; 11]).count().is_err());
        assert_eq!(Reader(&[5, 1]).length("things", 9).unwrap_err(), DecodeError::Truncated);
        assert!(matches!(Reader(&[10, 1]).length("things", 9).unwrap_err(), DecodeError::Limit { .. }));
    }
}
