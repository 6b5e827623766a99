//! `gauntlet data …`: the data gate by hand. One file a command.

pub(crate) mod contract;
pub(crate) mod diff;
pub(crate) mod fingerprint;
pub(crate) mod manifest;
pub(crate) mod profile;
mod table;

use clap::Subcommand;

use crate::cli::Global;
use crate::exit::Exit;

/// What to do with a dataset.
#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
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
}

pub(crate) fn run(command: &DataCommand, global: &Global) -> anyhow::Result<Exit> {
    match command {
        DataCommand::Manifest(args) => manifest::run(args, global),
        DataCommand::Contract(args) => contract::run(args, global),
        DataCommand::Profile(args) => profile::run(args, global),
        DataCommand::Fingerprint(args) => fingerprint::run(args, global),
        DataCommand::Diff(args) => diff::run(args, global),
    }
}
