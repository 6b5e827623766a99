//! From recorded evidence to a decision for each environment, itself recorded as a SLSA Verification Summary.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, anyhow};
use gauntlet_core::project::Risk;
use gauntlet_core::{ConfigError, Project, Subject, SubjectKind};
use gauntlet_policy::{
    Decision, EvidenceItem, MergedConfig, MergedEnvironment, Options, Pack, PolicyInput, PolicySet, Request, Rulings,
    STALE_HEAD, SubjectItem, SummaryContext, evaluate, read_rulings, shipped_names, stale_head, verification_summary,
};
use gauntlet_trust::keys::VerifyingKey;
use gauntlet_trust::statement::{DECISION_MEMBER, TEST_RESULT};
use gauntlet_trust::trust_policy::TrustPolicy;
use serde_json::{Map, Value, json};

use crate::evidence::{Evidence, Recorded};
use crate::exit::UsageError;
use crate::plan::Plan;
use crate::trust::LoadedTrust;

/// Rule names of reasons that say "not answered" rather than "no".
const INCONCLUSIVE: [&str; 2] = ["/check-inconclusive", STALE_HEAD];

/// The rules in force for a project.
pub(crate) struct Rules {
    /// The organisation's demands.
    pub(crate) trust: Option<LoadedTrust>,
    /// What holds in each environment.
    pub(crate) merged: MergedConfig,
}

impl Rules {
    /// Merges the project's wishes into the trust policy, when there is one.
    pub(crate) fn load(project: &Project, file: &Path, trust: Option<LoadedTrust>) -> anyhow::Result<Self> {
        let known: Vec<&str> = shipped_names().collect();
        let policy = trust.as_ref().map(|trust| &trust.policy);
        let merged = MergedConfig::new(project, policy, &file.display().to_string(), &known).map_err(|e| all(&e))?;
        Ok(Self { trust, merged })
    }

    /// The highest risk class that any environment holds the project to. One report serves the decisions of all.
    pub(crate) fn highest_risk(&self, project: &Project) -> Risk {
        self.merged.environments.values().map(|environment| environment.risk.value).fold(project.risk, Risk::max)
    }

    /// The trust policy in force.
    pub(crate) fn policy(&self) -> Option<&TrustPolicy> {
        self.trust.as_ref().map(|trust| &trust.policy)
    }

    /// The environment whose decision the exit status follows: the one asked for, the default, or the only one.
    pub(crate) fn enforced(&self, asked: Option<&str>) -> anyhow::Result<Option<String>> {
        let names: Vec<&str> = self.merged.environments.keys().map(String::as_str).collect();
        match asked.or(self.merged.default_environment.as_deref()) {
            Some(name) if names.contains(&name) => Ok(Some(name.to_owned())),
            Some(name) => {
                let hint = gauntlet_core::nearest(name, names.iter().copied());
                let hint = hint.map_or_else(
                    || format!("environments are: {}", names.join(", ")),
                    |h| format!("did you mean `{h}`?"),
                );
                Err(UsageError::new(format!("there is no environment `{name}`; {hint}")).into())
            }
            None if names.len() == 1 => Ok(names.first().map(|n| (*n).to_owned())),
            None => Ok(None),
        }
    }
}

/// All configuration errors at once, one a line.
pub(crate) fn all(errors: &[ConfigError]) -> anyhow::Error {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    UsageError::new(lines.join("\n       ")).into()
}

/// What a run has found.
pub(crate) struct Found<'a> {
    /// What holds everywhere.
    pub(crate) recorded: &'a [Recorded],
    /// What holds of images, by environment.
    pub(crate) images: &'a BTreeMap<String, Vec<Recorded>>,
}

/// Decides for every environment, in the order of their names, the enforced one first.
pub(crate) fn decide(
    project: &Project,
    rules: &Rules,
    plan: &Plan,
    found: &Found<'_>,
    enforced: Option<&str>,
    evidence: &Evidence<'_>,
    own: &[VerifyingKey],
) -> anyhow::Result<Vec<Decision>> {
    let subjects = subjects(plan);
    let trust = rules.policy();
    let rulings = read_rulings(evidence.ledger, trust, own, evidence.now)?;
    let stale = trust.map(|trust| stale_head(evidence.ledger, trust, evidence.now)).transpose()?.flatten();
    let mut environments: Vec<&MergedEnvironment> = rules.merged.environments.values().collect();
    environments.sort_by_key(|e| enforced != Some(e.name.as_str()));
    environments
        .into_iter()
        .map(|environment| {
            let of_images = found.images.get(&environment.name).map_or(&[][..], Vec::as_slice);
            let recorded = [found.recorded, of_images].concat();
            let input = policy_input(project, rules, environment, &subjects, &recorded, &rulings, evidence)?;
            let policy = PolicySet::new(environment.packs.iter().filter_map(|p| Pack::shipped(&p.value)).collect());
            let mut outcome = evaluate(&policy, &serde_json::to_value(&input)?, &Options::default());
            outcome.violations.extend(stale.clone());
            let mut decision =
                Decision::new(&environment.name, enforced == Some(environment.name.as_str()), &policy, &outcome);
            decision.ledger_index = Some(record(&decision, &input, &subjects, trust, evidence)?);
            Ok(decision)
        })
        .collect()
}

/// All that a policy knows of these subjects in an environment.
pub(crate) fn policy_input(
    project: &Project,
    rules: &Rules,
    environment: &MergedEnvironment,
    subjects: &[SubjectItem],
    recorded: &[Recorded],
    rulings: &Rulings,
    evidence: &Evidence<'_>,
) -> anyhow::Result<PolicyInput> {
    let key_id = evidence.key.key_id();
    let items = recorded
        .iter()
        .map(|r| {
            Ok(EvidenceItem {
                report: &r.report,
                predicate_type: TEST_RESULT,
                envelope: format!("sha256:{}", r.envelope).parse()?,
                ledger_index: r.index,
                key_id: &key_id,
                local: evidence.local,
            })
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let request = Request {
        project,
        environment,
        trust: rules.policy(),
        trust_signed: rules.trust.as_ref().is_some_and(|trust| trust.signers.is_some()),
        revoked: &rulings.revoked,
        time: evidence.now,
        subjects,
        evidence: &items,
        approvals: &rulings.approvals,
    };
    Ok(PolicyInput::build(&request)?)
}

/// Whether everything that speaks against it is an unanswered question.
pub(crate) fn only_inconclusive(decision: &Decision) -> bool {
    !decision.reasons.is_empty()
        && decision.reasons.iter().all(|r| INCONCLUSIVE.iter().any(|rule| r.rule.ends_with(rule)))
}

/// The subjects of a plan, each once.
pub(crate) fn subjects(plan: &Plan) -> Vec<SubjectItem> {
    let mut items: Vec<SubjectItem> = Vec::new();
    for task in &plan.tasks {
        if items.iter().any(|item| item.subject == task.subject) {
            continue;
        }
        let declared = ["manifest", "contract", "card"]
            .into_iter()
            .filter(|name| task.config.get(name).is_some_and(|v| !v.is_null()))
            .map(str::to_owned)
            .collect();
        items.push(SubjectItem { subject: task.subject.clone(), declared });
    }
    items.extend(plan.images.iter().map(|image| SubjectItem { subject: image.clone(), declared: Vec::new() }));
    items
}

/// Signs and appends the decision, unless the last one for this environment had the same inputs and the same answer.
fn record(
    decision: &Decision,
    input: &PolicyInput,
    subjects: &[SubjectItem],
    trust: Option<&TrustPolicy>,
    evidence: &Evidence<'_>,
) -> anyhow::Result<u64> {
    let about = decided_about(subjects);
    let first = about.first().context("there is nothing to decide about")?;
    let identity = decision.identity(input)?.to_string();
    if let Some(index) = last_decision(first, &decision.environment, &identity, evidence)? {
        return Ok(index);
    }
    let uri = format!("gauntlet:{}@{}", input.project.name, decision.environment);
    let member = json!({
        "environment": decision.environment,
        "identity": identity,
        "local": evidence.local,
        "reasons": decision.reasons,
        "trust_policy": trust.map(|trust| trust.digest.to_string()),
    });
    let context = SummaryContext {
        tool_version: env!("CARGO_PKG_VERSION"),
        resource_uri: &uri,
        extensions: Map::from_iter([(DECISION_MEMBER.to_owned(), member)]),
    };
    let statement = verification_summary(decision, input, context).statement(&about)?;
    evidence.record_decision(&statement, first)
}

/// A decision is about what would be deployed: the models, else the datasets, else the source; and the images with them.
fn decided_about(subjects: &[SubjectItem]) -> Vec<&Subject> {
    let of = |kind| subjects.iter().map(|item| &item.subject).filter(move |s| s.kind == kind);
    let mut about: Vec<&Subject> = [SubjectKind::Model, SubjectKind::Dataset, SubjectKind::Source]
        .into_iter()
        .map(|kind| of(kind).collect::<Vec<_>>())
        .find(|found| !found.is_empty())
        .unwrap_or_default();
    about.extend(of(SubjectKind::Image));
    about
}

/// The newest decision about a subject for an environment, when it says the same.
fn last_decision(
    subject: &Subject,
    environment: &str,
    identity: &str,
    evidence: &Evidence<'_>,
) -> anyhow::Result<Option<u64>> {
    let digest = subject.digest.primary().ok_or_else(|| anyhow!("{} has no digest", subject.name))?;
    for index in evidence.ledger.by_subject(digest.algorithm().as_str(), digest.hex())?.into_iter().rev() {
        let record = evidence.ledger.show(index)?;
        if record.kind != "decision" {
            continue;
        }
        // A decision that was signed with another key, or whose envelope is gone, cannot stand for ours.
        let Ok(statement) = evidence.statement(&hex::encode(record.envelope.0.as_bytes())) else { continue };
        let member = statement.predicate.as_ref().and_then(|p| p.get(DECISION_MEMBER));
        if member.and_then(|m| m.get("environment")).and_then(Value::as_str) != Some(environment) {
            continue;
        }
        let same = member.and_then(|m| m.get("identity")).and_then(Value::as_str) == Some(identity);
        return Ok(same.then_some(index));
    }
    Ok(None)
}
