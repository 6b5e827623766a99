//! `gauntlet sign`: an OpenSSF model signature for a file or folder.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use anyhow::Context;
use gauntlet_trust::oms::{self, HashType, Serialization, SignOptions};

use crate::cli::{HashAlgorithm, SignArgs};
use crate::exit::{Exit, UsageError};
use crate::{keys, terminal};

pub(crate) fn run(args: &SignArgs) -> anyhow::Result<Exit> {
    let key = keys::signing_key(&args.key, args.passphrase_env.as_deref())?;
    let signature = args.signature.clone().unwrap_or_else(|| oms::default_signature_path(&args.model));
    let options = SignOptions {
        hash: match args.hash {
            HashAlgorithm::Sha256 => HashType::Sha256,
            HashAlgorithm::Blake2b => HashType::Blake2b,
            HashAlgorithm::Blake3 => HashType::Blake3,
        },
        serialization: match args.shard_size {
            None => Serialization::Files,
            Some(size) => Serialization::Shards(
                NonZeroU64::new(size).ok_or_else(|| UsageError::new("--shard-size must be above 0"))?,
            ),
        },
        allow_symlinks: args.allow_symlinks,
        ignore: ignored(&args.ignore, &args.model)?,
        signature_path: Some(signature.clone()),
        dot_for_single_file: args.dot,
    };
    let signed =
        oms::sign(&args.model, &key, &options).with_context(|| format!("{} was not signed", args.model.display()))?;
    gauntlet_core::write_durably(&signature, &signed.bundle, 0o644)
        .with_context(|| format!("cannot write the signature to {}", signature.display()))?;
    for warning in &signed.warnings {
        terminal::note(&format!("warning: {warning}"));
    }
    let mut text = format!(
        "Signed     {} ({} file(s), {} bytes)\nSignature  {}\nRoot       {}\nKey id     {}\n",
        args.model.display(),
        signed.files,
        signed.bytes,
        signature.display(),
        signed.root_digest,
        key.key_id(),
    );
    if !signed.unsigned.is_empty() {
        text.push_str(&format!("Left out   {}\n", signed.unsigned.join(", ")));
    }
    terminal::print(&text)?;
    Ok(Exit::Allowed)
}

/// Paths to leave out as the format writes them: relative to the model, whether they were given so or from here.
pub(crate) fn ignored(paths: &[PathBuf], model: &Path) -> anyhow::Result<Vec<String>> {
    paths
        .iter()
        .map(|path| {
            let inside = path.strip_prefix(model).unwrap_or(path);
            let text = inside.to_str().ok_or_else(|| UsageError::new(format!("{} is not UTF-8", path.display())))?;
            Ok(text.trim_end_matches('/').to_owned())
        })
        .collect()
}
