//! `gauntlet run`: every gate that gauntlet.yaml asks for, evidence, decision, report.

use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use gauntlet_core::project::FILE_NAME;
use gauntlet_core::{
    Clock, Digest, FixedClock, Input, MaskKey, Project, Report, Stage, SystemClock, Verdict, canonical, parse_time,
};
use gauntlet_report::{DecisionView, ReasonView};
use gauntlet_trust::keys::{KeyStore, Signer};
use serde_json::json;

use crate::cli::{Global, RunArgs};
use crate::commands::ledger::{place, witness};
use crate::commands::train;
use crate::decide::{self, Found, Rules};
use crate::evidence::{Evidence, Recorded};
use crate::exit::{Exit, UsageError};
use crate::gates::GATES;
use crate::hashing::KnownHashes;
use crate::images;
use crate::judge::{self, Bench};
use crate::plan::{self, Task};
use crate::progress::Meter;
use crate::result::{self, RunResult};
use crate::state::{State, UserConfig};
use crate::{keys, terminal};

pub(crate) fn run(args: &RunArgs, global: &Global, config: &UserConfig) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let now = clock(global)?.now();
    if !args.dir.is_dir() {
        return Err(UsageError::new(format!("{} is no folder", args.dir.display())).into());
    }
    let file = args.config.clone().unwrap_or_else(|| args.dir.join(FILE_NAME));
    let project = load(&file, &args.dir)?;
    let rules = Rules::load(&project, &file, args.trust.load(config)?)?;
    let enforced = rules.enforced(args.environment.as_deref())?;
    let meter = Meter::new(!global.quiet && !global.no_progress);
    // A run judges; only who asks for this stage by name wants something executed.
    let trained = match args.stages.contains(&Stage::Train) {
        true => Some(train::stage(args, global, config)?),
        false => None,
    };
    if let Some(trained) = &trained
        && trained.exit != Exit::Allowed
    {
        return train::deliver(train::Trained::clone(trained), started, &args.dir, &args.output, global);
    }

    let state = State::open(&args.dir, |text| {
        if !global.quiet {
            terminal::note(text);
        }
    })?;
    let cache_key = config.cache_key()?;
    let known = KnownHashes::load(&state.hashes(), &cache_key, args.trust_mtime, now.as_second());
    let mut plan = plan::of_project(
        &project,
        rules.highest_risk(&project),
        &args.dir,
        &args.stages,
        (!args.no_cache).then_some(&known),
        &meter,
    )?;
    if let Some(cluster) = args.cluster.open()? {
        plan.read_data_on(cluster);
    }

    let (key, development) = signing_key(args.key.as_deref(), args.passphrase_env.as_deref(), config)?;
    let ledger = place::find(&args.dir, args.ledger.as_deref(), project.ledger.clone(), config)?.write_or_create()?;
    // A key that no trust policy knows vouches for no more than a development key does.
    let local = development || rules.policy().is_none_or(|trust| trust.holder(&key.key_id()).is_none());
    let evidence = Evidence { state: &state, ledger: &ledger, key: key.as_ref(), local, now, cache_key };

    let mask = MaskKey::for_project(&project.project.value);
    let bench = Bench { limits: &project.limits, mask: &mask, now, meter: &meter };
    let mut outcome = RunResult::about(plan.files, plan.bytes);
    let mut recorded: Vec<Recorded> = Vec::new();
    for task in &plan.tasks {
        let began = Instant::now();
        let answers = answer(task, &project, &bench, &evidence, args.no_cache)?;
        let reports: Vec<Report> = answers.iter().map(|r| r.report.clone()).collect();
        outcome.time(&reports, began.elapsed());
        recorded.extend(answers);
    }
    let images = images::by_environment(&project, &args.dir, &rules, &evidence, &meter)?;
    known.store(&state.hashes(), &cache_key).context("cannot write the table of file hashes")?;
    let mut own = KeyStore::new(config.dir()).public_keys().context("cannot read your keys")?;
    own.push(key.verifying_key().clone());
    let found = Found { recorded: &recorded, images: &images };
    let decisions = decide::decide(&project, &rules, &plan, &found, enforced.as_deref(), &evidence, &own)?;
    // Where no environment is enforced, the worst verdict of all counts.
    let counted = images.into_iter().filter(|(name, _)| enforced.as_ref().is_none_or(|enforced| enforced == name));
    for answer in counted.flat_map(|(_, answers)| answers) {
        if !recorded.iter().any(|known| known.envelope == answer.envelope) {
            recorded.push(answer);
        }
    }
    if !project.ledger.witnesses.is_empty() {
        meter.step("asking witnesses");
    }
    let witnessed = witness::after_run(&ledger, &project.ledger);
    meter.finish();
    witnessed?;

    let exit = exit(&decisions, &recorded);
    let (mut shown, mut reports) = trained.map(|t| (t.decisions, t.reports)).unwrap_or_default();
    reports.extend(recorded.into_iter().map(|r| r.report));
    shown.extend(decisions.into_iter().map(view));
    let prefix = result::prefix(&args.dir);
    outcome.decisions = shown;
    outcome.reports = reports.into_iter().map(|report| result::with_prefix(report, &prefix)).collect();
    result::deliver(outcome, started, &args.output, global)?;
    Ok(exit)
}

/// The moment at which a command judges: `--at`, else the system's.
pub(crate) fn clock(global: &Global) -> anyhow::Result<Box<dyn Clock>> {
    match &global.at {
        Some(text) => Ok(Box::new(FixedClock(parse_time(text)?))),
        None => Ok(Box::new(SystemClock::from_env()?)),
    }
}

/// Reads gauntlet.yaml; paths in it are relative to the project's folder.
pub(crate) fn load(file: &Path, dir: &Path) -> anyhow::Result<Project> {
    Project::load(file, dir).map_err(|errors| decide::all(&errors))
}

/// The answers of a gate about a subject: from signed evidence when the same question was answered before.
pub(crate) fn answer(
    task: &Task,
    project: &Project,
    bench: &Bench<'_>,
    evidence: &Evidence<'_>,
    no_cache: bool,
) -> anyhow::Result<Vec<Recorded>> {
    let question = question(task, project, evidence)?;
    let today = Input {
        name: "evaluation-date".to_owned(),
        digest: Digest::sha256(bench.now.strftime("%F").to_string().as_bytes()),
    };
    let current = |input: &Input| input.name != today.name || *input == today;
    if !no_cache && let Some(answers) = evidence.cached(&question, current) {
        return Ok(answers);
    }
    let judged = judge::judge(task, bench);
    let mut answers = evidence.record(task, judged.reports, &judged.facts)?;
    for (inner, judged) in judged.derived {
        answers.extend(evidence.record(&inner, judged.reports, &judged.facts)?);
    }
    // An unread pipe or a file that changed may be gone tomorrow.
    if task.tree.skipped.iter().all(|s| s.reason.code.answered()) {
        evidence.keep(&question, &answers)?;
    }
    Ok(answers)
}

/// Everything that an answer depends on, but for the date, which its inputs name.
fn question(task: &Task, project: &Project, evidence: &Evidence<'_>) -> anyhow::Result<Digest> {
    // What lies inside a model is judged by other gates, too.
    let gates = GATES.iter().filter(|(stage, _)| *stage == task.stage || task.stage == Stage::Artifact);
    let extractors: Vec<_> = gates.clone().map(|(_, gate)| (gate.extractor.name(), gate.extractor.version())).collect();
    let checks: Vec<_> = gates.flat_map(|(_, gate)| gate.checks).map(|c| (c.info().id, c.info().version)).collect();
    Ok(canonical::digest(&json!({
        "program": env!("CARGO_PKG_VERSION"),
        "extractors": extractors,
        "checks": checks,
        "subject": task.subject,
        "config": judge::config_digest(task, &project.limits),
        "declared": task.declared,
        "project": project.project.value,
        "key": evidence.key.key_id(),
        "local": evidence.local,
    }))?)
}

/// The key that was named, else the local development key; and whether it is the latter.
pub(crate) fn signing_key(
    key: Option<&Path>,
    passphrase_env: Option<&str>,
    config: &UserConfig,
) -> anyhow::Result<(Box<dyn Signer>, bool)> {
    if let Some(path) = key {
        return Ok((keys::signer(path, passphrase_env)?, false));
    }
    let local = KeyStore::new(config.dir()).local_key().context("cannot make a local development key")?;
    if local.created {
        terminal::note(&format!(
            "made a local development key, {}; its evidence is marked local",
            local.path.display()
        ));
    }
    Ok((Box::new(local.key), true))
}

/// The enforced decision decides; without one, the worst verdict does.
fn exit(decisions: &[gauntlet_policy::Decision], recorded: &[Recorded]) -> Exit {
    if let Some(decision) = decisions.iter().find(|d| d.enforced) {
        return match decision.allow {
            true => Exit::Allowed,
            false if decide::only_inconclusive(decision) => Exit::Inconclusive,
            false => Exit::Refused,
        };
    }
    match recorded.iter().map(|r| r.report.verdict).max() {
        Some(Verdict::Fail) => Exit::Refused,
        Some(Verdict::Error) | None => Exit::Inconclusive,
        Some(Verdict::Pass | Verdict::Warn) => Exit::Allowed,
    }
}

/// A decision as reports show it.
pub(crate) fn view(decision: gauntlet_policy::Decision) -> DecisionView {
    let reasons = decision.reasons.into_iter();
    DecisionView {
        environment: decision.environment,
        allow: decision.allow,
        enforced: decision.enforced,
        reasons: reasons.map(|r| ReasonView { rule: r.rule, message: r.message, needs: r.needs }).collect(),
        policy_digest: decision.policy_digest,
        ledger_index: decision.ledger_index,
    }
}
