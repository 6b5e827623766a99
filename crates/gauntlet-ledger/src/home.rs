//! What a ledger keeps outside the project, in the user's configuration folder: its key and the last head that was seen.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use rand_core::OsRng;

use crate::checkpoint::SignedCheckpoint;
use crate::error::Error;
use crate::files::{self, Durability};
use crate::lock::LockFile;
use crate::note::{MAX_NOTE, SignerKey, VerifierKey};
use crate::tree::Hash;

const MAX_KEY: u64 = 16 << 10;

/// The folder of one ledger in the configuration: `<config>/ledgers/<first 32 digits of SHA-256(origin)>`.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    folder: PathBuf,
    origin: String,
}

impl Home {
    pub(crate) fn of(config: &Path, origin: &str) -> Self {
        let name = Hash::of(origin.as_bytes()).to_string();
        Self { folder: config.join("ledgers").join(&name[..32]), origin: origin.to_owned() }
    }

    /// Makes the key of a new ledger, or gives the one that an interrupted creation left.
    pub(crate) fn create_key(&self) -> Result<SignerKey, Error> {
        let path = self.key_path();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(Error::io(&self.folder))?;
        // The caller holds the ledger's lock, so nobody else makes this key at the same time.
        if fs::symlink_metadata(&path).is_ok() {
            return self.signer();
        }
        let key = SigningKey::generate(&mut OsRng);
        let pem =
            key.to_pkcs8_pem(LineEnding::LF).map_err(|_| Error::damaged(&path, "the new log key has no PEM form"))?;
        files::replace(&self.folder, &path, pem.as_bytes(), 0o600, Durability::Device).map_err(Error::io(&path))?;
        let signer = SignerKey::new(&self.origin, key)?;
        for (name, text) in [("origin", self.origin.clone()), ("log.vkey", signer.verifier().to_string())] {
            let path = self.folder.join(name);
            files::replace(&self.folder, &path, format!("{text}\n").as_bytes(), 0o600, Durability::Device)
                .map_err(Error::io(&path))?;
        }
        // The folders above are new as well, and a key that is lost ends the ledger.
        for folder in self.folder.ancestors().take(3).filter(|folder| !folder.as_os_str().is_empty()) {
            files::sync_folder(folder).map_err(Error::io(folder))?;
        }
        Ok(signer)
    }

    /// The log's private key.
    pub(crate) fn signer(&self) -> Result<SignerKey, Error> {
        let path = self.key_path();
        let no_key = || Error::NoKey { origin: self.origin.clone(), path: path.clone() };
        let bytes = files::read_if_there(&path, MAX_KEY).map_err(Error::io(&path))?.ok_or_else(no_key)?;
        if fs::symlink_metadata(&path).map_err(Error::io(&path))?.mode() & 0o077 != 0 {
            return Err(Error::KeyMode(path));
        }
        let pem = std::str::from_utf8(&bytes).ok().and_then(|text| SigningKey::from_pkcs8_pem(text).ok());
        let key = pem.ok_or_else(|| Error::damaged(&path, "not an Ed25519 private key in PKCS#8 PEM"))?;
        Ok(SignerKey::new(&self.origin, key)?)
    }

    /// The log's public key, for which the private one need not be here.
    pub(crate) fn verifier(&self) -> Result<VerifierKey, Error> {
        let path = self.folder.join("log.vkey");
        let Some(bytes) = files::read_if_there(&path, MAX_KEY).map_err(Error::io(&path))? else {
            return Ok(self.signer()?.verifier());
        };
        let text = std::str::from_utf8(&bytes).ok().map(str::trim_end);
        let key = text.and_then(|text| VerifierKey::parse(text).ok()).filter(|key| key.name() == self.origin);
        key.ok_or_else(|| Error::damaged(&path, "not the verifier key of this ledger"))
    }

    /// The lock that keeps two copies of one ledger from signing at the same time.
    pub(crate) fn lock_file(&self) -> Result<LockFile, Error> {
        Ok(LockFile::open(&self.folder.join("lock"))?)
    }

    /// Removes what interrupted writes left. The caller holds the lock.
    pub(crate) fn sweep(&self) -> Result<(), Error> {
        for entry in fs::read_dir(&self.folder).map_err(Error::io(&self.folder))? {
            let entry = entry.map_err(Error::io(&self.folder))?;
            if entry.file_name().as_encoded_bytes().starts_with(files::TEMPORARY.as_bytes()) {
                fs::remove_file(entry.path()).map_err(Error::io(entry.path()))?;
            }
        }
        Ok(())
    }

    /// The last checkpoint that was seen. Of its two copies one may be torn by a loss of power; the other then holds an older
    /// one, which still notices a rollback behind it.
    pub(crate) fn head(&self, key: &VerifierKey) -> Result<Option<SignedCheckpoint>, Error> {
        let mut best: Option<SignedCheckpoint> = None;
        let mut refused = None;
        for name in ["head.durable", "head"] {
            let path = self.folder.join(name);
            let Some(bytes) = files::read_if_there(&path, MAX_NOTE as u64).map_err(Error::io(&path))? else { continue };
            match SignedCheckpoint::open(&bytes, key, &[]) {
                Ok(head) => {
                    if best.as_ref().is_none_or(|best| best.checkpoint.size <= head.checkpoint.size) {
                        best = Some(head);
                    }
                }
                Err(source) => refused = Some(Error::Checkpoint { path, source }),
            }
        }
        match (best, refused) {
            (None, Some(error)) => Err(error),
            (best, _) => Ok(best),
        }
    }

    /// Whether a head was ever remembered durably.
    pub(crate) fn has_durable_head(&self) -> bool {
        fs::symlink_metadata(self.folder.join("head.durable")).is_ok()
    }

    /// The text of the last head, to see at little cost whether anybody wrote another.
    pub(crate) fn head_text(&self) -> Result<Option<String>, Error> {
        let path = self.folder.join("head");
        let bytes = files::read_if_there(&path, MAX_NOTE as u64).map_err(Error::io(&path))?;
        Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
    }

    /// Remembers a checkpoint as seen.
    pub(crate) fn remember(&self, checkpoint: &str, durability: Durability) -> Result<(), Error> {
        let path = self.folder.join("head");
        files::exchange(&self.folder, &path, checkpoint.as_bytes(), 0o600).map_err(Error::io(path))?;
        if durability == Durability::Device {
            let path = self.folder.join("head.durable");
            files::replace(&self.folder, &path, checkpoint.as_bytes(), 0o600, durability).map_err(Error::io(path))?;
        }
        Ok(())
    }

    fn key_path(&self) -> PathBuf {
        self.folder.join("log.pem")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;

    fn checkpoint(key: &SignerKey, size: u64) -> String {
        let checkpoint = Checkpoint { origin: "log".into(), size, root: Hash::of(b"root") };
        checkpoint.sign(key).unwrap().to_string()
    }

    #[test]
    fn the_key_is_private_and_stays() {
        let config = tempfile::tempdir().unwrap();
        let home = Home::of(config.path(), "log");
        assert!(matches!(home.signer(), Err(Error::NoKey { .. })));
        let key = home.create_key().unwrap().verifier();
        assert_eq!(home.create_key().unwrap().verifier(), key);
        assert_eq!(home.signer().unwrap().verifier(), key);
        let path = home.key_path();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        assert!(matches!(home.signer(), Err(Error::KeyMode(_))));
    }

    #[test]
    fn a_torn_head_falls_back_to_the_durable_one() {
        let config = tempfile::tempdir().unwrap();
        let home = Home::of(config.path(), "log");
        let key = home.create_key().unwrap();
        let size = |home: &Home| home.head(&key.verifier()).map(|head| head.map(|head| head.checkpoint.size));
        assert_eq!(size(&home).unwrap(), None);
        home.remember(&checkpoint(&key, 3), Durability::Device).unwrap();
        home.remember(&checkpoint(&key, 5), Durability::Process).unwrap();
        assert_eq!(size(&home).unwrap(), Some(5));
        fs::write(home.folder.join("head"), b"").unwrap();
        assert_eq!(size(&home).unwrap(), Some(3));
        fs::write(home.folder.join("head.durable"), b"x").unwrap();
        assert!(size(&home).is_err());
    }
}
