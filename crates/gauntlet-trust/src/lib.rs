//! Keys, signed envelopes (DSSE), in-toto statements, model signatures in the OpenSSF format, bills of materials and cards.
//! Keys, certificates, time stamps, signed envelopes (DSSE), in-toto statements, and model signatures in the OpenSSF
//! format.
//!
//! Everything here works on bytes and paths that strangers may have made. It signs and verifies; it decides nothing
//! about policy, and asks no clock. It reads the network through [`source`] alone, and only at an address that the caller names.
//! about policy, stores nothing but key files, and asks no clock. A network is asked only by functions that are handed
//! an address.

#![forbid(unsafe_code)]

mod atomic;
pub mod attestation;
mod base64;
pub mod bom;
pub mod card;
pub mod dsse;
pub mod import;
pub mod keys;
pub mod moment;
pub mod oci;
pub mod oms;
pub mod sigstore;
pub mod source;
pub mod statement;
pub mod strict_json;
pub mod timestamp;
pub mod tlog;
pub mod trust_policy;
pub mod x509;

use gauntlet_remote::shown;
