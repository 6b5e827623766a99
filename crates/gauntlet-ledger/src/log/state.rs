//! The state of a log that its writer holds: journal, right edge and what is published. Everything here happens under the lock.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::error::Error;
use crate::files::{self, Durability};
use crate::frontier::Frontier;
use crate::journal::{Frame, Journal, Tail};
use crate::log::view::{Tiles, View, tile_limit};
use crate::note::{MAX_NOTE, SignerKey, VerifierKey};
use crate::tile::{TILE_WIDTH, Tile, TileKind};

pub(crate) const CHECKPOINT: &str = "checkpoint";
pub(crate) const JOURNAL: &str = "journal";
pub(crate) const SCRATCH: &str = "tmp";

/// Threads that sync tiles when a journal is closed; the file system joins their waits.
const SYNC_THREADS: usize = 8;

/// Journal, right edge, and how much of it is published.
#[derive(Debug)]
pub(crate) struct State {
    folder: PathBuf,
    key: VerifierKey,
    journal: Journal,
    /// Where the journal begins; the tiles of this size are durable and stay until it is closed.
    base: u64,
    /// Size of the checkpoint file, and the tiles that stand for it.
    published: u64,
    /// The checkpoint file was torn by a loss of power; the journal has what belongs there.
    torn_checkpoint: bool,
    view: Arc<View>,
    journal_limit: u64,
}

/// A file that recovery wrote again, because it was missing or torn although it had been published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// The file.
    pub path: PathBuf,
    /// What was wrong with it.
    pub problem: &'static str,
}

impl State {
    /// Reads the log as the journal says it is, without changing anything.
    pub(crate) fn load(folder: &Path, key: &VerifierKey, writable: bool, journal_limit: u64) -> Result<Self, Error> {
        let published = read_checkpoint(folder, key);
        let path = folder.join(JOURNAL);
        let journal = Journal::open(&path, writable, journal_limit)?;
        let base = SignedCheckpoint::open(journal.base.as_bytes(), key, &[])
            .map_err(|source| Error::Checkpoint { path: path.clone(), source })?
            .checkpoint;
        let tiles = Tiles::Folder(folder.to_owned());
        let frontier = Frontier::restore(base.size, |tile| tiles.read(tile))?;
        if frontier.root() != base.root {
            let problem = format!("the partial tiles of size {} do not fit the checkpoint of the journal", base.size);
            return Err(Error::damaged(folder.join("tile"), problem));
        }
        let note = journal.base.clone();
        let view = View { tiles, frontier, pending: BTreeMap::new(), checkpoint: base.clone(), note };
        let mut state = Self {
            folder: folder.to_owned(),
            key: key.clone(),
            journal,
            base: base.size,
            published: base.size,
            torn_checkpoint: false,
            view: Arc::new(view),
            journal_limit,
        };
        let mut notes = vec![(base.clone(), state.journal.base.clone())];
        state.replay(|checkpoint, note| notes.push((checkpoint.clone(), note.to_owned())))?;
        match published {
            Ok(published) => {
                if !notes.iter().any(|(checkpoint, _)| *checkpoint == published.checkpoint) {
                    let problem = "no checkpoint of the journal is the published one; entries were lost or changed";
                    return Err(Error::damaged(path, problem));
                }
                state.published = published.checkpoint.size;
            }
            Err(error) => {
                let path = folder.join(CHECKPOINT);
                let found = files::read_if_there(&path, MAX_NOTE as u64).map_err(Error::io(&path))?;
                let torn = |found: Vec<u8>| notes.iter().any(|(_, note)| is_torn(&found, note.as_bytes()));
                if !found.is_some_and(torn) {
                    return Err(error);
                }
                state.torn_checkpoint = true;
            }
        }
        Ok(state)
    }

    /// Reads the frames behind the position. The last of them must carry a checkpoint of the log that fits its root; the chain
    /// of the journal ties those before to it.
    fn replay(&mut self, mut meet: impl FnMut(&Checkpoint, &str)) -> Result<bool, Error> {
        let path = self.folder.join(JOURNAL);
        let mut view = View::clone(&self.view);
        let mut finished = Vec::new();
        let mut any = false;
        while let Some(frame) = self.journal.next()? {
            if frame.start != view.frontier.size() {
                let problem = format!("a frame begins at entry {}, expected {}", frame.start, view.frontier.size());
                return Err(Error::damaged(path, problem));
            }
            for entry in &frame.entries {
                view.frontier.push(entry, &mut finished);
            }
            let text = frame.checkpoint.split_once("\n\n").map(|(text, _)| format!("{text}\n"));
            let checkpoint = text.and_then(|text| Checkpoint::parse(&text).ok());
            let fits = |found: &Checkpoint| found.size == view.frontier.size() && found.root == view.frontier.root();
            let Some(checkpoint) = checkpoint.filter(fits) else {
                let problem = format!("the checkpoint after entry {} does not fit its entries", view.frontier.size());
                return Err(Error::damaged(path, problem));
            };
            meet(&checkpoint, &frame.checkpoint);
            (view.checkpoint, view.note, any) = (checkpoint, frame.checkpoint, true);
        }
        if any {
            let signed = SignedCheckpoint::open(view.note.as_bytes(), &self.key, &[]);
            signed.map_err(|source| Error::Checkpoint { path, source })?;
            view.pending.extend(finished);
            self.view = Arc::new(view);
        }
        Ok(any)
    }

    /// Makes the files what the journal says: ends what an interrupted append left, and writes again what a loss of power tore.
    /// Content that is neither is an error and stays as it is.
    pub(crate) fn recover(&mut self) -> Result<Vec<Repair>, Error> {
        self.journal.sync()?;
        if self.journal.tail()? != Tail::Clean {
            self.journal.clear_tail()?;
        }
        sweep(&self.scratch())?;
        let view = Arc::clone(&self.view);
        let unfinished = self.published < view.size();
        let mut repairs = Vec::new();
        let pending = view.pending.iter().map(|(tile, bytes)| (*tile, bytes.as_slice()));
        for (tile, expected) in pending.chain(view.frontier.partials()) {
            let path = self.folder.join(tile.path());
            let problem = match files::read_if_there(&path, tile_limit(tile.kind)).map_err(Error::io(&path))? {
                Some(found) if found == expected => continue,
                None if unfinished => None,
                None => Some("was missing"),
                Some(found) if is_torn(&found, expected) => Some("was torn"),
                Some(_) => return Err(Error::damaged(path, "the tile does not fit the journal")),
            };
            self.write(&path, expected)?;
            repairs.extend(problem.map(|problem| Repair { path, problem }));
        }
        self.prune()?;
        Arc::make_mut(&mut self.view).pending.clear();
        if unfinished || self.torn_checkpoint {
            self.write_checkpoint(Durability::Process)?;
        }
        if std::mem::take(&mut self.torn_checkpoint) {
            repairs.push(Repair { path: self.folder.join(CHECKPOINT), problem: "was torn" });
        }
        Ok(repairs)
    }

    /// Takes in what other processes appended since.
    pub(crate) fn catch_up(&mut self) -> Result<(), Error> {
        if !self.journal.is_current() {
            *self = Self::load(&self.folder, &self.key, true, self.journal_limit)?;
            return self.recover().map(drop);
        }
        self.journal.refresh_length()?;
        if self.replay(|_, _| ())? {
            self.published = read_checkpoint(&self.folder, &self.key)?.checkpoint.size;
            if self.published < self.view.size() {
                // Its writer ended before it published.
                return self.recover().map(drop);
            }
            Arc::make_mut(&mut self.view).pending.clear();
        }
        if !self.journal.next_block_is_zero()? {
            self.journal.clear_tail()?;
        }
        Ok(())
    }

    /// Appends entries: durable when this returns, not yet published.
    pub(crate) fn append(&mut self, entries: Vec<Vec<u8>>, signer: &SignerKey) -> Result<(), Error> {
        let mut frontier = self.view.frontier.clone();
        let mut finished = Vec::new();
        for entry in &entries {
            frontier.push(entry, &mut finished);
        }
        let checkpoint =
            Checkpoint { origin: self.key.name().to_owned(), size: frontier.size(), root: frontier.root() };
        let note = checkpoint.sign(signer)?.to_string();
        let frame = Frame { start: self.view.size(), entries, checkpoint: note.clone() };
        if !self.journal.has_room(&frame) {
            self.close_journal()?;
        }
        self.journal.append(&frame)?;
        let pending = finished.into_iter().collect();
        self.view = Arc::new(View { tiles: self.view.tiles.clone(), frontier, pending, checkpoint, note });
        Ok(())
    }

    /// Writes the tiles and the checkpoint of what was appended, so that readers of the folder see it.
    pub(crate) fn publish(&mut self) -> Result<(), Error> {
        let view = Arc::clone(&self.view);
        let old: BTreeSet<Tile> = Tile::partials(self.published).into_iter().collect();
        let base = Tile::partials(self.base);
        for (tile, bytes) in &view.pending {
            self.write(&self.folder.join(tile.path()), bytes)?;
        }
        let mut current = BTreeSet::new();
        for (tile, bytes) in view.frontier.partials() {
            current.insert(tile);
            if !old.contains(&tile) {
                self.write(&self.folder.join(tile.path()), bytes)?;
            }
        }
        self.write_checkpoint(Durability::Process)?;
        for tile in old.iter().filter(|tile| !current.contains(tile) && !base.contains(tile)) {
            self.remove_partial(*tile)?;
        }
        drop(view);
        Arc::make_mut(&mut self.view).pending.clear();
        Ok(())
    }

    /// Gives the published checkpoint its cosignatures, while it is still the same one.
    pub(crate) fn publish_cosigned(&mut self, signed: &SignedCheckpoint) -> Result<(), Error> {
        let there = read_checkpoint(&self.folder, &self.key)?;
        if there.checkpoint != signed.checkpoint {
            return Ok(());
        }
        let (path, note) = (self.folder.join(CHECKPOINT), signed.note.to_string());
        files::replace(&self.scratch(), &path, note.as_bytes(), 0o644, Durability::Device).map_err(Error::io(path))
    }

    /// Makes all tiles durable and begins a new journal behind them.
    fn close_journal(&mut self) -> Result<(), Error> {
        let paths = self.files_since_base();
        let mut folders: BTreeSet<PathBuf> = BTreeSet::new();
        for path in &paths {
            let below = path.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.folder));
            folders.extend(below.map(Path::to_owned));
        }
        sync_all(&paths, files::sync_file)?;
        sync_all(&folders.into_iter().collect::<Vec<_>>(), files::sync_folder)?;
        self.write_checkpoint(Durability::Device)?;
        let path = self.folder.join(JOURNAL);
        Journal::create(&self.scratch(), &path, &self.view.note)?;
        self.journal = Journal::open(&path, true, self.journal_limit)?;
        let old = std::mem::replace(&mut self.base, self.view.size());
        let current = Tile::partials(self.base);
        for tile in Tile::partials(old).into_iter().filter(|tile| !current.contains(tile)) {
            self.remove_partial(tile)?;
        }
        Ok(())
    }

    /// Entries whose tiles are durable.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// The log as readers see it.
    pub(crate) fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Every tile file that was written since the base.
    fn files_since_base(&self) -> Vec<PathBuf> {
        self.tiles_since_base().map(|tile| self.folder.join(tile.path())).collect()
    }

    fn tiles_since_base(&self) -> impl Iterator<Item = Tile> {
        let (base, size) = (self.base, self.view.size());
        let kinds = std::iter::once((TileKind::Entries, 0)).chain((0..8).map(|level| (TileKind::Hashes(level), level)));
        kinds.flat_map(move |(kind, level)| {
            let first = (base >> (8 * u32::from(level))) / u64::from(TILE_WIDTH);
            (first..).map_while(move |index| Tile::of(kind, index, size))
        })
    }

    /// Removes partial tiles that neither the current size nor the base has.
    fn prune(&self) -> Result<(), Error> {
        let keep: BTreeSet<Tile> =
            Tile::partials(self.view.size()).into_iter().chain(Tile::partials(self.base)).collect();
        for tile in self.tiles_since_base() {
            let folder = self.folder.join(tile.partial_folder());
            let entries = match fs::read_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(Error::io(&folder))?,
            };
            for entry in entries {
                let name = entry.map_err(Error::io(&folder))?.file_name();
                let width = name.to_str().and_then(|name| name.parse().ok());
                let stale =
                    width.map(|width| Tile { width, ..tile }).filter(|stale| !stale.is_full() && !keep.contains(stale));
                if let Some(stale) = stale {
                    self.remove_partial(stale)?;
                }
            }
        }
        Ok(())
    }

    fn remove_partial(&self, tile: Tile) -> Result<(), Error> {
        let path = self.folder.join(tile.path());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io(path)(error)),
            _ => {}
        }
        // Goes only when it is empty.
        let _ = fs::remove_dir(self.folder.join(tile.partial_folder()));
        Ok(())
    }

    fn write_checkpoint(&mut self, durability: Durability) -> Result<(), Error> {
        let path = self.folder.join(CHECKPOINT);
        let note = self.view.note.as_bytes();
        let written = match durability {
            Durability::Process => files::exchange(&self.scratch(), &path, note, 0o644),
            Durability::Device => files::replace(&self.scratch(), &path, note, 0o644, durability),
        };
        written.map_err(Error::io(&path))?;
        self.published = self.view.size();
        Ok(())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        files::replace(&self.scratch(), path, bytes, 0o644, Durability::Process).map_err(Error::io(path))
    }

    fn scratch(&self) -> PathBuf {
        self.folder.join(SCRATCH)
    }
}

/// Reads and checks the published checkpoint.
pub(crate) fn read_checkpoint(folder: &Path, key: &VerifierKey) -> Result<SignedCheckpoint, Error> {
    let path = folder.join(CHECKPOINT);
    let bytes = files::read_if_there(&path, MAX_NOTE as u64).map_err(Error::io(&path))?;
    let bytes = bytes.ok_or_else(|| Error::damaged(&path, "the checkpoint is missing"))?;
    SignedCheckpoint::open(&bytes, key, &[]).map_err(|source| Error::Checkpoint { path, source })
}

/// Whether a loss of power can have made this of the expected content: its beginning, then zeroes or nothing.
fn is_torn(found: &[u8], expected: &[u8]) -> bool {
    let same = found.iter().zip(expected).take_while(|(found, expected)| found == expected).count();
    found.len() <= expected.len() && found[same..].iter().all(|byte| *byte == 0)
}

/// Removes what interrupted writes left in the scratch folder.
fn sweep(scratch: &Path) -> Result<(), Error> {
    fs::create_dir_all(scratch).map_err(Error::io(scratch))?;
    for entry in fs::read_dir(scratch).map_err(Error::io(scratch))? {
        let path = entry.map_err(Error::io(scratch))?.path();
        fs::remove_file(&path).map_err(Error::io(&path))?;
    }
    Ok(())
}

fn sync_all(paths: &[PathBuf], sync: fn(&Path) -> io::Result<()>) -> Result<(), Error> {
    let share = paths.len().div_ceil(SYNC_THREADS).max(1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = paths
            .chunks(share)
            .map(|chunk| scope.spawn(move || chunk.iter().try_for_each(|path| sync(path).map_err(Error::io(path)))))
            .collect();
        for worker in workers {
            let outcome = worker.join().map_err(|_| io::Error::other("a syncing thread ended"));
            outcome.map_err(Error::io(Path::new("tile")))??;
        }
        Ok(())
    })
}
