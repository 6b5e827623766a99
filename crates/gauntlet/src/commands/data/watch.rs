//! `gauntlet data watch`: a stream of batches, window by window, with a state that outlives the process.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use gauntlet_core::{Limits, Severity, Verdict, write_durably};
use gauntlet_data::WatchConfig;
use gauntlet_data::facts::WatchFact;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::given;
use crate::cli::{Global, OutputArgs, parse_severity};
use crate::exit::{Exit, UsageError};
use crate::judge::Judged;
use crate::plan;
use crate::progress::Meter;

/// Largest state file.
const MAX_STATE: u64 = 256 << 20;

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// The next files of the stream, in order.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// What to compare with: files, a folder, or a stored profile.
    #[arg(long, short = 'r', required = true, num_args = 1, value_name = "PATH")]
    reference: Vec<PathBuf>,
    /// The state: results of the last windows and what is left of the newest. Made when it is not there.
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    /// Rows of a window [default: 10000, unless windows are cut by time].
    #[arg(long, value_name = "N", conflicts_with = "window_seconds")]
    window_rows: Option<u64>,
    /// Seconds of a window; --time names the column.
    #[arg(long, value_name = "N", requires = "time")]
    window_seconds: Option<u64>,
    /// The column with the time of each row.
    #[arg(long, value_name = "COLUMN", requires = "window_seconds")]
    time: Option<String>,
    /// Windows over their limit that raise the alarm...
    #[arg(long, value_name = "K", default_value_t = 2)]
    needed: usize,
    /// ...of so many last ones.
    #[arg(long, value_name = "N", default_value_t = 3)]
    of: usize,
    /// Watch only these columns, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    columns: Vec<String>,
    /// Lowest severity that makes the exit status 1; it never changes a verdict.
    #[arg(long, value_name = "SEVERITY", default_value = "high", value_parser = parse_severity)]
    fail_on: Severity,
    #[command(flatten)]
    output: OutputArgs,
}

/// The state file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    gauntlet_watch: u32,
    /// Digest of the reference that the windows were compared with.
    reference: String,
    watch: WatchConfig,
}

pub(crate) fn run(args: &WatchArgs, global: &Global) -> anyhow::Result<Exit> {
    let limits = Limits::default();
    if args.needed == 0 || args.needed > args.of || args.of > 1_000 {
        return Err(
            UsageError::new("--needed and --of: 1 to 1000 windows, at least one and at most all of them bad").into()
        );
    }
    let meter = Meter::new(!global.quiet && !global.no_progress);
    let tree = given::files(&args.reference, &limits)?;
    let name = args.reference.first().map(|path| gauntlet_core::display_path(path).0).unwrap_or_default();
    let reference = plan::reference_files(&name, &tree, json!({}), None, &meter)?;
    meter.finish();
    let digest = reference["sha256"].as_str().unwrap_or_default().to_owned();
    let watch = config(args, &digest)?;
    let config = json!({"drift": {"reference": reference, "columns": args.columns, "watch": &watch}});
    let (judged, answer) = given::judged(&args.files, config, &gauntlet_data::DRIFT, &limits, args.fail_on, global)?;
    // What could not be judged did not happen: the next call takes the same files again.
    if judged.reports.iter().all(|report| report.verdict != Verdict::Error) {
        save(&args.state, digest, watch, &judged)?;
    }
    answer.deliver(judged, &args.output, global)
}

/// What the command line asks for, from where the state stopped.
fn config(args: &WatchArgs, reference: &str) -> anyhow::Result<WatchConfig> {
    let rows = args.window_rows.or(if args.window_seconds.is_none() { Some(10_000) } else { None });
    let asked = WatchConfig {
        window_rows: rows,
        time: args.time.clone(),
        window_seconds: args.window_seconds,
        needed: args.needed,
        of: args.of,
        ..WatchConfig::default()
    };
    if rows == Some(0) || args.window_seconds == Some(0) {
        return Err(UsageError::new("a window has at least one row, or one second").into());
    }
    let Some(state) = load(&args.state)? else { return Ok(asked) };
    let shown = args.state.display();
    if state.reference != reference {
        let message = format!("{shown} belongs to another reference; give that one, or another --state");
        return Err(UsageError::new(message).into());
    }
    let found = state.watch;
    if (found.window_rows, &found.time, found.window_seconds) != (asked.window_rows, &asked.time, asked.window_seconds)
    {
        let message = format!("{shown} was made with other windows; give the same ones, or another --state");
        return Err(UsageError::new(message).into());
    }
    Ok(WatchConfig { needed: args.needed, of: args.of, ..found })
}

fn load(path: &Path) -> anyhow::Result<Option<State>> {
    let shown = || format!("cannot read the state {}", path.display());
    let size = match std::fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(shown),
    };
    anyhow::ensure!(size <= MAX_STATE, "{}: {size} bytes are no state of a watch", shown());
    let bytes = std::fs::read(path).with_context(shown)?;
    let state: State = serde_json::from_slice(&bytes)
        .with_context(|| format!("{}: it is damaged; move it away to begin anew", shown()))?;
    anyhow::ensure!(state.gauntlet_watch == 1, "{}: version {} is not known", shown(), state.gauntlet_watch);
    Ok(Some(state))
}

fn save(path: &Path, reference: String, mut watch: WatchConfig, judged: &Judged) -> anyhow::Result<()> {
    let Some(fact) = judged.facts.of::<WatchFact>().next().transpose()?.map(|(_, fact)| fact) else { return Ok(()) };
    let metrics = judged.reports.iter().flat_map(|report| &report.metrics);
    watch.history.extend(metrics.filter(|metric| metric.name == "window_over").map(|metric| metric.value > 0.0));
    let old = watch.history.len().saturating_sub(watch.of);
    watch.history.drain(..old);
    watch.windows += fact.rows.len() as u64;
    watch.late += fact.late;
    watch.open = fact.open;
    let state = State { gauntlet_watch: 1, reference, watch };
    write_durably(path, &serde_json::to_vec(&state)?, 0o600).with_context(|| format!("cannot write {}", path.display()))
}
