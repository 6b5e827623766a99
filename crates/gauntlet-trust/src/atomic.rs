//! Files and folders that appear whole or not at all, and never in place of another. (Replacing is `gauntlet_core::write_durably`.)

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile, TempDir};

/// Writes `bytes` to `path` unless something is there. Of several writers at once exactly one wins.
///
/// # Errors
/// `AlreadyExists` when `path` is taken, else whatever the file system says.
pub(crate) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let file = staged(path, bytes, mode)?;
    file.persist_noclobber(path).map_err(|e| e.error)?;
    sync_folder(path)
}

/// A folder that is filled beside its place and appears there whole. Dropped unfinished, it is gone with all its files.
pub(crate) struct NewFolder {
    folder: TempDir,
    target: PathBuf,
}

impl NewFolder {
    /// An empty folder beside `target`, which nobody else can look into.
    ///
    /// # Errors
    /// `AlreadyExists` when something is at `target`, even a dangling link; else what the system says.
    pub(crate) fn beside(target: &Path) -> io::Result<Self> {
        if target.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let folder = Builder::new().prefix(".gauntlet-").tempdir_in(folder_of(target))?;
        Ok(Self { folder, target: target.to_owned() })
    }

    /// Where it is being filled.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Moves it to its place in one step, names made durable first. The files in it must be synced already.
    ///
    /// # Errors
    /// `AlreadyExists` when somebody else was first; else what the system says. Nothing stays behind.
    pub(crate) fn finish(self) -> io::Result<()> {
        sync_names(self.path())?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(self.path(), std::fs::Permissions::from_mode(0o755))?;
        }
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        renameat_with(CWD, self.path(), CWD, &self.target, RenameFlags::NOREPLACE)?;
        // Nothing lies at the temporary name any more.
        let _ = self.folder.keep();
        sync_folder(&self.target)
    }
}

/// Syncs a folder and all folders in it. They are ours, so their depth is that of a path.
fn sync_names(folder: &Path) -> io::Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
        File::open(&folder)?.sync_all()?;
    }
    Ok(())
}

fn staged(path: &Path, bytes: &[u8], mode: u32) -> io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    builder.prefix(".gauntlet-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = builder.tempfile_in(folder_of(path))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Without this a crash may lose the new name although the bytes were synced.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder_of(path))?.sync_all() } else { Ok(()) }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_file_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        write_new(&path, b"one", 0o600).unwrap();
        assert_eq!(write_new(&path, b"two", 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays behind");
    }

    #[test]
    fn a_folder_appears_whole_or_leaves_nothing_behind() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("t");
        let dropped = NewFolder::beside(&target).unwrap();
        std::fs::write(dropped.path().join("f"), b"x").unwrap();
        drop(dropped);
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);

        let (first, second) = (NewFolder::beside(&target).unwrap(), NewFolder::beside(&target).unwrap());
        std::fs::create_dir(first.path().join("sub")).unwrap();
        std::fs::write(first.path().join("sub/f"), b"x").unwrap();
        first.finish().unwrap();
        assert_eq!(second.finish().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(target.join("sub/f")).unwrap(), b"x");
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
        assert!(NewFolder::beside(&target).is_err());
    }
}
