//! Judging a bundle: signature, log entries, moment, certificate chain, certificate log, identity. Every failure is told,
//! not only the first.

use jiff::Timestamp;
use serde::Serialize;

use super::bundle::{Bundle, Content, Signer};
use super::{ArtifactDigest, Failure, Failures, Identity, Reason, SignerIdentity, TrustedRoot, body, entry, sct};
use crate::dsse::IN_TOTO;
use crate::keys::VerifyingKey;
use crate::shown;
use crate::statement::StatementError;
use crate::timestamp;
use crate::x509::{Certificate, Chain, ChainError, Purpose};

/// Whose signature counts.
#[derive(Clone, Debug)]
pub enum Who {
    /// A certificate of the trusted root's authorities for this identity.
    Identity(Identity),
    /// This key, for bundles that were signed without a certificate.
    Key(Box<VerifyingKey>),
}

/// What the bundle has to be about.
#[derive(Clone, Copy, Debug)]
pub enum Material<'a> {
    /// An artifact: signed itself, or the subject of the signed in-toto statement.
    Artifact(&'a ArtifactDigest),
    /// Whatever the envelope in the bundle says; the caller judges that.
    Envelope,
}

/// A bundle that holds.
#[derive(Clone, Debug, Serialize)]
pub struct Verified<'b> {
    /// Who signed; absent when a key was asked for.
    pub signer: Option<SignerIdentity>,
    /// Lower-case hex SHA-256 over the signer's certificate.
    pub certificate: Option<String>,
    /// Key id of the key that signed.
    pub key_id: String,
    /// The earliest moment at which the signature is known to have been there.
    pub time: Option<Timestamp>,
    /// Number of the entry in its log.
    pub log_index: Option<u64>,
    /// Payload type and payload, when the bundle carries an envelope.
    #[serde(skip)]
    pub payload: Option<(&'b str, &'b [u8])>,
    /// What a person should know although it changes no verdict.
    pub warnings: Vec<String>,
}

/// Judges `bundle` by `root` and `who`, as of `at`: what claims to be from later does not count. Nothing is fetched.
///
/// # Errors
/// [`Failures`]: everything that speaks against it.
pub fn verify<'b>(
    bundle: &'b Bundle,
    root: &TrustedRoot,
    who: &Who,
    material: Material<'_>,
    at: Timestamp,
) -> Result<Verified<'b>, Failures> {
    let key = signing_key(bundle, who)?;
    let mut judge = Judge { root, at, failures: Vec::new(), warnings: Vec::new() };
    let signature = judge.content(bundle, &key, material)?;
    let mut moments = judge.time_stamps(bundle, signature);
    let promised = judge.entries(bundle, &key, signature, material, &moments);
    moments.extend(promised);
    let mut verified = Verified {
        signer: None,
        certificate: None,
        key_id: key.key_id(),
        time: moments.iter().min().copied(),
        log_index: bundle.entries.first().map(|entry| entry.index),
        payload: bundle.envelope().map(|one| (one.unverified_payload_type(), one.unverified_payload())),
        warnings: Vec::new(),
    };
    if let (Signer::Certificate(leaf), Who::Identity(identity)) = (&bundle.signer, who) {
        judge.certificate(leaf, &moments);
        match SignerIdentity::of(leaf) {
            Ok(signer) => {
                judge.failures.extend(identity.judge(&signer));
                verified.signer = Some(signer);
            }
            Err(failure) => judge.failures.push(failure),
        }
        verified.certificate = Some(leaf.fingerprint());
    }
    if judge.failures.is_empty() {
        verified.warnings = judge.warnings;
        Ok(verified)
    } else {
        Err(Failures(judge.failures))
    }
}

/// The key that has to have signed: that of the certificate, or the caller's own. A key in the bundle is never taken.
fn signing_key(bundle: &Bundle, who: &Who) -> Result<VerifyingKey, Failure> {
    match (&bundle.signer, who) {
        (Signer::Certificate(leaf), Who::Identity(_)) => {
            leaf.public_key().map_err(|e| Failure::new(Reason::Unsupported, format!("the signer's certificate: {e}")))
        }
        (Signer::Key, Who::Key(key)) => Ok(key.as_ref().clone()),
        (Signer::Certificate(_), Who::Key(_)) => {
            Err(Failure::new(Reason::WrongType, "signed with a certificate, but a key is trusted here"))
        }
        (Signer::Key, Who::Identity(_)) => {
            Err(Failure::new(Reason::WrongType, "signed with a bare key, but an identity is asked for"))
        }
    }
}

struct Judge<'a> {
    root: &'a TrustedRoot,
    at: Timestamp,
    failures: Vec<Failure>,
    warnings: Vec<String>,
}

impl Judge<'_> {
    fn fail(&mut self, reason: Reason, message: impl Into<String>) {
        self.failures.push(Failure::new(reason, message));
    }

    /// Judges signature and artifact, and hands out the signature's bytes.
    fn content<'b>(
        &mut self,
        bundle: &'b Bundle,
        key: &VerifyingKey,
        material: Material<'_>,
    ) -> Result<&'b [u8], Failure> {
        match (&bundle.content, material) {
            (Content::Message { digest, signature }, Material::Artifact(artifact)) => {
                if let Some((algorithm, digest)) = digest {
                    self.message_digest(algorithm, digest, artifact);
                }
                let held =
                    [&artifact.signed, &artifact.sha256].iter().any(|digest| key.verify_digest(digest, signature));
                if !held {
                    self.fail(Reason::BadSignature, "the signature is not by the signer's key over this artifact");
                }
                Ok(signature)
            }
            (Content::Message { .. }, Material::Envelope) => {
                Err(Failure::new(Reason::WrongType, "the bundle signs an artifact and carries no statement"))
            }
            (Content::Envelope(envelope), material) => {
                let signature = envelope.signatures().first().map(|one| one.bytes.as_slice()).unwrap_or_default();
                if envelope.signature_by(key).is_none() {
                    self.fail(Reason::BadSignature, "the signature is not by the signer's key over this envelope");
                }
                if let Material::Artifact(artifact) = material {
                    self.subject(envelope.unverified_payload_type(), envelope.unverified_payload(), artifact);
                }
                Ok(signature)
            }
        }
    }

    /// What the bundle says about the artifact; worth nothing by itself, but it may not be wrong.
    fn message_digest(&mut self, algorithm: &str, digest: &[u8], artifact: &ArtifactDigest) {
        let expected = match (algorithm, artifact.signed.len()) {
            ("SHA2_256", _) => &artifact.sha256,
            ("SHA2_384", 48) | ("SHA2_512", 64) => &artifact.signed,
            _ => {
                return self
                    .fail(Reason::Unsupported, format!("a message digest by {} is not handled", shown(algorithm)));
            }
        };
        if expected != digest {
            self.fail(Reason::WrongArtifact, "the bundle is about another artifact: its message digest differs");
        }
    }

    fn subject(&mut self, payload_type: &str, payload: &[u8], artifact: &ArtifactDigest) {
        if payload_type != IN_TOTO {
            return self
                .fail(Reason::WrongType, format!("payload type {} is no in-toto statement", shown(payload_type)));
        }
        let statement = crate::attestation::read_statement(payload);
        match statement {
            Ok((statement, _)) if statement.is_about(artifact.digests()) => {}
            Ok(_) => {
                self.fail(Reason::WrongArtifact, "the statement is about other artifacts: no subject has this digest");
            }
            Err(StatementError::Type { what, found }) => {
                self.fail(Reason::WrongType, format!("the {what} type {} is not handled", shown(&found)));
            }
            Err(error) => self.fail(Reason::Malformed, format!("the signed statement: {error}")),
        }
    }

    /// The moments that time stamping authorities of the trusted root vouch for. Other stamps say nothing.
    fn time_stamps(&mut self, bundle: &Bundle, signature: &[u8]) -> Vec<Timestamp> {
        let mut moments = Vec::new();
        for token in &bundle.time_stamps {
            let mut refusal = "no time stamping authority is in the trusted root".to_owned();
            let found = self.root.time_stamping.iter().find_map(|one| {
                match timestamp::verify(token, signature, &one.authorities) {
                    Ok(stamp) if !one.window.holds(stamp.time) => {
                        refusal = format!("{} is outside the time of its authority", stamp.time);
                        None
                    }
                    Ok(stamp) if one.unit.as_ref().is_some_and(|unit| *unit != stamp.authority) => {
                        refusal = format!("{} is not the authority of the trusted root", shown(&stamp.authority));
                        None
                    }
                    Ok(stamp) => Some(stamp.time),
                    Err(error) => {
                        refusal = error.to_string();
                        None
                    }
                }
            });
            match found {
                Some(time) if time > self.at => {
                    self.warnings.push(format!("a time stamp of {time} does not count: it lies in the future"));
                }
                Some(time) => moments.push(time),
                None => self.warnings.push(format!("a time stamp does not count: {refusal}")),
            }
        }
        moments
    }

    /// Judges all log entries, and tells when the logs say to have taken them.
    fn entries(
        &mut self,
        bundle: &Bundle,
        key: &VerifyingKey,
        signature: &[u8],
        material: Material<'_>,
        moments: &[Timestamp],
    ) -> Vec<Timestamp> {
        if bundle.entries.is_empty() && self.root.names_logs() {
            self.fail(Reason::NoLogEntry, "the signature is in no transparency log");
        }
        let by = match &bundle.signer {
            Signer::Certificate(leaf) => body::By::Certificate(leaf),
            Signer::Key => body::By::Key(key),
        };
        let what = match (&bundle.content, material) {
            (Content::Envelope(envelope), _) => body::What::Envelope(envelope),
            (Content::Message { .. }, Material::Artifact(artifact)) => body::What::Artifact(artifact, key.kind()),
            (Content::Message { .. }, Material::Envelope) => return Vec::new(),
        };
        let signed = body::Signed { signature, by, what };
        let mut promised = Vec::new();
        for one in &bundle.entries {
            self.failures.extend(body::check(one, &signed).err());
            let (time, failures) = entry::check(one, bundle.version, &self.root.logs, moments);
            self.failures.extend(failures);
            match time {
                Some(time) if time > self.at => {
                    self.warnings.push(format!("the log's time {time} does not count: it lies in the future"));
                }
                Some(time) => promised.push(time),
                None => {}
            }
        }
        promised
    }

    /// The chain has to hold at every known moment; without one, what else is wrong with it is told all the same.
    fn certificate(&mut self, leaf: &Certificate, moments: &[Timestamp]) {
        let mut chain = None;
        if moments.is_empty() {
            let mut message = "nothing that is trusted says when the signature was made".to_owned();
            for warning in &self.warnings {
                message = format!("{message}; {warning}");
            }
            self.fail(Reason::NoTime, message);
            chain = self.chain(leaf, leaf.not_before());
        }
        for time in moments {
            chain = self.chain(leaf, *time).or(chain);
        }
        let Some(chain) = chain else { return };
        if self.root.certificate_logs.is_empty() {
            self.warnings
                .push("the trusted root names no certificate log: none was asked about the certificate".to_owned());
            return;
        }
        let checked = match chain.issuer() {
            Some(issuer) => sct::check(leaf, issuer, &self.root.certificate_logs),
            None => Err(Failure::new(Reason::UntrustedChain, "the signer's certificate is its own authority")),
        };
        self.failures.extend(checked.err());
    }

    fn chain(&mut self, leaf: &Certificate, time: Timestamp) -> Option<Chain> {
        let mut refusal = None;
        for authority in self.root.authorities.iter().filter(|one| one.window.holds(time)) {
            match authority.roots.verify(leaf, &authority.intermediates, Purpose::CodeSigning, time) {
                Ok(chain) => return Some(chain),
                // Of several authorities, the one that knows the certificate says best what is wrong with it.
                Err(error) if refusal.is_none() || !matches!(error, ChainError::Untrusted(_)) => refusal = Some(error),
                Err(_) => {}
            }
        }
        let failure = match refusal {
            Some(error) => Failure::from(error),
            None => {
                let message = format!("the trusted root names no certificate authority that counted at {time}");
                Failure::new(Reason::UntrustedChain, message)
            }
        };
        self.failures.push(failure);
        None
    }
}
