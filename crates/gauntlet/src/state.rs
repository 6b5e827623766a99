//! `.gauntlet/` in the project's folder, and the user's configuration folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};

/// Version of the folder's layout. A newer one is refused, never rewritten.
const FORMAT: u32 = 1;
const LOCK_PATIENCE: Duration = Duration::from_secs(600);

/// The project's state folder, held by this process alone while the value lives.
pub(crate) struct State {
    dir: PathBuf,
    /// Released by the system when the process ends, however it ends.
    _lock: File,
}

impl State {
    /// Where a project's state is.
    pub(crate) fn folder(project: &Path) -> PathBuf {
        project.join(".gauntlet")
    }

    /// Opens or makes the folder, waiting for another run that holds it.
    pub(crate) fn open(project: &Path, say: impl Fn(&str)) -> anyhow::Result<Self> {
        let dir = Self::folder(project);
        fs::create_dir_all(&dir).with_context(|| format!("cannot make the state folder {}", dir.display()))?;
        let lock = take_lock(&dir.join("lock"), say)?;
        check_format(&dir)?;
        // Keeps the folder out of version control without touching the project's own .gitignore.
        write_once(&dir.join(".gitignore"), b"*\n")?;
        for sub in ["evidence", "evidence/reports", "facts", "cache", "cache/reports"] {
            fs::create_dir_all(dir.join(sub)).with_context(|| format!("cannot make {}", dir.join(sub).display()))?;
        }
        Ok(Self { dir, _lock: lock })
    }

    /// The full report with this digest.
    pub(crate) fn report(&self, sha256: &str) -> PathBuf {
        self.dir.join("evidence/reports").join(format!("{sha256}.json"))
    }

    /// Facts by subject, see [`crate::evidence::store_facts`].
    pub(crate) fn facts(&self) -> PathBuf {
        self.dir.join("facts")
    }

    /// Which envelope answers a question.
    pub(crate) fn cached(&self, key: &str) -> PathBuf {
        self.dir.join("cache/reports").join(format!("{key}.json"))
    }

    /// Known file hashes.
    pub(crate) fn hashes(&self) -> PathBuf {
        self.dir.join("cache/hashes")
    }
}

/// Reads a state folder's format without taking it, for commands that only look.
pub(crate) fn check_format(dir: &Path) -> anyhow::Result<()> {
    let file = dir.join("format");
    match fs::read_to_string(&file) {
        Ok(text) => match text.trim().parse::<u32>() {
            Ok(FORMAT) => Ok(()),
            Ok(version) => bail!(
                "{} has format {version}, this program knows {FORMAT}: use the release that wrote it",
                dir.display()
            ),
            Err(_) => bail!("{} holds no version: the folder is damaged or not ours", file.display()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            gauntlet_core::write_durably(&file, format!("{FORMAT}\n").as_bytes(), 0o644)
                .with_context(|| format!("cannot write {}", file.display()))
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

fn take_lock(path: &Path, say: impl Fn(&str)) -> anyhow::Result<File> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    let started = Instant::now();
    let mut said = false;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => break,
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).with_context(|| format!("cannot lock {}", path.display())),
        }
        let mut holder = String::new();
        file.rewind()?;
        (&file).take(32).read_to_string(&mut holder).ok();
        let holder = holder.trim();
        if !said && started.elapsed() > Duration::from_secs(1) {
            said = true;
            say(&format!("waiting for another run in this folder (process {holder})"));
        }
        if started.elapsed() > LOCK_PATIENCE {
            bail!("another run (process {holder}) has held {} for {} s", path.display(), LOCK_PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

fn write_once(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(bytes),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// The user's configuration folder: keys, log keys, remembered heads. Never inside a project.
pub(crate) struct UserConfig {
    dir: PathBuf,
}

impl UserConfig {
    /// `--config-dir`, else `$XDG_CONFIG_HOME/gauntlet`, else `~/.config/gauntlet`; made with mode 0700.
    pub(crate) fn open(given: Option<&Path>) -> anyhow::Result<Self> {
        let dir = match given {
            Some(dir) => dir.to_owned(),
            None => std::env::var_os("XDG_CONFIG_HOME")
                .filter(|v| !v.is_empty())
                .map(PathBuf::from)
                .or_else(|| std::env::home_dir().map(|home| home.join(".config")))
                .map(|base| base.join("gauntlet"))
                .context("there is no home folder; name a configuration folder with --config-dir")?,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .with_context(|| format!("cannot make the configuration folder {}", dir.display()))?;
        Ok(Self { dir })
    }

    /// The folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Known hashes of files outside of any project.
    pub(crate) fn hashes(&self) -> anyhow::Result<PathBuf> {
        let dir = self.dir.join("cache");
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(dir.join("hashes"))
    }

    /// The secret under which this user's caches are kept.
    pub(crate) fn cache_key(&self) -> anyhow::Result<[u8; 32]> {
        let path = self.dir.join("cache.key");
        loop {
            match fs::read(&path) {
                Ok(bytes) => {
                    return bytes.try_into().map_err(|_| {
                        anyhow::anyhow!("{} is damaged: delete it, and caches are made anew", path.display())
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
            }
            let mut key = [0; 32];
            File::open("/dev/urandom")?.read_exact(&mut key)?;
            let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
            file.write_all(&key)?;
            file.as_file().sync_all()?;
            // Two first runs may race: whoever is first wins, and both read the winner's key.
            match file.persist_noclobber(&path) {
                Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => return Err(error.error.into()),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_formats_are_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::folder(dir.path());
        drop(State::open(dir.path(), |_| ()).unwrap());
        assert_eq!(fs::read_to_string(state.join("format")).unwrap(), "1\n");
        fs::write(state.join("format"), "2\n").unwrap();
        let error = State::open(dir.path(), |_| ()).err().unwrap().to_string();
        assert!(error.contains("format 2"), "{error}");
        assert_eq!(fs::read_to_string(state.join("format")).unwrap(), "2\n");
    }

    #[test]
    fn cache_key_is_made_once_and_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let config = UserConfig::open(Some(&dir.path().join("c"))).unwrap();
        let keys: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| config.cache_key().unwrap())).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|k| *k == keys[0] && *k != [0; 32]));
        let mode = fs::metadata(config.dir().join("cache.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
