//! The memo: dense where picklers write it, sparse where an attacker does.

use std::collections::HashMap;

use crate::value::Value;

/// How far beyond the dense part an index may lie before it goes to the sparse part.
const STRIDE: u64 = 1024;
/// Entries that are handed to the next stream.
const KNOWN: usize = 4096;

#[derive(Default)]
pub(crate) struct Memo {
    dense: Vec<Option<Value>>,
    sparse: HashMap<u64, Value>,
    count: usize,
}

/// What storing did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    New,
    /// The index is far above the number of entries.
    Sparse,
    Overwritten,
}

impl Memo {
    #[inline]
    pub(crate) fn get(&self, index: u64) -> Option<Value> {
        match usize::try_from(index).ok().and_then(|i| self.dense.get(i)) {
            Some(Some(value)) => Some(*value),
            _ if self.sparse.is_empty() => None,
            _ => self.sparse.get(&index).copied(),
        }
    }

    #[inline]
    pub(crate) fn put(&mut self, index: u64, value: Value) -> Stored {
        let len = self.dense.len() as u64;
        let before = if index == len && !self.sparse.contains_key(&index) {
            self.dense.push(Some(value));
            None
        } else if index < len.saturating_add(STRIDE) && !self.sparse.contains_key(&index) {
            let index = index as usize;
            if index >= self.dense.len() {
                self.dense.resize(index + 1, None);
            }
            self.dense[index].replace(value)
        } else {
            self.sparse.insert(index, value)
        };
        if before.is_some() {
            return Stored::Overwritten;
        }
        self.count += 1;
        if index > (self.count as u64).saturating_mul(2).saturating_add(STRIDE) { Stored::Sparse } else { Stored::New }
    }

    /// What `keep` makes of the first entries, by index.
    pub(crate) fn known<T>(&self, keep: impl Fn(Value) -> T) -> HashMap<u64, T> {
        let dense = self.dense.iter().enumerate().filter_map(|(at, value)| Some((at as u64, (*value)?)));
        let sparse = self.sparse.iter().map(|(at, value)| (*at, *value));
        dense.chain(sparse).take(KNOWN).map(|(at, value)| (at, keep(value))).collect()
    }

    /// Number of entries: the index that MEMOIZE uses.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_and_sparse_entries_are_one_memo() {
        let mut memo = Memo::default();
        assert_eq!(memo.put(0, Value::None), Stored::New);
        assert_eq!(memo.put(1 << 31, Value::Float), Stored::Sparse);
        assert_eq!(memo.put(1 << 31, Value::Int(1)), Stored::Overwritten);
        assert_eq!(memo.put(5, Value::Int(5)), Stored::New);
        assert_eq!((memo.get(0), memo.get(1 << 31)), (Some(Value::None), Some(Value::Int(1))));
        assert_eq!((memo.get(5), memo.get(4), memo.count()), (Some(Value::Int(5)), None, 3));
    }

    #[test]
    fn an_index_that_became_dense_later_still_finds_its_sparse_value() {
        let mut memo = Memo::default();
        memo.put(2000, Value::Float);
        for index in 0..3000 {
            if index != 2000 {
                memo.put(index, Value::None);
            }
        }
        assert_eq!(memo.get(2000), Some(Value::Float));
    }
}
