//! The log in an object store as its writers hold it: commits, right edge and what is published.
//!
//! The order of commits is the log. Tiles follow from them, so all writers agree on every tile, and the checkpoint is signed only
//! over what was committed and replaced by compare-and-swap. A writer that ends half-way leaves a commit without tiles;
//! whoever writes next publishes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::error::Error;
use crate::frontier::Frontier;
use crate::log::commit::{Commit, CommitError, MAX_COMMIT};
use crate::log::state::CHECKPOINT;
use crate::log::view::{Tiles, View};
use crate::note::{MAX_NOTE, SignerKey, VerifierKey};
use crate::objects::{Created, Objects, Version};
use crate::tile::{TILE_WIDTH, Tile};

pub(crate) const FORMAT: &str = "format";
pub(crate) const ORIGIN: &str = "origin";
pub(crate) const FORMAT_TEXT: &[u8] = b"gauntlet object ledger 1\n";

/// How often a reader begins anew when writers remove the tiles under its feet.
const ATTEMPTS: usize = 4;

/// Commits, right edge, and how much of it is published.
#[derive(Debug)]
pub(crate) struct RemoteState {
    objects: Objects,
    key: VerifierKey,
    view: Arc<View>,
    /// Size of the checkpoint object, as it was seen last.
    published: u64,
    version: Version,
    /// Fence of the newest commit.
    fence: u64,
}

/// The checkpoint object with its version.
pub(crate) fn read_checkpoint(objects: &Objects, key: &VerifierKey) -> Result<(SignedCheckpoint, Version), Error> {
    let there = objects.get_versioned(CHECKPOINT, MAX_NOTE as u64)?;
    let (bytes, version) =
        there.ok_or_else(|| Error::damaged(objects.path(CHECKPOINT), "the checkpoint is missing"))?;
    let signed = SignedCheckpoint::open(&bytes, key, &[])
        .map_err(|source| Error::Checkpoint { path: objects.path(CHECKPOINT), source })?;
    Ok((signed, version))
}

/// Reads one commit; `None` when none begins there.
pub(crate) fn read_commit(objects: &Objects, start: u64, key: &VerifierKey) -> Result<Option<Commit>, Error> {
    let name = Commit::name(start);
    let Some(bytes) = objects.get(&name, MAX_COMMIT)? else { return Ok(None) };
    let commit = Commit::parse(&bytes, key)
        .and_then(|commit| if commit.start == start { Ok(commit) } else { Err(CommitError::Content) });
    commit.map(Some).map_err(|error| Error::damaged(objects.path(&name), error.to_string()))
}

impl RemoteState {
    /// Reads the log as the checkpoint and the commits behind it say, without changing anything.
    pub(crate) fn load(objects: &Objects, key: &VerifierKey) -> Result<Self, Error> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match Self::load_once(objects, key) {
                // A partial tile goes when the full one is there; a newer checkpoint then stands on others.
                Err(Error::Damaged { .. }) if attempt < ATTEMPTS => {}
                outcome => return outcome,
            }
        }
    }

    fn load_once(objects: &Objects, key: &VerifierKey) -> Result<Self, Error> {
        let (signed, version) = read_checkpoint(objects, key)?;
        let checkpoint = signed.checkpoint;
        let tiles = Tiles::Objects(objects.clone());
        let frontier = Frontier::restore(checkpoint.size, |tile| tiles.read(tile))?;
        if frontier.root() != checkpoint.root {
            return Err(Error::damaged(objects.path("tile"), "the partial tiles do not fit the checkpoint"));
        }
        let published = checkpoint.size;
        let note = signed.note.to_string();
        let view = View { tiles, frontier, pending: BTreeMap::new(), checkpoint, note };
        let mut state =
            Self { objects: objects.clone(), key: key.clone(), view: Arc::new(view), published, version, fence: 0 };
        state.replay()?;
        Ok(state)
    }

    /// Takes in the commits behind those that are known. What they lead to has no signed checkpoint yet.
    fn replay(&mut self) -> Result<bool, Error> {
        let mut any = false;
        while let Some(commit) = read_commit(&self.objects, self.view.size(), &self.key)? {
            let view = Arc::make_mut(&mut self.view);
            let mut finished = Vec::new();
            commit
                .apply(&mut view.frontier, &mut finished)
                .map_err(|error| Error::damaged(self.objects.path(&Commit::name(commit.start)), error.to_string()))?;
            view.pending.extend(finished);
            self.fence = self.fence.max(commit.fence);
            any = true;
        }
        Ok(any)
    }

    /// Takes in what others committed and published since.
    pub(crate) fn catch_up(&mut self, signer: &SignerKey) -> Result<(), Error> {
        let mut any = self.replay()?;
        let (signed, version) = read_checkpoint(&self.objects, &self.key)?;
        let size = signed.checkpoint.size;
        // A writer whose lease ran out may have committed and published in between.
        any |= size > self.view.size() && self.replay()?;
        if size > self.view.size() {
            return Err(Error::damaged(
                self.objects.path(&Commit::name(self.view.size())),
                format!("the commit is missing, although the checkpoint covers {size} entries"),
            ));
        }
        if size < self.published {
            return Err(Error::RolledBack {
                origin: self.key.name().to_owned(),
                remembered: self.published,
                found: size,
            });
        }
        (self.published, self.version) = (size, version);
        if size < self.view.size() {
            // Whoever committed these entries ended, or is just about to publish them: both write the same.
            return self.publish(signer);
        }
        if any || self.view.checkpoint.size != size {
            self.accept(signed)?;
        }
        Ok(())
    }

    /// Commits entries: durable when this gives `true`. `false` when another writer was faster; catch up then.
    pub(crate) fn append(
        &mut self,
        entries: Vec<Vec<u8>>,
        signer: &SignerKey,
        lease: (u64, &str),
    ) -> Result<bool, Error> {
        let mut frontier = self.view.frontier.clone();
        let mut finished = Vec::new();
        for entry in &entries {
            frontier.push(entry, &mut finished);
        }
        let (fence, writer) = lease;
        let commit = Commit {
            start: self.view.size(),
            size: frontier.size(),
            root: frontier.root(),
            fence,
            writer: writer.to_owned(),
            entries,
        };
        match self.objects.create(&Commit::name(commit.start), commit.to_bytes(signer)?)? {
            Created::Taken => Ok(false),
            Created::Here => {
                let view = Arc::make_mut(&mut self.view);
                view.frontier = frontier;
                view.pending.extend(finished);
                self.fence = fence;
                Ok(true)
            }
        }
    }

    /// Writes the tiles, then the signed checkpoint over everything that is committed.
    pub(crate) fn publish(&mut self, signer: &SignerKey) -> Result<(), Error> {
        let view = Arc::clone(&self.view);
        let edge = view.frontier.partials().map(|(tile, bytes)| (tile, bytes.to_vec()));
        let tiles = view.pending.iter().map(|(tile, bytes)| (*tile, bytes.clone())).chain(edge);
        self.objects.put_all(tiles.map(|(tile, bytes)| (tile.path(), Bytes::from(bytes))).collect())?;
        let checkpoint =
            Checkpoint { origin: self.key.name().to_owned(), size: view.size(), root: view.frontier.root() };
        let note = checkpoint.sign(signer)?.to_string();
        loop {
            if let Some(version) =
                self.objects.swap(CHECKPOINT, Bytes::from(note.clone().into_bytes()), &self.version)?
            {
                (self.version, self.published) = (version, checkpoint.size);
                break;
            }
            let (signed, version) = read_checkpoint(&self.objects, &self.key)?;
            (self.version, self.published) = (version, signed.checkpoint.size);
            if signed.checkpoint.size >= checkpoint.size {
                // Others published the same commits, and perhaps more, which the next commit takes in.
                break;
            }
        }
        let view = Arc::make_mut(&mut self.view);
        (view.checkpoint, view.note) = (checkpoint, note);
        let full = std::mem::take(&mut view.pending);
        self.remove_superseded(full.keys())
    }

    /// Gives the published checkpoint its cosignatures, while it is still the same one.
    pub(crate) fn publish_cosigned(&mut self, signed: &SignedCheckpoint) -> Result<(), Error> {
        let (there, version) = read_checkpoint(&self.objects, &self.key)?;
        (self.published, self.version) = (there.checkpoint.size, version);
        if there.checkpoint != signed.checkpoint {
            return Ok(());
        }
        let note = Bytes::from(signed.note.to_string());
        if let Some(version) = self.objects.swap(CHECKPOINT, note, &self.version)? {
            self.version = version;
        }
        Ok(())
    }

    /// Takes the published checkpoint for the view, when it is of the view's size.
    fn accept(&mut self, signed: SignedCheckpoint) -> Result<(), Error> {
        if signed.checkpoint.root != self.view.frontier.root() {
            let problem = "the checkpoint does not fit the commits";
            return Err(Error::damaged(self.objects.path(CHECKPOINT), problem));
        }
        let view = Arc::make_mut(&mut self.view);
        (view.checkpoint, view.note) = (signed.checkpoint, signed.note.to_string());
        view.pending.clear();
        Ok(())
    }

    /// Removes the partial forms of a tile one tile later than they could go, so that readers of an older checkpoint still find theirs.
    fn remove_superseded<'a>(&self, full: impl Iterator<Item = &'a Tile>) -> Result<(), Error> {
        for tile in full {
            let Some(index) = tile.index.checked_sub(1) else { continue };
            let old = Tile { index, width: TILE_WIDTH, ..*tile };
            for name in self.objects.list(&format!("{}/", old.partial_folder()), usize::from(TILE_WIDTH))? {
                self.objects.remove(&name)?;
            }
        }
        Ok(())
    }

    /// The log as readers see it: without a signed checkpoint over commits that nobody published yet, so only after
    /// [`RemoteState::catch_up`] or when there are none.
    pub(crate) fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// The log of the published checkpoint, for readers who may not sign.
    pub(crate) fn published_view(self) -> Result<Arc<View>, Error> {
        if self.view.checkpoint.size == self.view.size() {
            return Ok(self.view);
        }
        let tiles = self.view.tiles.clone();
        let frontier = Frontier::restore(self.view.checkpoint.size, |tile| tiles.read(tile))?;
        let (checkpoint, note) = (self.view.checkpoint.clone(), self.view.note.clone());
        Ok(Arc::new(View { tiles, frontier, pending: BTreeMap::new(), checkpoint, note }))
    }

    /// Fence of the newest commit that was seen.
    pub(crate) fn fence(&self) -> u64 {
        self.fence
    }
}
