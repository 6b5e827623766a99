//! Revocations in a bundle: signed statements by those who may, or by the very key that is revoked.

use gauntlet_trust::statement::{REVOCATION, Revocation};
use gauntlet_trust::trust_policy::{Revoked, RevokedThing};
use schemars::JsonSchema;
use serde::Serialize;

use super::item::{Judge, Read};

/// A revocation that counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct JudgedRevocation {
    /// What is revoked: `key`, `envelope` or `subject` and its digest.
    pub what: String,
    /// From when on, RFC 3339; null for ever.
    pub from: Option<String>,
    /// Why.
    pub reason: String,
    /// The envelope of the revocation.
    pub envelope: String,
}

impl Judge<'_, '_> {
    /// Everything that the bundle's own revocations take away. One whose place in the log does not hold counts all the same:
    /// it can only make the answer stricter, and hiding it must not pay.
    pub(super) fn revocations(&self, read: &[Read]) -> (Vec<Revoked>, Vec<JudgedRevocation>) {
        let (mut revoked, mut shown) = (Vec::new(), Vec::new());
        for one in read {
            let Some(statement) = one.statement.as_ref().filter(|one| one.predicate_type == REVOCATION) else {
                continue;
            };
            let (Ok(list), Some(permission)) = (Revocation::of(statement), &one.permission) else { continue };
            for entry in list {
                let own = match &entry.what {
                    RevokedThing::Key(key) => permission.signers.iter().any(|signer| signer.key_id == *key),
                    _ => false,
                };
                if !own && !permission.is_allowed() {
                    continue;
                }
                shown.push(JudgedRevocation {
                    what: match &entry.what {
                        RevokedThing::Key(key) => format!("key {key}"),
                        RevokedThing::Envelope(digest) => format!("envelope {digest}"),
                        RevokedThing::Subject(digest) => format!("subject {digest}"),
                    },
                    from: entry.from.map(|from| from.to_string()),
                    reason: entry.reason.clone(),
                    envelope: format!("sha256:{}", one.digest),
                });
                revoked.push(entry);
            }
        }
        (revoked, shown)
    }
}
