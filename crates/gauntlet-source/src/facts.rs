//! What the extractor saw. Values of secrets appear masked only, and text arguments that could be one not at all.

use gauntlet_core::{Fact, Masked};
use gauntlet_patterns::{Confidence, Proof};
use gauntlet_python::Invocation;
use serde::{Deserialize, Serialize};

/// A call in Python or in a notebook that rules may ask about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallFact {
    /// Who is called with what. Text arguments that could hold a secret are unknown.
    pub invocation: Invocation,
    /// Lines that the call covers, at least 1.
    pub lines: u32,
}

impl Fact for CallFact {
    const KIND: &'static str = "python-call";
}

/// Something that looks like a secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecretFact {
    /// Kind of `gauntlet-patterns`, the rule's name.
    pub kind: String,
    /// What it is in words.
    pub title: String,
    /// How sure the pattern is.
    pub confidence: Confidence,
    /// Why so sure.
    pub proof: Proof,
    /// First characters and keyed hash.
    pub value: Masked,
    /// Lines that the value covers, at least 1.
    pub lines: u32,
}

impl Fact for SecretFact {
    const KIND: &'static str = "secret";
}

/// A comment that asks for silence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuppressionFact {
    /// Whose dialect it is.
    pub dialect: Dialect,
    /// The rules it names; empty for all that the dialect covers.
    pub rules: Vec<String>,
    /// What the comment says behind the marker.
    pub reason: String,
    /// It stands alone on its line, so it speaks of the next one.
    pub next_line: bool,
}

impl Fact for SuppressionFact {
    const KIND: &'static str = "suppression";
}

/// Dialects of suppression comments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// `gauntlet: ignore[rule] reason`
    Gauntlet,
    /// bandit's `nosec`
    Nosec,
    /// ruff's and flake8's `noqa: S301`
    Noqa,
    /// `gitleaks:allow`
    Gitleaks,
    /// detect-secrets' `pragma: allowlist secret`
    DetectSecrets,
}
