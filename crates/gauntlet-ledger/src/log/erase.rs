//! Erasing an envelope: the tombstone becomes durable first, then the bytes go, so a crash never leaves an absence unexplained.

use gauntlet_trust::keys::SigningKey;

use crate::erasure::Erasure;
use crate::error::Error;
use crate::log::{Appended, Ledger};
use crate::tree::Hash;

impl Ledger {
    /// Removes the bytes of an envelope and leaves a tombstone signed by this key. What an interrupted erasure left is ended. The
    /// time is RFC 3339 in UTC with `Z`.
    ///
    /// # Errors
    /// When no entry names the envelope, it is a tombstone itself, or the append or the removal fails.
    pub fn erase(&self, envelope: &Hash, reason: &str, key: &SigningKey, time: &str) -> Result<Appended, Error> {
        self.refresh()?;
        let refuse = |problem| Error::CannotErase { envelope: *envelope, problem };
        if reason.trim().is_empty() {
            return Err(refuse("a reason is needed"));
        }
        let (entries, tombstone, is_tombstone) = self.with_index(|index| {
            (index.by_envelope(envelope).to_vec(), index.tombstone_of(envelope), index.is_tombstone(envelope))
        })?;
        if entries.is_empty() {
            return Err(refuse("no entry of the ledger names it"));
        }
        if is_tombstone {
            return Err(refuse("it is a tombstone"));
        }
        let appended = match tombstone {
            Some(tombstone) => {
                let index = self.by_envelope(&tombstone)?.first().copied();
                Appended::Present { index: index.ok_or_else(|| refuse("its tombstone is not in the log"))? }
            }
            None => {
                let erasure = Erasure { reason: reason.to_owned(), entries };
                let (bytes, record) = erasure.sign(envelope, key, time)?;
                let appended = self.admit(&[(bytes.as_slice(), record)])?;
                appended.into_iter().next().ok_or(Error::Poisoned)?
            }
        };
        self.evidence.remove(envelope)?;
        Ok(appended)
    }

    /// The envelope of the tombstone for an erased envelope.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn tombstone_of(&self, envelope: &Hash) -> Result<Option<Hash>, Error> {
        self.with_index(|index| index.tombstone_of(envelope))
    }
}
