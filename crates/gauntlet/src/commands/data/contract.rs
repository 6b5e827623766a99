//! `gauntlet data contract`: holds a table against its contract, drafts one, or translates one of another tool.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use gauntlet_core::{Facts, MaskKey, Severity, Target, display_path};
use gauntlet_data::contract::Contract;
use gauntlet_data::facts::RuleFact;
use gauntlet_data::{OpenOptions, Recipients, Sealed};
use serde_json::{Value, json};

use super::table;
use crate::cli::{Global, OutputArgs};
use crate::commands::cluster::ClusterArgs;
use crate::commands::scan;
use crate::exit::{Exit, UsageError};
use crate::judge::{self, Bench};
use crate::plan::{self, Task};
use crate::progress::Meter;
use crate::result::{self, RunResult};
use crate::{commands, decide, terminal};

/// The only check whose answer is printed.
const CHECK: &str = "data/contract";

#[derive(Debug, Args)]
pub(crate) struct ContractArgs {
    /// Data files or folders that form one table, an address (`s3://`, `az://`, `https://`, `sql://`), or the name of a
    /// dataset of ./gauntlet.yaml.
    #[arg(required_unless_present = "import")]
    paths: Vec<PathBuf>,
    /// The contract [default: the one that ./gauntlet.yaml names for these files].
    #[arg(long, value_name = "FILE", conflicts_with_all = ["infer", "import"])]
    contract: Option<PathBuf>,
    /// Draft a contract that the data fulfils, and print it.
    #[arg(long, conflicts_with = "import")]
    infer: bool,
    /// Translate a Great Expectations suite (JSON) or a Pandera schema (YAML or JSON), and print the contract; what cannot
    /// be translated is named.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["paths", "row_report", "results"])]
    import: Option<PathBuf>,
    /// Write the failing rows to this Parquet file, each with the rules that it broke. It holds values of the data.
    #[arg(long, value_name = "FILE", conflicts_with = "infer")]
    row_report: Option<PathBuf>,
    /// Encrypt the row report to this age public key; again for more.
    #[arg(long, value_name = "KEY", requires = "row_report")]
    recipient: Vec<String>,
    /// Write the result of every rule to this JSON file: counts, share, the first failing rows with masked samples.
    #[arg(long, value_name = "FILE", conflicts_with = "infer")]
    results: Option<PathBuf>,
    /// Lowest severity that makes the exit status 1; it never changes a verdict.
    #[arg(long, value_name = "SEVERITY", default_value = "high", value_parser = crate::cli::parse_severity)]
    fail_on: Severity,
    /// Raise or lower a limit, such as `ratio=2000`; `gauntlet config show` lists them.
    #[arg(long = "limit", value_name = "NAME=N")]
    limits: Vec<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn run(args: &ContractArgs, global: &Global) -> anyhow::Result<Exit> {
    if let Some(file) = &args.import {
        return import(file, args);
    }
    if args.infer {
        return infer(args);
    }
    judge(args, global)
}

/// Prints the contract that another tool's file becomes.
fn import(file: &Path, args: &ContractArgs) -> anyhow::Result<Exit> {
    let name = file.display().to_string();
    let bytes = std::fs::read(file).map_err(|error| UsageError::new(format!("cannot read {name}: {error}")))?;
    let imported = gauntlet_data::import_contract(&name, &bytes).map_err(|error| UsageError::new(error.to_string()))?;
    for what in &imported.untranslated {
        terminal::note(&format!("not translated: {what}"));
    }
    terminal::deliver(imported.to_yaml().as_bytes(), args.output.output.as_deref())?;
    Ok(Exit::Allowed)
}

fn infer(args: &ContractArgs) -> anyhow::Result<Exit> {
    let limits = scan::limits(&args.limits)?;
    let first = args.paths.first().map(PathBuf::as_path).unwrap_or(Path::new("."));
    if let Some(address) = plan::address(&args.paths)? {
        let options = OpenOptions { limits, ..OpenOptions::default() };
        let location = table::locations(&[address])?.remove(0);
        let text = gauntlet_data::draft_contract_at(&location, &options)
            .with_context(|| format!("cannot draft a contract for {}", first.display()))?;
        terminal::deliver(text.as_bytes(), args.output.output.as_deref())?;
        return Ok(Exit::Allowed);
    }
    let tree = plan::data_tree(&args.paths, &limits)?;
    let files: Vec<PathBuf> = tree.files.into_iter().map(|file| file.path).collect();
    let name = first.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let text = gauntlet_data::draft_contract(&tree.root, &files, &name, &limits)
        .with_context(|| format!("cannot draft a contract for {}", first.display()))?;
    terminal::deliver(text.as_bytes(), args.output.output.as_deref())?;
    Ok(Exit::Allowed)
}

fn judge(args: &ContractArgs, global: &Global) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let (limits, cluster) = (scan::limits(&args.limits)?, args.cluster.open()?);
    let meter = Meter::new(!global.quiet && !global.no_progress);
    let mask = MaskKey::for_project("");
    let bench = Bench { limits: &limits, mask: &mask, now: commands::run::clock(global)?.now(), meter: &meter };
    let recipients = Recipients::parse(&args.recipient).map_err(|error| UsageError::new(error.to_string()))?;
    let (paths, contract) = asked(args)?;
    let (text, _) = display_path(&contract);
    let bytes = std::fs::read(&contract)
        .map_err(|error| UsageError::new(format!("cannot read the contract {text}: {error}")))?;
    // What is wrong with the contract is said before any data is read.
    let parsed = Contract::parse(&text, &bytes).map_err(|errors| decide::all(&errors))?;
    meter.step("reading the data");
    let mut config = json!({"name": text, "contract": plan::side_file(Path::new(""), &text)?, "contract_only": true});
    let references = plan::references(&parsed, Path::new(""), &contract, &|name| {
        Err(UsageError::new(format!("the contract refers to the dataset `{name}`: run the gate with `gauntlet run`"))
            .into())
    })?;
    if let (Some(references), Some(config)) = (references, config.as_object_mut()) {
        config.insert("references".to_owned(), references);
    }
    let mut task = plan::of_data(&paths, config, &limits, &meter)?;
    if let Some(cluster) = cluster {
        task.gate = gauntlet_data::gate_on(cluster);
    }
    let judged = judge::judge(&task, &bench);
    let reports: Vec<_> = judged.reports.into_iter().filter(|report| report.check == CHECK).collect();
    if let Some(file) = &args.results {
        let text = serde_json::to_string_pretty(&results(&judged.facts))? + "\n";
        terminal::deliver(text.as_bytes(), Some(file))?;
    }
    meter.finish();
    let mut exit = scan::exit(&reports, args.fail_on);
    let mut outcome = RunResult::about(task.tree.files.len() as u64, task.tree.bytes());
    outcome.time(&reports, started.elapsed());
    outcome.reports = reports;
    result::deliver(outcome, started, &args.output, global)?;
    if let Some(file) = &args.row_report
        && let Err(error) = row_report(&task, file, &recipients, &limits, global)
    {
        terminal::note(&format!("error: {error:#}"));
        exit = exit.max(Exit::Inconclusive);
    }
    Ok(exit)
}

/// The files and their contract: as given, or as ./gauntlet.yaml says.
fn asked(args: &ContractArgs) -> anyhow::Result<(Vec<PathBuf>, PathBuf)> {
    if let Some(contract) = &args.contract {
        return Ok((args.paths.clone(), contract.clone()));
    }
    let missing = || UsageError::new("say which contract with --contract FILE, or draft one with --infer");
    let file = Path::new("gauntlet.yaml");
    if !file.exists() {
        return Err(missing().into());
    }
    let project = commands::run::load(file, Path::new("."))?;
    for (name, dataset) in &project.datasets {
        let files = gauntlet_core::project::expand_path(Path::new("."), &dataset.path).map_err(anyhow::Error::msg)?;
        let named = args.paths == [PathBuf::from(name)];
        if named || args.paths == files {
            let contract = dataset.contract.as_ref().ok_or_else(|| {
                UsageError::new(format!(
                    "the dataset `{name}` has no contract: draft one with --infer, review it, and name it"
                ))
            })?;
            return Ok((files, PathBuf::from(&contract.value)));
        }
    }
    Err(missing().into())
}

/// Every rule with its counts, as JSON.
fn results(facts: &Facts) -> Value {
    let rules: Vec<Value> = facts
        .of::<RuleFact>()
        .flatten()
        .map(|(_, fact)| {
            #[expect(clippy::cast_precision_loss, reason = "a share of rows")]
            let share = if fact.evaluated == 0 { 0.0 } else { fact.failing as f64 / fact.evaluated as f64 };
            let mut value = serde_json::to_value(&fact).unwrap_or_default();
            if let Some(object) = value.as_object_mut() {
                object.insert("share".to_owned(), json!(share));
            }
            value
        })
        .collect();
    json!({"schema": 1, "rules": rules})
}

/// Writes the failing rows beside their final name, and gives them that name only when all are there. Only its owner may
/// read the file.
fn row_report(
    task: &Task,
    file: &Path,
    recipients: &Recipients,
    limits: &gauntlet_core::Limits,
    global: &Global,
) -> anyhow::Result<()> {
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || format!("cannot write {}", file.display());
    let temporary = tempfile::NamedTempFile::new_in(folder).with_context(write)?;
    let target = Target { subject: &task.subject, root: &task.tree.root, tree: &task.tree, config: &task.config };
    let threads = global.jobs.map_or(2, std::num::NonZero::get);
    let out = std::io::BufWriter::new(temporary.reopen().with_context(write)?);
    let out = Sealed::new(out, recipients).with_context(write)?;
    let (report, out) = gauntlet_data::row_report(&target, limits, threads, out)
        .with_context(|| format!("no row report was written to {}", file.display()))?;
    let mut out = out.finish().with_context(write)?;
    out.flush().with_context(write)?;
    out.get_ref().sync_all().with_context(write)?;
    drop(out);
    temporary.persist(file).with_context(write)?;
    terminal::note(&format!("{} failing rows of {} are in {}", report.failing, report.rows, file.display()));
    Ok(())
}
