//! The run itself: confined, recorded, judged, and its outputs taken over when it succeeded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use gauntlet_core::project::Runner;
use gauntlet_core::{Digest, Report};
use gauntlet_train::record::{
    self, Parameters, RecordedInput, TrainingRecord, machine, mlflow_parameters, observe, packages, parameter_file,
};
use gauntlet_train::sandbox::{self, End, Job, Outcome, SandboxError, Stages};
use gauntlet_train::{anomaly, checks};
use jiff::Timestamp;
use serde_json::json;

use super::admission::Admission;
use super::prepare::Prepared;
use super::watch::Watcher;
use super::{STAGE, TrainArgs, Trained, exit_of, install, provenance, replay};
use crate::cli::Global;
use crate::evidence::Evidence;
use crate::exit::{Exit, UsageError};
use crate::state::State;
use crate::terminal;

/// Folders of interpreters that every run sees.
const USUAL_PREFIXES: [&str; 2] = ["/usr", "/usr/local"];

/// Runs an admitted command.
pub(super) fn execute(
    args: &TrainArgs,
    prepared: &Prepared,
    admission: Admission,
    replayed: Option<&replay::Recorded>,
    evidence: &Evidence<'_>,
    global: &Global,
) -> anyhow::Result<Trained> {
    // Between the decision and the run something may have been written.
    let admitted = &admission.identity;
    anyhow::ensure!(prepared.identity()? == *admitted, "the run was changed after it was admitted");
    let staging = tempfile::Builder::new()
        .prefix("train-")
        .tempdir_in(State::folder(&args.dir))
        .context("cannot make a folder for what comes out")?;
    let job = prepared.job(staging.path(), args)?;
    let stages = Stages { program: std::env::current_exe()?, command: STAGE.to_owned() };
    let mut watcher = Watcher::new(&prepared.training.metrics.names, global.quiet, args.stop_on_anomaly);
    let started = Timestamp::now();
    let outcome = sandbox::run(&job, &stages, &mut watcher).map_err(|error| match error {
        SandboxError::Gpus { .. } => anyhow::Error::from(UsageError::new(error.to_string())),
        other => other.into(),
    })?;
    let finished = Timestamp::now();
    let store = prepared.training.metrics.mlflow.as_ref().map(|store| staging.path().join(&store.value));
    let unread = store.as_ref().map(|s| anomaly::mlflow_metrics(s, &mut watcher.monitor)).unwrap_or_default();
    let record = record_of(prepared, &job, &outcome, (started, finished), &admission, store.as_deref())?;
    let subject = checks::subject(&record)?;
    let expected = store.is_some() || !prepared.training.metrics.names.is_empty();
    let mut reports = vec![
        checks::confinement(&subject, &record),
        checks::record(&subject, &record),
        checks::anomaly(&subject, &watcher.monitor, expected, &unread, json!({"metrics": prepared.training.metrics})),
    ];
    if let Some(replayed) = replayed {
        reports.push(replayed.compare(&subject, prepared, &record, staging.path(), args.tolerance));
    }
    let recorded: Vec<Report> = evidence.record_reports(reports, None)?.into_iter().map(|r| r.report).collect();
    let exit = match exit_of(&recorded) {
        // The command's failure is a finding; should it ever not be, the exit status still says it.
        Exit::Allowed if record.end != End::Exited(0) => Exit::Refused,
        exit => exit,
    };
    keep(args, prepared, &record, replayed.is_some(), staging.path(), evidence)?;
    let mut all = admission.reports;
    all.extend(recorded);
    Ok(Trained {
        reports: all,
        decisions: vec![admission.decision],
        exit,
        files: record.outputs.len() as u64,
        bytes: record.outputs.iter().map(|file| file.size).sum(),
    })
}

/// Takes over what a successful run made, and signs where it comes from. A replay only compares.
fn keep(
    args: &TrainArgs,
    prepared: &Prepared,
    record: &TrainingRecord,
    replayed: bool,
    staging: &Path,
    evidence: &Evidence<'_>,
) -> anyhow::Result<()> {
    if record.end != End::Exited(0) {
        terminal::note("nothing of this run was taken over");
        return Ok(());
    }
    if let Some(statement) = provenance::statement(record, prepared)? {
        let first = statement.subject.first().context("a statement has a subject")?;
        let subject = gauntlet_core::Subject {
            name: first.name.clone().unwrap_or_default(),
            kind: gauntlet_core::SubjectKind::Model,
            digest: first.digest.clone(),
        };
        let (index, envelope) = evidence.record_statement("provenance", &statement, &subject)?;
        terminal::note(&format!("provenance {} is entry {index} of the ledger", Digest::sha256(&envelope)));
        if let Some(file) = &args.provenance {
            gauntlet_core::write_durably(file, &envelope, 0o644)
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
    }
    if !replayed {
        install::install(staging, &prepared.root, &prepared.outputs)?;
    }
    Ok(())
}

fn record_of(
    prepared: &Prepared,
    job: &Job,
    outcome: &Outcome,
    (started, finished): (Timestamp, Timestamp),
    admission: &Admission,
    store: Option<&Path>,
) -> anyhow::Result<TrainingRecord> {
    let inputs: Vec<(String, Vec<PathBuf>)> = prepared
        .inputs
        .iter()
        .map(|input| (input.name.clone(), input.mounts.iter().map(|(_, inside)| inside.clone()).collect()))
        .collect();
    let complete = outcome.opened.is_some() && !outcome.opened_more;
    let opened = outcome.opened.clone().unwrap_or_default();
    let mut observed = observe(job, &inputs, &prepared.root, &opened, complete);
    let ours = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default();
    observed.executed = outcome.executed.iter().filter(|path| **path != ours).cloned().collect();
    let mut files = Vec::new();
    for path in &prepared.training.parameters {
        files.push(parameter_file(&prepared.root, &path.value).map_err(|error| UsageError::new(error.to_string()))?);
    }
    // What DVC itself reads, when it is there.
    for name in ["params.yaml", "dvc.lock", "dvc.yaml"] {
        if prepared.root.join(name).is_file() && !files.iter().any(|file| file.path == name) {
            files.push(parameter_file(&prepared.root, name).map_err(|error| UsageError::new(error.to_string()))?);
        }
    }
    let prefixes: Vec<PathBuf> =
        USUAL_PREFIXES.iter().map(PathBuf::from).chain(prepared.system.iter().cloned()).collect();
    let mut missing: BTreeMap<String, String> =
        outcome.skipped.iter().map(|(path, why)| (path.display().to_string(), why.clone())).collect();
    for output in &prepared.outputs {
        let there = outcome.outputs.iter().any(|file| file.path.starts_with(output));
        if !there && outcome.end == End::Exited(0) {
            missing.entry(output.display().to_string()).or_insert_with(|| "it holds no file".to_owned());
        }
    }
    Ok(TrainingRecord {
        schema: 1,
        project: prepared.project.project.value.clone(),
        command: prepared.training.command.clone(),
        purpose: prepared.training.purpose.clone(),
        runner: match prepared.training.runner {
            Runner::Bubblewrap => "bubblewrap",
            _ => "native",
        }
        .to_owned(),
        image: prepared.training.image.as_ref().map(|image| image.value.clone()),
        source: prepared.source.clone(),
        code: prepared.code.clone(),
        git: prepared.git.clone(),
        inputs: prepared
            .inputs
            .iter()
            .map(|input| RecordedInput {
                name: input.name.clone(),
                paths: input.mounts.iter().map(|(_, inside)| inside.display().to_string()).collect(),
                digest: input.digest.clone(),
            })
            .collect(),
        observed,
        parameters: Parameters {
            seed: prepared.training.seed,
            environment: prepared.training.environment.clone(),
            handed_through: prepared.handed_through.keys().cloned().collect(),
            files,
            mlflow: store.map(mlflow_parameters).unwrap_or_default(),
        },
        packages: packages(&prefixes),
        machine: machine(),
        user: std::env::var("USER").ok(),
        started,
        finished,
        allowed: prepared.limits.clone(),
        prices: prepared.training.prices.clone(),
        limits: outcome.limits.clone(),
        mechanisms: outcome.mechanisms.clone(),
        hosts: prepared.hosts(),
        connections: outcome.connections.clone(),
        usage: outcome.usage,
        survivors: outcome.survivors,
        end: outcome.end.clone(),
        outputs: outcome
            .outputs
            .iter()
            .filter(|file| prepared.outputs.iter().any(|output| file.path.starts_with(output)))
            .cloned()
            .collect(),
        missing,
        admission: Some(Digest::sha256(&admission.envelope)),
    })
}

/// The record's own module, so that callers name one thing.
pub(super) type Record = record::TrainingRecord;
