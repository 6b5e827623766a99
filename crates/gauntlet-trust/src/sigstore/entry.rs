//! That a log holds an entry: its promise (signed entry time stamp), and the proof up to a state that it signed.

use jiff::Timestamp;

use super::bundle::{LogEntry, Proof, Version};
use super::log_key::LogKey;
use super::{Failure, Reason};
use crate::base64;
use crate::shown;
use crate::tlog::note::Note;
use crate::tlog::tree::{Hash, leaf_hash, verify_inclusion};

/// What speaks against `entry` being in one of `logs`, and the time at which the log says to have taken it in.
///
/// `moments` are those at which the signature is known to have been there from elsewhere; a log without a clock of its
/// own (Rekor v2) must have been trusted at one of them.
pub(super) fn check(
    entry: &LogEntry,
    version: Version,
    logs: &[LogKey],
    moments: &[Timestamp],
) -> (Option<Timestamp>, Vec<Failure>) {
    let named: Vec<&LogKey> = logs.iter().filter(|log| log.id == entry.log_id).collect();
    if named.is_empty() {
        let message = format!("the log {} of an entry is not in the trusted root", shown(&hex::encode(&entry.log_id)));
        return (None, vec![Failure::new(Reason::UnknownLog, message)]);
    }
    let mut failures = Vec::new();
    let promised = match promise(entry, &named) {
        Ok(promised) => promised,
        Err(failure) => {
            failures.push(failure);
            None
        }
    };
    // Bundles of the first version may go without a proof.
    match (&entry.proof, version) {
        (Some(proof), _) => failures.extend(proven(entry, proof, &named, promised, moments)),
        (None, Version::V01) if promised.is_some() => {}
        (None, _) => {
            let message = "the bundle holds no proof that the log includes the entry";
            failures.push(Failure::new(Reason::BadInclusionProof, message));
        }
    }
    (promised, failures)
}

/// The moment that the log vouches for. Only a promise covers it: a proof of inclusion does not.
fn promise(entry: &LogEntry, logs: &[&LogKey]) -> Result<Option<Timestamp>, Failure> {
    let Some(promise) = &entry.promise else { return Ok(None) };
    let bad = |message: &str| Failure::new(Reason::BadPromise, message);
    let time =
        entry.integrated_time.ok_or_else(|| bad("the log promises to include the entry and does not say when"))?;
    // The canonical JSON (RFC 8785) of these four: base64, hex and integers need no escapes.
    let message = format!(
        r#"{{"body":"{}","integratedTime":{},"logID":"{}","logIndex":{}}}"#,
        base64::encode(&entry.body),
        time.as_second(),
        hex::encode(&entry.log_id),
        entry.index
    );
    let Some(log) = logs.iter().find(|log| log.key.verify(message.as_bytes(), promise)) else {
        return Err(bad("the promise to include the entry is not signed by the log"));
    };
    if !log.window.holds(time) {
        let message = format!("the log took the entry at {time}, when its key did not count");
        return Err(Failure::new(Reason::UnknownLog, message));
    }
    Ok(Some(time))
}

fn proven(
    entry: &LogEntry,
    proof: &Proof,
    logs: &[&LogKey],
    promised: Option<Timestamp>,
    moments: &[Timestamp],
) -> Vec<Failure> {
    let mut failures = Vec::new();
    let leaf = leaf_hash(&entry.body);
    if let Err(error) = verify_inclusion(&leaf, proof.index, proof.size, &proof.hashes, &proof.root) {
        let message = format!("the proof that the log includes the entry does not hold: {error}");
        failures.push(Failure::new(Reason::BadInclusionProof, message));
    }
    match checkpoint(proof, logs) {
        Err(failure) => failures.push(failure),
        Ok(log) => {
            let known = promised.iter().chain(moments);
            let counts = known.clone().next().is_none() || known.clone().any(|time| log.window.holds(*time));
            if !counts {
                let message = "the log's key did not count when the signature was made";
                failures.push(Failure::new(Reason::UnknownLog, message));
            }
        }
    }
    failures
}

/// The log whose signed state is the one that the proof leads to.
fn checkpoint<'l>(proof: &Proof, logs: &[&'l LogKey]) -> Result<&'l LogKey, Failure> {
    let bad = |message: String| Failure::new(Reason::BadCheckpoint, message);
    let envelope =
        proof.checkpoint.as_ref().ok_or_else(|| bad("the proof comes without a signed checkpoint".to_owned()))?;
    let note = Note::parse(envelope.as_bytes()).map_err(|e| bad(format!("the checkpoint: {e}")))?;
    let state = State::parse(note.text())
        .ok_or_else(|| bad("the checkpoint does not name origin, size and root".to_owned()))?;
    // The id is the beginning of the log's own; others sign checkpoints, too, as witnesses.
    let signed = note.signatures().iter().find_map(|signature| {
        let log = logs.iter().find(|log| {
            log.id.starts_with(&signature.id)
                && state.is_of(&signature.name)
                && log.key.verify(note.text().as_bytes(), &signature.bytes)
        });
        log.copied()
    });
    let log = signed.ok_or_else(|| bad("the checkpoint is not signed by the log of the entry".to_owned()))?;
    if state.size != proof.size || state.root != proof.root {
        return Err(bad("the checkpoint is of another state of the log than the proof leads to".to_owned()));
    }
    Ok(log)
}

/// What a checkpoint says. Version 1 of the log has spaces in its origin and further lines behind the root, which C2SP's
/// tlog-checkpoint allows and our own ledger does not write.
struct State<'a> {
    origin: &'a str,
    size: u64,
    root: Hash,
}

impl<'a> State<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut lines = text.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let plain =
            !size.is_empty() && size.bytes().all(|b| b.is_ascii_digit()) && (size == "0" || !size.starts_with('0'));
        let size = plain.then(|| size.parse().ok()).flatten()?;
        (!origin.is_empty()).then_some(())?;
        Some(Self { origin, size, root: Hash::from_base64(root)? })
    }

    /// The key is named as the log; version 1 adds the number of its tree to the origin.
    fn is_of(&self, name: &str) -> bool {
        self.origin.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(" - "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_name_their_log() {
        let root = Hash::of(b"r").to_base64();
        let text = format!("log.example - 12\n5\n{root}\nTimestamp: 7\n");
        let state = State::parse(&text).unwrap();
        assert!(state.is_of("log.example") && !state.is_of("log.exam") && !state.is_of("other"));
        for broken in [
            format!("\n5\n{root}\n"),
            format!("log\n05\n{root}\n"),
            format!("log\n\n{root}\n"),
            "log\n5\n".to_owned(),
            format!("log\n{root}\n"),
        ] {
            assert!(State::parse(&broken).is_none(), "{broken}");
        }
    }
}
