//! Counts what a model keeps in memory, against `header_bytes`: a small file can ask for many small things.

use gauntlet_limits::{Budget, Limit, LimitHit};

pub(crate) struct Meter<'a> {
    budget: &'a Budget,
    bytes: u64,
    nodes: u64,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(budget: &'a Budget) -> Self {
        Self { budget, bytes: 0, nodes: 0 }
    }

    /// Charges `n` bytes.
    pub(crate) fn bytes(&mut self, n: u64) -> Result<(), LimitHit> {
        self.bytes = self.bytes.saturating_add(n);
        self.budget.limits().check(Limit::HeaderBytes, self.bytes)
    }

    /// Charges a structure of `T`'s size that lives in a list.
    pub(crate) fn item<T>(&mut self) -> Result<(), LimitHit> {
        self.nodes += 1;
        self.budget.limits().check(Limit::Nodes, self.nodes)?;
        self.bytes(size_of::<T>() as u64)
    }
}
