//! `age`-encrypted files, decrypted while they are read; nothing plain is written anywhere. The last chunk is
//! authenticated before the first byte is handed out, so a file that was cut is refused and never read in part.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use age::stream::StreamReader;
use age::{DecryptError, Decryptor, Identity, IdentityFile};
use gauntlet_core::SkipCode;
use gauntlet_limits::ReadAt;

use super::source::{AtReader, Refusal, Stored, io_problem};

/// The environment variable that names the file with identities.
pub const IDENTITY_VARIABLE: &str = "GAUNTLET_IDENTITY";
/// Identities of this process. Not part of any configuration: evidence does not depend on where a key lies.
static PROVIDED: OnceLock<Arc<Identities>> = OnceLock::new();
/// Identity files are written by people.
const MAX_IDENTITY_BYTES: u64 = 1 << 20;
/// A header names some recipients; the library reads one of any length.
const MAX_HEADER: usize = 64 << 10;

/// Keys that decrypt datasets.
pub struct Identities(Vec<Box<dyn Identity + Send + Sync>>);

/// Why a file of identities cannot be used. Never says what is in it.
#[derive(Debug, thiserror::Error)]
#[error("identity file {path}: {what}")]
pub struct IdentityError {
    path: String,
    what: String,
}

impl Identities {
    /// Reads a file as `age-keygen` writes it.
    ///
    /// # Errors
    /// When it cannot be read, holds no identity, or one that needs a passphrase or a plugin.
    pub fn read(path: &Path) -> Result<Self, IdentityError> {
        let error = |what: String| IdentityError { path: path.display().to_string(), what };
        let file = std::fs::File::open(path).map_err(|e| error(e.to_string()))?;
        let mut bytes = zeroize::Zeroizing::new(Vec::new());
        file.take(MAX_IDENTITY_BYTES + 1).read_to_end(&mut bytes).map_err(|e| error(e.to_string()))?;
        if bytes.len() as u64 > MAX_IDENTITY_BYTES {
            return Err(error(format!("more than {MAX_IDENTITY_BYTES} bytes")));
        }
        let identities = IdentityFile::from_buffer(io::BufReader::new(bytes.as_slice()))
            .map_err(|_| error("no age identity; make one with `age-keygen`".to_owned()))?
            .into_identities()
            .map_err(|_| error("an identity of a kind that is not supported".to_owned()))?;
        if identities.is_empty() {
            return Err(error("no age identity; make one with `age-keygen`".to_owned()));
        }
        Ok(Self(identities))
    }

    /// Reads a file, and uses its identities for every encrypted dataset of this process. Only the first call counts.
    ///
    /// # Errors
    /// As [`Identities::read`].
    pub fn provide(path: &Path) -> Result<(), IdentityError> {
        let identities = Self::read(path)?;
        let _ = PROVIDED.set(Arc::new(identities));
        Ok(())
    }

    /// Those that were provided, else those of the file that the environment names.
    ///
    /// # Errors
    /// As [`Identities::read`].
    pub fn given() -> Result<Option<Arc<Self>>, IdentityError> {
        if let Some(identities) = PROVIDED.get() {
            return Ok(Some(Arc::clone(identities)));
        }
        match std::env::var_os(IDENTITY_VARIABLE).filter(|value| !value.is_empty()) {
            Some(path) => Self::read(Path::new(&path)).map(|identities| Some(Arc::new(identities))),
            None => Ok(None),
        }
    }
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identities({})", self.0.len())
    }
}

/// The plain bytes of an encrypted file, by position.
pub(super) struct Plain {
    stream: Mutex<(StreamReader<AtReader>, u64)>,
    size: u64,
}

impl Plain {
    pub(super) fn open(stored: Arc<Stored>, identities: Option<&Identities>) -> Result<Self, Refusal> {
        header(stored.as_ref())?;
        let Some(identities) = identities else {
            let what =
                format!("encrypted with age; name the file with the identity by --identity or in {IDENTITY_VARIABLE}");
            return Err((SkipCode::Encrypted, what));
        };
        let decryptor = Decryptor::new(AtReader::new(stored)).map_err(|error| refusal(&error))?;
        if decryptor.is_scrypt() {
            let what = "encrypted with a passphrase; encrypt datasets to a recipient (age1…)".to_owned();
            return Err((SkipCode::Encrypted, what));
        }
        let keys = identities.0.iter().map(|identity| identity.as_ref() as &dyn Identity);
        let mut stream = decryptor.decrypt(keys).map_err(|error| refusal(&error))?;
        // Authenticates the last chunk, and with it that nothing is missing.
        let size = stream
            .seek(SeekFrom::End(0))
            .map_err(|error| (SkipCode::Truncated, format!("age: {error}; nothing of the file was used")))?;
        stream.seek(SeekFrom::Start(0)).map_err(|e| io_problem(&e))?;
        Ok(Self { stream: Mutex::new((stream, 0)), size })
    }
}

impl ReadAt for Plain {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if offset >= self.size || buf.is_empty() {
            return Ok(0);
        }
        let mut held = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        let (stream, at) = &mut *held;
        if *at != offset {
            *at = stream.seek(SeekFrom::Start(offset))?;
        }
        let n = stream.read(buf)?;
        *at += n as u64;
        Ok(n)
    }
}

/// Whether the header ends within its bound.
fn header(stored: &Stored) -> Result<(), Refusal> {
    let have = usize::try_from(stored.size()).unwrap_or(MAX_HEADER).min(MAX_HEADER);
    let mut head = vec![0; have];
    stored.read_exact_at(0, &mut head).map_err(|e| io_problem(&e))?;
    if head.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----") {
        return Err((SkipCode::Unsupported, "an armoured age file; store it in binary form".to_owned()));
    }
    if !head.starts_with(b"age-encryption.org/") {
        return Err((SkipCode::Malformed, "does not begin as an age file does".to_owned()));
    }
    match memchr::memmem::find(&head, b"\n--- ") {
        Some(_) => Ok(()),
        None if have < MAX_HEADER => Err((SkipCode::Truncated, "the age header does not end".to_owned())),
        None => Err((SkipCode::Limit, format!("an age header above {MAX_HEADER} bytes"))),
    }
}

fn refusal(error: &DecryptError) -> Refusal {
    match error {
        DecryptError::NoMatchingKeys => {
            (SkipCode::Encrypted, "encrypted to others: none of the given identities opens it".to_owned())
        }
        DecryptError::Io(error) => io_problem(error),
        other => (SkipCode::Malformed, format!("age: {other}")),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use age::x25519;
    use gauntlet_core::Limits;
    use std::io::Write as _;

    use crate::table::source::Source;

    pub(crate) fn encrypt(bytes: &[u8], to: &x25519::Identity) -> Vec<u8> {
        let recipient = to.to_public();
        let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient)).unwrap();
        let mut out = Vec::new();
        let mut writer = encryptor.wrap_output(&mut out).unwrap();
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap();
        out
    }

    fn read(bytes: Vec<u8>, identity: Option<x25519::Identity>) -> Result<Vec<u8>, Refusal> {
        let keys = identity.map(|i| Arc::new(Identities(vec![Box::new(i)])));
        Source::memory("a.csv.age", bytes, &Limits::default()).with_identities(keys).stream(|input| {
            let mut out = Vec::new();
            input.read_to_end(&mut out).map_err(|e| io_problem(&e))?;
            Ok(out)
        })
    }

    #[test]
    fn plain_bytes_come_by_position() {
        let key = x25519::Identity::generate();
        let plain: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
        let source = Source::memory("a.npy.age", encrypt(&plain, &key), &Limits::default())
            .with_identities(Some(Arc::new(Identities(vec![Box::new(key)]))));
        let handle = source.open().unwrap();
        assert_eq!(handle.size(), 200_000);
        for at in [0usize, 65_535, 65_536, 131_070, 199_990, 3] {
            let mut some = [0; 10];
            handle.bytes().read_exact_at(at as u64, &mut some).unwrap();
            assert_eq!(some, plain[at..at + 10]);
        }
        assert!(handle.bytes().read_exact_at(199_991, &mut [0; 10]).is_err());
    }

    #[test]
    fn a_cut_file_gives_nothing_at_all() {
        let key = x25519::Identity::generate();
        let whole = encrypt(&vec![b'x'; 150_000], &key);
        let again = |bytes: &[u8]| read(bytes.to_vec(), Some(key.clone()));
        assert_eq!(again(&whole).unwrap().len(), 150_000);
        // Just behind the second chunk: every chunk that is there is sound.
        let header = whole.len() - (150_000 + 3 * 16);
        for cut in [whole.len() - 1, header + 2 * (65_536 + 16), header + 65_552, header, 40] {
            let (code, what) = again(&whole[..cut]).unwrap_err();
            assert!(matches!(code, SkipCode::Truncated | SkipCode::Malformed), "{cut}: {what}");
        }
        let mut flipped = whole.clone();
        flipped[header + 100] ^= 1;
        assert!(again(&flipped).is_err());
    }

    #[test]
    fn without_the_right_key_it_is_encrypted_and_not_empty() {
        let key = x25519::Identity::generate();
        let whole = encrypt(b"id\n1\n", &key);
        assert_eq!(read(whole.clone(), None).unwrap_err().0, SkipCode::Encrypted);
        assert_eq!(read(whole, Some(x25519::Identity::generate())).unwrap_err().0, SkipCode::Encrypted);
        assert_eq!(read(b"id\n1\n".to_vec(), None).unwrap_err().0, SkipCode::Malformed);
        let endless = [b"age-encryption.org/v1\n".as_slice(), &vec![b'-'; 100_000]].concat();
        assert_eq!(read(endless, None).unwrap_err().0, SkipCode::Limit);
    }
}
