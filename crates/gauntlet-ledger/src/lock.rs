//! The single-writer lease: an exclusive lock on a file, which the system releases when the process ends, however it ends.
//! The lock file is no evidence; what is written in it only helps to say who holds the lock.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock};

const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(5);
const HOLDER_BYTES: usize = 16;

/// Why the lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it for longer than the caller waits.
    #[error("{path} is held by {holder} (waited {waited} ms)", path = path.display(), waited = waited.as_millis())]
    Held {
        /// The lock file.
        path: PathBuf,
        /// `process <id>`, or `another process` when it did not say.
        holder: String,
        /// How long was waited.
        waited: Duration,
    },
    /// The lock file could not be opened or locked.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A lock that is held until this value is dropped or the process ends.
#[derive(Debug)]
pub struct Lease {
    _file: LockFile,
}

impl Lease {
    /// Waits for the lock on `path`, which is made when missing, at most `timeout`.
    ///
    /// # Errors
    /// When another process holds it for longer, or the file cannot be locked.
    pub fn acquire(path: &Path, timeout: Duration) -> Result<Self, LockError> {
        let mut file = LockFile::open(path)?;
        // Closing the file unlocks it; the guard would do so here.
        std::mem::forget(file.lock(timeout)?);
        Ok(Self { _file: file })
    }
}

/// A lock file that is locked and unlocked many times. A second file, the turnstile, is held while waiting: whoever just
/// released the lock has to queue behind it, so two busy processes take turns.
#[derive(Debug)]
pub(crate) struct LockFile {
    path: PathBuf,
    main: File,
    turnstile: File,
}

/// Unlocks when dropped.
pub(crate) struct Locked<'a>(&'a LockFile);

impl LockFile {
    pub(crate) fn open(path: &Path) -> Result<Self, LockError> {
        let error = |source| LockError::Io { path: path.to_owned(), source };
        let main = open(path).map_err(error)?;
        let turnstile = open(&path.with_extension("next")).map_err(error)?;
        Ok(Self { path: path.to_owned(), main, turnstile })
    }

    /// Waits for the lock.
    pub(crate) fn lock(&mut self, timeout: Duration) -> Result<Locked<'_>, LockError> {
        let start = Instant::now();
        loop {
            self.wait(&self.turnstile, start, timeout)?;
            let outcome = self.wait(&self.main, start, timeout);
            flock(&self.turnstile, FlockOperation::Unlock).map_err(|error| self.error(error.into()))?;
            outcome?;
            if self.is_current() {
                break;
            }
            // Somebody removed the lock file; a lock on what is not there any more excludes nobody.
            *self = Self::open(&self.path)?;
        }
        // Only for messages: a failure changes nothing.
        let holder = format!("{:<width$}\n", std::process::id(), width = HOLDER_BYTES - 1);
        let _ = self.main.write_all_at(holder.as_bytes(), 0);
        Ok(Locked(self))
    }

    fn wait(&self, file: &File, start: Instant, timeout: Duration) -> Result<(), LockError> {
        let mut pause = FIRST_PAUSE;
        loop {
            match flock(file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(()),
                Err(error) if error == rustix::io::Errno::WOULDBLOCK || error == rustix::io::Errno::INTR => {}
                Err(error) => return Err(self.error(error.into())),
            }
            let waited = start.elapsed();
            if waited >= timeout {
                return Err(LockError::Held { path: self.path.clone(), holder: self.holder(), waited });
            }
            std::thread::sleep(pause.min(timeout - waited));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn is_current(&self) -> bool {
        let Ok(held) = self.main.metadata() else { return false };
        fs::symlink_metadata(&self.path).is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino()))
    }

    fn holder(&self) -> String {
        let mut bytes = [0; HOLDER_BYTES];
        let read = self.main.read_at(&mut bytes, 0).unwrap_or(0);
        let pid = std::str::from_utf8(&bytes[..read]).ok().and_then(|text| text.trim().parse::<u32>().ok());
        pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    }

    fn error(&self, source: io::Error) -> LockError {
        LockError::Io { path: self.path.clone(), source }
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // Fails only for a descriptor that is not open; the end of the process unlocks as well.
        let _ = flock(&self.0.main, FlockOperation::Unlock);
    }
}

/// Opens a lock file, for reading only where the folder may not be written: a lock needs no more.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW.bits() as i32;
    let writable = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags)
        .open(path);
    match writable {
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
            OpenOptions::new().read(true).custom_flags(flags).open(path)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_holder_and_is_released_on_drop() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let lease = Lease::acquire(&path, Duration::ZERO).unwrap();
        let refused = Lease::acquire(&path, Duration::from_millis(20)).unwrap_err();
        assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
        drop(lease);
        Lease::acquire(&path, Duration::ZERO).unwrap();
    }

    #[test]
    fn waits_until_the_lock_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let lease = Lease::acquire(&path, Duration::ZERO).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| Lease::acquire(&path, Duration::from_secs(10)));
            std::thread::sleep(Duration::from_millis(30));
            drop(lease);
            waiting.join().unwrap().unwrap();
        });
    }

    #[test]
    fn a_removed_lock_file_excludes_nobody_by_mistake() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let mut file = LockFile::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let _held = file.lock(Duration::ZERO).unwrap();
        assert!(Lease::acquire(&path, Duration::ZERO).is_err());
    }
}
