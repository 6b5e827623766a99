//! A C2SP tlog-witness: cosigns a log's checkpoint only when it continues the last one that it cosigned, and remembers it before it
//! answers. Two readers who ask for cosigned checkpoints can then not be shown two histories.
//!
//! Checkpoints with extension lines are refused, as everywhere in this crate.

mod client;
mod request;
mod server;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub use client::{WitnessError, cosign};
pub use request::{AddCheckpoint, MAX_REQUEST, RequestError};
pub use server::{Listening, UnixTime, serve};

use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::error::Error;
use crate::files::{self, Durability};
use crate::lock::Lease;
use crate::note::{KeyKind, MAX_NOTE, SignerKey, VerifierKey};
use crate::tree::{Hash, verify_consistency};

/// Content type of the answer that says which size the witness knows.
const SIZE_TYPE: &str = "text/x.tlog.size";
const TEXT_TYPE: &str = "text/plain; charset=utf-8";

/// File in the state folder that says whose state it is.
const KEY_FILE: &str = "witness.vkey";

/// What the witness answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status: 200, 400, 403, 404, 409, 422, or 500 when its own state fails it.
    pub status: u16,
    /// Content type of the body.
    pub content_type: &'static str,
    /// Signature lines, the known size, or a reason.
    pub body: String,
}

/// A witness with its key, the logs it watches, and what it cosigned last of each.
#[derive(Debug)]
pub struct Witness {
    key: SignerKey,
    logs: BTreeMap<String, Vec<VerifierKey>>,
    state: PathBuf,
    /// Comparing, remembering and signing happen as one.
    turn: Mutex<()>,
    /// No second witness works on the same state.
    _lease: Lease,
}

impl Witness {
    /// A witness that keeps its state in a folder, which is made when missing. A log may have several keys, each a vkey that has the
    /// origin as name.
    ///
    /// # Errors
    /// When the folder belongs to another key or another process, or a key cannot be a log's.
    pub fn open(key: SignerKey, logs: Vec<VerifierKey>, state: &Path) -> Result<Self, Error> {
        fs::create_dir_all(state).map_err(Error::io(state))?;
        let lease = Lease::acquire(&state.join("lock"), Duration::ZERO)?;
        let path = state.join(KEY_FILE);
        let own = format!("{}\n", key.cosignature_verifier());
        match files::read_if_there(&path, MAX_NOTE as u64).map_err(Error::io(&path))? {
            None => {
                files::replace(state, &path, own.as_bytes(), 0o644, Durability::Device).map_err(Error::io(&path))?;
            }
            Some(there) if there == own.as_bytes() => {}
            Some(_) => return Err(Error::damaged(path, "the state belongs to a witness with another name or key")),
        }
        let mut known: BTreeMap<String, Vec<VerifierKey>> = BTreeMap::new();
        for log in logs {
            if log.kind() != KeyKind::Ed25519 {
                return Err(Error::Name(crate::note::NoteError::Key));
            }
            known.entry(log.name().to_owned()).or_default().push(log);
        }
        Ok(Self { key, logs: known, state: state.to_owned(), turn: Mutex::default(), _lease: lease })
    }

    /// The key under which the cosignatures verify.
    pub fn verifier(&self) -> VerifierKey {
        self.key.cosignature_verifier()
    }

    /// Answers the body of an add-checkpoint request at a time in Unix seconds. A checkpoint that is cosigned is remembered
    /// durably before this returns.
    pub fn add_checkpoint(&self, body: &[u8], now: u64) -> Answer {
        let request = match AddCheckpoint::parse(body) {
            Ok(request) => request,
            Err(error) => return Answer::refuse(400, error.to_string()),
        };
        let Some(keys) = self.logs.get(&request.checkpoint.origin) else {
            return Answer::refuse(404, "this log is not known here".to_owned());
        };
        let opened = keys.iter().find_map(|key| SignedCheckpoint::open(request.note.as_bytes(), key, &[]).ok());
        let Some(signed) = opened else {
            return Answer::refuse(403, "no signature is by a trusted key of the log".to_owned());
        };
        if request.old > signed.checkpoint.size {
            return Answer::refuse(400, "the old size is larger than the checkpoint".to_owned());
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.decide(&request, &signed, keys, now).unwrap_or_else(|_| {
            // What is wrong with the state is no business of the client's.
            Answer::refuse(500, "the witness cannot use its state".to_owned())
        })
    }

    fn decide(
        &self,
        request: &AddCheckpoint,
        signed: &SignedCheckpoint,
        keys: &[VerifierKey],
        now: u64,
    ) -> Result<Answer, Error> {
        let tree = &signed.checkpoint;
        let last = self.last(&tree.origin, keys)?;
        let size = last.as_ref().map_or(0, |last| last.size);
        let conflict = Answer { status: 409, content_type: SIZE_TYPE, body: format!("{size}\n") };
        if request.old != size {
            return Ok(conflict);
        }
        let root = last.map_or_else(crate::tree::empty_root, |last| last.root);
        if size == tree.size && root != tree.root {
            return Ok(conflict);
        }
        if verify_consistency(size, &root, tree.size, &tree.root, &request.proof).is_err() {
            return Ok(Answer::refuse(422, "the proof does not lead from the old tree to the new one".to_owned()));
        }
        let line = self.key.cosign(signed.note.text(), now);
        let mut note = signed.checkpoint.clone().into_note()?;
        signed.note.signatures().iter().for_each(|signature| {
            if keys.iter().any(|key| key.name() == signature.name && key.id() == signature.id) {
                note.add(signature.clone());
            }
        });
        note.add(line.clone());
        let path = self.path(&tree.origin);
        files::replace(&self.state, &path, note.to_string().as_bytes(), 0o644, Durability::Device)
            .map_err(Error::io(path))?;
        Ok(Answer { status: 200, content_type: TEXT_TYPE, body: format!("{line}\n") })
    }

    /// What was cosigned last of a log. A state that this witness did not sign is an error, never a fresh start.
    fn last(&self, origin: &str, keys: &[VerifierKey]) -> Result<Option<Checkpoint>, Error> {
        let path = self.path(origin);
        let Some(bytes) = files::read_if_there(&path, MAX_NOTE as u64).map_err(Error::io(&path))? else {
            return Ok(None);
        };
        let own = self.verifier();
        let refuse = |source| Error::Checkpoint { path: path.clone(), source };
        let note = crate::note::Note::parse(&bytes).map_err(|error| refuse(error.into()))?;
        let known: Vec<VerifierKey> = keys.iter().chain([&own]).cloned().collect();
        let verified = note.verify(&known).map_err(|error| refuse(error.into()))?;
        if !verified.iter().any(|signature| signature.key == own) || verified.len() != note.signatures().len() {
            return Err(Error::damaged(path, "not signed by this witness and a key of the log alone"));
        }
        let checkpoint = Checkpoint::parse(note.text()).map_err(refuse)?;
        if checkpoint.origin != origin {
            return Err(Error::damaged(path, "the checkpoint of another log"));
        }
        Ok(Some(checkpoint))
    }

    fn path(&self, origin: &str) -> PathBuf {
        self.state.join(format!("{}.checkpoint", Hash::of(origin.as_bytes())))
    }
}

impl Answer {
    fn refuse(status: u16, reason: String) -> Self {
        Self { status, content_type: TEXT_TYPE, body: format!("{reason}\n") }
    }
}

#[cfg(test)]
mod tests;
