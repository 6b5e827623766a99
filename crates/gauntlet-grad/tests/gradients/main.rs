//! Gradient graphs, run by an interpreter that shares no code with the crate.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod engines;
mod interpreter;
mod networks;
mod operators;
mod refusals;
mod shapes;
mod support;
