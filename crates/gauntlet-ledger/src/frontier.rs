//! The right edge of a growing tree: enough to add entries, to name the root, and to write every tile that becomes full.

use crate::error::Error;
use crate::tile::{TILE_WIDTH, Tile, TileKind};
use crate::tree::{Hash, empty_root, leaf_hash, node_hash};

const TILE_BYTES: usize = TILE_WIDTH as usize * 32;

/// The right edge of the tree over the first `size` entries.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frontier {
    size: u64,
    /// Roots of the complete subtrees, the largest first; the bits of `size` say their heights.
    peaks: Vec<Hash>,
    /// The partial tile of each level.
    levels: Vec<Vec<u8>>,
    /// The partial entry bundle.
    bundle: Vec<u8>,
}

/// A tile that became full, with its content.
pub(crate) type Finished = Vec<(Tile, Vec<u8>)>;

impl Frontier {
    /// Builds the edge of a tree of `size` entries from its partial tiles, whose lengths must fit. The root is not checked.
    pub(crate) fn restore(size: u64, mut read: impl FnMut(Tile) -> Result<Vec<u8>, Error>) -> Result<Self, Error> {
        let mut frontier = Self { size, ..Self::default() };
        for tile in Tile::partials(size) {
            let bytes = read(tile)?;
            match tile.kind {
                TileKind::Entries => frontier.bundle = bytes,
                TileKind::Hashes(level) => {
                    frontier.levels.resize_with(usize::from(level) + 1, Vec::new);
                    frontier.levels[usize::from(level)] = bytes;
                }
            }
        }
        for level in frontier.levels.iter().rev() {
            let mut rest = level.as_slice();
            while !rest.is_empty() {
                let count = 1usize << (rest.len() / 32).ilog2();
                let (group, after) = rest.split_at(count * 32);
                frontier.peaks.extend(crate::tile::fold(group));
                rest = after;
            }
        }
        Ok(frontier)
    }

    /// Adds one entry; tiles that become full go to `finished`.
    pub(crate) fn push(&mut self, entry: &[u8], finished: &mut Finished) {
        self.bundle.extend_from_slice(&(entry.len() as u16).to_be_bytes());
        self.bundle.extend_from_slice(entry);
        self.push_leaf(leaf_hash(entry), finished);
        if self.size.is_multiple_of(u64::from(TILE_WIDTH)) {
            let index = self.size / u64::from(TILE_WIDTH) - 1;
            finished
                .push((Tile { kind: TileKind::Entries, index, width: TILE_WIDTH }, std::mem::take(&mut self.bundle)));
        }
    }

    fn push_leaf(&mut self, leaf: Hash, finished: &mut Finished) {
        let mut hash = leaf;
        let mut carry = self.size;
        let mut height = 0u32;
        self.size += 1;
        loop {
            if height.is_multiple_of(8) {
                self.push_tile(height / 8, &hash, finished);
            }
            if carry & 1 == 0 {
                break;
            }
            let Some(left) = self.peaks.pop() else { break };
            hash = node_hash(&left, &hash);
            carry >>= 1;
            height += 1;
        }
        self.peaks.push(hash);
    }

    fn push_tile(&mut self, level: u32, hash: &Hash, finished: &mut Finished) {
        let place = level as usize;
        if self.levels.len() <= place {
            self.levels.resize_with(place + 1, Vec::new);
        }
        self.levels[place].extend_from_slice(hash.as_bytes());
        if self.levels[place].len() == TILE_BYTES {
            let index = (self.size >> (8 * level)) / u64::from(TILE_WIDTH) - 1;
            let tile = Tile { kind: TileKind::Hashes(level as u8), index, width: TILE_WIDTH };
            finished.push((tile, std::mem::take(&mut self.levels[place])));
        }
    }

    /// Number of entries.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Root of the whole tree.
    pub(crate) fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return empty_root() };
        peaks.fold(*last, |right, left| node_hash(left, &right))
    }

    /// Content of the partial tile of a kind: hashes or entries beyond the last full tile.
    pub(crate) fn partial(&self, kind: TileKind) -> &[u8] {
        match kind {
            TileKind::Entries => &self.bundle,
            TileKind::Hashes(level) => self.levels.get(usize::from(level)).map_or(&[], Vec::as_slice),
        }
    }

    /// All partial tiles with their content.
    pub(crate) fn partials(&self) -> impl Iterator<Item = (Tile, &[u8])> {
        Tile::partials(self.size).into_iter().map(|tile| (tile, self.partial(tile.kind)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn naive(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [one] => *one,
            _ => {
                let (left, right) = leaves.split_at(1 << (leaves.len() - 1).ilog2());
                node_hash(&naive(left), &naive(right))
            }
        }
    }

    #[test]
    fn grows_as_the_definition_says_and_restores_from_its_tiles() {
        let mut frontier = Frontier::default();
        let mut files = BTreeMap::new();
        let mut leaves = Vec::new();
        for count in 0..1500u32 {
            if count % 97 == 0 || [255, 256, 257, 512].contains(&count) {
                assert_eq!(frontier.root(), naive(&leaves), "{count}");
                let edge: BTreeMap<_, _> = frontier.partials().map(|(tile, bytes)| (tile, bytes.to_vec())).collect();
                let restored = Frontier::restore(frontier.size(), |tile| Ok(edge[&tile].clone())).unwrap();
                assert_eq!(restored.root(), frontier.root(), "{count}");
                frontier = restored;
            }
            let mut finished = Vec::new();
            frontier.push(&count.to_be_bytes(), &mut finished);
            files.extend(finished);
            leaves.push(leaf_hash(&count.to_be_bytes()));
        }
        let full: Vec<_> = files.keys().map(Tile::path).collect();
        assert_eq!(full.len(), 10, "{full:?}");
        assert!(files.iter().all(|(tile, bytes)| tile.kind == TileKind::Entries || bytes.len() == TILE_BYTES));
    }

    #[test]
    fn two_levels_of_full_tiles_agree_with_the_reference() {
        use tlog_tiles::tlog;
        let mut frontier = Frontier::default();
        let mut finished = Vec::new();
        let mut stored: Vec<tlog::Hash> = Vec::new();
        struct Stored<'a>(&'a [tlog::Hash]);
        impl tlog::HashReader for Stored<'_> {
            fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog_tiles::tlog::Error> {
                Ok(indexes.iter().map(|index| self.0[*index as usize]).collect())
            }
        }
        let size = 66_000u64;
        for index in 0..size {
            let entry = index.to_be_bytes();
            frontier.push(&entry, &mut finished);
            let new = tlog::stored_hashes(index, &entry, &Stored(&stored)).unwrap();
            stored.extend(new);
        }
        let theirs = tlog::tree_hash(size, &Stored(&stored)).unwrap();
        assert_eq!(theirs.0, *frontier.root().as_bytes());
        for (tile, bytes) in finished.iter().filter(|(tile, _)| tile.kind != TileKind::Entries) {
            let TileKind::Hashes(level) = tile.kind else { continue };
            let data =
                tlog_tiles::tile::Tile::new(8, level, tile.index, 256, false).read_data(&Stored(&stored)).unwrap();
            assert_eq!(data, *bytes, "{tile}");
        }
        assert!(finished.iter().any(|(tile, _)| tile.kind == TileKind::Hashes(1)));
    }
}
