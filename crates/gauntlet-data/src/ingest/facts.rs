//! Facts of ingest hygiene and protection.

use gauntlet_core::Fact;
use serde::{Deserialize, Serialize};

use super::formula::Danger;
use crate::facts::RowSample;

/// What a file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContentKind {
    /// Content and name disagree.
    TypeMismatch,
    /// A program or script.
    Executable,
    /// A document with macros.
    Macro,
    /// Two kinds of file in one.
    Polyglot,
    /// Expands beyond the limits.
    Bomb,
}

/// Content that does not belong into a dataset.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ContentFact {
    /// Which kind.
    pub kind: ContentKind,
    /// What was seen.
    pub what: String,
}

impl Fact for ContentFact {
    const KIND: &'static str = "data-content";
}

/// Cells of one column that a spreadsheet would run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FormulaFact {
    /// The column.
    pub column: String,
    /// Whether they reach out of the sheet.
    pub reaches: bool,
    /// How many cells.
    pub cells: u64,
    /// The first of them, masked.
    pub first: Vec<RowSample>,
}

impl FormulaFact {
    pub(crate) fn new(column: &str, danger: Danger, cells: u64, first: Vec<RowSample>) -> Self {
        Self { column: column.to_owned(), reaches: danger == Danger::Reaches, cells, first }
    }
}

impl Fact for FormulaFact {
    const KIND: &'static str = "data-formula";
}

/// What the virus scanner said of a file, or of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScannerFact {
    /// It answered: its version and the date of its signatures.
    Ready {
        /// As it says.
        version: String,
        /// Files that it judged.
        files: u64,
    },
    /// It knows the file.
    Infected {
        /// Name of the signature.
        signature: String,
    },
    /// It could not be asked.
    Unreachable {
        /// Why.
        what: String,
        /// Whether a scan is required.
        required: bool,
    },
}

impl Fact for ScannerFact {
    const KIND: &'static str = "data-scanner";
}

/// How a file is protected where it lies and on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectionFact {
    /// Stored encrypted, as far as can be told from the file.
    pub encrypted: bool,
    /// Any user of the machine can read it.
    pub world_readable: bool,
    /// It comes over a connection that is not encrypted.
    pub in_the_clear: bool,
}

impl Fact for ProtectionFact {
    const KIND: &'static str = "data-protection";
}
