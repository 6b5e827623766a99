//! Space that columns share while a batch is read.

use crate::moments::Runs;

/// Buckets of the filter before the frequent values.
pub(crate) const BUCKETS: usize = 4_096;

#[derive(Debug)]
pub(crate) struct Scratch {
    /// Canonical bits of the values that are no null.
    pub(crate) keys: Vec<u64>,
    /// Their rows; empty when nothing is null.
    pub(crate) rows: Vec<u32>,
    pub(crate) first: Vec<u64>,
    pub(crate) second: Vec<u64>,
    pub(crate) floats: Vec<f64>,
    pub(crate) whole: Vec<i64>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) patterns: Vec<u64>,
    pub(crate) heavy: Vec<(u64, u32)>,
    pub(crate) buckets: Box<[u16; BUCKETS]>,
    pub(crate) runs: Runs,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            rows: Vec::new(),
            first: Vec::new(),
            second: Vec::new(),
            floats: Vec::new(),
            whole: Vec::new(),
            bytes: Vec::new(),
            patterns: Vec::new(),
            heavy: Vec::new(),
            buckets: Box::new([0; BUCKETS]),
            runs: Runs::default(),
        }
    }
}

impl Scratch {
    /// Row of the value at `i`.
    #[inline(always)]
    pub(crate) fn row(&self, i: usize) -> usize {
        self.rows.get(i).map_or(i, |&row| row as usize)
    }
}
