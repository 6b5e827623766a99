//! Signatures by certificate: the chain above the signer, and the moment for which it is judged.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use super::{Reason, ReasonCode, Verification};
use crate::dsse::Envelope;
use crate::keys::VerifyingKey;
use crate::timestamp::{self, Authorities};
use crate::x509::{Certificate, Chain, ChainError, Purpose, Roots};

/// Whose certificates count, and when.
#[derive(Clone, Debug)]
pub struct CertificateTrust {
    /// The authorities. Certificates in the bundle only fill the gap between them and the signer.
    pub roots: Roots,
    /// Authorities of time stamps; without them a time stamp in the bundle says nothing.
    pub time_stamping: Option<Authorities>,
    /// The moment of judging. A chain that holds then needs nothing else.
    pub at: Timestamp,
    /// A moment at which this very signature is known to have been there, from elsewhere: a checkpoint that a trusted
    /// witness cosigned, for one. It counts like a time stamp.
    pub known_at: Option<Timestamp>,
}

/// The certificate that vouches for a signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignerCertificate {
    /// Its subject (RFC 4514).
    pub subject: String,
    /// The trusted authority at the end of its chain (RFC 4514).
    pub authority: String,
    /// Lower-case hex SHA-256 over its DER.
    pub fingerprint: String,
    /// Its last second.
    pub not_after: Timestamp,
}

impl fmt::Display for SignerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, authority, fingerprint, not_after } = self;
        write!(f, "{subject}, certified by {authority} until {not_after}, certificate {fingerprint}")
    }
}

/// A moment at which a signature was there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// When.
    pub time: Timestamp,
    /// Who says so.
    pub by: MomentBy,
}

/// Who says when a signature was there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MomentBy {
    /// A time stamping authority, by its subject (RFC 4514).
    TimeStamp(String),
    /// The caller, who knows it from a witnessed log.
    Witness,
    /// A log or time stamping authority of the Sigstore instance.
    Sigstore,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.by {
            MomentBy::TimeStamp(authority) => write!(f, "{} (time stamp of {authority})", self.time),
            MomentBy::Witness => write!(f, "{} (witnessed log)", self.time),
            MomentBy::Sigstore => write!(f, "{} (Sigstore)", self.time),
        }
    }
}

/// An envelope and the time stamps over its signature.
pub(super) struct Stamped<'a> {
    pub(super) envelope: &'a Envelope,
    pub(super) time_stamps: &'a [Vec<u8>],
}

/// The signer's key, if the chain above `leaf` holds. What speaks against it is added to `found`.
pub(super) fn judge(
    found: &mut Verification,
    leaf: &Certificate,
    intermediates: &[Certificate],
    stamped: &Stamped<'_>,
    trust: &CertificateTrust,
) -> Option<VerifyingKey> {
    let refuse = |found: &mut Verification, code, message: String| {
        found.reasons.push(Reason { path: None, code, message });
    };
    let key = match leaf.public_key() {
        Ok(key) => key,
        // Its chain is not looked at: whatever it says, nobody can sign a model with such a key.
        Err(error) => {
            refuse(found, ReasonCode::Unsupported, format!("the signer's certificate: {error}"));
            return None;
        }
    };
    let moments = moments(found, &key, stamped, trust);
    let chain = |at| trust.roots.verify(leaf, intermediates, Purpose::ModelSigning, at);
    let held = chain(trust.at).or_else(|now| {
        let earlier = moments.iter().find_map(|moment| chain(moment.time).ok());
        earlier.ok_or(now)
    });
    // The earliest is what the signature has to be judged by, and what a person wants to know.
    found.moment = moments.into_iter().min_by_key(|moment| moment.time);
    match held {
        Ok(chain) => {
            found.certificate = Some(describe(leaf, &chain));
            Some(key)
        }
        Err(error) => {
            let (code, mut message) = (code(&error), error.to_string());
            if matches!(code, ReasonCode::Expired) && !stamped.time_stamps.is_empty() && trust.time_stamping.is_none() {
                message.push_str("; it is time-stamped, but no time stamping authority is trusted here");
            }
            refuse(found, code, message);
            None
        }
    }
}

/// All verified moments that are not after the judging one.
fn moments(
    found: &mut Verification,
    key: &VerifyingKey,
    stamped: &Stamped<'_>,
    trust: &CertificateTrust,
) -> Vec<Moment> {
    let mut moments = Vec::new();
    if let Some(time) = trust.known_at.filter(|time| *time <= trust.at) {
        moments.push(Moment { time, by: MomentBy::Witness });
    }
    let (Some(authorities), Some(signature)) = (&trust.time_stamping, stamped.envelope.signature_by(key)) else {
        return moments;
    };
    for token in stamped.time_stamps {
        match timestamp::verify(token, &signature.bytes, authorities) {
            Ok(stamp) if stamp.time > trust.at => {
                found.warnings.push(format!("a time stamp of {} does not count: it lies in the future", stamp.time));
            }
            Ok(stamp) => moments.push(Moment { time: stamp.time, by: MomentBy::TimeStamp(stamp.authority) }),
            Err(error) => found.warnings.push(format!("a time stamp does not count: {error}")),
        }
    }
    moments
}

fn describe(leaf: &Certificate, chain: &Chain) -> SignerCertificate {
    SignerCertificate {
        subject: leaf.subject(),
        authority: chain.certificates().last().unwrap_or(leaf).subject(),
        fingerprint: leaf.fingerprint(),
        not_after: leaf.not_after(),
    }
}

fn code(error: &ChainError) -> ReasonCode {
    match error {
        ChainError::KeyUsage(_) => ReasonCode::KeyUsage,
        ChainError::Expired { .. } => ReasonCode::Expired,
        ChainError::NotYetValid { .. } => ReasonCode::NotYetValid,
        ChainError::Untrusted(_) | ChainError::Unsupported(_) => ReasonCode::UntrustedChain,
        ChainError::BadSignature => ReasonCode::BadSignature,
    }
}
