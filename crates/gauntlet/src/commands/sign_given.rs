//! `gauntlet sign --digests FILE` and `--oci LAYOUT`: signing digests that somebody else computed.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use gauntlet_trust::oci;
use gauntlet_trust::oms::{DigestList, MAX_LIST_BYTES};

use crate::exit::UsageError;

/// Digests instead of files, and how files are hashed.
#[derive(Debug, Args)]
pub(crate) struct GivenArgs {
    /// Sign the SHA-256 digests in this file, reading no other: lines of `sha256sum`, JSON, or `.dvc`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["oci", "allow_symlinks", "hash", "dot", "shard_size", "trust_mtime"])]
    pub(crate) digests: Option<PathBuf>,
    /// Sign the digests of the layers of the model in this OCI layout, reading no layer.
    #[arg(long, value_name = "LAYOUT", conflicts_with_all = ["allow_symlinks", "hash", "dot", "shard_size", "trust_mtime"])]
    pub(crate) oci: Option<PathBuf>,
    /// Take a file for unchanged when its inode, size and times are those of an earlier run, without reading it.
    #[arg(long)]
    pub(crate) trust_mtime: bool,
}

/// The list that was asked for.
pub(crate) fn list(args: &GivenArgs) -> anyhow::Result<Option<DigestList>> {
    match (&args.digests, &args.oci) {
        (Some(path), _) => read(path).map(Some),
        (None, Some(layout)) => match oci::digest_list(layout) {
            Ok(list) => Ok(Some(list)),
            Err(reasons) => {
                let told: Vec<String> = reasons
                    .iter()
                    .take(5)
                    .map(|reason| format!("{}: {}", reason.path.as_deref().unwrap_or("layout"), reason.message))
                    .collect();
                Err(UsageError::new(format!("cannot sign from {}: {}", layout.display(), told.join("; "))).into())
            }
        },
        (None, None) => Ok(None),
    }
}

/// Where the digests came from.
pub(crate) fn shown(args: &GivenArgs) -> String {
    args.digests.iter().chain(&args.oci).map(|path| path.display().to_string()).collect()
}

/// The name of a model that need not be there.
pub(crate) fn name(model: &Path) -> anyhow::Result<String> {
    let name = model.file_name().and_then(|name| name.to_str());
    Ok(name.ok_or_else(|| UsageError::new(format!("{} has no name", model.display())))?.to_owned())
}

fn read(path: &Path) -> anyhow::Result<DigestList> {
    use std::io::Read as _;
    let file = std::fs::File::open(path)
        .map_err(|error| UsageError::new(format!("cannot read the digests {}: {error}", path.display())))?;
    let mut bytes = Vec::new();
    file.take(MAX_LIST_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read the digests {}", path.display()))?;
    let dvc = path.extension().is_some_and(|suffix| suffix == "dvc");
    let list = if dvc { DigestList::parse_dvc(&bytes) } else { DigestList::parse(&bytes) };
    Ok(list.map_err(|error| UsageError::new(format!("{}: {error}", path.display())))?)
}
