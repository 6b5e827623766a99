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
mod others;
mod personal;
mod scan;
mod table;

use gauntlet_core::Gate;

pub use contract::{ImportError, Imported, contract_schema, draft_contract, import_contract};
pub use manifest::{DraftError, FILL_IN, draft_manifest, manifest_schema};
pub use personal::Kind;
pub use scan::{ReportError, RowReport, row_report};

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
mod rule_tests;
#[cfg(test)]
mod tests;
