//! What no longer counts: keys, pieces of evidence and subjects, from when on and why.

use gauntlet_core::yaml::Located;
use gauntlet_core::{ConfigError, Digest, DigestSet};
use jiff::Timestamp;

use super::document::RevokedDocument;
use super::people::read_key;
use super::window::Window;
use crate::moment::Moment;

/// Something that no longer counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// What.
    pub what: RevokedThing,
    /// From when on; `None` for ever.
    pub from: Option<Timestamp>,
    /// Why, for people.
    pub reason: String,
}

/// What can be revoked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RevokedThing {
    /// A key, by the hex SHA-256 of its SubjectPublicKeyInfo.
    Key(String),
    /// An envelope, by its SHA-256.
    Envelope(Digest),
    /// A subject, by one of its digests.
    Subject(Digest),
}

impl Revoked {
    /// Whether this takes away what a key signed: everything, unless somebody vouches that the signature is older than the
    /// revocation. Without such a proof the signer could have dated it back.
    #[must_use]
    pub fn hits_key(&self, key_id: &str, moment: &Moment) -> bool {
        matches!(&self.what, RevokedThing::Key(key) if key.eq_ignore_ascii_case(key_id)) && self.holds_at(moment.time)
    }

    /// Whether this takes away an envelope at a time. A piece of evidence that is wrong was so from the beginning, so only
    /// the time of judging counts.
    #[must_use]
    pub fn hits_envelope(&self, envelope: &Digest, at: Timestamp) -> bool {
        matches!(&self.what, RevokedThing::Envelope(digest) if digest == envelope) && self.holds_at(at)
    }

    /// Whether this takes away a subject with any of these digests at a time.
    #[must_use]
    pub fn hits_subject(&self, subject: &DigestSet, at: Timestamp) -> bool {
        let RevokedThing::Subject(digest) = &self.what else { return false };
        let same = subject.get(digest.algorithm()).is_some_and(|hex| hex.eq_ignore_ascii_case(digest.hex()));
        same && self.holds_at(at)
    }

    fn holds_at(&self, time: Timestamp) -> bool {
        self.from.is_none_or(|from| time >= from)
    }

    pub(super) fn read(file: &str, document: &RevokedDocument, errors: &mut Vec<ConfigError>) -> Option<Self> {
        let before = errors.len();
        let from = Window::read(file, document.from.as_ref(), None, errors).from;
        let digest = |text: &Located<String>, errors: &mut Vec<ConfigError>| {
            text.value.parse::<Digest>().map_err(|error| errors.push(text.error(file, error.to_string()))).ok()
        };
        let what = match (&document.key, &document.envelope, &document.subject) {
            (Some(key), None, None) => match read_key(&key.value) {
                Ok((id, _)) => Some(RevokedThing::Key(id)),
                Err(message) => {
                    errors.push(key.error(file, message));
                    None
                }
            },
            (None, Some(envelope), None) => {
                let digest = digest(envelope, errors);
                if digest.as_ref().is_some_and(|digest| digest.algorithm() != gauntlet_core::Algorithm::Sha256) {
                    errors.push(envelope.error(file, "an envelope is named by its sha256"));
                }
                digest.map(RevokedThing::Envelope)
            }
            (None, None, Some(subject)) => digest(subject, errors).map(RevokedThing::Subject),
            _ => {
                errors.push(document.reason.error(file, "name one of `key`, `envelope` and `subject`"));
                None
            }
        };
        if document.reason.value.trim().is_empty() {
            errors.push(document.reason.error(file, "say why, for whoever is refused because of it"));
        }
        let what = what?;
        (errors.len() == before).then(|| Self { what, from, reason: document.reason.value.clone() })
    }
}
