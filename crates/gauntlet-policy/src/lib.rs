//! Policy: a pack of Rego reads the evidence about subjects and yields violations; whether that is an allow is computed here.
//!
//! Whatever goes wrong on the way (a module that does not load, an error, a time-out, an undefined answer) is a
//! [`Refusal`], never an allow. Signing and storing decisions is the caller's job.

#![forbid(unsafe_code)]

mod decision;
mod engine;
mod input;
pub mod isolated;
mod lint;
mod merge;
mod outcome;
mod pack;
mod testing;
mod trust_policy;
mod vsa;

pub use decision::{Decision, Reason};
pub use engine::{Options, evaluate};
pub use input::{
    Approval, BuildError, CountsInput, CoverageInput, EnvironmentInput, EvidenceInput, EvidenceItem, FindingInput,
    PolicyInput, ProjectInput, Request, SignerInput, SubjectInput, SubjectItem, TrainingInput, TrustInput, schema,
};
pub use isolated::Isolation;
pub use merge::{MergedConfig, MergedEnvironment, Origin, Sourced};
pub use outcome::{Outcome, Refusal, Violation, Why};
pub use pack::{Module, Pack, PackError, PolicySet, shipped_names};
pub use testing::{FileCoverage, TestCase, TestError, TestRun, TestState, run_tests};
pub use trust_policy::{Person, TrustEnvironment, TrustPolicy};
pub use vsa::{SummaryContext, VERIFIER_ID, verification_summary};
