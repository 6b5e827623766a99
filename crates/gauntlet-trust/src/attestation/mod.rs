//! Attestations that other tools made, read as evidence: in-toto statements in DSSE envelopes or Sigstore bundles.
//!
//! Files of witness and cosign (`.intoto.jsonl`, attestation layers), GitHub artifact attestations and tags of MLflow runs
//! are taken apart by [`read`]; what is in them counts only after [`Found::verify`]. What cosign signs about images that is
//! no statement is judged by [`cosign`].

pub mod cosign;
mod read;
mod statement;

use jiff::Timestamp;
use serde::Serialize;

use crate::dsse::Envelope;
use crate::keys::VerifyingKey;
use crate::sigstore::{self, Bundle, Failures, Identity, SignerIdentity, TrustedRoot, Who};
use crate::statement::{Statement, StatementError};

pub use read::{ReadError, TagDigest, Tags, read, read_tags};
pub use statement::{StatementVersion, read_statement};

/// How an attestation was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A DSSE envelope, alone or in JSON Lines: witness, cosign, in-toto.
    Envelope,
    /// A Sigstore bundle, alone or in JSON Lines: GitHub artifact attestations, cosign since 3.
    SigstoreBundle,
}

/// An attestation that was found and is not believed yet.
#[derive(Clone, Debug)]
pub struct Found {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Envelope(Envelope),
    Bundle(Box<Bundle>),
}

/// Who is believed.
#[derive(Clone, Debug, Default)]
pub struct SignerTrust {
    /// Keys, for envelopes and for bundles that were signed with a bare key.
    pub keys: Vec<VerifyingKey>,
    /// Identities and the Sigstore instance that vouches for them.
    pub sigstore: Option<(TrustedRoot, Vec<Identity>)>,
}

/// An attestation whose signature holds.
#[derive(Clone, Debug)]
pub struct ForeignAttestation {
    /// What is said. A statement of version 0.1 is mapped: its subjects and its predicate are the same.
    pub statement: Statement,
    /// How it was written.
    pub statement_version: StatementVersion,
    /// Everybody trusted who signed; never empty.
    pub signers: Vec<SignedBy>,
    /// How it was kept.
    pub format: Format,
}

/// One who signed, and how that was verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "by")]
pub enum SignedBy {
    /// A key that the caller named.
    Key {
        /// Lower-case hex SHA-256 of its DER SubjectPublicKeyInfo.
        key_id: String,
    },
    /// An identity that the caller named, by a certificate of the trusted root's authorities.
    Identity {
        /// Who.
        #[serde(flatten)]
        identity: SignerIdentity,
        /// When the signature is known to have been there.
        time: Option<Timestamp>,
    },
}

/// Why an attestation is not believed.
#[derive(Debug, thiserror::Error)]
pub enum AttestationError {
    /// No key that is trusted signed the envelope.
    #[error("no trusted key signed this")]
    Untrusted,
    /// Signed by an identity, and none is trusted here.
    #[error("signed by an identity: a trusted root and an identity are needed to judge it")]
    NoIdentityTrusted,
    /// The bundle does not hold.
    #[error("{0}")]
    Sigstore(#[from] Failures),
    /// What was signed is no statement.
    #[error("{0}")]
    Statement(#[from] StatementError),
}

impl Found {
    /// How it was kept.
    #[must_use]
    pub fn format(&self) -> Format {
        match self.source {
            Source::Envelope(_) => Format::Envelope,
            Source::Bundle(_) => Format::SigstoreBundle,
        }
    }

    /// The envelope, before anybody has vouched for it; a bundle may sign an artifact instead.
    #[must_use]
    pub fn unverified_envelope(&self) -> Option<&Envelope> {
        match &self.source {
            Source::Envelope(envelope) => Some(envelope),
            Source::Bundle(bundle) => bundle.envelope(),
        }
    }

    /// Judges the signatures as of `at`, then reads the statement.
    ///
    /// # Errors
    /// [`AttestationError`].
    pub fn verify(&self, trust: &SignerTrust, at: Timestamp) -> Result<ForeignAttestation, AttestationError> {
        let (signers, payload_type, payload) = match &self.source {
            Source::Envelope(envelope) => {
                let verified = envelope
                    .verify(&trust.keys, std::num::NonZeroUsize::MIN)
                    .map_err(|_| AttestationError::Untrusted)?;
                let signers = verified.signers.iter().map(|key| SignedBy::Key { key_id: key.key_id() }).collect();
                (signers, verified.payload_type, verified.payload)
            }
            Source::Bundle(bundle) => self::bundle(bundle, trust, at)?,
        };
        if payload_type != crate::dsse::IN_TOTO {
            let found = payload_type.to_owned();
            return Err(StatementError::Type { what: "payload", found }.into());
        }
        let (statement, statement_version) = read_statement(payload)?;
        Ok(ForeignAttestation { statement, statement_version, signers, format: self.format() })
    }
}

type Judged<'b> = (Vec<SignedBy>, &'b str, &'b [u8]);

fn bundle<'b>(bundle: &'b Bundle, trust: &SignerTrust, at: Timestamp) -> Result<Judged<'b>, AttestationError> {
    let mut refusal = None;
    let (root, whos): (_, Vec<Who>) = match (&trust.sigstore, bundle.certificate()) {
        (Some((root, identities)), Some(_)) => (root, identities.iter().cloned().map(Who::Identity).collect()),
        (Some((root, _)), None) => (root, trust.keys.iter().cloned().map(|key| Who::Key(Box::new(key))).collect()),
        (None, Some(_)) => return Err(AttestationError::NoIdentityTrusted),
        // Without a trusted root no log can be judged, so the envelope counts by its key alone.
        (None, None) => return keyed(bundle, trust),
    };
    for who in &whos {
        match sigstore::verify(bundle, root, who, sigstore::Material::Envelope, at) {
            Ok(verified) => {
                let by = match verified.signer {
                    Some(identity) => SignedBy::Identity { identity, time: verified.time },
                    None => SignedBy::Key { key_id: verified.key_id },
                };
                let (payload_type, payload) = verified.payload.unwrap_or_default();
                return Ok((vec![by], payload_type, payload));
            }
            Err(failures) => refusal = Some(failures),
        }
    }
    Err(refusal.map_or(AttestationError::Untrusted, AttestationError::Sigstore))
}

fn keyed<'b>(bundle: &'b Bundle, trust: &SignerTrust) -> Result<Judged<'b>, AttestationError> {
    let envelope = bundle.envelope().ok_or(AttestationError::Untrusted)?;
    let verified =
        envelope.verify(&trust.keys, std::num::NonZeroUsize::MIN).map_err(|_| AttestationError::Untrusted)?;
    let signers = verified.signers.iter().map(|key| SignedBy::Key { key_id: key.key_id() }).collect();
    Ok((signers, verified.payload_type, verified.payload))
}
