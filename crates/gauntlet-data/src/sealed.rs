//! Output that is encrypted with `age` where recipients are configured: rows that fail hold values of the data.

use std::io::{self, Write};

use age::stream::StreamWriter;
use age::x25519::Recipient;

/// What was given is no public key of `age`.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no age recipient (they begin with `age1`)")]
pub struct RecipientError(String);

/// Public keys (`age1…`) that output is encrypted to; without any it is written as it is.
#[derive(Clone, Default)]
pub struct Recipients(Vec<Recipient>);

impl Recipients {
    /// Reads public keys.
    ///
    /// # Errors
    /// The first text that is none.
    pub fn parse(keys: &[String]) -> Result<Self, RecipientError> {
        let parse =
            |key: &String| key.trim().parse::<Recipient>().map_err(|_| RecipientError(key.chars().take(80).collect()));
        keys.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether output stays as it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A writer that encrypts, or does not. Only [`Sealed::finish`] makes the output whole.
pub enum Sealed<W: Write> {
    /// As it is.
    Plain(W),
    /// Encrypted to every recipient.
    Encrypted(Box<StreamWriter<W>>),
}

impl<W: Write> Sealed<W> {
    /// Begins the output, with the header of the encryption where there is one.
    ///
    /// # Errors
    /// The system's word.
    pub fn new(out: W, recipients: &Recipients) -> io::Result<Self> {
        if recipients.is_empty() {
            return Ok(Self::Plain(out));
        }
        let all = recipients.0.iter().map(|recipient| recipient as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(all).map_err(|e| io::Error::other(e.to_string()))?;
        Ok(Self::Encrypted(Box::new(encryptor.wrap_output(out)?)))
    }

    /// Writes the authenticated end, and gives the writer back.
    ///
    /// # Errors
    /// The system's word.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(out) => Ok(out),
            Self::Encrypted(stream) => stream.finish(),
        }
    }
}

impl<W: Write> Write for Sealed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Encrypted(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Encrypted(stream) => stream.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_identity_reads_what_is_sealed_and_a_wrong_key_is_told() {
        let identity = age::x25519::Identity::generate();
        let recipients = Recipients::parse(&[identity.to_public().to_string()]).unwrap();
        let mut out = Sealed::new(Vec::new(), &recipients).unwrap();
        out.write_all(b"a row").unwrap();
        let bytes = out.finish().unwrap();
        assert!(bytes.starts_with(b"age-encryption.org/v1"));
        assert_eq!(age::decrypt(&identity, &bytes).unwrap(), b"a row");
        assert!(age::decrypt(&age::x25519::Identity::generate(), &bytes).is_err());
        let plain = Sealed::new(Vec::new(), &Recipients::default()).unwrap();
        assert!(matches!(plain, Sealed::Plain(_)));
        let error = Recipients::parse(&["age2nobody".to_owned()]).err().unwrap();
        assert!(error.to_string().contains("age2nobody"));
    }
}
