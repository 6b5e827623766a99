//! DSSE envelopes: bytes signed together with their type. Verify first, parse the payload after.
//!
//! Protocol: secure-systems-lab/dsse v1.0.2. What an envelope says about keys is a hint; trust comes from the caller.

use std::borrow::Cow;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use crate::base64;
use crate::keys::{KeyError, Message, Signer, VerifyingKey};
use crate::strict_json::{self, Bounds, JsonError};

/// The payload type of every in-toto statement.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// Each signature may be tried against each trusted key, so their number bounds the work.
const MAX_SIGNATURES: usize = 64;

/// A parsed envelope. Its payload is unverified until [`Envelope::verify`] hands it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    signatures: Vec<Signature>,
}

/// One signature of an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Which key the signer says it is; empty when it says nothing. Only a hint.
    pub key_id: String,
    /// The signature bytes.
    pub bytes: Vec<u8>,
}

/// A payload whose signatures hold, with the keys that made them.
#[derive(Clone, Debug)]
pub struct Verified<'e, 'k> {
    /// The payload type, covered by the signatures.
    pub payload_type: &'e str,
    /// The payload, covered by the signatures.
    pub payload: &'e [u8],
    /// The different trusted keys that signed, in the order in which they are trusted.
    pub signers: Vec<&'k VerifyingKey>,
}

impl Envelope {
    /// Signs `payload` with each of `keys`. The key ids are written as hints.
    ///
    /// # Errors
    /// [`DsseError::NoSignature`] without keys; [`DsseError::Key`] when a key refuses.
    pub fn sign(payload_type: &str, payload: Vec<u8>, keys: &[&dyn Signer]) -> Result<Self, DsseError> {
        let message = pae(payload_type, &payload);
        let sign = |key: &&dyn Signer| Ok(Signature { key_id: key.key_id(), bytes: key.sign(&message)? });
        let signatures = keys.iter().map(sign).collect::<Result<Vec<_>, KeyError>>()?;
        if signatures.is_empty() {
            return Err(DsseError::NoSignature);
        }
        Ok(Self { payload_type: payload_type.to_owned(), payload, signatures })
    }

    /// Adds the signature of one more key over the same payload. A key that signed already is not asked again.
    ///
    /// # Errors
    /// [`DsseError::TooManySignatures`] when no reader would take it; [`DsseError::Key`] when the key refuses.
    pub fn sign_also(&mut self, key: &dyn Signer) -> Result<(), DsseError> {
        let message = pae(&self.payload_type, &self.payload);
        if self.signatures.iter().any(|signature| key.verifying_key().verify(&message, &signature.bytes)) {
            return Ok(());
        }
        if self.signatures.len() >= MAX_SIGNATURES {
            return Err(DsseError::TooManySignatures);
        }
        self.signatures.push(Signature { key_id: key.key_id(), bytes: key.sign(&message)? });
        Ok(())
    }

    /// Reads an envelope, within [`Bounds::DOCUMENT`].
    ///
    /// # Errors
    /// [`DsseError`] names what is wrong: JSON, base64, no signature or too many.
    pub fn parse(bytes: &[u8]) -> Result<Self, DsseError> {
        strict_json::from_slice::<RawEnvelope<'_>>(bytes, &Bounds::DOCUMENT)?.decode()
    }

    /// Compact JSON with a fixed order of members: equal envelopes give equal bytes.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Strings and lists of strings always serialise; an empty result would be refused by every reader.
        serde_json::to_vec(&self.raw()).unwrap_or_default()
    }

    /// Hands out the payload if at least `threshold` *different* keys of `trusted` have a valid signature on it.
    /// A key that is trusted or signed twice counts once.
    ///
    /// # Errors
    /// [`DsseError::Untrusted`] when fewer do.
    pub fn verify<'e, 'k>(
        &'e self,
        trusted: &'k [VerifyingKey],
        threshold: NonZeroUsize,
    ) -> Result<Verified<'e, 'k>, DsseError> {
        let message = pae(&self.payload_type, &self.payload);
        let message = Message::new(&message);
        let mut signers: Vec<&VerifyingKey> = Vec::new();
        for key in trusted {
            if !signers.contains(&key) && self.signatures.iter().any(|s| key.verify_hashed(&message, &s.bytes)) {
                signers.push(key);
            }
        }
        if signers.len() < threshold.get() {
            return Err(DsseError::Untrusted { valid: signers.len(), threshold: threshold.get() });
        }
        Ok(Verified { payload_type: &self.payload_type, payload: &self.payload, signers })
    }

    /// The signature that `key` made over this payload, if there is one.
    #[must_use]
    pub fn signature_by(&self, key: &VerifyingKey) -> Option<&Signature> {
        let message = pae(&self.payload_type, &self.payload);
        let message = Message::new(&message);
        self.signatures.iter().find(|one| key.verify_hashed(&message, &one.bytes))
    }

    /// The signatures, trusted or not.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The payload before anybody has vouched for it: for showing and indexing, never for deciding.
    #[must_use]
    pub fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }

    /// The payload type before anybody has vouched for it.
    #[must_use]
    pub fn unverified_payload_type(&self) -> &str {
        &self.payload_type
    }

    pub(crate) fn raw(&self) -> RawEnvelope<'_> {
        RawEnvelope {
            payload: Cow::Owned(base64::encode(&self.payload)),
            payload_type: Cow::Borrowed(&self.payload_type),
            signatures: self
                .signatures
                .iter()
                .map(|s| RawSignature { sig: base64::encode(&s.bytes), key_id: Some(s.key_id.clone()) })
                .collect(),
        }
    }
}

/// The bytes that are signed: `DSSEv1 <len> <type> <len> <payload>`, lengths in bytes.
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// The envelope as it stands in JSON, alone or inside a Sigstore bundle.
#[derive(Serialize, Deserialize)]
pub(crate) struct RawEnvelope<'a> {
    #[serde(borrow)]
    payload: Cow<'a, str>,
    #[serde(borrow, rename = "payloadType")]
    payload_type: Cow<'a, str>,
    signatures: Vec<RawSignature>,
}

#[derive(Serialize, Deserialize)]
struct RawSignature {
    sig: String,
    #[serde(rename = "keyid", default)]
    key_id: Option<String>,
}

impl RawEnvelope<'_> {
    pub(crate) fn clear_key_ids(&mut self) {
        for signature in &mut self.signatures {
            signature.key_id = Some(String::new());
        }
    }

    pub(crate) fn decode(self) -> Result<Envelope, DsseError> {
        match self.signatures.len() {
            0 => return Err(DsseError::NoSignature),
            n if n > MAX_SIGNATURES => return Err(DsseError::TooManySignatures),
            _ => {}
        }
        let payload = base64::decode(&self.payload).map_err(|_| DsseError::Base64("payload"))?;
        let signature = |raw: RawSignature| {
            let bytes = base64::decode(&raw.sig).map_err(|_| DsseError::Base64("signature"))?;
            Ok(Signature { key_id: raw.key_id.unwrap_or_default(), bytes })
        };
        let signatures = self.signatures.into_iter().map(signature).collect::<Result<_, DsseError>>()?;
        Ok(Envelope { payload_type: self.payload_type.into_owned(), payload, signatures })
    }
}

/// Why an envelope was refused.
#[derive(Debug, thiserror::Error)]
pub enum DsseError {
    /// Not the JSON of an envelope.
    #[error("not a DSSE envelope: {0}")]
    Json(#[from] JsonError),
    /// Not strict base64.
    #[error("the {0} of the envelope is not base64")]
    Base64(&'static str),
    /// Nobody signed.
    #[error("the envelope has no signature")]
    NoSignature,
    /// More signatures than anybody needs.
    #[error("the envelope has more than {MAX_SIGNATURES} signatures")]
    TooManySignatures,
    /// Too few different trusted keys have a valid signature.
    #[error("{valid} of the trusted keys signed this, {threshold} must")]
    Untrusted {
        /// How many did.
        valid: usize,
        /// How many must.
        threshold: usize,
    },
    /// A key refused to sign.
    #[error(transparent)]
    Key(#[from] KeyError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{KeyKind, SigningKey};
    use proptest::prelude::*;

    const ONE: NonZeroUsize = NonZeroUsize::MIN;
    const TWO: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

    fn key() -> SigningKey {
        SigningKey::generate(KeyKind::Ed25519).unwrap()
    }

    #[test]
    fn pae_counts_bytes() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
        assert_eq!(pae("é", "ü".as_bytes()), "DSSEv1 2 é 2 ü".as_bytes());
        assert!(pae(IN_TOTO, b"x").starts_with(b"DSSEv1 28 application/vnd.in-toto+json 1 "));
    }

    #[test]
    fn a_threshold_counts_different_keys() {
        let (a, b) = (key(), key());
        let twice = Envelope::sign("t", b"p".to_vec(), &[&a, &a]).unwrap();
        let trusted = [a.verifying_key().clone(), a.verifying_key().clone(), b.verifying_key().clone()];
        assert!(matches!(twice.verify(&trusted, TWO), Err(DsseError::Untrusted { valid: 1, threshold: 2 })));
        let both = Envelope::sign("t", b"p".to_vec(), &[&a, &b]).unwrap();
        assert_eq!(both.verify(&trusted, TWO).unwrap().signers.len(), 2);
        assert!(both.verify(&[], ONE).is_err());
    }

    #[test]
    fn one_key_after_the_other_may_sign() {
        let (a, b) = (key(), key());
        let mut envelope = Envelope::sign("t", b"p".to_vec(), &[&a]).unwrap();
        envelope.sign_also(&a).unwrap();
        assert_eq!(envelope.signatures().len(), 1, "the same key signs once");
        envelope.sign_also(&b).unwrap();
        let trusted = [a.verifying_key().clone(), b.verifying_key().clone()];
        assert_eq!(envelope.verify(&trusted, TWO).unwrap().signers.len(), 2);
        envelope.signatures = vec![envelope.signatures[0].clone(); MAX_SIGNATURES];
        assert!(matches!(envelope.sign_also(&b), Err(DsseError::TooManySignatures)));
    }

    #[test]
    fn key_ids_are_only_hints() {
        let (a, b) = (key(), key());
        let mut envelope = Envelope::sign("t", b"p".to_vec(), &[&a]).unwrap();
        envelope.signatures[0].key_id = b.key_id();
        assert!(envelope.verify(std::slice::from_ref(a.verifying_key()), ONE).is_ok());
        assert!(envelope.verify(std::slice::from_ref(b.verifying_key()), ONE).is_err());
    }

    #[test]
    fn null_absent_and_empty_key_ids_are_read_alike() {
        for member in ["", r#","keyid":null"#, r#","keyid":"""#] {
            let text = format!(r#"{{"payload":"eA==","payloadType":"t","signatures":[{{"sig":"AA=="{member}}}]}}"#);
            assert_eq!(Envelope::parse(text.as_bytes()).unwrap().signatures[0].key_id, "");
        }
    }

    #[test]
    fn broken_envelopes_are_refused() {
        let refused = |text: &str| Envelope::parse(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(refused(r#"{"payload":"","payloadType":"t","signatures":[]}"#), "the envelope has no signature");
        assert!(refused(r#"{"payload":"e","payloadType":"t","signatures":[{"sig":""}]}"#).contains("not base64"));
        assert!(
            refused(r#"{"payload":"","payload":"","payloadType":"t","signatures":[{"sig":""}]}"#).contains("twice")
        );
        let many =
            format!(r#"{{"payload":"","payloadType":"t","signatures":[{}]}}"#, vec![r#"{"sig":""}"#; 65].join(","));
        assert!(refused(&many).contains("more than 64"));
        assert!(Envelope::sign("t", vec![], &[]).is_err());
    }

    #[test]
    fn no_mutated_envelope_verifies_as_something_else() {
        let key = key();
        let trusted = [key.verifying_key().clone()];
        let seed = Envelope::sign(IN_TOTO, b"{\"_type\":\"x\"}".to_vec(), &[&key]).unwrap().to_json();
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap()
        };
        for _ in 0..2_000 {
            let mut bytes = seed.clone();
            let at = next() % bytes.len();
            match next() % 3 {
                0 => bytes.truncate(at),
                1 => bytes[at] ^= 1 << (next() % 8),
                _ => {
                    let tail = bytes.split_off(at);
                    bytes.extend_from_slice(&seed[next() % seed.len()..]);
                    bytes.extend(tail);
                }
            }
            if let Ok(envelope) = Envelope::parse(&bytes)
                && let Ok(verified) = envelope.verify(&trusted, ONE)
            {
                assert_eq!((verified.payload, verified.payload_type), (b"{\"_type\":\"x\"}".as_slice(), IN_TOTO));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn envelopes_round_trip(payload in proptest::collection::vec(any::<u8>(), 0..200), kind in "[a-zé/+.\"]{0,20}") {
            let key = key();
            let envelope = Envelope::sign(&kind, payload.clone(), &[&key]).unwrap();
            let back = Envelope::parse(&envelope.to_json()).unwrap();
            prop_assert_eq!(&back, &envelope);
            let trusted = [key.verifying_key().clone()];
            let verified = back.verify(&trusted, ONE).unwrap();
            prop_assert_eq!((verified.payload, verified.payload_type), (payload.as_slice(), kind.as_str()));
        }
    }
}
