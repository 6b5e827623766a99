//! What a log entry is about: it has to be this signature, by this certificate or key, over this artifact or envelope.
//! Without that, a genuine entry of somebody else could stand in for the missing one (CVE-2022-36056).

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::bundle::LogEntry;
use super::json::Bytes;
use super::{ArtifactDigest, Failure, Reason};
use crate::base64;
use crate::dsse::{self, Envelope};
use crate::keys::{KeyKind, VerifyingKey};
use crate::shown;
use crate::strict_json::{self, Bounds};
use crate::x509::Certificate;

/// What the bundle says, to be found again in the entry.
pub(super) struct Signed<'a> {
    pub(super) signature: &'a [u8],
    pub(super) by: By<'a>,
    pub(super) what: What<'a>,
}

pub(super) enum By<'a> {
    Certificate(&'a Certificate),
    Key(&'a VerifyingKey),
}

pub(super) enum What<'a> {
    /// Digests of the artifact, and the kind of key that signed it.
    Artifact(&'a ArtifactDigest, KeyKind),
    Envelope(&'a Envelope),
}

/// Checks that the body of `entry` is about `signed`.
pub(super) fn check(entry: &LogEntry, signed: &Signed<'_>) -> Result<(), Failure> {
    let head: Head = read(entry)?;
    if (head.kind.as_str(), head.api_version.as_str()) != (entry.kind.as_str(), entry.version.as_str()) {
        return Err(Failure::malformed("a log entry is of another kind than the bundle says"));
    }
    match (entry.kind.as_str(), entry.version.as_str(), &signed.what) {
        ("hashedrekord", "0.0.1", What::Artifact(..)) => read::<Body<HashedRekord1>>(entry)?.spec.check(signed),
        ("hashedrekord", "0.0.2", _) => read::<Body<HashedRekord2>>(entry)?.spec.v2.check(signed),
        ("dsse", "0.0.1", What::Envelope(envelope)) => read::<Body<Dsse1>>(entry)?.spec.check(signed, envelope),
        ("dsse", "0.0.2", What::Envelope(envelope)) => read::<Body<Dsse2>>(entry)?.spec.v2.check(signed, envelope),
        ("intoto", "0.0.2", What::Envelope(envelope)) => read::<Body<InToto2>>(entry)?.spec.check(signed, envelope),
        (kind, version, what) => {
            let what = match what {
                What::Artifact(..) => "an artifact",
                What::Envelope(_) => "an envelope",
            };
            let message = format!("log entries of kind {} {} are not handled for {what}", shown(kind), shown(version));
            Err(Failure::new(Reason::Unsupported, message))
        }
    }
}

fn read<T: DeserializeOwned>(entry: &LogEntry) -> Result<T, Failure> {
    let bounds = Bounds { bytes: super::MAX_BUNDLE_BYTES, ..Bounds::RECORD };
    strict_json::from_slice(&entry.body, &bounds)
        .map_err(|e| Failure::malformed(format!("the body of a log entry: {e}")))
}

fn mismatch(what: &str) -> Failure {
    Failure::new(Reason::LogEntryMismatch, format!("the log entry is about another {what}"))
}

fn same(right: bool, what: &str) -> Result<(), Failure> {
    if right { Ok(()) } else { Err(mismatch(what)) }
}

impl By<'_> {
    /// Whether base64 of PEM, as version 1 of the log writes it, is this certificate or key and nothing else.
    fn is_pem(&self, encoded: &str) -> bool {
        let Ok(pem) = base64::decode(encoded) else { return false };
        match self {
            Self::Certificate(own) => Certificate::all_from_pem(&pem)
                .is_ok_and(|all| matches!(all.as_slice(), [one] if one.der() == own.der())),
            Self::Key(own) => {
                let text = std::str::from_utf8(&pem).ok();
                text.and_then(|text| VerifyingKey::from_pem(text).ok()).is_some_and(|key| key == **own)
            }
        }
    }

    fn is(&self, verifier: &Verifier2) -> bool {
        match (self, &verifier.x509_certificate, &verifier.public_key) {
            (Self::Certificate(own), Some(there), None) => there.raw_bytes.0 == own.der(),
            (Self::Key(own), None, Some(there)) => {
                VerifyingKey::from_spki_der(&there.raw_bytes.0).is_ok_and(|key| key == **own)
            }
            _ => false,
        }
    }
}

impl Signed<'_> {
    /// The digest that was signed, by a hash that the log names.
    fn digest(&self, algorithm: &str) -> Option<Vec<u8>> {
        match &self.what {
            What::Artifact(digest, kind) => match (algorithm, kind) {
                ("sha256" | "SHA2_256", _) => Some(digest.sha256.clone()),
                ("sha384" | "SHA2_384", KeyKind::P384) | ("sha512" | "SHA2_512", KeyKind::P521) => {
                    Some(digest.signed.clone())
                }
                _ => None,
            },
            What::Envelope(envelope) => {
                let signed = dsse::pae(envelope.unverified_payload_type(), envelope.unverified_payload());
                hash(algorithm, &signed)
            }
        }
    }
}

fn hash(algorithm: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    match algorithm {
        "sha256" | "SHA2_256" => Some(Sha256::digest(bytes).to_vec()),
        "sha384" | "SHA2_384" => Some(Sha384::digest(bytes).to_vec()),
        "sha512" | "SHA2_512" => Some(Sha512::digest(bytes).to_vec()),
        _ => None,
    }
}

fn hash_of(algorithm: &str, found: Option<Vec<u8>>) -> Result<Vec<u8>, Failure> {
    found.ok_or_else(|| {
        Failure::new(Reason::Unsupported, format!("hash {} in a log entry is not handled", shown(algorithm)))
    })
}

/// The head that all bodies share.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    api_version: String,
    kind: String,
}

#[derive(Deserialize)]
struct Body<S> {
    spec: S,
}

/// A digest in hex, as version 1 of the log writes it.
#[derive(Deserialize)]
struct HexDigest {
    algorithm: String,
    value: String,
}

impl HexDigest {
    fn is(&self, expected: Option<Vec<u8>>, what: &str) -> Result<(), Failure> {
        let expected = hash_of(&self.algorithm, expected)?;
        same(self.value.eq_ignore_ascii_case(&hex::encode(expected)), what)
    }
}

/// `hashedrekord` 0.0.1.
#[derive(Deserialize)]
struct HashedRekord1 {
    data: Data1,
    signature: Signature1,
}

#[derive(Deserialize)]
struct Data1 {
    hash: HexDigest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Signature1 {
    content: Bytes,
    public_key: PublicKey1,
}

#[derive(Deserialize)]
struct PublicKey1 {
    content: String,
}

impl HashedRekord1 {
    fn check(&self, signed: &Signed<'_>) -> Result<(), Failure> {
        self.data.hash.is(signed.digest(&self.data.hash.algorithm), "artifact")?;
        same(self.signature.content.0 == signed.signature, "signature")?;
        same(signed.by.is_pem(&self.signature.public_key.content), "certificate or key")
    }
}

/// `hashedrekord` 0.0.2 (Rekor v2): for artifacts, and for envelopes by the digest of what was signed.
#[derive(Deserialize)]
struct HashedRekord2 {
    #[serde(rename = "hashedRekordV002")]
    v2: HashedRekordV002,
}

#[derive(Deserialize)]
struct HashedRekordV002 {
    data: Digest2,
    signature: Signature2,
}

#[derive(Deserialize)]
struct Digest2 {
    algorithm: String,
    digest: Bytes,
}

#[derive(Deserialize)]
struct Signature2 {
    content: Bytes,
    verifier: Verifier2,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verifier2 {
    x509_certificate: Option<Raw2>,
    public_key: Option<Raw2>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw2 {
    raw_bytes: Bytes,
}

impl HashedRekordV002 {
    fn check(&self, signed: &Signed<'_>) -> Result<(), Failure> {
        let expected = hash_of(&self.data.algorithm, signed.digest(&self.data.algorithm))?;
        same(self.data.digest.0 == expected, "artifact or envelope")?;
        self.signature.check(signed)
    }
}

impl Signature2 {
    fn check(&self, signed: &Signed<'_>) -> Result<(), Failure> {
        same(self.content.0 == signed.signature, "signature")?;
        same(signed.by.is(&self.verifier), "certificate or key")
    }
}

/// `dsse` 0.0.1. Its hash over the envelope cannot be checked: the spelling of the JSON that was hashed is lost.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dsse1 {
    payload_hash: HexDigest,
    signatures: Vec<DsseSignature1>,
}

#[derive(Deserialize)]
struct DsseSignature1 {
    signature: Bytes,
    verifier: String,
}

impl Dsse1 {
    fn check(&self, signed: &Signed<'_>, envelope: &Envelope) -> Result<(), Failure> {
        let hash = hash(&self.payload_hash.algorithm, envelope.unverified_payload());
        self.payload_hash.is(hash, "payload")?;
        let [one] = self.signatures.as_slice() else { return Err(mismatch("number of signatures")) };
        same(one.signature.0 == signed.signature, "signature")?;
        same(signed.by.is_pem(&one.verifier), "certificate or key")
    }
}

/// `dsse` 0.0.2 (Rekor v2).
#[derive(Deserialize)]
struct Dsse2 {
    #[serde(rename = "dsseV002")]
    v2: DsseV002,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DsseV002 {
    payload_hash: Digest2,
    signatures: Vec<Signature2>,
}

impl DsseV002 {
    fn check(&self, signed: &Signed<'_>, envelope: &Envelope) -> Result<(), Failure> {
        let algorithm = &self.payload_hash.algorithm;
        let expected = hash_of(algorithm, hash(algorithm, envelope.unverified_payload()))?;
        same(self.payload_hash.digest.0 == expected, "payload")?;
        let [one] = self.signatures.as_slice() else { return Err(mismatch("number of signatures")) };
        one.check(signed)
    }
}

/// `intoto` 0.0.2. Its signature is base64 of base64.
#[derive(Deserialize)]
struct InToto2 {
    content: InTotoContent,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InTotoContent {
    envelope: InTotoEnvelope,
    payload_hash: HexDigest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InTotoEnvelope {
    payload_type: String,
    signatures: Vec<InTotoSignature>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InTotoSignature {
    public_key: String,
    sig: Bytes,
}

impl InToto2 {
    fn check(&self, signed: &Signed<'_>, envelope: &Envelope) -> Result<(), Failure> {
        let content = &self.content;
        content.payload_hash.is(hash(&content.payload_hash.algorithm, envelope.unverified_payload()), "payload")?;
        same(content.envelope.payload_type == envelope.unverified_payload_type(), "payload type")?;
        let [one] = content.envelope.signatures.as_slice() else { return Err(mismatch("number of signatures")) };
        let inner = std::str::from_utf8(&one.sig.0).ok().and_then(|text| base64::decode(text).ok());
        same(inner.is_some_and(|inner| inner == signed.signature), "signature")?;
        same(signed.by.is_pem(&one.public_key), "certificate or key")
    }
}
