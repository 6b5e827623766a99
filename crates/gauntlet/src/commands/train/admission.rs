//! Whether a run may start: decided here by the pack `train`, or handed in, but signed and verified either way.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use anyhow::{Context, bail};
use gauntlet_core::{Digest, Limits, MaskKey, Report, Subject, SubjectKind, sha256_hex};
use gauntlet_policy::{
    Decision, Options, Pack, PolicyInput, PolicySet, SummaryContext, TrainingInput, evaluate, read_rulings, stale_head,
    verification_summary,
};
use gauntlet_report::DecisionView;
use gauntlet_train::checks;
use gauntlet_train::record::GitState;
use gauntlet_trust::dsse::Envelope;
use gauntlet_trust::keys::{KeyStore, VerifyingKey};
use gauntlet_trust::statement::{
    DECISION_MEMBER, Statement, VERIFICATION_SUMMARY, VerificationResult, VerificationSummary,
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{TrainArgs, Trained};
use crate::commands::run;
use crate::decide::{self, policy_input};
use crate::evidence::Evidence;
use crate::exit::{Exit, Refusal, UsageError};
use crate::images::{self, Trusting};
use crate::judge::Bench;
use crate::keys;
use crate::progress::Meter;
use crate::state::UserConfig;

use super::prepare::Prepared;

/// The pack that decides.
const PACK: &str = "train";
/// How long an admission that was made elsewhere holds.
const FRESH: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// A verified answer.
pub(super) struct Admission {
    /// The signed summary.
    pub(super) envelope: Vec<u8>,
    pub(super) decision: DecisionView,
    /// Reports that it rests on, and its own.
    pub(super) reports: Vec<Report>,
    /// The inputs' digests, so that what is run is what was decided about.
    pub(super) identity: Digest,
}

impl Admission {
    /// The end of a command that goes no further.
    pub(super) fn ended(self) -> Trained {
        let exit = if self.decision.allow { Exit::Allowed } else { Exit::Refused };
        Trained { exit, reports: self.reports, decisions: vec![self.decision], files: 0, bytes: 0 }
    }
}

/// Decides, or takes the decision that was handed in. Either way only a verified signature over exactly this run counts.
pub(super) fn admit(
    args: &TrainArgs,
    prepared: &Prepared,
    evidence: &Evidence<'_>,
    config: &UserConfig,
    meter: &Meter,
) -> anyhow::Result<Admission> {
    let identity = prepared.identity()?;
    if let (Some(file), Some(key)) = (&args.admission, &args.admission_key) {
        let key = keys::verifying_key(key)?;
        let bytes = std::fs::read(file)
            .map_err(|error| UsageError::new(format!("cannot read the admission {}: {error}", file.display())))?;
        let decision = verified(&bytes, &[key], prepared, &identity, evidence.now)?;
        let subject = pending(prepared, &identity);
        return Ok(Admission { envelope: bytes, reports: vec![checks::admission(&subject, &[])], decision, identity });
    }
    let mut keys = KeyStore::new(config.dir()).public_keys().context("cannot read your keys")?;
    keys.push(evidence.key.verifying_key().clone());
    let decided = decide_here(prepared, &identity, evidence, &keys, meter)?;
    // What was signed a moment ago is read back and believed only as the signature says it.
    let own = [evidence.key.verifying_key().clone()];
    let decision = match decided.decision.allow {
        true => DecisionView {
            ledger_index: decided.decision.ledger_index,
            ..verified(&decided.envelope, &own, prepared, &identity, evidence.now)?
        },
        false => decided.decision,
    };
    Ok(Admission { decision, ..decided })
}

fn decide_here(
    prepared: &Prepared,
    identity: &Digest,
    evidence: &Evidence<'_>,
    keys: &[VerifyingKey],
    meter: &Meter,
) -> anyhow::Result<Admission> {
    let project = &prepared.project;
    let mask = MaskKey::for_project(&project.project.value);
    let limits: &Limits = &project.limits;
    let bench = Bench { limits, mask: &mask, now: evidence.now, meter };
    let mut recorded = Vec::new();
    for task in &prepared.plan.tasks {
        recorded.extend(run::answer(task, project, &bench, evidence, false)?);
    }
    let trusting =
        Trusting { policy: prepared.rules.policy(), environment: Some(&prepared.environment), now: evidence.now };
    recorded.extend(images::record(project, &prepared.root, &trusting, evidence, meter)?);
    let image_verified =
        prepared.training.image.as_ref().is_some_and(|image| images::is_verified(project, &image.value, &recorded));
    let subjects = decide::subjects(&prepared.plan);
    let environment = prepared.rules.merged.environments.get(&prepared.environment).context("no such environment")?;
    let trust = prepared.rules.policy();
    let rulings = read_rulings(evidence.ledger, trust, keys, evidence.now)?;
    let input = policy_input(project, &prepared.rules, environment, &subjects, &recorded, &rulings, evidence)?
        .with_training(training_input(prepared, identity, image_verified)?);
    let policy = PolicySet::new(Pack::shipped(PACK).into_iter().collect());
    let mut outcome = evaluate(&policy, &serde_json::to_value(&input)?, &Options::default());
    outcome.violations.extend(trust.map(|t| stale_head(evidence.ledger, t, evidence.now)).transpose()?.flatten());
    let mut decision = Decision::new(&environment.name, true, &policy, &outcome);
    let about: Vec<&Subject> = subjects
        .iter()
        .map(|item| &item.subject)
        .filter(|s| s.kind == SubjectKind::Source || prepared.inputs.iter().any(|input| input.name == s.name))
        .collect();
    let first = about.first().context("there is nothing to decide about")?;
    let statement = summary(&decision, &input, identity, prepared, evidence.local).statement(&about)?;
    let (index, envelope) = evidence.record_statement("admission", &statement, first)?;
    decision.ledger_index = Some(index);
    let reasons: Vec<(String, String, String)> =
        decision.reasons.iter().map(|r| (r.rule.clone(), r.message.clone(), r.needs.clone())).collect();
    let own = checks::admission(&pending(prepared, identity), &reasons);
    let mut reports: Vec<Report> = recorded.into_iter().map(|r| r.report).collect();
    reports.extend(evidence.record_reports(vec![own], None)?.into_iter().map(|r| r.report));
    Ok(Admission { envelope, decision: run::view(decision), reports, identity: identity.clone() })
}

/// The run before it has a record: named by what it would be.
fn pending(prepared: &Prepared, identity: &Digest) -> Subject {
    Subject {
        name: format!("{}/training", prepared.project.project.value),
        kind: SubjectKind::TrainingRun,
        digest: gauntlet_core::DigestSet::default().with(identity),
    }
}

fn training_input(prepared: &Prepared, identity: &Digest, image_verified: bool) -> anyhow::Result<TrainingInput> {
    let names =
        |dataset: bool| prepared.inputs.iter().filter(|i| i.dataset == dataset).map(|i| i.name.clone()).collect();
    let limits: BTreeMap<String, Value> = serde_json::from_value(serde_json::to_value(&prepared.limits)?)?;
    let shown = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Ok(TrainingInput {
        inputs: names(true),
        other_inputs: names(false),
        purpose: prepared.training.purpose.clone(),
        source_state: match prepared.git {
            GitState::Clean { .. } => "clean",
            GitState::Changed { .. } => "changed",
            GitState::Unknown { .. } => "unknown",
        }
        .to_owned(),
        pinned: prepared.pinned,
        image: prepared.training.image.as_ref().map(|image| image.value.clone()),
        image_verified,
        limits: limits.into_iter().map(|(name, value)| (name, shown(value))).collect(),
        hosts: prepared.hosts(),
        identity: identity.clone(),
    })
}

fn summary(
    decision: &Decision,
    input: &PolicyInput,
    identity: &Digest,
    prepared: &Prepared,
    local: bool,
) -> VerificationSummary {
    let member = json!({
        "environment": decision.environment,
        "stage": "train",
        "identity": identity,
        "local": local,
        "reasons": decision.reasons,
    });
    let context = SummaryContext {
        tool_version: env!("CARGO_PKG_VERSION"),
        resource_uri: &resource(prepared),
        extensions: Map::from_iter([(DECISION_MEMBER.to_owned(), member)]),
    };
    verification_summary(decision, input, context)
}

fn resource(prepared: &Prepared) -> String {
    format!("gauntlet:{}/training@{}", prepared.project.project.value, prepared.environment)
}

/// Reads an admission: signed by one of the keys, for this environment, about exactly this run, and recent.
fn verified(
    bytes: &[u8],
    keys: &[VerifyingKey],
    prepared: &Prepared,
    identity: &Digest,
    now: Timestamp,
) -> anyhow::Result<DecisionView> {
    let refuse = |why: String| Refusal::new(format!("the admission does not admit this run: {why}"));
    let envelope = Envelope::parse(bytes).map_err(|error| refuse(error.to_string()))?;
    let verified = envelope.verify(keys, NonZeroUsize::MIN).map_err(|error| refuse(error.to_string()))?;
    let statement = Statement::from_verified(&verified).map_err(|error| refuse(error.to_string()))?;
    if statement.predicate_type != VERIFICATION_SUMMARY {
        bail!(refuse(format!("it is a {}", statement.predicate_type)));
    }
    let predicate = statement.predicate.clone().unwrap_or_default();
    let member = predicate.get(DECISION_MEMBER).cloned().unwrap_or_default();
    let summary: VerificationSummary = serde_json::from_value(predicate).map_err(|e| refuse(e.to_string()))?;
    if summary.verification_result != VerificationResult::Passed {
        bail!(refuse("it is a refusal".to_owned()));
    }
    if summary.resource_uri != resource(prepared) {
        bail!(refuse(format!("it is about {}, not about {}", summary.resource_uri, resource(prepared))));
    }
    let text = |name: &str| member.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("stage") != "train" || text("identity") != identity.to_string() {
        let text = "it is about another command, source, input or limit: what was decided about was changed since";
        bail!(refuse(text.to_owned()));
    }
    let time: Option<Timestamp> = summary.time_verified.as_ref().and_then(|time| time.parse().ok());
    let time = time.ok_or_else(|| refuse("it has no time".to_owned()))?;
    let age = now.duration_since(time);
    if age.is_negative() || age.unsigned_abs() > FRESH {
        bail!(refuse(format!("it was made at {time}; an admission holds for 24 hours")));
    }
    Ok(DecisionView {
        environment: prepared.environment.clone(),
        allow: true,
        enforced: true,
        reasons: Vec::new(),
        policy_digest: summary
            .policy
            .digest
            .primary()
            .ok_or_else(|| refuse(format!("it names no policy ({})", sha256_hex(bytes))))?,
        ledger_index: None,
    })
}
