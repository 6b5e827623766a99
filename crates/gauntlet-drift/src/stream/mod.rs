//! Stream detectors: they see one number at a time and say when its law has changed. Their state can be stored and goes on where it stopped:
//! a stream that is fed in pieces gives the same answers as in one go.

mod adwin;
mod ddm;
mod eddm;
mod hddm_a;
mod hddm_w;
mod kswin;
mod page_hinkley;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use adwin::{Adwin, AdwinParameters};
pub use ddm::{Ddm, DdmParameters};
pub use eddm::Eddm;
pub use hddm_a::HddmA;
pub use hddm_w::{HddmParameters, HddmW};
pub use kswin::{Kswin, KswinParameters};
pub use page_hinkley::{PageHinkley, PageHinkleyParameters};

/// What a detector says about the item that it just saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// Nothing.
    None,
    /// The law may be changing.
    Warning,
    /// The law has changed.
    Drift,
}

/// Parameters that make no detector.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("{name} is {value}; {expected}")]
pub struct ParameterError {
    /// The parameter.
    pub name: &'static str,
    /// What was given.
    pub value: f64,
    /// What it has to be.
    pub expected: &'static str,
}

/// Any detector, for callers that let a user choose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "detector", rename_all = "kebab-case")]
pub enum Detector {
    /// Adaptive windowing.
    Adwin(Adwin),
    /// Cumulative sums about the running mean.
    PageHinkley(PageHinkley),
    /// Kolmogorov-Smirnov over a sliding window.
    Kswin(Kswin),
    /// Error rate against its best.
    Ddm(Ddm),
    /// Distance between errors.
    Eddm(Eddm),
    /// Hoeffding's bound on averages.
    HddmA(HddmA),
    /// McDiarmid's bound on weighted averages.
    HddmW(HddmW),
}

impl Detector {
    /// Takes the next item. NaN and infinities are not fed to the detector: [`Signal::None`].
    pub fn update(&mut self, x: f64) -> Signal {
        if !x.is_finite() {
            return Signal::None;
        }
        match self {
            Self::Adwin(d) => d.update(x),
            Self::PageHinkley(d) => d.update(x),
            Self::Kswin(d) => d.update(x),
            Self::Ddm(d) => d.update(x),
            Self::Eddm(d) => d.update(x),
            Self::HddmA(d) => d.update(x),
            Self::HddmW(d) => d.update(x),
        }
    }

    /// Whether the detector is defined for errors, 0 or 1, only.
    #[must_use]
    pub fn binary(&self) -> bool {
        matches!(self, Self::Ddm(_) | Self::Eddm(_))
    }

    /// Whether the bound of the detector assumes items between 0 and 1.
    #[must_use]
    pub fn unit_interval(&self) -> bool {
        matches!(self, Self::HddmA(_) | Self::HddmW(_) | Self::Ddm(_) | Self::Eddm(_))
    }
}

fn check(name: &'static str, value: f64, valid: bool, expected: &'static str) -> Result<(), ParameterError> {
    if valid { Ok(()) } else { Err(ParameterError { name, value, expected }) }
}

/// A probability that is neither 0 nor 1.
fn check_probability(name: &'static str, value: f64) -> Result<(), ParameterError> {
    check(name, value, value > 0.0 && value < 1.0, "it has to be above 0 and below 1")
}

/// A mean that is brought up to date item by item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Mean {
    n: u64,
    mean: f64,
}

impl Mean {
    fn push(&mut self, x: f64) {
        self.n += 1;
        self.mean += (x - self.mean) / self.n as f64;
    }
}
