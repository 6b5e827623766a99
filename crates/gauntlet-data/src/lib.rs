//! Gate: dataset manifests, contracts, personal data, ingest hygiene. Reads tables of many formats, wherever they lie.

#![forbid(unsafe_code)]

mod checks;
mod config;
pub mod contract;
mod extract;
pub mod facts;
mod ingest;
mod lines;
pub mod manifest;
mod personal;
mod scan;
mod table;

use gauntlet_core::Gate;

pub use contract::{contract_schema, draft_contract};
pub use manifest::{DraftError, FILL_IN, draft_manifest, manifest_schema};
pub use personal::Kind;
pub use table::{
    IDENTITY_VARIABLE, Identities, IdentityError, Location, LocationError, OpenError, OpenOptions, QueryError,
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
