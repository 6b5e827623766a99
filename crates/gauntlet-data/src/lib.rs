//! Gate: dataset manifests, contracts and personal data. Reads CSV and Parquet, each file once; leaves out distributions
//! and drift.

#![forbid(unsafe_code)]

mod checks;
mod config;
pub mod contract;
mod declared;
mod extract;
pub mod facts;
mod lines;
pub mod manifest;
mod others;
mod personal;
mod quarantine;
mod scan;
mod table;

use gauntlet_core::Gate;

pub use contract::{ContractImportError, ImportedContract, contract_schema, draft_contract, import_contract};
pub use declared::{DeclaredColumn, DeclaredSchema, read_declared};
pub use manifest::{
    DraftError, FILL_IN, FileState, ForeignError, ForeignFile, ForeignFormat, Imported, Manifest, draft_manifest,
    export_manifest, foreign_is_readable, import_manifest, manifest_schema, render_manifest,
};
pub use personal::Kind;
pub use quarantine::{
    QuarantineError, QuarantineFile, QuarantineOptions, QuarantinePart, Quarantined, quarantine_by_manifest,
};
pub use scan::{ReportError, RowReport, row_report};
pub use table::{is_table, table_columns};

/// The data gate: one reader, one line a check.
pub static GATE: Gate = Gate {
    extractor: &extract::DataExtractor,
    checks: &[
        &checks::manifest::ManifestCheck,
        &checks::contract::ContractCheck,
        &checks::personal_data::PersonalDataCheck,
        &checks::secrets::SecretsCheck,
    ],
};

#[cfg(test)]
mod rule_tests;
#[cfg(test)]
mod tests;
