//! From a leaf over untrusted intermediates to an authority that the caller trusts (RFC 5280, section 6).
//!
//! Path building, signatures, basic constraints, path lengths, name constraints, unknown critical extensions and
//! validity of all but the authority: rustls-webpki. What it leaves out is judged here: key usage, the purposes of
//! leaf and issuers, and everything about the authority's own certificate.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter, VerifiedPath};

use super::algorithms::ALGORITHMS;
use super::{Certificate, CertificateError, KeyUses};
use crate::shown;

/// Intermediates that a stranger may bring along. If all bear one name, every order of them is a way that has to be tried.
pub const MAX_INTERMEDIATES: usize = 8;

const CODE_SIGNING: &str = "1.3.6.1.5.5.7.3.3";
const TIME_STAMPING: &str = "1.3.6.1.5.5.7.3.8";
const ANY_PURPOSE: &str = "2.5.29.37.0";

/// What a leaf is asked to be good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Signing a model: key usage `digitalSignature`, or extended key usage `codeSigning` (OMS 1.0).
    ModelSigning,
    /// Extended key usage `codeSigning`, and key usage `digitalSignature` where there is a key usage (Fulcio).
    CodeSigning,
    /// Time stamps: extended key usage `timeStamping`, alone and critical (RFC 3161, section 2.3).
    TimeStamping,
}

/// The authorities that a caller trusts. Each is an end of its own: an intermediate named here needs no root above it.
#[derive(Clone, Debug, Default)]
pub struct Roots {
    certificates: Vec<Certificate>,
    anchors: Vec<TrustAnchor<'static>>,
}

/// A chain that holds: the leaf, its issuers, and last the authority that the caller trusts.
#[derive(Clone, Debug)]
pub struct Chain {
    certificates: Vec<Certificate>,
}

impl Chain {
    /// Leaf first, trusted authority last. Alone when the caller trusts the very leaf.
    #[must_use]
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// Who issued the leaf; `None` when the caller trusts the very leaf.
    #[must_use]
    pub fn issuer(&self) -> Option<&Certificate> {
        self.certificates.get(1)
    }
}

impl Roots {
    /// Trusts these certificates. Which of them are authorities is judged when a chain ends at one.
    ///
    /// # Errors
    /// [`CertificateError`] when one cannot be used as the end of a chain.
    pub fn new(certificates: Vec<Certificate>) -> Result<Self, CertificateError> {
        let mut anchors = Vec::with_capacity(certificates.len());
        for certificate in &certificates {
            let der = CertificateDer::from(certificate.der());
            let anchor = webpki::anchor_from_trusted_cert(&der)
                .map_err(|e| CertificateError::Malformed(format!("{}: {e:?}", shown(&certificate.subject()))))?;
            anchors.push(anchor.to_owned());
        }
        Ok(Self { certificates, anchors })
    }

    /// The trusted certificates.
    #[must_use]
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// Follows `leaf` over any of `intermediates`, in any order, to one of these authorities, all valid at `at` and
    /// fit for `purpose`. Of several ways the first that holds is taken.
    ///
    /// # Errors
    /// [`ChainError`]. A chain that only time speaks against is [`ChainError::Expired`] or
    /// [`ChainError::NotYetValid`]; one that would not be trusted at any time is [`ChainError::Untrusted`].
    pub fn verify(
        &self,
        leaf: &Certificate,
        intermediates: &[Certificate],
        purpose: Purpose,
        at: Timestamp,
    ) -> Result<Chain, ChainError> {
        if intermediates.len() > MAX_INTERMEDIATES {
            return Err(ChainError::Untrusted(format!("more than {MAX_INTERMEDIATES} intermediate certificates")));
        }
        let found = match self.path(leaf, intermediates, purpose, at) {
            // Told only when it is all that is wrong: a stranger's expired certificate is a stranger's.
            Err(of_time) if of_time.is_of_time() => match self.path(leaf, intermediates, purpose, leaf.not_before()) {
                Err(other) if !other.is_of_time() => return Err(other),
                _ => {
                    purpose.check(leaf)?;
                    return Err(of_time);
                }
            },
            other => other?,
        };
        purpose.check(leaf)?;
        Ok(found)
    }

    fn path(
        &self,
        leaf: &Certificate,
        intermediates: &[Certificate],
        purpose: Purpose,
        at: Timestamp,
    ) -> Result<Chain, ChainError> {
        // Whoever is trusted by name needs nobody to vouch for them.
        if leaf.is_self_issued() && self.certificates.contains(leaf) {
            within_validity(leaf, at)?;
            return Ok(Chain { certificates: vec![leaf.clone()] });
        }
        let der = CertificateDer::from(leaf.der());
        let entity = EndEntityCert::try_from(&der).map_err(|e| translate(&e, &[leaf]))?;
        let others: Vec<CertificateDer<'_>> = intermediates.iter().map(|one| CertificateDer::from(one.der())).collect();
        let seconds = u64::try_from(at.as_second())
            .map_err(|_| ChainError::Untrusted("certificates cannot be judged before 1970".to_owned()))?;
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let judge = Judge { roots: self, purpose, at, root: Cell::new(None), refusal: RefCell::new(None) };
        let accept = |path: &VerifiedPath<'_>| judge.accept(path);
        let path = entity
            .verify_for_usage(&ALGORITHMS, &self.anchors, &others, time, AnyPurpose, None, Some(&accept))
            .map_err(|error| {
                judge.refusal.take().unwrap_or_else(|| {
                    let met: Vec<&Certificate> = std::iter::once(leaf).chain(intermediates).collect();
                    translate(&error, &met)
                })
            })?;
        let mut certificates = vec![leaf.clone()];
        for issuer in path.intermediate_certificates() {
            let issuer = issuer.der();
            certificates.extend(intermediates.iter().find(|one| one.der() == issuer.as_ref()).cloned());
        }
        certificates.extend(judge.root.get().and_then(|i| self.certificates.get(i)).cloned());
        Ok(Chain { certificates })
    }
}

impl Purpose {
    /// What the leaf itself has to say.
    pub(crate) fn check(self, leaf: &Certificate) -> Result<(), ChainError> {
        let uses = leaf.uses().map_err(|e| ChainError::Untrusted(e.to_string()))?;
        let missing = match self {
            Self::ModelSigning if uses.digital_signature == Some(true) || uses.has(CODE_SIGNING) => return Ok(()),
            Self::ModelSigning => "has neither key usage digitalSignature nor extended key usage codeSigning",
            Self::CodeSigning if !uses.has(CODE_SIGNING) => "has no extended key usage codeSigning",
            Self::CodeSigning if uses.digital_signature == Some(false) => "has a key usage without digitalSignature",
            Self::TimeStamping if uses.purposes != [TIME_STAMPING] || !uses.purposes_critical => {
                "does not have timeStamping as its only, critical extended key usage"
            }
            Self::CodeSigning | Self::TimeStamping => return Ok(()),
        };
        Err(ChainError::KeyUsage(format!("the certificate of {} {missing}", shown(&leaf.subject()))))
    }

    /// An authority that is limited to other purposes cannot vouch for this one.
    fn within(self, issuer: &KeyUses) -> bool {
        let own = match self {
            Self::ModelSigning | Self::CodeSigning => CODE_SIGNING,
            Self::TimeStamping => TIME_STAMPING,
        };
        issuer.purposes.is_empty() || issuer.has(own) || issuer.has(ANY_PURPOSE)
    }
}

/// Judges what the library leaves out, for each way that it finds.
struct Judge<'a> {
    roots: &'a Roots,
    purpose: Purpose,
    at: Timestamp,
    root: Cell<Option<usize>>,
    refusal: RefCell<Option<ChainError>>,
}

impl Judge<'_> {
    fn accept(&self, path: &VerifiedPath<'_>) -> Result<(), Error> {
        let outcome = self.judge(path);
        match outcome {
            Ok(root) => {
                self.root.set(Some(root));
                self.refusal.replace(None);
                Ok(())
            }
            Err(refusal) => {
                self.refusal.replace(Some(refusal));
                Err(Error::UnknownIssuer)
            }
        }
    }

    fn judge(&self, path: &VerifiedPath<'_>) -> Result<usize, ChainError> {
        let mut below = 0;
        for issuer in path.intermediate_certificates() {
            let issuer = Certificate::from_der(&issuer.der()).map_err(|e| ChainError::Untrusted(e.to_string()))?;
            self.issuer(&issuer, below)?;
            below += 1;
        }
        // Two certificates of one authority have the same name and key; the library says which one it took.
        let root = self.roots.anchors.iter().position(|anchor| std::ptr::eq(anchor, path.anchor()));
        let Some((root, certificate)) = root.and_then(|i| Some((i, self.roots.certificates.get(i)?))) else {
            return Err(ChainError::Untrusted("the chain ends at an authority that is not trusted".to_owned()));
        };
        self.issuer(certificate, below)?;
        within_validity(certificate, self.at)?;
        Ok(root)
    }

    /// An issuer with `below` other authorities under it.
    fn issuer(&self, issuer: &Certificate, below: usize) -> Result<(), ChainError> {
        let uses = issuer.uses().map_err(|e| ChainError::Untrusted(e.to_string()))?;
        let name = issuer.subject();
        let name = shown(&name);
        if !uses.authority {
            return Err(ChainError::Untrusted(format!("{name} is no authority (basic constraints)")));
        }
        if uses.certificates == Some(false) {
            return Err(ChainError::Untrusted(format!("{name} may not sign certificates (key usage)")));
        }
        if uses.path_length.is_some_and(|most| below > usize::from(most)) {
            return Err(ChainError::Untrusted(format!(
                "{name} has more authorities below it than it may (path length)"
            )));
        }
        if !self.purpose.within(&uses) {
            return Err(ChainError::KeyUsage(format!("{name} may not vouch for this purpose (extended key usage)")));
        }
        Ok(())
    }
}

fn within_validity(certificate: &Certificate, at: Timestamp) -> Result<(), ChainError> {
    let subject = certificate.subject();
    if at < certificate.not_before() {
        return Err(ChainError::NotYetValid { subject, not_before: certificate.not_before(), at });
    }
    if at > certificate.not_after() {
        return Err(ChainError::Expired { subject, not_after: certificate.not_after(), at });
    }
    Ok(())
}

/// The library asks for one purpose of leaf and issuers alike; ours differ, so it only sees that they can be read.
struct AnyPurpose;

impl ExtendedKeyUsageValidator for AnyPurpose {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        for purpose in purposes {
            purpose?;
        }
        Ok(())
    }
}

/// Names the certificate that an error is about, where its time tells which.
fn translate(error: &Error, met: &[&Certificate]) -> ChainError {
    let time = |time: &UnixTime| {
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
    };
    let who = |fits: &dyn Fn(&Certificate) -> bool| {
        met.iter().find(|one| fits(one)).map(|one| one.subject()).unwrap_or_default()
    };
    match error {
        Error::CertExpired { time: at, not_after } => {
            let not_after = time(not_after);
            ChainError::Expired { subject: who(&|one| one.not_after() == not_after), not_after, at: time(at) }
        }
        Error::CertNotValidYet { time: at, not_before } => {
            let not_before = time(not_before);
            ChainError::NotYetValid { subject: who(&|one| one.not_before() == not_before), not_before, at: time(at) }
        }
        Error::UnknownIssuer => ChainError::Untrusted(match met.first() {
            Some(leaf) => format!("no chain leads from {} to a trusted authority", shown(&leaf.subject())),
            None => "no chain leads to a trusted authority".to_owned(),
        }),
        Error::CaUsedAsEndEntity => {
            ChainError::Untrusted("the signer's certificate is that of an authority".to_owned())
        }
        Error::EndEntityUsedAsCa => ChainError::Untrusted("an issuer is no authority (basic constraints)".to_owned()),
        Error::PathLenConstraintViolated => {
            ChainError::Untrusted("an authority has more authorities below it than it may (path length)".to_owned())
        }
        Error::InvalidSignatureForPublicKey => {
            ChainError::Untrusted("a certificate is not signed by the issuer it names".to_owned())
        }
        Error::UnsupportedCriticalExtension => {
            ChainError::Untrusted("a certificate has a critical extension that is not understood".to_owned())
        }
        other => ChainError::Untrusted(format!("the chain does not hold: {other:?}")),
    }
}

/// Why a chain was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// It does not lead to a trusted authority, or an issuer on the way may not issue.
    #[error("{0}")]
    Untrusted(String),
    /// The key is meant for something else.
    #[error("{0}")]
    KeyUsage(String),
    /// It was valid once.
    #[error("the certificate of {} ended on {not_after}, and it is judged at {at}", shown(subject))]
    Expired {
        /// Whose certificate.
        subject: String,
        /// Its last second.
        not_after: Timestamp,
        /// The moment for which it was asked.
        at: Timestamp,
    },
    /// It will be valid.
    #[error("the certificate of {} begins on {not_before}, and it is judged at {at}", shown(subject))]
    NotYetValid {
        /// Whose certificate.
        subject: String,
        /// Its first second.
        not_before: Timestamp,
        /// The moment for which it was asked.
        at: Timestamp,
    },
    /// An algorithm or kind of key that is not handled.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// A signature is not the one of the certificate's key.
    #[error("the signature is not by the key of the certificate")]
    BadSignature,
}

impl ChainError {
    fn is_of_time(&self) -> bool {
        matches!(self, Self::Expired { .. } | Self::NotYetValid { .. })
    }
}
