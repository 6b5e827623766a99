//! A training record as SLSA provenance v1.

use std::collections::BTreeMap;
use std::path::Path;

use gauntlet_core::{DigestSet, dir_hash, model_root};
use gauntlet_train::record::{GitState, TrainingRecord};
use gauntlet_trust::statement::{BuildDefinition, BuildMetadata, Builder, Provenance, RunDetails};
use gauntlet_trust::statement::{ResourceDescriptor, Statement};
use serde_json::{Map, Value, json};

use super::prepare::Prepared;

/// What the parameters mean.
const BUILD_TYPE: &str = "https://gauntlet.example/training/v1";
/// This program, as far as the key that signs is trusted.
const BUILDER: &str = "https://gauntlet.example/train/v1";
/// The whole record.
pub(super) const RECORD_MEMBER: &str = "https://gauntlet.example/training-record/v1";

/// The statement about what came out; `None` when nothing did.
pub(super) fn statement(record: &TrainingRecord, prepared: &Prepared) -> anyhow::Result<Option<Statement<Provenance>>> {
    let subjects = subjects(record, prepared);
    if subjects.is_empty() {
        return Ok(None);
    }
    let external = object(json!({
        "command": record.command,
        "environment": record.parameters.environment,
        "seed": record.parameters.seed,
        "purpose": record.purpose,
        "parameters": record.parameters.files.iter().map(|file| (file.path.clone(), json!(file.values))).collect::<Map<_, _>>(),
        "outputs": prepared.outputs,
    }));
    let internal = object(json!({
        "runner": record.runner,
        "allowed": record.allowed,
        "limits": record.limits,
        "mechanisms": record.mechanisms,
        "machine": record.machine,
    }));
    let metadata = BuildMetadata {
        invocation_id: Some(format!("{}-{}", record.project, record.started.as_millisecond())),
        started_on: Some(record.started.to_string()),
        finished_on: Some(record.finished.to_string()),
        extensions: Map::new(),
    };
    let predicate = Provenance {
        build_definition: BuildDefinition {
            build_type: BUILD_TYPE.to_owned(),
            external_parameters: external,
            internal_parameters: internal,
            resolved_dependencies: dependencies(record),
            extensions: Map::new(),
        },
        run_details: RunDetails {
            builder: Builder {
                id: BUILDER.to_owned(),
                version: BTreeMap::from([("gauntlet".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]),
                builder_dependencies: Vec::new(),
                extensions: Map::new(),
            },
            metadata: Some(metadata),
            byproducts: Vec::new(),
            extensions: Map::new(),
        },
        extensions: Map::from_iter([(RECORD_MEMBER.to_owned(), serde_json::to_value(record)?)]),
    };
    Ok(Some(Statement::about(subjects, predicate)?))
}

/// Each declared output by name and digest: a model of the project by its name there.
fn subjects(record: &TrainingRecord, prepared: &Prepared) -> Vec<ResourceDescriptor> {
    let project = &prepared.project;
    let mut subjects = Vec::new();
    for output in &prepared.outputs {
        let files: Vec<_> = record.outputs.iter().filter(|file| file.path.starts_with(output)).collect();
        let digest = match files.as_slice() {
            [] => continue,
            [one] if one.path == *output => DigestSet::default().with(&one.digest),
            many => {
                let inner = many.iter().map(|f| (f.path.strip_prefix(output).unwrap_or(&f.path), f.digest.hex()));
                let entries: Vec<_> = inner.map(|(path, hex)| (bytes(path), hex)).collect();
                let digest =
                    DigestSet::default().with(&dir_hash(entries.iter().map(|(path, hex)| (path.as_slice(), *hex))));
                let names: Option<Vec<_>> =
                    entries.iter().map(|(path, hex)| Some((std::str::from_utf8(path).ok()?, *hex))).collect();
                match names.and_then(model_root) {
                    Some(root) => digest.with(&root),
                    None => digest,
                }
            }
        };
        let model = project.models.iter().find(|(_, model)| Path::new(&model.path.value) == output.as_path());
        let name =
            model.map_or_else(|| output.display().to_string(), |(name, _)| format!("{}/{name}", project.project.value));
        subjects.push(ResourceDescriptor::named(name, digest));
    }
    subjects
}

fn bytes(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().to_vec()
}

/// Commit, source, inputs, parameters, packages and image.
fn dependencies(record: &TrainingRecord) -> Vec<ResourceDescriptor> {
    let mut all = Vec::new();
    let commit = |commit: &str, remote: &Option<String>| ResourceDescriptor {
        uri: remote.as_ref().map(|url| format!("git+{url}@{commit}")),
        ..ResourceDescriptor::named("commit", DigestSet::from_iter([("gitCommit".to_owned(), commit.to_owned())]))
    };
    match &record.git {
        GitState::Clean { commit: id, remote } => all.push(commit(id, remote)),
        GitState::Changed { commit: id, remote, diff, .. } => {
            all.push(commit(id, remote));
            all.push(ResourceDescriptor::named("diff", DigestSet::default().with(diff)));
        }
        GitState::Unknown { .. } => {}
    }
    all.push(ResourceDescriptor::named("source", DigestSet::default().with(&record.source)));
    for input in &record.inputs {
        all.push(ResourceDescriptor::named(&input.name, input.digest.clone()));
    }
    for file in &record.parameters.files {
        all.push(ResourceDescriptor::named(&file.path, DigestSet::default().with(&file.digest)));
    }
    for package in &record.packages {
        if let Some(digest) = &package.record {
            let uri = format!("pkg:pypi/{}@{}", package.name.to_ascii_lowercase(), package.version);
            let named = ResourceDescriptor::named(&package.name, DigestSet::default().with(digest));
            all.push(ResourceDescriptor { uri: Some(uri), ..named });
        }
    }
    if let Some((name, hex)) = record.image.as_ref().and_then(|image| image.split_once("@sha256:")) {
        let digest = DigestSet::from_iter([("sha256".to_owned(), hex.to_owned())]);
        all.push(ResourceDescriptor {
            uri: Some(format!("docker://{name}")),
            ..ResourceDescriptor::named("image", digest)
        });
    }
    all
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
