//! Whether the head of a ledger is new enough to say what was revoked.

use gauntlet_ledger::checkpoint::SignedCheckpoint;
use gauntlet_ledger::note::VerifierKey;
use gauntlet_ledger::{Error, Ledger};
use gauntlet_trust::trust_policy::TrustPolicy;
use jiff::Timestamp;

use crate::outcome::Violation;

/// The rule under which an old head stands among the reasons of a decision; it leaves the question open.
pub const STALE_HEAD: &str = "policy/decision/stale-head";

/// What speaks against deciding by this ledger: where the trust policy sets a freshness and names witnesses, a quorum of them
/// must have cosigned its head within that time. Without witnesses nobody but the ledger's own writer could say how old its
/// head is, and that writer is who decides here.
///
/// # Errors
/// When the ledger's checkpoint is false.
pub fn stale_head(ledger: &Ledger, trust: &TrustPolicy, at: Timestamp) -> Result<Option<Violation>, Error> {
    let (Some(freshness), Some(witnesses)) = (trust.freshness_seconds, &trust.witnesses) else { return Ok(None) };
    let keys: Vec<VerifierKey> =
        witnesses.keys.iter().filter_map(|key| VerifierKey::parse(key.as_str()).ok()).collect();
    // What was appended since the witnesses looked was appended by whoever decides here; what counts is when they last saw it.
    let note = ledger.cosigned()?.map_or_else(|| ledger.signed_checkpoint(), |signed| signed.note.to_string());
    // Opened again with the witnesses of the trust policy: others may have cosigned, too.
    let signed = SignedCheckpoint::open(note.as_bytes(), ledger.verifier_key(), &keys)
        .map_err(|source| Error::Checkpoint { path: "cosigned".into(), source })?;
    let mut times: Vec<u64> = signed.signatures.iter().filter_map(|signature| signature.time).collect();
    times.sort_unstable();
    let quorum = witnesses.quorum.get();
    // The head was still the newest when so many of them saw it at or after this time.
    let newest = times.len().checked_sub(quorum).and_then(|place| times.get(place)).copied();
    let now = u64::try_from(at.as_second()).unwrap_or(0);
    let message = match newest {
        None => format!("{} of {quorum} needed witnesses cosigned the head of the ledger", times.len()),
        Some(time) if now.saturating_sub(time) > freshness => {
            let age = now.saturating_sub(time);
            format!("the head of the ledger was cosigned {age} s ago, and the trust policy allows {freshness} s")
        }
        Some(_) => return Ok(None),
    };
    let needs = "cosignatures of its newest checkpoint by the witnesses that the trust policy names".to_owned();
    Ok(Some(Violation { rule: STALE_HEAD.to_owned(), message, needs }))
}
