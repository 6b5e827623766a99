//! Reading and validating gauntlet.yaml: every mistake in one go, each with its place.

use std::path::{Component, Path, PathBuf};

use super::{Project, TrainingConfig};
use crate::config_error::ConfigError;
use crate::glob;
use crate::nearest::nearest;
use crate::yaml::{self, Located};

/// The file's name.
pub const FILE_NAME: &str = "gauntlet.yaml";

impl Project {
    /// Reads `file`. Paths in it are relative to `root`, the project's folder, and must stay there.
    ///
    /// # Errors
    /// All mistakes that could be told apart, each with file, line and column.
    pub fn load(file: &Path, root: &Path) -> Result<Self, Vec<ConfigError>> {
        let shown = file.display().to_string();
        let bytes = std::fs::read(file).map_err(|error| {
            vec![ConfigError::file(&shown, format!("cannot be read: {error}; `gauntlet init` writes one"))]
        })?;
        let project = Self::parse(&shown, &bytes)?;
        let errors = project.check_paths(&shown, root);
        if errors.is_empty() { Ok(project) } else { Err(errors) }
    }

    /// Reads and validates all that does not need the disk.
    ///
    /// # Errors
    /// As [`Project::load`].
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, Vec<ConfigError>> {
        let project: Self = yaml::parse(file, bytes).map_err(|error| vec![error])?;
        let mut errors = Vec::new();
        if project.version.value != 1 {
            let message = format!("version {} is not known; this program reads version 1", project.version.value);
            errors.push(project.version.error(file, message));
        }
        if !valid_name(&project.project.value) {
            let message = "a project's name is made of letters, digits, `.`, `_` and `-`, at most 100";
            errors.push(project.project.error(file, message));
        }
        for (what, names) in [
            ("dataset", project.datasets.keys().collect::<Vec<_>>()),
            ("model", project.models.keys().collect()),
            ("image", project.images.keys().collect()),
        ] {
            for name in names.into_iter().filter(|name| !valid_name(name)) {
                let message =
                    format!("{what} `{name}`: a name is made of letters, digits, `.`, `_` and `-`, at most 100");
                errors.push(ConfigError::file(file, message));
            }
        }
        for (name, dataset) in &project.datasets {
            if let Some(reference) = dataset.reference.as_ref().filter(|reference| reference.value == *name) {
                errors.push(reference.error(file, format!("dataset `{name}` cannot be its own reference")));
            }
            if let Some(train) = &dataset.held_out_from {
                if train.value == *name {
                    errors.push(train.error(file, format!("dataset `{name}` cannot be held out from itself")));
                } else if !project.datasets.contains_key(&train.value) {
                    let hint = nearest(&train.value, project.datasets.keys().map(String::as_str));
                    let hint = hint.map(|name| format!(", did you mean `{name}`?")).unwrap_or_default();
                    errors.push(train.error(file, format!("`{}` is no dataset{hint}", train.value)));
                }
            }
        }
        if let Some(url) = &project.ledger.url
            && !url.value.starts_with("s3://")
        {
            errors.push(
                url.error(file, "a ledger's url begins with `s3://`; without one the ledger lies in the project"),
            );
        }
        for witness in &project.ledger.witnesses {
            if !["http://", "https://"].iter().any(|scheme| witness.url.value.starts_with(scheme)) {
                errors.push(witness.url.error(file, "a witness's url begins with `https://` or `http://`"));
            }
        }
        if let Some(environment) = &project.default_environment {
            let known: Vec<&str> = project.environments.keys().map(String::as_str).collect();
            if !known.contains(&environment.value.as_str()) {
                let hint = match nearest(&environment.value, known.iter().copied()) {
                    Some(name) => format!(", did you mean `{name}`?"),
                    None => format!("; environments are: {}", known.join(", ")),
                };
                errors.push(
                    environment
                        .error(file, format!("environment `{}` is not under `environments`{hint}", environment.value)),
                );
            }
        }
        errors.extend(project.images.values().filter_map(|image| unpinned(file, &image.reference)));
        if let Some(training) = &project.training {
            check_training(file, training, &mut errors);
        }
        if errors.is_empty() { Ok(project) } else { Err(errors) }
    }

    fn check_paths(&self, file: &str, root: &Path) -> Vec<ConfigError> {
        let datasets = self.datasets.values().flat_map(|d| {
            // Only data may lie elsewhere: what describes and judges it is part of the project.
            let path = Some(&d.path).filter(|path| !is_address(&path.value));
            [path, d.manifest.as_ref(), d.contract.as_ref(), d.schema.as_ref()]
        });
        // What is no dataset's name is the path of a stored profile.
        let references =
            self.datasets.values().map(|d| d.reference.as_ref().filter(|r| !self.datasets.contains_key(&r.value)));
        let models = self.models.values().flat_map(|m| [Some(&m.path), m.card.as_ref()]);
        let images = self.images.values().flat_map(|i| std::iter::once(&i.layout).chain(&i.keys).map(Some));
        let sources = self.source.paths.iter().map(Some);
        let training = self.training.iter().flat_map(|t| {
            // What is no dataset's name is a path; outputs need not be there yet.
            t.inputs.iter().filter(|i| !self.datasets.contains_key(&i.value)).chain(&t.parameters).map(Some)
        });
        datasets
            .chain(references)
            .chain(models)
            .chain(images)
            .chain(sources)
            .chain(training)
            .flatten()
            .filter_map(|path| expand_path(root, path).map_err(|message| path.error(file, message)).err())
            .collect()
    }
}

/// Whether what stands for a path is the address of something that lies elsewhere: `s3://…`, `sql://…`.
#[must_use]
pub fn is_address(path: &str) -> bool {
    path.split_once("://").is_some_and(|(scheme, _)| scheme.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// What can be said about `training` without the disk.
fn check_training(file: &str, training: &TrainingConfig, errors: &mut Vec<ConfigError>) {
    if training.command.first().is_none_or(String::is_empty) {
        errors.push(ConfigError::file(file, "training: `command` is missing: program and arguments as a list"));
    }
    let inside = |path: &Located<String>| {
        let given = Path::new(&path.value);
        !path.value.is_empty() && given.is_relative() && !given.components().any(|c| matches!(c, Component::ParentDir))
    };
    for path in training.outputs.iter().chain(&training.metrics.mlflow).filter(|path| !inside(path)) {
        errors.push(path.error(file, format!("path `{}` must stay inside the project's folder", path.value)));
    }
    for host in &training.network {
        if !valid_host(&host.value) {
            errors.push(host.error(file, format!("`{}` is no host: write NAME or NAME:PORT", host.value)));
        }
    }
    for name in training.environment.keys() {
        if !valid_variable(name) {
            errors.push(ConfigError::file(file, format!("training: `{name}` is no name of an environment variable")));
        }
    }
    errors.extend(training.image.iter().filter_map(|image| unpinned(file, image)));
    if let Some(cost) = &training.limits.cost {
        let prices = [&training.prices.core_hour, &training.prices.gpu_hour];
        if prices.iter().all(|price| price.is_none()) {
            errors.push(ConfigError::file(file, "training: a limit of `cost` needs `prices` to compute it from"));
        }
        for price in prices.into_iter().flatten().filter(|price| price.currency != cost.currency) {
            errors.push(ConfigError::file(file, format!("training: price {price} and cost {cost} differ in currency")));
        }
    }
}

/// The complaint about an image that is not named by digest.
fn unpinned(file: &str, image: &Located<String>) -> Option<ConfigError> {
    let pinned = image.value.rsplit_once("@sha256:").is_some_and(|(name, hex)| {
        !name.is_empty() && hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    });
    let message = || format!("image `{}` is not pinned: write name@sha256:<64 hex digits>", image.value);
    (!pinned).then(|| image.error(file, message()))
}

/// A DNS name (labels of letters, digits and hyphens), with a port or without.
#[must_use]
pub fn valid_host(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, "443"));
    port.parse::<u16>().is_ok_and(|port| port > 0)
        && (1..=253).contains(&name.len())
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

fn valid_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The paths that a configured path (file, folder, or a glob) stands for, relative to `root`; at least one.
///
/// # Errors
/// What is wrong with it: absolute, leaving the project, or nothing there.
pub fn expand_path(root: &Path, path: &Located<String>) -> Result<Vec<PathBuf>, String> {
    let given = Path::new(&path.value);
    if is_address(&path.value) {
        return Err(format!("`{}` lies elsewhere; here a path in the project's folder is needed", path.value));
    }
    if path.value.is_empty() || given.is_absolute() || given.components().any(|c| matches!(c, Component::ParentDir)) {
        return Err(format!("path `{}` must stay inside the project's folder", path.value));
    }
    let found = if glob::is_pattern(&path.value) {
        glob::expand(root, given)?
    } else {
        vec![given.components().filter(|c| !matches!(c, Component::CurDir)).collect()]
    };
    let inside = root.canonicalize().map_err(|e| format!("cannot read {}: {e}", root.display()))?;
    for path in &found {
        let full = root.join(path);
        let real = full.canonicalize().map_err(|_| missing(root, path))?;
        if !real.starts_with(&inside) {
            return Err(format!("path `{}` leads out of the project's folder through a link", path.display()));
        }
    }
    Ok(found)
}

fn missing(root: &Path, path: &Path) -> String {
    let folder = root.join(path.parent().unwrap_or(Path::new("")));
    let siblings: Vec<String> = std::fs::read_dir(folder)
        .map(|entries| {
            entries.filter_map(Result::ok).filter_map(|e| e.file_name().into_string().ok()).take(1_000).collect()
        })
        .unwrap_or_default();
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
    let hint = nearest(name, siblings.iter().map(String::as_str))
        .map(|n| format!(", did you mean `{n}`?"))
        .unwrap_or_default();
    format!("`{}` is not there{hint}", path.display())
}

fn valid_name(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "version: 1\nproject: churn\nkind: tabular\nrisk: high\n";

    fn errors(text: &str) -> Vec<String> {
        Project::parse("gauntlet.yaml", text.as_bytes()).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn smallest_project_parses() {
        let project = Project::parse("gauntlet.yaml", GOOD.as_bytes()).unwrap();
        assert_eq!(project.source.paths[0].value, ".");
        let back: Project = yaml::parse("x", &serde_json::to_vec(&project).unwrap()).unwrap();
        assert_eq!(back.project.value, "churn");
    }

    #[test]
    fn a_ledger_for_a_team_is_named_by_url() {
        let good = format!(
            "{GOOD}ledger:\n  url: s3://bucket/prefix\n  origin: acme.example/l\n  witnesses:\n    - {{url: 'https://w.example', key: w+1+a}}\n"
        );
        let project = Project::parse("gauntlet.yaml", good.as_bytes()).unwrap();
        assert_eq!(project.ledger.witnesses[0].key.value, "w+1+a");
        assert_eq!(
            errors(&good.replace("s3://", "ftp://").replace("https://", "")),
            [
                "gauntlet.yaml:6:8: a ledger's url begins with `s3://`; without one the ledger lies in the project",
                "gauntlet.yaml:9:13: a witness's url begins with `https://` or `http://`"
            ]
        );
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        assert_eq!(
            errors(&format!("{GOOD}modles: {{}}\n")),
            ["gauntlet.yaml:5:1: unknown key `modles`, did you mean `models`?"]
        );
        assert_eq!(
            errors(
                "version: 2\nproject: a/b\nkind: text\nrisk: high\ndefault_environment: prod\nenvironments: {production: {}}\n"
            ),
            [
                "gauntlet.yaml:1:10: version 2 is not known; this program reads version 1",
                "gauntlet.yaml:2:10: a project's name is made of letters, digits, `.`, `_` and `-`, at most 100",
                "gauntlet.yaml:5:22: environment `prod` is not under `environments`; environments are: production",
            ]
        );
        assert!(errors("version: 1\n")[0].contains("key `project` is missing"));
    }

    #[test]
    fn a_reference_is_another_dataset_or_a_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.csv"), "").unwrap();
        let text = format!(
            "{GOOD}datasets:\n  a: {{path: a.csv, reference: b}}\n  b: {{path: a.csv, reference: a.csv}}\n  c: {{path: a.csv, reference: trian}}\n"
        );
        let file = dir.path().join(FILE_NAME);
        std::fs::write(&file, &text).unwrap();
        let errors = Project::load(&file, dir.path()).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].to_string().contains("`trian` is not there"), "{errors:?}");
        let own = format!("{GOOD}datasets: {{a: {{path: a.csv, reference: a}}}}\n");
        let errors = Project::parse("gauntlet.yaml", own.as_bytes()).unwrap_err();
        assert!(errors[0].message.contains("cannot be its own reference"));
        let text = format!(
            "{GOOD}datasets:\n  train: {{path: a.csv, held_out_from: train}}\n  test: {{path: a.csv, held_out_from: trian}}\n"
        );
        let errors = Project::parse("gauntlet.yaml", text.as_bytes()).unwrap_err();
        let errors: String = errors.iter().map(ToString::to_string).collect();
        assert!(
            errors.contains("cannot be held out from itself") && errors.contains("did you mean `train`?"),
            "{errors}"
        );
    }

    #[test]
    fn training_is_checked() {
        let text = "training:\n  command: [python3, train.py]\n  outputs: [m.onnx]\n  limits: {wall: 2h, memory: 8GiB, cpus: 4, gpus: 0, disk: 20GiB, cost: 40 EUR}\n  prices: {core_hour: 0.05 EUR}\n";
        let project = Project::parse("gauntlet.yaml", format!("{GOOD}{text}").as_bytes()).unwrap();
        let training = project.training.clone().unwrap();
        assert_eq!(training.limits.memory.unwrap().0, 8 << 30);
        let back: Project = yaml::parse("x", &serde_json::to_vec(&project).unwrap()).unwrap();
        assert_eq!(back.training.unwrap().limits, training.limits);
        assert_eq!(
            errors(&format!(
                "{GOOD}training:\n  outputs: [../m]\n  network: ['https://x']\n  image: python:3\n  limits: {{cost: 1 EUR}}\n"
            )),
            [
                "gauntlet.yaml: training: `command` is missing: program and arguments as a list",
                "gauntlet.yaml:6:13: path `../m` must stay inside the project's folder",
                "gauntlet.yaml:7:13: `https://x` is no host: write NAME or NAME:PORT",
                "gauntlet.yaml:8:10: image `python:3` is not pinned: write name@sha256:<64 hex digits>",
                "gauntlet.yaml: training: a limit of `cost` needs `prices` to compute it from",
            ]
        );
        let lots = errors(&format!("{GOOD}training: {{command: [x], limits: {{memory: lots}}}}\n"));
        assert!(lots[0].starts_with("gauntlet.yaml:5:") && lots[0].contains("8GiB"), "{lots:?}");
        assert!(
            errors(&format!("{GOOD}training: {{command: [x], limits: {{ram: 1}}}}\n"))[0].contains("unknown key `ram`")
        );
    }

    #[test]
    fn paths_have_to_exist_inside() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("data")).unwrap();
        std::fs::write(dir.path().join("data/train.csv"), "").unwrap();
        std::os::unix::fs::symlink("/etc", dir.path().join("out")).unwrap();
        let text = format!(
            "{GOOD}datasets:\n  a: {{path: data/trian.csv}}\n  b: {{path: ../x}}\n  c: {{path: 'data/*.csv'}}\nmodels:\n  m: {{path: out/hostname}}\n"
        );
        let file = dir.path().join(FILE_NAME);
        std::fs::write(&file, text).unwrap();
        let errors = Project::load(&file, dir.path()).unwrap_err();
        let short: Vec<_> = errors.iter().map(|e| (e.line.unwrap(), e.column.unwrap(), e.message.as_str())).collect();
        assert_eq!(
            short,
            [
                (6, 13, "`data/trian.csv` is not there, did you mean `train.csv`?"),
                (7, 13, "path `../x` must stay inside the project's folder"),
                (10, 13, "path `out/hostname` leads out of the project's folder through a link"),
            ]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Project::parse("x", &bytes);
        }
    }
}
