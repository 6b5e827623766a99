//! `gauntlet data manifest`: drafts the manifest of a dataset.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use gauntlet_core::Limits;

use crate::cli::Global;
use crate::exit::{Exit, UsageError};
use crate::terminal;

#[derive(Debug, Args)]
pub(crate) struct ManifestArgs {
    /// The data file.
    path: PathBuf,
}

pub(crate) fn run(args: &ManifestArgs, _global: &Global) -> anyhow::Result<Exit> {
    let (Some(file), Some(stem)) = (args.path.file_name(), args.path.file_stem()) else {
        return Err(UsageError::new(format!("{} names no file", args.path.display())).into());
    };
    let root = args.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (files, name) = ([PathBuf::from(file)], stem.to_string_lossy());
    let text = gauntlet_data::draft_manifest(root, &files, Path::new("manifest.yaml"), &name, &Limits::default())
        .with_context(|| format!("cannot draft a manifest for {}", args.path.display()))?;
    terminal::print(&text)?;
    Ok(Exit::Allowed)
}
