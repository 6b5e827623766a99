//! Runs again what signed provenance records, and compares.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{Context, bail};
use gauntlet_core::project::{MetricsConfig, TrainingConfig};
use gauntlet_core::yaml::Located;
use gauntlet_core::{Digest, Report, Subject};
use gauntlet_ledger::Ledger;
use gauntlet_ledger::tree::Hash;
use gauntlet_train::checks;
use gauntlet_train::replay::{Comparison, Tolerance, compare};
use gauntlet_trust::dsse::Envelope;
use gauntlet_trust::statement::PROVENANCE;
use gauntlet_trust::statement::Statement;

use super::TrainArgs;
use super::execute::Record;
use super::prepare::{self, Prepared};
use super::provenance::RECORD_MEMBER;
use crate::attestation::trusted_keys;
use crate::exit::{Refusal, UsageError};
use crate::progress::Meter;
use crate::state::UserConfig;

/// A verified record of an earlier run.
pub(super) struct Recorded {
    /// Digest of the envelope.
    envelope: Digest,
    record: Record,
}

/// Reads evidence from a file, or by digest from the ledger, and verifies it.
pub(super) fn load(name: &str, args: &TrainArgs, ledger: &Ledger, config: &UserConfig) -> anyhow::Result<Recorded> {
    let bytes = match Hash::from_hex(name.trim_start_matches("sha256:")) {
        Some(hash) if !Path::new(name).exists() => {
            ledger.evidence().get(&hash)?.ok_or_else(|| UsageError::new(format!("there is no evidence {name}")))?
        }
        _ => std::fs::read(name).map_err(|error| UsageError::new(format!("cannot read {name}: {error}")))?,
    };
    let keys = trusted_keys(args.replay_key.as_slice(), config)?;
    let envelope = Envelope::parse(&bytes).with_context(|| format!("{name} is no evidence"))?;
    let verified = envelope
        .verify(&keys, NonZeroUsize::MIN)
        .map_err(|error| Refusal::new(format!("{name} is not signed by a key that counts here: {error}")))?;
    let statement = Statement::from_verified(&verified)?;
    let record = statement.predicate.as_ref().and_then(|predicate| predicate.get(RECORD_MEMBER));
    if statement.predicate_type != PROVENANCE {
        bail!(UsageError::new(format!("{name} is a {}, no provenance of a training run", statement.predicate_type)));
    }
    let record = record.cloned().ok_or_else(|| UsageError::new(format!("{name} holds no record of a training run")))?;
    let record: Record = serde_json::from_value(record).context("the record cannot be read")?;
    Ok(Recorded { envelope: Digest::sha256(&bytes), record })
}

impl Recorded {
    /// The same run again, over the project as it is now.
    pub(super) fn prepare(&self, args: &TrainArgs, config: &UserConfig, meter: &Meter) -> anyhow::Result<Prepared> {
        let mut project = prepare::project(args)?;
        if project.environments.is_empty() {
            project.environments.insert("local".to_owned(), gauntlet_core::project::EnvironmentConfig::default());
        }
        let own = project.training.clone().unwrap_or_default();
        let record = &self.record;
        let prefix = format!("{}/", project.project.value);
        let located = |value: &str| Located { value: value.to_owned(), line: 0, column: 0 };
        let outputs: Vec<Located<String>> = match own.outputs.is_empty() {
            false => own.outputs.clone(),
            true => record.outputs.iter().map(|file| located(&file.path.display().to_string())).collect(),
        };
        let training = TrainingConfig {
            command: record.command.clone(),
            inputs: record.inputs.iter().map(|i| located(i.name.strip_prefix(&prefix).unwrap_or(&i.name))).collect(),
            outputs,
            purpose: record.purpose.clone(),
            network: record.hosts.iter().map(|host| located(host)).collect(),
            environment: record.parameters.environment.clone(),
            seed: record.parameters.seed,
            parameters: own.parameters,
            metrics: MetricsConfig { ..own.metrics },
            image: record.image.as_deref().map(located),
            runner: args.runner.unwrap_or(own.runner),
            limits: record.allowed.clone().tightened(args.limits()?).map_err(UsageError::new)?,
            prices: record.prices.clone(),
        };
        Prepared::of(project, training, args, config, meter)
    }

    /// What the second run made beside what the first one made.
    pub(super) fn compare(
        &self,
        subject: &Subject,
        prepared: &Prepared,
        again: &Record,
        staging: &Path,
        relative: Option<f64>,
    ) -> Report {
        let tolerance =
            relative.map_or_else(Tolerance::default, |relative| Tolerance { relative, ..Tolerance::default() });
        let mut outputs: BTreeMap<String, Comparison> = BTreeMap::new();
        for old in &self.record.outputs {
            let name = old.path.display().to_string();
            let comparison = match again.outputs.iter().find(|new| new.path == old.path) {
                Some(new) => compare(
                    &old.digest,
                    &prepared.root.join(&old.path),
                    &new.digest,
                    &staging.join(&new.path),
                    tolerance,
                ),
                None => Comparison::Differs { differences: vec![(String::new(), "was not made again".to_owned())] },
            };
            outputs.insert(name, comparison);
        }
        for new in again.outputs.iter().filter(|new| !self.record.outputs.iter().any(|old| old.path == new.path)) {
            let differences = vec![(String::new(), "was not made before".to_owned())];
            outputs.insert(new.path.display().to_string(), Comparison::Differs { differences });
        }
        checks::replay(subject, &self.envelope, &self.changed(again), &outputs, tolerance)
    }

    /// What of the second run was not as it was recorded.
    fn changed(&self, again: &Record) -> Vec<String> {
        let mut changed = Vec::new();
        if again.source != self.record.source {
            let old: BTreeMap<_, _> = self.record.code.iter().map(|f| (&f.path, &f.digest)).collect();
            let new: BTreeMap<_, _> = again.code.iter().map(|f| (&f.path, &f.digest)).collect();
            let names = old.keys().chain(new.keys()).filter(|path| old.get(**path) != new.get(**path));
            changed.extend(names.map(|path| format!("source {path}")));
        }
        for input in &self.record.inputs {
            let now = again.inputs.iter().find(|i| i.name == input.name);
            if now.is_none_or(|now| now.digest != input.digest) {
                changed.push(format!("input {}", input.name));
            }
        }
        let versions = |record: &Record| -> BTreeMap<String, String> {
            record.packages.iter().map(|p| (p.name.clone(), p.version.clone())).collect()
        };
        let (old, new) = (versions(&self.record), versions(again));
        for (name, version) in &old {
            if new.get(name) != Some(version) {
                changed.push(format!("package {name} {version}"));
            }
        }
        changed.sort();
        changed.dedup();
        changed
    }
}
