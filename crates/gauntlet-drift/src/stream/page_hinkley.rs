//! Page-Hinkley: cumulative sums about the running mean, forgetting slowly, in both directions.

use serde::{Deserialize, Serialize};

use super::{Mean, ParameterError, Signal, check};

/// How far a sum may go.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PageHinkleyParameters {
    /// Items before the first answer.
    pub min_instances: u64,
    /// Change of the mean that does not count, in units of the items.
    pub delta: f64,
    /// Limit of a sum, in units of the items: divide items by the reference's deviation, or this one by nothing.
    pub threshold: f64,
    /// Factor by which a sum is forgotten with each item.
    pub alpha: f64,
}

impl Default for PageHinkleyParameters {
    fn default() -> Self {
        Self { min_instances: 30, delta: 0.005, threshold: 50.0, alpha: 0.9999 }
    }
}

/// The detector. It forgets everything when it fires.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PageHinkley {
    parameters: PageHinkleyParameters,
    mean: Mean,
    up: f64,
    /// Smallest `up` since the start; `None` before the first item.
    low: Option<f64>,
    down: f64,
    high: Option<f64>,
}

impl PageHinkley {
    /// A detector that has seen nothing.
    ///
    /// # Errors
    /// When a parameter makes no sense.
    pub fn new(parameters: PageHinkleyParameters) -> Result<Self, ParameterError> {
        let p = parameters;
        check("delta", p.delta, p.delta >= 0.0 && p.delta.is_finite(), "at least 0")?;
        check("threshold", p.threshold, p.threshold > 0.0 && p.threshold.is_finite(), "it has to be above 0")?;
        check("alpha", p.alpha, p.alpha > 0.0 && p.alpha <= 1.0, "above 0 and at most 1")?;
        Ok(Self { parameters, mean: Mean::default(), up: 0.0, low: None, down: 0.0, high: None })
    }

    /// Takes the next item.
    pub fn update(&mut self, x: f64) -> Signal {
        let p = self.parameters;
        self.mean.push(x);
        let difference = x - self.mean.mean;
        self.up = p.alpha * self.up + difference - p.delta;
        self.down = p.alpha * self.down + difference + p.delta;
        let low = self.low.map_or(self.up, |low| low.min(self.up));
        let high = self.high.map_or(self.down, |high| high.max(self.down));
        (self.low, self.high) = (Some(low), Some(high));
        let far = self.up - low > p.threshold || high - self.down > p.threshold;
        if self.mean.n >= p.min_instances && far {
            *self = Self { parameters: p, mean: Mean::default(), up: 0.0, low: None, down: 0.0, high: None };
            return Signal::Drift;
        }
        Signal::None
    }
}
