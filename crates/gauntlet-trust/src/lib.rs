//! Keys, signed envelopes (DSSE), in-toto statements, model signatures in the OpenSSF format, bills of materials and cards.
//!
//! Everything here works on bytes and paths that strangers may have made. It signs and verifies; it decides nothing
//! about policy, stores nothing but key files, and asks neither a clock nor a network.

#![forbid(unsafe_code)]

mod atomic;
mod base64;
pub mod bom;
pub mod card;
pub mod dsse;
pub mod import;
pub mod keys;
pub mod oms;
pub mod statement;
pub mod strict_json;

/// A stranger's text for a message: quoted, with control characters escaped, at most 80 characters of it.
fn shown(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
