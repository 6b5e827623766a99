//! What a ledger says about one subject, in the form in which evidence travels, so that both are judged alike.

use gauntlet_core::DigestSet;

use crate::Ledger;
use crate::bundle::{Bundle, EntryPart, LogPart};
use crate::error::Error;

/// Everything in a ledger about a subject with one of these digests, and every revocation. Envelopes that are gone are left
/// out; the entries that name them stay.
///
/// # Errors
/// When the ledger cannot be read.
pub fn gather(ledger: &Ledger, subject: &DigestSet) -> Result<Bundle, Error> {
    let mut bundle = Bundle::default();
    let mut part = LogPart { checkpoint: ledger.signed_checkpoint(), entries: Default::default() };
    for entry in ledger.iter() {
        let (index, record) = entry?;
        let about = subject.iter().any(|(name, hex)| record.subject.get(name).is_some_and(|known| known == hex));
        if !about && record.kind != "revocation" {
            continue;
        }
        let proof = ledger.prove(index)?;
        part.entries.insert(index, EntryPart { entry: ledger.entry(index)?, proof: proof.path });
        if let Some(envelope) = ledger.evidence().get(&record.envelope.0)? {
            bundle.add_envelope(envelope);
        }
    }
    bundle.logs.insert(ledger.verifier_key().name().to_owned(), part);
    Ok(bundle)
}
