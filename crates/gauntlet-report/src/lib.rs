//! Reports: one run, six formats, one file a format. Every format shows hostile names as text; none judges.
//!
//! Values are shown as the reports hold them; masking secrets and personal values is the checks' job.

#![forbid(unsafe_code)]

mod drawing;
mod error;
pub mod html;
pub mod human;
pub mod json;
pub mod junit;
pub mod markdown;
mod run;
pub mod sarif;
mod text;
mod view;

pub use error::RenderError;
pub use run::{DecisionView, ReasonView, RunReport, Timing, Tool, schema};
pub use text::visible;
