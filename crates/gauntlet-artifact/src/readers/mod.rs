//! Readers of model formats: one file a family, one line each in [`READERS`] or [`DOCUMENTS`].
//!
//! A reader turns bytes into facts and hands embedded parts on; it never judges. Pickles, containers, safetensors, ONNX
//! and NumPy arrays are routed by [`crate::extract`] itself.

mod boosting;
pub(crate) mod card;
mod code;
mod configuration;
mod coreml;
mod flax;
mod gguf;
mod hdf5;
pub(crate) mod huggingface;
mod java;
pub(crate) mod keras;
pub(crate) mod mxnet;
mod openvino;
mod paddle;
mod pmml;
mod rdata;
mod skops;
mod template;
mod tensorflow;
mod textual;
mod tfjs;
mod tflite;
mod torch;
mod torch7;
mod xml;

use crate::extract::{Content, Place, Walk};
use crate::formats::json::Document;

/// Formats with a native reader, recognised by content.
#[rustfmt::skip]
pub(crate) static READERS: &[&dyn Reader] = &[
    &gguf::Gguf,
    &tensorflow::Tensorflow,
    &coreml::Coreml,
    &paddle::Program,
    &paddle::Parameters,
    &mxnet::Arrays,
    &java::Java,
    &openvino::Openvino,
    &pmml::Pmml,
    &rdata::RData,
    &torch7::Torch7,
    &tflite::Tflite,
    &boosting::XgboostUbjson,
    &boosting::Lightgbm,
    &boosting::Catboost,
    &hdf5::Hdf5,
    &flax::Flax,
    &template::Template,
    &textual::Spacy,
    &textual::Triton,
    &textual::Modelfile,
    &textual::Caffe,
    &textual::Requirements,
];

/// Families of JSON documents.
#[rustfmt::skip]
pub(crate) static DOCUMENTS: &[&dyn DocumentReader] = &[
    &boosting::XgboostJson,
    &keras::KerasDocument,
    &skops::Skops,
    &tfjs::Tfjs,
    &paddle::Pir,
    &mxnet::Symbol,
    &huggingface::Huggingface,
    &torch::ExportedProgram,
    &configuration::Configuration,
];

/// The beginning of a file or member.
pub(crate) struct Head<'a> {
    /// At most [`crate::extract::PREFIX`] bytes.
    pub prefix: &'a [u8],
    /// The prefix is everything.
    pub complete: bool,
    /// Size in bytes, when known without unpacking.
    pub size: Option<u64>,
    /// What the file or member is called.
    pub name: &'a str,
}

impl Head<'_> {
    /// The last ending in lower case, without its dot; empty when there is none.
    pub(crate) fn ending(&self) -> String {
        ending(self.name)
    }

    /// The last part of the name.
    pub(crate) fn base(&self) -> &str {
        base(self.name)
    }
}

/// Reads one format.
pub(crate) trait Reader: Sync {
    /// Name of the format, as people write it.
    fn format(&self) -> &'static str;

    /// Endings (lower case, no dot) that promise this format. A file with such an ending and no known content is given to
    /// the reader all the same, so that it can say what is broken.
    fn endings(&self) -> &'static [&'static str];

    /// Whether the content begins like this format. May look at the name, and must not be fooled by it.
    fn recognises(&self, head: &Head<'_>) -> bool;

    /// Reads it: pushes facts, counts coverage, hands embedded parts to [`Walk::part`].
    fn read(&self, walk: &mut Walk<'_>, content: &Content<'_>, place: &Place);
}

/// Reads one family of JSON documents.
pub(crate) trait DocumentReader: Sync {
    /// Name of the format, as people write it.
    fn format(&self) -> &'static str;

    /// The check that judges it.
    fn check(&self) -> &'static str;

    /// Whether a loader of this family would read a document here; a broken one is then an open question.
    fn expects(&self, place: &Place) -> bool;

    /// Whether the document is of this family, by content or by name.
    fn concerns(&self, name: &str, document: &Document) -> bool;

    /// Reads it: pushes facts, counts coverage, hands embedded parts to [`Walk::part`].
    fn read(&self, walk: &mut Walk<'_>, document: &Document, place: &Place);
}

/// The last part of a name, whatever separates its parts.
pub(crate) fn base(name: &str) -> &str {
    name.rsplit(['/', '\\', '!']).next().unwrap_or(name)
}

/// The last ending of a name in lower case, without its dot.
pub(crate) fn ending(name: &str) -> String {
    base(name).rsplit_once('.').map_or_else(String::new, |(_, ending)| ending.to_ascii_lowercase())
}
