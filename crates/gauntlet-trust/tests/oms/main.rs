//! Model signatures against other people's vectors, against changes of a tree, and against mutated bundles.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod common;
mod mutation;
mod signing;
mod vectors;
