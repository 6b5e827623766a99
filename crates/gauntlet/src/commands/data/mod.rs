//! `gauntlet data …`: the data gate by hand. One file a command.

pub(crate) mod contract;
pub(crate) mod manifest;

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
}

pub(crate) fn run(command: &DataCommand, global: &Global) -> anyhow::Result<Exit> {
    match command {
        DataCommand::Manifest(args) => manifest::run(args, global),
        DataCommand::Contract(args) => contract::run(args, global),
    }
}
