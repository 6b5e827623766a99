//! `gauntlet data fingerprint`: what identifies a dataset, by bytes and by content.

use clap::{Args, ValueEnum};

use super::table;
use crate::cli::Global;
use crate::exit::Exit;
use crate::terminal;

#[derive(Debug, Args)]
pub(crate) struct FingerprintArgs {
    /// Files, folders, patterns or addresses that form one table.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    #[command(flatten)]
    read: table::ReadArgs,
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
    let locations = table::locations(&args.paths)?;
    let print = args.read.with(global, |read| gauntlet_data::fingerprint(&locations, read))?;
    let text = match args.format {
        Format::Json => serde_json::to_string_pretty(&print)? + "\n",
        Format::Human => {
            let files =
                if print.files.len() == 1 { "1 file".to_owned() } else { format!("{} files", print.files.len()) };
            format!(
                "content_hash     {}\nsketch_sha256    {}\nfile_set_sha256  {}\n{} rows in {files}\n",
                print.content_hash, print.sketch_sha256, print.file_set_sha256, print.rows
            )
        }
    };
    terminal::print(&text)?;
    Ok(Exit::Allowed)
}
