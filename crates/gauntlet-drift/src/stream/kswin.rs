//! KSWIN without its randomness (after Raab, Heusinger and Schleif 2020): the newest items of a sliding window against all older ones.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{ParameterError, Signal, check, check_probability};
use crate::ks::{critical_bound, lattice_multiple};

/// Windows and level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct KswinParameters {
    /// Items in the window.
    pub window: usize,
    /// Newest items that are compared with the rest.
    pub recent: usize,
    /// Level of the exact two-sample test, which is repeated at every item.
    pub alpha: f64,
}

impl Default for KswinParameters {
    fn default() -> Self {
        Self { window: 300, recent: 100, alpha: 1e-4 }
    }
}

/// The detector. When it fires it keeps the newest items only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kswin {
    parameters: KswinParameters,
    items: VecDeque<f64>,
    /// Distance, in steps of `1 / lcm`, from which the exact p-value is at most `alpha`.
    bound: u64,
}

impl Kswin {
    /// A detector that has seen nothing.
    ///
    /// # Errors
    /// When a parameter makes no sense, or the window is too long for the exact law.
    pub fn new(parameters: KswinParameters) -> Result<Self, ParameterError> {
        let p = parameters;
        check_probability("alpha", p.alpha)?;
        check("window", p.window as f64, (2..=2_000).contains(&p.window), "2 to 2,000")?;
        check("recent", p.recent as f64, p.recent >= 1 && p.recent < p.window, "at least 1 and below the window")?;
        let bound = critical_bound((p.window - p.recent) as u64, p.recent as u64, p.alpha);
        Ok(Self { parameters, items: VecDeque::new(), bound })
    }

    /// Takes the next item.
    pub fn update(&mut self, x: f64) -> Signal {
        let p = self.parameters;
        self.items.push_back(x);
        while self.items.len() > p.window {
            self.items.pop_front();
        }
        if self.items.len() < p.window {
            return Signal::None;
        }
        let split = p.window - p.recent;
        let mut older: Vec<f64> = self.items.iter().take(split).copied().collect();
        let mut recent: Vec<f64> = self.items.iter().skip(split).copied().collect();
        older.sort_unstable_by(f64::total_cmp);
        recent.sort_unstable_by(f64::total_cmp);
        if lattice_multiple(&older, &recent) < self.bound {
            return Signal::None;
        }
        self.items.drain(..split);
        Signal::Drift
    }
}
