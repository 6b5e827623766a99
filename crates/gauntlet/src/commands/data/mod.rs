//! `gauntlet data …`: the data gate by hand. One file a command.

pub(crate) mod contract;
pub(crate) mod detect;
pub(crate) mod diff;
pub(crate) mod drift;
pub(crate) mod fingerprint;
mod given;
pub(crate) mod manifest;
pub(crate) mod poisoning;
pub(crate) mod profile;
mod table;
pub(crate) mod watch;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::Global;
use crate::exit::{Exit, UsageError};

/// The data gate by hand.
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// File with the age identity that decrypts datasets [default: the one that GAUNTLET_IDENTITY names].
    #[arg(long, global = true, value_name = "FILE")]
    identity: Option<PathBuf>,
    #[command(subcommand)]
    command: DataCommand,
}

/// What to do with a dataset.
#[derive(Debug, Subcommand)]
enum DataCommand {
    /// Draft, check or convert the manifest of a dataset, and split its rows by consent.
    Manifest(manifest::ManifestArgs),
    /// Hold a table against its contract; draft one, or translate one of another tool.
    Contract(contract::ContractArgs),
    /// Summarise the columns of a table, and store the summary for later comparisons.
    Profile(profile::ProfileArgs),
    /// Print what identifies a dataset: hashes of its bytes, its content and its distributions.
    Fingerprint(fingerprint::FingerprintArgs),
    /// Say what changed between two tables: columns, distributions, rows.
    Diff(diff::DiffArgs),
    /// Compare a batch with its reference: tables, stored profiles, arrays, folders of pictures.
    Drift(Box<drift::DriftArgs>),
    /// Compare a stream of batches with its reference, window by window.
    Watch(Box<watch::WatchArgs>),
    /// Find the items of a stream at which it changed.
    Detect(Box<detect::DetectArgs>),
    /// Look for label errors, backdoor triggers, outliers, duplicates and leakage in a table.
    Poisoning(Box<poisoning::PoisoningArgs>),
}

pub(crate) fn run(args: &DataArgs, global: &Global) -> anyhow::Result<Exit> {
    if let Some(file) = &args.identity {
        gauntlet_data::Identities::provide(file).map_err(|error| UsageError::new(error.to_string()))?;
    }
    match &args.command {
        DataCommand::Manifest(args) => manifest::run(args, global),
        DataCommand::Contract(args) => contract::run(args, global),
        DataCommand::Profile(args) => profile::run(args, global),
        DataCommand::Fingerprint(args) => fingerprint::run(args, global),
        DataCommand::Diff(args) => diff::run(args, global),
        DataCommand::Drift(args) => drift::run(args, global),
        DataCommand::Watch(args) => watch::run(args, global),
        DataCommand::Detect(args) => detect::run(args, global),
        DataCommand::Poisoning(args) => poisoning::run(args, global),
    }
}
