//! Policy: a pack of Rego reads the evidence about subjects and yields violations; whether that is an allow is computed here.
//!
//! Whatever goes wrong on the way (a module that does not load, an error, a time-out, an undefined answer) is a
//! [`Refusal`], never an allow. Signing and storing decisions is the caller's job.

#![forbid(unsafe_code)]

mod decision;
mod engine;
mod freshness;
mod input;
pub mod isolated;
mod lint;
mod merge;
mod outcome;
mod pack;
mod rulings;
mod testing;
mod vsa;

pub use decision::{Decision, Reason};
pub use engine::{Options, evaluate};
pub use freshness::{STALE_HEAD, stale_head};
pub use input::{
    Approval, BuildError, CountsInput, CoverageInput, EnvironmentInput, EvidenceInput, EvidenceItem, FindingInput,
    PolicyInput, ProjectInput, Request, SetAsideInput, SignerInput, SubjectInput, SubjectItem, TrustInput, schema,
};
pub use isolated::Isolation;
pub use merge::{MergedConfig, MergedEnvironment, Origin, Sourced};
pub use outcome::{Outcome, Refusal, Violation, Why};
pub use pack::{Module, Pack, PackError, PolicySet, shipped_names};
pub use rulings::{Rulings, RulingsError, read_rulings};
pub use testing::{FileCoverage, TestCase, TestError, TestRun, TestState, run_tests};
pub use vsa::{SummaryContext, VERIFIER_ID, verification_summary};
