//! A time stamping authority that does as it is told, also wrongly.

use der::Encode as _;
use gauntlet_trust::keys::SigningKey;
use gauntlet_trust::x509::Certificate;
use sha2::{Digest as _, Sha256};

use crate::pki::Authority;

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Twist {
    None,
    /// Leaves its certificates out.
    NoCertificates,
    /// Names its certificate by SHA-1 (RFC 3161) rather than SHA-256 (RFC 5816).
    OldName,
    /// Signs no attributes.
    NoAttributes,
    NoContentType,
    OtherContentType,
    NoDigest,
    OtherDigest,
    NoName,
    OtherName,
    OtherOldName,
    TwoSigners,
    BadSignature,
    /// Signed by a key that belongs to another certificate of the same authority.
    OtherKey,
    /// Says that the content is plain data.
    PlainData,
    CriticalExtension,
    Sha1Imprint,
}

pub(crate) struct Tsa {
    certificate: Certificate,
    key: SigningKey,
    other: SigningKey,
}

/// A DER value with its tag and length.
pub(crate) fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut out = vec![tag];
    match body.len() {
        short if short < 0x80 => out.push(u8::try_from(short).unwrap()),
        long => {
            let bytes: Vec<u8> = long.to_be_bytes().into_iter().skip_while(|b| *b == 0).collect();
            out.push(0x80 | u8::try_from(bytes.len()).unwrap());
            out.extend(bytes);
        }
    }
    out.extend(body);
    out
}

pub(crate) fn oid(text: &str) -> Vec<u8> {
    text.parse::<der::asn1::ObjectIdentifier>().unwrap().to_der().unwrap()
}

const TST_INFO: &str = "1.2.840.113549.1.9.16.1.4";
const DATA: &str = "1.2.840.113549.1.7.1";
const SHA_256: &str = "2.16.840.1.101.3.4.2.1";

impl Tsa {
    pub(crate) fn new(root: &Authority) -> Self {
        let (certificate, key) = root.stamper("stamper");
        let (_, other) = root.stamper("other");
        Self { certificate, key, other }
    }

    pub(crate) fn with(certificate: Certificate, key: SigningKey) -> Self {
        let other = SigningKey::generate(gauntlet_trust::keys::KeyKind::P256).unwrap();
        Self { certificate, key, other }
    }

    pub(crate) fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The whole answer over `message`, stamped at `time` (`YYYYMMDDhhmmssZ`).
    pub(crate) fn answer(&self, message: &[u8], time: &str, nonce: Option<&[u8]>, twist: Twist) -> Vec<u8> {
        let granted = tlv(0x30, &[&tlv(0x02, &[&[0]])]);
        tlv(0x30, &[&granted, &self.token(message, time, nonce, twist)])
    }

    /// The bare token.
    pub(crate) fn token(&self, message: &[u8], time: &str, nonce: Option<&[u8]>, twist: Twist) -> Vec<u8> {
        let content = info(message, time, nonce, twist);
        let kind = if twist == Twist::PlainData { DATA } else { TST_INFO };
        let inner = tlv(0x30, &[&oid(kind), &tlv(0xa0, &[&tlv(0x04, &[&content])])]);
        let certificates = match twist {
            Twist::NoCertificates => Vec::new(),
            _ => tlv(0xa0, &[self.certificate.der()]),
        };
        let signer = self.signer(&content, twist);
        let signers = if twist == Twist::TwoSigners { [signer.clone(), signer].concat() } else { signer };
        let signed = tlv(
            0x30,
            &[
                &tlv(0x02, &[&[3]]),
                &tlv(0x31, &[&tlv(0x30, &[&oid(SHA_256)])]),
                &inner,
                &certificates,
                &tlv(0x31, &[&signers]),
            ],
        );
        tlv(0x30, &[&oid("1.2.840.113549.1.7.2"), &tlv(0xa0, &[&signed])])
    }

    fn signer(&self, content: &[u8], twist: Twist) -> Vec<u8> {
        let attributes = self.attributes(content, twist);
        let message = if twist == Twist::NoAttributes { content.to_vec() } else { tlv(0x31, &[&attributes]) };
        let key = if twist == Twist::OtherKey { &self.other } else { &self.key };
        let mut signature = key.sign(&message).unwrap();
        if twist == Twist::BadSignature {
            let last = signature.len() - 1;
            signature[last] ^= 1;
        }
        let parsed = <x509_cert::Certificate as der::Decode<'_>>::from_der(self.certificate.der()).unwrap();
        let issuer = parsed.tbs_certificate.issuer.to_der().unwrap();
        let serial = parsed.tbs_certificate.serial_number.to_der().unwrap();
        let attributes = if twist == Twist::NoAttributes { Vec::new() } else { tlv(0xa0, &[&attributes]) };
        tlv(
            0x30,
            &[
                &tlv(0x02, &[&[1]]),
                &tlv(0x30, &[&issuer, &serial]),
                &tlv(0x30, &[&oid(SHA_256)]),
                &attributes,
                &tlv(0x30, &[&oid("1.2.840.10045.4.3.2")]),
                &tlv(0x04, &[&signature]),
            ],
        )
    }

    fn attributes(&self, content: &[u8], twist: Twist) -> Vec<u8> {
        let attribute = |name: &str, value: &[u8]| tlv(0x30, &[&oid(name), &tlv(0x31, &[value])]);
        let mut all = Vec::new();
        if twist != Twist::NoContentType {
            let kind = if twist == Twist::OtherContentType { DATA } else { TST_INFO };
            all.push(attribute("1.2.840.113549.1.9.3", &oid(kind)));
        }
        if twist != Twist::NoDigest {
            let of: &[u8] = if twist == Twist::OtherDigest { b"something else" } else { content };
            all.push(attribute("1.2.840.113549.1.9.4", &tlv(0x04, &[&Sha256::digest(of)])));
        }
        let named: &[u8] = match twist {
            Twist::OtherName | Twist::OtherOldName => b"another certificate",
            _ => self.certificate.der(),
        };
        let name = |hash: &[u8]| tlv(0x30, &[&tlv(0x30, &[&tlv(0x30, &[&tlv(0x04, &[hash])])])]);
        match twist {
            Twist::NoName => {}
            Twist::OldName | Twist::OtherOldName => {
                let hash: [u8; 20] =
                    sha1::Digest::finalize(sha1::Digest::chain_update(<sha1::Sha1 as sha1::Digest>::new(), named))
                        .into();
                all.push(attribute("1.2.840.113549.1.9.16.2.12", &name(&hash)));
            }
            _ => all.push(attribute("1.2.840.113549.1.9.16.2.47", &name(&Sha256::digest(named)))),
        }
        all.sort();
        all.concat()
    }
}

fn info(message: &[u8], time: &str, nonce: Option<&[u8]>, twist: Twist) -> Vec<u8> {
    let hash = if twist == Twist::Sha1Imprint { "1.3.14.3.2.26" } else { SHA_256 };
    let imprint = tlv(0x30, &[&tlv(0x30, &[&oid(hash)]), &tlv(0x04, &[&Sha256::digest(message)])]);
    let nonce = nonce.map(|bytes| tlv(0x02, &[bytes])).unwrap_or_default();
    let extensions = match twist {
        Twist::CriticalExtension => {
            tlv(0xa1, &[&tlv(0x30, &[&oid("1.2.3.4"), &tlv(0x01, &[&[0xff]]), &tlv(0x04, &[b""])])])
        }
        _ => Vec::new(),
    };
    tlv(
        0x30,
        &[
            &tlv(0x02, &[&[1]]),
            &oid("1.2.3.4.5"),
            &imprint,
            &tlv(0x02, &[&[9]]),
            &tlv(0x18, &[time.as_bytes()]),
            &nonce,
            &extensions,
        ],
    )
}
