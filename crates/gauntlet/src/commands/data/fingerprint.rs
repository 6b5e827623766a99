//! `gauntlet data fingerprint`: what identifies a dataset, by bytes and by content.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gauntlet_core::Limits;
use gauntlet_data::ReadOptions;

use super::table;
use crate::cli::Global;
use crate::exit::Exit;
use crate::terminal;

#[derive(Debug, Args)]
pub(crate) struct FingerprintArgs {
    /// Data files or folders that form one table.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Contract whose types the cells of text files have; without it every cell of a text file is a text.
    #[arg(long, value_name = "FILE")]
    contract: Option<PathBuf>,
    /// How to print the fingerprint.
    #[arg(long, short, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    #[default]
    Human,
    Json,
}

pub(crate) fn run(args: &FingerprintArgs, global: &Global) -> anyhow::Result<Exit> {
    let contract = table::contract(args.contract.as_deref())?;
    let read = ReadOptions { contract: contract.as_ref(), partitions: global.jobs.map(Into::into) };
    let print = gauntlet_data::fingerprint(&args.paths, &read, &Limits::default()).map_err(table::error)?;
    let text = match args.format {
        Format::Json => serde_json::to_string_pretty(&print)? + "\n",
        Format::Human => {
            let files = if print.files.len() == 1 { "1 file".to_owned() } else { format!("{} files", print.files.len()) };
            format!(
                "content_hash     {}\nsketch_sha256    {}\nfile_set_sha256  {}\n{} rows in {files}\n",
                print.content_hash, print.sketch_sha256, print.file_set_sha256, print.rows
            )
        }
    };
    terminal::print(&text)?;
    Ok(Exit::Allowed)
}
