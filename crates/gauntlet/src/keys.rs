//! Finding the key that a command was given.

use std::path::Path;

use anyhow::Context;
use gauntlet_trust::keys::{
    KeyError, Pkcs11Key, Pkcs11Uri, Signer, SigningKey, VerifyingKey, read_private, read_public,
};
use zeroize::Zeroizing;

use crate::exit::UsageError;
use crate::{passphrase, terminal};

/// Reads a private key that the user named, asking for its passphrase when it has one.
pub(crate) fn signing_key(path: &Path, passphrase_env: Option<&str>) -> anyhow::Result<SigningKey> {
    let given = passphrase_env.map(passphrase::from_env).transpose()?;
    match read(path, given.as_ref()) {
        Err(error) if given.is_none() && needs_passphrase(&error) => {
            let asked = passphrase::ask(&format!("Passphrase of {}", path.display()))?.ok_or_else(|| {
                UsageError::new(format!("{} is encrypted: name its passphrase with --passphrase-env", path.display()))
            })?;
            Ok(read(path, Some(&asked)).map_err(usage)?)
        }
        other => Ok(other.map_err(usage)?),
    }
}

/// Where the PIN of a token comes from: never the command line, where other users of the machine can read it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PinSource<'a> {
    /// Name of an environment variable.
    pub(crate) env: Option<&'a str>,
    /// A file.
    pub(crate) file: Option<&'a Path>,
}

/// Opens a key in a hardware token.
pub(crate) fn token_key(uri: &str, module: Option<&Path>, pin: PinSource<'_>) -> anyhow::Result<Pkcs11Key> {
    let uri: Pkcs11Uri = uri.parse().map_err(usage)?;
    // The library asks at most once; what went wrong in answering it is told as it is.
    let trouble = std::cell::RefCell::new(None);
    let ask = |label: &str| {
        let given = match pin {
            PinSource { env: Some(name), .. } => passphrase::from_env(name),
            PinSource { file: Some(path), .. } => passphrase::from_file(path),
            _ => passphrase::ask(&format!("PIN of token {label}")).and_then(|asked| {
                let hint = "the token wants a PIN: name it with --pin-env or --pin-file";
                asked.ok_or_else(|| UsageError::new(hint).into())
            }),
        };
        given.map_err(|error| {
            trouble.replace(Some(error));
            KeyError::PassphraseNeeded
        })
    };
    let opened = Pkcs11Key::open(&uri, module, &ask);
    match trouble.take() {
        Some(error) => Err(error),
        None => Ok(opened.map_err(usage)?),
    }
}

/// The key that signs evidence: a PEM file, or a `pkcs11:` URI that names its module, with the PIN in place of the
/// passphrase.
pub(crate) fn signer(key: &Path, passphrase_env: Option<&str>) -> anyhow::Result<Box<dyn Signer>> {
    match key.to_str().filter(|text| text.starts_with("pkcs11:")) {
        Some(uri) => Ok(Box::new(token_key(uri, None, PinSource { env: passphrase_env, file: None })?)),
        None => Ok(Box::new(signing_key(key, passphrase_env)?)),
    }
}

/// Reads a public key.
pub(crate) fn verifying_key(path: &Path) -> anyhow::Result<VerifyingKey> {
    Ok(read_public(path).map_err(usage)?)
}

/// Secrets that an orchestrator mounts are often readable by all; a key that the user names is used then, with a warning.
fn read(path: &Path, passphrase: Option<&Zeroizing<String>>) -> Result<SigningKey, KeyError> {
    match read_private(path, passphrase) {
        Err(error @ KeyError::TooOpen { .. }) => {
            let text =
                std::fs::read_to_string(path).map_err(|source| KeyError::Io { path: path.to_owned(), source })?;
            let key = SigningKey::from_pem(&Zeroizing::new(text), passphrase)
                .map_err(|source| KeyError::InFile { path: path.to_owned(), source: Box::new(source) })?;
            terminal::note(&format!("warning: {error}"));
            Ok(key)
        }
        other => other,
    }
}

fn needs_passphrase(error: &KeyError) -> bool {
    match error {
        KeyError::PassphraseNeeded => true,
        KeyError::InFile { source, .. } => needs_passphrase(source),
        _ => false,
    }
}

fn usage(error: KeyError) -> UsageError {
    UsageError::new(format!("cannot use the key: {error}"))
}

/// Writes a fresh key pair beside each other: `KEY` and `KEY.pub` (`.pem` is replaced).
pub(crate) fn write_pair(
    path: &Path,
    key: &SigningKey,
    passphrase: Option<&Zeroizing<String>>,
    force: bool,
) -> anyhow::Result<std::path::PathBuf> {
    use gauntlet_trust::keys::{write_private, write_public};
    let public = path.with_extension("pub.pem");
    write_private(path, key, passphrase, force).map_err(usage)?;
    write_public(&public, key.verifying_key(), true)
        .map_err(usage)
        .context("the private key was written, the public one not")?;
    Ok(public)
}
