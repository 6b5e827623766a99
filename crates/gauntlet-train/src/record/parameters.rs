//! Hyper-parameters: from YAML and JSON files, and from what a run logged to its MLflow file store.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use gauntlet_core::{ConfigError, Digest, yaml};
use serde::{Deserialize, Serialize};
use serde_json::Value;

const MAX_FILE: u64 = 4 << 20;
const MAX_VALUES: usize = 10_000;
const MAX_DEPTH: usize = 32;
const MAX_RUNS: usize = 1_000;

/// A file of hyper-parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParameterFile {
    /// Path relative to the project.
    pub path: String,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Its scalars by their dotted names, at most 10,000.
    pub values: BTreeMap<String, Value>,
}

/// Reads a file of parameters.
///
/// # Errors
/// [`ConfigError`] when it cannot be read, or is no YAML or JSON.
pub fn parameter_file(root: &Path, path: &str) -> Result<ParameterFile, ConfigError> {
    let bytes = read(&root.join(path)).map_err(|error| ConfigError::file(path, format!("cannot be read: {error}")))?;
    let document: Value = yaml::parse(path, &bytes)?;
    let mut values = BTreeMap::new();
    flatten("", &document, 0, &mut values);
    Ok(ParameterFile { path: path.to_owned(), digest: Digest::sha256(&bytes), values })
}

fn flatten(name: &str, value: &Value, depth: usize, into: &mut BTreeMap<String, Value>) {
    if into.len() >= MAX_VALUES || depth > MAX_DEPTH {
        return;
    }
    let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    match value {
        Value::Object(members) => members.iter().for_each(|(key, v)| flatten(&below(key), v, depth + 1, into)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, v)| flatten(&below(&n.to_string()), v, depth + 1, into));
        }
        scalar => {
            into.insert(name.to_owned(), scalar.clone());
        }
    }
}

/// Parameters of each run in an MLflow file store: `STORE/EXPERIMENT/RUN/params/NAME` holds the value.
#[must_use]
pub fn mlflow_parameters(store: &Path) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut runs = BTreeMap::new();
    for run in mlflow_runs(store) {
        let mut values = BTreeMap::new();
        for file in files_below(&run.join("params")) {
            let name = file.strip_prefix(run.join("params")).unwrap_or(&file).display().to_string();
            if let Ok(bytes) = read(&file) {
                values.insert(name, String::from_utf8_lossy(&bytes).trim().chars().take(6_000).collect());
            }
        }
        if let Some(id) = run.file_name() {
            runs.insert(id.to_string_lossy().into_owned(), values);
        }
    }
    runs
}

/// Folders of runs in an MLflow file store.
pub(crate) fn mlflow_runs(store: &Path) -> Vec<PathBuf> {
    let mut runs: Vec<PathBuf> = folders(store)
        .iter()
        .flat_map(|experiment| folders(experiment))
        .filter(|run| run.join("metrics").is_dir() || run.join("params").is_dir())
        .take(MAX_RUNS)
        .collect();
    runs.sort();
    runs
}

/// Regular files below a folder, two levels deep: MLflow allows `/` in names of metrics.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for inner in std::iter::once(folder.to_owned()).chain(folders(folder)) {
        for entry in fs::read_dir(&inner).into_iter().flatten().filter_map(Result::ok).take(MAX_VALUES) {
            if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    files
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()).take(MAX_RUNS).collect()
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(std::io::Error::other(format!("longer than {MAX_FILE} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_get_dotted_names() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("params.yaml"), "train:\n  lr: 0.1\n  layers: [32, 16]\nname: x\n").unwrap();
        let file = parameter_file(dir.path(), "params.yaml").unwrap();
        let names: Vec<_> = file.values.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(names, ["name=\"x\"", "train.layers.0=32", "train.layers.1=16", "train.lr=0.1"]);
        fs::write(dir.path().join("bad.yaml"), "a: 1\na: 2\n").unwrap();
        assert!(parameter_file(dir.path(), "bad.yaml").is_err());
        assert!(parameter_file(dir.path(), "absent.yaml").is_err());
    }

    #[test]
    fn runs_of_a_file_store_give_their_parameters() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("0/abc");
        fs::create_dir_all(run.join("params")).unwrap();
        fs::write(run.join("params/lr"), "0.1\n").unwrap();
        fs::create_dir_all(dir.path().join("0/notes")).unwrap();
        assert_eq!(mlflow_parameters(dir.path())["abc"]["lr"], "0.1");
    }
}
