//! HDDM_W: McDiarmid's bound on exponentially weighted averages (Frias-Blanco and others 2015).

use serde::{Deserialize, Serialize};

use super::{ParameterError, Signal, check, check_probability};

/// Confidence of the two levels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HddmParameters {
    /// Chance of a false drift.
    pub drift: f64,
    /// Chance of a false warning.
    pub warning: f64,
    /// Weight of the newest item; only HDDM_W weighs.
    pub lambda: f64,
    /// Whether a falling mean is a change too.
    pub two_sided: bool,
}

impl Default for HddmParameters {
    fn default() -> Self {
        Self { drift: 0.001, warning: 0.005, lambda: 0.05, two_sided: false }
    }
}

impl HddmParameters {
    pub(super) fn check(&self) -> Result<(), ParameterError> {
        check_probability("drift", self.drift)?;
        check_probability("warning", self.warning)?;
        check("warning", self.warning, self.warning >= self.drift, "at least the chance of a false drift")?;
        check("lambda", self.lambda, self.lambda > 0.0 && self.lambda < 1.0, "above 0 and below 1")
    }
}

/// The detector, for items in `[0, 1]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HddmW {
    parameters: HddmParameters,
    total: Option<Average>,
    up: Side,
    down: Side,
    fired: bool,
}

/// A weighted mean, and the sum of its squared weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Average {
    mean: f64,
    weights: f64,
}

impl Average {
    fn push(before: Option<Self>, x: f64, lambda: f64) -> Self {
        match before {
            None => Self { mean: x, weights: 1.0 },
            Some(before) => Self {
                mean: lambda * x + (1.0 - lambda) * before.mean,
                weights: lambda * lambda + (1.0 - lambda) * (1.0 - lambda) * before.weights,
            },
        }
    }
}

/// The sample up to the best cut point and the one after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Side {
    cut: Option<f64>,
    before: Option<Average>,
    after: Option<Average>,
}

impl Side {
    /// `sign` is 1 to watch a rising mean, -1 for a falling one.
    fn push(&mut self, x: f64, total: Average, parameters: &HddmParameters, sign: f64) {
        let point = sign * total.mean + bound(total.weights, parameters.drift);
        if self.cut.is_none_or(|cut| point < cut) {
            *self = Self { cut: Some(point), before: Some(total), after: None };
        } else {
            self.after = Some(Average::push(self.after, x, parameters.lambda));
        }
    }

    fn moved(&self, confidence: f64, sign: f64) -> bool {
        match (self.before, self.after) {
            (Some(a), Some(b)) => sign * (b.mean - a.mean) > bound(a.weights + b.weights, confidence),
            _ => false,
        }
    }
}

/// McDiarmid's bound.
fn bound(weights: f64, confidence: f64) -> f64 {
    (weights * (1.0 / confidence).ln() / 2.0).sqrt()
}

impl HddmW {
    /// A detector that has seen nothing.
    ///
    /// # Errors
    /// When a parameter makes no sense.
    pub fn new(parameters: HddmParameters) -> Result<Self, ParameterError> {
        parameters.check()?;
        Ok(Self { parameters, total: None, up: Side::default(), down: Side::default(), fired: false })
    }

    /// Takes the next item.
    pub fn update(&mut self, x: f64) -> Signal {
        let p = self.parameters;
        if self.fired {
            *self = Self { parameters: p, total: None, up: Side::default(), down: Side::default(), fired: false };
        }
        let total = Average::push(self.total, x, p.lambda);
        self.total = Some(total);
        self.up.push(x, total, &p, 1.0);
        self.down.push(x, total, &p, -1.0);
        let moved = |level| self.up.moved(level, 1.0) || p.two_sided && self.down.moved(level, -1.0);
        if moved(p.drift) {
            self.fired = true;
            return Signal::Drift;
        }
        if moved(p.warning) { Signal::Warning } else { Signal::None }
    }
}
