//! Signatures through Sigstore.

use jiff::Timestamp;

use super::certificate::{Moment, MomentBy};
use super::{Reason, ReasonCode, Verification};
use crate::sigstore::{self, Bundle, Failure, Identity, Material, TrustedRoot, Who};

/// Which identity counts, and who may vouch for it.
#[derive(Clone, Debug)]
pub struct SigstoreTrust {
    /// The Sigstore instance: authorities and logs.
    pub root: TrustedRoot,
    /// Who must have signed.
    pub identity: Identity,
    /// The moment of judging; what claims to be from later does not count.
    pub at: Timestamp,
}

/// Judges the Sigstore part of a model signature. `None` when something speaks against it; that is in `found`.
pub(super) fn model(found: &mut Verification, bytes: &[u8], trust: &SigstoreTrust) -> Option<()> {
    match Bundle::parse(bytes) {
        Ok(bundle) => judge(found, &bundle, Material::Envelope, trust, None),
        Err(failure) => {
            refuse(found, &failure, None);
            None
        }
    }
}

pub(super) fn judge(
    found: &mut Verification,
    bundle: &Bundle,
    material: Material<'_>,
    trust: &SigstoreTrust,
    path: Option<&str>,
) -> Option<()> {
    let who = Who::Identity(trust.identity.clone());
    match sigstore::verify(bundle, &trust.root, &who, material, trust.at) {
        Ok(verified) => {
            found.signer = Some(verified.key_id);
            found.identity = verified.signer;
            found.moment = verified.time.map(|time| Moment { time, by: MomentBy::Sigstore });
            found.warnings.extend(verified.warnings);
            Some(())
        }
        Err(failures) => {
            failures.all().iter().for_each(|failure| refuse(found, failure, path));
            None
        }
    }
}

pub(super) fn refuse(found: &mut Verification, failure: &Failure, path: Option<&str>) {
    let code = code(failure.reason);
    let path = path.filter(|_| code == ReasonCode::DigestMismatch).map(str::to_owned);
    found.reasons.push(Reason { path, code, message: failure.message.clone() });
}

fn code(reason: sigstore::Reason) -> ReasonCode {
    use sigstore::Reason as From;
    match reason {
        From::Malformed => ReasonCode::Malformed,
        From::WrongType => ReasonCode::WrongType,
        From::Unsupported => ReasonCode::Unsupported,
        From::BadSignature => ReasonCode::BadSignature,
        From::WrongKey => ReasonCode::WrongKey,
        From::WrongArtifact => ReasonCode::DigestMismatch,
        From::UntrustedChain => ReasonCode::UntrustedChain,
        From::KeyUsage => ReasonCode::KeyUsage,
        From::Expired => ReasonCode::Expired,
        From::NotYetValid => ReasonCode::NotYetValid,
        From::BadSct => ReasonCode::BadSct,
        From::NoLogEntry => ReasonCode::NoLogEntry,
        From::UnknownLog => ReasonCode::UnknownLog,
        From::LogEntryMismatch => ReasonCode::LogEntryMismatch,
        From::BadPromise => ReasonCode::BadPromise,
        From::BadInclusionProof => ReasonCode::BadInclusionProof,
        From::BadCheckpoint => ReasonCode::BadCheckpoint,
        From::NoTime => ReasonCode::NoTime,
        From::WrongIdentity => ReasonCode::WrongIdentity,
        From::WrongIssuer => ReasonCode::WrongIssuer,
    }
}
