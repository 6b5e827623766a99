//! The container images of a project: whose signature they carry, as evidence like that of every other subject.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use gauntlet_core::project::ImageConfig;
use gauntlet_core::{Digest, DigestSet, Input, Project, Report, Subject, SubjectKind, Verdict, canonical};
use gauntlet_trust::keys::VerifyingKey;
use gauntlet_trust::moment::Moment;
use gauntlet_trust::oci::{self, BlobDigest};
use gauntlet_trust::oms::VerifyOptions;
use gauntlet_trust::statement::IMAGE_SIGNATURE;
use gauntlet_trust::trust_policy::{Act, Signatory, TrustPolicy};
use jiff::Timestamp;
use serde_json::json;

use crate::decide::Rules;
use crate::evidence::{Evidence, Recorded};
use crate::keys;
use crate::progress::Meter;

/// What decides whose signature counts.
pub(crate) struct Trusting<'a> {
    pub(crate) policy: Option<&'a TrustPolicy>,
    /// The environment that is decided for.
    pub(crate) environment: Option<&'a str>,
    pub(crate) now: Timestamp,
}

/// The images of a project as subjects, by name.
pub(crate) fn subjects(project: &Project) -> Vec<Subject> {
    project.images.iter().map(|(name, image)| subject(project, name, image)).collect()
}

/// What is found of the images for each environment: a key may count in one and not in another.
pub(crate) fn by_environment(
    project: &Project,
    root: &Path,
    rules: &Rules,
    evidence: &Evidence<'_>,
    meter: &Meter,
) -> anyhow::Result<BTreeMap<String, Vec<Recorded>>> {
    let mut found = BTreeMap::new();
    for name in rules.merged.environments.keys() {
        let trusting = Trusting { policy: rules.policy(), environment: Some(name), now: evidence.now };
        found.insert(name.clone(), record(project, root, &trusting, evidence, meter)?);
    }
    if found.is_empty() {
        // Nothing is decided then, and the verdict is still shown.
        let trusting = Trusting { policy: rules.policy(), environment: None, now: evidence.now };
        found.insert(String::new(), record(project, root, &trusting, evidence, meter)?);
    }
    Ok(found)
}

/// Verifies every image of the project and records what was found.
pub(crate) fn record(
    project: &Project,
    root: &Path,
    trusting: &Trusting<'_>,
    evidence: &Evidence<'_>,
    meter: &Meter,
) -> anyhow::Result<Vec<Recorded>> {
    let mut recorded = Vec::new();
    for (name, image) in &project.images {
        meter.step(&format!("verifying image {name}"));
        let reports = judge(subject(project, name, image), image, root, trusting)?;
        // The same answer as last time needs no new entry.
        let key = evidence.key.key_id();
        let question = canonical::digest(&json!({ "image": reports, "key": key, "local": evidence.local }))?;
        recorded.extend(match evidence.cached(&question, |_| true) {
            Some(answers) => answers,
            None => {
                let answers = evidence.record_reports(reports, None)?;
                evidence.keep(&question, &answers)?;
                answers
            }
        });
    }
    Ok(recorded)
}

/// Whether the image with this reference is one of the project's, and both of its reports pass.
pub(crate) fn is_verified(project: &Project, reference: &str, recorded: &[Recorded]) -> bool {
    let digest = reference.rsplit_once('@').map_or("", |(_, digest)| digest);
    project.images.iter().filter(|(_, image)| image.digest() == digest).any(|(name, image)| {
        let subject = subject(project, name, image);
        [&oci::PACKAGE, &oci::IMAGE].into_iter().all(|check| {
            let mut reports =
                recorded.iter().map(|r| &r.report).filter(|r| r.subject == subject && r.check == check.id);
            reports.next().is_some_and(|report| matches!(report.verdict, Verdict::Pass | Verdict::Warn))
        })
    })
}

fn subject(project: &Project, name: &str, image: &ImageConfig) -> Subject {
    let digest = image.digest().parse::<Digest>().ok();
    Subject {
        name: format!("{}/{name}", project.project.value),
        kind: SubjectKind::Image,
        digest: digest.iter().fold(DigestSet::default(), DigestSet::with),
    }
}

fn judge(subject: Subject, image: &ImageConfig, root: &Path, trusting: &Trusting<'_>) -> anyhow::Result<Vec<Report>> {
    let digest: BlobDigest = image.digest().parse().context("an image's digest is checked when it is read")?;
    let keys: Vec<VerifyingKey> = match trusting.policy {
        Some(policy) => policy.public_keys().cloned().collect(),
        None => image.keys.iter().map(|path| keys::verifying_key(&root.join(&path.value))).collect::<Result<_, _>>()?,
    };
    let mut found = oci::verify_image(&root.join(&image.layout.value), &digest, &keys, &VerifyOptions::default());
    if let Some(policy) = trusting.policy {
        let signers = found.image.signers.iter();
        let signers: Vec<_> = signers.map(|id| Signatory { key_id: id.clone(), identities: Vec::new() }).collect();
        let act = Act {
            subject: Some(SubjectKind::Image),
            predicate: IMAGE_SIGNATURE,
            environment: trusting.environment,
            moment: &Moment::now(trusting.now),
        };
        let permission = policy.permits(&signers, &act, &[]);
        if !signers.is_empty() && !permission.is_allowed() {
            let standing = permission.signers.iter().flat_map(|signer| &signer.objections);
            found.image.object(standing.chain(&permission.objections).map(ToString::to_string));
        }
    }
    let inputs = keys.iter().map(key_input).collect::<Result<_, _>>()?;
    let config = canonical::digest(
        &json!({ "reference": image.reference.value, "environment": trusting.policy.and(trusting.environment) }),
    )?;
    Ok(vec![
        found.package.report(&oci::PACKAGE, subject.clone(), Vec::new(), config.clone()),
        found.image.report(&oci::IMAGE, subject, inputs, config),
    ])
}

/// A key's id is the SHA-256 of its SubjectPublicKeyInfo.
fn key_input(key: &VerifyingKey) -> anyhow::Result<Input> {
    Ok(Input { name: "key".to_owned(), digest: format!("sha256:{}", key.key_id()).parse()? })
}
