//! HDDM_A: Hoeffding's bound on averages (Frias-Blanco and others 2015).

use serde::{Deserialize, Serialize};

use super::{HddmParameters, Mean, ParameterError, Signal};

/// The detector, for items in `[0, 1]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HddmA {
    parameters: HddmParameters,
    total: Mean,
    /// Mean where its upper bound was lowest.
    low: Mean,
    /// Mean where its lower bound was highest.
    high: Mean,
    fired: bool,
}

impl HddmA {
    /// A detector that has seen nothing.
    ///
    /// # Errors
    /// When a parameter makes no sense.
    pub fn new(parameters: HddmParameters) -> Result<Self, ParameterError> {
        parameters.check()?;
        Ok(Self::empty(parameters))
    }

    fn empty(parameters: HddmParameters) -> Self {
        let none = Mean::default();
        Self { parameters, total: none, low: none, high: none, fired: false }
    }

    /// Takes the next item.
    pub fn update(&mut self, x: f64) -> Signal {
        if self.fired {
            *self = Self::empty(self.parameters);
        }
        self.total.push(x);
        let bound = |mean: Mean| ((1.0 / self.parameters.drift).ln() / (2.0 * mean.n as f64)).sqrt();
        let (total, now) = (self.total, bound(self.total));
        if self.low.n == 0 || self.low.mean + bound(self.low) >= total.mean + now {
            self.low = total;
        }
        if self.high.n == 0 || self.high.mean - bound(self.high) <= total.mean - now {
            self.high = total;
        }
        let moved = |level: f64| {
            rose(self.low, total, level, 1.0) || self.parameters.two_sided && rose(self.high, total, level, -1.0)
        };
        if moved(self.parameters.drift) {
            self.fired = true;
            return Signal::Drift;
        }
        if moved(self.parameters.warning) { Signal::Warning } else { Signal::None }
    }
}

/// Whether the mean since the cut is above that before it by more than chance, or below for `sign` -1.
fn rose(cut: Mean, total: Mean, level: f64, sign: f64) -> bool {
    if cut.n == total.n {
        return false;
    }
    let (before, all) = (cut.n as f64, total.n as f64);
    let m = (all - before) / before * (1.0 / all);
    sign * (total.mean - cut.mean) >= (m / 2.0 * (2.0 / level).ln()).sqrt()
}
