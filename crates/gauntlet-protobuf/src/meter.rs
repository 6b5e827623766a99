//! Counts what a reader keeps in memory, against `header_bytes`: a small file can ask for many small things.

use gauntlet_limits::{Budget, Limit, LimitHit};

/// What a reader of messages has kept so far.
pub struct Meter<'a> {
    budget: &'a Budget,
    bytes: u64,
    nodes: u64,
}

impl<'a> Meter<'a> {
    /// Nothing kept yet; charged to the limits of `budget`.
    #[must_use]
    pub fn new(budget: &'a Budget) -> Self {
        Self { budget, bytes: 0, nodes: 0 }
    }

    /// Charges `n` bytes.
    ///
    /// # Errors
    /// More than `header_bytes` in all.
    pub fn bytes(&mut self, n: u64) -> Result<(), LimitHit> {
        self.bytes = self.bytes.saturating_add(n);
        self.budget.limits().check(Limit::HeaderBytes, self.bytes)
    }

    /// Charges a structure of `T`'s size that lives in a list.
    ///
    /// # Errors
    /// More than `nodes` structures, or more than `header_bytes` in all.
    pub fn item<T>(&mut self) -> Result<(), LimitHit> {
        self.nodes += 1;
        self.budget.limits().check(Limit::Nodes, self.nodes)?;
        self.bytes(size_of::<T>() as u64)
    }
}
