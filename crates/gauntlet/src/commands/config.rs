//! `gauntlet config`: each value in force with its origin, and the schemas of all documents.

use std::fmt::Write as _;
use std::path::Path;

use gauntlet_core::project::{self, FILE_NAME};
use gauntlet_policy::{MergedEnvironment, Origin, Sourced};
use gauntlet_trust::trust_policy::TrustPolicy;
use schemars::Schema;

use crate::cli::{ConfigCommand, SchemaName};
use crate::commands::run::load;
use crate::decide::Rules;
use crate::exit::Exit;
use crate::state::UserConfig;
use crate::terminal;
use crate::trust::{LoadedTrust, TrustArgs};

pub(crate) fn run(
    command: &ConfigCommand,
    config: impl FnOnce() -> anyhow::Result<UserConfig>,
) -> anyhow::Result<Exit> {
    match command {
        ConfigCommand::Show { project, trust } => show(&project.dir, trust, &config()?)?,
        ConfigCommand::Schema { document } => terminal::print(&schema_text(*document)?)?,
    }
    Ok(Exit::Allowed)
}

/// The schema of a document as it is committed under `docs/schemas/`.
pub(crate) fn schema_text(document: SchemaName) -> anyhow::Result<String> {
    let schema: Schema = match document {
        SchemaName::Project => project::schema(),
        SchemaName::Output => gauntlet_report::schema(),
        SchemaName::Manifest => gauntlet_data::manifest_schema(),
        SchemaName::Contract => gauntlet_data::contract_schema(),
        SchemaName::TrustPolicy => TrustPolicy::schema(),
        SchemaName::PolicyInput => gauntlet_policy::schema(),
        SchemaName::Judgement => schemars::schema_for!(gauntlet_ledger::judge::Judgement),
    };
    Ok(format!("{}\n", serde_json::to_string_pretty(&schema)?))
}

fn show(dir: &Path, trust: &TrustArgs, config: &UserConfig) -> anyhow::Result<()> {
    let file = dir.join(FILE_NAME);
    let project = load(&file, dir)?;
    let rules = Rules::load(&project, &file, trust.load(config)?)?;
    let mut text = String::new();
    let _ = writeln!(text, "project              {}", project.project.value);
    match &rules.trust {
        None => text.push_str("trust policy         none: evidence is marked local\n"),
        Some(trust) => text.push_str(&trust_text(trust)),
    }
    let _ = writeln!(text, "default environment  {}", rules.merged.default_environment.as_deref().unwrap_or("none"));
    for environment in rules.merged.environments.values() {
        let _ = write!(text, "\n{}", environment_text(environment));
    }
    text.push_str("\nlimits\n");
    if let serde_json::Value::Object(limits) = serde_json::to_value(&project.limits)? {
        for (name, value) in limits {
            let _ = writeln!(text, "  {name:18} {value}");
        }
    }
    terminal::print(&text)
}

fn trust_text(trust: &LoadedTrust) -> String {
    let policy = &trust.policy;
    let mut text = format!("trust policy         {} ({})\n", policy.name, policy.digest);
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:20} {value}");
    };
    let number = policy.version_number.map(|number| format!("number {number}, ")).unwrap_or_default();
    match &trust.signers {
        None => line("  signed", format!("{number}no: a plain file, nobody vouches for it")),
        Some(keys) => {
            let holder = |key: &String| policy.holder(key).map_or_else(|| key.clone(), |person| person.id.clone());
            line("  signed", format!("{number}by {}", keys.iter().map(holder).collect::<Vec<_>>().join(", ")));
        }
    }
    if let Some(seconds) = policy.freshness_seconds {
        line("  freshness", format!("{seconds} s"));
    }
    if let Some(witnesses) = &policy.witnesses {
        line("  witnesses", format!("{} of {}", witnesses.quorum, witnesses.keys.len()));
    }
    if let Some(rules) = &policy.rules {
        line("  rules", rules.iter().map(|rule| rule.name.clone()).collect::<Vec<_>>().join(", "));
    }
    if !policy.revoked.is_empty() {
        line("  revoked", policy.revoked.len().to_string());
    }
    text
}

fn environment_text(environment: &MergedEnvironment) -> String {
    let mut text = format!("environment {}\n", environment.name);
    let mut line = |name: &str, value: &str, origin: Option<Origin>| {
        let origin = origin.map(|o| format!("  ({})", word(o))).unwrap_or_default();
        let _ = writeln!(text, "  {name:18} {value}{origin}");
    };
    line("production", if environment.production.value { "yes" } else { "no" }, Some(environment.production.origin));
    let risk = serde_json::to_value(environment.risk.value).ok();
    let risk = risk.as_ref().and_then(serde_json::Value::as_str).unwrap_or("");
    line("risk", risk, Some(environment.risk.origin));
    let mut list = |name: &str, items: &[Sourced<String>]| {
        for item in items {
            line(name, &item.value, Some(item.origin));
        }
    };
    list("pack", &environment.packs);
    list("approval", &environment.approvals);
    match &environment.signers {
        Some(keys) => keys.iter().for_each(|key| line("signer", key, Some(Origin::TrustPolicy))),
        None => line("signer", "anybody the trust policy lists, or the local key", Some(Origin::Default)),
    }
    let floors = [
        ("rows", environment.tests.rows.map(|n| n.to_string())),
        ("eps", environment.tests.eps.map(|n| n.to_string())),
        ("seeds", environment.tests.seeds.map(|n| n.to_string())),
    ];
    for (name, value) in floors.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        line("test floor", &format!("{name} {value}"), Some(Origin::TrustPolicy));
    }
    text
}

fn word(origin: Origin) -> &'static str {
    match origin {
        Origin::Default => "by default",
        Origin::Risk => "because of the risk class",
        Origin::Project => "gauntlet.yaml",
        Origin::TrustPolicy => "trust policy",
    }
}
