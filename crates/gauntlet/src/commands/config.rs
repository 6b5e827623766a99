//! `gauntlet config`: each value in force with its origin, and the schemas of all documents.

use std::fmt::Write as _;
use std::path::Path;

use gauntlet_core::project::{self, FILE_NAME};
use gauntlet_policy::{MergedEnvironment, Origin, Sourced, TrustPolicy};
use schemars::Schema;

use crate::cli::{ConfigCommand, SchemaName};
use crate::commands::run::load;
use crate::decide::Rules;
use crate::exit::Exit;
use crate::terminal;

pub(crate) fn run(command: &ConfigCommand) -> anyhow::Result<Exit> {
    match command {
        ConfigCommand::Show { project, trust_policy } => show(&project.dir, trust_policy.as_deref())?,
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
    };
    Ok(format!("{}\n", serde_json::to_string_pretty(&schema)?))
}

fn show(dir: &Path, trust: Option<&Path>) -> anyhow::Result<()> {
    let file = dir.join(FILE_NAME);
    let project = load(&file, dir)?;
    let rules = Rules::load(&project, &file, trust)?;
    let mut text = String::new();
    let trust = rules
        .trust
        .as_ref()
        .map_or_else(|| "none: evidence is marked local".to_owned(), |t| format!("{} ({})", t.name, t.digest));
    let _ = writeln!(text, "project              {}", project.project.value);
    let _ = writeln!(text, "trust policy         {trust}");
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
