//! `gauntlet data poisoning`: label errors, triggers, outliers, duplicates and leakage of a table, row by row.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use gauntlet_core::{Limits, Severity, Tree, TreeOptions, display_path};
use gauntlet_data::poisoning::{PoisoningConfig, SideRef, quarantine_suspects};
use gauntlet_data::{POISONING, QuarantineOptions};
use serde_json::json;

use super::given;
use crate::cli::{Global, OutputArgs, parse_severity};
use crate::exit::{Exit, UsageError};

/// Rows that are kept of each rule when they are to be taken out.
const ALL: usize = 2_000_000;

#[derive(Debug, Args)]
pub(crate) struct PoisoningArgs {
    /// Data files, or folders of them, that form one table.
    #[arg(required = true, value_name = "FILE")]
    paths: Vec<PathBuf>,
    /// Column that is to be predicted.
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// Column of free text [default: found by its look].
    #[arg(long, value_name = "COLUMN")]
    text: Vec<String>,
    /// Column that identifies a row or an entity; no feature.
    #[arg(long = "id", value_name = "COLUMN")]
    ids: Vec<String>,
    /// Column that keeps rows together when data is split.
    #[arg(long = "group", value_name = "COLUMN")]
    groups: Vec<String>,
    /// Column with the time of a row.
    #[arg(long, value_name = "COLUMN")]
    time: Option<String>,
    /// Column that says where a row comes from.
    #[arg(long, value_name = "COLUMN")]
    source: Option<String>,
    /// Column of embeddings (lists of one length), or a file with one embedding for each row.
    #[arg(long, value_name = "COLUMN|FILE")]
    embedding: Option<String>,
    /// File of predicted probabilities: a row for each row, a column for each class.
    #[arg(long, value_name = "FILE")]
    predictions: Option<PathBuf>,
    /// Column that names the split of a row, or the files of each split.
    #[arg(long, value_name = "COLUMN|NAME=FILE", value_delimiter = ',')]
    splits: Vec<String>,
    /// Width in pixels, when the numeric columns of a row are an image.
    #[arg(long, value_name = "PIXELS")]
    image_width: Option<usize>,
    /// Most rows that are named for each rule.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    rows: usize,
    /// Most rows that methods look at which compare rows with each other.
    #[arg(long, value_name = "N", default_value_t = gauntlet_data::poisoning::SAMPLE_ROWS)]
    sample: usize,
    /// Write the clean rows and the rejected rows, with the reasons, into this new folder.
    #[arg(long, value_name = "DIR")]
    quarantine: Option<PathBuf>,
    /// `age` public key that the rejected rows are encrypted to.
    #[arg(long, value_name = "KEY", requires = "quarantine")]
    recipient: Vec<String>,
    /// Lowest severity that makes the exit status 1; it never changes a verdict.
    #[arg(long, value_name = "SEVERITY", default_value = "high", value_parser = parse_severity)]
    fail_on: Severity,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn run(args: &PoisoningArgs, global: &Global) -> anyhow::Result<Exit> {
    let limits = Limits::default();
    let (paths, splits, column) = splits(args)?;
    let beside = |path: &Path| -> anyhow::Result<SideRef> {
        anyhow::ensure!(path.is_file(), UsageError::new(format!("{} is no file", path.display())));
        let tree = Tree::read(path, &TreeOptions::default(), &limits)?;
        let [file] = tree.files.as_slice() else { anyhow::bail!("{} is no single file", path.display()) };
        Ok(SideRef { path: display_path(path).0, sha256: hex::encode(file.sha256(&tree.root)?) })
    };
    // A column may be called like a file; whoever has both writes ./FILE.
    let embedding_file = args.embedding.as_deref().map(Path::new).filter(|path| path.is_file());
    let config = PoisoningConfig {
        ids: args.ids.clone(),
        groups: args.groups.clone(),
        time: args.time.clone(),
        split: column,
        splits: splits.into_iter().map(|(path, name)| (display_path(&path).0, name)).collect(),
        text: args.text.clone(),
        embedding: args.embedding.clone().filter(|_| embedding_file.is_none()),
        embedding_file: embedding_file.map(beside).transpose()?,
        predictions: args.predictions.as_deref().map(beside).transpose()?,
        source: args.source.clone(),
        image_width: args.image_width,
        row_findings: Some(args.rows),
        keep: Some(if args.quarantine.is_some() { ALL } else { args.rows }),
        sample: Some(args.sample),
    };
    let config = json!({"label": args.label, "poisoning": config});
    let (judged, answer) = given::judged(&paths, config, &POISONING, &limits, args.fail_on, global)?;
    if let Some(folder) = &args.quarantine {
        anyhow::ensure!(
            judged.reports.iter().all(|report| report.coverage.complete()),
            "nothing was written to {}: the table was not read as a whole, see the report without --quarantine",
            folder.display()
        );
        let tree = given::files(&paths, &limits)?;
        let files: Vec<PathBuf> = tree.files.into_iter().map(|file| file.path).collect();
        let options = QuarantineOptions { recipients: args.recipient.clone() };
        let done = quarantine_suspects(&tree.root, &files, &judged.facts, folder, &options, &limits)
            .with_context(|| format!("cannot write {}", folder.display()))?;
        if !global.quiet {
            anstream::eprintln!(
                "{} of {} rows are in {}, {} in {}",
                done.clean,
                done.rows,
                folder.join("clean").display(),
                done.rejected,
                folder.join("rejected").display()
            );
        }
    }
    answer.deliver(judged, &args.output, global)
}

/// All paths, the split of those that have one, and the column that names splits.
#[expect(clippy::type_complexity, reason = "three answers to one option")]
fn splits(args: &PoisoningArgs) -> anyhow::Result<(Vec<PathBuf>, BTreeMap<PathBuf, String>, Option<String>)> {
    let mut paths = args.paths.clone();
    let (mut splits, mut column) = (BTreeMap::new(), None);
    for split in &args.splits {
        match split.split_once('=') {
            Some((name, file)) if !name.is_empty() && !file.is_empty() => {
                let file = PathBuf::from(file);
                if !paths.contains(&file) {
                    paths.push(file.clone());
                }
                splits.insert(file, name.to_owned());
            }
            None if args.splits.len() == 1 => column = Some(split.clone()),
            _ => {
                return Err(
                    UsageError::new(format!("--splits {split}: write a column, or NAME=FILE for each split")).into()
                );
            }
        }
    }
    Ok((paths, splits, column))
}
