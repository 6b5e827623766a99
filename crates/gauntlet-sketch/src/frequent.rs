//! Misra-Gries frequent items: what is kept was counted at least `count` and at most `count + error` times. Which values
//! survive depends on the order of the data, so nothing of this is part of a signed fingerprint.

use std::collections::BTreeMap;

use crate::codec::{DecodeError, Reader, Writer};
use crate::value::Value;

/// Values kept when a part is closed; twice as many while it is filled.
const CAPACITY: usize = 128;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Frequent {
    /// Hash of the value to its count.
    items: BTreeMap<u64, (u64, Value)>,
    error: u64,
}

impl Frequent {
    #[inline]
    pub(crate) fn add(&mut self, hash: u64, count: u64, value: impl FnOnce() -> Value) {
        if let Some((held, _)) = self.items.get_mut(&hash) {
            *held += count;
            return;
        }
        self.items.insert(hash, (count, value()));
        if self.items.len() > 2 * CAPACITY {
            self.shrink();
        }
    }

    /// Some values were each left out up to this many times.
    pub(crate) fn miss(&mut self, count: u64) {
        self.error += count;
    }

    /// Keeps [`CAPACITY`] values: all counts fall by that of the first that goes.
    pub(crate) fn shrink(&mut self) {
        if self.items.len() <= CAPACITY {
            return;
        }
        let mut counts: Vec<u64> = self.items.values().map(|(count, _)| *count).collect();
        let (_, &mut cut, _) = counts.select_nth_unstable_by(CAPACITY, |a, b| b.cmp(a));
        self.items.retain(|_, (count, _)| {
            *count = count.saturating_sub(cut);
            *count > 0
        });
        self.error += cut;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (&hash, (count, value)) in &other.items {
            self.items.entry(hash).or_insert_with(|| (0, value.clone())).0 += count;
        }
        self.error += other.error;
        self.shrink();
    }

    /// Values by falling count (then by hash): hash, value, lower and upper count.
    pub(crate) fn top(&self, n: usize) -> Vec<(u64, Value, u64, u64)> {
        let mut out: Vec<_> = self
            .items
            .iter()
            .map(|(&hash, (count, value))| (hash, value.clone(), *count, count + self.error))
            .collect();
        out.sort_by(|a, b| b.2.cmp(&a.2).then(a.0.cmp(&b.0)));
        out.truncate(n);
        out
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.error == 0
    }

    pub(crate) fn size(&self) -> usize {
        self.items.len() * 128
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.count(self.error);
        out.count(self.items.len() as u64);
        for (&hash, (count, value)) in &self.items {
            out.u64(hash);
            out.count(*count);
            value.write(out);
        }
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut out = Self { error: input.count()?, items: BTreeMap::new() };
        for _ in 0..input.length("frequent values", 2 * CAPACITY)? {
            let hash = input.u64()?;
            let count = input.count()?;
            if out.items.last_key_value().is_some_and(|(&last, _)| last >= hash) || count == 0 {
                return Err(DecodeError::Malformed("frequent values are out of order"));
            }
            out.items.insert(hash, (count, Value::read(input)?));
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_and_heavy_values_survive() {
        let mut state = 7u64;
        let mut truth = BTreeMap::new();
        let mut parts = vec![Frequent::default(), Frequent::default(), Frequent::default()];
        for i in 0..60_000u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Every tenth row is one of three values.
            let value = if i % 10 == 0 { i % 3 } else { 1_000 + (state >> 40) };
            *truth.entry(value).or_insert(0u64) += 1;
            parts[(i % 3) as usize].add(value, 1, || Value::Int(value.into()));
        }
        let mut all = parts.remove(0);
        parts.iter().for_each(|part| all.merge(part));
        let top = all.top(64);
        for (hash, _, low, high) in &top {
            assert!((*low..=*high).contains(&truth[hash]), "{hash}");
        }
        for heavy in 0..3 {
            assert!(top.iter().any(|t| t.0 == heavy));
        }
        assert!(all.error <= 60_000 / CAPACITY as u64);
    }
}
