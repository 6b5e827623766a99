//! The signed message around a time stamp (CMS SignedData, RFC 5652), read in place.
//!
//! Not through the types of the `cms` crate: they sort every set while reading, with a number of comparisons that is
//! the square of its size, and a stranger chooses the size.

use der::asn1::{ObjectIdentifier, OctetStringRef};
use der::{AnyRef, Decode as _, Encode as _, Reader as _, SliceReader, Tag, TagNumber, Tagged as _};

use super::{MAX_TOKEN_BYTES, TimeStampError};
use crate::x509::{Certificate, Hash};

/// Content type of what is stamped: `id-ct-TSTInfo`.
pub(super) const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");

/// Members of any structure in a token.
const MAX_MEMBERS: usize = 64;
/// Certificates in a token.
pub(super) const MAX_CERTIFICATES: usize = 8;

/// A message with one signer.
pub(super) struct SignedData<'a> {
    /// The bytes of the TSTInfo.
    pub(super) content: &'a [u8],
    /// Certificates that the message brings along; those that are none of X.509 are left out.
    pub(super) certificates: Vec<Certificate>,
    pub(super) signer: SignerInfo<'a>,
}

/// Who signed, and what.
pub(super) struct SignerInfo<'a> {
    id: AnyRef<'a>,
    pub(super) hash: Hash,
    attributes: Vec<AnyRef<'a>>,
    pub(super) algorithm: ObjectIdentifier,
    pub(super) signature: &'a [u8],
}

impl<'a> SignedData<'a> {
    /// Reads a token, alone or inside the answer of an authority.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, TimeStampError> {
        if bytes.len() > MAX_TOKEN_BYTES {
            return Err(TimeStampError::Malformed(format!("more than {MAX_TOKEN_BYTES} bytes")));
        }
        let outer = sequence(AnyRef::from_der(bytes)?)?;
        let token = match outer.first().map(|first| first.tag()) {
            Some(Tag::ObjectIdentifier) => outer,
            Some(Tag::Sequence) => sequence(granted(&outer)?)?,
            _ => return Err(malformed("neither a token nor an answer")),
        };
        let [kind, content] = token.as_slice() else { return Err(malformed("not a content info")) };
        if kind.decode_as::<ObjectIdentifier>()? != SIGNED_DATA {
            return Err(malformed("not signed data"));
        }
        let content = explicit(*content, 0)?;
        Self::members(&sequence(content)?)
    }

    fn members(members: &[AnyRef<'a>]) -> Result<Self, TimeStampError> {
        let [_version, _hashes, content, rest @ ..] = members else {
            return Err(malformed("signed data is cut short"));
        };
        let content = match sequence(*content)?.as_slice() {
            [kind, content] if kind.decode_as::<ObjectIdentifier>()? == TST_INFO => explicit(*content, 0)?,
            _ => return Err(malformed("what is signed is no time stamp")),
        };
        let content = content.decode_as::<OctetStringRef<'_>>()?.as_bytes();
        let mut certificates = Vec::new();
        let mut signers = None;
        for member in rest {
            match member.tag() {
                tag if is_context(tag, 0) => {
                    for one in elements(member.value(), MAX_CERTIFICATES)? {
                        // Other kinds and damaged ones vouch for nothing.
                        certificates.extend(Certificate::from_der(&one.to_der()?));
                    }
                }
                // Revocation lists: not judged.
                tag if is_context(tag, 1) => {}
                Tag::Set if signers.is_none() => signers = Some(elements(member.value(), MAX_MEMBERS)?),
                _ => return Err(malformed("signed data has a member that does not belong there")),
            }
        }
        match signers.as_deref() {
            Some([signer]) => Ok(Self { content, certificates, signer: SignerInfo::parse(*signer)? }),
            _ => Err(malformed("a time stamp has exactly one signer")),
        }
    }
}

impl<'a> SignerInfo<'a> {
    fn parse(signer: AnyRef<'a>) -> Result<Self, TimeStampError> {
        let members = sequence(signer)?;
        // Without signed attributes nothing would bind the kind of the content.
        let [_version, id, hash, attributes, signed_by, signature, ..] = members.as_slice() else {
            return Err(malformed("the signer lacks signed attributes"));
        };
        if !is_context(attributes.tag(), 0) {
            return Err(malformed("the signer lacks signed attributes"));
        }
        let named = algorithm(*hash)?;
        let hash = Hash::from_oid(named).ok_or_else(|| TimeStampError::Unsupported(format!("hash {named}")))?;
        Ok(Self {
            id: *id,
            hash,
            attributes: elements(attributes.value(), MAX_MEMBERS)?,
            algorithm: algorithm(*signed_by)?,
            signature: signature.decode_as::<OctetStringRef<'_>>()?.as_bytes(),
        })
    }

    /// Whether this is the certificate that the signer names: by issuer and serial number, or by key identifier.
    pub(super) fn names(&self, certificate: &Certificate) -> bool {
        let tbs = &certificate.parsed().tbs_certificate;
        if is_context(self.id.tag(), 0) {
            let own = certificate.extension(SUBJECT_KEY_IDENTIFIER).map(|(value, _)| value);
            return own
                .is_some_and(|own| OctetStringRef::from_der(own).is_ok_and(|own| own.as_bytes() == self.id.value()));
        }
        let Ok(members) = sequence(self.id) else { return false };
        let [issuer, serial] = members.as_slice() else { return false };
        let same = |named: &AnyRef<'_>, own: der::Result<Vec<u8>>| {
            named.to_der().is_ok_and(|named| own.is_ok_and(|own| named == own))
        };
        same(issuer, tbs.issuer.to_der()) && same(serial, tbs.serial_number.to_der())
    }

    /// The one value of a signed attribute; `None` when it is not there.
    pub(super) fn attribute(&self, kind: ObjectIdentifier) -> Result<Option<AnyRef<'a>>, TimeStampError> {
        let mut found = None;
        for attribute in &self.attributes {
            let members = sequence(*attribute)?;
            let [name, values] = members.as_slice() else { return Err(malformed("a signed attribute is malformed")) };
            if name.decode_as::<ObjectIdentifier>()? != kind {
                continue;
            }
            let values = match values.tag() {
                Tag::Set => elements(values.value(), MAX_MEMBERS)?,
                _ => return Err(malformed("a signed attribute is malformed")),
            };
            let ([value], None) = (values.as_slice(), found) else {
                return Err(malformed("a signed attribute has several values"));
            };
            found = Some(*value);
        }
        Ok(found)
    }

    /// What is signed: the attributes as a DER SET OF, whatever order they came in (RFC 5652, section 5.4).
    pub(super) fn attributes_der(&self) -> Result<Vec<u8>, TimeStampError> {
        let mut each = self.attributes.iter().map(|one| one.to_der()).collect::<Result<Vec<_>, _>>()?;
        each.sort();
        Ok(AnyRef::new(Tag::Set, &each.concat())?.to_der()?)
    }
}

const SUBJECT_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");

/// The token inside an authority's answer, if it granted one (RFC 3161, section 2.4.2).
fn granted<'a>(answer: &[AnyRef<'a>]) -> Result<AnyRef<'a>, TimeStampError> {
    let [status, rest @ ..] = answer else { return Err(malformed("an empty answer")) };
    let status = sequence(*status)?;
    let code = status.first().ok_or_else(|| malformed("an answer without status"))?.decode_as::<u8>()?;
    if code > 1 {
        // PKIFreeText: texts in several languages, the first of which will do.
        let words = status.get(1).and_then(|words| Some(*sequence(*words).ok()?.first()?));
        let words = words.map(|words| String::from_utf8_lossy(words.value()).into_owned()).unwrap_or_default();
        return Err(TimeStampError::Refused(format!("status {code}, {}", crate::shown(&words))));
    }
    match rest {
        [token] => Ok(*token),
        _ => Err(malformed("an answer without a token")),
    }
}

/// The object identifier of an AlgorithmIdentifier; parameters say nothing that the algorithms here need.
pub(super) fn algorithm(identifier: AnyRef<'_>) -> Result<ObjectIdentifier, TimeStampError> {
    let members = sequence(identifier)?;
    let first = members.first().ok_or_else(|| malformed("an algorithm without a name"))?;
    Ok(first.decode_as::<ObjectIdentifier>()?)
}

/// The members of a SEQUENCE.
pub(super) fn sequence(any: AnyRef<'_>) -> Result<Vec<AnyRef<'_>>, TimeStampError> {
    elements_of_sequence(any, MAX_MEMBERS)
}

pub(super) fn elements_of_sequence(any: AnyRef<'_>, most: usize) -> Result<Vec<AnyRef<'_>>, TimeStampError> {
    match any.tag() {
        Tag::Sequence => elements(any.value(), most),
        other => Err(malformed(&format!("{other} where a sequence belongs"))),
    }
}

fn elements(value: &[u8], most: usize) -> Result<Vec<AnyRef<'_>>, TimeStampError> {
    let mut reader = SliceReader::new(value)?;
    let mut all = Vec::new();
    while !reader.is_finished() {
        if all.len() == most {
            return Err(malformed(&format!("more than {most} members")));
        }
        all.push(AnyRef::decode(&mut reader)?);
    }
    Ok(all)
}

/// The value inside `[number] EXPLICIT`.
fn explicit(any: AnyRef<'_>, number: u8) -> Result<AnyRef<'_>, TimeStampError> {
    match is_context(any.tag(), number) {
        true => Ok(AnyRef::from_der(any.value())?),
        false => Err(malformed("a tag is missing")),
    }
}

pub(super) fn is_context(tag: Tag, wanted: u8) -> bool {
    matches!(tag, Tag::ContextSpecific { number, .. } if number == TagNumber::new(wanted))
}

fn malformed(what: &str) -> TimeStampError {
    TimeStampError::Malformed(what.to_owned())
}
