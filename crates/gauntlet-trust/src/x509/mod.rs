//! X.509 certificates: read, and followed up to authorities that the caller names, at a moment that the caller names.
//!
//! Nothing is fetched: no missing issuer, no revocation list, no OCSP answer. What revokes a signer is the trust policy.

mod algorithms;
mod certificate;
mod chain;

pub use certificate::{AltName, Certificate, CertificateError, KeyUses, read_certificates};
pub use chain::{Chain, ChainError, MAX_INTERMEDIATES, Purpose, Roots};

pub(crate) use algorithms::{Hash, verify_signed};
