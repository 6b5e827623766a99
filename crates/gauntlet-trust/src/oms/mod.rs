//! Model signatures in the OpenSSF Model Signing format 1.0: one detached file that vouches for a model file or folder.
//!
//! Signing and verifying with keys and with certificates. What vouches for a signer comes from the caller, never from
//! the signature file.

mod bundle;
mod certificate;
mod claims;
mod digests;
mod endorse;
mod fetch;
mod file;
mod hash;
mod install;
mod layers;
mod manifest;
mod names;
mod partial;
mod pipe;
mod place;
mod report;
mod sign;
mod sigstore;
mod verify;
mod walk;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use gauntlet_core::{Digest, LimitHit, Verdict};
use serde::Serialize;

use crate::keys::{KeyError, VerifyingKey};
use crate::sigstore::SignerIdentity;
use crate::timestamp::TimeStampError;

pub use bundle::Method;
pub use certificate::{CertificateTrust, Moment, MomentBy, SignerCertificate};
pub use claims::{Claims, claims};
pub use digests::{DigestList, DigestListError, MAX_LIST_BYTES, sign_digests};
pub use endorse::{AskStamp, CertificateEndorser, Endorse, Endorsed, KeyEndorser, TimeStamped};
pub use fetch::{Origin, verify_source, verify_source_only};
pub use file::{is_file_signature, verify_file};
pub(crate) use hash::hash_whole;
pub use hash::{HashType, Hashing, KnownDigests, blake3_file};
pub use install::{InstallError, install};
pub(crate) use layers::{
    LayerFile, ModelFile, bundle_envelope, differences, model_files, read_model_file, verify_layers,
};
pub(crate) use names::is_safe as is_safe_name;
pub use partial::{Partial, PartialVerdict, Selection, verify_only};
pub use pipe::{Stream, verify_stream};
pub use report::SIGNATURE;
pub use sign::{Signed, sign, sign_as};
pub use sigstore::SigstoreTrust;
pub use verify::{verify, verify_any};

/// The predicate type of an OpenSSF model signature.
pub const PREDICATE_TYPE: &str = "https://model_signing/signature/v1.0";

/// Bytes of the largest signature file that is read or written.
pub const MAX_BUNDLE_BYTES: usize = 64 << 20;

/// How the bytes of files become resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Serialization {
    /// One digest a file.
    #[default]
    Files,
    /// One digest for each range of so many bytes. Empty files get none, and so are not signed.
    Shards(NonZeroU64),
}

/// How to sign.
#[derive(Clone, Debug, Default)]
pub struct SignOptions {
    /// Hash of files and shards; the root digest is SHA-256 whatever this says.
    pub hash: HashType,
    /// Whole files or ranges.
    pub serialization: Serialization,
    /// Follow links to files. A link to a folder is an error all the same.
    pub allow_symlinks: bool,
    /// Paths to leave out: relative to the model, `/` between parts, each with everything below it.
    pub ignore: Vec<String>,
    /// Where the signature will lie; left out when that is inside the model.
    pub signature_path: Option<PathBuf>,
    /// Name the only resource of a single-file model `.`, as the reference implementation does, not by its base name.
    pub dot_for_single_file: bool,
    /// What may help with hashing.
    pub hashing: Hashing,
}

/// How to verify.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// Refuse links even where the signature allows them.
    pub refuse_symlinks: bool,
    /// Paths that may be unsigned, as in [`SignOptions::ignore`]. What is signed is checked all the same.
    pub ignore: Vec<String>,
    /// List files that nobody signed instead of failing.
    pub ignore_unsigned: bool,
    /// Where the signature lies; left out when that is inside the model.
    pub signature_path: Option<PathBuf>,
    /// What may help with hashing.
    pub hashing: Hashing,
}

/// Whose signature counts.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Any one of these keys.
    Keys(Vec<VerifyingKey>),
    /// A certificate chain to authorities that the caller names.
    Certificates(CertificateTrust),
    /// An identity that a Sigstore instance vouches for.
    Sigstore(Box<SigstoreTrust>),
}

impl Trust {
    /// The method of bundles that this trust is for.
    #[must_use]
    pub fn method(&self) -> Method {
        match self {
            Self::Keys(_) => Method::Key,
            Self::Certificates(_) => Method::Certificate,
            Self::Sigstore(_) => Method::Sigstore,
        }
    }
}

/// What verification found.
#[derive(Clone, Debug, Serialize)]
pub struct Verification {
    /// `pass`, `fail`, or `error` when something could not be judged and nothing was found wrong.
    pub verdict: Verdict,
    /// Everything that speaks against a pass, sorted by path; empty exactly when the verdict is `pass`.
    pub reasons: Vec<Reason>,
    /// What lies in the model and is covered by no signature.
    pub unsigned: Vec<Unsigned>,
    /// What a person should know although it changes no verdict, such as links that leave the model.
    pub warnings: Vec<String>,
    /// Key id of the trusted key that signed; of the certificate's key when a certificate vouches for it.
    pub signer: Option<String>,
    /// The certificate that vouches for the key, once its chain holds.
    pub certificate: Option<SignerCertificate>,
    /// Who signed, when Sigstore vouches for it.
    pub identity: Option<SignerIdentity>,
    /// When the signature is known to have been there, once something that the caller trusts says so.
    pub moment: Option<Moment>,
    /// The signed root digest, once signature and manifest hold.
    pub root_digest: Option<Digest>,
    /// How the bundle was signed, once it could be read.
    pub method: Option<Method>,
    /// Files that were hashed.
    pub files: usize,
    /// Bytes that were hashed.
    pub bytes: u64,
}

/// One thing that speaks against a pass.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Reason {
    /// The path inside the model, with `/` and for display; absent when the signature file itself is meant.
    pub path: Option<String>,
    /// The kind of reason.
    pub code: ReasonCode,
    /// What was seen.
    pub message: String,
}

/// The kinds of reasons: rules `trust/signature/<code>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ReasonCode {
    /// No signature by a trusted key holds.
    BadSignature,
    /// The bundle names another key than the trusted ones.
    WrongKey,
    /// The bundle is signed by another method than the caller trusts.
    WrongMethod,
    /// The certificate does not lead to a trusted authority.
    UntrustedChain,
    /// The certificate's key is not meant for signing.
    KeyUsage,
    /// A certificate had ended when the signature was judged.
    Expired,
    /// A certificate was not valid yet when the signature was judged.
    NotYetValid,
    /// No certificate log vouches for the certificate.
    BadSct,
    /// The signature is in no transparency log.
    NoLogEntry,
    /// The log is not trusted, or not for that moment.
    UnknownLog,
    /// The log entry is about something else.
    LogEntryMismatch,
    /// The log's promise to include the entry does not hold.
    BadPromise,
    /// The proof that the log includes the entry does not hold.
    BadInclusionProof,
    /// The log did not sign the state that the proof leads to.
    BadCheckpoint,
    /// Nothing that is trusted says when the signature was made.
    NoTime,
    /// Somebody else signed.
    WrongIdentity,
    /// Somebody else vouches for the signer's identity.
    WrongIssuer,
    /// A media, payload, statement or predicate type that is no model signature.
    WrongType,
    /// The bundle or what it signs breaks the format.
    Malformed,
    /// A resource is listed twice.
    Duplicate,
    /// A signed name leads out of the model.
    UnsafePath,
    /// A method, hash or release of the format that is not handled.
    Unsupported,
    /// A part of a file is not signed.
    Incomplete,
    /// The signed root digest is not that of the signed resources.
    RootDigestMismatch,
    /// A file's bytes differ from the signed ones.
    DigestMismatch,
    /// A signed file is not there.
    MissingFile,
    /// A file is there that nobody signed.
    UnexpectedFile,
    /// A link where none is allowed, or one that leads to a folder or to nothing.
    Symlink,
    /// The medium failed or forbade reading: nothing is known about this path.
    Unreadable,
    /// A limit was reached before everything was looked at.
    Limit,
}

impl ReasonCode {
    /// The word in output and in rule ids.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadSignature => "bad-signature",
            Self::WrongKey => "wrong-key",
            Self::WrongMethod => "wrong-method",
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
            Self::WrongType => "wrong-type",
            Self::Malformed => "malformed",
            Self::Duplicate => "duplicate",
            Self::UnsafePath => "unsafe-path",
            Self::Unsupported => "unsupported",
            Self::Incomplete => "incomplete",
            Self::RootDigestMismatch => "root-digest-mismatch",
            Self::DigestMismatch => "digest-mismatch",
            Self::MissingFile => "missing-file",
            Self::UnexpectedFile => "unexpected-file",
            Self::Symlink => "symlink",
            Self::Unreadable => "unreadable",
            Self::Limit => "limit",
        }
    }
}

/// Something in the model that no signature covers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unsigned {
    /// The path inside the model; a folder stands for everything in it.
    pub path: String,
    /// Why it does not count.
    pub why: UnsignedWhy,
}

/// Why something unsigned does not fail the verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnsignedWhy {
    /// Left out by the signer, by convention or by the caller.
    Ignored,
    /// The signature being checked.
    Signature,
    /// An empty file, for which sharded signatures hold no resource.
    Empty,
    /// The caller allows unsigned files.
    Allowed,
}

/// Where `gauntlet sign` puts a signature when not told: `MODEL/model.sig` for a folder, `MODEL.sig` for a file.
#[must_use]
pub fn default_signature_path(model: &Path) -> PathBuf {
    if model.is_dir() {
        return model.join("model.sig");
    }
    let mut name = OsString::from(model);
    name.push(".sig");
    name.into()
}

/// Reads a signature file, at most [`MAX_BUNDLE_BYTES`] of it and without waiting on a pipe.
///
/// # Errors
/// What the system says; `InvalidData` for something that is no regular file, `FileTooLarge` for too much.
pub fn read_bundle(path: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BUNDLE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_BUNDLE_BYTES {
        let message = format!("more than {MAX_BUNDLE_BYTES} bytes, which no signature file has");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// Why a model could not be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OmsError {
    /// A file or folder could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The model holds something that a signature cannot describe.
    #[error("{path}: {what}")]
    Unsignable {
        /// The path inside the model.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// An ignore path that is no plain relative path.
    #[error("ignore path `{0}`: write it relative to the model, without `.` or `..` parts")]
    IgnorePath(String),
    /// Nothing is left after everything ignored was left out.
    #[error("nothing to sign: the model has no file")]
    Empty,
    /// The model is larger than a signature may describe.
    #[error("the signature would be larger than {MAX_BUNDLE_BYTES} bytes: use a larger shard size")]
    TooLarge,
    /// The folder tree has too many entries.
    #[error(transparent)]
    Limit(#[from] LimitHit),
    /// Ed25519 is not among the algorithms of the format.
    #[error("model signatures need an ECDSA key (P-256, P-384 or P-521), not {0}")]
    KeyKind(&'static str),
    /// The key refused to sign.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The certificate is for another key than the one that signs.
    #[error("the certificate is for another key (its key id is {certificate}) than the one that signs ({key})")]
    OtherCertificate {
        /// Key id of the certificate's key.
        certificate: String,
        /// Key id of the signing key.
        key: String,
    },
    /// The certificate could not be used for signing a model.
    #[error("the certificate cannot be used: {0}")]
    Certificate(String),
    /// No time stamp was to be had.
    #[error("no time stamp: {0}")]
    TimeStamp(#[from] TimeStampError),
    /// Somebody else who has to vouch for the signature did not.
    #[error("{0}")]
    Endorsement(String),
    /// The statement could not be written, which would be our fault.
    #[error("writing the statement: {0}")]
    Json(#[from] serde_json::Error),
}
