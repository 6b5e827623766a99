//! Gradients of ONNX models, as ONNX: from a model's graph two graphs are made that any engine runs, *forward* (the
//! logits, and what the way back needs of the way there) and *backward* (a seed on the logits and those residuals to
//! the gradient with respect to the input, `Jᵀv`).
//!
//! The loss never enters the graph: its derivative with respect to the logits is the seed. Nothing is executed here
//! but the folding of constants. An operator without a gradient rule is named; it is never passed over.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use gauntlet_grad::{Differentiable, Options};
//! let (file, budget) = (std::fs::File::open("model.onnx")?, gauntlet_limits::Budget::default());
//! let model = gauntlet_onnx::Model::read(&file, &budget)?;
//! let graphs = Differentiable::new(&model, &file, &Options::default(), &budget)?;
//! // An engine runs `graphs.forward()`, then `graphs.backward()` with what `graphs.feeds()` asks for.
//! # Ok(()) }
//! ```

#![forbid(unsafe_code)]

mod array;
mod backward;
mod build;
mod differentiable;
mod dim;
mod emit;
mod error;
mod fold;
mod graph;
mod import;
mod infer;
mod lower;

pub use differentiable::{ConvGradient, Differentiable, Feed, Options, Port};
pub use dim::Dim;
pub use error::{GradError, Unsupported};
pub use import::ExternalData;
