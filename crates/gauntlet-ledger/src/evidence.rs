//! The evidence store: DSSE envelopes beside the log, each under its own digest (`<sha256>.dsse.json`), in a folder or in an
//! object store.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::files::{self, Durability, TEMPORARY};
use crate::objects::{Created, Objects};
use crate::tree::Hash;

/// Largest envelope, in bytes.
pub const MAX_ENVELOPE: u64 = 64 << 20;

const SUFFIX: &str = ".dsse.json";

/// Folder of the envelopes in an object store.
const REMOTE_FOLDER: &str = "evidence";

/// Most envelopes that are listed in an object store.
const MAX_LISTED: usize = 10_000_000;

/// Envelopes by digest. Writers need no lock: a name says the content, so they can only agree.
#[derive(Debug, Clone)]
pub struct EvidenceStore {
    place: StorePlace,
}

#[derive(Debug, Clone)]
enum StorePlace {
    Folder(PathBuf),
    Objects(Objects),
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
        Self { place: StorePlace::Folder(folder.into()) }
    }

    /// The store beside a log in an object store.
    pub(crate) fn in_objects(objects: Objects) -> Self {
        Self { place: StorePlace::Objects(objects) }
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
        match &self.place {
            StorePlace::Folder(folder) => self.put_file(folder, &digest, envelope)?,
            StorePlace::Objects(objects) => {
                let name = remote_name(&digest);
                if objects.create(&name, Bytes::copy_from_slice(envelope))? == Created::Taken {
                    let problem = "holds other bytes than its name says; remove it, and the envelope can be stored";
                    return Err(Error::damaged(objects.path(&name), problem));
                }
            }
        }
        Ok(digest)
    }

    fn put_file(&self, folder: &Path, digest: &Hash, envelope: &[u8]) -> Result<(), Error> {
        let path = self.path(digest);
        if self.check(digest)? != Held::Intact {
            if !folder.is_dir() {
                fs::create_dir_all(folder).map_err(Error::io(folder))?;
                files::sync_folder(files::folder_of(folder)).map_err(Error::io(folder))?;
            }
            files::replace(folder, &path, envelope, 0o644, Durability::Device).map_err(Error::io(&path))
        } else {
            // The writer of that copy may have ended before its sync.
            files::sync_file(&path).and_then(|()| files::sync_folder(folder)).map_err(Error::io(&path))
        }
    }

    /// Removes the bytes of an envelope, durably. That they are gone already is no error.
    pub(crate) fn remove(&self, digest: &Hash) -> Result<(), Error> {
        match &self.place {
            StorePlace::Objects(objects) => objects.remove(&remote_name(digest)),
            StorePlace::Folder(folder) => {
                let path = self.path(digest);
                match files::remove(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                    Err(error) => Err(Error::io(path)(error)),
                    Ok(()) => files::sync_folder(folder).map_err(Error::io(folder)),
                }
            }
        }
    }

    /// The envelope with this digest; `None` when it is not here.
    ///
    /// # Errors
    /// When the file holds other bytes or cannot be read.
    pub fn get(&self, digest: &Hash) -> Result<Option<Vec<u8>>, Error> {
        let path = self.path(digest);
        let bytes = match &self.place {
            StorePlace::Folder(_) => files::read_if_there(&path, MAX_ENVELOPE).map_err(Error::io(&path))?,
            StorePlace::Objects(objects) => objects.get(&remote_name(digest), MAX_ENVELOPE)?.map(Vec::from),
        };
        let Some(bytes) = bytes else { return Ok(None) };
        let found = Hash::of(&bytes);
        if found != *digest {
            return Err(Error::damaged(path, format!("holds other bytes: their digest is sha256:{found}")));
        }
        Ok(Some(bytes))
    }

    /// Whether something lies under this digest; the bytes are not read.
    pub(crate) fn contains(&self, digest: &Hash) -> Result<bool, Error> {
        match &self.place {
            StorePlace::Folder(_) => {
                Ok(fs::symlink_metadata(self.path(digest)).is_ok_and(|metadata| metadata.is_file()))
            }
            StorePlace::Objects(objects) => Ok(objects.length(&remote_name(digest))?.is_some()),
        }
    }

    /// Reads the bytes under a digest and compares them with it, in bounded memory.
    ///
    /// # Errors
    /// When the file is no regular file or cannot be read.
    pub fn check(&self, digest: &Hash) -> Result<Held, Error> {
        let path = self.path(digest);
        if let StorePlace::Objects(objects) = &self.place {
            let there = objects.get(&remote_name(digest), MAX_ENVELOPE)?;
            return Ok(there.map_or(Held::Missing, |bytes| match Hash::of(&bytes) {
                found if found == *digest => Held::Intact,
                found => Held::Changed { found },
            }));
        }
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
        let mut digests: Vec<Hash> = match &self.place {
            StorePlace::Folder(folder) => list_folder(folder)?,
            StorePlace::Objects(objects) => {
                let names = objects.list(&format!("{REMOTE_FOLDER}/"), MAX_LISTED)?;
                let stem = |name: &String| {
                    Hash::from_hex(name.strip_prefix(REMOTE_FOLDER)?.strip_prefix('/')?.strip_suffix(SUFFIX)?)
                };
                names.iter().filter_map(stem).collect()
            }
        };
        digests.sort_unstable();
        Ok(digests)
    }

    /// Where the envelope with this digest lies; in an object store the text of its URL.
    pub fn path(&self, digest: &Hash) -> PathBuf {
        match &self.place {
            StorePlace::Folder(folder) => folder.join(format!("{digest}{SUFFIX}")),
            StorePlace::Objects(objects) => objects.path(&remote_name(digest)),
        }
    }
}

fn remote_name(digest: &Hash) -> String {
    format!("{REMOTE_FOLDER}/{digest}{SUFFIX}")
}

fn list_folder(folder: &Path) -> Result<Vec<Hash>, Error> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(Error::io(folder))?,
    };
    let mut digests = Vec::new();
    for entry in entries {
        let name = entry.map_err(Error::io(folder))?.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
        digests.extend(stem.filter(|stem| !stem.starts_with(TEMPORARY)).and_then(Hash::from_hex));
    }
    Ok(digests)
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
        assert!(!store.contains(&Hash::of(b"{}")).unwrap());
    }
}
