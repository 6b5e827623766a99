//! [`Limits`] say how much one input may cost; a [`Budget`] counts what it has cost so far.

use std::sync::atomic::{AtomicU64, Ordering};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much one untrusted file may cost to read. Every value is a count, so results repeat on any machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of one header or document that is read whole into memory (JSON header, YAML file, protobuf node).
    pub header_bytes: u64,
    /// Bytes that decompression may yield for one file, all members and nesting levels together.
    pub expanded_bytes: u64,
    /// Decompressed bytes for each compressed byte, once 1 MiB has been produced.
    pub ratio: u64,
    /// Members of containers within one file, all nesting levels together.
    pub members: u64,
    /// Containers inside containers.
    pub depth: u64,
    /// Interpreter steps (pickle opcodes, graph nodes, syntax tokens).
    pub steps: u64,
    /// Values that an abstract interpreter keeps alive at once.
    pub nodes: u64,
    /// Bytes of one text or code file.
    pub text_bytes: u64,
    /// Entries of one folder tree.
    pub entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 64 << 20,
            expanded_bytes: 4 << 30,
            ratio: 1_100,
            members: 200_000,
            depth: 8,
            steps: 20_000_000,
            nodes: 500_000,
            text_bytes: 5 << 20,
            entries: 2_000_000,
        }
    }
}

/// Names one member of [`Limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// [`Limits::header_bytes`]
    HeaderBytes,
    /// [`Limits::expanded_bytes`]
    ExpandedBytes,
    /// [`Limits::ratio`]
    Ratio,
    /// [`Limits::members`]
    Members,
    /// [`Limits::depth`]
    Depth,
    /// [`Limits::steps`]
    Steps,
    /// [`Limits::nodes`]
    Nodes,
    /// [`Limits::text_bytes`]
    TextBytes,
    /// [`Limits::entries`]
    Entries,
}

impl Limit {
    /// The key under `limits:` in gauntlet.yaml that raises this limit.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::HeaderBytes => "header_bytes",
            Self::ExpandedBytes => "expanded_bytes",
            Self::Ratio => "ratio",
            Self::Members => "members",
            Self::Depth => "depth",
            Self::Steps => "steps",
            Self::Nodes => "nodes",
            Self::TextBytes => "text_bytes",
            Self::Entries => "entries",
        }
    }
}

impl Limits {
    /// The allowed amount for `limit`.
    #[must_use]
    pub fn allowed(&self, limit: Limit) -> u64 {
        match limit {
            Limit::HeaderBytes => self.header_bytes,
            Limit::ExpandedBytes => self.expanded_bytes,
            Limit::Ratio => self.ratio,
            Limit::Members => self.members,
            Limit::Depth => self.depth,
            Limit::Steps => self.steps,
            Limit::Nodes => self.nodes,
            Limit::TextBytes => self.text_bytes,
            Limit::Entries => self.entries,
        }
    }

    /// Refuses `wanted` when it is above `limit`.
    ///
    /// # Errors
    /// [`LimitHit`] when `wanted` exceeds what is allowed.
    pub fn check(&self, limit: Limit, wanted: u64) -> Result<(), LimitHit> {
        let allowed = self.allowed(limit);
        if wanted > allowed { Err(LimitHit { limit, allowed }) } else { Ok(()) }
    }
}

/// A limit was reached: the rest of the input was not looked at, so nothing may be concluded from its silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("limit `{}` reached ({allowed})", .limit.key())]
pub struct LimitHit {
    /// Which limit.
    pub limit: Limit,
    /// The allowed amount.
    pub allowed: u64,
}

/// Counts what one input has cost, across threads and nesting levels.
#[derive(Debug, Default)]
pub struct Budget {
    limits: Limits,
    expanded: AtomicU64,
    members: AtomicU64,
    steps: AtomicU64,
}

impl Budget {
    /// A fresh budget.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// The limits this budget spends from.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Spends `n` decompressed bytes.
    ///
    /// # Errors
    /// [`LimitHit`] when the sum exceeds [`Limits::expanded_bytes`].
    pub fn expand(&self, n: u64) -> Result<(), LimitHit> {
        spend(&self.expanded, n, Limit::ExpandedBytes, self.limits.expanded_bytes)
    }

    /// Spends `n` container members.
    ///
    /// # Errors
    /// [`LimitHit`] when the sum exceeds [`Limits::members`].
    pub fn members(&self, n: u64) -> Result<(), LimitHit> {
        spend(&self.members, n, Limit::Members, self.limits.members)
    }

    /// Spends `n` interpreter steps.
    ///
    /// # Errors
    /// [`LimitHit`] when the sum exceeds [`Limits::steps`].
    pub fn steps(&self, n: u64) -> Result<(), LimitHit> {
        spend(&self.steps, n, Limit::Steps, self.limits.steps)
    }
}

fn spend(counter: &AtomicU64, n: u64, limit: Limit, allowed: u64) -> Result<(), LimitHit> {
    let before = counter.fetch_add(n, Ordering::Relaxed);
    if before.saturating_add(n) > allowed { Err(LimitHit { limit, allowed }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budget_refuses_the_first_unit_above() {
        let budget = Budget::new(Limits { steps: 3, ..Limits::default() });
        assert!(budget.steps(3).is_ok());
        let hit = budget.steps(1).unwrap_err();
        assert_eq!(hit.to_string(), "limit `steps` reached (3)");
    }

    #[test]
    fn check_allows_the_limit_itself() {
        let limits = Limits { depth: 2, ..Limits::default() };
        assert!(limits.check(Limit::Depth, 2).is_ok());
        assert!(limits.check(Limit::Depth, 3).is_err());
    }
}
