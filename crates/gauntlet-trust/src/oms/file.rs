//! Single files that somebody vouched for without the model format: signed with cosign or sigstore-python, or subject of
//! an attestation of witness, cosign, npm or GitHub.

use std::fs::File;
use std::io;
use std::path::Path;

use gauntlet_core::{Algorithm, Digest};
use jiff::Timestamp;

use super::sigstore::{SigstoreTrust, judge, refuse};
use super::{Method, Reason, ReasonCode, Trust, Verification};
use crate::attestation::{self, AttestationError, Found, SignedBy, SignerTrust, read_statement};
use crate::keys::VerifyingKey;
use crate::sigstore::{ArtifactDigest, Bundle, Material};

/// Whether the bytes are the signature of one file or attestations of others, and no model signature.
#[must_use]
pub fn is_file_signature(bytes: &[u8]) -> bool {
    if Bundle::parse(bytes).is_ok_and(|bundle| bundle.envelope().is_none()) {
        return true;
    }
    attestation::read(bytes).is_ok_and(|all| !all.iter().any(is_model_signature))
}

fn is_model_signature(found: &Found) -> bool {
    let payload = found.unverified_envelope().map(|envelope| envelope.unverified_payload());
    let statement = payload.and_then(|payload| read_statement(payload).ok());
    // What cannot be read is left to the reader of model signatures, which says best what is wrong with it.
    statement.is_none_or(|(statement, _)| statement.predicate_type.starts_with("https://model_signing/"))
}

/// Verifies one file against what [`is_file_signature`] took: the signature of the file itself, or attestations of which
/// at least one is believed and has the file as subject. What a statement says of the file is not judged here.
#[must_use]
pub fn verify_file(file: &Path, bytes: &[u8], trust: &[Trust]) -> Verification {
    let mut judging = FileJudge { found: Verification::empty(), name: None, keys: &[], sigstore: None };
    judging.name = file.file_name().map(|name| name.to_string_lossy().into_owned());
    for one in trust {
        match one {
            Trust::Keys(keys) => judging.keys = keys,
            Trust::Sigstore(sigstore) => judging.sigstore = Some(sigstore),
            Trust::Certificates(_) => {}
        }
    }
    match Bundle::parse(bytes) {
        Ok(bundle) if bundle.certificate().is_some() => judging.bundle(&bundle, file),
        _ => match attestation::read(bytes) {
            Ok(all) => judging.attestations(&all, file),
            Err(error) => judging.reason(ReasonCode::Malformed, error.to_string()),
        },
    }
    judging.found.conclude()
}

struct FileJudge<'a> {
    found: Verification,
    name: Option<String>,
    keys: &'a [VerifyingKey],
    sigstore: Option<&'a SigstoreTrust>,
}

impl FileJudge<'_> {
    fn reason(&mut self, code: ReasonCode, message: impl Into<String>) {
        self.found.reasons.push(Reason { path: None, code, message: message.into() });
    }

    fn bundle(&mut self, bundle: &Bundle, file: &Path) {
        self.found.method = Some(Method::Sigstore);
        let Some(trust) = self.sigstore else {
            return self
                .reason(ReasonCode::WrongMethod, "signed by sigstore, but no trusted root and identity are given");
        };
        let Some(digest) = self.hash(file, |open| bundle.hash(open, None)) else { return };
        let name = self.name.take();
        judge(&mut self.found, bundle, Material::Artifact(&digest), trust, name.as_deref());
        self.conclude(&digest);
    }

    fn attestations(&mut self, all: &[Found], file: &Path) {
        let Some(digest) = self.hash(file, ArtifactDigest::for_statements) else { return };
        let sigstore = self.sigstore.map(|trust| (trust.root.clone(), vec![trust.identity.clone()]));
        let trust = SignerTrust { keys: self.keys.to_vec(), sigstore };
        // Keys do not end, so without Sigstore the moment decides nothing.
        let at = self.sigstore.map_or(Timestamp::MAX, |trust| trust.at);
        let (mut believed, mut refused) = (Vec::new(), Vec::new());
        for found in all {
            match found.verify(&trust, at) {
                Ok(one) if one.statement.is_about(digest.digests()) => believed.push(one),
                Ok(_) => refused.push(None),
                Err(error) => refused.push(Some(error)),
            }
        }
        match believed.first() {
            Some(one) => {
                for by in &one.signers {
                    match by {
                        SignedBy::Key { key_id } => {
                            self.found.method = Some(Method::Key);
                            self.found.signer = Some(key_id.clone());
                        }
                        SignedBy::Identity { identity, .. } => {
                            self.found.method = Some(Method::Sigstore);
                            self.found.identity = Some(identity.clone());
                        }
                    }
                }
                if !refused.is_empty() {
                    let message = format!("{} of {} attestations do not count", refused.len(), all.len());
                    self.found.warnings.push(message);
                }
            }
            None => refused.into_iter().for_each(|error| self.refused(error)),
        }
        self.conclude(&digest);
    }

    /// Why one attestation does not count; without an error it is about another file.
    fn refused(&mut self, error: Option<AttestationError>) {
        match error {
            None => {
                let message = "an attestation that is believed is about other files: no subject has this digest";
                let path = self.name.clone();
                self.found.reasons.push(Reason { path, code: ReasonCode::DigestMismatch, message: message.to_owned() });
            }
            Some(AttestationError::Sigstore(failures)) => {
                failures.all().iter().for_each(|failure| refuse(&mut self.found, failure, None));
            }
            Some(AttestationError::Untrusted) => {
                self.reason(ReasonCode::BadSignature, "no trusted key signed an attestation about this file");
            }
            Some(error @ AttestationError::NoIdentityTrusted) => {
                self.reason(ReasonCode::WrongMethod, error.to_string());
            }
            Some(error @ AttestationError::Statement(_)) => self.reason(ReasonCode::Malformed, error.to_string()),
        }
    }

    fn hash(&mut self, file: &Path, hash: impl FnOnce(File) -> io::Result<ArtifactDigest>) -> Option<ArtifactDigest> {
        let hashed = File::open(file).and_then(|open| {
            let metadata = open.metadata()?;
            match metadata.is_file() {
                true => Ok((hash(open)?, metadata.len())),
                false => Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file")),
            }
        });
        match hashed {
            Ok((digest, size)) => {
                (self.found.files, self.found.bytes) = (1, size);
                Some(digest)
            }
            Err(error) => {
                self.reason(ReasonCode::Unreadable, error.to_string());
                None
            }
        }
    }

    fn conclude(&mut self, digest: &ArtifactDigest) {
        let sha256 = digest.digests().get(Algorithm::Sha256).and_then(|hex| hex::decode(hex).ok());
        let sha256 = sha256.and_then(|bytes| Digest::new(Algorithm::Sha256, &bytes).ok());
        self.found.root_digest = sha256.filter(|_| self.found.reasons.is_empty());
    }
}
