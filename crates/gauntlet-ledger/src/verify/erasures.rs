//! Which absences are explained: an envelope may be gone only with a tombstone by somebody who may erase.

use crate::erasure::Erasure;
use crate::tree::Hash;
use crate::verify::{Problem, Verifier};

impl Verifier {
    /// Judges every absence by its tombstones, and every presence that a tombstone denies.
    pub(super) fn settle_erasures(&mut self) {
        for (digest, index) in std::mem::take(&mut self.missing) {
            match self.is_erased(&digest) {
                Some(Ok(())) => self.erased += 1,
                Some(Err(reason)) => self.report_envelope(&digest, Problem::Tombstone { index, reason }),
                None => self.report_envelope(&digest, Problem::EnvelopeMissing { index }),
            }
        }
        let present: Vec<Hash> =
            self.tombstones.keys().filter(|digest| self.envelopes.contains(digest)).copied().collect();
        for digest in present {
            if self.is_erased(&digest) == Some(Ok(())) {
                self.report_envelope(&digest, Problem::NotErased);
            }
        }
    }

    /// Whether one of the tombstones for an envelope counts, and why none does; `None` when there is none.
    fn is_erased(&self, digest: &Hash) -> Option<Result<(), String>> {
        let tombstones = self.tombstones.get(digest)?;
        let evidence = self.evidence.as_ref()?;
        let mut reason = String::new();
        for tombstone in tombstones {
            let judged = match evidence.get(tombstone) {
                Ok(Some(bytes)) => Erasure::verify(&bytes, digest, &self.erasers).map(drop),
                Ok(None) => Err("it is missing itself".to_owned()),
                Err(error) => Err(error.to_string()),
            };
            match judged {
                Ok(()) => return Some(Ok(())),
                Err(why) => reason = why,
            }
        }
        Some(Err(reason))
    }

    fn report_envelope(&mut self, digest: &Hash, problem: Problem) {
        if let Some(path) = self.evidence.as_ref().map(|evidence| evidence.path(digest)) {
            self.report(path, problem);
        }
    }
}
