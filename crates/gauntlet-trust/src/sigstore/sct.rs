//! Signed certificate time stamps (RFC 6962, section 3): a log of certificates vouches that it has seen a certificate, so
//! that nobody can have one issued in silence. Fulcio embeds them; the log signed the certificate without them.

use der::Encode as _;
use der::asn1::{ObjectIdentifier, OctetStringRef};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use x509_cert::der::Decode as _;

use super::log_key::LogKey;
use super::{Failure, Reason};
use crate::x509::Certificate;

/// The extension that holds the list (RFC 6962, section 3.3).
pub(super) const SCT_LIST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.2");

/// In one certificate; each costs a signature check.
const MAX_SCTS: usize = 16;
/// TLS `HashAlgorithm.sha256` and `SignatureAlgorithm.{rsa, ecdsa, ed25519}` (RFC 5246, section 7.4.1.4.1; RFC 8422).
const SHA256: u8 = 4;
const SIGNATURE_ALGORITHMS: [u8; 3] = [1, 3, 7];

/// One time stamp of a certificate log.
#[derive(Debug, PartialEq, Eq)]
struct Sct<'a> {
    log: &'a [u8],
    milliseconds: u64,
    extensions: &'a [u8],
    signature: &'a [u8],
}

/// Checks that one of `logs` has seen `leaf`, which `issuer` issued. A time stamp of an unknown log says nothing; one of a
/// known log that does not hold is a failure.
pub(super) fn check(leaf: &Certificate, issuer: &Certificate, logs: &[LogKey]) -> Result<(), Failure> {
    let bad = |message: String| Failure::new(Reason::BadSct, message);
    let Some((value, _)) = leaf.extension(SCT_LIST) else {
        return Err(bad("the certificate holds no time stamp of a certificate log".to_owned()));
    };
    let list = OctetStringRef::from_der(value)
        .map_err(|_| bad("the list of certificate time stamps is malformed".to_owned()))?;
    let scts = parse_list(list.as_bytes())
        .ok_or_else(|| bad("the list of certificate time stamps is malformed".to_owned()))?;
    let entry = signed_entry(leaf, issuer).map_err(|e| bad(format!("the certificate cannot be encoded again: {e}")))?;
    let mut held = false;
    for sct in &scts {
        let named: Vec<&LogKey> = logs.iter().filter(|log| log.id == sct.log).collect();
        if named.is_empty() {
            continue;
        }
        let time = i64::try_from(sct.milliseconds).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let time = time.ok_or_else(|| bad("a certificate time stamp has no time".to_owned()))?;
        let message = sct.message(&entry).ok_or_else(|| bad("the certificate is too large for a log".to_owned()))?;
        match named.iter().find(|log| log.key.verify(&message, sct.signature)) {
            None => return Err(bad("a certificate time stamp is not by the log that it names".to_owned())),
            Some(log) if !log.window.holds(time) => {
                return Err(bad(format!("a certificate time stamp of {time} is from outside the time of its log")));
            }
            Some(_) => held = true,
        }
    }
    if held { Ok(()) } else { Err(bad("no certificate log of the trusted root has seen the certificate".to_owned())) }
}

impl Sct<'_> {
    /// `digitally-signed` of RFC 6962, section 3.2, for a precertificate.
    fn message(&self, entry: &[u8]) -> Option<Vec<u8>> {
        let extensions = u16::try_from(self.extensions.len()).ok()?;
        let mut message = vec![0, 0];
        message.extend(self.milliseconds.to_be_bytes());
        message.extend(entry);
        message.extend(extensions.to_be_bytes());
        message.extend(self.extensions);
        Some(message)
    }
}

/// Type and content of the entry: the issuer's key, and the certificate without its time stamps.
pub(super) fn signed_entry(leaf: &Certificate, issuer: &Certificate) -> Result<Vec<u8>, der::Error> {
    let mut tbs = leaf.parsed().tbs_certificate.clone();
    if let Some(extensions) = &mut tbs.extensions {
        extensions.retain(|one| one.extn_id != SCT_LIST);
    }
    let tbs = tbs.to_der()?;
    let length = u32::try_from(tbs.len()).ok().filter(|length| *length < 1 << 24);
    let length = length.ok_or_else(|| der::Error::from(der::ErrorKind::Overlength))?.to_be_bytes();
    let mut entry = vec![0, 1];
    entry.extend(Sha256::digest(issuer.spki_der()));
    entry.extend(length.iter().skip(1));
    entry.extend(tbs);
    Ok(entry)
}

/// `SignedCertificateTimestampList` in the encoding of TLS: nothing before, between or behind.
fn parse_list(bytes: &[u8]) -> Option<Vec<Sct<'_>>> {
    let (mut list, rest) = vector(bytes)?;
    if !rest.is_empty() || list.is_empty() {
        return None;
    }
    let mut scts = Vec::new();
    while !list.is_empty() {
        if scts.len() == MAX_SCTS {
            return None;
        }
        let (one, rest) = vector(list)?;
        scts.push(parse(one)?);
        list = rest;
    }
    Some(scts)
}

fn parse(bytes: &[u8]) -> Option<Sct<'_>> {
    let (version, rest) = bytes.split_first()?;
    let (log, rest) = rest.split_at_checked(32)?;
    let (milliseconds, rest) = rest.split_first_chunk::<8>()?;
    let (extensions, rest) = vector(rest)?;
    let ([hash, algorithm], rest) = rest.split_first_chunk::<2>()?;
    let (signature, rest) = vector(rest)?;
    let known = *version == 0 && *hash == SHA256 && SIGNATURE_ALGORITHMS.contains(algorithm) && rest.is_empty();
    known.then(|| Sct { log, milliseconds: u64::from_be_bytes(*milliseconds), extensions, signature })
}

/// A vector with a length of two bytes, and what follows it.
fn vector(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Vec<u8> {
        let mut sct = vec![0];
        sct.extend([7; 32]);
        sct.extend(5u64.to_be_bytes());
        sct.extend([0, 1, 9]);
        sct.extend([4, 3, 0, 2, 1, 2]);
        let mut list = u16::try_from(sct.len() + 2).unwrap().to_be_bytes().to_vec();
        list.extend(u16::try_from(sct.len()).unwrap().to_be_bytes());
        list.extend(sct);
        list
    }

    #[test]
    fn lists_are_read_to_their_last_byte() {
        let whole = list();
        let scts = parse_list(&whole).unwrap();
        assert_eq!(scts, [Sct { log: &[7; 32], milliseconds: 5, extensions: &[9], signature: &[1, 2] }]);
        for cut in 0..whole.len() {
            assert_eq!(parse_list(&whole[..cut]), None, "{cut}");
        }
        let mut longer = whole.clone();
        longer.push(0);
        assert_eq!(parse_list(&longer), None);
        let mut other_version = whole;
        other_version[4] = 1;
        assert_eq!(parse_list(&other_version), None);
    }
}
