//! Gate: dataset manifests, contracts, personal data, ingest hygiene. Reads tables of many formats, wherever they lie.

#![forbid(unsafe_code)]

mod checks;
pub mod cluster;
mod config;
pub mod contract;
mod declared;
mod diff;
mod extract;
pub mod facts;
mod ingest;
mod lines;
pub mod manifest;
mod others;
mod personal;
mod profiling;
mod quarantine;
mod scan;
mod table;

use std::sync::Arc;

use cluster::Cluster;
use gauntlet_core::Gate;

pub use contract::{ContractImportError, ImportedContract, contract_schema, draft_contract, import_contract};
pub use declared::{DeclaredColumn, DeclaredSchema, read_declared};
pub use diff::{ColumnChange, Diff, DiffOptions, RowChange, RowPlace, diff};
pub use extract::profile_facts;
pub use gauntlet_sketch::{MAX_KLL, Profile, SketchOptions};
pub use manifest::{
    DraftError, FILL_IN, FileState, ForeignError, ForeignFile, ForeignFormat, Imported, Manifest, draft_manifest,
    export_manifest, foreign_is_readable, import_manifest, manifest_schema, render_manifest,
};
pub use personal::Kind;
pub use profiling::{
    Fingerprint, ProfileError, ReadOptions, file_set_sha256, fingerprint, is_profile, profile, read_profile,
    sketch_sha256, write_profile,
};
pub use quarantine::{
    QuarantineError, QuarantineFile, QuarantineOptions, QuarantinePart, Quarantined, quarantine_by_manifest,
};
pub use scan::{ReportError, RowReport, row_report};
pub use table::{
    FileDigest, IDENTITY_VARIABLE, Identities, IdentityError, Location, LocationError, OpenError, OpenOptions,
    QueryError, digests, exercise, is_table, table_columns,
};

/// The data gate: one reader, one line a check.
pub static GATE: Gate = Gate {
    extractor: &extract::DataExtractor { cluster: None },
    checks: &[
        &checks::manifest::ManifestCheck,
        &checks::contract::ContractCheck,
        &checks::personal_data::PersonalDataCheck,
        &checks::secrets::SecretsCheck,
        &checks::ingest::IngestCheck,
        &checks::protection::ProtectionCheck,
    ],
};

/// The data gate with tables read by a cluster. Whoever asks keeps it to the end of the process.
#[must_use]
pub fn gate_on(cluster: Arc<dyn Cluster>) -> &'static Gate {
    let extractor = Box::leak(Box::new(extract::DataExtractor { cluster: Some(cluster) }));
    Box::leak(Box::new(Gate { extractor, checks: GATE.checks }))
}

/// What the virus scanner at a socket or `HOST:PORT` says of itself and its signatures; `None` when it does not answer.
#[must_use]
pub fn scanner_version(clamd: &str) -> Option<String> {
    ingest::clamd::Scanner { clamd: clamd.to_owned(), required: false, version: None }.version().ok()
}

#[cfg(test)]
mod rule_tests;
#[cfg(test)]
mod tests;
