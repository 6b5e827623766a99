//! The user's keys: `<config>/keys/<name>.pem` with `<name>.pub.pem` beside, and the local development key.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{KeyError, KeyKind, SigningKey, VerifyingKey, read_private, read_public, write_private, write_public};

const LOCAL: &str = "local";

/// The folder of key files in the user's configuration folder.
#[derive(Clone, Debug)]
pub struct KeyStore {
    folder: PathBuf,
}

/// A key that was just made, and where it lies.
#[derive(Debug)]
pub struct StoredKey {
    /// The key.
    pub key: SigningKey,
    /// Its private file, mode 0600.
    pub private_path: PathBuf,
    /// Its public file.
    pub public_path: PathBuf,
}

/// The development key of this user on this machine. Evidence signed with it is marked `local`: nobody vouched for it.
#[derive(Debug)]
pub struct LocalKey {
    /// The key.
    pub key: SigningKey,
    /// Its private file.
    pub path: PathBuf,
    /// Whether this call made it.
    pub created: bool,
}

impl KeyStore {
    /// The keys under `config_dir`; nothing is touched yet.
    #[must_use]
    pub fn new(config_dir: &Path) -> Self {
        Self { folder: config_dir.join("keys") }
    }

    /// Makes a key pair named `name`.
    ///
    /// # Errors
    /// [`KeyError::Exists`] when the name is taken and `overwrite` is false; [`KeyError::BadName`].
    pub fn create(
        &self,
        name: &str,
        kind: KeyKind,
        passphrase: Option<&Zeroizing<String>>,
        overwrite: bool,
    ) -> Result<StoredKey, KeyError> {
        let private_path = self.private_path(name)?;
        let public_path = self.folder.join(format!("{name}.pub.pem"));
        self.make_folder()?;
        let key = SigningKey::generate(kind)?;
        write_private(&private_path, &key, passphrase, overwrite)?;
        // The private file was free, so an old public file belongs to no key.
        write_public(&public_path, key.verifying_key(), true)?;
        Ok(StoredKey { key, private_path, public_path })
    }

    /// Where the private key `name` lies or would lie.
    ///
    /// # Errors
    /// [`KeyError::BadName`] when the name is no plain file name.
    pub fn private_path(&self, name: &str) -> Result<PathBuf, KeyError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        // `a.pub` would put its private key where the public key of `a` belongs.
        let bad = name.is_empty() || name.len() > 100 || name.starts_with('.') || name.ends_with(".pub");
        if bad || !name.chars().all(plain) {
            return Err(KeyError::BadName(name.to_owned()));
        }
        Ok(self.folder.join(format!("{name}.pem")))
    }

    /// Loads the private key `name`.
    ///
    /// # Errors
    /// As [`read_private`].
    pub fn load(&self, name: &str, passphrase: Option<&Zeroizing<String>>) -> Result<SigningKey, KeyError> {
        read_private(&self.private_path(name)?, passphrase)
    }

    /// All public keys of the folder, in the order of their names. A missing folder has none.
    ///
    /// # Errors
    /// [`KeyError`] when the folder or one of them cannot be read.
    pub fn public_keys(&self) -> Result<Vec<VerifyingKey>, KeyError> {
        let io = |source| KeyError::Io { path: self.folder.clone(), source };
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(io)?,
        };
        let mut paths = Vec::new();
        for entry in entries {
            paths.push(entry.map_err(io)?.path());
        }
        paths.sort();
        let public =
            |path: &&PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".pub.pem"));
        paths.iter().filter(public).map(|path| read_public(path)).collect()
    }

    /// Loads the local development key, making it (P-256, not encrypted) when there is none. Processes that do so
    /// at the same moment end up with the same key.
    ///
    /// # Errors
    /// [`KeyError`] when it can be neither read nor made.
    pub fn local_key(&self) -> Result<LocalKey, KeyError> {
        let path = self.private_path(LOCAL)?;
        let mut created = false;
        if !path.try_exists().map_err(|source| KeyError::Io { path: path.clone(), source })? {
            self.make_folder()?;
            match write_private(&path, &SigningKey::generate(KeyKind::P256)?, None, false) {
                Ok(()) => created = true,
                Err(KeyError::Exists { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        let key = read_private(&path, None)?;
        let public_path = self.folder.join("local.pub.pem");
        if read_public(&public_path).ok().as_ref() != Some(key.verifying_key()) {
            write_public(&public_path, key.verifying_key(), true)?;
        }
        Ok(LocalKey { key, path, created })
    }

    /// Whether `key` is this user's local development key. False when there is none.
    ///
    /// # Errors
    /// [`KeyError`] when the key file is there and cannot be read.
    pub fn is_local(&self, key: &VerifyingKey) -> Result<bool, KeyError> {
        match read_private(&self.private_path(LOCAL)?, None) {
            Ok(local) => Ok(local.verifying_key() == key),
            Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(other) => Err(other),
        }
    }

    fn make_folder(&self) -> Result<(), KeyError> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.folder).map_err(|source| KeyError::Io { path: self.folder.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn racing_users_of_the_local_key_get_the_same_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = KeyStore::new(&folder.path().join("config"));
        let ids: Vec<(String, bool)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let local = store.local_key().unwrap();
                        (local.key.key_id(), local.created)
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|(id, _)| *id == ids[0].0));
        assert_eq!(ids.iter().filter(|(_, created)| *created).count(), 1);
        assert!(!store.local_key().unwrap().created);
    }

    /// Runs this very test in other processes, which do their part and leave.
    #[test]
    fn racing_processes_get_the_same_local_key() {
        const CHILD: &str = "GAUNTLET_TEST_LOCAL_KEY";
        if let Some(config) = std::env::var_os(CHILD) {
            println!("\nid={}", KeyStore::new(Path::new(&config)).local_key().unwrap().key.key_id());
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let children: Vec<_> = (0..6)
            .map(|_| {
                std::process::Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "keys::store::tests::racing_processes_get_the_same_local_key", "--nocapture"])
                    .env(CHILD, folder.path())
                    .stdout(std::process::Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        let own = KeyStore::new(folder.path()).local_key().unwrap().key.key_id();
        for child in children {
            let output = child.wait_with_output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            assert_eq!(text.lines().find_map(|line| line.strip_prefix("id=")), Some(own.as_str()), "{text}");
        }
    }

    #[test]
    fn local_is_told_from_other_keys() {
        let folder = tempfile::tempdir().unwrap();
        let store = KeyStore::new(folder.path());
        let made = store.create("team", KeyKind::Ed25519, None, false).unwrap();
        assert!(!store.is_local(made.key.verifying_key()).unwrap());
        assert!(store.is_local(store.local_key().unwrap().key.verifying_key()).unwrap());
        assert!(!store.is_local(made.key.verifying_key()).unwrap());
        assert_eq!(store.load("team", None).unwrap().key_id(), made.key.key_id());
        assert_eq!(&read_public(&made.public_path).unwrap(), made.key.verifying_key());
        assert!(matches!(store.create("team", KeyKind::P256, None, false), Err(KeyError::Exists { .. })));
    }

    #[test]
    fn names_stay_inside_the_folder() {
        let store = KeyStore::new(Path::new("nowhere"));
        for name in ["", "..", "a/b", ".hidden", "a.pub", "a\0b", "é"] {
            assert!(matches!(store.private_path(name), Err(KeyError::BadName(_))), "{name:?}");
        }
    }
}
