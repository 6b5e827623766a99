//! What the fuzz targets share: limits so small that one input takes milliseconds, and the check of stored facts.

use std::fmt::Debug;

use gauntlet_limits::{Budget, Limits};
use serde_json::{from_slice, to_vec};

/// Limits that a small hostile input can reach, so that the code behind a limit is fuzzed too.
#[must_use]
pub fn limits() -> Limits {
    Limits {
        header_bytes: 1 << 20,
        expanded_bytes: 1 << 20,
        members: 1_000,
        steps: 100_000,
        nodes: 2_000,
        text_bytes: 1 << 20,
        entries: 1_000,
        ..Limits::default()
    }
}

/// A fresh budget over [`limits`].
#[must_use]
pub fn budget() -> Budget {
    Budget::new(limits())
}

/// Panics unless `facts` come back from JSON as they were: rules are run again over stored facts.
pub fn assert_stored<T>(facts: &T)
where
    T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + Debug,
{
    let bytes = to_vec(facts).expect("facts are written");
    let back: T = from_slice(&bytes).expect("facts are read");
    assert_eq!(&back, facts, "facts change when they are stored");
}
