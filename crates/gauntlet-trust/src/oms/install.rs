//! Putting a model in place only once every byte of it is the signed one.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use gauntlet_core::Verdict;
use rustix::fs::{CWD, OFlags, RenameFlags};
use tempfile::TempDir;

use super::fetch::{Origin, Streamed};
use super::names::{ancestry, is_safe};
use super::verify::verify_at;
use super::{Trust, Verification, VerifyOptions};

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
    let failed = |source| InstallError::Io { path: target.to_owned(), source };
    if target.symlink_metadata().is_ok() {
        return Err(InstallError::Exists(target.to_owned()));
    }
    let staging = Staging::beside(target).map_err(failed)?;
    let found = verify_at(&Streamed::new(origin, options, Some(&staging)), bundle, trust, options);
    if found.verdict == Verdict::Pass {
        staging.commit(bundle).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => InstallError::Exists(target.to_owned()),
            _ => failed(source),
        })?;
    }
    Ok(found)
}

/// A folder beside its target. Dropped, it is gone with everything in it.
pub(super) struct Staging {
    folder: TempDir,
    target: PathBuf,
    /// Folders that were made in it, relative.
    folders: Mutex<BTreeSet<String>>,
}

impl Staging {
    fn beside(target: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix(".gauntlet-").tempdir_in(parent(target))?;
        Ok(Self { folder, target: target.to_owned(), folders: Mutex::default() })
    }

    /// A file to write at offsets. Shards of one file open it several times, so an existing one is not cut.
    pub(super) fn file(&self, name: &str) -> io::Result<File> {
        if !is_safe(name) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if let Some((folder, _)) = name.rsplit_once('/') {
            std::fs::create_dir_all(self.folder.path().join(folder))?;
            let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
            folders.extend(ancestry(folder).map(str::to_owned));
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o644).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        options.open(self.folder.path().join(name))
    }

    /// Adds the signature, makes everything durable, and moves the folder to its place in one step.
    fn commit(self, bundle: &[u8]) -> io::Result<()> {
        let root = self.folder.path();
        let signature = root.join("model.sig");
        // A model may hold a signed file of that name; then the caller keeps the signature elsewhere.
        if !signature.exists() {
            gauntlet_core::write_durably(&signature, bundle, 0o644)?;
        }
        for folder in self.folders.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            File::open(root.join(folder))?.sync_all()?;
        }
        std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o755))?;
        File::open(root)?.sync_all()?;
        rustix::fs::renameat_with(CWD, root, CWD, &self.target, RenameFlags::NOREPLACE)?;
        // Nothing lies at the temporary name any more.
        let _ = self.folder.keep();
        File::open(parent(&self.target))?.sync_all()
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
