//! The three forms in which R writes numbers and texts, read alike.

use std::io;

use gauntlet_limits::{Budget, Stream};

use super::RError;

/// Longest text of one item in the ascii form.
const TOKEN_BYTES: usize = 1024;
/// Longest name that is kept; longer ones are passed over.
const NAME_BYTES: u64 = 4096;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Xdr,
    Ascii,
    Native,
}

pub(super) struct Input<'a> {
    pub(super) stream: &'a mut dyn Stream,
    pub(super) form: Form,
    pub(super) peeked: Option<u8>,
}

impl Input<'_> {
    pub(super) fn position(&self) -> u64 {
        self.stream.position().saturating_sub(u64::from(self.peeked.is_some()))
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], RError> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// The next word of the ascii form, without the white space around it.
    pub(super) fn token(&mut self) -> Result<String, RError> {
        let mut token = Vec::new();
        loop {
            let byte = match self.peeked.take() {
                Some(byte) => byte,
                None => self.array::<1>()?[0],
            };
            match byte {
                b' ' | b'\n' | b'\t' | b'\r' if token.is_empty() => {}
                b' ' | b'\n' | b'\t' | b'\r' => break,
                byte if token.len() < TOKEN_BYTES => token.push(byte),
                _ => return Err(RError::Malformed { what: "word without an end", offset: self.position() }),
            }
        }
        Ok(String::from_utf8_lossy(&token).into_owned())
    }

    /// Four bytes as they stand: flags, a signed number.
    pub(super) fn word(&mut self) -> Result<u32, RError> {
        Ok(match self.form {
            Form::Xdr => u32::from_be_bytes(self.array()?),
            Form::Native => u32::from_le_bytes(self.array()?),
            Form::Ascii => {
                let token = self.token()?;
                let number = if token == "NA" { Some(i32::MIN) } else { token.parse().ok() };
                let number: i32 =
                    number.ok_or(RError::Malformed { what: "word that is no number", offset: self.position() })?;
                number.cast_unsigned()
            }
        })
    }

    /// The kind of a part of byte code.
    pub(super) fn kind(&mut self) -> Result<u32, RError> {
        self.word()
    }

    pub(super) fn count(&mut self) -> Result<u64, RError> {
        let offset = self.position();
        let n = self.word()?.cast_signed();
        u64::try_from(n).map_err(|_| RError::Malformed { what: "negative count", offset })
    }

    /// A length, or `None` for the text that is missing (NA).
    pub(super) fn length(&mut self) -> Result<Option<u64>, RError> {
        let offset = self.position();
        match self.word()?.cast_signed() {
            -1 => Ok(None),
            n => u64::try_from(n).map(Some).map_err(|_| RError::Malformed { what: "negative length", offset }),
        }
    }

    /// A length of up to 2^52 elements.
    pub(super) fn long(&mut self) -> Result<u64, RError> {
        match self.length()? {
            Some(n) => Ok(n),
            None => {
                let (high, low) = (u64::from(self.word()?), u64::from(self.word()?));
                if high > 1 << 20 {
                    return Err(RError::Malformed { what: "impossible length", offset: self.position() });
                }
                Ok(high << 32 | low)
            }
        }
    }

    /// Passes over `len` bytes as they stand.
    pub(super) fn bytes(&mut self, len: u64) -> Result<(), RError> {
        if self.form == Form::Ascii {
            return self.text(len);
        }
        if self.stream.skip(len)? < len {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(())
    }

    pub(super) fn text(&mut self, len: u64) -> Result<(), RError> {
        if self.form == Form::Ascii {
            self.escaped(len, false)?;
            return Ok(());
        }
        self.bytes(len)
    }

    /// A text that is kept when it is short.
    pub(super) fn name(&mut self, len: u64) -> Result<String, RError> {
        if len > NAME_BYTES {
            self.text(len)?;
            return Ok(String::new());
        }
        let bytes = if self.form == Form::Ascii {
            self.escaped(len, true)?
        } else {
            let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
            self.stream.read_exact(&mut bytes)?;
            bytes
        };
        Ok(String::from_utf8_lossy(&bytes).chars().filter(|c| !c.is_control()).take(200).collect())
    }

    /// `len` characters of the ascii form, where blanks and bytes beyond ASCII are escaped.
    pub(super) fn escaped(&mut self, len: u64, keep: bool) -> Result<Vec<u8>, RError> {
        let mut out = Vec::new();
        let mut byte = self.byte()?;
        while byte.is_ascii_whitespace() && len > 0 {
            byte = self.byte()?;
        }
        for at in 0..len {
            if at > 0 {
                byte = self.byte()?;
            }
            if byte == b'\\' {
                byte = self.byte()?;
                if (b'0'..=b'7').contains(&byte) {
                    let mut value = u32::from(byte - b'0');
                    for _ in 0..2 {
                        let next = self.byte()?;
                        if !(b'0'..=b'7').contains(&next) {
                            self.peeked = Some(next);
                            break;
                        }
                        value = value * 8 + u32::from(next - b'0');
                    }
                    byte = u8::try_from(value & 0xff).unwrap_or(0);
                }
            }
            if keep {
                out.push(byte);
            }
        }
        if len == 0 {
            self.peeked = Some(byte);
        }
        Ok(out)
    }

    pub(super) fn byte(&mut self) -> Result<u8, RError> {
        match self.peeked.take() {
            Some(byte) => Ok(byte),
            None => Ok(self.array::<1>()?[0]),
        }
    }

    /// Passes over `len` elements of `width` bytes, or of so many words in the ascii form.
    pub(super) fn numbers(&mut self, len: u64, width: u64, words: u64, budget: &Budget) -> Result<(), RError> {
        let malformed = RError::Malformed { what: "impossible length", offset: self.position() };
        if self.form == Form::Ascii {
            for _ in 0..len.checked_mul(words).ok_or(malformed)? {
                budget.steps(1)?;
                self.token()?;
            }
            return Ok(());
        }
        self.bytes(len.checked_mul(width).ok_or(malformed)?)
    }

    pub(super) fn raw(&mut self, len: u64, budget: &Budget) -> Result<(), RError> {
        self.numbers(len, 1, 1, budget)
    }
}
