//! Cosignatures of witnesses: kept beside the log in `cosigned`, the newest checkpoint that has any, with the witnesses' keys in
//! `witnesses`, so that every byte of them can be checked. The published checkpoint carries them too while it is the same one.

use std::sync::PoisonError;

use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::error::Error;
use crate::log::view::Tiles;
use crate::log::{Backend, Ledger, Writer, in_objects};
use crate::note::{KeyKind, MAX_NOTE, NoteError, Signature, VerifierKey};
use crate::objects::Lease;
use crate::proof::ProofFile;
use crate::tree::{self, Hash};

pub(crate) const COSIGNED: &str = "cosigned";
pub(crate) const WITNESSES: &str = "witnesses";

impl Ledger {
    /// The newest checkpoint that witnesses cosigned, with every signature checked; `None` when there is none.
    ///
    /// # Errors
    /// When it is damaged, or not of this log.
    pub fn cosigned(&self) -> Result<Option<SignedCheckpoint>, Error> {
        let view = self.view();
        let Some(bytes) = view.tiles.file(COSIGNED, MAX_NOTE as u64)? else { return Ok(None) };
        let witnesses = read_witnesses(&view.tiles)?;
        let refuse = |source| Error::Checkpoint { path: view.tiles.file_path(COSIGNED), source };
        let signed = open_whole(&bytes, &self.key, &witnesses).map_err(refuse)?;
        let size = signed.checkpoint.size;
        if size > view.size() || tree::root(size, &*view)? != signed.checkpoint.root {
            return Err(Error::damaged(view.tiles.file_path(COSIGNED), "not a checkpoint of this log"));
        }
        Ok(Some(signed))
    }

    /// Keeps cosignatures of a checkpoint of this log. Each must be by one of these witnesses and verify.
    ///
    /// # Errors
    /// When one does not verify, the checkpoint is not of this log, or it cannot be written.
    pub fn keep_cosignatures(
        &self,
        checkpoint: &str,
        signatures: Vec<Signature>,
        witnesses: &[VerifierKey],
    ) -> Result<SignedCheckpoint, Error> {
        let Some(writer) = &self.writer else { return Err(Error::ReadOnly) };
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        let Writer { backend, home_lock, timeout, .. } = &mut *writer;
        let view = self.view();
        match backend {
            Backend::Folder { state, lock } => {
                let _locked = (lock.lock(*timeout)?, home_lock.lock(*timeout)?);
                let signed = self.merge_cosignatures(&view.tiles, checkpoint, signatures, witnesses)?;
                state.publish_cosigned(&signed)?;
                Ok(signed)
            }
            Backend::Objects { state, objects } => {
                let _locked = home_lock.lock(*timeout)?;
                let lease = Lease::acquire(objects, state.fence(), in_objects::LEASE, *timeout)?;
                let outcome = self
                    .merge_cosignatures(&view.tiles, checkpoint, signatures, witnesses)
                    .and_then(|signed| state.publish_cosigned(&signed).map(|()| signed));
                // Nothing depends on it: a lease that is not given back runs out.
                let _ = lease.release();
                outcome
            }
        }
    }

    /// A proof that the entry at an index is in the log, to the newest cosigned checkpoint that covers it, else to the newest.
    ///
    /// # Errors
    /// When the index is outside the log or a file cannot be read.
    pub fn prove_cosigned(&self, index: u64) -> Result<ProofFile, Error> {
        match self.cosigned()?.filter(|signed| index < signed.checkpoint.size) {
            Some(signed) => self.prove_at(index, signed.checkpoint.size, signed.note.to_string()),
            None => self.prove(index),
        }
    }

    /// A proof that the entry at an index is in the log of `size` entries, whose signed checkpoint is given.
    pub(crate) fn prove_at(&self, index: u64, size: u64, checkpoint: String) -> Result<ProofFile, Error> {
        let path = tree::inclusion_proof(index, size, &*self.view())??;
        Ok(ProofFile { extra: None, index, path, checkpoint })
    }

    /// The root of the log when it had `size` entries.
    ///
    /// # Errors
    /// When it never had so many, or a tile cannot be read.
    pub fn root_at(&self, size: u64) -> Result<Hash, Error> {
        let view = self.view();
        if size > view.size() {
            return Err(tree::ProofError::Shrunk { old: size, new: view.size() }.into());
        }
        tree::root(size, &*view)
    }

    /// A proof that the log of `new` entries begins with the log of `old` entries.
    ///
    /// # Errors
    /// When the log never had so many, or a tile cannot be read.
    pub fn prove_consistency_between(&self, old: u64, new: u64) -> Result<Vec<Hash>, Error> {
        let view = self.view();
        if new > view.size() {
            return Err(tree::ProofError::Shrunk { old: new, new: view.size() }.into());
        }
        Ok(tree::consistency_proof(old, new, &*view)??)
    }

    fn merge_cosignatures(
        &self,
        tiles: &Tiles,
        checkpoint: &str,
        signatures: Vec<Signature>,
        witnesses: &[VerifierKey],
    ) -> Result<SignedCheckpoint, Error> {
        let path = tiles.file_path(COSIGNED);
        let refuse = |source| Error::Checkpoint { path: path.clone(), source };
        let signed = SignedCheckpoint::open(checkpoint.as_bytes(), &self.key, &[]).map_err(refuse)?;
        let view = self.view();
        if signed.checkpoint.size > view.size() || tree::root(signed.checkpoint.size, &*view)? != signed.checkpoint.root
        {
            return Err(Error::damaged(path, "the cosigned checkpoint is not of this log"));
        }
        let mut keys = read_witnesses(tiles)?;
        keys.extend(witnesses.iter().filter(|key| key.kind() == KeyKind::Cosignature).cloned());
        keys.sort_by_key(ToString::to_string);
        keys.dedup();
        // The log's own line, then one line a witness: the newest.
        let mut note = signed.checkpoint.clone().into_note().map_err(|error| refuse(error.into()))?;
        let own = |signature: &&Signature| signature.name == self.key.name() && signature.id == self.key.id();
        signed.note.signatures().iter().filter(own).take(1).for_each(|signature| note.add(signature.clone()));
        let earlier = match tiles.file(COSIGNED, MAX_NOTE as u64)? {
            Some(bytes) => {
                let earlier = open_whole(&bytes, &self.key, &keys).map_err(refuse)?;
                if earlier.checkpoint.size > signed.checkpoint.size {
                    // A newer one is kept already; an older one adds nothing to it.
                    return Ok(earlier);
                }
                let same = earlier.checkpoint == signed.checkpoint;
                let lines = earlier.note.signatures().iter().filter(|line| same && !own(line)).cloned();
                lines.collect()
            }
            None => Vec::new(),
        };
        let fresh: Vec<(String, [u8; 4])> = signatures.iter().map(|line| (line.name.clone(), line.id)).collect();
        let kept = earlier.into_iter().filter(|line| !fresh.contains(&(line.name.clone(), line.id)));
        let mut lines: Vec<Signature> = kept.chain(signatures).collect();
        lines.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        lines.into_iter().for_each(|line| note.add(line));
        let text = note.to_string();
        let merged = open_whole(text.as_bytes(), &self.key, &keys).map_err(refuse)?;
        let known = keys.iter().map(|key| format!("{key}\n")).collect::<String>();
        tiles.write_file(WITNESSES, known.into_bytes())?;
        tiles.write_file(COSIGNED, text.into_bytes())?;
        Ok(merged)
    }
}

/// Opens a signed checkpoint all of whose signatures have to be known and hold.
pub(crate) fn open_whole(
    bytes: &[u8],
    key: &VerifierKey,
    witnesses: &[VerifierKey],
) -> Result<SignedCheckpoint, CheckpointError> {
    let signed = SignedCheckpoint::open(bytes, key, witnesses)?;
    if signed.signatures.len() == signed.note.signatures().len() {
        Ok(signed)
    } else {
        Err(NoteError::UnknownSignature.into())
    }
}

/// The witnesses' keys beside a log.
pub(crate) fn read_witnesses(tiles: &Tiles) -> Result<Vec<VerifierKey>, Error> {
    let Some(bytes) = tiles.file(WITNESSES, MAX_NOTE as u64)? else { return Ok(Vec::new()) };
    parse_witnesses(&bytes).ok_or_else(|| Error::damaged(tiles.file_path(WITNESSES), "not a list of witness keys"))
}

/// One witness key a line; `None` for anything else.
pub(crate) fn parse_witnesses(bytes: &[u8]) -> Option<Vec<VerifierKey>> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let key = |line| VerifierKey::parse(line).ok().filter(|key: &VerifierKey| key.kind() == KeyKind::Cosignature);
    text.split('\n').map(key).collect()
}
