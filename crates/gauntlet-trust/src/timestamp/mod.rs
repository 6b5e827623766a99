//! Time stamps (RFC 3161): an authority's signature that says when some bytes were already there.
//!
//! A time stamp outlives the certificate whose signature it covers. It is believed only under authorities that the
//! caller names.

mod cms;
mod request;
mod tst;

use der::asn1::ObjectIdentifier;
use der::{AnyRef, Tag, Tagged as _};
use jiff::Timestamp;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::x509::{Certificate, CertificateError, ChainError, Hash, MAX_INTERMEDIATES, Purpose, Roots, verify_signed};
use cms::{SignedData, SignerInfo};
use tst::TstInfo;

pub use request::{Request, fetch};

/// Bytes of the largest time stamp that is read; real ones have about 6 KB.
pub const MAX_TOKEN_BYTES: usize = 64 << 10;

/// The time stamping authorities that a caller trusts.
#[derive(Clone, Debug, Default)]
pub struct Authorities {
    /// Where their chains end.
    pub roots: Roots,
    /// Further certificates, for time stamps that do not bring along those of their authority.
    pub certificates: Vec<Certificate>,
}

impl Authorities {
    /// Trusts these certificates: those of authorities as ends of chains, others (those of the stamping units
    /// themselves) as members of one.
    ///
    /// # Errors
    /// [`CertificateError`] when one cannot be used, or when none can end a chain.
    pub fn new(certificates: Vec<Certificate>) -> Result<Self, CertificateError> {
        let (mut ends, mut members) = (Vec::new(), Vec::new());
        for certificate in certificates {
            let end = certificate.uses()?.authority || certificate.is_self_issued();
            if end { ends.push(certificate) } else { members.push(certificate) }
        }
        if ends.is_empty() {
            let what = "none is the certificate of an authority, where the chain of a time stamp could end";
            return Err(CertificateError::Malformed(what.to_owned()));
        }
        Ok(Self { roots: Roots::new(ends)?, certificates: members })
    }
}

/// What a verified time stamp says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// When the stamped bytes were already there.
    pub time: Timestamp,
    /// Subject of the certificate that stamped (RFC 4514).
    pub authority: String,
    /// The policy of the authority, in dots.
    pub policy: String,
    /// The number of the stamp, lower-case hex.
    pub serial: String,
}

/// Verifies a time stamp over `message`: a bare token, or the whole answer of an authority.
///
/// The chain of the authority is judged at the time that the stamp names, since a stamp is worth most when the
/// certificates have ended.
///
/// # Errors
/// [`TimeStampError`] says which step failed: reading, the stamped bytes, the signature, the signer's certificate or
/// its chain.
pub fn verify(token: &[u8], message: &[u8], authorities: &Authorities) -> Result<Stamp, TimeStampError> {
    let signed = SignedData::parse(token)?;
    let info = TstInfo::parse(signed.content)?;
    info.covers(message)?;
    let certificate = signer(&signed, authorities)?;
    check_attributes(&signed.signer, signed.content, certificate)?;
    let attributes = signed.signer.attributes_der()?;
    verify_signed(certificate, signed.signer.algorithm, signed.signer.hash, &attributes, signed.signer.signature)
        .map_err(TimeStampError::Signature)?;
    let mut between: Vec<Certificate> = authorities
        .certificates
        .iter()
        .chain(&signed.certificates)
        .filter(|one| *one != certificate)
        .cloned()
        .collect();
    // Roots inside a token lead nowhere; and the caller's own come first, so nothing of them is cut off.
    between.retain(|one| !one.is_self_issued());
    between.truncate(MAX_INTERMEDIATES);
    authorities.roots.verify(certificate, &between, Purpose::TimeStamping, info.time).map_err(TimeStampError::Chain)?;
    Ok(Stamp { time: info.time, authority: certificate.subject(), policy: info.policy, serial: info.serial })
}

/// The certificate that the signer of a token names, from the token or from the caller.
fn signer<'a>(signed: &'a SignedData<'_>, authorities: &'a Authorities) -> Result<&'a Certificate, TimeStampError> {
    let known = signed.certificates.iter().chain(&authorities.certificates).chain(authorities.roots.certificates());
    let mut known = known.filter(|one| signed.signer.names(one));
    known.next().ok_or(TimeStampError::NoCertificate)
}

const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.12");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");

/// RFC 5652, section 5.3 and RFC 3161, section 2.4.2: what must be among the signed attributes, and fit.
fn check_attributes(signer: &SignerInfo<'_>, content: &[u8], certificate: &Certificate) -> Result<(), TimeStampError> {
    let wrong = TimeStampError::Attributes;
    let kind = signer.attribute(CONTENT_TYPE)?.ok_or(wrong("no content type is signed"))?;
    if kind.decode_as::<ObjectIdentifier>().ok() != Some(cms::TST_INFO) {
        return Err(wrong("the signed content type is not that of a time stamp"));
    }
    let digest = signer.attribute(MESSAGE_DIGEST)?.ok_or(wrong("no message digest is signed"))?;
    let digest =
        digest.decode_as::<der::asn1::OctetStringRef<'_>>().map_err(|_| wrong("the message digest is malformed"))?;
    if digest.as_bytes() != signer.hash.of(content) {
        return Err(wrong("the signed message digest is not that of the content"));
    }
    let (one, two) = (signer.attribute(SIGNING_CERTIFICATE)?, signer.attribute(SIGNING_CERTIFICATE_V2)?);
    if one.is_none() && two.is_none() {
        return Err(wrong("no signing certificate is named"));
    }
    let other = || wrong("the signing certificate it names is another one");
    if let Some(attribute) = one {
        let named = first_ess_id(attribute)?;
        let hash = named.first().map(|hash| hash.value()).unwrap_or_default();
        if hash != Sha1::digest(certificate.der()).as_slice() {
            return Err(other());
        }
    }
    if let Some(attribute) = two {
        let named = first_ess_id(attribute)?;
        // ESSCertIDv2: the hash algorithm stands in front when it is not SHA-256 (RFC 5035, section 4).
        let (hash, value) = match named.as_slice() {
            [value, ..] if value.tag() == Tag::OctetString => {
                (Sha256::digest(certificate.der()).to_vec(), value.value())
            }
            [algorithm, value, ..] => {
                let algorithm = cms::algorithm(*algorithm)?;
                let hash =
                    Hash::from_oid(algorithm).ok_or(wrong("the signing certificate is named by an unknown hash"))?;
                (hash.of(certificate.der()), value.value())
            }
            _ => return Err(wrong("the named signing certificate is malformed")),
        };
        if hash != value {
            return Err(other());
        }
    }
    Ok(())
}

/// The parts of the first ESSCertID of a signing certificate attribute: it is the signer's own.
fn first_ess_id(attribute: AnyRef<'_>) -> Result<Vec<AnyRef<'_>>, TimeStampError> {
    let wrong = TimeStampError::Attributes("the named signing certificate is malformed");
    let outer = cms::sequence(attribute)?;
    let ids = outer.first().ok_or(wrong)?;
    let ids = cms::elements_of_sequence(*ids, cms::MAX_CERTIFICATES)?;
    cms::sequence(*ids.first().ok_or(TimeStampError::Attributes("no signing certificate is named"))?)
}

/// Why a time stamp does not count.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TimeStampError {
    /// Not the encoding of a time stamp.
    #[error("not a time stamp: {0}")]
    Malformed(String),
    /// Something that is not handled.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// The authority did not stamp.
    #[error("the authority refused: {0}")]
    Refused(String),
    /// It is over other bytes.
    #[error("the time stamp is over something else")]
    OtherMessage,
    /// It answers another request.
    #[error("the time stamp answers another request (its nonce differs)")]
    OtherRequest,
    /// What is signed about the content does not fit it.
    #[error("{0}")]
    Attributes(&'static str),
    /// Nobody knows the certificate of the signer.
    #[error("the certificate of the time stamping authority is not there")]
    NoCertificate,
    /// The signature is not by that certificate's key.
    #[error("{0}")]
    Signature(#[source] ChainError),
    /// That certificate does not lead to a trusted time stamping authority.
    #[error("its authority: {0}")]
    Chain(#[source] ChainError),
    /// The authority could not be reached or did not answer with a time stamp.
    #[error("{0}")]
    Network(String),
}

impl From<der::Error> for TimeStampError {
    fn from(error: der::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}
