//! The log at one moment, as readers see it: entries and hashes from the right edge in memory and from the tiles on disk.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::files::{self, Durability};
use crate::frontier::Frontier;
use crate::log::state::SCRATCH;
use crate::objects::Objects;
use crate::tile::{MAX_ENTRY, TILE_WIDTH, Tile, TileKind, fold, locate, split_bundle};
use crate::tree::{Hash, HashReader, ProofError, leaf_hash};

/// Most bytes that a tile of this kind can have.
pub(crate) fn tile_limit(kind: TileKind) -> u64 {
    let each = if kind == TileKind::Entries { MAX_ENTRY + 2 } else { 32 };
    u64::from(TILE_WIDTH) * each as u64
}

/// Where the tiles of a log are.
#[derive(Debug, Clone)]
pub(crate) enum Tiles {
    /// Files in a folder.
    Folder(PathBuf),
    /// Objects in a store.
    Objects(Objects),
}

impl Tiles {
    /// Where a tile is, for messages.
    pub(crate) fn path(&self, tile: Tile) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.join(tile.path()),
            Self::Objects(objects) => objects.path(&tile.path()),
        }
    }

    /// The whole place, for messages.
    pub(crate) fn place(&self) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.clone(),
            Self::Objects(objects) => PathBuf::from(objects.name()),
        }
    }

    /// Reads another file of the log; `None` when it is not there.
    pub(crate) fn file(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(name);
                files::read_if_there(&path, limit).map_err(Error::io(&path))
            }
            Self::Objects(objects) => Ok(objects.get(name, limit)?.map(Vec::from)),
        }
    }

    /// Replaces another file of the log, durably. The caller holds the lock or the lease.
    pub(crate) fn write_file(&self, name: &str, bytes: Vec<u8>) -> Result<(), Error> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(name);
                files::replace(&folder.join(SCRATCH), &path, &bytes, 0o644, Durability::Device)
                    .map_err(Error::io(&path))
            }
            Self::Objects(objects) => objects.put_all(vec![(name.to_owned(), bytes.into())]),
        }
    }

    /// Where another file of the log is, for messages.
    pub(crate) fn file_path(&self, name: &str) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.join(name),
            Self::Objects(objects) => objects.path(name),
        }
    }

    /// Reads a tile, whose length must fit its name.
    pub(crate) fn read(&self, tile: Tile) -> Result<Vec<u8>, Error> {
        let limit = tile_limit(tile.kind);
        let bytes = match self {
            Self::Folder(folder) => {
                let path = folder.join(tile.path());
                files::read_if_there(&path, limit).map_err(Error::io(&path))?
            }
            Self::Objects(objects) => objects.get(&tile.path(), limit)?.map(Vec::from),
        };
        let bytes = bytes.ok_or_else(|| Error::damaged(self.path(tile), "the tile is missing"))?;
        let fits = match tile.kind {
            TileKind::Entries => split_bundle(&bytes).is_some_and(|entries| entries.len() == usize::from(tile.width)),
            TileKind::Hashes(_) => bytes.len() == usize::from(tile.width) * 32,
        };
        if fits {
            Ok(bytes)
        } else {
            Err(Error::damaged(self.path(tile), "the content does not fit the width of the tile"))
        }
    }
}

/// A log of a fixed size.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) tiles: Tiles,
    pub(crate) frontier: Frontier,
    /// Full tiles that may not be on disk yet.
    pub(crate) pending: BTreeMap<Tile, Vec<u8>>,
    pub(crate) checkpoint: Checkpoint,
    /// The signed checkpoint.
    pub(crate) note: String,
}

impl View {
    pub(crate) fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The entry at an index. Its hash is compared with the tile of leaf hashes.
    pub(crate) fn entry(&self, index: u64) -> Result<Vec<u8>, Error> {
        if index >= self.size() {
            return Err(ProofError::IndexOutside { index, size: self.size() }.into());
        }
        let mut entries = self.entries(index / u64::from(TILE_WIDTH))?;
        Ok(entries.swap_remove((index % u64::from(TILE_WIDTH)) as usize))
    }

    /// All entries of a bundle, their hashes compared with the tile of leaf hashes.
    pub(crate) fn entries(&self, bundle: u64) -> Result<Vec<Vec<u8>>, Error> {
        let tile = Tile::of(TileKind::Entries, bundle, self.size());
        let Some(tile) = tile else {
            let index = bundle.saturating_mul(u64::from(TILE_WIDTH));
            return Err(ProofError::IndexOutside { index, size: self.size() }.into());
        };
        let path = self.tiles.path(tile);
        let bytes = self.tile(TileKind::Entries, bundle)?;
        let entries = split_bundle(&bytes).filter(|entries| entries.len() == usize::from(tile.width));
        let entries = entries.ok_or_else(|| Error::damaged(&path, "the bundle does not hold its entries"))?;
        let hashes = self.tile(TileKind::Hashes(0), bundle)?;
        for (place, entry) in entries.iter().enumerate() {
            if hashes.get(place * 32..place * 32 + 32) != Some(leaf_hash(entry).as_bytes()) {
                return Err(Error::damaged(&path, format!("entry {place} of the bundle does not fit its leaf hash")));
            }
        }
        Ok(entries.into_iter().map(<[u8]>::to_vec).collect())
    }

    /// Content of a tile: full from disk, or the partial one of the right edge.
    fn tile(&self, kind: TileKind, index: u64) -> Result<Cow<'_, [u8]>, Error> {
        let Some(tile) = Tile::of(kind, index, self.size()) else {
            return Err(ProofError::IndexOutside { index, size: self.size() }.into());
        };
        if !tile.is_full() {
            return Ok(Cow::Borrowed(self.frontier.partial(kind)));
        }
        match self.pending.get(&tile) {
            Some(bytes) => Ok(Cow::Borrowed(bytes)),
            None => self.tiles.read(tile).map(Cow::Owned),
        }
    }
}

impl HashReader for View {
    type Error = Error;

    fn subtree(&self, height: u8, index: u64) -> Result<Hash, Error> {
        let (level, tile, range) = locate(height, index);
        let bytes = self.tile(TileKind::Hashes(level), tile)?;
        let hashes = bytes.get(range.start * 32..range.end * 32).and_then(fold);
        hashes.ok_or_else(|| Error::damaged(self.tiles.place(), format!("tile {tile} of level {level} is too short")))
    }
}
