//! Sigstore bundles: genuine ones with genuine trusted roots, their mutated twins, and bundles that we make ourselves.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod attestations;
mod common;
mod genuine;
mod keyless;
mod mutated;
mod mutation;
#[path = "../stand_in/mod.rs"]
mod stand_in;
