//! Key files: private ones are written with mode 0600 in one step and not read when others could read them too.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use zeroize::Zeroizing;

use super::{KeyError, SigningKey, VerifyingKey};

/// No key file is larger.
const MAX_BYTES: u64 = 64 << 10;

/// Reads a private key file in PEM.
///
/// # Errors
/// [`KeyError::TooOpen`] when group or others have any access (Unix), else as [`SigningKey::from_pem`].
pub fn read_private(path: &Path, passphrase: Option<&Zeroizing<String>>) -> Result<SigningKey, KeyError> {
    let text = read_text(path, true)?;
    SigningKey::from_pem(&text, passphrase).map_err(|e| in_file(path, e))
}

/// Reads a public key file in PEM.
///
/// # Errors
/// As [`VerifyingKey::from_pem`].
pub fn read_public(path: &Path) -> Result<VerifyingKey, KeyError> {
    let text = read_text(path, false)?;
    VerifyingKey::from_pem(&text).map_err(|e| in_file(path, e))
}

/// Writes a private key in PEM with mode 0600, whole or not at all.
///
/// # Errors
/// [`KeyError::Exists`] when `path` is taken and `overwrite` is false.
pub fn write_private(
    path: &Path,
    key: &SigningKey,
    passphrase: Option<&Zeroizing<String>>,
    overwrite: bool,
) -> Result<(), KeyError> {
    write(path, key.to_pem(passphrase)?.as_bytes(), 0o600, overwrite)
}

/// Writes a public key in PEM with mode 0644, whole or not at all.
///
/// # Errors
/// [`KeyError::Exists`] when `path` is taken and `overwrite` is false.
pub fn write_public(path: &Path, key: &VerifyingKey, overwrite: bool) -> Result<(), KeyError> {
    write(path, key.to_pem()?.as_bytes(), 0o644, overwrite)
}

fn write(path: &Path, bytes: &[u8], mode: u32, overwrite: bool) -> Result<(), KeyError> {
    let written = if overwrite {
        gauntlet_core::write_durably(path, bytes, mode)
    } else {
        crate::atomic::write_new(path, bytes, mode)
    };
    written.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyError::Exists { path: path.to_owned() },
        _ => KeyError::Io { path: path.to_owned(), source },
    })
}

fn read_text(path: &Path, private: bool) -> Result<Zeroizing<String>, KeyError> {
    let io_error = |source| KeyError::Io { path: path.to_owned(), source };
    // The type first: opening a pipe would wait for its other end.
    if !std::fs::metadata(path).map_err(io_error)?.is_file() {
        return Err(in_file(path, KeyError::Malformed("not a regular file".to_owned())));
    }
    let file = File::open(path).map_err(io_error)?;
    let metadata = file.metadata().map_err(io_error)?;
    if private {
        refuse_open(path, &metadata)?;
    }
    // Room for everything at once: growing would leave copies of the key behind in freed memory.
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(MAX_BYTES).unwrap_or(usize::MAX) + 1));
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(io_error)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(in_file(path, KeyError::Malformed(format!("more than {MAX_BYTES} bytes"))));
    }
    Ok(text)
}

#[cfg(unix)]
fn refuse_open(path: &Path, metadata: &std::fs::Metadata) -> Result<(), KeyError> {
    use std::os::unix::fs::PermissionsExt;
    match metadata.permissions().mode() & 0o7777 {
        mode if mode & 0o077 != 0 => Err(KeyError::TooOpen { path: path.to_owned(), mode }),
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn refuse_open(_: &Path, _: &std::fs::Metadata) -> Result<(), KeyError> {
    Ok(())
}

fn in_file(path: &Path, error: KeyError) -> KeyError {
    KeyError::InFile { path: path.to_owned(), source: Box::new(error) }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::keys::KeyKind;

    #[test]
    fn private_files_are_0600_and_not_overwritten_unless_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k.pem");
        let (first, second) =
            (SigningKey::generate(KeyKind::P256).unwrap(), SigningKey::generate(KeyKind::P256).unwrap());
        write_private(&path, &first, None, false).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(write_private(&path, &second, None, false), Err(KeyError::Exists { .. })));
        assert_eq!(read_private(&path, None).unwrap().key_id(), first.key_id());
        write_private(&path, &second, None, true).unwrap();
        assert_eq!(read_private(&path, None).unwrap().key_id(), second.key_id());
    }

    #[test]
    fn a_private_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k.pem");
        write_private(&path, &SigningKey::generate(KeyKind::Ed25519).unwrap(), None, false).unwrap();
        for mode in [0o640, 0o604, 0o610, 0o602] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = read_private(&path, None).unwrap_err();
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
        read_private(&path, None).unwrap();
    }

    #[test]
    fn large_files_folders_and_pipes_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let big = folder.path().join("big");
        std::fs::write(&big, vec![b'-'; 70_000]).unwrap();
        assert!(read_public(&big).unwrap_err().to_string().contains("more than"));
        assert!(read_public(folder.path()).is_err());
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        assert!(read_public(&pipe).unwrap_err().to_string().contains("regular file"));
    }
}
