//! Gate: dataset manifests, contracts and personal data. Reads CSV and Parquet, each file once; leaves out distributions
//! and drift.

#![forbid(unsafe_code)]

mod checks;
mod config;
pub mod contract;
mod extract;
pub mod facts;
mod lines;
pub mod manifest;
mod personal;
mod diff;
mod profiling;
mod scan;
mod table;

use gauntlet_core::Gate;

pub use contract::{contract_schema, draft_contract};
pub use manifest::{DraftError, FILL_IN, draft_manifest, manifest_schema};
pub use extract::profile_facts;
pub use gauntlet_sketch::{MAX_KLL, Profile, SketchOptions};
pub use diff::{ColumnChange, Diff, DiffOptions, RowChange, RowPlace, diff};
pub use personal::Kind;
pub use profiling::{
    FileDigest, Fingerprint, ProfileError, ReadOptions, file_set_sha256, fingerprint, is_profile, profile, read_profile,
    sketch_sha256, write_profile,
};

/// The data gate: one reader, one line a check.
pub static GATE: Gate = Gate {
    extractor: &extract::DataExtractor,
    checks: &[
        &checks::manifest::ManifestCheck,
        &checks::contract::ContractCheck,
        &checks::personal_data::PersonalDataCheck,
    ],
};

#[cfg(test)]
mod tests;
