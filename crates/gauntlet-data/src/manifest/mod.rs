//! The dataset manifest: where data comes from, under which licence and with whose consent, and which bytes it is.
//! Only the format; `data/manifest` judges it.

mod draft;

use std::collections::BTreeMap;

use gauntlet_core::{ConfigError, yaml};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use draft::quoted;
pub use draft::{DraftError, draft_manifest};

/// Stands where a person has to write what no program can know.
pub const FILL_IN: &str = "FILL-IN";

/// A dataset manifest, YAML or JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format: 1.
    #[schemars(with = "u64")]
    pub gauntlet_dataset: String,
    /// Name of the dataset.
    #[serde(default)]
    pub name: Option<String>,
    /// Version of the dataset, as its owner counts.
    #[serde(default)]
    pub version: Option<String>,
    /// Every data file.
    #[serde(default)]
    pub files: Vec<ManifestFile>,
    /// Where the data comes from.
    #[serde(default)]
    pub source: Source,
    /// Under which licence.
    #[serde(default)]
    pub license: License,
    /// With whose consent.
    #[serde(default)]
    pub consent: Consent,
    /// Which column says that a person's age was verified.
    #[serde(default)]
    pub age_verification: Option<AgeVerification>,
    /// Which columns hold personal data.
    #[serde(default)]
    pub personal_data: PersonalData,
    /// How confidential the columns are.
    #[serde(default)]
    pub classification: Classification,
    /// Who answers for the data.
    #[serde(default)]
    pub owners: Vec<Owner>,
    /// Who may read the data.
    #[serde(default)]
    pub access: Access,
    /// How the data is protected where it lies and on its way.
    #[serde(default)]
    pub protection: Protection,
    /// What is to be predicted.
    #[serde(default)]
    pub label: Option<Label>,
    /// Columns that identify a row.
    #[serde(default)]
    pub ids: Vec<String>,
    /// Columns that keep rows together when data is split.
    #[serde(default)]
    pub groups: Vec<String>,
    /// The column with the time of a row.
    #[serde(default)]
    pub time: Option<String>,
    /// The contract that the data was accepted under.
    #[serde(default)]
    pub contract: Option<ContractRef>,
    /// Fingerprint of the content, independent of its layout.
    #[serde(default)]
    pub fingerprint: Option<Fingerprint>,
    /// Signature of the manifest by its owner; kept, not judged here.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub signature: serde_json::Map<String, serde_json::Value>,
}

/// One data file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// Path relative to the manifest's folder.
    pub path: String,
    /// Hex SHA-256 of the bytes.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Bytes.
    #[serde(default)]
    pub size: Option<u64>,
    /// Rows.
    #[serde(default)]
    pub rows: Option<u64>,
    /// `train`, `validation`, `test`, …
    #[serde(default)]
    pub split: Option<String>,
}

/// Where data comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// A URI that leads to the origin.
    #[serde(default)]
    pub uri: Option<String>,
    /// First and last day of collection, `YYYY-MM-DD`.
    #[serde(default)]
    pub collected: Option<Vec<String>>,
    /// How it was collected.
    #[serde(default)]
    pub method: Option<String>,
    /// Datasets that it was made from.
    #[serde(default)]
    pub upstream: Vec<Upstream>,
}

/// A dataset that another was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Its name.
    pub name: String,
    /// Its digest, `sha256:<hex>`.
    #[serde(default)]
    pub digest: Option<String>,
}

/// Licence of the data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct License {
    /// SPDX expression; `LicenseRef-…` for one that SPDX does not list.
    #[serde(default)]
    pub spdx: Option<String>,
    /// Where its text is.
    #[serde(default)]
    pub url: Option<String>,
    /// The uses that it permits, where its owner lists them; a purpose that is not in the list is refused.
    #[serde(default)]
    pub purposes: Vec<String>,
}

/// Why the data of people may be used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// `consent`, `contract`, `legal`, `public` or `synthetic`.
    #[serde(default)]
    pub basis: Option<String>,
    /// URI of the record that proves the basis; not needed for `public` and `synthetic`.
    #[serde(default)]
    pub record: Option<String>,
    /// Column that holds each row's consent.
    #[serde(default)]
    pub column: Option<String>,
    /// Values of that column that count as consent.
    #[serde(default)]
    pub allowed: Vec<String>,
    /// What the data may be used for.
    #[serde(default)]
    pub purposes: Vec<String>,
    /// Last day on which it may be used, `YYYY-MM-DD`; `never` where the basis is not `consent`.
    #[serde(default)]
    pub expires: Option<String>,
    /// Column with the last day of each row's consent. A row without a day fails.
    #[serde(default)]
    pub expires_column: Option<String>,
}

/// Proof, row by row, that a person is old enough. One of `allowed` and `minimum` is needed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgeVerification {
    /// The column. A row without a value fails.
    pub column: String,
    /// Values of that column that count as verified.
    #[serde(default)]
    pub allowed: Vec<String>,
    /// Smallest age, where the column holds ages in years.
    #[serde(default)]
    pub minimum: Option<u32>,
}

/// How confidential something is. Ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Anybody may read it.
    Public,
    /// For the organisation.
    Internal,
    /// About people.
    Personal,
    /// Special categories of personal data (GDPR article 9), and what harms like them.
    Sensitive,
    /// Credentials: whoever reads it can act as somebody else.
    Secret,
}

impl Class {
    /// All classes, from public to secret; the place in the list is what policies compare.
    pub const ALL: [Self; 5] = [Self::Public, Self::Internal, Self::Personal, Self::Sensitive, Self::Secret];

    /// The word as it is written in a manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Personal => "personal",
            Self::Sensitive => "sensitive",
            Self::Secret => "secret",
        }
    }

    /// Place among [`Class::ALL`], from 0.
    #[must_use]
    pub fn rank(self) -> u8 {
        self as u8
    }

    /// The class that `word` names.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str().eq_ignore_ascii_case(word.trim()))
    }
}

/// How confidential the columns are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Classification {
    /// Of every column that is not listed.
    #[serde(default)]
    pub default: Option<Class>,
    /// Column to class.
    #[serde(default)]
    pub columns: BTreeMap<String, Class>,
}

/// Somebody who answers for the data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// Person or team.
    pub name: String,
    /// For what: `data`, `legal`, `security`, …
    #[serde(default)]
    pub role: Option<String>,
    /// How to reach them.
    #[serde(default)]
    pub contact: Option<String>,
}

/// Who may read the data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// Roles that may read it.
    #[serde(default)]
    pub roles: Vec<String>,
    /// How one obtains access, in words or as a URI.
    #[serde(default)]
    pub conditions: Option<String>,
}

/// How the data is protected where it lies and on its way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Protection {
    /// How it came here and goes on: `https`, `sftp`, `tls`, `local` or `none`.
    #[serde(default)]
    pub transport: Option<String>,
    /// How it is encrypted where it lies: `age`, `disk`, `bucket` or `none`.
    #[serde(default)]
    pub encryption: Option<String>,
    /// Public keys (`age1…`) that parts with personal data are encrypted to when they are written.
    #[serde(default)]
    pub recipients: Vec<String>,
}

/// Personal data that the owner knows of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonalData {
    /// Column to treatment: `plain`, `hashed`, `masked`, `encrypted`, `tokenised`.
    #[serde(default)]
    pub columns: BTreeMap<String, String>,
    /// Whether it holds special categories (GDPR article 9).
    #[serde(default)]
    pub special_categories: Option<bool>,
}

/// What is to be predicted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// The column.
    #[serde(default)]
    pub column: Option<String>,
    /// Its classes.
    #[serde(default)]
    pub classes: Vec<String>,
}

/// A contract named by digest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContractRef {
    /// Path relative to the manifest's folder.
    #[serde(default)]
    pub path: Option<String>,
    /// Hex SHA-256.
    #[serde(default)]
    pub sha256: Option<String>,
}

/// Fingerprint of the content.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    /// Sum of row hashes.
    #[serde(default)]
    pub content_hash: Option<String>,
    /// SHA-256 of the sketch.
    #[serde(default)]
    pub sketch_sha256: Option<String>,
}

impl Manifest {
    /// The class that the manifest gives `column`; `None` when it says nothing.
    ///
    /// A column declared as personal data is at least personal.
    #[must_use]
    pub fn class_of(&self, column: &str) -> Option<Class> {
        let listed = self.classification.columns.get(column).copied();
        let personal = self.personal_data.columns.contains_key(column).then_some(Class::Personal);
        match (listed, personal) {
            (Some(listed), Some(personal)) => Some(listed.max(personal)),
            (Some(class), None) | (None, Some(class)) => Some(class),
            (None, None) => self.classification.default,
        }
    }

    /// Reads a manifest; `file` names it in errors.
    ///
    /// # Errors
    /// [`ConfigError`] with line and column: unknown key, wrong type, other version.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, ConfigError> {
        let manifest: Self = yaml::parse(file, bytes)?;
        if manifest.gauntlet_dataset == "1" {
            Ok(manifest)
        } else {
            let seen: String = manifest.gauntlet_dataset.chars().take(16).collect();
            Err(ConfigError::file(file, format!("`gauntlet_dataset` is `{seen}`; this program reads version 1")))
        }
    }
}

/// The JSON Schema of a dataset manifest.
#[must_use]
pub fn manifest_schema() -> schemars::Schema {
    schemars::schema_for!(Manifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_may_be_text_or_number() {
        for text in
            ["gauntlet_dataset: \"1\"\n", "gauntlet_dataset: 1\nversion: 1.0\n", "{\"gauntlet_dataset\": \"1\"}"]
        {
            Manifest::parse("m.yaml", text.as_bytes()).unwrap();
        }
        assert!(Manifest::parse("m.yaml", b"gauntlet_dataset: 2\n").is_err());
    }

    #[test]
    fn a_typing_slip_names_the_nearest_key() {
        let error = Manifest::parse("m.yaml", b"gauntlet_dataset: 1\nlicence:\n  spdx: MIT\n").unwrap_err();
        assert_eq!(error.to_string(), "m.yaml:2:1: unknown key `licence`, did you mean `license`?");
    }

    #[test]
    fn deep_documents_are_refused() {
        assert!(Manifest::parse("m", "[".repeat(100_000).as_bytes()).is_err());
        assert!(Manifest::parse("m", "signature: ".repeat(5).as_bytes()).is_err());
    }
}
