//! Gate: a source tree at commit time. One walk, one read of each file, all families.
//!
//! The extractor turns files into calls, masked secrets and suppressions; checks judge those. Leaves out what other
//! scanners of other languages see: those enter as SARIF.

#![forbid(unsafe_code)]

mod checks;
mod extract;
mod facts;
mod relations;
mod sinks;
mod suppression;

use gauntlet_core::Gate;

pub use facts::{CallFact, SecretFact, SuppressionFact};

/// The gate: its reader and its checks, one line each.
pub static GATE: Gate = Gate { extractor: &extract::Source, checks: &[&checks::Deserialization, &checks::Secrets] };
