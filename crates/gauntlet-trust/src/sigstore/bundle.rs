//! A Sigstore bundle, read and not believed: certificate or key, log entries, time stamps, and what was signed.
//!
//! Format: `dev.sigstore.bundle.v1` in the JSON of protobuf, media types 0.1 to 0.3.

use std::borrow::Cow;
use std::io::{self, Read};

use jiff::Timestamp;
use serde::Deserialize;

use super::json::{Bytes, Count};
use super::{ArtifactDigest, Failure, Reason, SignerIdentity};
use crate::dsse::{Envelope, RawEnvelope};
use crate::keys::VerifyingKey;
use crate::shown;
use crate::strict_json::{self, Bounds};
use crate::tlog::tree::{Hash, MAX_PROOF};
use crate::x509::Certificate;

/// Entries and time stamps that one bundle may carry; each costs signature checks.
const MAX_ENTRIES: usize = 8;
const MAX_TIME_STAMPS: usize = 8;
/// Certificates in the chain of an old bundle.
const MAX_CERTIFICATES: usize = 16;

/// The age of a bundle, by its media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 0.1: a promise of the log is enough.
    V01,
    /// 0.2: a proof of inclusion is there.
    V02,
    /// 0.3: and the certificate stands alone.
    V03,
}

impl Version {
    fn of(media_type: &str) -> Option<Self> {
        match media_type {
            "application/vnd.dev.sigstore.bundle+json;version=0.1" => Some(Self::V01),
            "application/vnd.dev.sigstore.bundle+json;version=0.2" => Some(Self::V02),
            "application/vnd.dev.sigstore.bundle+json;version=0.3" | MEDIA_TYPE => Some(Self::V03),
            _ => None,
        }
    }
}

/// The media type that is written.
pub(super) const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// A parsed bundle. What it says is only worth something after [`super::verify`].
#[derive(Clone, Debug)]
pub struct Bundle {
    pub(super) version: Version,
    pub(super) signer: Signer,
    pub(super) entries: Vec<LogEntry>,
    pub(super) time_stamps: Vec<Vec<u8>>,
    pub(super) content: Content,
}

/// Who the bundle says it is signed by.
#[derive(Clone, Debug)]
pub(super) enum Signer {
    Certificate(Box<Certificate>),
    /// A key that the verifier has to know; the bundle holds a hint at most.
    Key,
}

/// What was signed.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// An artifact that lies elsewhere.
    Message { digest: Option<(String, Vec<u8>)>, signature: Vec<u8> },
    /// A statement that stands in the bundle.
    Envelope(Envelope),
}

/// An entry of a transparency log, as the bundle tells of it.
#[derive(Clone, Debug)]
pub(super) struct LogEntry {
    pub(super) index: u64,
    pub(super) log_id: Vec<u8>,
    pub(super) kind: String,
    pub(super) version: String,
    pub(super) integrated_time: Option<Timestamp>,
    pub(super) promise: Option<Vec<u8>>,
    pub(super) proof: Option<Proof>,
    pub(super) body: Vec<u8>,
}

/// The way from an entry to the root of its log.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    pub(super) index: u64,
    pub(super) root: Hash,
    pub(super) size: u64,
    pub(super) hashes: Vec<Hash>,
    pub(super) checkpoint: Option<String>,
}

impl Bundle {
    /// Reads a bundle, at most [`super::MAX_BUNDLE_BYTES`] of it.
    ///
    /// # Errors
    /// [`Failure`] with [`Reason::Malformed`] or [`Reason::WrongType`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let bounds = Bounds { bytes: super::MAX_BUNDLE_BYTES, ..Bounds::DOCUMENT };
        let raw: RawBundle<'_> = strict_json::from_slice(bytes, &bounds)
            .map_err(|e| Failure::malformed(format!("not a Sigstore bundle: {e}")))?;
        let media_type = raw.media_type.as_deref().unwrap_or_default();
        let version = Version::of(media_type).ok_or_else(|| {
            Failure::new(Reason::WrongType, format!("media type {} is none of a Sigstore bundle", shown(media_type)))
        })?;
        let material =
            raw.verification_material.ok_or_else(|| Failure::malformed("`verificationMaterial` is missing"))?;
        let signer = material.signer(version)?;
        if material.tlog_entries.len() > MAX_ENTRIES {
            return Err(Failure::malformed(format!("more than {MAX_ENTRIES} log entries")));
        }
        let entries = material.tlog_entries.into_iter().map(RawEntry::read).collect::<Result<_, _>>()?;
        let stamps = material.timestamp_verification_data.and_then(|data| data.rfc3161).unwrap_or_default();
        if stamps.len() > MAX_TIME_STAMPS {
            return Err(Failure::malformed(format!("more than {MAX_TIME_STAMPS} time stamps")));
        }
        let time_stamps = stamps.into_iter().map(|stamp| stamp.signed_timestamp.0).collect();
        let content = match (raw.message_signature, raw.dsse_envelope) {
            (Some(message), None) => message.read()?,
            (None, Some(envelope)) => {
                let envelope = envelope.decode().map_err(|e| Failure::malformed(e.to_string()))?;
                if envelope.signatures().len() != 1 {
                    return Err(Failure::malformed("the envelope of a bundle has exactly one signature"));
                }
                Content::Envelope(envelope)
            }
            (None, None) => return Err(Failure::malformed("neither `messageSignature` nor `dsseEnvelope` is there")),
            (Some(_), Some(_)) => {
                return Err(Failure::malformed("both `messageSignature` and `dsseEnvelope` are there"));
            }
        };
        Ok(Self { version, signer, entries, time_stamps, content })
    }

    /// The age of the format.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The envelope, when the bundle carries a statement and does not sign an artifact that lies elsewhere. Nobody has
    /// vouched for it yet.
    #[must_use]
    pub fn envelope(&self) -> Option<&Envelope> {
        match &self.content {
            Content::Envelope(envelope) => Some(envelope),
            Content::Message { .. } => None,
        }
    }

    /// The certificate that the bundle brings along; nobody has vouched for it yet.
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        match &self.signer {
            Signer::Certificate(certificate) => Some(certificate),
            Signer::Key => None,
        }
    }

    /// Who the certificate says has signed; nobody has vouched for it yet.
    ///
    /// # Errors
    /// [`Failure`] when there is no certificate, or its names are not Fulcio's.
    pub fn signer(&self) -> Result<SignerIdentity, Failure> {
        let certificate =
            self.certificate().ok_or_else(|| Failure::new(Reason::WrongType, "signed with a bare key"))?;
        SignerIdentity::of(certificate)
    }

    /// Number of the first entry in its log; the log's word is not checked.
    #[must_use]
    pub fn log_index(&self) -> Option<u64> {
        self.entries.first().map(|entry| entry.index)
    }

    /// Hashes an artifact in one pass as this bundle needs it: with SHA-256, and with the hash of the signer's key. `key`
    /// is the key that the caller trusts, for bundles without a certificate.
    ///
    /// # Errors
    /// What the reader fails with.
    pub fn hash(&self, artifact: impl Read, key: Option<&VerifyingKey>) -> io::Result<ArtifactDigest> {
        let own = self.certificate().and_then(|certificate| certificate.public_key().ok());
        let kind = own.as_ref().or(key).map(VerifyingKey::kind);
        ArtifactDigest::read(artifact, kind, self.envelope().is_some())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawBundle<'a> {
    #[serde(borrow)]
    media_type: Option<Cow<'a, str>>,
    verification_material: Option<RawMaterial>,
    message_signature: Option<RawMessage>,
    #[serde(borrow)]
    dsse_envelope: Option<RawEnvelope<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMaterial {
    public_key: Option<RawPublicKey>,
    x509_certificate_chain: Option<RawChain>,
    certificate: Option<RawCertificate>,
    #[serde(default)]
    tlog_entries: Vec<RawEntry>,
    timestamp_verification_data: Option<RawTimeStamps>,
}

/// A key out of the bundle says nothing, so nothing of it is read.
#[derive(Deserialize)]
struct RawPublicKey {}

#[derive(Deserialize)]
struct RawChain {
    certificates: Vec<RawCertificate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawCertificate {
    raw_bytes: Bytes,
}

#[derive(Deserialize)]
struct RawTimeStamps {
    #[serde(rename = "rfc3161Timestamps")]
    rfc3161: Option<Vec<RawTimeStamp>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawTimeStamp {
    signed_timestamp: Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMessage {
    message_digest: Option<RawDigest>,
    signature: Bytes,
}

#[derive(Deserialize)]
struct RawDigest {
    algorithm: String,
    digest: Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEntry {
    #[serde(default)]
    log_index: Count,
    log_id: RawLogId,
    kind_version: RawKind,
    integrated_time: Option<Count>,
    inclusion_promise: Option<RawPromise>,
    inclusion_proof: Option<RawProof>,
    canonicalized_body: Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLogId {
    key_id: Bytes,
}

#[derive(Deserialize)]
struct RawKind {
    kind: String,
    version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPromise {
    signed_entry_timestamp: Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawProof {
    /// Protobuf leaves out a 0.
    #[serde(default)]
    log_index: Count,
    root_hash: Bytes,
    tree_size: Count,
    #[serde(default)]
    hashes: Vec<Bytes>,
    checkpoint: Option<RawCheckpoint>,
}

#[derive(Deserialize)]
struct RawCheckpoint {
    envelope: String,
}

impl RawMaterial {
    fn signer(&self, version: Version) -> Result<Signer, Failure> {
        match (&self.public_key, &self.x509_certificate_chain, &self.certificate) {
            (Some(_), None, None) => Ok(Signer::Key),
            (None, None, Some(leaf)) => leaf.read().map(Box::new).map(Signer::Certificate),
            (None, Some(_), None) if version == Version::V03 => {
                Err(Failure::malformed("bundles since 0.3 hold one certificate and no chain"))
            }
            (None, Some(chain), None) => chain.leaf().map(Box::new).map(Signer::Certificate),
            (None, None, None) => Err(Failure::malformed("`verificationMaterial` holds neither certificate nor key")),
            _ => Err(Failure::malformed("`verificationMaterial` holds several of certificate, chain and key")),
        }
    }
}

impl RawChain {
    /// The first. The others are read and left aside: issuers come from the trusted root. A root among them is refused,
    /// as the specification wants it, lest somebody believes it.
    fn leaf(&self) -> Result<Certificate, Failure> {
        if self.certificates.len() > MAX_CERTIFICATES {
            return Err(Failure::malformed(format!("more than {MAX_CERTIFICATES} certificates")));
        }
        let mut all = self.certificates.iter().map(RawCertificate::read);
        let leaf = all.next().ok_or_else(|| Failure::malformed("the chain of certificates is empty"))??;
        for issuer in all {
            if issuer?.is_self_issued() {
                return Err(Failure::malformed("the bundle brings its own root certificate"));
            }
        }
        Ok(leaf)
    }
}

impl RawCertificate {
    fn read(&self) -> Result<Certificate, Failure> {
        Certificate::from_der(&self.raw_bytes.0).map_err(|e| Failure::malformed(format!("a certificate: {e}")))
    }
}

impl RawMessage {
    fn read(self) -> Result<Content, Failure> {
        let digest = self.message_digest.map(|digest| (digest.algorithm, digest.digest.0));
        if self.signature.0.is_empty() {
            return Err(Failure::malformed("the signature is empty"));
        }
        Ok(Content::Message { digest, signature: self.signature.0 })
    }
}

impl RawEntry {
    fn read(self) -> Result<LogEntry, Failure> {
        // Absent and 0 are one in protobuf.
        let integrated_time = match self.integrated_time {
            None | Some(Count(0)) => None,
            Some(Count(seconds)) => {
                let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
                Some(time.ok_or_else(|| Failure::malformed("`integratedTime` is no time"))?)
            }
        };
        Ok(LogEntry {
            index: self.log_index.0,
            log_id: self.log_id.key_id.0,
            kind: self.kind_version.kind,
            version: self.kind_version.version,
            integrated_time,
            promise: self.inclusion_promise.map(|promise| promise.signed_entry_timestamp.0),
            proof: self.inclusion_proof.map(RawProof::read).transpose()?,
            body: self.canonicalized_body.0,
        })
    }
}

impl RawProof {
    fn read(self) -> Result<Proof, Failure> {
        if self.hashes.len() > MAX_PROOF {
            return Err(Failure::malformed(format!("an inclusion proof of more than {MAX_PROOF} hashes")));
        }
        let hash = |bytes: &Bytes| {
            Hash::from_slice(&bytes.0).ok_or_else(|| Failure::malformed("a hash of a proof is not 32 bytes long"))
        };
        Ok(Proof {
            index: self.log_index.0,
            root: hash(&self.root_hash)?,
            size: self.tree_size.0,
            hashes: self.hashes.iter().map(hash).collect::<Result<_, _>>()?,
            checkpoint: self.checkpoint.map(|checkpoint| checkpoint.envelope).filter(|text| !text.is_empty()),
        })
    }
}
