//! What is known about a training run: source, inputs, parameters, packages, machine, limits and outputs, each by digest.

mod git;
mod machine;
mod observed;
mod packages;
pub(crate) mod parameters;

use std::collections::BTreeMap;

use gauntlet_core::project::{Prices, TrainingLimits};
use gauntlet_core::{Digest, DigestSet};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::sandbox::{Connection, End, LimitState, MechanismState, OutputFile, Usage};

pub use git::{GitState, git_state};
pub use machine::{Machine, machine};
pub use observed::{Observed, Reading, observe};
pub use packages::{Package, packages};
pub use parameters::{ParameterFile, mlflow_parameters, parameter_file};

/// Everything that is known about one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingRecord {
    /// Version of this form: 1.
    pub schema: u32,
    /// The project's name.
    pub project: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// What the data was used for.
    pub purpose: Option<String>,
    /// What confined it: `native`, `bubblewrap`.
    pub runner: String,
    /// The image it ran in, when one was declared; this program does not run it, it records the name.
    pub image: Option<String>,
    /// The source that was copied into the run, as one digest over names and contents.
    pub source: Digest,
    /// Its files.
    pub code: Vec<NamedDigest>,
    /// The state of version control.
    pub git: GitState,
    /// Declared inputs.
    pub inputs: Vec<RecordedInput>,
    /// What was opened.
    pub observed: Observed,
    /// Hyper-parameters.
    pub parameters: Parameters,
    /// Python packages that the run could import.
    pub packages: Vec<Package>,
    /// What it ran on.
    pub machine: Machine,
    /// Name of the account that started it; no proof of anybody.
    pub user: Option<String>,
    /// When the command was started.
    pub started: Timestamp,
    /// When it had ended.
    pub finished: Timestamp,
    /// What it was allowed to use up.
    pub allowed: TrainingLimits,
    /// At which prices.
    pub prices: Prices,
    /// How each limit was held.
    pub limits: Vec<LimitState>,
    /// Which mechanisms were in force.
    pub mechanisms: Vec<MechanismState>,
    /// Hosts that were declared.
    pub hosts: Vec<String>,
    /// Hosts that were asked for.
    pub connections: Vec<Connection>,
    /// What it used up.
    pub usage: Usage,
    /// Processes that it left behind and that were killed.
    pub survivors: u64,
    /// How it ended.
    pub end: End,
    /// What came out.
    pub outputs: Vec<OutputFile>,
    /// Declared outputs that did not come back, and why.
    pub missing: BTreeMap<String, String>,
    /// The envelope that admitted it.
    pub admission: Option<Digest>,
}

/// A file by name and digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NamedDigest {
    /// Path relative to the project.
    pub path: String,
    /// SHA-256 of its bytes.
    pub digest: Digest,
}

/// A declared input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedInput {
    /// Name of the dataset, or the path.
    pub name: String,
    /// Paths inside the run.
    pub paths: Vec<String>,
    /// Its digests.
    pub digest: DigestSet,
}

/// Hyper-parameters and where they came from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Parameters {
    /// Handed over as `GAUNTLET_SEED`.
    pub seed: Option<u64>,
    /// Declared environment variables.
    pub environment: BTreeMap<String, String>,
    /// Names of variables that were handed through and whose values are not recorded.
    pub handed_through: Vec<String>,
    /// Files.
    pub files: Vec<ParameterFile>,
    /// Parameters that the run logged to its MLflow file store, by run.
    pub mlflow: BTreeMap<String, BTreeMap<String, String>>,
}
