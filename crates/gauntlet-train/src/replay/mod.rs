//! Compares what a second run made with what the first one made: bytes, else tensors and numbers within bounds.

mod tensors;

use std::path::Path;

use gauntlet_core::Digest;
use serde::{Deserialize, Serialize};

pub use tensors::{Numbers, TensorError, read_numbers};

/// How far apart two numbers may be: `|a - b| <= absolute + relative * |a|`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tolerance {
    /// Absolute part.
    pub absolute: f64,
    /// Relative part.
    pub relative: f64,
}

impl Default for Tolerance {
    /// What sums in another order make of 32-bit floats.
    fn default() -> Self {
        Self { absolute: 1e-6, relative: 1e-5 }
    }
}

/// How an output compares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub enum Comparison {
    /// Byte for byte the same.
    Same,
    /// Other bytes, but all numbers are within bounds.
    Within {
        /// Numbers compared.
        compared: u64,
        /// Largest difference.
        largest: f64,
        /// The tensor or member that has it.
        of: String,
    },
    /// Numbers are out of bounds, or are not there on both sides.
    Differs {
        /// Each tensor or member, and what differs; at most 100.
        differences: Vec<(String, String)>,
    },
    /// Other bytes in a form that cannot be compared.
    NotComparable {
        /// Why.
        reason: String,
    },
}

/// Compares one output with the recorded one. `old` is where the recorded file may still lie; it counts only with the
/// recorded digest.
#[must_use]
pub fn compare(recorded: &Digest, old: &Path, new_digest: &Digest, new: &Path, tolerance: Tolerance) -> Comparison {
    if recorded == new_digest {
        return Comparison::Same;
    }
    let not = |reason: String| Comparison::NotComparable { reason };
    let old_bytes = match tensors::read_file(old) {
        Ok(bytes) => bytes,
        Err(error) => return not(format!("the recorded file is not here any more: {error}")),
    };
    if Digest::sha256(&old_bytes) != *recorded {
        return not(format!("{} is not the recorded file", old.display()));
    }
    let new_bytes = match tensors::read_file(new) {
        Ok(bytes) => bytes,
        Err(error) => return not(error.to_string()),
    };
    match (read_numbers(old, &old_bytes), read_numbers(new, &new_bytes)) {
        (Ok(old), Ok(new)) => numbers(&old, &new, tolerance),
        (Err(error), _) | (_, Err(error)) => not(error.to_string()),
    }
}

/// Compares all numbers of two files.
fn numbers(old: &Numbers, new: &Numbers, tolerance: Tolerance) -> Comparison {
    let mut differences: Vec<(String, String)> = Vec::new();
    for name in old.tensors.keys().filter(|name| !new.tensors.contains_key(*name)) {
        differences.push((name.clone(), "is not there any more".to_owned()));
    }
    let (mut compared, mut largest, mut of) = (0_u64, 0.0_f64, String::new());
    for (name, (shape, values)) in &new.tensors {
        let Some((old_shape, old_values)) = old.tensors.get(name) else {
            differences.push((name.clone(), "was not there before".to_owned()));
            continue;
        };
        if shape != old_shape || values.len() != old_values.len() {
            differences.push((name.clone(), format!("has shape {shape:?}, had {old_shape:?}")));
            continue;
        }
        let mut outside = 0_u64;
        let mut worst = 0.0_f64;
        for (a, b) in old_values.iter().zip(values) {
            compared += 1;
            // Two NaN are the same answer; one is not.
            let difference = if a.is_nan() && b.is_nan() || a == b { 0.0 } else { (a - b).abs() };
            if difference.is_nan() || difference > tolerance.absolute + tolerance.relative * a.abs() {
                outside += 1;
            }
            worst = if difference.is_nan() { f64::INFINITY } else { worst.max(difference) };
        }
        if worst > largest || of.is_empty() {
            (largest, of) = (worst.max(largest), name.clone());
        }
        if outside > 0 {
            let text = format!("{outside} of {} values are out of bounds, by {worst:e} at most", values.len());
            differences.push((name.clone(), text));
        }
    }
    if old.rest != new.rest {
        differences.push((String::new(), "what is no number differs: structure, names or text".to_owned()));
    }
    if differences.is_empty() {
        if compared == 0 {
            return Comparison::NotComparable { reason: "there are no numbers in it".to_owned() };
        }
        return Comparison::Within { compared, largest, of };
    }
    differences.sort();
    differences.truncate(100);
    Comparison::Differs { differences }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn result(old: &[u8], new: &[u8], name: &str) -> Comparison {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join(name), dir.path().join(format!("new-{name}")));
        fs::write(&a, old).unwrap();
        fs::write(&b, new).unwrap();
        compare(&Digest::sha256(old), &a, &Digest::sha256(new), &b, Tolerance::default())
    }

    #[test]
    fn metrics_compare_within_bounds() {
        let old = br#"{"accuracy": 0.875, "name": "x", "list": [1, 2]}"#;
        assert_eq!(result(old, old, "m.json"), Comparison::Same);
        let close = br#"{"accuracy": 0.8750001, "name": "x", "list": [1, 2]}"#;
        assert!(matches!(result(old, close, "m.json"), Comparison::Within { compared: 3, .. }));
        let far = br#"{"accuracy": 0.5, "name": "x", "list": [1, 2]}"#;
        let Comparison::Differs { differences } = result(old, far, "m.json") else { panic!() };
        assert_eq!(differences[0].0, "/accuracy");
        let other = br#"{"accuracy": 0.875, "name": "y", "list": [1, 2]}"#;
        assert!(matches!(result(old, other, "m.json"), Comparison::Differs { .. }));
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        assert!(matches!(result(b"\x80\x04a.", b"\x80\x04b.", "m.pkl"), Comparison::NotComparable { .. }));
        let gone = compare(
            &Digest::sha256(b"a"),
            Path::new("/nonexistent/m.json"),
            &Digest::sha256(b"b"),
            Path::new("/nonexistent/n.json"),
            Tolerance::default(),
        );
        assert!(matches!(gone, Comparison::NotComparable { .. }));
    }
}
