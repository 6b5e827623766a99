//! Comparing a batch with its reference: reading both, measuring, looking for causes. Judging is done elsewhere, from facts.

mod categories;
mod cells;
mod columns;
mod compare;
mod config;
mod exact;
mod images;
mod interval;
mod lineage;
mod numbers;
mod record;
mod rename;
mod rows;
mod segments;
mod shown;
mod sketched;
mod stream;
mod text;
mod vectors;
mod watch;

#[cfg(test)]
mod tests;

pub(crate) use config::{DriftConfig, ReferenceConfig};
pub(crate) use record::{DRIFT_EXTRACTOR, compare_into, reference_file};
pub use stream::{DETECTORS, StreamConfig, StreamError};
pub(crate) use watch::segment;
pub use watch::{OpenWindow, WatchConfig};
