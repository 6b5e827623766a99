//! The configuration of one dataset as the program hands it over, and the side files that it names.

use std::io::Read;
use std::path::Path;

use gauntlet_core::{ConfigError, Limits, SkipCode, Tree, TreeOptions, open_regular, sha256_hex};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::drift::{DriftConfig, ReferenceConfig};
use crate::facts::{Lines, SideFile};
use crate::lines::lines;
use crate::others::OtherRef;
use crate::poisoning::PoisoningConfig;

/// Side files are written by people; larger ones are refused.
const MAX_BYTES: u64 = 4 << 20;

/// A dataset of gauntlet.yaml.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct DatasetConfig {
    /// What the data is to be used for.
    #[serde(default = "train")]
    pub(crate) purpose: String,
    #[serde(default)]
    pub(crate) label: Option<String>,
    #[serde(default)]
    pub(crate) manifest: Option<SideRef>,
    #[serde(default)]
    pub(crate) contract: Option<SideRef>,
    /// Definition of the columns elsewhere: Feast, MLflow, TFX.
    #[serde(default)]
    pub(crate) schema: Option<SideRef>,
    /// What columns are to rows that are compared with each other.
    #[serde(default)]
    pub(crate) poisoning: PoisoningConfig,
    /// Tables that foreign keys of the contract refer to.
    #[serde(default)]
    pub(crate) references: Vec<OtherRef>,
    /// Only what the contract asks is looked at.
    #[serde(default)]
    pub(crate) contract_only: bool,
    /// Where the data lies as gauntlet.yaml says it.
    #[serde(default)]
    pub(crate) path: Option<String>,
    /// What the subject's digest was made of, where the data lies elsewhere.
    #[serde(default)]
    pub(crate) digests: Vec<crate::table::FileDigest>,
    /// The virus scanner that is asked, if one is.
    #[serde(default)]
    pub(crate) antivirus: Option<crate::ingest::clamd::Scanner>,
    /// The dataset that is trained on, where this one is not.
    #[serde(default)]
    pub(crate) held_out_from: Option<ReferenceConfig>,
    /// How the dataset is compared with a reference.
    #[serde(default)]
    pub(crate) drift: Option<DriftConfig>,
}

fn train() -> String {
    "train".to_owned()
}

/// A side file named by digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideRef {
    /// Relative to the target's root.
    pub path: String,
    /// Hex SHA-256 that the program saw.
    pub sha256: String,
}

impl DatasetConfig {
    pub(crate) fn of(config: &Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(config)
    }

    /// How it is compared; a label that is named for the dataset is one here, too.
    pub(crate) fn drift(&self) -> DriftConfig {
        let mut drift = self.drift.clone().unwrap_or_default();
        drift.label = drift.label.or_else(|| self.label.clone());
        drift
    }
}

/// Reads a side file and takes only the bytes that the configuration names.
///
/// # Errors
/// The reason for coverage.
pub(crate) fn read(root: &Path, side: &SideRef, limits: &Limits) -> Result<Vec<u8>, (SkipCode, String)> {
    let unreadable = |error: &dyn std::fmt::Display| (SkipCode::Unreadable, error.to_string());
    let tree = Tree::read(&root.join(&side.path), &TreeOptions::default(), limits).map_err(|e| unreadable(&e))?;
    let [file] = tree.files.as_slice() else {
        return Err((SkipCode::Unreadable, "is no single file".to_owned()));
    };
    if file.size > MAX_BYTES {
        return Err((SkipCode::Limit, format!("{} bytes; at most {MAX_BYTES} are read", file.size)));
    }
    let handle = open_regular(&tree.root, file).map_err(|e| unreadable(&e))?;
    let mut bytes = Vec::new();
    handle.take(MAX_BYTES).read_to_end(&mut bytes).map_err(|e| unreadable(&e))?;
    if sha256_hex(&bytes) == side.sha256.to_ascii_lowercase() {
        Ok(bytes)
    } else {
        Err((SkipCode::Changed, "changed since the run began; run again when nothing writes to it".to_owned()))
    }
}

/// Reads and parses a side file.
pub(crate) fn side_file<T>(
    root: &Path,
    side: Option<&SideRef>,
    limits: &Limits,
    parse: impl Fn(&str, &[u8]) -> Result<T, Vec<ConfigError>>,
) -> (SideFile<T>, Option<(SkipCode, String)>) {
    let Some(side) = side else { return (SideFile::Missing, None) };
    let bytes = match read(root, side, limits) {
        Ok(bytes) => bytes,
        Err(reason) => return (SideFile::Unread, Some(reason)),
    };
    let path = side.path.clone();
    let file = match parse(&path, &bytes) {
        Ok(content) => {
            let lines: Lines = lines(&bytes);
            SideFile::Read { path, sha256: side.sha256.to_ascii_lowercase(), content: Box::new(content), lines }
        }
        Err(errors) => {
            let problems = errors.into_iter().map(|error| (error.line, error.message)).collect();
            SideFile::Invalid { path, problems }
        }
    };
    (file, None)
}
