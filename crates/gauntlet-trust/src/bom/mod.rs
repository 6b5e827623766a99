//! Bills of materials of a model: CycloneDX and SPDX. Made from typed facts and verified evidence that the caller
//! gathered; no model is read here, and no value is invented: what is not known is not written.

pub mod cyclonedx;
mod licence;
mod model_card;
mod packages;
mod read;
pub mod spdx;

use std::collections::BTreeMap;

use gauntlet_core::card::Card;
use gauntlet_core::project::{Kind, Risk};
use gauntlet_core::{Digest, Metric, ModelDescription, Subject, Verdict};
use jiff::Timestamp;

use crate::statement::Provenance;

pub use licence::spdx_identifier;
pub use packages::{Package, RequirementError, of_provenance, of_requirements};
pub use read::{BomComponent, BomError, BomSummary, read};

/// How sure a bill of materials is of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// Somebody wrote it down; nothing was compared with it.
    Declared,
    /// Follows from what the model's own headers and configuration say.
    Derived,
    /// Computed from the bytes, or signed evidence whose signature holds.
    Verified,
}

impl Confidence {
    /// The word in documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::Derived => "derived",
            Self::Verified => "verified",
        }
    }
}

/// Where an attribute comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// How sure.
    pub confidence: Confidence,
    /// The file or envelope that says so: a path, or a digest.
    pub evidence: String,
}

impl Source {
    /// Evidence in a signed envelope, verified or only read.
    #[must_use]
    pub fn envelope(digest: &Digest, verified: bool) -> Self {
        let confidence = if verified { Confidence::Verified } else { Confidence::Declared };
        Self { confidence, evidence: digest.to_string() }
    }

    /// What a file of people says.
    #[must_use]
    pub fn declared(evidence: impl Into<String>) -> Self {
        Self { confidence: Confidence::Declared, evidence: evidence.into() }
    }

    /// What the model's own headers say.
    #[must_use]
    pub fn derived(evidence: impl Into<String>) -> Self {
        Self { confidence: Confidence::Derived, evidence: evidence.into() }
    }
}

/// Everything that is known of a model.
#[derive(Clone, Debug)]
pub struct ModelFacts {
    /// The model, by digest.
    pub subject: Subject,
    /// Its version, when somebody states one.
    pub version: Option<String>,
    /// Package URL, when somebody states one.
    pub purl: Option<String>,
    /// Its files.
    pub files: Vec<FileEntry>,
    /// What its headers say.
    pub descriptions: Vec<ModelDescription>,
    /// Its card.
    pub card: Option<CardEntry>,
    /// What it works on.
    pub kind: Option<Kind>,
    /// Its risk class.
    pub risk: Option<Risk>,
    /// Who answers for it: role to person.
    pub owners: BTreeMap<String, String>,
    /// What was measured.
    pub measured: Vec<Measured>,
    /// What it was trained on.
    pub datasets: Vec<DatasetEntry>,
    /// How it was made.
    pub provenance: Vec<ProvenanceEntry>,
    /// What the training environment held.
    pub packages: Vec<Package>,
    /// Its signatures.
    pub signatures: Vec<SignatureEntry>,
    /// What scans of it said.
    pub scans: Vec<ScanEntry>,
    /// Vulnerabilities that scanners with an advisory database named.
    pub vulnerabilities: Vec<VulnerabilityEntry>,
}

/// One file of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Path with `/` between parts.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Hex SHA-256.
    pub sha256: String,
}

/// The model's card.
#[derive(Clone, Debug)]
pub struct CardEntry {
    /// Its path.
    pub path: String,
    /// What it says.
    pub card: Card,
}

/// One figure that was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The check, or the producer of foreign evidence.
    pub check: String,
    /// The figure; a slice stands in `field`.
    pub metric: Metric,
    /// The envelope that says so.
    pub source: Source,
}

/// One dataset.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DatasetEntry {
    /// Its name.
    pub name: String,
    /// What it is for: `train`, `test`.
    pub role: String,
    /// Its digests, computed from its bytes.
    pub digest: gauntlet_core::DigestSet,
    /// The manifest that the rest comes from: path and digest.
    pub manifest: Option<String>,
    /// Version, as its owner counts.
    pub version: Option<String>,
    /// SPDX expression of its licence.
    pub licence: Option<String>,
    /// Where it comes from.
    pub origin: Option<String>,
    /// How it was collected.
    pub method: Option<String>,
    /// Why data of people may be used.
    pub consent_basis: Option<String>,
    /// What it may be used for.
    pub purposes: Vec<String>,
    /// Columns that hold personal data, and how each is treated.
    pub personal: BTreeMap<String, String>,
    /// Whether it holds special categories (GDPR article 9).
    pub special_categories: Option<bool>,
    /// Rows of all files.
    pub rows: Option<u64>,
}

/// How the model was made.
#[derive(Clone, Debug, PartialEq)]
pub struct ProvenanceEntry {
    /// The statement's predicate.
    pub provenance: Provenance,
    /// The envelope.
    pub source: Source,
}

/// A signature of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureEntry {
    /// Its file.
    pub path: String,
    /// SHA-256 of that file.
    pub digest: Digest,
    /// The key that it was verified with; absent when no key was given, and the signature is then only named.
    pub verified_by: Option<String>,
}

/// What a scan said.
#[derive(Clone, Debug, PartialEq)]
pub struct ScanEntry {
    /// Check id, or the producer of foreign evidence.
    pub check: String,
    /// Its answer.
    pub verdict: Verdict,
    /// Findings by severity, worst first.
    pub findings: Vec<(String, u64)>,
    /// The envelope, or the run that made this document.
    pub source: Source,
}

/// A vulnerability that a scanner named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VulnerabilityEntry {
    /// CVE, GHSA, PYSEC or another identifier.
    pub id: String,
    /// How bad: method and score, as the scanner wrote them.
    pub ratings: Vec<(String, String)>,
    /// URI of the scanner.
    pub scanner: String,
    /// The envelope that says so.
    pub source: Source,
}

/// Who writes a document, and when.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// Version of this program.
    pub tool_version: &'a str,
    /// The moment that the document states; no part of its serial number.
    pub time: Timestamp,
}

impl ModelFacts {
    /// Every format that a file of the model was recognised as, each once.
    #[must_use]
    pub fn formats(&self) -> Vec<&str> {
        let mut formats: Vec<&str> = self.descriptions.iter().flat_map(|d| &d.formats).map(String::as_str).collect();
        formats.sort_unstable();
        formats.dedup();
        formats
    }

    /// The first description that says what `of` asks, and its source.
    pub(crate) fn derived<T>(&self, of: impl Fn(&ModelDescription) -> Option<T>) -> Option<(T, Source)> {
        self.descriptions.iter().find_map(|d| of(d).map(|value| (value, Source::derived(&d.path))))
    }

    /// What the card says, and its source.
    pub(crate) fn declared<T>(&self, of: impl Fn(&Card) -> Option<T>) -> Option<(T, Source)> {
        let entry = self.card.as_ref()?;
        of(&entry.card).map(|value| (value, Source::declared(&entry.path)))
    }
}

/// The hub's way of naming a model as a package URL.
fn hub_purl(name: &str) -> Option<String> {
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    };
    let (owner, model) = name.split_once('/')?;
    (plain(owner) && plain(model)).then(|| format!("pkg:huggingface/{owner}/{model}"))
}

/// A UUID of version 8 (RFC 9562) from the digest of what a document says.
fn uuid_of(content: &[u8]) -> String {
    let hex = gauntlet_core::sha256_hex(content);
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    // Version 8 in the thirteenth digit, variant 10 in the seventeenth.
    format!("{}-{}-8{}-a{}-{}", part(0..8), part(8..12), part(12..15), part(15..18), part(18..30))
}

#[cfg(test)]
pub(crate) mod tests {
    use gauntlet_core::{DigestSet, Port, SubjectKind, TensorCount, TensorShape};

    use super::*;

    /// A small model with something of everything.
    pub(crate) fn sample() -> ModelFacts {
        let card = include_bytes!("../../../../testdata/artifact/card/high.md");
        let provenance = serde_json::json!({
            "buildDefinition": {
                "buildType": "https://gauntlet.example/training/v1",
                "externalParameters": {"command": ["python3", "train.py"], "seed": 7},
                "resolvedDependencies": [
                    {"uri": "pkg:pypi/numpy@2.1.0", "digest": {"sha256": "11".repeat(32)}},
                    {"name": "train", "digest": {"sha256": "22".repeat(32)}},
                ],
            },
            "runDetails": {
                "builder": {"id": "https://gauntlet.example/train/v1"},
                "metadata": {"invocationId": "run-1", "startedOn": "2026-01-01T00:00:00Z", "finishedOn": "2026-01-01T01:00:00Z"},
            },
        });
        let provenance: Provenance = serde_json::from_value(provenance).unwrap();
        let envelope = Digest::sha256(b"envelope");
        ModelFacts {
            subject: Subject {
                name: "churn/churn".to_owned(),
                kind: SubjectKind::Model,
                digest: DigestSet::sha256_of(b"model"),
            },
            version: Some("1.0".to_owned()),
            purl: None,
            files: vec![FileEntry {
                path: "churn.onnx".to_owned(),
                size: 5,
                sha256: Digest::sha256(b"model").hex().to_owned(),
            }],
            descriptions: vec![ModelDescription {
                path: "churn.onnx".to_owned(),
                formats: vec!["ONNX".to_owned()],
                producer: Some("pytorch 2.5".to_owned()),
                quantisation: Some("int8".to_owned()),
                inputs: vec![Port {
                    name: "x".to_owned(),
                    dtype: "float".to_owned(),
                    shape: Some(vec!["N".to_owned(), "15".to_owned()]),
                }],
                outputs: vec![Port { name: "logits".to_owned(), dtype: "float".to_owned(), shape: None }],
                operators: [("Gemm".to_owned(), 3)].into(),
                dtypes: [("F32".to_owned(), TensorCount { tensors: 1, elements: 480 })].into(),
                tensors: vec![TensorShape { name: "w".to_owned(), dtype: "F32".to_owned(), shape: vec![15, 32] }],
                tensor_count: 1,
                ..ModelDescription::default()
            }],
            card: Some(CardEntry { path: "MODEL_CARD.md".to_owned(), card: Card::parse(card) }),
            kind: Some(Kind::Tabular),
            risk: Some(Risk::High),
            owners: [("model".to_owned(), "model-owner@example.com".to_owned())].into(),
            measured: vec![Measured {
                check: "model/fairness".to_owned(),
                metric: Metric {
                    low: Some(0.8),
                    high: Some(0.9),
                    ..Metric::new("accuracy", 0.85, "share").field("age<30")
                },
                source: Source::envelope(&envelope, true),
            }],
            datasets: vec![DatasetEntry {
                name: "churn/train".to_owned(),
                role: "train".to_owned(),
                digest: DigestSet::sha256_of(b"data"),
                manifest: Some("data/train.manifest.yaml".to_owned()),
                licence: Some("CC0-1.0".to_owned()),
                consent_basis: Some("synthetic".to_owned()),
                personal: [("age".to_owned(), "plain".to_owned())].into(),
                special_categories: Some(false),
                rows: Some(5965),
                ..DatasetEntry::default()
            }],
            packages: of_provenance(&provenance, &Source::envelope(&envelope, true)),
            provenance: vec![ProvenanceEntry { provenance, source: Source::envelope(&envelope, true) }],
            signatures: vec![SignatureEntry {
                path: "model.sig".to_owned(),
                digest: Digest::sha256(b"signature"),
                verified_by: Some("00ff".to_owned()),
            }],
            scans: vec![ScanEntry {
                check: "artifact/onnx".to_owned(),
                verdict: Verdict::Pass,
                findings: vec![("high".to_owned(), 0)],
                source: Source::envelope(&envelope, true),
            }],
            vulnerabilities: vec![VulnerabilityEntry {
                id: "CVE-2026-0001".to_owned(),
                ratings: ["5.2", "HIGH", "likely"].map(|score| ("m".to_owned(), score.to_owned())).to_vec(),
                scanner: "pkg:pypi/pip-audit@2.9.0".to_owned(),
                source: Source::envelope(&envelope, true),
            }],
        }
    }

    #[test]
    fn equal_content_has_equal_names() {
        assert_eq!(uuid_of(b"a"), uuid_of(b"a"));
        assert_ne!(uuid_of(b"a"), uuid_of(b"b"));
        let uuid = uuid_of(b"a");
        assert_eq!((uuid.len(), uuid.as_bytes()[14], uuid.as_bytes()[19]), (36, b'8', b'a'));
        assert_eq!(hub_purl("org/base").as_deref(), Some("pkg:huggingface/org/base"));
        assert_eq!(hub_purl("../base x"), None);
    }
}
