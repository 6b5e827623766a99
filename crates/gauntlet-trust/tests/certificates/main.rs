//! Certificate chains, time stamps, and model signatures by certificate: every way that holds has a twin that must not.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod algorithms;
mod chain;
mod mutation;
mod pki;
mod signatures;
mod timestamp;
mod tsa;
