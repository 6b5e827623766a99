//! Configuration that names code or paths: Hydra targets, MLflow's `MLmodel`, TorchServe and Ollama manifests, YAML tags.

use super::keras::KerasDocument;
use super::{DocumentReader, base};
use crate::checks::CONFIGURATION;
use crate::extract::{Place, Walk};
use crate::facts::{ConfigurationFact, Setting, SettingKind};
use crate::formats::json::{Document, Json};

/// Settings of one document that are kept.
const KEPT: usize = 10_000;
const TEXT: usize = 300;

/// Keys whose value some loader imports and calls.
const TARGETS: [&str; 5] = ["_target_", "__target__", "class_path", "_factory_", "py_target"];
/// Keys of MLflow, TorchServe and the like whose value is opened below the model's folder.
const PATHS: [&str; 8] = [
    "handler",
    "serializedFile",
    "modelFile",
    "extraFiles",
    "requirementsFile",
    "model_path",
    "python_model",
    "pickled_model",
];

/// Reads configuration.
pub(crate) struct Configuration;

impl DocumentReader for Configuration {
    fn format(&self) -> &'static str {
        "model configuration"
    }

    fn check(&self) -> &'static str {
        CONFIGURATION
    }

    fn expects(&self, place: &Place) -> bool {
        base(&place.name) == "MLmodel"
    }

    fn concerns(&self, name: &str, document: &Document) -> bool {
        // Tags of a Keras document are judged with the rest of it.
        let tags = || document.tags.iter().any(|tag| !is_core(&tag.tag)) && !KerasDocument.concerns(name, document);
        base(name) == "MLmodel" || !settings(document).settings.is_empty() || tags()
    }

    fn read(&self, walk: &mut Walk<'_>, document: &Document, place: &Place) {
        walk.looked_at(CONFIGURATION);
        walk.facts.push(CONFIGURATION, place.location.clone(), &settings(document));
    }
}

/// Tags that only say how a value is to be read.
fn is_core(tag: &str) -> bool {
    let core =
        ["null", "bool", "int", "float", "str", "seq", "map", "binary", "timestamp", "omap", "set", "merge", "value"];
    tag == "!" || tag.strip_prefix("tag:yaml.org,2002:").is_some_and(|name| core.contains(&name))
}

fn settings(document: &Document) -> ConfigurationFact {
    let mut fact = ConfigurationFact {
        tags: document.tags.iter().filter(|tag| !is_core(&tag.tag)).cloned().collect(),
        ..ConfigurationFact::default()
    };
    let root = &document.root;
    let is_mlflow = root.get("flavors").is_some();
    // TorchServe's manifest keeps the model's files below `model`.
    let is_package =
        is_mlflow || root.path(&["model", "handler"]).is_some() || root.path(&["model", "serializedFile"]).is_some();
    let is_manifest = root.get("layers").is_some() && root.get("schemaVersion").is_some();
    root.visit(&mut |at, value| {
        // `hydra.utils.get_method` and its kin look up what their `path` says.
        let hydra = value.get("_target_").and_then(Json::text).is_some_and(|target| target.starts_with("hydra."));
        if let (true, Some(path)) = (hydra, value.get("path").and_then(Json::text))
            && fact.settings.len() < KEPT
        {
            let place = if at.is_empty() { "path".to_owned() } else { format!("{at}.path") };
            fact.settings.push(Setting { place: cut(&place), kind: SettingKind::Target, value: cut(path) });
        }
        let (Json::Text(text), Some(key)) = (value, last(at)) else { return };
        let kind = if TARGETS.contains(&key)
            || (key == "target" && at.contains('.') && text.contains('.') && is_dotted(text))
        {
            SettingKind::Target
        } else if is_mlflow && key == "loader_module" {
            SettingKind::Module
        } else if is_mlflow && key == "model_code_path" {
            SettingKind::Code
        } else if is_package && PATHS.contains(&key) {
            SettingKind::Path
        } else if is_manifest && key == "digest" {
            SettingKind::Digest
        } else {
            return;
        };
        if fact.settings.len() < KEPT {
            fact.settings.push(Setting { place: cut(at), kind, value: cut(text) });
        } else {
            fact.more += 1;
        }
    });
    fact
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT).collect()
}

/// The last key of a place.
fn last(at: &str) -> Option<&str> {
    let key = at.rsplit('.').next()?;
    (!key.is_empty()).then(|| key.split('[').next().unwrap_or(key))
}

fn is_dotted(text: &str) -> bool {
    text.split('.').all(|part| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_'))
}
