//! `gauntlet init`: writes gauntlet.yaml and dataset manifests for what lies in a folder.
//!
//! What a program cannot know (licence, consent, who approves) is marked for a person to fill in, and the gate fails
//! until somebody has.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use gauntlet_core::project::FILE_NAME;
use gauntlet_core::{Limits, Tree, TreeFile, TreeOptions, display_path};

use crate::cli::InitArgs;
use crate::exit::{Exit, UsageError};
use crate::terminal;

/// Formats that the data gate reads.
const DATA: [&str; 2] = ["csv", "parquet"];
/// Extensions under which models are found; the artifact gate then goes by content.
const MODELS: [&str; 16] = [
    "bin",
    "ckpt",
    "gguf",
    "h5",
    "joblib",
    "keras",
    "mlmodel",
    "model",
    "npz",
    "onnx",
    "pb",
    "pickle",
    "pkl",
    "pt",
    "pth",
    "safetensors",
];
const IMAGES: [&str; 4] = ["jpeg", "jpg", "png", "webp"];
/// So many files of one format in one folder are parts of one dataset.
const PARTS: usize = 5;

/// A file to write and its content.
struct Draft {
    path: PathBuf,
    text: String,
}

/// What lies in the folder.
#[derive(Default)]
struct Found {
    /// Name to (path or glob, files).
    datasets: BTreeMap<String, (String, Vec<PathBuf>)>,
    /// Name to path.
    models: BTreeMap<String, String>,
    notebooks: usize,
    images: usize,
}

pub(crate) fn run(args: &InitArgs) -> anyhow::Result<Exit> {
    let root = &args.dir;
    let options = TreeOptions { respect_gitignore: true, ..TreeOptions::default() };
    let limits = Limits::default();
    let tree = Tree::read(root, &options, &limits)?;
    if tree.single_file {
        return Err(UsageError::new(format!("{} is a file; name the project's folder", root.display())).into());
    }
    let found = look(&tree);
    let mut drafts = Vec::new();
    let mut datasets = String::new();
    for (name, (path, files)) in &found.datasets {
        let side = |what: &str| side_path(path, what);
        let (manifest, contract) = (side("manifest"), side("contract"));
        let _ = write!(
            datasets,
            "  {name}:\n    path: {}\n    manifest: {}\n    contract: {}\n",
            quoted(path),
            quoted(&display_path(&manifest).0),
            quoted(&display_path(&contract).0)
        );
        let text = gauntlet_data::draft_manifest(root, files, &manifest, name, &limits)
            .with_context(|| format!("cannot draft a manifest for {path}"))?;
        drafts.push(Draft { path: manifest, text });
        let text = gauntlet_data::draft_contract(root, files, name, &limits)
            .with_context(|| format!("cannot draft a contract for {path}"))?;
        drafts.push(Draft { path: contract, text });
    }
    drafts.push(Draft { path: PathBuf::from(FILE_NAME), text: project_file(root, &found, &datasets)? });
    write(root, &drafts, args.force)?;
    terminal::print(&summary(root, &found, &drafts))?;
    Ok(Exit::Allowed)
}

fn look(tree: &Tree) -> Found {
    let mut found = Found::default();
    let mut data: BTreeMap<(PathBuf, &str), Vec<&TreeFile>> = BTreeMap::new();
    for file in &tree.files {
        let Some(extension) = file.path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase) else {
            continue;
        };
        // Other names cannot be written in YAML; the run reports them.
        let Some(path) = file.path.to_str() else { continue };
        if let Some(format) = DATA.iter().find(|d| **d == extension) {
            let folder = file.path.parent().unwrap_or(Path::new("")).to_owned();
            data.entry((folder, format)).or_default().push(file);
        } else if MODELS.contains(&extension.as_str()) {
            let name = free_name(&file.path, &found.models);
            found.models.insert(name, path.to_owned());
        } else if extension == "ipynb" {
            found.notebooks += 1;
        } else if IMAGES.contains(&extension.as_str()) {
            found.images += 1;
        }
    }
    for ((folder, format), files) in data {
        if files.len() >= PARTS {
            let glob = folder.join(format!("*.{format}"));
            let name =
                free_name(if folder.as_os_str().is_empty() { Path::new("data") } else { &folder }, &found.datasets);
            let paths = files.iter().map(|f| f.path.clone()).collect();
            found.datasets.insert(name, (display_path(&glob).0, paths));
            continue;
        }
        for file in files {
            let name = free_name(&file.path, &found.datasets);
            found.datasets.insert(name, (display_path(&file.path).0, vec![file.path.clone()]));
        }
    }
    found
}

/// The file's stem as a name that gauntlet.yaml takes, with a number when it is taken.
fn free_name<T>(path: &Path, taken: &BTreeMap<String, T>) -> String {
    let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let base = clean_name(&stem);
    let numbered = (2..).map(|n| format!("{base}-{n}"));
    std::iter::once(base.clone()).chain(numbered).find(|name| !taken.contains_key(name)).unwrap_or(base)
}

fn clean_name(text: &str) -> String {
    let clean: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).take(60).collect();
    let clean = clean.trim_matches(['.', '-']).to_owned();
    if clean.is_empty() { "unnamed".to_owned() } else { clean }
}

/// `data/train.csv` -> `data/train.manifest.yaml`; a glob's side files are named after its folder.
fn side_path(path: &str, what: &str) -> PathBuf {
    let path = Path::new(path);
    let folder = path.parent().unwrap_or(Path::new(""));
    let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    if stem.contains('*') { folder.join(format!("{what}.yaml")) } else { folder.join(format!("{stem}.{what}.yaml")) }
}

fn project_file(root: &Path, found: &Found, datasets: &str) -> anyhow::Result<String> {
    let full = root.canonicalize().with_context(|| format!("cannot read {}", root.display()))?;
    let name = clean_name(&full.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default());
    let kind = if !found.datasets.is_empty() {
        "tabular"
    } else if found.images > 0 {
        "vision"
    } else {
        "text"
    };
    let models: String = found
        .models
        .iter()
        .fold(String::new(), |text, (name, path)| text + &format!("  {name}:\n    path: {}\n", quoted(path)));
    let section =
        |key: &str, body: &str| if body.is_empty() { format!("{key}: {{}}\n") } else { format!("{key}:\n{body}") };
    Ok(format!(
        "version: 1\n\
         project: {name}\n\
         kind: {kind}                    # tabular | vision | text | audio | generative\n\
         risk: high                      # minimal | limited | high; high until somebody who may says otherwise\n\
         default_environment: staging\n\
         owners: {{}}                      # who answers; high risk needs model and security: {{model: ..., security: ...}}\n\
         source:\n  paths: [.]\n  exclude: []\n\
         {}{}\
         policy:\n  packs: [baseline, high-risk]\n\
         environments:\n  staging: {{}}\n  production: {{approvals: [security, legal]}}\n",
        section("datasets", datasets),
        section("models", &models),
    ))
}

/// A YAML scalar that any path can be written as: JSON's quoting is YAML's.
fn quoted(text: &str) -> String {
    let plain =
        text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b)) && !text.starts_with(['-', '.', '/']);
    if plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

fn write(root: &Path, drafts: &[Draft], force: bool) -> anyhow::Result<()> {
    if !force {
        let there: Vec<_> = drafts
            .iter()
            .filter(|d| root.join(&d.path).symlink_metadata().is_ok())
            .map(|d| d.path.display().to_string())
            .collect();
        if !there.is_empty() {
            let message = format!("{} already there; nothing was written (--force replaces)", there.join(", "));
            return Err(UsageError::new(message).into());
        }
    }
    for draft in drafts {
        let path = root.join(&draft.path);
        gauntlet_core::write_durably(&path, draft.text.as_bytes(), 0o644)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn summary(root: &Path, found: &Found, drafts: &[Draft]) -> String {
    let mut text = format!(
        "Found {} dataset(s), {} model(s), {} notebook(s) in {}.\nWritten:\n",
        found.datasets.len(),
        found.models.len(),
        found.notebooks,
        root.display()
    );
    for draft in drafts {
        let _ = writeln!(text, "  {}", draft.path.display());
    }
    text.push_str("\nNext:\n");
    if !found.datasets.is_empty() {
        text.push_str(
            "  1. In each manifest, replace every FILL-IN: source, licence and consent are for a person to state.\n",
        );
        text.push_str(
            "  2. Read each contract: it was drafted from the data and holds for it; tighten what you know.\n",
        );
    }
    text.push_str("  Then: gauntlet run\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_side_files_are_writable() {
        assert_eq!(clean_name("..my data (1)"), "my-data--1");
        assert_eq!(clean_name("日本"), "unnamed");
        assert_eq!(side_path("data/a.csv", "manifest"), Path::new("data/a.manifest.yaml"));
        assert_eq!(side_path("data/*.csv", "manifest"), Path::new("data/manifest.yaml"));
        assert_eq!(quoted("a: b"), "\"a: b\"");
    }
}
