//! Sigstore: bundles that were signed with a short-lived certificate for an identity, judged without any network.
//!
//! Who may vouch (certificate authorities, logs, time stamping authorities) comes from a `trusted_root.json` that the
//! caller names, who must have signed comes from the caller, too. Nothing in a bundle is a root of anything.

mod artifact;
mod body;
mod bundle;
mod entry;
mod identity;
mod json;
pub mod keyless;
mod log_key;
mod sct;
mod trusted_root;
mod verify;

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::x509::ChainError;

pub use artifact::ArtifactDigest;
pub use bundle::{Bundle, Version};
pub use identity::{Identity, IdentityError, SignerIdentity, Subject};
pub use trusted_root::{MAX_TRUSTED_ROOT_BYTES, TrustedRoot, TrustedRootError};
pub use verify::{Material, Verified, Who, verify};

/// Bytes of the largest bundle that is read; the largest genuine ones carry a statement of a few MiB.
pub const MAX_BUNDLE_BYTES: usize = crate::oms::MAX_BUNDLE_BYTES;

/// One thing that speaks against a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The kind.
    pub reason: Reason,
    /// What was seen.
    pub message: String,
}

/// Everything that speaks against a bundle; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failures(Vec<Failure>);

impl Failures {
    /// Each of them, in the order in which they were found.
    #[must_use]
    pub fn all(&self) -> &[Failure] {
        &self.0
    }

    /// Whether this kind is among them.
    #[must_use]
    pub fn has(&self, reason: Reason) -> bool {
        self.0.iter().any(|one| one.reason == reason)
    }
}

impl From<Failure> for Failures {
    fn from(failure: Failure) -> Self {
        Self(vec![failure])
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, one) in self.0.iter().enumerate() {
            let between = if i == 0 { "" } else { "; " };
            write!(f, "{between}{}: {}", one.reason.as_str(), one.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Failures {}

/// The kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reason {
    /// The bundle breaks its format.
    Malformed,
    /// Not a Sigstore bundle, or another kind of content than was asked for.
    WrongType,
    /// A key, hash or log entry of a kind that is not handled.
    Unsupported,
    /// The signature is not by the certificate's key over what was signed.
    BadSignature,
    /// Signed with another key than the one that the caller named.
    WrongKey,
    /// The bundle is about another artifact.
    WrongArtifact,
    /// The certificate does not lead to an authority of the trusted root.
    UntrustedChain,
    /// The certificate's key is not meant for signing code.
    KeyUsage,
    /// A certificate had ended at the moment of signing.
    Expired,
    /// A certificate was not valid yet at the moment of signing.
    NotYetValid,
    /// No certificate log of the trusted root vouches for the certificate.
    BadSct,
    /// The signature is in no transparency log.
    NoLogEntry,
    /// The log of an entry is not in the trusted root, or not for that moment.
    UnknownLog,
    /// The log entry is about another signature, certificate or artifact.
    LogEntryMismatch,
    /// The log's promise to include the entry (signed entry time stamp) does not hold.
    BadPromise,
    /// The proof that the entry is in the log does not hold.
    BadInclusionProof,
    /// The log did not sign the state that the proof leads to.
    BadCheckpoint,
    /// Nothing that is trusted says when the signature was made.
    NoTime,
    /// Somebody else signed.
    WrongIdentity,
    /// Somebody else vouches for the signer's identity.
    WrongIssuer,
}

impl Reason {
    /// The word in output and in rule ids.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::WrongType => "wrong-type",
            Self::Unsupported => "unsupported",
            Self::BadSignature => "bad-signature",
            Self::WrongKey => "wrong-key",
            Self::WrongArtifact => "wrong-artifact",
            Self::UntrustedChain => "untrusted-chain",
            Self::KeyUsage => "key-usage",
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::BadSct => "bad-sct",
            Self::NoLogEntry => "no-log-entry",
            Self::UnknownLog => "unknown-log",
            Self::LogEntryMismatch => "log-entry-mismatch",
            Self::BadPromise => "bad-promise",
            Self::BadInclusionProof => "bad-inclusion-proof",
            Self::BadCheckpoint => "bad-checkpoint",
            Self::NoTime => "no-time",
            Self::WrongIdentity => "wrong-identity",
            Self::WrongIssuer => "wrong-issuer",
        }
    }
}

impl Failure {
    fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    fn malformed(message: impl Into<String>) -> Self {
        Self::new(Reason::Malformed, message)
    }
}

impl From<ChainError> for Failure {
    fn from(error: ChainError) -> Self {
        let reason = match &error {
            ChainError::KeyUsage(_) => Reason::KeyUsage,
            ChainError::Expired { .. } => Reason::Expired,
            ChainError::NotYetValid { .. } => Reason::NotYetValid,
            ChainError::Unsupported(_) => Reason::Unsupported,
            ChainError::Untrusted(_) | ChainError::BadSignature => Reason::UntrustedChain,
        };
        Self::new(reason, error.to_string())
    }
}

/// A closed span of time, as trusted roots give it for keys and authorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    start: Timestamp,
    end: Option<Timestamp>,
}

impl Window {
    /// Both ends count.
    fn holds(&self, at: Timestamp) -> bool {
        at >= self.start && self.end.is_none_or(|end| at <= end)
    }
}
