//! Gate: dataset manifests, contracts, drift, personal data, ingest hygiene. Reads tables of many formats, wherever they
//! lie.

#![forbid(unsafe_code)]

mod checks;
pub mod cluster;
mod config;
pub mod contract;
mod declared;
mod diff;
mod drift;
mod extract;
pub mod facts;
mod ingest;
mod lines;
pub mod manifest;
mod others;
mod personal;
pub mod poisoning;
mod profiling;
mod quarantine;
mod scan;
mod sealed;
mod table;

use std::sync::Arc;

use cluster::Cluster;
use gauntlet_core::Gate;

pub use checks::drift::metric_names;
pub use contract::{
    ContractImportError, ImportedContract, contract_schema, draft_contract, draft_contract_at, import_contract,
};
pub use declared::{DeclaredColumn, DeclaredSchema, read_declared};
pub use diff::{ColumnChange, Diff, DiffOptions, RowChange, RowPlace, diff};
pub use drift::{DETECTORS, OpenWindow, StreamConfig, StreamError, WatchConfig};
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
pub use sealed::{RecipientError, Recipients, Sealed};
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
        &checks::drift::DriftCheck,
        &checks::poisoning::PoisoningCheck,
        &checks::duplicates::DuplicatesCheck,
        &checks::leakage::LeakageCheck,
    ],
};

/// The comparison of a dataset with its reference alone, for the command that does nothing else.
pub static DRIFT: Gate = Gate { extractor: &drift::DRIFT_EXTRACTOR, checks: &[&checks::drift::DriftCheck] };

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

/// Only what rows say about each other: label errors, triggers, duplicates, leakage.
pub static POISONING: Gate = Gate {
    extractor: &extract::PoisoningExtractor,
    checks: &[&checks::poisoning::PoisoningCheck, &checks::duplicates::DuplicatesCheck, &checks::leakage::LeakageCheck],
};

#[cfg(test)]
mod rule_tests;
#[cfg(test)]
mod tests;
