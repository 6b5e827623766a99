//! The evidence store: DSSE envelopes beside the log, each under its own digest (`<sha256>.dsse.json`).

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::files::{self, Durability, TEMPORARY};
use crate::tree::Hash;

/// Largest envelope, in bytes.
pub const MAX_ENVELOPE: u64 = 64 << 20;

const SUFFIX: &str = ".dsse.json";

/// A folder of envelopes. Writers need no lock: a name says the content, so they can only agree.
#[derive(Debug, Clone)]
pub struct EvidenceStore {
    folder: PathBuf,
}

/// What the evidence store holds under a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Nothing.
    Missing,
    /// The envelope.
    Intact,
    /// A file with other bytes.
    Changed {
        /// Digest of the bytes that are there.
        found: Hash,
    },
}

impl EvidenceStore {
    /// The store in this folder, which is made when the first envelope is put.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Stores an envelope durably and gives its digest. An intact copy that is there already is left alone.
    ///
    /// # Errors
    /// When the envelope is too large or the file system refuses.
    pub fn put(&self, envelope: &[u8]) -> Result<Hash, Error> {
        if envelope.len() as u64 > MAX_ENVELOPE {
            return Err(Error::EnvelopeTooLarge { found: envelope.len() as u64, limit: MAX_ENVELOPE });
        }
        let digest = Hash::of(envelope);
        let path = self.path(&digest);
        if self.check(&digest)? != Held::Intact {
            if !self.folder.is_dir() {
                fs::create_dir_all(&self.folder).map_err(Error::io(&self.folder))?;
                files::sync_folder(files::folder_of(&self.folder)).map_err(Error::io(&self.folder))?;
            }
            files::replace(&self.folder, &path, envelope, 0o644, Durability::Device).map_err(Error::io(&path))?;
        } else {
            // The writer of that copy may have ended before its sync.
            files::sync_file(&path).and_then(|()| files::sync_folder(&self.folder)).map_err(Error::io(&path))?;
        }
        Ok(digest)
    }

    /// The envelope with this digest; `None` when it is not here.
    ///
    /// # Errors
    /// When the file holds other bytes or cannot be read.
    pub fn get(&self, digest: &Hash) -> Result<Option<Vec<u8>>, Error> {
        let path = self.path(digest);
        let Some(bytes) = files::read_if_there(&path, MAX_ENVELOPE).map_err(Error::io(&path))? else {
            return Ok(None);
        };
        let found = Hash::of(&bytes);
        if found != *digest {
            return Err(Error::damaged(path, format!("holds other bytes: their digest is sha256:{found}")));
        }
        Ok(Some(bytes))
    }

    /// Whether something lies under this digest; the bytes are not read.
    pub(crate) fn contains(&self, digest: &Hash) -> bool {
        fs::symlink_metadata(self.path(digest)).is_ok_and(|metadata| metadata.is_file())
    }

    /// Reads the bytes under a digest and compares them with it, in bounded memory.
    ///
    /// # Errors
    /// When the file is no regular file or cannot be read.
    pub fn check(&self, digest: &Hash) -> Result<Held, Error> {
        let path = self.path(digest);
        let mut file = match files::open_regular(&path) {
            Ok(file) => file.take(MAX_ENVELOPE + 1),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Held::Missing),
            Err(error) => return Err(Error::io(path)(error)),
        };
        let mut hasher = Sha256::new();
        let mut buffer = [0; 65536];
        loop {
            match file.read(&mut buffer).map_err(Error::io(&path))? {
                0 => break,
                read => hasher.update(&buffer[..read]),
            }
        }
        let found = Hash::from(<[u8; 32]>::from(hasher.finalize()));
        Ok(if found == *digest { Held::Intact } else { Held::Changed { found } })
    }

    /// Digests of all files that are named as envelopes, sorted.
    ///
    /// # Errors
    /// When the folder cannot be read. A missing folder is empty.
    pub fn list(&self) -> Result<Vec<Hash>, Error> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(Error::io(&self.folder))?,
        };
        let mut digests = Vec::new();
        for entry in entries {
            let name = entry.map_err(Error::io(&self.folder))?.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
            digests.extend(stem.filter(|stem| !stem.starts_with(TEMPORARY)).and_then(Hash::from_hex));
        }
        digests.sort_unstable();
        Ok(digests)
    }

    /// Where the envelope with this digest lies.
    pub fn path(&self, digest: &Hash) -> PathBuf {
        self.folder.join(format!("{digest}{SUFFIX}"))
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_was_put_and_notices_changes() {
        let folder = tempfile::tempdir().unwrap();
        let store = EvidenceStore::new(folder.path().join("evidence"));
        assert_eq!(store.list().unwrap(), []);
        let digest = store.put(b"{}").unwrap();
        assert_eq!(store.put(b"{}").unwrap(), digest);
        assert_eq!(store.get(&digest).unwrap().unwrap(), b"{}");
        assert_eq!(store.list().unwrap(), [digest]);
        assert_eq!(store.get(&Hash::of(b"other")).unwrap(), None);

        fs::write(store.path(&digest), b"{ }").unwrap();
        assert!(store.get(&digest).is_err());
        assert_eq!(store.check(&digest).unwrap(), Held::Changed { found: Hash::of(b"{ }") });
        store.put(b"{}").unwrap();
        assert_eq!(store.check(&digest).unwrap(), Held::Intact);
    }

    #[test]
    fn never_reads_through_links() {
        let folder = tempfile::tempdir().unwrap();
        let store = EvidenceStore::new(folder.path());
        let elsewhere = folder.path().join("elsewhere");
        fs::write(&elsewhere, b"{}").unwrap();
        std::os::unix::fs::symlink(&elsewhere, store.path(&Hash::of(b"{}"))).unwrap();
        assert!(store.get(&Hash::of(b"{}")).is_err());
        assert!(!store.contains(&Hash::of(b"{}")));
    }
}
