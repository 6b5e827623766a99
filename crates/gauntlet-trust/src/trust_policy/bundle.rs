//! A trust policy signed by its root: a chain of DSSE envelopes over the exact texts, one a line, the oldest first.
//!
//! Each text after the first names the SHA-256 of the one before and is signed by the threshold of that one's root keys and
//! of its own (as root metadata is in The Update Framework, TUF 1.0.34, section 5.3), so that whoever trusts any one of
//! them can follow the keys to the newest.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use gauntlet_core::{ConfigError, Digest};

use super::{Root, TrustPolicy};
use crate::dsse::{DsseError, Envelope};
use crate::keys::{Signer, VerifyingKey};

/// The payload type of a signed trust policy: the payload is the YAML text as it was written.
pub const PAYLOAD_TYPE: &str = "application/vnd.gauntlet.trust-policy.v1+yaml";

/// Largest bundle, in bytes, and most texts in one.
const MAX_BYTES: usize = 64 << 20;
const MAX_LINKS: usize = 1_000;

/// A chain of signed texts. Nothing is verified until [`PolicyBundle::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyBundle {
    /// Never empty; the newest is last.
    links: Vec<Envelope>,
}

/// The newest text of a bundle, with what vouches for it.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedPolicy {
    /// The policy.
    pub policy: TrustPolicy,
    /// Its number.
    pub version_number: u64,
    /// Ids of the root keys that signed it.
    pub signers: Vec<String>,
    /// SHA-256 of every text of the chain by its number, the newest included.
    pub history: Vec<(u64, Digest)>,
}

/// Signatures that a text still lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Whether it is the predecessor's root that must sign, and not its own.
    pub of_previous: bool,
    /// Different root signers who did.
    pub found: usize,
    /// How many must.
    pub needed: usize,
}

/// Why a bundle is refused, or cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Not a bundle at all.
    #[error("not a signed trust policy: {0}")]
    Shape(String),
    /// A line that is no envelope.
    #[error("line {line} of the signed trust policy: {source}")]
    Envelope {
        /// Number of the line, from 1.
        line: usize,
        /// Why.
        source: DsseError,
    },
    /// A text that is no trust policy.
    #[error("trust policy number {number}: {}", all(errors))]
    Text {
        /// Place in the chain, from 1.
        number: usize,
        /// Everything that is wrong with it.
        errors: Vec<ConfigError>,
    },
    /// A text does not follow from the one before.
    #[error("trust policy number {number} {problem}")]
    Chain {
        /// Place in the chain, from 1.
        number: usize,
        /// What does not fit.
        problem: String,
    },
    /// No text carries the signatures of all keys that the verifier trusts.
    #[error("none of its texts is signed by every trust-root key that you gave")]
    NotAnchored,
    /// The verifier gave no key.
    #[error("no trust-root key was given, and a bundle cannot vouch for itself")]
    NoTrustRoot,
    /// Too few root keys signed.
    #[error("trust policy number {number}: {} of {} needed root signers {} signed", missing.found, missing.needed, whose(missing))]
    Missing {
        /// Place in the chain, from 1.
        number: usize,
        /// What it lacks.
        missing: Missing,
    },
    /// A key refused to sign.
    #[error(transparent)]
    Sign(#[from] DsseError),
    /// The key is among no root's keys, so its signature would mean nothing.
    #[error("the key {0} is a root key neither of this text nor of its predecessor")]
    NotARootKey(String),
}

fn whose(missing: &Missing) -> &'static str {
    if missing.of_previous { "of its predecessor" } else { "of its own" }
}

fn all(errors: &[ConfigError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl PolicyBundle {
    /// Whether bytes are meant to be a bundle and not a plain text.
    #[must_use]
    pub fn is_meant(bytes: &[u8]) -> bool {
        let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let named = first.windows(b"\"payloadType\"".len()).any(|window| window == b"\"payloadType\"");
        first.trim_ascii_start().starts_with(b"{") && named
    }

    /// Reads a bundle: the shape only.
    ///
    /// # Errors
    /// [`BundleError`] names the line that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > MAX_BYTES {
            return Err(BundleError::Shape(format!("more than {MAX_BYTES} bytes")));
        }
        let mut links = Vec::new();
        let lines = bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|byte| *byte == b'\n');
        for (line, text) in (1..).zip(lines) {
            if line > MAX_LINKS {
                return Err(BundleError::Shape(format!("more than {MAX_LINKS} texts")));
            }
            let envelope = Envelope::parse(text).map_err(|source| BundleError::Envelope { line, source })?;
            if envelope.unverified_payload_type() != PAYLOAD_TYPE {
                let found = crate::shown(envelope.unverified_payload_type());
                return Err(BundleError::Shape(format!("line {line} is of the payload type {found}")));
            }
            links.push(envelope);
        }
        // Splitting gives one piece at least, and an empty one is no envelope.
        Ok(Self { links })
    }

    /// Signs a text as the successor of `previous`, or as the first. It may still lack signatures, see [`Self::missing`].
    ///
    /// # Errors
    /// [`BundleError`] when the text does not fit its predecessor, or a key is no root key.
    pub fn sign(text: &[u8], previous: Option<Self>, keys: &[&dyn Signer]) -> Result<Self, BundleError> {
        let mut links = previous.map(|bundle| bundle.links).unwrap_or_default();
        let envelope = Envelope::sign(PAYLOAD_TYPE, text.to_vec(), keys)?;
        links.push(envelope);
        let bundle = Self { links };
        let (newest, before) = bundle.ends()?;
        for key in keys {
            check_root_key(*key, &newest, before.as_ref())?;
        }
        Ok(bundle)
    }

    /// Adds signatures to the newest text, for signers who sit at different machines.
    ///
    /// # Errors
    /// [`BundleError`] when a text cannot be read, or a key is no root key.
    pub fn sign_also(&mut self, keys: &[&dyn Signer]) -> Result<(), BundleError> {
        let (newest, before) = self.ends()?;
        for key in keys {
            check_root_key(*key, &newest, before.as_ref())?;
            if let Some(last) = self.links.last_mut() {
                last.sign_also(*key)?;
            }
        }
        Ok(())
    }

    /// The thresholds that the newest text does not reach yet.
    ///
    /// # Errors
    /// [`BundleError`] when it or its predecessor cannot be read, or has no root.
    pub fn missing(&self) -> Result<Vec<Missing>, BundleError> {
        let (newest, before) = self.ends()?;
        let Some(envelope) = self.links.last() else { return Ok(Vec::new()) };
        let own = (false, root_of(&newest, self.links.len())?);
        let previous = before.as_ref().map(|policy| root_of(policy, self.links.len() - 1)).transpose()?;
        let roots = std::iter::once(own).chain(previous.map(|root| (true, root)));
        Ok(roots.filter_map(|(of_previous, root)| signed_by(envelope, root, of_previous).err()).collect())
    }

    /// Verifies the whole chain. Every key of `trusted` must have signed one and the same text of it; from that one on, each
    /// successor is signed by the thresholds of its predecessor and of itself. What stands before is bound by its digest.
    ///
    /// # Errors
    /// [`BundleError`] says which text fails and why.
    pub fn verify(
        &self,
        file: &str,
        trusted: &[VerifyingKey],
        known_packs: &[&str],
    ) -> Result<VerifiedPolicy, BundleError> {
        let needed = distinct(trusted).ok_or(BundleError::NoTrustRoot)?;
        let anchored = |envelope: &Envelope| envelope.verify(trusted, needed).is_ok();
        let anchor = self.links.iter().position(anchored).ok_or(BundleError::NotAnchored)?;
        let mut signers = Vec::new();
        let mut earlier: Option<TrustPolicy> = None;
        let mut history = Vec::new();
        for (number, envelope) in (1..).zip(&self.links) {
            let newest = number == self.links.len();
            let policy = text(file, envelope, number, newest.then_some(known_packs))?;
            follows(&policy, earlier.as_ref(), number)?;
            let root = root_of(&policy, number)?;
            // Texts before the anchor are only bound by digest: nobody whom the verifier trusts needs to have signed them.
            if number > anchor {
                signers =
                    signed_by(envelope, root, false).map_err(|missing| BundleError::Missing { number, missing })?;
            }
            if let Some(before) = earlier.as_ref().filter(|_| number > anchor + 1) {
                let root = root_of(before, number - 1)?;
                signed_by(envelope, root, true).map_err(|missing| BundleError::Missing { number, missing })?;
            }
            history.push((policy.version_number.unwrap_or_default(), policy.digest.clone()));
            earlier = Some(policy);
        }
        let policy = earlier.ok_or_else(|| BundleError::Shape("it is empty".into()))?;
        let version_number = policy.version_number.unwrap_or_default();
        Ok(VerifiedPolicy { policy, version_number, signers, history })
    }

    /// One envelope a line.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.links.iter().flat_map(|envelope| [envelope.to_json(), b"\n".to_vec()].concat()).collect()
    }

    /// The newest text, before anybody has vouched for it.
    #[must_use]
    pub fn unverified_text(&self) -> &[u8] {
        self.links.last().map_or(&[], Envelope::unverified_payload)
    }

    /// The newest text and the one before.
    fn ends(&self) -> Result<(TrustPolicy, Option<TrustPolicy>), BundleError> {
        let mut earlier: Option<TrustPolicy> = None;
        let from = self.links.len().saturating_sub(2);
        let mut newest: Option<TrustPolicy> = None;
        for (number, envelope) in (1..).zip(&self.links).skip(from) {
            earlier = newest.take();
            let policy = text("the trust policy", envelope, number, None)?;
            if number == 1 || earlier.is_some() {
                follows(&policy, earlier.as_ref(), number)?;
            }
            root_of(&policy, number)?;
            newest = Some(policy);
        }
        let newest = newest.ok_or_else(|| BundleError::Shape("it is empty".into()))?;
        Ok((newest, earlier))
    }
}

/// How many different keys there are.
fn distinct(keys: &[VerifyingKey]) -> Option<NonZeroUsize> {
    let different: BTreeSet<String> = keys.iter().map(VerifyingKey::key_id).collect();
    NonZeroUsize::new(different.len())
}

fn check_root_key(key: &dyn Signer, newest: &TrustPolicy, before: Option<&TrustPolicy>) -> Result<(), BundleError> {
    let roots = [newest.root.as_ref(), before.and_then(|policy| policy.root.as_ref())];
    let mut keys = roots.into_iter().flatten().flat_map(|root| &root.keys);
    if keys.any(|(_, known)| known == key.verifying_key()) {
        return Ok(());
    }
    Err(BundleError::NotARootKey(key.key_id()))
}

fn text(file: &str, envelope: &Envelope, number: usize, packs: Option<&[&str]>) -> Result<TrustPolicy, BundleError> {
    TrustPolicy::read(file, envelope.unverified_payload(), packs).map_err(|errors| BundleError::Text { number, errors })
}

fn root_of(policy: &TrustPolicy, number: usize) -> Result<&Root, BundleError> {
    let problem = || "names nobody under `root` who may sign it".to_owned();
    policy.root.as_ref().ok_or_else(|| BundleError::Chain { number, problem: problem() })
}

/// Number, predecessor and name of a text against the one before it.
fn follows(policy: &TrustPolicy, earlier: Option<&TrustPolicy>, number: usize) -> Result<(), BundleError> {
    let wrong = |problem: String| Err(BundleError::Chain { number, problem });
    match (policy.version_number, earlier) {
        (None, _) => wrong("has no `version_number`, which a signed trust policy needs".into()),
        (Some(1), None) => Ok(()),
        (Some(found), None) => wrong(format!("has version number {found}, and its predecessors are missing")),
        (Some(found), Some(before)) => {
            let expected = before.version_number.unwrap_or_default().saturating_add(1);
            if found != expected {
                return wrong(format!("has version number {found}, where {expected} follows"));
            }
            if policy.previous.as_ref() != Some(&before.digest) {
                return wrong(format!("does not name the text before it: `previous: {}` is due", before.digest));
            }
            if policy.name != before.name {
                return wrong(format!("is of `{}`, its predecessor of `{}`", policy.name, before.name));
            }
            Ok(())
        }
    }
}

/// Ids of the root keys that signed, when different signers reach the threshold.
fn signed_by(envelope: &Envelope, root: &Root, of_previous: bool) -> Result<Vec<String>, Missing> {
    let keys: Vec<VerifyingKey> = root.keys.iter().map(|(_, key)| key.clone()).collect();
    let signers = envelope.verify(&keys, NonZeroUsize::MIN).map(|verified| verified.signers).unwrap_or_default();
    let counts_for = |key: &VerifyingKey| root.keys.iter().find(|(_, known)| known == key).map(|(who, _)| who.as_str());
    let different: BTreeSet<&str> = signers.iter().filter_map(|key| counts_for(key)).collect();
    if different.len() < root.threshold.get() {
        return Err(Missing { of_previous, found: different.len(), needed: root.threshold.get() });
    }
    Ok(signers.iter().map(|key| key.key_id()).collect())
}

#[cfg(test)]
mod tests;
