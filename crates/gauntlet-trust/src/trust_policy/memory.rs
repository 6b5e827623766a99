//! The newest signed trust policy that was seen of each organisation, so that an older one is refused.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use gauntlet_core::{Digest, sha256_hex, write_durably};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::VerifiedPolicy;
use crate::strict_json::{self, Bounds};

/// A folder in the user's configuration: one file an organisation.
#[derive(Clone, Debug)]
pub struct KnownVersions {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Known {
    name: String,
    version_number: u64,
    digest: Digest,
}

/// Why a policy that is properly signed is refused, or could not be compared with what was seen before.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// An older one than was seen.
    #[error(
        "trust policy of `{name}`: number {found} is older than number {known}, which was seen before: it was rolled back"
    )]
    RolledBack {
        /// The organisation.
        name: String,
        /// Number of this one.
        found: u64,
        /// Number of the newest that was seen.
        known: u64,
    },
    /// The number that was seen had another text.
    #[error("trust policy of `{name}`: number {number} is another text than the one that was seen before")]
    Forked {
        /// The organisation.
        name: String,
        /// The number.
        number: u64,
    },
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The remembered version cannot be read, so nothing can be compared.
    #[error("{}: damaged; delete it only if you know which trust policy is the newest: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl MemoryError {
    /// Whether this says that the policy is false, and not that nothing could be compared.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::RolledBack { .. } | Self::Forked { .. })
    }
}

impl KnownVersions {
    /// What is remembered under a configuration folder; nothing is touched yet.
    #[must_use]
    pub fn new(config_dir: &Path) -> Self {
        Self { folder: config_dir.join("trust-policies") }
    }

    /// Compares a verified policy with the newest one that was seen, and remembers it.
    ///
    /// # Errors
    /// [`MemoryError`] when it is older, has another history, or the memory cannot be read or written.
    pub fn admit(&self, verified: &VerifiedPolicy) -> Result<(), MemoryError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| MemoryError::Io { path, source }
        };
        fs::create_dir_all(&self.folder).map_err(io(&self.folder))?;
        // Two processes that read and write at once could leave the older number.
        let lock = self.folder.join("lock");
        let held = File::options().create(true).truncate(false).write(true).open(&lock).map_err(io(&lock))?;
        flock(&held, FlockOperation::LockExclusive).map_err(|error| io(&lock)(error.into()))?;
        let name = &verified.policy.name;
        let path = self.path(name);
        if let Some(known) = read(&path)? {
            let (found, number) = (verified.version_number, known.version_number);
            if known.name != *name {
                return Err(MemoryError::Damaged { path, problem: "it is about another organisation".into() });
            }
            if found < number {
                return Err(MemoryError::RolledBack { name: name.clone(), found, known: number });
            }
            // Whoever held an old key could sign another history beside the one that was seen.
            if !verified.history.contains(&(number, known.digest.clone())) {
                return Err(MemoryError::Forked { name: name.clone(), number });
            }
            if found == number {
                return Ok(());
            }
        }
        let known = Known {
            name: name.clone(),
            version_number: verified.version_number,
            digest: verified.policy.digest.clone(),
        };
        let bytes = serde_json::to_vec_pretty(&known).map_err(|error| io(&path)(error.into()))?;
        write_durably(&path, &bytes, 0o600).map_err(io(&path))
    }

    fn path(&self, name: &str) -> PathBuf {
        let digest = sha256_hex(name.as_bytes());
        self.folder.join(format!("{}.json", digest.get(..32).unwrap_or(&digest)))
    }
}

fn read(path: &Path) -> Result<Option<Known>, MemoryError> {
    let io = |source| MemoryError::Io { path: path.to_owned(), source };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(io)?,
    };
    let mut bytes = Vec::new();
    file.take(Bounds::RECORD.bytes as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
    strict_json::from_slice(&bytes, &Bounds::RECORD)
        .map(Some)
        .map_err(|error| MemoryError::Damaged { path: path.to_owned(), problem: error.to_string() })
}
