//! Mergeable column summaries and content hashes of tables, over Arrow arrays.
//!
//! Reading a table:
//!
//! ```
//! # use std::sync::Arc;
//! # use arrow::array::{ArrayRef, Int64Array};
//! use gauntlet_sketch::{Cells, ColumnSpec, Kind, Profile, SketchOptions, TableSketch};
//!
//! let ages: ArrayRef = Arc::new(Int64Array::from(vec![Some(44), None, Some(18)]));
//! let spec = ColumnSpec { name: "age".into(), data_type: "Int64".into() };
//! let mut sketch = TableSketch::new(vec![(spec, Kind::of(ages.data_type()))], SketchOptions::default());
//! sketch.update(0, &[Cells { values: &ages, texts: None }])?;
//! let profile = sketch.finish();
//!
//! let stored = profile.to_bytes();
//! let read = Profile::from_bytes(&stored)?;
//! let age = &read.column("age").unwrap().sketch;
//! assert_eq!((age.values(), age.nulls(), age.quantile(0.5)), (2, 1, Some(31.0)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! For comparing two profiles: [`ColumnSketch::counts`] gives every value with its count while there are at most
//! [`EXACT_VALUES`] (else `None`), [`ColumnSketch::steps`] the numbers in order as (low, high, exact count), exact values or
//! buckets 0.2 % wide, [`ColumnSketch::quantile`] and [`ColumnSketch::at_or_below`] what follows from them. To have a batch
//! counted by a reference's bins in the pass that reads it, hand [`Watch::edges`] (or [`Watch::values`] with
//! [`Counted::hash`] of the reference's categories) in [`SketchOptions::watches`], and read [`ColumnSketch::watched`].
//!
//! What merges how: counts, ranges, distinct counts, histograms, power sums (kept exactly, see the module `moments`),
//! text statistics, watched bins and content hashes are equal to the last bit for whatever order of rows, parts and
//! merges; they make the canonical form. Frequent values, patterns and KLL depend on the order of values: they are
//! kept per *part* (a run of rows that one reader reads in order), and parts are joined in the order of their numbers.

#![forbid(unsafe_code)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "hashes are cut to halves and indices, counts become shares; each is bounded where it stands"
)]

mod big;
mod codec;
mod column;
mod content;
mod exact;
mod frequent;
mod full;
mod hasher;
mod histogram;
mod hll;
mod json;
mod kll;
mod moments;
mod nested;
mod profile;
mod read;
mod scratch;
mod table;
mod text;
mod update;
mod value;
mod watch;

pub use codec::DecodeError;
pub use column::{ColumnSketch, MergeError};
pub use content::{ContentHash, ContentHashError};
pub use exact::EXACT_VALUES;
pub use hasher::RowHasher;
pub use kll::{Kll, MAX_KLL};
pub use moments::Moments;
pub use profile::{Column, Profile};
pub use read::{Counted, Distinct, Step, TOP_PATTERNS, TOP_VALUES, quantile_of};
pub use table::{Cells, ColumnSpec, MAX_COLUMNS, SketchOptions, TableSketch};
pub use text::TextStats;
pub use update::UpdateError;
pub use value::{KEPT_BYTES, Kind, Value};
pub use watch::{Watch, Watches};

#[cfg(test)]
mod tests;
