//! Test floors: how hard a model must at least have been tested. Two sets of floors join to the stricter of each.

use gauntlet_core::ConfigError;
use gauntlet_core::yaml::Located;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Least size and strength of tests of a model. An absent floor asks for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TestFloors {
    /// Rows or cases that a test must have judged at least.
    pub rows: Option<u64>,
    /// Size of the perturbation that a robustness test must have tried at least, in units of the model's scaled inputs.
    pub eps: Option<f64>,
    /// Random seeds that a test must have been repeated with at least. The seeds themselves follow from the subject's digest.
    pub seeds: Option<u64>,
}

impl TestFloors {
    /// The stricter of each floor.
    #[must_use]
    pub fn tightened(self, other: Self) -> Self {
        Self {
            rows: self.rows.max(other.rows),
            eps: match (self.eps, other.eps) {
                (Some(one), Some(two)) => Some(one.max(two)),
                (one, two) => one.or(two),
            },
            seeds: self.seeds.max(other.seeds),
        }
    }
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FloorsDocument {
    /// Rows or cases that a test must have judged at least.
    rows: Option<Located<u64>>,
    /// Size of the perturbation that a robustness test must have tried at least, in units of the model's scaled inputs.
    eps: Option<Located<f64>>,
    /// Random seeds that a test must have been repeated with at least.
    seeds: Option<Located<u64>>,
}

impl FloorsDocument {
    pub(super) fn check(&self, file: &str, errors: &mut Vec<ConfigError>) -> TestFloors {
        for count in [&self.rows, &self.seeds].into_iter().flatten().filter(|count| count.value == 0) {
            errors.push(count.error(file, "a floor of 0 asks for nothing: leave it out"));
        }
        if let Some(eps) = self.eps.as_ref().filter(|eps| !(eps.value.is_finite() && eps.value > 0.0)) {
            errors.push(eps.error(file, "eps is a positive number"));
        }
        let value = |count: &Option<Located<u64>>| count.as_ref().map(|count| count.value);
        TestFloors { rows: value(&self.rows), eps: self.eps.as_ref().map(|eps| eps.value), seeds: value(&self.seeds) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn floors() -> impl Strategy<Value = TestFloors> {
        (any::<Option<u64>>(), proptest::option::of(0.001..10.0), any::<Option<u64>>())
            .prop_map(|(rows, eps, seeds)| TestFloors { rows, eps, seeds })
    }

    proptest! {
        #[test]
        fn joining_never_loosens(a in floors(), b in floors()) {
            let both = a.tightened(b);
            prop_assert_eq!(both, b.tightened(a));
            for one in [a, b] {
                prop_assert!(both.rows >= one.rows && both.seeds >= one.seeds && both.eps >= one.eps);
                prop_assert_eq!(both.tightened(one), both);
            }
        }
    }
}
