//! Whose signatures an envelope carries: keys of the policy, keys that it names by digest, and keys of certificates.

use std::num::NonZeroUsize;

use gauntlet_core::Digest;
use gauntlet_trust::dsse::Envelope;
use gauntlet_trust::keys::VerifyingKey;
use gauntlet_trust::moment::{Moment, MomentSource};
use gauntlet_trust::timestamp::{self, Authorities};
use gauntlet_trust::trust_policy::{Identity, Signatory, SignerStanding, TrustPolicy};
use gauntlet_trust::x509::{AltName, Certificate, Purpose, Roots};
use schemars::JsonSchema;
use serde::Serialize;

use super::Question;
use super::reason::Reason;
use crate::bundle::{Bundle, TimestampOf};
use crate::tree::Hash;

/// What checking all signatures of a bundle may cost, in bytes hashed; one check counts as the envelope's length and
/// [`CHECK`]. Some minutes at most.
const BUDGET: u64 = 32 << 30;
const CHECK: u64 = 64 << 10;

/// Extension of Fulcio certificates that holds the OIDC issuer as DER UTF8String, and the older one that holds it plain.
const OIDC_ISSUER: &str = "1.3.6.1.4.1.57264.1.8";
const OIDC_ISSUER_V1: &str = "1.3.6.1.4.1.57264.1.1";

/// Somebody who signed an envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct JudgedSigner {
    /// Hex SHA-256 of the key's SubjectPublicKeyInfo.
    pub key_id: String,
    /// Identity of the certificate, when the key came from one.
    pub identity: Option<String>,
    /// The person or workload, by id in the trust policy.
    pub person: Option<String>,
    /// Their roles.
    pub roles: Vec<String>,
    /// Whether the signature counts.
    pub counts: bool,
}

/// Everything that signatures are checked with.
pub(super) struct Signers<'q> {
    policy: &'q TrustPolicy,
    keys: Vec<(String, VerifyingKey)>,
    certified: Vec<Certified>,
    intermediates: Vec<Certificate>,
    authorities: Vec<(&'q str, Roots)>,
    stampers: Option<Authorities>,
    now: jiff::Timestamp,
    spent: u64,
}

/// A key that a certificate of the bundle names; nobody vouches for the certificate yet.
struct Certified {
    key_id: String,
    key: VerifyingKey,
    certificate: Certificate,
}

/// What the signatures of one envelope amount to.
#[derive(Debug)]
pub(super) struct Signed {
    pub(super) signatories: Vec<Signatory>,
    /// When the signatures were there: the earliest proof, else the moment of judging.
    pub(super) moment: Moment,
    pub(super) reasons: Vec<Reason>,
}

impl<'q> Signers<'q> {
    pub(super) fn new(bundle: &Bundle, question: &Question<'q>) -> Self {
        let policy = question.policy;
        // A key that the caller brings counts only where the policy names its digest.
        let brought = question.keys.iter().filter(|key| policy.key(&key.key_id()).is_some());
        let mut keys: Vec<(String, VerifyingKey)> =
            policy.public_keys().chain(brought).map(|key| (key.key_id(), key.clone())).collect();
        keys.sort_by(|a, b| a.0.cmp(&b.0));
        keys.dedup_by(|a, b| a.0 == b.0);
        let (mut certified, mut intermediates) = (Vec::new(), Vec::new());
        for certificate in bundle.certificates.iter().filter_map(|der| Certificate::from_der(der).ok()) {
            if certificate.uses().is_ok_and(|uses| uses.authority) {
                intermediates.push(certificate);
            } else if let Ok(key) = certificate.public_key() {
                certified.push(Certified { key_id: key.key_id(), key, certificate });
            }
        }
        // Both were read when the policy was, so neither fails here.
        let roots = |certificates: &[Certificate]| Roots::new(certificates.to_vec()).ok();
        let authorities = policy
            .authorities
            .iter()
            .filter_map(|authority| Some((authority.name.as_str(), roots(&authority.certificates)?)))
            .collect();
        let stampers: Vec<Certificate> =
            policy.time_stamp_authorities.iter().flat_map(|authority| authority.certificates.clone()).collect();
        let stampers = Authorities::new(stampers).ok();
        Self { policy, keys, certified, intermediates, authorities, stampers, now: question.at, spent: 0 }
    }

    /// Checks the signatures of an envelope. `witnessed` is when the log proves that it was there.
    pub(super) fn of(
        &mut self,
        digest: &Hash,
        envelope: &Envelope,
        bundle: &Bundle,
        witnessed: Option<&Moment>,
    ) -> Signed {
        let mut signed = Signed { signatories: Vec::new(), moment: Moment::now(self.now), reasons: Vec::new() };
        let hints: Vec<String> =
            envelope.signatures().iter().map(|signature| signature.key_id.to_ascii_lowercase()).collect();
        let hinted = |id: &String| hints.contains(id);
        let mut candidates: Vec<VerifyingKey> = Vec::new();
        let wanted = self.keys.iter().filter(|(id, _)| hinted(id)).map(|(_, key)| key);
        candidates.extend(wanted.cloned());
        let certified = self.certified.iter().filter(|one| hinted(&one.key_id)).map(|one| &one.key);
        candidates.extend(certified.cloned());
        let Some(mut valid) = self.check(envelope, &candidates, &mut signed) else { return signed };
        // Hints are only hints. Where one leads nowhere, every key is tried.
        if valid.len() < hints.len() {
            let all = self.keys.iter().map(|(_, key)| key).chain(self.certified.iter().map(|one| &one.key));
            let others: Vec<VerifyingKey> = all.filter(|key| !candidates.contains(key)).cloned().collect();
            let Some(more) = self.check(envelope, &others, &mut signed) else { return signed };
            valid.extend(more);
        }
        let stamped = self.stamped(digest, envelope, bundle, &valid, &mut signed.reasons);
        let proven = [stamped.as_ref(), witnessed].into_iter().flatten().min_by_key(|moment| moment.time);
        signed.moment = proven.cloned().unwrap_or(signed.moment);
        for key in &valid {
            let identities = self.identities(key, &signed.moment, &mut signed.reasons);
            signed.signatories.push(Signatory { key_id: key.key_id(), identities });
        }
        if valid.is_empty() {
            signed.reasons.push(self.why_unsigned(&hints));
        }
        signed
    }

    /// Those of `keys` that signed; `None` when checking would cost too much.
    fn check(&mut self, envelope: &Envelope, keys: &[VerifyingKey], signed: &mut Signed) -> Option<Vec<VerifyingKey>> {
        let checks = (keys.len() as u64).saturating_mul(envelope.signatures().len() as u64);
        let each = CHECK.saturating_add(envelope.unverified_payload().len() as u64);
        self.spent = self.spent.saturating_add(checks.saturating_mul(each));
        if self.spent > BUDGET {
            let message = "there are more signatures and keys than are checked for one bundle; split it";
            signed.reasons.push(Reason::new("too-costly", message));
            return None;
        }
        let verified = envelope.verify(keys, NonZeroUsize::MIN).map(|verified| verified.signers).unwrap_or_default();
        Some(verified.into_iter().cloned().collect())
    }

    /// The earliest moment that a trusted authority stamped on one of the valid signatures.
    fn stamped(
        &self,
        digest: &Hash,
        envelope: &Envelope,
        bundle: &Bundle,
        valid: &[VerifyingKey],
        reasons: &mut Vec<Reason>,
    ) -> Option<Moment> {
        let first = TimestampOf { envelope: *digest, signature: 0, number: 0 };
        let last = TimestampOf { envelope: *digest, signature: u32::MAX, number: u32::MAX };
        let mut earliest: Option<Moment> = None;
        let signed: Vec<&[u8]> =
            valid.iter().filter_map(|key| envelope.signature_by(key)).map(|one| one.bytes.as_slice()).collect();
        for (of, token) in bundle.timestamps.range(first..=last) {
            let place = usize::try_from(of.signature).ok();
            let Some(signature) = place.and_then(|place| envelope.signatures().get(place)) else { continue };
            // A stamp over a signature that nobody made would prove a time for nothing.
            if !signed.contains(&signature.bytes.as_slice()) {
                continue;
            }
            let Some(stampers) = &self.stampers else {
                let message = "it has a time stamp, and the trust policy names no `time_stamp_authorities`";
                reasons.push(Reason::new("time-stamp-refused", message));
                continue;
            };
            match timestamp::verify(token, &signature.bytes, stampers) {
                Ok(stamp) if stamp.time <= self.now => {
                    if earliest.as_ref().is_none_or(|known| stamp.time < known.time) {
                        earliest = Some(Moment { time: stamp.time, source: MomentSource::TimeStamp(stamp.authority) });
                    }
                }
                Ok(stamp) => {
                    let message = format!("its time stamp is of {}, after the moment of judging", stamp.time);
                    reasons.push(Reason::new("time-stamp-refused", message));
                }
                Err(error) => {
                    reasons.push(Reason::new("time-stamp-refused", format!("its time stamp is refused: {error}")));
                }
            }
        }
        earliest
    }

    /// What trusted authorities say of a key's holder at a moment.
    fn identities(&self, key: &VerifyingKey, moment: &Moment, reasons: &mut Vec<Reason>) -> Vec<Identity> {
        let mut identities = Vec::new();
        let mut refusals = Vec::new();
        for certificate in self.certified.iter().filter(|one| one.key == *key).map(|one| &one.certificate) {
            for (name, roots) in &self.authorities {
                match roots.verify(certificate, &self.intermediates, Purpose::ModelSigning, moment.time) {
                    Ok(_) => identities.extend(named(certificate, name)),
                    Err(error) => refusals.push(format!("the certificate of {}: {error} (at {moment})", key.key_id())),
                }
            }
        }
        // A key that the policy lists needs no certificate.
        if identities.is_empty() && self.policy.key(&key.key_id()).is_none() {
            refusals.dedup();
            reasons.extend(refusals.into_iter().map(|message| Reason::new("certificate-refused", message)));
        }
        identities
    }

    /// Why no signature is valid, as far as the hints tell.
    fn why_unsigned(&self, hints: &[String]) -> Reason {
        let whole = |id: &String| self.keys.iter().any(|(known, _)| known == id);
        if let Some(id) = hints.iter().find(|id| whole(id)) {
            return Reason::new("bad-signature", format!("the signature by the key {id} does not fit the content"));
        }
        if let Some(id) = hints.iter().find(|id| self.policy.key(id).is_some()) {
            let message =
                format!("the trust policy names the key {id} only by its digest: give the key itself with --key");
            return Reason::new("key-unavailable", message);
        }
        let shown: Vec<String> =
            hints.iter().map(|id| id.chars().take(64).collect::<String>().escape_debug().to_string()).collect();
        let message =
            format!("none of its signatures is by a key that the trust policy names (key ids: {})", shown.join(", "));
        Reason::new("unknown-signer", message)
    }
}

/// Identities that a certificate gives its holder, under the issuer who vouches for them.
fn named(certificate: &Certificate, authority: &str) -> Vec<Identity> {
    let Ok(issuer) = oidc_issuer(certificate) else { return Vec::new() };
    let issuer = issuer.unwrap_or_else(|| authority.to_owned());
    let names = certificate.alt_names().unwrap_or_default();
    let texts = names.into_iter().filter_map(|name| match name {
        AltName::Email(text) | AltName::Uri(text) | AltName::Dns(text) => Some(text),
        AltName::Other { .. } => None,
    });
    texts.map(|identity| Identity { identity, issuer: issuer.clone() }).collect()
}

/// Who vouched for the identity towards Fulcio (sigstore, `docs/oid-info.md`); an error when that cannot be read, since
/// somebody else must not stand in.
fn oidc_issuer(certificate: &Certificate) -> Result<Option<String>, Unreadable> {
    let oid = |text: &str| text.parse().map_err(|_| Unreadable);
    let text = match certificate.extension(oid(OIDC_ISSUER)?) {
        // UTF8String with a definite length; an issuer is a URL, so its length takes one or two bytes.
        Some(([0x0c, length @ 0..=0x7f, text @ ..], _)) if text.len() == usize::from(*length) => text,
        Some(([0x0c, 0x81, length @ 0x80..=0xff, text @ ..], _)) if text.len() == usize::from(*length) => text,
        Some(_) => return Err(Unreadable),
        None => match certificate.extension(oid(OIDC_ISSUER_V1)?) {
            Some((text, _)) => text,
            None => return Ok(None),
        },
    };
    String::from_utf8(text.to_vec()).map(Some).map_err(|_| Unreadable)
}

/// An extension that is there and cannot be read.
struct Unreadable;

impl JudgedSigner {
    pub(super) fn new(signatory: &Signatory, standing: &SignerStanding) -> Self {
        Self {
            key_id: standing.key_id.clone(),
            identity: signatory.identities.first().map(|one| format!("{} ({})", one.identity, one.issuer)),
            person: standing.person.clone(),
            roles: standing.roles.clone(),
            counts: standing.objections.is_empty(),
        }
    }
}

/// The digest of an envelope in the words of the rest.
pub(super) fn envelope_digest(hash: &Hash) -> Option<Digest> {
    format!("sha256:{hash}").parse().ok()
}
