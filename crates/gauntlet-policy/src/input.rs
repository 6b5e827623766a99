//! The policy input document: all that a policy knows. Documented in docs/src/reference/policy-input.md.

use std::collections::BTreeMap;

use gauntlet_core::project::{Kind, Risk};
use gauntlet_core::{Algorithm, Digest, DigestSet, Metric, Project, Report, Severity, Subject, SubjectKind, Verdict};
use gauntlet_trust::moment::Moment;
use gauntlet_trust::trust_policy::{Act, Objection, Revoked, Signatory, TestFloors, TrustPolicy};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::merge::MergedEnvironment;

/// Findings and metrics of one report that a policy sees; counts cover all of them.
const MAX_LISTED: usize = 1_000;

/// The document under `input`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyInput {
    /// Version of this document: 1.
    pub schema: u32,
    /// The moment at which is decided, RFC 3339. A policy has no other clock.
    #[schemars(with = "String")]
    pub time: Timestamp,
    /// What is decided for.
    pub environment: EnvironmentInput,
    /// Whose subjects they are.
    pub project: ProjectInput,
    /// By whose word people and keys are known.
    pub trust: TrustInput,
    /// What is judged, by name.
    pub subjects: Vec<SubjectInput>,
}

/// The environment in question, with what project and trust policy together ask for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentInput {
    /// Its name.
    pub name: String,
    /// Whether models meet people here.
    pub production: bool,
    /// Roles that have to approve.
    pub approvals_required: Vec<String>,
    /// Key ids whose evidence counts; null when the trust policy names none.
    pub signers: Option<Vec<String>>,
    /// How hard models must have been tested at least; null where nothing is asked for.
    #[serde(default)]
    pub test_floors: TestFloors,
}

/// The project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectInput {
    /// Its name.
    pub name: String,
    /// What its models work on.
    pub kind: Kind,
    /// The risk class it is held to in this environment.
    pub risk: Risk,
    /// Role to person.
    pub owners: BTreeMap<String, String>,
    /// The environment that a run enforces by itself.
    pub default_environment: Option<String>,
}

/// The trust policy in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustInput {
    /// Its digest; null when there is none.
    pub policy_digest: Option<Digest>,
    /// True when there is none, so that nobody but this machine vouches for anything.
    pub local: bool,
    /// Its number among its successors; null when it has none.
    #[serde(default)]
    pub version_number: Option<u64>,
    /// Whether its own root signed it, so that it is what it was when it was handed out.
    #[serde(default)]
    pub signed: bool,
}

/// One subject with its evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubjectInput {
    /// `project/name`.
    pub name: String,
    /// What kind of thing it is.
    pub kind: SubjectKind,
    /// Its digests.
    pub digest: DigestSet,
    /// What the project declares for it, such as `manifest` and `contract`.
    pub declared: Vec<String>,
    /// Verified evidence about exactly this digest.
    pub evidence: Vec<EvidenceInput>,
    /// Evidence that speaks for the subject and does not count: its signer may not sign it, or it was revoked. What speaks
    /// against the subject always stays in `evidence`.
    #[serde(default)]
    pub set_aside: Vec<SetAsideInput>,
    /// Why the subject itself is revoked; empty when it is not.
    #[serde(default)]
    pub revoked: Vec<String>,
    /// Verified approvals of exactly this digest, for any environment.
    pub approvals: Vec<Approval>,
}

/// Evidence that does not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetAsideInput {
    /// Check id.
    pub check: String,
    /// Digest of the envelope.
    pub envelope: Digest,
    /// Where it stands in the ledger.
    pub ledger_index: u64,
    /// Who signed it.
    pub key_id: String,
    /// Why it does not count.
    pub reasons: Vec<String>,
}

/// One verified report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceInput {
    /// Check id.
    pub check: String,
    /// Version of its rules.
    pub check_version: u32,
    /// Its answer.
    pub verdict: Verdict,
    /// Type of the statement that carries it.
    pub predicate_type: String,
    /// Digest of the envelope.
    pub envelope: Digest,
    /// Where it stands in the ledger.
    pub ledger_index: u64,
    /// Who signed it.
    pub signer: SignerInput,
    /// Findings by severity.
    pub counts: CountsInput,
    /// Findings, worst first, at most 1,000.
    pub findings: Vec<FindingInput>,
    /// Findings beyond those.
    pub findings_omitted: u64,
    /// What was measured, at most 1,000.
    pub metrics: Vec<Metric>,
    /// Metrics beyond those.
    pub metrics_omitted: u64,
    /// What was looked at.
    pub coverage: CoverageInput,
}

/// Who signed a piece of evidence. The signature itself was verified before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignerInput {
    /// Hex SHA-256 of the key's SubjectPublicKeyInfo.
    pub key_id: String,
    /// Whether it is the development key of the machine that judges.
    pub local: bool,
    /// The person who holds it by the trust policy's word.
    pub person: Option<String>,
    /// The person's roles.
    pub roles: Vec<String>,
}

/// Numbers of findings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the words say it")]
pub struct CountsInput {
    pub critical: u64,
    pub high: u64,
    pub medium: u64,
    pub low: u64,
    pub info: u64,
    /// Those that a comment or configuration suppressed; they are in no other count.
    pub suppressed: u64,
}

/// One finding, without its text: what it says is for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindingInput {
    /// Rule id.
    pub rule: String,
    /// How bad.
    pub severity: Severity,
    /// Whether it was suppressed.
    pub suppressed: bool,
}

/// What a check looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CoverageInput {
    /// Things looked at to the end.
    pub looked_at: u64,
    /// Things that were not.
    pub skipped_count: u64,
    /// Whether every declared question was answered.
    pub complete: bool,
}

/// An approval whose signature, and whose signer's role, the caller has verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Approved as.
    pub role: String,
    /// Who approved: id in the trust policy.
    pub person: String,
    /// For which environment.
    pub environment: String,
    /// Digests of what was approved.
    pub subject: DigestSet,
    /// When it ends, RFC 3339; null for never.
    #[schemars(with = "Option<String>")]
    pub expires: Option<Timestamp>,
    /// Digest of the envelope.
    pub envelope: Digest,
    /// Where it stands in the ledger.
    pub ledger_index: u64,
}

/// A subject that the project declares.
#[derive(Clone, Debug)]
pub struct SubjectItem {
    /// Its name, kind and digests.
    pub subject: Subject,
    /// What the project declares for it: `manifest`, `contract`.
    pub declared: Vec<String>,
}

/// A report whose envelope and place in the ledger the caller has verified.
#[derive(Clone, Debug)]
pub struct EvidenceItem<'a> {
    /// The report.
    pub report: &'a Report,
    /// Type of the statement that carries it.
    pub predicate_type: &'a str,
    /// SHA-256 of the envelope's bytes.
    pub envelope: Digest,
    /// Where it stands in the ledger.
    pub ledger_index: u64,
    /// Hex SHA-256 of the signing key's SubjectPublicKeyInfo.
    pub key_id: &'a str,
    /// Whether that is the development key of this machine.
    pub local: bool,
}

/// All that a document is built from.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The project.
    pub project: &'a Project,
    /// The environment in question.
    pub environment: &'a MergedEnvironment,
    /// The trust policy in force.
    pub trust: Option<&'a TrustPolicy>,
    /// Whether its own root signed it.
    pub trust_signed: bool,
    /// What was revoked besides what the trust policy says, by those who may.
    pub revoked: &'a [Revoked],
    /// The moment at which is decided.
    pub time: Timestamp,
    /// What is judged; a subject without evidence must be here too, else nobody misses it.
    pub subjects: &'a [SubjectItem],
    /// Evidence about them; what is about other subjects is left out.
    pub evidence: &'a [EvidenceItem<'a>],
    /// Approvals of them; what is about other subjects is left out.
    pub approvals: &'a [Approval],
}

/// A document that cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Nothing could be matched with it.
    #[error("subject `{0}` has no digest")]
    NoDigest(String),
}

impl PolicyInput {
    /// Puts evidence and approvals beside the subjects they are about. A name never matches, only digests do.
    ///
    /// # Errors
    /// [`BuildError`] when a subject has no digest.
    pub fn build(request: &Request<'_>) -> Result<Self, BuildError> {
        let mut subjects = request.subjects.iter().map(|item| subject(request, item)).collect::<Result<Vec<_>, _>>()?;
        subjects.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        let environment = request.environment;
        Ok(Self {
            schema: 1,
            time: request.time,
            environment: EnvironmentInput {
                name: environment.name.clone(),
                production: environment.production.value,
                approvals_required: environment.approvals.iter().map(|role| role.value.clone()).collect(),
                signers: environment.signers.clone(),
                test_floors: environment.tests,
            },
            project: ProjectInput {
                name: request.project.project.value.clone(),
                kind: request.project.kind,
                risk: environment.risk.value,
                owners: request.project.owners.clone(),
                default_environment: request.project.default_environment.as_ref().map(|e| e.value.clone()),
            },
            trust: TrustInput {
                policy_digest: request.trust.map(|trust| trust.digest.clone()),
                local: request.trust.is_none(),
                version_number: request.trust.and_then(|trust| trust.version_number),
                signed: request.trust.is_some() && request.trust_signed,
            },
            subjects,
        })
    }

    /// Digests of all envelopes that went in, sorted, each once.
    #[must_use]
    pub fn envelopes(&self) -> Vec<(u64, Digest)> {
        let evidence =
            self.subjects.iter().flat_map(|s| s.evidence.iter().map(|e| (e.ledger_index, e.envelope.clone())));
        let approvals =
            self.subjects.iter().flat_map(|s| s.approvals.iter().map(|a| (a.ledger_index, a.envelope.clone())));
        let mut all: Vec<_> = evidence.chain(approvals).collect();
        all.sort();
        all.dedup();
        all
    }
}

/// The JSON Schema of the document.
#[must_use]
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(PolicyInput)
}

/// Same primary digest, and no shared algorithm disagrees. The OpenSSF root, which does not bind names, is not enough
/// where there is a `dirHash1`.
fn same(a: &DigestSet, b: &DigestSet) -> bool {
    let agree = a.matches(b);
    match (a.get(Algorithm::DirHash1), b.get(Algorithm::DirHash1)) {
        (None, None) | (Some(_), Some(_)) => agree,
        _ => false,
    }
}

fn subject(request: &Request<'_>, item: &SubjectItem) -> Result<SubjectInput, BuildError> {
    let Subject { name, kind, digest } = &item.subject;
    if digest.primary().is_none() {
        return Err(BuildError::NoDigest(name.clone()));
    }
    let mut evidence = Vec::new();
    let mut set_aside = Vec::new();
    let own = |item: &&EvidenceItem<'_>| item.report.subject.kind == *kind && same(&item.report.subject.digest, digest);
    for item in request.evidence.iter().filter(own) {
        let reasons = objections(request, item);
        let speaks_for = matches!(item.report.verdict, Verdict::Pass | Verdict::Warn);
        if !reasons.is_empty() {
            set_aside.push(SetAsideInput {
                check: item.report.check.clone(),
                envelope: item.envelope.clone(),
                ledger_index: item.ledger_index,
                key_id: item.key_id.to_ascii_lowercase(),
                reasons,
            });
            // Who revokes a failing report must not thereby make it pass.
            if speaks_for {
                continue;
            }
        }
        evidence.push(self::evidence(item, request.trust));
    }
    evidence.sort_by(|a, b| (&a.check, a.ledger_index).cmp(&(&b.check, b.ledger_index)));
    set_aside.sort_by(|a, b| (&a.check, a.ledger_index).cmp(&(&b.check, b.ledger_index)));
    let mut approvals: Vec<Approval> =
        request.approvals.iter().filter(|approval| same(&approval.subject, digest)).cloned().collect();
    approvals.retain(|approval| !revocations(request).any(|one| one.hits_envelope(&approval.envelope, request.time)));
    approvals.sort_by_key(|approval| approval.ledger_index);
    Ok(SubjectInput {
        name: name.clone(),
        kind: *kind,
        digest: digest.clone(),
        declared: item.declared.clone(),
        evidence,
        set_aside,
        revoked: revocations(request)
            .filter(|one| one.hits_subject(digest, request.time))
            .map(|one| one.reason.clone())
            .collect(),
        approvals,
    })
}

/// Everything that is revoked, by the trust policy or by those who may.
fn revocations<'a>(request: &Request<'a>) -> impl Iterator<Item = &'a Revoked> + use<'a> {
    request.trust.into_iter().flat_map(|trust| &trust.revoked).chain(request.revoked)
}

/// Why evidence does not count. Whether its signer is somebody at all is for the packs to say, unless the trust policy has
/// rules on who may sign what.
fn objections(request: &Request<'_>, item: &EvidenceItem<'_>) -> Vec<String> {
    let moment = Moment::now(request.time);
    let mut reasons: Vec<String> = revocations(request)
        .filter(|one| one.hits_envelope(&item.envelope, request.time) || one.hits_key(item.key_id, &moment))
        .map(|one| format!("revoked: {}", one.reason))
        .collect();
    let Some(trust) = request.trust else { return reasons };
    let signatory = Signatory { key_id: item.key_id.to_owned(), identities: Vec::new() };
    let act = Act {
        subject: Some(item.report.subject.kind),
        predicate: item.predicate_type,
        environment: Some(&request.environment.name),
        moment: &moment,
    };
    let permission = trust.permits(&[signatory], &act, &[]);
    let of_signers = permission.signers.iter().flat_map(|signer| &signer.objections);
    let of_time = |one: &&Objection| matches!(one, Objection::Expired(..) | Objection::NotYetValid(..));
    if trust.rules.is_some() {
        let known = |one: &&Objection| !matches!(one, Objection::KeyRevoked(..));
        reasons.extend(of_signers.chain(&permission.objections).filter(known).map(ToString::to_string));
    } else {
        reasons.extend(of_signers.filter(of_time).map(ToString::to_string));
    }
    reasons
}

fn evidence(item: &EvidenceItem<'_>, trust: Option<&TrustPolicy>) -> EvidenceInput {
    let report = item.report;
    let mut counts = CountsInput::default();
    for finding in &report.findings {
        let count = match (finding.suppressed.is_some(), finding.severity) {
            (true, _) => &mut counts.suppressed,
            (false, Severity::Critical) => &mut counts.critical,
            (false, Severity::High) => &mut counts.high,
            (false, Severity::Medium) => &mut counts.medium,
            (false, Severity::Low) => &mut counts.low,
            (false, Severity::Info) => &mut counts.info,
        };
        *count += 1;
    }
    let mut findings: Vec<FindingInput> = report
        .findings
        .iter()
        .map(|finding| FindingInput {
            rule: finding.rule.clone(),
            severity: finding.severity,
            suppressed: finding.suppressed.is_some(),
        })
        .collect();
    findings.sort_by_key(|finding| (finding.suppressed, std::cmp::Reverse(finding.severity)));
    findings.truncate(MAX_LISTED);
    let holder = trust.and_then(|trust| trust.holder(item.key_id));
    EvidenceInput {
        check: report.check.clone(),
        check_version: report.check_version,
        verdict: report.verdict,
        predicate_type: item.predicate_type.to_owned(),
        envelope: item.envelope.clone(),
        ledger_index: item.ledger_index,
        signer: SignerInput {
            key_id: item.key_id.to_ascii_lowercase(),
            local: item.local,
            person: holder.map(|person| person.id.clone()),
            roles: holder.map(|person| person.roles.clone()).unwrap_or_default(),
        },
        counts,
        findings_omitted: report.findings.len().saturating_sub(MAX_LISTED) as u64,
        findings,
        metrics: report.metrics.iter().take(MAX_LISTED).cloned().collect(),
        metrics_omitted: report.metrics.len().saturating_sub(MAX_LISTED) as u64,
        coverage: CoverageInput {
            looked_at: report.coverage.looked_at,
            skipped_count: report.coverage.skipped.len() as u64,
            complete: report.coverage.complete(),
        },
    }
}
