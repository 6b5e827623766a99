//! What a ledger says about one subject, in the form in which evidence travels, so that both are judged alike.

use gauntlet_core::DigestSet;

use crate::bundle::Bundle;
use crate::error::Error;
use crate::{Ledger, Selection};

/// Everything in a ledger about a subject, what that rests on, and every revocation, with proofs to the newest checkpoint that
/// witnesses cosigned when it covers them all.
///
/// # Errors
/// When the ledger cannot be read.
pub fn gather(ledger: &Ledger, subject: &DigestSet) -> Result<Bundle, Error> {
    let Some(digest) = subject.primary() else { return Ok(Bundle::default()) };
    ledger.export(&Selection::Subject(digest.hex().to_owned()))
}
