//! From gauntlet.yaml to subjects: what is judged, by which gate, under which configuration.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use gauntlet_core::project::{ColumnRoles, ModelConfig, Risk, expand_path, is_address};
use gauntlet_core::{
    Digest, DigestSet, Gate, Limits, Project, SkipCode, SkipReason, Skipped, Stage, Subject, SubjectKind, Tree,
    TreeOptions, dir_hash,
};
use gauntlet_data::FileDigest;
use gauntlet_data::contract::Contract;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

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
                let (digest, digests) = elsewhere(&dataset.path.value, &project.limits)?;
                (Tree { root: root.to_owned(), ..Tree::default() }, digest, digests)
            } else {
                let (tree, digest) = subject_files(root, &paths, project, known, meter, Tree::digest)?;
                (tree, digest, Vec::new())
            };
            plan.count(&tree);
            let mut config = json!({
                "name": name,
                "path": dataset.path.value,
                "digests": digests,
                "antivirus": antivirus(project),
                "label": dataset.label,
                "purpose": "train",
                "manifest": dataset.manifest.as_ref().map(|m| side_file(root, &m.value)).transpose()?,
                "contract": dataset.contract.as_ref().map(|c| side_file(root, &c.value)).transpose()?,
                "schema": dataset.schema.as_ref().map(|s| side_path(root, &s.value)).transpose()?,
            });
            if let (Some(columns), Some(config)) = (&dataset.columns, config.as_object_mut()) {
                let rows = ColumnRoles { prediction: None, segment: None, ..columns.clone() };
                config.insert("poisoning".to_owned(), serde_json::to_value(rows)?);
            }
            let of_dataset = |name: &str| match project.datasets.get(name) {
                Some(other) => expand(&other.path),
                None => anyhow::bail!(
                    "the contract of `{}` refers to the dataset `{name}`, which is none",
                    dataset.path.value
                ),
            };
            if let Some(contract) = &dataset.contract
                && let Ok(parsed) = Contract::parse(&contract.value, &std::fs::read(root.join(&contract.value))?)
                && let Some(references) = references(&parsed, root, Path::new(&contract.value), &of_dataset)?
                && let Some(config) = config.as_object_mut()
            {
                config.insert("references".to_owned(), references);
            }
            if let Some(reference) = &dataset.reference {
                let reference = reference_of(&reference.value, project, root, known, meter)?;
                let columns = dataset.columns.clone().unwrap_or_default();
                config["drift"] =
                    json!({"reference": reference, "prediction": columns.prediction, "segment": columns.segment});
            }
            if let Some(train) = &dataset.held_out_from {
                config["held_out_from"] = reference_of(&train.value, project, root, known, meter)?;
            }
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

/// One dataset by its files, before the data gate. Paths are as the user gave them.
pub(crate) fn of_data(paths: &[PathBuf], mut config: Value, limits: &Limits, meter: &Meter) -> anyhow::Result<Task> {
    let name = paths.first().map(|path| gauntlet_core::display_path(path).0).unwrap_or_default();
    let (stage, gate) = gates(&[Stage::Data]).next().context("there is no data gate")?;
    if let Some(address) = address(paths)? {
        let (digest, digests) = elsewhere(&address, limits)?;
        if let Some(config) = config.as_object_mut() {
            config.extend([("path".to_owned(), json!(address)), ("digests".to_owned(), json!(digests))]);
        }
        let subject = Subject { name, kind: SubjectKind::Dataset, digest };
        return Ok(Task { stage, gate, subject, tree: Tree::default(), config, declared: true });
    }
    let tree = data_tree(paths, limits)?;
    let hashes = hash_tree(&tree, None, meter);
    let digest = tree.digest(&readable(&hashes));
    let subject = Subject { name, kind: SubjectKind::Dataset, digest };
    Ok(Task { stage, gate, subject, tree: note_unreadable(tree, &hashes), config, declared: true })
}

/// The address of a dataset that does not lie here; it is a dataset by itself.
pub(crate) fn address(paths: &[PathBuf]) -> anyhow::Result<Option<String>> {
    let text = |path: &PathBuf| path.to_str().filter(|text| is_address(text)).map(str::to_owned);
    match (paths, paths.iter().find_map(text)) {
        (_, None) => Ok(None),
        ([_], address) => Ok(address),
        (_, Some(address)) => {
            Err(UsageError::new(format!("{address} is a dataset by itself; give no other path beside it")).into())
        }
    }
}

/// The files of a dataset by paths on the command line.
pub(crate) fn data_tree(paths: &[PathBuf], limits: &Limits) -> anyhow::Result<Tree> {
    let mut whole = Tree::default();
    for path in paths {
        let tree = Tree::read(path, &TreeOptions::default(), limits)
            .map_err(|error| UsageError::new(format!("cannot read {}: {error}", path.display())))?;
        let prefix = if tree.single_file { path.parent().unwrap_or(Path::new("")) } else { path };
        let tree = rebase(tree, Path::new(""), prefix);
        whole.files.extend(tree.files);
        whole.skipped.extend(tree.skipped);
    }
    whole.files.sort_by(|a, b| a.path.as_os_str().cmp(b.path.as_os_str()));
    whole.files.dedup_by(|a, b| a.path == b.path);
    Ok(whole)
}

/// The tables that a contract refers to, with the digests of their files: inputs of the report. `dataset` finds the files
/// of a dataset by its name.
pub(crate) fn references(
    contract: &Contract,
    root: &Path,
    file: &Path,
    dataset: &dyn Fn(&str) -> anyhow::Result<Vec<PathBuf>>,
) -> anyhow::Result<Option<Value>> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut tables = Vec::new();
    for reference in contract.references() {
        let paths = match (&reference.path, &reference.dataset) {
            (Some(path), _) => vec![folder.join(path)],
            (None, Some(name)) => dataset(name)?,
            (None, None) => continue,
        };
        let files: Vec<Value> =
            paths.iter().map(|path| side_file(root, &path.to_string_lossy())).collect::<anyhow::Result<_>>()?;
        tables.push(json!({"table": reference.table(), "files": files}));
    }
    Ok((!tables.is_empty()).then_some(Value::Array(tables)))
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
fn elsewhere(address: &str, limits: &Limits) -> anyhow::Result<(DigestSet, Vec<FileDigest>)> {
    let location: gauntlet_data::Location =
        address.parse().map_err(|error| UsageError::new(format!("dataset {address}: {error}")))?;
    let options = gauntlet_data::OpenOptions { limits: limits.clone(), ..Default::default() };
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

/// What a dataset is compared with: the files of another dataset, or a stored profile.
fn reference_of(
    name: &str,
    project: &Project,
    root: &Path,
    known: Option<&KnownHashes>,
    meter: &Meter,
) -> anyhow::Result<Value> {
    let dataset = project.datasets.get(name);
    let located = match dataset {
        Some(dataset) => dataset.path.clone(),
        None => gauntlet_core::yaml::Located { value: name.to_owned(), line: 0, column: 0 },
    };
    meter.step(&format!("reading the reference {name}"));
    let paths = expand_path(root, &located).map_err(anyhow::Error::msg)?;
    let (tree, _) = subject_files(root, &paths, project, known, meter, Tree::digest)?;
    let side =
        |path: Option<&gauntlet_core::yaml::Located<String>>| path.map(|p| side_file(root, &p.value)).transpose();
    let reference = json!({
        "manifest": side(dataset.and_then(|d| d.manifest.as_ref()))?,
        "contract": side(dataset.and_then(|d| d.contract.as_ref()))?,
    });
    reference_files(name, &tree, reference, known, meter)
}

/// Names the files of a reference by digest, on top of what is known of it.
pub(crate) fn reference_files(
    name: &str,
    tree: &Tree,
    mut reference: Value,
    known: Option<&KnownHashes>,
    meter: &Meter,
) -> anyhow::Result<Value> {
    let mut files = Vec::new();
    for (file, hash) in tree.files.iter().zip(hash_tree(tree, known, meter)) {
        let path = gauntlet_core::display_path(&file.path).0;
        let sha256 = hash.map_err(|why| anyhow::anyhow!("cannot read {path} of the reference: {why}"))?;
        files.push(json!({"path": path, "sha256": sha256}));
    }
    if let Some(skipped) = tree.skipped.iter().find(|skipped| !skipped.reason.code.answered()) {
        anyhow::bail!("cannot read {} of the reference: {}", skipped.path, skipped.reason);
    }
    let lines: String = files
        .iter()
        .map(|f| format!("{}  {}\n", f["sha256"].as_str().unwrap_or(""), f["path"].as_str().unwrap_or("")))
        .collect();
    let sha256 = match files.as_slice() {
        [file] => file["sha256"].clone(),
        _ => gauntlet_core::sha256_hex(lines.as_bytes()).into(),
    };
    if let Some(object) = reference.as_object_mut() {
        object.extend([("name".into(), name.into()), ("sha256".into(), sha256), ("files".into(), files.into())]);
    }
    Ok(reference)
}

pub(crate) fn rebase(mut tree: Tree, root: &Path, prefix: &Path) -> Tree {
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

pub(crate) fn readable(hashes: &[Result<String, String>]) -> Vec<Option<String>> {
    hashes.iter().map(|h| h.as_ref().ok().cloned()).collect()
}

/// Files that could not be hashed are not handed to a gate: they are gaps in the coverage.
pub(crate) fn note_unreadable(mut tree: Tree, hashes: &[Result<String, String>]) -> Tree {
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

/// A file of the configuration by path and digest; it may be larger than memory.
pub(crate) fn side_file(root: &Path, path: &str) -> anyhow::Result<Value> {
    let reading = || format!("cannot read {path}");
    let mut file = std::fs::File::open(root.join(path)).with_context(reading)?;
    let mut hash = Sha256::new();
    std::io::copy(&mut file, &mut hash).with_context(reading)?;
    Ok(json!({"path": path, "sha256": hex::encode(hash.finalize())}))
}

/// As [`side_file`], or a folder with the digest of all its files. `feature_store.yaml` stands for the folder it lies in.
pub(crate) fn side_path(root: &Path, path: &str) -> anyhow::Result<Value> {
    let mut path = path;
    if Path::new(path).file_name().is_some_and(|name| name == "feature_store.yaml") {
        path = path.strip_suffix("feature_store.yaml").unwrap_or(path).trim_end_matches('/');
    }
    let folder = root.join(path);
    if !folder.is_dir() {
        return side_file(root, path);
    }
    let tree = Tree::read(&folder, &TreeOptions::default(), &Limits::default())?;
    let hashes: Vec<Option<String>> =
        tree.files.iter().map(|file| file.sha256(&tree.root).ok().map(hex::encode)).collect();
    let digest = tree.digest(&hashes);
    let hex = digest.iter().map(|(_, hex)| hex).next().with_context(|| format!("{path} has no digest"))?;
    Ok(json!({"path": path, "sha256": hex}))
}

/// The task for a table that the command line names: `files` are relative to `root`, as are the side files of `config`.
pub(crate) fn of_dataset(
    root: &Path,
    name: &str,
    files: &[PathBuf],
    config: Value,
    limits: &Limits,
    meter: &Meter,
) -> anyhow::Result<Task> {
    let mut whole = Tree { root: root.to_owned(), ..Tree::default() };
    for path in files {
        let prefix = path.parent().unwrap_or(Path::new("")).to_owned();
        let tree = rebase(Tree::read(&root.join(path), &TreeOptions::default(), limits)?, root, &prefix);
        whole.files.extend(tree.files);
        whole.skipped.extend(tree.skipped);
    }
    whole.files.sort_by(|a, b| a.path.as_os_str().cmp(b.path.as_os_str()));
    meter.step("hashing the data");
    let hashes = hash_tree(&whole, None, meter);
    let digest = whole.digest(&readable(&hashes));
    let subject = Subject { name: name.to_owned(), kind: SubjectKind::Dataset, digest };
    let (stage, gate) = gates(&[Stage::Data]).next().context("there is no data gate")?;
    Ok(Task { stage, gate, subject, tree: note_unreadable(whole, &hashes), config, declared: true })
}
