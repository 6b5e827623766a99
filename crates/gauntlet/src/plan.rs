//! From gauntlet.yaml to subjects: what is judged, by which gate, under which configuration.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use gauntlet_core::project::{ModelConfig, Risk, expand_path, is_address};
use gauntlet_core::{
    Digest, DigestSet, Gate, Limits, Project, SkipCode, SkipReason, Skipped, Stage, Subject, SubjectKind, Tree,
    TreeOptions, dir_hash, sha256_hex,
};
use gauntlet_data::FileDigest;
use serde_json::{Value, json};

use crate::exit::UsageError;
use crate::gates::GATES;
use crate::hashing::{KnownHashes, hash_tree};
use crate::images;
use crate::progress::Meter;

/// One subject before one gate.
pub(crate) struct Task {
    /// The gate's stage.
    pub(crate) stage: Stage,
    /// Who judges.
    pub(crate) gate: &'static Gate,
    /// What is judged.
    pub(crate) subject: Subject,
    /// Its files, relative to [`Tree::root`].
    pub(crate) tree: Tree,
    /// The gate's configuration for it.
    pub(crate) config: Value,
    /// Whether the gate was asked for in so many words: a model or dataset that no check can read is then an open question.
    pub(crate) declared: bool,
}

/// Everything that a project's run judges.
#[derive(Default)]
pub(crate) struct Plan {
    /// In stage order.
    pub(crate) tasks: Vec<Task>,
    /// Container images that the project declares; they are verified, not read by a gate.
    pub(crate) images: Vec<Subject>,
    /// Files of all subjects, each counted once.
    pub(crate) files: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
}

/// Builds the plan of a project in `root`, hashing its files. Its model cards are judged under `risk`.
pub(crate) fn of_project(
    project: &Project,
    risk: Risk,
    root: &Path,
    stages: &[Stage],
    known: Option<&KnownHashes>,
    meter: &Meter,
) -> anyhow::Result<Plan> {
    let wanted = |stage: Stage| stages.is_empty() || stages.contains(&stage);
    let mut plan = Plan { images: images::subjects(project), ..Plan::default() };
    let mut declared: Vec<PathBuf> = Vec::new();
    let expand = |path| expand_path(root, path).map_err(anyhow::Error::msg);

    let mut datasets = Vec::new();
    for (name, dataset) in &project.datasets {
        let paths = if is_address(&dataset.path.value) { Vec::new() } else { expand(&dataset.path)? };
        declared.extend(paths.iter().cloned());
        datasets.push((name, dataset, paths));
    }
    let mut models = Vec::new();
    for (name, model) in &project.models {
        let paths = expand(&model.path)?;
        declared.extend(paths.iter().cloned());
        models.push((name, model, paths));
    }
    let project_name = &project.project.value;

    if wanted(Stage::Source) || wanted(Stage::Artifact) {
        meter.step("reading the source tree");
        let tree = source_tree(project, root, declared)?;
        let hashes = hash_tree(&tree, known, meter);
        plan.count(&tree);
        let digest = tree.digest(&readable(&hashes));
        let tree = note_unreadable(tree, &hashes);
        let subject = Subject { name: format!("{project_name}/source"), kind: SubjectKind::Source, digest };
        for (stage, gate) in gates(&[Stage::Source, Stage::Artifact]).filter(|(stage, _)| wanted(*stage)) {
            let (subject, tree) = (subject.clone(), tree.clone());
            // Models that lie about undeclared in the repository are judged too; most projects have none.
            plan.tasks.push(Task { stage, gate, subject, tree, config: json!({}), declared: stage == Stage::Source });
        }
    }
    if wanted(Stage::Data) {
        for (name, dataset, paths) in datasets {
            meter.step(&format!("reading dataset {name}"));
            let (tree, digest, digests) = if is_address(&dataset.path.value) {
                let (digest, digests) = elsewhere(&dataset.path.value, project)?;
                (Tree { root: root.to_owned(), ..Tree::default() }, digest, digests)
            } else {
                let (tree, digest) = subject_files(root, &paths, project, known, meter, Tree::digest)?;
                (tree, digest, Vec::new())
            };
            plan.count(&tree);
            let config = json!({
                "name": name,
                "path": dataset.path.value,
                "digests": digests,
                "antivirus": antivirus(project),
                "label": dataset.label,
                "purpose": "train",
                "manifest": dataset.manifest.as_ref().map(|m| side_file(root, &m.value)).transpose()?,
                "contract": dataset.contract.as_ref().map(|c| side_file(root, &c.value)).transpose()?,
            });
            let subject = Subject { name: format!("{project_name}/{name}"), kind: SubjectKind::Dataset, digest };
            for (stage, gate) in gates(&[Stage::Data]) {
                let (subject, tree, config) = (subject.clone(), tree.clone(), config.clone());
                plan.tasks.push(Task { stage, gate, subject, tree, config, declared: true });
            }
        }
    }
    if wanted(Stage::Artifact) {
        for (name, model, paths) in models {
            meter.step(&format!("reading model {name}"));
            let (tree, digest) = subject_files(root, &paths, project, known, meter, Tree::model_digest)?;
            plan.count(&tree);
            let subject = Subject { name: format!("{project_name}/{name}"), kind: SubjectKind::Model, digest };
            for (stage, gate) in gates(&[Stage::Artifact]) {
                let (subject, tree) = (subject.clone(), tree.clone());
                plan.tasks.push(Task {
                    stage,
                    gate,
                    subject,
                    tree,
                    config: model_config(model, root, risk)?,
                    declared: true,
                });
            }
        }
    }
    plan.tasks.sort_by_key(|task| task.stage);
    Ok(plan)
}

/// The tasks for one path given on the command line.
pub(crate) fn of_path(
    path: &Path,
    options: &TreeOptions,
    limits: &Limits,
    artifact: &ArtifactOptions,
    meter: &Meter,
) -> anyhow::Result<Plan> {
    let mut plan = Plan::default();
    let mut tree = Tree::read(path, options, limits)?;
    plan.count(&tree);
    let digest = if artifact.structure_only {
        let detail = "structure only: no digest was made and no weights were read, so this is no evidence";
        let reason = SkipReason::new(SkipCode::Excluded, detail);
        tree.skipped.push(Skipped { path: String::new(), member: None, reason });
        DigestSet::default()
    } else {
        let hashes = hash_tree(&tree, None, meter);
        let digest = tree.digest(&readable(&hashes));
        tree = note_unreadable(tree, &hashes);
        digest
    };
    let (name, _) = gauntlet_core::display_path(path);
    let name = if name.is_empty() { ".".to_owned() } else { name };
    let subject = Subject { name, kind: SubjectKind::Files, digest };
    for (stage, gate) in gates(&[Stage::Source, Stage::Artifact]) {
        let (subject, tree) = (subject.clone(), tree.clone());
        let config = if stage == Stage::Artifact { artifact.config() } else { json!({}) };
        plan.tasks.push(Task { stage, gate, subject, tree, config, declared: false });
    }
    Ok(plan)
}

/// The artifact gate's configuration for a declared model; its card is judged under `risk`.
fn model_config(model: &ModelConfig, root: &Path, risk: Risk) -> anyhow::Result<Value> {
    let mut config = ArtifactOptions { strict: model.strict, ..ArtifactOptions::default() }.config();
    if let (Some(card), Some(config)) = (&model.card, config.as_object_mut()) {
        config.insert("card".to_owned(), side_file(root, &card.value)?);
        config.insert("risk".to_owned(), serde_json::to_value(risk)?);
    }
    Ok(config)
}

/// How closely the artifact gate looks.
#[derive(Clone, Debug, Default)]
pub(crate) struct ArtifactOptions {
    /// What no table knows is high.
    pub(crate) strict: bool,
    /// `none`, `sample` or `whole`; the gate's default when absent.
    pub(crate) weights: Option<&'static str>,
    /// Headers and small members only: nothing is hashed.
    pub(crate) structure_only: bool,
}

impl ArtifactOptions {
    /// The gate's configuration. What is the default is left out, so that it does not change cache keys.
    fn config(&self) -> Value {
        let mut config = serde_json::Map::new();
        if self.strict {
            config.insert("strict".to_owned(), true.into());
        }
        let weights = if self.structure_only { Some("none") } else { self.weights };
        if let Some(weights) = weights {
            config.insert("weights".to_owned(), weights.into());
        }
        Value::Object(config)
    }
}

impl Plan {
    fn count(&mut self, tree: &Tree) {
        self.files += tree.files.len() as u64;
        self.bytes += tree.bytes();
    }
}

fn gates(stages: &'static [Stage]) -> impl Iterator<Item = (Stage, &'static Gate)> {
    GATES.iter().filter(|(stage, _)| stages.contains(stage)).map(|(stage, gate)| (*stage, *gate))
}

/// The project's folder without what is a subject of its own, cut down to `source.paths`.
fn source_tree(project: &Project, root: &Path, declared: Vec<PathBuf>) -> anyhow::Result<Tree> {
    let options = TreeOptions { respect_gitignore: true, exclude: project.source.exclude.clone(), without: declared };
    let mut tree = Tree::read(root, &options, &project.limits)?;
    let mut paths = Vec::new();
    for path in &project.source.paths {
        paths.extend(expand_path(root, path).map_err(anyhow::Error::msg)?);
    }
    if !paths.iter().any(|p| p.as_os_str().is_empty()) {
        tree.files.retain(|file| paths.iter().any(|p| file.path.starts_with(p)));
        tree.links.retain(|link| paths.iter().any(|p| link.path.starts_with(p)));
        tree.skipped.retain(|skipped| paths.iter().any(|p| Path::new(&skipped.path).starts_with(p)));
    }
    Ok(tree)
}

/// The digests of a dataset that does not lie in the project: of its one file, else of all as of a folder's.
fn elsewhere(address: &str, project: &Project) -> anyhow::Result<(DigestSet, Vec<FileDigest>)> {
    let location: gauntlet_data::Location =
        address.parse().map_err(|error| UsageError::new(format!("dataset {address}: {error}")))?;
    let options = gauntlet_data::OpenOptions { limits: project.limits.clone(), ..Default::default() };
    let files = gauntlet_data::digests(&location, &options)?;
    let digest = match files.as_slice() {
        [file] => DigestSet::default().with(&format!("sha256:{}", file.sha256).parse::<Digest>()?),
        files => DigestSet::default().with(&dir_hash(files.iter().map(|f| (f.path.as_bytes(), f.sha256.as_str())))),
    };
    Ok((digest, files))
}

/// The virus scanner as the data gate wants it. New signatures are a new question, so its version is asked here.
fn antivirus(project: &Project) -> Value {
    match &project.ingest.clamd {
        Some(clamd) => {
            let version = gauntlet_data::scanner_version(clamd);
            json!({"clamd": clamd, "required": project.ingest.required, "version": version})
        }
        None if project.ingest.required => json!({"clamd": "", "required": true, "version": null}),
        None => Value::Null,
    }
}

/// Files of a dataset or model, with paths relative to the project, and the digests it has wherever it lies.
fn subject_files(
    root: &Path,
    paths: &[PathBuf],
    project: &Project,
    known: Option<&KnownHashes>,
    meter: &Meter,
    digest: impl Fn(&Tree, &[Option<String>]) -> DigestSet,
) -> anyhow::Result<(Tree, DigestSet)> {
    let options = TreeOptions::default();
    if let [path] = paths {
        let tree = Tree::read(&root.join(path), &options, &project.limits)?;
        let hashes = hash_tree(&tree, known, meter);
        let digest = digest(&tree, &readable(&hashes));
        let prefix = if tree.single_file { path.parent().unwrap_or(Path::new("")) } else { path };
        return Ok((rebase(note_unreadable(tree, &hashes), root, prefix), digest));
    }
    // Several files of one glob lie in one folder; the dataset is named like a folder that holds just them.
    let mut whole = Tree { root: root.to_owned(), ..Tree::default() };
    for path in paths {
        let prefix = path.parent().unwrap_or(Path::new("")).to_owned();
        let tree = rebase(Tree::read(&root.join(path), &options, &project.limits)?, root, &prefix);
        whole.files.extend(tree.files);
        whole.skipped.extend(tree.skipped);
    }
    whole.files.sort_by(|a, b| a.path.as_os_str().cmp(b.path.as_os_str()));
    let hashes = hash_tree(&whole, known, meter);
    let folder = paths.first().and_then(|p| p.parent()).unwrap_or(Path::new(""));
    let mut named = whole.clone();
    for file in &mut named.files {
        file.path = file.path.strip_prefix(folder).unwrap_or(&file.path).to_owned();
    }
    let digest = digest(&named, &readable(&hashes));
    Ok((note_unreadable(whole, &hashes), digest))
}

fn rebase(mut tree: Tree, root: &Path, prefix: &Path) -> Tree {
    root.clone_into(&mut tree.root);
    for file in &mut tree.files {
        file.path = prefix.join(&file.path);
    }
    for link in &mut tree.links {
        link.path = prefix.join(&link.path);
    }
    for skipped in &mut tree.skipped {
        skipped.path = gauntlet_core::display_path(&prefix.join(&skipped.path)).0;
    }
    tree
}

fn readable(hashes: &[Result<String, String>]) -> Vec<Option<String>> {
    hashes.iter().map(|h| h.as_ref().ok().cloned()).collect()
}

/// Files that could not be hashed are not handed to a gate: they are gaps in the coverage.
fn note_unreadable(mut tree: Tree, hashes: &[Result<String, String>]) -> Tree {
    let mut unreadable = BTreeSet::new();
    for (file, hash) in tree.files.iter().zip(hashes) {
        if let Err(why) = hash {
            let (path, _) = gauntlet_core::display_path(&file.path);
            tree.skipped.push(Skipped { path, member: None, reason: SkipReason::new(SkipCode::Unreadable, why) });
            unreadable.insert(file.path.clone());
        }
    }
    tree.files.retain(|file| !unreadable.contains(&file.path));
    tree
}

fn side_file(root: &Path, path: &str) -> anyhow::Result<Value> {
    let bytes = std::fs::read(root.join(path)).with_context(|| format!("cannot read {path}"))?;
    Ok(json!({"path": path, "sha256": sha256_hex(&bytes)}))
}
