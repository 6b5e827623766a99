//! Signatures through Sigstore: of models, and of single files that somebody signed without the model format.

use std::fs::File;
use std::path::Path;

use gauntlet_core::{Algorithm, Digest};
use jiff::Timestamp;

use super::certificate::{Moment, MomentBy};
use super::{Method, Reason, ReasonCode, Verification};
use crate::attestation::read_statement;
use crate::sigstore::{self, ArtifactDigest, Bundle, Failure, Identity, Material, TrustedRoot, Who};

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

/// Whether the bytes are a Sigstore bundle that is no model signature: it signs one file, or states something about it.
#[must_use]
pub fn is_file_bundle(bytes: &[u8]) -> bool {
    let Ok(bundle) = Bundle::parse(bytes) else { return false };
    let Some(envelope) = bundle.envelope() else { return true };
    let statement = read_statement(envelope.unverified_payload());
    statement.is_ok_and(|(statement, _)| !statement.predicate_type.starts_with("https://model_signing/"))
}

/// Verifies one file against a Sigstore bundle for which [`is_file_bundle`] holds: the bundle signs the file, or carries a
/// signed in-toto statement with the file as subject. What the statement says of the file is not judged here.
#[must_use]
pub fn verify_file(file: &Path, bytes: &[u8], trust: &SigstoreTrust) -> Verification {
    let mut found = Verification::empty();
    found.method = Some(Method::Sigstore);
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
    match Bundle::parse(bytes) {
        Err(failure) => refuse(&mut found, &failure, None),
        Ok(bundle) => match hash(&bundle, file) {
            Ok((digest, size)) => {
                (found.files, found.bytes) = (1, size);
                judge(&mut found, &bundle, Material::Artifact(&digest), trust, name.as_deref());
                let sha256 = digest.digests().get(Algorithm::Sha256).and_then(|hex| hex::decode(hex).ok());
                let sha256 = sha256.and_then(|bytes| Digest::new(Algorithm::Sha256, &bytes).ok());
                found.root_digest = sha256.filter(|_| found.reasons.is_empty());
            }
            Err(error) => {
                found.reasons.push(Reason { path: name, code: ReasonCode::Unreadable, message: error.to_string() })
            }
        },
    }
    found.conclude()
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

fn judge(
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

fn refuse(found: &mut Verification, failure: &Failure, path: Option<&str>) {
    let code = code(failure.reason);
    let path = path.filter(|_| code == ReasonCode::DigestMismatch).map(str::to_owned);
    found.reasons.push(Reason { path, code, message: failure.message.clone() });
}

fn hash(bundle: &Bundle, file: &Path) -> std::io::Result<(ArtifactDigest, u64)> {
    let open = File::open(file)?;
    let metadata = open.metadata()?;
    if !metadata.is_file() {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "not a regular file"));
    }
    Ok((bundle.hash(open, None)?, metadata.len()))
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
