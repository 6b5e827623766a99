//! Foreign evidence: bundles of other ledgers, kept as they came beside the keys under which their proofs were checked. It never
//! becomes an entry of the local log, so nobody can take it for a claim of ours.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::bundle::{Bundle, BundleError, EXTENSION, MAX_BUNDLE, RefusedLog};
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::files::{self, Durability};
use crate::note::{MAX_NOTE, VerifierKey};
use crate::tree::Hash;

const KEYS: &str = ".keys";

/// Bundles that were imported, in `foreign` of a state folder.
#[derive(Debug, Clone)]
pub struct ForeignStore {
    folder: PathBuf,
}

/// One imported bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// SHA-256 of the bundle's bytes, its name in the store.
    pub digest: Hash,
    /// What it holds.
    pub bundle: Bundle,
    /// Keys of logs and witnesses under which it was checked when it came in. Whether they are still trusted is for whoever judges.
    pub keys: Vec<VerifierKey>,
    /// Checkpoints of its logs.
    pub checkpoints: Vec<Checkpoint>,
}

/// An envelope of an imported bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignEnvelope {
    /// Its bytes.
    pub envelope: Vec<u8>,
    /// Names of the logs that have an entry for it, sorted.
    pub origins: Vec<String>,
}

/// Why a bundle is not taken in.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// It is malformed.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A log in it is unknown, or what it holds of it is false.
    #[error("{}", .0.reason)]
    Log(RefusedLog),
    /// It holds nothing of any log, so nothing in it has a proof.
    #[error("the bundle holds entries of no log")]
    Nothing,
    /// An envelope without an entry.
    #[error("the envelope sha256:{0} is named by no entry of the bundle, so nothing proves that it was logged")]
    Unproven(Hash),
    /// Evidence of the ledger that it would enter.
    #[error("{0} is this ledger itself; foreign evidence comes from others")]
    Own(String),
    /// The log showed somebody else another history.
    #[error("the log {origin} is forked: an earlier import has another root over its first {size} entries")]
    Forked {
        /// Name of the log.
        origin: String,
        /// Entries of both checkpoints.
        size: u64,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl ForeignError {
    /// Whether this says that the bundle is false (exit status 1), and not that it could not be judged.
    pub fn is_verdict(&self) -> bool {
        match self {
            Self::Log(refused) => !matches!(refused.reason, BundleError::UnknownLog { .. }),
            Self::Bundle(_) | Self::Nothing | Self::Unproven(_) | Self::Forked { .. } => true,
            Self::Own(_) => false,
            Self::Store(error) => error.is_verdict(),
        }
    }
}

impl ForeignStore {
    /// The store in a state folder (`.gauntlet`); its folder is made with the first import.
    pub fn in_state(state: &Path) -> Self {
        Self { folder: state.join("foreign") }
    }

    /// Checks a bundle under given keys of logs and witnesses, and keeps it. `own` is the origin of the local ledger. Importing the
    /// same bundle again changes nothing.
    ///
    /// # Errors
    /// When it is malformed, any of its logs is unknown or any proof false, or it contradicts an earlier import.
    pub fn import(
        &self,
        bytes: &[u8],
        logs: &[VerifierKey],
        witnesses: &[VerifierKey],
        own: Option<&str>,
    ) -> Result<Foreign, ForeignError> {
        let bundle = Bundle::parse(bytes)?;
        let keys = logs.iter().chain(witnesses).cloned().collect();
        let foreign = check(Hash::of(bytes), bundle, keys)?;
        if let Some(own) = own.filter(|own| foreign.bundle.logs.contains_key(*own)) {
            return Err(ForeignError::Own(own.to_owned()));
        }
        let earlier = self.list()?;
        for (new, old) in pairs(&foreign, &earlier) {
            if new.origin == old.origin && new.size == old.size && new.root != old.root {
                return Err(ForeignError::Forked { origin: new.origin.clone(), size: new.size });
            }
        }
        if !self.folder.is_dir() {
            fs::create_dir_all(&self.folder).map_err(Error::io(&self.folder))?;
            files::sync_folder(files::folder_of(&self.folder)).map_err(Error::io(&self.folder))?;
        }
        let text = foreign.keys.iter().map(|key| format!("{key}\n")).collect::<String>();
        let keys = self.folder.join(format!("{}{KEYS}", foreign.digest));
        files::replace(&self.folder, &keys, text.as_bytes(), 0o644, Durability::Device).map_err(Error::io(keys))?;
        // Last: a bundle without its keys would be a difference.
        let path = self.path(&foreign.digest);
        files::replace(&self.folder, &path, bytes, 0o644, Durability::Device).map_err(Error::io(path))?;
        Ok(foreign)
    }

    /// All imported bundles, each checked again under the keys beside it, by digest.
    ///
    /// # Errors
    /// When one was changed, its keys are missing, or the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Foreign>, Error> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(Error::io(&self.folder))?,
        };
        let mut found = BTreeMap::new();
        for entry in entries {
            let path = entry.map_err(Error::io(&self.folder))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.ends_with(KEYS) || name.starts_with(files::TEMPORARY) {
                continue;
            }
            let digest = name.strip_suffix(EXTENSION).and_then(Hash::from_hex);
            let digest = digest.ok_or_else(|| Error::damaged(&path, "not a bundle by its digest"))?;
            found.insert(digest, self.read(digest)?);
        }
        Ok(found.into_values().collect())
    }

    /// The envelope with this digest in any imported bundle, with the origins of the logs that name it.
    ///
    /// # Errors
    /// As [`ForeignStore::list`].
    pub fn find(&self, envelope: &Hash) -> Result<Option<ForeignEnvelope>, Error> {
        let mut bytes = None;
        let mut origins = Vec::new();
        for foreign in self.list()? {
            let Some(found) = foreign.bundle.envelopes.get(envelope) else { continue };
            bytes = Some(found.clone());
            let (verified, _) = foreign.bundle.verify_logs(&foreign.keys, &[]);
            let names = |log: &&crate::bundle::VerifiedLog<'_>| {
                log.entries.iter().any(|entry| entry.record.envelope.0 == *envelope)
            };
            origins.extend(verified.iter().filter(names).map(|log| log.checkpoint.checkpoint.origin.clone()));
        }
        origins.sort();
        origins.dedup();
        Ok(bytes.map(|envelope| ForeignEnvelope { envelope, origins }))
    }

    fn read(&self, digest: Hash) -> Result<Foreign, Error> {
        let path = self.path(&digest);
        let bytes = files::read(&path, MAX_BUNDLE as u64).map_err(Error::io(&path))?;
        if Hash::of(&bytes) != digest {
            return Err(Error::damaged(path, "holds other bytes than its name says"));
        }
        let keys_path = self.folder.join(format!("{digest}{KEYS}"));
        let text = files::read_if_there(&keys_path, MAX_NOTE as u64).map_err(Error::io(&keys_path))?;
        let keys = text.as_deref().and_then(|bytes| {
            let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
            text.split('\n').map(|line| VerifierKey::parse(line).ok()).collect::<Option<Vec<_>>>()
        });
        let keys = keys.ok_or_else(|| Error::damaged(&keys_path, "no list of keys"))?;
        let bundle = Bundle::parse(&bytes).map_err(|error| Error::damaged(&path, error.to_string()))?;
        check(digest, bundle, keys).map_err(|error| match error {
            ForeignError::Store(error) => error,
            other => Error::damaged(&path, other.to_string()),
        })
    }

    fn path(&self, digest: &Hash) -> PathBuf {
        self.folder.join(format!("{digest}{EXTENSION}"))
    }
}

fn pairs<'a>(new: &'a Foreign, earlier: &'a [Foreign]) -> impl Iterator<Item = (&'a Checkpoint, &'a Checkpoint)> {
    let olds = earlier.iter().flat_map(|foreign| &foreign.checkpoints);
    olds.flat_map(|old| new.checkpoints.iter().map(move |new| (new, old)))
}

fn check(digest: Hash, bundle: Bundle, keys: Vec<VerifierKey>) -> Result<Foreign, ForeignError> {
    let (verified, refused) = bundle.verify_logs(&keys, &keys);
    if let Some(refused) = refused.into_iter().next() {
        return Err(ForeignError::Log(refused));
    }
    let mut named = std::collections::BTreeSet::new();
    verified.iter().for_each(|log| named.extend(log.entries.iter().map(|entry| entry.record.envelope.0)));
    if named.is_empty() {
        return Err(ForeignError::Nothing);
    }
    if let Some(stray) = bundle.envelopes.keys().find(|digest| !named.contains(digest)) {
        return Err(ForeignError::Unproven(*stray));
    }
    let checkpoints = verified.into_iter().map(|log| log.checkpoint.checkpoint).collect();
    Ok(Foreign { digest, bundle, keys, checkpoints })
}
