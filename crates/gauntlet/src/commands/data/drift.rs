//! `gauntlet data drift`: compares a batch with its reference.

use std::path::PathBuf;

use clap::Args;
use gauntlet_core::{Severity, nearest};
use serde_json::json;

use super::given;
use crate::cli::{Global, OutputArgs, parse_severity};
use crate::commands::scan;
use crate::exit::{Exit, UsageError};
use crate::plan;
use crate::progress::Meter;

#[derive(Debug, Args)]
pub(crate) struct DriftArgs {
    /// What to compare with: files, a folder, or a stored profile (`gauntlet data profile`).
    #[arg(long, short = 'r', required = true, num_args = 1.., value_name = "PATH")]
    reference: Vec<PathBuf>,
    /// The batch: files or a folder.
    #[arg(long, short = 'c', required = true, num_args = 1.., value_name = "PATH")]
    current: Vec<PathBuf>,
    /// Metrics to report, separated by commas, or `all` [default: the usual ones].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    metrics: Vec<String>,
    /// Compare only these columns, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    columns: Vec<String>,
    /// Columns that only tell rows apart: measured, not judged.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    ids: Vec<String>,
    /// The column to be predicted.
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// The column with a model's predictions.
    #[arg(long, value_name = "COLUMN")]
    prediction: Option<String>,
    /// Compare the rows of each value of this column, too.
    #[arg(long, value_name = "COLUMN")]
    segment: Option<String>,
    /// Rank the causes: columns, segments and values by contribution, and what changed between the lineages.
    #[arg(long)]
    explain: bool,
    /// Manifest of the batch, to compare lineages.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Manifest of the reference.
    #[arg(long, value_name = "FILE")]
    reference_manifest: Option<PathBuf>,
    /// Contract of the batch.
    #[arg(long, value_name = "FILE")]
    contract: Option<PathBuf>,
    /// Contract of the reference.
    #[arg(long, value_name = "FILE")]
    reference_contract: Option<PathBuf>,
    /// Rows of each side in the kernel test and the classifier [default: 400 and 2,500].
    #[arg(long, value_name = "N")]
    sample_rows: Option<usize>,
    /// Take the first rows for them instead of rows spread over the table.
    #[arg(long)]
    sample_first: bool,
    /// Lowest severity that makes the exit status 1; it never changes a verdict.
    #[arg(long, value_name = "SEVERITY", default_value = "high", value_parser = parse_severity)]
    fail_on: Severity,
    /// Raise or lower a limit, such as `rows=50000000`.
    #[arg(long = "limit", value_name = "NAME=N")]
    limits: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn run(args: &DriftArgs, global: &Global) -> anyhow::Result<Exit> {
    check_metrics(&args.metrics)?;
    let limits = scan::limits(&args.limits)?;
    let meter = Meter::new(!global.quiet && !global.no_progress);
    let side = |path: &Option<PathBuf>| {
        let path = path.as_ref().map(|path| gauntlet_core::display_path(path).0);
        path.map(|path| plan::side_file(std::path::Path::new("."), &path)).transpose()
    };
    let tree = given::files(&args.reference, &limits)?;
    if tree.files.is_empty() {
        return Err(UsageError::new("--reference names no files").into());
    }
    let name = args.reference.first().map(|path| gauntlet_core::display_path(path).0).unwrap_or_default();
    let sides = json!({"manifest": side(&args.reference_manifest)?, "contract": side(&args.reference_contract)?});
    let reference = plan::reference_files(&name, &tree, sides, None, &meter)?;
    meter.finish();
    let config = json!({
        "manifest": side(&args.manifest)?,
        "contract": side(&args.contract)?,
        "drift": {
            "reference": reference,
            "metrics": args.metrics,
            "columns": args.columns,
            "ids": args.ids,
            "label": args.label,
            "prediction": args.prediction,
            "segment": args.segment,
            "explain": args.explain,
            "sample_rows": args.sample_rows,
            "sample_first": args.sample_first,
        },
    });
    given::judge(&args.current, config, &gauntlet_data::DRIFT, &limits, args.fail_on, &args.output, global)
}

fn check_metrics(names: &[String]) -> anyhow::Result<()> {
    let known = gauntlet_data::metric_names();
    for name in names.iter().filter(|name| *name != "all") {
        if !known.contains(name) {
            let hint = nearest(name, known.iter().map(String::as_str)).map(|n| format!(", did you mean `{n}`?"));
            let hint = hint.unwrap_or_else(|| format!("; metrics are all, {}", known.join(", ")));
            return Err(UsageError::new(format!("--metrics: `{name}` is not known{hint}")).into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_read_strictly() {
        assert!(check_metrics(&["all".into()]).is_ok());
        assert!(check_metrics(&["psi".into(), "js@width_bins".into()]).is_ok());
        let error = check_metrics(&["pzi".into()]).unwrap_err().to_string();
        assert!(error.contains("did you mean `psi`?"), "{error}");
    }
}
