//! Ingest hygiene: what a file is besides what its name says, and what its cells do in other programs.

pub(crate) mod formula;
