//! What a run says, in the formats people and machines read: one file a format.
//!
//! Formats differ in shape, never in content. Text from subjects is hostile here too: every format for people escapes it.

#![forbid(unsafe_code)]

mod escape;
mod html;
mod human;
mod json;
mod junit;
mod markdown;
mod run;
mod sarif;

pub use html::html;
pub use human::{HumanOptions, human};
pub use json::json;
pub use junit::junit;
pub use markdown::markdown;
pub use run::{Decision, NamedRule, Reason, RunReport, Timing, Tool, schema};
pub use sarif::sarif;
