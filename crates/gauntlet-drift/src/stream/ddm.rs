//! DDM: the error rate against its best (Gama and others 2004).

use serde::{Deserialize, Serialize};

use super::{Mean, ParameterError, Signal, check};

/// Warm-up and levels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DdmParameters {
    /// Items before the first answer; a lucky start needs 100 or more.
    pub warm: u64,
    /// Deviations of a warning.
    pub warning: f64,
    /// Deviations of a drift.
    pub drift: f64,
}

impl Default for DdmParameters {
    fn default() -> Self {
        Self { warm: 30, warning: 2.0, drift: 3.0 }
    }
}

/// The detector, for errors 0 or 1. It starts anew with the item after a drift.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ddm {
    parameters: DdmParameters,
    rate: Mean,
    /// Rate and deviation where their sum was smallest.
    best: Option<(f64, f64)>,
    fired: bool,
}

impl Ddm {
    /// A detector that has seen nothing.
    ///
    /// # Errors
    /// When a parameter makes no sense.
    pub fn new(parameters: DdmParameters) -> Result<Self, ParameterError> {
        let p = parameters;
        check("warning", p.warning, p.warning > 0.0 && p.warning.is_finite(), "it has to be above 0")?;
        check("drift", p.drift, p.drift >= p.warning && p.drift.is_finite(), "at least the warning level")?;
        Ok(Self { parameters, rate: Mean::default(), best: None, fired: false })
    }

    /// Takes the next item: an error when it is not 0.
    pub fn update(&mut self, x: f64) -> Signal {
        if self.fired {
            *self = Self { parameters: self.parameters, rate: Mean::default(), best: None, fired: false };
        }
        self.rate.push(if x == 0.0 { 0.0 } else { 1.0 });
        let p = self.rate.mean;
        let s = (p * (1.0 - p) / self.rate.n as f64).max(0.0).sqrt();
        if self.rate.n <= self.parameters.warm {
            return Signal::None;
        }
        let (best_p, best_s) = match self.best {
            Some((bp, bs)) if p + s > bp + bs => (bp, bs),
            _ => (p, s),
        };
        self.best = Some((best_p, best_s));
        if p + s > best_p + self.parameters.drift * best_s {
            self.fired = true;
            Signal::Drift
        } else if p + s > best_p + self.parameters.warning * best_s {
            Signal::Warning
        } else {
            Signal::None
        }
    }
}
