//! Gate for model files at rest: what a loader would run, whether containers say one thing, whether headers are true.
//!
//! One extractor routes every file by its content; each check judges one family of formats. Nothing is ever loaded.

#![forbid(unsafe_code)]

mod checks;
pub mod convert;
mod describe;
mod extract;
mod facts;
mod formats;
mod readers;
mod relations;
mod rules;

use std::path::Path;

use gauntlet_core::{Check, Facts, Gate, Limits, MaskKey};
use gauntlet_limits::ReadAt;

/// The gate: its reader and its checks.
pub static GATE: Gate = Gate { extractor: &extract::Artifact, checks: CHECKS };

/// One line a check.
#[rustfmt::skip]
const CHECKS: &[&dyn Check] = &[
    &checks::pickle::Pickle,
    &checks::archive::Archive,
    &checks::safetensors::Safetensors,
    &checks::onnx::Onnx,
    &checks::gguf::Gguf,
    &checks::tensorflow::Tensorflow,
    &checks::tfjs::Tfjs,
    &checks::coreml::Coreml,
    &checks::paddle::Paddle,
    &checks::mxnet::Mxnet,
    &checks::pmml::Pmml,
    &checks::openvino::Openvino,
    &checks::r::R,
    &checks::torch7::Torch7,
    &checks::java::Java,
    &checks::tflite::Tflite,
    &checks::boosting::Boosting,
    &checks::hdf5::Hdf5,
    &checks::keras::Keras,
    &checks::msgpack::Msgpack,
    &checks::skops::Skops,
    &checks::template::Template,
    &checks::huggingface::Huggingface,
    &checks::torch::Torch,
    &checks::code::Code,
    &checks::configuration::Configuration,
    &checks::weights::Weights,
    &checks::card::Card,
];

pub use describe::describe;

/// Facts of one file at `path` (relative to its subject) whose bytes are `source`; what the gate does for each file.
#[must_use]
pub fn extract(path: &Path, source: &dyn ReadAt, limits: &Limits, mask: &MaskKey) -> Facts {
    extract::file(path, source, limits, mask, true, extract::Depth::Sample)
}

/// [`extract()`] over bytes in memory; for fuzzing and tests.
#[must_use]
pub fn exercise(name: &str, bytes: &[u8], limits: &Limits) -> Facts {
    extract(Path::new(name), &bytes.to_vec(), limits, &MaskKey::for_project(""))
}
