//! `gauntlet train`: a confined, recorded training run: admitted by a signed decision, recorded as signed provenance.

mod admission;
mod execute;
mod install;
mod interpreter;
mod pinned;
mod prepare;
mod provenance;
mod replay;
mod watch;

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use gauntlet_core::project::{FILE_NAME, Runner, TrainingLimits};
use gauntlet_core::{Report, Verdict};
use gauntlet_report::DecisionView;
use gauntlet_train::runner::{Engine, engine_command, kubernetes_job};
use gauntlet_train::sandbox::Mechanism;

use crate::cli::{Format, Global, OutputArgs, RunArgs};
use crate::commands::ledger::place;
use crate::commands::run::{clock, signing_key};
use crate::evidence::Evidence;
use crate::exit::{Exit, UsageError};
use crate::progress::Meter;
use crate::result::{self, RunResult};
use crate::state::{State, UserConfig};
use crate::terminal;
use crate::trust::TrustArgs;

use prepare::Prepared;

/// The hidden command under which this program runs the stages of a confined run.
pub(crate) const STAGE: &str = "__train-stage";

/// Arguments of `gauntlet train`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct TrainArgs {
    /// Program and arguments, instead of `training.command` of gauntlet.yaml; started without a shell.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
    /// The project's folder.
    #[arg(long = "dir", short = 'C', value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Another configuration file than DIR/gauntlet.yaml.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Limits such as `wall=2h,memory=8GiB`; they only tighten those of gauntlet.yaml.
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',')]
    pub(crate) limits: Vec<String>,
    /// A dataset's name, or a file or folder that may be read; may be given several times.
    #[arg(long = "input", value_name = "PATH")]
    pub(crate) inputs: Vec<String>,
    /// A file or folder of the project that is made and kept; may be given several times.
    #[arg(long = "output", value_name = "PATH")]
    pub(crate) outputs: Vec<String>,
    /// A host that may be reached, through a proxy: NAME or NAME:PORT; may be given several times.
    #[arg(long, value_name = "HOST")]
    pub(crate) network: Vec<String>,
    /// An environment variable: NAME=VALUE, which is recorded, or NAME, whose value is handed through and not recorded.
    #[arg(long = "env", value_name = "NAME[=VALUE]")]
    pub(crate) environment: Vec<String>,
    /// A folder of the system that has to be seen besides the usual ones, such as an interpreter's.
    #[arg(long, value_name = "DIR")]
    pub(crate) system: Vec<PathBuf>,
    /// What the data is used for.
    #[arg(long, value_name = "WORD")]
    pub(crate) purpose: Option<String>,
    /// Seed, handed over as GAUNTLET_SEED and PYTHONHASHSEED.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// What confines the run [default: native].
    #[arg(long, value_name = "RUNNER", value_parser = parse_runner)]
    pub(crate) runner: Option<Runner>,
    /// A mechanism that the run may do without; the record says so.
    #[arg(long, value_name = "MECHANISM", value_parser = parse_mechanism)]
    pub(crate) without: Vec<Mechanism>,
    /// Do not follow what is opened.
    #[arg(long)]
    pub(crate) no_trace: bool,
    /// Kill the run when a line of its output shows an anomaly.
    #[arg(long)]
    pub(crate) stop_on_anomaly: bool,
    /// Run again what this evidence (file, or digest in the ledger) records, and compare.
    #[arg(long, value_name = "EVIDENCE", conflicts_with_all = ["command", "inputs", "outputs", "admission"])]
    pub(crate) replay: Option<String>,
    /// PEM file of the public key that signed the evidence to replay [default: your own keys].
    #[arg(long, value_name = "PUB", requires = "replay")]
    pub(crate) replay_key: Option<PathBuf>,
    /// Relative difference of numbers that a replay may show.
    #[arg(long, value_name = "SHARE", requires = "replay")]
    pub(crate) tolerance: Option<f64>,
    /// A signed decision that admits this run, instead of deciding here.
    #[arg(long, value_name = "FILE", requires = "admission_key")]
    pub(crate) admission: Option<PathBuf>,
    /// PEM file of the public key that signed the admission.
    #[arg(long, value_name = "PUB", requires = "admission")]
    pub(crate) admission_key: Option<PathBuf>,
    /// Decide, write the signed decision to this file, and do not run.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["admission", "replay"])]
    pub(crate) admit: Option<PathBuf>,
    /// Decide for this environment [default: `default_environment` of gauntlet.yaml].
    #[arg(long = "for", value_name = "ENV")]
    pub(crate) target: Option<String>,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    /// The key that signs evidence [default: a local development key, and the evidence is marked `local`].
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<PathBuf>,
    /// Environment variable that holds the key's passphrase.
    #[arg(long, value_name = "NAME", requires = "key")]
    pub(crate) passphrase_env: Option<String>,
    /// A ledger in an object store, such as `s3://bucket/prefix` [default: `ledger.url` of gauntlet.yaml, else the
    /// project's own].
    #[arg(long = "ledger", value_name = "URL")]
    pub(crate) ledger: Option<String>,
    /// Volume claim that a Kubernetes Job finds project and outputs on.
    #[arg(long, value_name = "NAME", default_value = "gauntlet-training")]
    pub(crate) claim: String,
    /// Write the provenance to this file, too.
    #[arg(long, value_name = "FILE")]
    pub(crate) provenance: Option<PathBuf>,
    /// How to print the result.
    #[arg(long, short, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
    /// Write the result to a file instead of stdout.
    #[arg(long, short = 'o', value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

/// What a training run amounted to, for the report.
#[derive(Clone)]
pub(crate) struct Trained {
    /// Reports of the checks `train/*`.
    pub(crate) reports: Vec<Report>,
    /// The admission.
    pub(crate) decisions: Vec<DecisionView>,
    /// How the command ends.
    pub(crate) exit: Exit,
    /// Files that came out.
    pub(crate) files: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
}

pub(crate) fn run(args: &TrainArgs, global: &Global, config: &UserConfig) -> anyhow::Result<Exit> {
    let started = Instant::now();
    match args.runner_of_config()? {
        runner @ (Runner::Podman | Runner::Docker | Runner::Kubernetes) => {
            return write_for(runner, args, global, config);
        }
        Runner::Native | Runner::Bubblewrap => {}
    }
    let trained = train(args, global, config)?;
    deliver(trained, started, &args.dir, &OutputArgs { format: args.format, output: args.report.clone() }, global)
}

/// The stage `train` of `gauntlet run`, by gauntlet.yaml alone.
pub(crate) fn stage(args: &RunArgs, global: &Global, config: &UserConfig) -> anyhow::Result<Trained> {
    let training = TrainArgs {
        dir: args.dir.clone(),
        config: args.config.clone(),
        target: args.environment.clone(),
        trust: args.trust.clone(),
        key: args.key.clone(),
        passphrase_env: args.passphrase_env.clone(),
        ledger: args.ledger.clone(),
        ..TrainArgs::default()
    };
    match training.runner_of_config()? {
        Runner::Native | Runner::Bubblewrap => train(&training, global, config),
        _ => Err(UsageError::new("this runner only writes what others run: use `gauntlet train`").into()),
    }
}

/// Prints what came of a run.
pub(crate) fn deliver(
    trained: Trained,
    started: Instant,
    dir: &Path,
    output: &OutputArgs,
    global: &Global,
) -> anyhow::Result<Exit> {
    let mut outcome = RunResult::about(trained.files, trained.bytes);
    outcome.decisions = trained.decisions;
    let prefix = result::prefix(dir);
    outcome.reports = trained.reports.into_iter().map(|report| result::with_prefix(report, &prefix)).collect();
    result::deliver(outcome, started, output, global)?;
    Ok(trained.exit)
}

fn train(args: &TrainArgs, global: &Global, config: &UserConfig) -> anyhow::Result<Trained> {
    let now = clock(global)?.now();
    let meter = Meter::new(!global.quiet && !global.no_progress);
    let (key, development) = signing_key(args.key.as_deref(), args.passphrase_env.as_deref(), config)?;
    let state = State::open(&args.dir, |text| {
        if !global.quiet {
            terminal::note(text);
        }
    })?;
    let project = prepare::project(args)?;
    let ledger = place::find(&args.dir, args.ledger.as_deref(), project.ledger, config)?.write_or_create()?;
    let recorded = args.replay.as_ref().map(|name| replay::load(name, args, &ledger, config)).transpose()?;
    let prepared = match &recorded {
        Some(recorded) => recorded.prepare(args, config, &meter)?,
        None => Prepared::new(args, config, &meter)?,
    };
    let local = development || prepared.rules.policy().is_none_or(|trust| trust.holder(&key.key_id()).is_none());
    let cache_key = config.cache_key()?;
    let evidence = Evidence { state: &state, ledger: &ledger, key: key.as_ref(), local, now, cache_key };
    let admission = admission::admit(args, &prepared, &evidence, config, &meter)?;
    meter.finish();
    if let Some(file) = &args.admit {
        gauntlet_core::write_durably(file, &admission.envelope, 0o644)?;
    }
    if !admission.decision.allow || args.admit.is_some() {
        return Ok(admission.ended());
    }
    let trained = execute::execute(args, &prepared, admission, recorded.as_ref(), &evidence, global)?;
    Ok(trained)
}

/// Writes the command line or manifest with the same limits, for those who run it.
fn write_for(runner: Runner, args: &TrainArgs, global: &Global, config: &UserConfig) -> anyhow::Result<Exit> {
    let meter = Meter::new(!global.quiet && !global.no_progress);
    let prepared = Prepared::new(args, config, &meter)?;
    meter.finish();
    let job = prepared.job(Path::new("/outputs"), args)?;
    let image = prepared.training.image.as_ref().map(|image| image.value.as_str());
    let text = match runner {
        Runner::Kubernetes => {
            let seconds = prepared.seconds_for_money();
            let name = &prepared.project.project.value;
            let list = kubernetes_job(name, image, &job, &args.claim, seconds)
                .map_err(|error| UsageError::new(error.to_string()))?;
            format!("{}\n", serde_json::to_string_pretty(&list)?)
        }
        engine => {
            let engine = if engine == Runner::Docker { Engine::Docker } else { Engine::Podman };
            let image = image.ok_or_else(|| UsageError::new("set `image: name@sha256:…` under `training`"))?;
            let line = engine_command(engine, image, &job, &prepared.root, Path::new("outputs"));
            format!("{}\n", line.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "))
        }
    };
    terminal::deliver(text.as_bytes(), args.report.as_deref())?;
    Ok(Exit::Allowed)
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

impl TrainArgs {
    fn file(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(|| self.dir.join(FILE_NAME))
    }

    /// The runner of the flag, else of gauntlet.yaml.
    fn runner_of_config(&self) -> anyhow::Result<Runner> {
        if let Some(runner) = self.runner {
            return Ok(runner);
        }
        let project = prepare::project(self)?;
        Ok(project.training.map(|training| training.runner).unwrap_or_default())
    }

    fn limits(&self) -> anyhow::Result<TrainingLimits> {
        let mut limits = TrainingLimits::default();
        for text in &self.limits {
            limits.set(text).map_err(UsageError::new)?;
        }
        Ok(limits)
    }
}

/// What the verdicts of all reports amount to.
fn exit_of(reports: &[Report]) -> Exit {
    match reports.iter().map(|report| report.verdict).max() {
        Some(Verdict::Fail) => Exit::Refused,
        Some(Verdict::Error) | None => Exit::Inconclusive,
        Some(Verdict::Pass | Verdict::Warn) => Exit::Allowed,
    }
}

fn parse_runner(text: &str) -> Result<Runner, String> {
    match text {
        "native" => Ok(Runner::Native),
        "bubblewrap" => Ok(Runner::Bubblewrap),
        "podman" => Ok(Runner::Podman),
        "docker" => Ok(Runner::Docker),
        "kubernetes" => Ok(Runner::Kubernetes),
        _ => Err("runners are native, bubblewrap, podman, docker, kubernetes".to_owned()),
    }
}

fn parse_mechanism(text: &str) -> Result<Mechanism, String> {
    Mechanism::ALL.into_iter().find(|m| m.as_str() == text).ok_or_else(|| {
        let names: Vec<_> = Mechanism::ALL.iter().map(|m| m.as_str()).collect();
        format!("mechanisms are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quoted("--memory=1"), "--memory=1");
        assert_eq!(quoted("it's \"x\""), r#"'it'\''s "x"'"#);
        assert_eq!(quoted(""), "''");
    }
}
