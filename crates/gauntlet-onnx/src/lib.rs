//! Reading ONNX files without the framework: the model's structure ([`Model`]) and what can be said about it
//! ([`OnnxFacts`]).
//!
//! Tensor bytes stay in the file; a [`Tensor`] knows where they are. Nothing is executed or inferred, and shapes are
//! not propagated.

#![forbid(unsafe_code)]

mod element;
mod error;
mod facts;
mod location;
mod model;
mod read;

pub use element::ElementType;
pub use error::OnnxError;
pub use facts::{ConstantFact, ExternalFact, InitializerFact, OnnxFacts, OperatorUse, TensorProblem, ValueFact};
pub use location::{LocationProblem, location_problems};
pub use model::{
    Attribute, AttributeValue, Dimension, Function, Graph, GraphId, GraphOwner, Model, Node, OpsetImport, SparseTensor,
    Tensor, ValueInfo,
};

/// Field numbers that begin a `ModelProto` as writers make them, for telling an ONNX file by its first bytes.
///
/// The first field of every common writer is `ir_version` (a small varint); a text or pickle never begins so *and*
/// goes on with a producer, opset, metadata or graph field.
#[must_use]
pub fn looks_like_model(prefix: &[u8]) -> bool {
    match prefix {
        [0x08, version, tag, ..] => {
            (1..=40).contains(version) && matches!(tag, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42 | 0x72)
        }
        _ => false,
    }
}
