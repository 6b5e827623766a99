//! `gauntlet data detect`: the items of a stream at which a detector fires.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use gauntlet_core::Severity;
use gauntlet_data::StreamConfig;
use serde_json::json;

use super::given;
use crate::cli::{Global, OutputArgs, parse_severity};
use crate::commands::scan;
use crate::exit::{Exit, UsageError};

#[derive(Debug, Args)]
pub(crate) struct DetectArgs {
    /// Files whose rows are the items, in order.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The detector: adwin, page-hinkley, kswin, ddm, hddm-a or hddm-w. For 0/1 losses hddm-a, for values scaled to
    /// [0, 1] adwin, for features kswin.
    #[arg(long, value_name = "NAME")]
    detector: String,
    /// The column of the items.
    #[arg(long, value_name = "COLUMN")]
    column: String,
    /// The column that tells streams apart; each has a detector of its own.
    #[arg(long, value_name = "COLUMN")]
    group: Option<String>,
    /// Divide items by this first: a reference's deviation for page-hinkley, the width of the range for adwin.
    #[arg(long, value_name = "X")]
    scale: Option<f64>,
    /// page-hinkley: how far a sum may go, in units of the items [default: 50].
    #[arg(long, value_name = "X")]
    threshold: Option<f64>,
    /// adwin: chance of a false alarm of one test [default: 0.002]; page-hinkley: change that does not count [default: 0.005].
    #[arg(long, value_name = "X")]
    delta: Option<f64>,
    /// kswin: level of the test [default: 0.0001]; page-hinkley: forgetting factor [default: 0.9999].
    #[arg(long, value_name = "X")]
    alpha: Option<f64>,
    /// kswin: items in the window [default: 300].
    #[arg(long, value_name = "N")]
    window: Option<f64>,
    /// kswin: newest items that are compared with the rest [default: 100].
    #[arg(long, value_name = "N")]
    recent: Option<f64>,
    /// page-hinkley: items before the first answer [default: 30].
    #[arg(long, value_name = "N")]
    min_instances: Option<f64>,
    /// adwin: items between tests [default: 32].
    #[arg(long, value_name = "N")]
    clock: Option<f64>,
    /// ddm: items before the first answer [default: 30; 100 and more guard against a lucky start].
    #[arg(long, value_name = "N")]
    warm: Option<f64>,
    /// ddm: deviations of a drift [default: 3]; hddm: chance of a false drift [default: 0.001].
    #[arg(long, value_name = "X")]
    drift: Option<f64>,
    /// ddm: deviations of a warning [default: 2]; hddm: chance of a false warning [default: 0.005].
    #[arg(long, value_name = "X")]
    warning: Option<f64>,
    /// hddm-w: weight of the newest item [default: 0.05].
    #[arg(long, value_name = "X")]
    lambda: Option<f64>,
    /// hddm: a falling mean is a change, too.
    #[arg(long)]
    two_sided: bool,
    /// adwin: test every cut and keep the shortened window, as MOA does, instead of answering like river.
    #[arg(long)]
    moa: bool,
    /// Lowest severity that makes the exit status 1; it never changes a verdict.
    #[arg(long, value_name = "SEVERITY", default_value = "high", value_parser = parse_severity)]
    fail_on: Severity,
    /// Raise or lower a limit.
    #[arg(long = "limit", value_name = "NAME=N")]
    limits: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn run(args: &DetectArgs, global: &Global) -> anyhow::Result<Exit> {
    let limits = scan::limits(&args.limits)?;
    let config = StreamConfig {
        detector: args.detector.clone(),
        column: args.column.clone(),
        group: args.group.clone(),
        scale: args.scale,
        parameters: parameters(args),
    };
    config.build().map_err(|error| UsageError::new(error.to_string()))?;
    if let Some(scale) = args.scale.filter(|scale| !(scale.is_finite() && *scale > 0.0)) {
        return Err(UsageError::new(format!("--scale {scale}: it has to be above 0")).into());
    }
    let config = json!({"drift": {"stream": config}});
    given::judge(&args.files, config, &gauntlet_data::DRIFT, &limits, args.fail_on, &args.output, global)
}

fn parameters(args: &DetectArgs) -> BTreeMap<String, f64> {
    let given = [
        ("threshold", args.threshold),
        ("delta", args.delta),
        ("alpha", args.alpha),
        ("window", args.window),
        ("recent", args.recent),
        ("min-instances", args.min_instances),
        ("clock", args.clock),
        ("warm", args.warm),
        ("drift", args.drift),
        ("warning", args.warning),
        ("lambda", args.lambda),
        ("two-sided", args.two_sided.then_some(1.0)),
        ("river", args.moa.then_some(0.0)),
    ];
    given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}
