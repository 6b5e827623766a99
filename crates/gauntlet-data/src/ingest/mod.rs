//! Ingest hygiene: what a file is besides what its name says, what its cells do in other programs, who else may read it.

pub(crate) mod clamd;
mod content;
pub(crate) mod facts;
pub(crate) mod formula;
mod look;
mod magic;

pub(crate) use look::{Look, look};
