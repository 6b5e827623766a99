//! EDDM: the distance between errors against its best (Baena-Garcia and others 2006). It fires often on stationary streams.

use serde::{Deserialize, Serialize};

use super::Signal;

/// Items before the best distance is kept; more errors than this before the first answer.
const WARM: u64 = 30;
/// Share of the best distance of a warning.
const WARNING: f64 = 0.95;
/// Share of the best distance of a drift.
const DRIFT: f64 = 0.9;

/// The detector, for errors 0 or 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Eddm {
    items: u64,
    errors: u64,
    last_error: u64,
    mean: f64,
    /// Sum of squared deviations.
    squares: f64,
    best: Option<f64>,
    warned: bool,
    fired: bool,
}

impl Eddm {
    /// A detector that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next item: an error when it is not 0.
    pub fn update(&mut self, x: f64) -> Signal {
        if self.fired {
            *self = Self::default();
        }
        self.items += 1;
        if x == 0.0 {
            // The distance between errors says nothing new: a warning stays.
            return if self.warned { Signal::Warning } else { Signal::None };
        }
        self.errors += 1;
        let distance = (self.items - self.last_error) as f64;
        self.last_error = self.items;
        let before = self.mean;
        self.mean += (distance - before) / self.errors as f64;
        self.squares += (distance - before) * (distance - self.mean);
        let spread = if self.errors > 1 { self.squares / (self.errors - 1) as f64 } else { 0.0 };
        let far = self.mean + 2.0 * spread.max(0.0).sqrt();
        if self.items < WARM {
            return Signal::None;
        }
        let standing = if self.warned { Signal::Warning } else { Signal::None };
        let Some(best) = self.best.filter(|best| far <= *best) else {
            self.best = Some(far);
            return standing;
        };
        if self.errors <= WARM {
            return standing;
        }
        let share = far / best;
        if share < DRIFT {
            self.fired = true;
            return Signal::Drift;
        }
        self.warned = share < WARNING;
        if self.warned { Signal::Warning } else { Signal::None }
    }
}
