//! ADWIN: adaptive windowing (Bifet and Gavalda 2007), an exponential histogram of the window and a test of each of its cuts.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{ParameterError, Signal, check, check_probability};

/// How sharp the test is, and how often it runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdwinParameters {
    /// Bound on the chance of a false alarm of one test.
    pub delta: f64,
    /// Items between tests.
    pub clock: u64,
    /// Buckets of one size before the two oldest are merged.
    pub max_buckets: usize,
    /// Fewest items on either side of a cut.
    pub min_window: u64,
    /// Items before the first test.
    pub grace: u64,
    /// Whether to answer as river does: it leaves out the cut behind the newest bucket of a size, and starts with an empty window after a
    /// change. Else as MOA does: all cuts, and the shortened window stays.
    pub river: bool,
}

impl Default for AdwinParameters {
    fn default() -> Self {
        Self { delta: 0.002, clock: 32, max_buckets: 5, min_window: 5, grace: 10, river: true }
    }
}

/// The detector. Items should lie in `[0, 1]`, which its bound assumes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adwin {
    parameters: AdwinParameters,
    /// Buckets of `2^row` items, oldest first in each row.
    rows: Vec<VecDeque<Bucket>>,
    width: u64,
    total: f64,
    /// Sum of squared deviations.
    variance: f64,
    tick: u64,
    fired: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Bucket {
    total: f64,
    variance: f64,
}

impl Adwin {
    /// A detector that has seen nothing.
    ///
    /// # Errors
    /// When a parameter makes no sense.
    pub fn new(parameters: AdwinParameters) -> Result<Self, ParameterError> {
        check_probability("delta", parameters.delta)?;
        check("clock", parameters.clock as f64, parameters.clock > 0, "at least 1")?;
        check("max_buckets", parameters.max_buckets as f64, parameters.max_buckets >= 2, "at least 2")?;
        check("min_window", parameters.min_window as f64, parameters.min_window > 0, "at least 1")?;
        Ok(Self::empty(parameters))
    }

    fn empty(parameters: AdwinParameters) -> Self {
        Self { parameters, rows: vec![VecDeque::new()], width: 0, total: 0.0, variance: 0.0, tick: 0, fired: false }
    }

    /// Items in the window.
    #[must_use]
    pub fn width(&self) -> u64 {
        self.width
    }

    /// Mean of the window.
    #[must_use]
    pub fn mean(&self) -> f64 {
        if self.width == 0 { 0.0 } else { self.total / self.width as f64 }
    }

    /// Takes the next item.
    pub fn update(&mut self, x: f64) -> Signal {
        if self.fired && self.parameters.river {
            *self = Self::empty(self.parameters);
        }
        self.insert(x);
        self.tick += 1;
        let due = self.tick.is_multiple_of(self.parameters.clock) && self.width > self.parameters.grace;
        let mut signal = Signal::None;
        while due && self.finds_cut() {
            signal = Signal::Drift;
            self.drop_oldest();
        }
        self.fired = signal == Signal::Drift;
        signal
    }

    fn insert(&mut self, x: f64) {
        self.width += 1;
        if self.width > 1 {
            let before = (self.width - 1) as f64;
            let difference = x - self.total / before;
            self.variance += before * difference * difference / self.width as f64;
        }
        self.total += x;
        if let Some(row) = self.rows.first_mut() {
            row.push_back(Bucket { total: x, variance: 0.0 });
        }
        self.compress();
    }

    fn compress(&mut self) {
        let mut row = 0;
        let mut size = 1.0;
        while let Some(buckets) = self.rows.get_mut(row).filter(|r| r.len() > self.parameters.max_buckets) {
            let (Some(a), Some(b)) = (buckets.pop_front(), buckets.pop_front()) else { break };
            let difference = a.total / size - b.total / size;
            let merged = Bucket {
                total: a.total + b.total,
                variance: a.variance + b.variance + size * size * difference * difference / (2.0 * size),
            };
            row += 1;
            size *= 2.0;
            if row == self.rows.len() {
                self.rows.push(VecDeque::new());
            }
            if let Some(next) = self.rows.get_mut(row) {
                next.push_back(merged);
            }
        }
    }

    /// Whether any cut of the window, oldest first, parts two means that differ too much.
    fn finds_cut(&self) -> bool {
        let (mut n0, mut u0) = (0_u64, 0.0);
        let (mut n1, mut u1) = (self.width, self.total);
        for (row, buckets) in self.rows.iter().enumerate().rev() {
            let size = 1_u64 << row.min(62);
            let tested = if self.parameters.river { buckets.len().saturating_sub(1) } else { buckets.len() };
            for (k, bucket) in buckets.iter().enumerate() {
                n0 += size;
                n1 = n1.saturating_sub(size);
                u0 += bucket.total;
                u1 -= bucket.total;
                let wide = n0 >= self.parameters.min_window && n1 >= self.parameters.min_window;
                if k < tested && wide && self.differ(n0 as f64, n1 as f64, u0 / n0 as f64 - u1 / n1 as f64) {
                    return true;
                }
            }
        }
        false
    }

    fn differ(&self, n0: f64, n1: f64, difference: f64) -> bool {
        let width = self.width as f64;
        let min = self.parameters.min_window as f64;
        let d = (2.0 * width.ln() / self.parameters.delta).ln();
        let m = 1.0 / (n0 - min + 1.0) + 1.0 / (n1 - min + 1.0);
        let variance = self.variance / width;
        difference.abs() > (2.0 * m * variance * d).max(0.0).sqrt() + 2.0 / 3.0 * d * m
    }

    fn drop_oldest(&mut self) {
        let row = self.rows.len().saturating_sub(1);
        let Some(bucket) = self.rows.last_mut().and_then(VecDeque::pop_front) else { return };
        let size = 1_u64 << row.min(62);
        self.width = self.width.saturating_sub(size);
        self.total -= bucket.total;
        let (n, width) = (size as f64, self.width as f64);
        let difference = if self.width > 0 { bucket.total / n - self.total / width } else { 0.0 };
        self.variance -= bucket.variance + n * width * difference * difference / (n + width);
        if self.rows.len() > 1 && self.rows.last().is_some_and(VecDeque::is_empty) {
            self.rows.pop();
        }
    }
}
