//! Putting a model in place only once every byte of it is the signed one.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use gauntlet_core::Verdict;
use rustix::fs::OFlags;

use super::fetch::{Origin, Streamed};
use super::names::is_safe;
use super::verify::verify_at;
use super::{Trust, Verification, VerifyOptions};
use crate::atomic::NewFolder;

/// Why nothing was installed although the model may be good.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// Something is there already, and nothing is ever replaced.
    #[error("{} is already there", .0.display())]
    Exists(PathBuf),
    /// Writing failed.
    #[error("cannot install to {}: {source}", path.display())]
    Io {
        /// The folder that was to be made.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Verifies a model while it is written beside `target`, and moves it to `target` if the verdict is `pass`: signed
/// files with their signature, and nothing else. Otherwise nothing stays behind.
///
/// # Errors
/// [`InstallError`] when `target` exists or cannot be made; a model that does not verify is no error.
pub fn install(
    origin: Origin<'_>,
    bundle: &[u8],
    trust: &[Trust],
    options: &VerifyOptions,
    target: &Path,
) -> Result<Verification, InstallError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => InstallError::Exists(target.to_owned()),
        _ => InstallError::Io { path: target.to_owned(), source },
    };
    let staging = Staging(NewFolder::beside(target).map_err(failed)?);
    let found = verify_at(&Streamed::new(origin, options, Some(&staging)), bundle, trust, options);
    if found.verdict == Verdict::Pass {
        staging.commit(bundle).map_err(failed)?;
    }
    Ok(found)
}

/// A folder beside its target. Dropped, it is gone with everything in it.
pub(super) struct Staging(NewFolder);

impl Staging {
    /// A file to write at offsets. Shards of one file open it several times, so an existing one is not cut.
    pub(super) fn file(&self, name: &str) -> io::Result<File> {
        if !is_safe(name) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let path = self.0.path().join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        options.open(path)
    }

    /// Adds the signature and moves the folder to its place.
    fn commit(self, bundle: &[u8]) -> io::Result<()> {
        let signature = self.0.path().join("model.sig");
        // A model may hold a signed file of that name; then the caller keeps the signature elsewhere.
        if !signature.exists() {
            gauntlet_core::write_durably(&signature, bundle, 0o644)?;
        }
        self.0.finish()
    }
}
