//! Gate for model files at rest: what a loader would run, whether containers say one thing, whether headers are true.
//!
//! One extractor routes every file by its content; each check judges one family of formats. Nothing is ever loaded.

#![forbid(unsafe_code)]

mod checks;
mod extract;
mod facts;
mod formats;
mod rules;

use gauntlet_core::{Check, Gate};

/// The gate: its reader and its checks.
pub static GATE: Gate = Gate { extractor: &extract::Artifact, checks: CHECKS };

/// One line a check.
const CHECKS: &[&dyn Check] =
    &[&checks::pickle::Pickle, &checks::archive::Archive, &checks::safetensors::Safetensors, &checks::onnx::Onnx];

/// Reads `bytes` as a file called `name` and judges it with every check; for fuzzing and tests.
#[must_use]
pub fn exercise(name: &str, bytes: &[u8], limits: &gauntlet_core::Limits) -> gauntlet_core::Facts {
    extract::file(std::path::Path::new(name), &bytes.to_vec(), limits)
}
