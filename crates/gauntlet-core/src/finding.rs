//! What a rule saw, where, and what to do about it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rule::RuleInfo;
use crate::severity::{Confidence, Severity};

/// Where in a subject something is. Absent parts are `null` in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Location {
    /// Path with `/` between parts; lossy when the name is no UTF-8, see `path_bytes`.
    pub path: Option<String>,
    /// The path's raw bytes in hex, only when `path` is lossy.
    pub path_bytes: Option<String>,
    /// Path inside the file when it is a container; nested containers are joined with `!`.
    pub member: Option<String>,
    /// Line, from 1.
    pub line: Option<u64>,
    /// Column in characters, from 1.
    pub column: Option<u64>,
    /// Byte offset inside the file or member, from 0.
    pub offset: Option<u64>,
    /// Notebook cell, from 0, every cell counted.
    pub cell: Option<u64>,
    /// Line inside the cell, from 1.
    pub cell_line: Option<u64>,
    /// Column of a table, key of a document, tensor of a model.
    pub field: Option<String>,
    /// Row of a table, from 0.
    pub row: Option<u64>,
    /// Test case of a suite.
    pub case: Option<String>,
}

impl Location {
    /// A whole file. `path` is relative to the target's root.
    #[must_use]
    pub fn file(path: &std::path::Path) -> Self {
        let (path, path_bytes) = crate::path::display_path(path);
        Self { path: Some(path), path_bytes, ..Self::default() }
    }

    /// Inside a container member.
    #[must_use]
    pub fn in_member(mut self, member: impl Into<String>) -> Self {
        self.member = Some(member.into());
        self
    }

    /// At a byte offset.
    #[must_use]
    pub fn at_offset(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    /// At a line and column, both from 1.
    #[must_use]
    pub fn at_line(mut self, line: u64, column: Option<u64>) -> Self {
        self.line = Some(line);
        self.column = column;
        self
    }

    /// In a column of a table, key of a document or tensor of a model.
    #[must_use]
    pub fn in_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// In a row of a table, from 0.
    #[must_use]
    pub fn at_row(mut self, row: u64) -> Self {
        self.row = Some(row);
        self
    }
}

/// One thing that a rule saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// `area/check/rule-name`.
    pub rule: String,
    /// How bad if true.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// What was seen.
    pub message: String,
    /// What to do.
    pub fix: String,
    /// CWE, OWASP with edition, MITRE ATLAS, CVE ids.
    pub references: Vec<String>,
    /// SHA-256(rule, path, normalised snippet, ordinal): the same finding keeps it when lines move.
    pub fingerprint: String,
    /// Why it does not count, when it was suppressed.
    pub suppressed: Option<String>,
    /// Where.
    pub location: Location,
}

/// A finding before its fingerprint is known: identical ones in one file are told apart only once all are there,
/// see [`crate::seal`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub(crate) rule: &'static str,
    pub(crate) severity: Severity,
    pub(crate) confidence: Confidence,
    pub(crate) message: String,
    pub(crate) fix: String,
    pub(crate) references: Vec<String>,
    pub(crate) suppressed: Option<String>,
    pub(crate) location: Location,
    pub(crate) snippet: String,
}

impl Draft {
    /// A finding of `rule` with the rule's own severity, fix and references, and high confidence.
    #[must_use]
    pub fn new(rule: &'static RuleInfo, location: Location, message: impl Into<String>) -> Self {
        Self {
            rule: rule.id,
            severity: rule.severity,
            confidence: Confidence::High,
            message: message.into(),
            fix: rule.fix.to_owned(),
            references: rule.references.iter().map(|r| (*r).to_owned()).collect(),
            suppressed: None,
            location,
            snippet: String::new(),
        }
    }

    /// Overrides the severity.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Sets the confidence.
    #[must_use]
    pub fn confidence(mut self, confidence: Confidence) -> Self {
        self.confidence = confidence;
        self
    }

    /// Overrides what to do.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = fix.into();
        self
    }

    /// Adds a reference such as a CVE id.
    #[must_use]
    pub fn reference(mut self, reference: impl Into<String>) -> Self {
        self.references.push(reference.into());
        self
    }

    /// What identifies the finding besides rule and path: the line of code, the global's name. White space is
    /// normalised. Never a secret's value.
    #[must_use]
    pub fn snippet(mut self, snippet: impl Into<String>) -> Self {
        self.snippet = snippet.into();
        self
    }

    /// Marks it as suppressed, with the reason.
    #[must_use]
    pub fn suppressed(mut self, why: impl Into<String>) -> Self {
        self.suppressed = Some(why.into());
        self
    }
}
