//! gauntlet.yaml: one strict file a project.

mod load;
mod quota;
mod training;

use std::collections::BTreeMap;

use gauntlet_limits::Limits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::yaml::Located;

pub use load::{FILE_NAME, expand_path, is_address, valid_host};
pub use quota::{ByteSize, Cores, Money, QuotaError, Span};
pub use training::{MetricsConfig, Prices, Runner, TrainingConfig, TrainingLimits};

/// gauntlet.yaml.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// Version of this format: 1.
    pub version: Located<u64>,
    /// Name of the project: letters, digits, `.`, `_`, `-`. Subjects are called `project/name`.
    pub project: Located<String>,
    /// What the models work on; packs ask for what fits.
    pub kind: Kind,
    /// How much harm a wrong answer does. The organisation's trust policy may demand more.
    pub risk: Risk,
    /// The environment that `gauntlet run` enforces unless `--for` names another.
    #[serde(default)]
    pub default_environment: Option<Located<String>>,
    /// Who answers for what: role to person.
    #[serde(default)]
    pub owners: BTreeMap<String, String>,
    /// Code and configuration to look at.
    #[serde(default)]
    pub source: SourceConfig,
    /// Datasets by name.
    #[serde(default)]
    pub datasets: BTreeMap<String, DatasetConfig>,
    /// What trains the models.
    #[serde(default)]
    pub training: Option<TrainingConfig>,
    /// Models by name.
    #[serde(default)]
    pub models: BTreeMap<String, ModelConfig>,
    /// Container images by name: what trains, and what serves. Each is a subject whose signature is verified.
    #[serde(default)]
    pub images: BTreeMap<String, ImageConfig>,
    /// Which rules decide.
    #[serde(default)]
    pub policy: PolicyConfig,
    /// Where models of this project may run.
    #[serde(default)]
    pub environments: BTreeMap<String, EnvironmentConfig>,
    /// Where the log of all evidence is; absent: in the project's state folder, for this machine alone.
    #[serde(default)]
    pub ledger: LedgerConfig,
    /// What data files are looked at with besides what ships with the program.
    #[serde(default)]
    pub ingest: IngestConfig,
    /// What reading one untrusted file may cost.
    #[serde(default)]
    pub limits: Limits,
}

/// What a model works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words say it")]
pub enum Kind {
    Tabular,
    Vision,
    Text,
    Audio,
    Generative,
}

/// Risk class of a project, in the sense of the EU AI Act's tiers. Ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// Nobody is worse off when it errs.
    Minimal,
    /// People have to know that a machine answers.
    Limited,
    /// Decides about people.
    High,
}

/// The source tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SourceConfig {
    /// Files and folders to look at, relative to gauntlet.yaml.
    pub paths: Vec<Located<String>>,
    /// Globs (gitignore syntax) to leave out.
    pub exclude: Vec<String>,
}

impl Default for SourceConfig {
    fn default() -> Self {
        Self { paths: vec![Located { value: ".".into(), line: 0, column: 0 }], exclude: Vec::new() }
    }
}

/// How data files are looked at when they come in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IngestConfig {
    /// ClamAV's daemon that scans every data file: the path of its socket, or `HOST:PORT`.
    pub clamd: Option<String>,
    /// Whether data that was not scanned for viruses may not pass.
    pub required: bool,
}

/// One dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatasetConfig {
    /// A file or folder of any format that is read, a glob such as `data/year=*/*.parquet`, or an address: `s3://`, `gs://`,
    /// `az://`, `https://`, or `sql://VARIABLE/TABLE` with the connection in an environment variable.
    pub path: Located<String>,
    /// Where the data comes from, its licence, its consent.
    #[serde(default)]
    pub manifest: Option<Located<String>>,
    /// What the table has to look like.
    #[serde(default)]
    pub contract: Option<Located<String>>,
    /// What else declares the columns: a Feast repository, an MLflow `MLmodel`, a TFX `schema.pbtxt`.
    #[serde(default)]
    pub schema: Option<Located<String>>,
    /// The column to be predicted.
    #[serde(default)]
    pub label: Option<String>,
    /// What the data is compared with: the name of another dataset, or the path of a stored profile.
    #[serde(default)]
    pub reference: Option<Located<String>>,
    /// The dataset that is trained on, where this one asks how good a model is: no row, id or group may be in both.
    #[serde(default)]
    pub held_out_from: Option<Located<String>>,
    /// What other columns are, where the manifest does not say so.
    #[serde(default)]
    pub columns: Option<ColumnRoles>,
}

/// What columns are to checks that compare rows with each other, or a batch with its reference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ColumnRoles {
    /// Columns that identify a row or an entity.
    pub ids: Vec<String>,
    /// Columns that keep rows together when data is split.
    pub groups: Vec<String>,
    /// The column with the time of a row.
    pub time: Option<String>,
    /// The column that names the split of a row.
    pub split: Option<String>,
    /// Columns of free text; found by their look when none is named.
    pub text: Vec<String>,
    /// The column of embeddings, lists of one length.
    pub embedding: Option<String>,
    /// The column that says where a row comes from.
    pub source: Option<String>,
    /// Width in pixels, when the numeric columns are an image.
    pub image_width: Option<usize>,
    /// The column with a model's predictions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prediction: Option<String>,
    /// The column whose values part the rows: each is compared by itself, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment: Option<String>,
}

/// One model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// The model file or folder.
    pub path: Located<String>,
    /// The model card, Markdown with YAML front matter; judged under the project's risk class.
    #[serde(default)]
    pub card: Option<Located<String>>,
    /// Whether whatever a pickle names and no allow list knows is of high severity.
    #[serde(default)]
    pub strict: bool,
}

/// One container image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageConfig {
    /// The image by digest: `registry/name@sha256:…`.
    pub reference: Located<String>,
    /// The OCI image layout that holds it together with its signature.
    pub layout: Located<String>,
    /// PEM files of the public keys whose signature counts. A trust policy, where there is one, decides instead.
    #[serde(default)]
    pub keys: Vec<Located<String>>,
}

impl ImageConfig {
    /// The digest in the reference, `sha256:…`.
    #[must_use]
    pub fn digest(&self) -> &str {
        self.reference.value.rsplit_once('@').map_or("", |(_, digest)| digest)
    }
}

/// Which rules decide.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// Policy packs that ship with the program, such as `baseline`; always at least what the trust policy demands.
    pub packs: Vec<Located<String>>,
}

/// One place where models may run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EnvironmentConfig {
    /// Roles that have to approve.
    pub approvals: Vec<String>,
    /// Policy packs on top of the project's.
    pub packs: Vec<Located<String>>,
}

/// The log of all evidence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LedgerConfig {
    /// An object store for a team, such as `s3://bucket/prefix`. Credentials come from the environment.
    pub url: Option<Located<String>>,
    /// Name of the log, a URL without scheme such as `acme.example/ledger/churn`.
    pub origin: Option<Located<String>>,
    /// Who is asked to cosign after something was appended.
    pub witnesses: Vec<WitnessConfig>,
}

/// A witness of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WitnessConfig {
    /// Where it answers, without `/add-checkpoint`.
    pub url: Located<String>,
    /// Its key as `gauntlet ledger witness` prints it: `name+id+base64`.
    pub key: Located<String>,
}

/// The JSON Schema of gauntlet.yaml, for editors.
#[must_use]
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Project)
}
