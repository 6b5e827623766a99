//! Files that are read whole under a limit and never through a link, and files that appear whole or not at all.

pub(crate) mod guard;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rand_core::{OsRng, RngCore};
use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};

/// Opens a regular file; a link, a folder, a fifo or a device is an error, and none of them blocks.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags as i32).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
}

/// Reads a regular file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = open_regular(path)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("more than {limit} bytes")));
    }
    Ok(bytes)
}

/// As [`read`]; a file that is not there is `None`.
pub(crate) fn read_if_there(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    match read(path, limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether what was written must survive a loss of power, or only the end of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Synced to the device, the name included.
    Device,
    /// In the system's memory: another durable copy exists.
    Process,
}

/// Writes a file beside its place and moves it there, so that a reader sees the old one or the new one. Missing folders are made.
pub(crate) fn replace(scratch: &Path, path: &Path, bytes: &[u8], mode: u32, durability: Durability) -> io::Result<()> {
    let temporary = scratch.join(temporary_name());
    let outcome = write_and_move(&temporary, path, bytes, mode, durability);
    if outcome.is_err() {
        // Best effort: what stays is swept at the next opening.
        let _ = fs::remove_file(&temporary);
    }
    outcome
}

/// As [`replace`] with [`Durability::Process`], for small files that are replaced again and again. The new file is exchanged
/// with the old one: a plain rename over a file makes some file systems write its content to the device at once, which costs an
/// append more than everything else.
pub(crate) fn exchange(scratch: &Path, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = scratch.join(temporary_name());
    let file = create_new(&temporary, mode)?;
    let written = guard::write_all(&file, &temporary, bytes);
    drop(file);
    let exchange = || match renameat_with(CWD, &temporary, CWD, path, RenameFlags::EXCHANGE) {
        Ok(()) => fs::remove_file(&temporary),
        // There is no old one yet, or the file system cannot exchange.
        Err(_) => fs::rename(&temporary, path),
    };
    let moved = written.and_then(|()| guard::change(path, exchange));
    if moved.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    moved
}

/// Syncs a folder, so that the names in it survive a loss of power.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    guard::change(path, || File::open(path)?.sync_all())
}

/// Syncs one file.
pub(crate) fn sync_file(path: &Path) -> io::Result<()> {
    guard::change(path, || open_regular(path)?.sync_all())
}

/// Removes one file.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

/// The folder a file lies in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Prefix of every temporary file, in the scratch folder or beside evidence.
pub(crate) const TEMPORARY: &str = ".tmp-";

fn write_and_move(temporary: &Path, path: &Path, bytes: &[u8], mode: u32, durability: Durability) -> io::Result<()> {
    let file = create_new(temporary, mode)?;
    guard::write_all(&file, temporary, bytes)?;
    if durability == Durability::Device {
        guard::change(temporary, || file.sync_all())?;
    }
    drop(file);
    if let Err(error) = guard::change(path, || fs::rename(temporary, path)) {
        if error.kind() != io::ErrorKind::NotFound {
            return Err(error);
        }
        guard::change(path, || fs::create_dir_all(folder_of(path)))?;
        guard::change(path, || fs::rename(temporary, path))?;
    }
    if durability == Durability::Device { sync_folder(folder_of(path)) } else { Ok(()) }
}

fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    guard::change(path, || OpenOptions::new().write(true).create_new(true).mode(mode).open(path))
}

/// Unique among all processes that share the folder: process ids are not, between containers.
fn temporary_name() -> PathBuf {
    static PROCESS: OnceLock<u64> = OnceLock::new();
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let process = PROCESS.get_or_init(|| OsRng.next_u64());
    PathBuf::from(format!("{TEMPORARY}{process:016x}-{}", COUNTER.fetch_add(1, Ordering::Relaxed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_only_regular_files_within_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"four").unwrap();
        assert_eq!(read(&file, 4).unwrap(), b"four");
        assert!(read(&file, 3).is_err());
        assert!(read(folder.path(), 4).is_err());
        std::os::unix::fs::symlink(&file, folder.path().join("link")).unwrap();
        assert!(read(&folder.path().join("link"), 4).is_err());
        rustix::fs::mknodat(
            rustix::fs::CWD,
            folder.path().join("fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        assert!(read(&folder.path().join("fifo"), 4).is_err());
        assert_eq!(read_if_there(&folder.path().join("none"), 4).unwrap(), None);
    }

    #[test]
    fn replaces_whole_files_and_makes_folders() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/c");
        replace(folder.path(), &path, b"one", 0o600, Durability::Process).unwrap();
        replace(folder.path(), &path, b"two", 0o600, Durability::Device).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        exchange(folder.path(), &path, b"three", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        exchange(folder.path(), &folder.path().join("a/new"), b"new", 0o600).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
