//! `gauntlet key`: makes and shows keys.

use gauntlet_trust::keys::{KeyKind, KeyStore, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::cli::{KeyAlgorithm, KeyCommand, KeyGenerateArgs, KeyShowArgs};
use crate::exit::{Exit, UsageError};
use crate::state::UserConfig;
use crate::{keys, passphrase, terminal};

pub(crate) fn run(command: &KeyCommand, config: &UserConfig) -> anyhow::Result<Exit> {
    match command {
        KeyCommand::Generate(args) => generate(args, config)?,
        KeyCommand::Show(args) => show(args)?,
    }
    Ok(Exit::Allowed)
}

fn generate(args: &KeyGenerateArgs, config: &UserConfig) -> anyhow::Result<()> {
    let kind = match args.algorithm {
        KeyAlgorithm::EcdsaP256 => KeyKind::P256,
        KeyAlgorithm::Ed25519 => KeyKind::Ed25519,
    };
    let passphrase = new_passphrase(args)?;
    let (key, private, public) = match &args.output {
        Some(path) => {
            let key = SigningKey::generate(kind)?;
            let public = keys::write_pair(path, &key, passphrase.as_ref(), args.force)?;
            (key, path.clone(), public)
        }
        None => {
            let stored = KeyStore::new(config.dir())
                .create(&args.name, kind, passphrase.as_ref(), args.force)
                .map_err(|error| UsageError::new(error.to_string()))?;
            (stored.key, stored.private_path, stored.public_path)
        }
    };
    let protection = if passphrase.is_some() { "encrypted" } else { "not encrypted; only you can read it" };
    terminal::print(&format!(
        "Private key  {} ({protection})\nPublic key   {}\nKey id       {}\nAlgorithm    {}\n",
        private.display(),
        public.display(),
        key.key_id(),
        key.kind().as_str(),
    ))
}

/// An empty answer means none, as people know it from ssh-keygen.
fn new_passphrase(args: &KeyGenerateArgs) -> anyhow::Result<Option<Zeroizing<String>>> {
    if let Some(name) = &args.passphrase_env {
        return passphrase::from_env(name).map(Some);
    }
    if args.no_passphrase {
        return Ok(None);
    }
    let Some(first) = passphrase::ask("Passphrase for the new key (empty for none)")? else { return Ok(None) };
    if first.is_empty() {
        return Ok(None);
    }
    match passphrase::ask("Once more")? {
        Some(second) if *second == *first => Ok(Some(first)),
        _ => Err(UsageError::new("the two passphrases differ; no key was made").into()),
    }
}

fn show(args: &KeyShowArgs) -> anyhow::Result<()> {
    let key: VerifyingKey = match keys::verifying_key(&args.key) {
        Ok(key) => key,
        Err(_) => keys::signer(&args.key, args.passphrase_env.as_deref())?.verifying_key().clone(),
    };
    terminal::print(&format!("Key id       {}\nAlgorithm    {}\n{}", key.key_id(), key.kind().as_str(), key.to_pem()?))
}
