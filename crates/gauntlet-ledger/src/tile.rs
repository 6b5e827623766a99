//! Names and arithmetic of C2SP tlog-tiles: which file holds which hashes and entries of a tree of a given size.

use std::fmt;

use crate::tree::{Hash, node_hash};

/// Hashes in a full tile, entries in a full bundle.
pub const TILE_WIDTH: u16 = 256;

/// Levels that a tree with a 64-bit size can have.
const LEVELS: u8 = 8;

/// Longest length of one entry in bytes: bundles write it in 16 bits.
pub const MAX_ENTRY: usize = u16::MAX as usize;

/// What a tile file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TileKind {
    /// Entries, each with a big-endian 16-bit length before it.
    Entries,
    /// Hashes of the subtrees over `256^level` leaves.
    Hashes(u8),
}

/// One tile file: what it holds, its number at its level, and how many hashes or entries (1 to 256).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    /// Entries, or hashes of one level.
    pub kind: TileKind,
    /// Number of the tile at its level, from 0.
    pub index: u64,
    /// Hashes or entries in it; below 256 the tile is partial.
    pub width: u16,
}

impl Tile {
    /// The tile `index` of this kind as it stands in a tree of `size` leaves; `None` when that tree has nothing there.
    pub fn of(kind: TileKind, index: u64, size: u64) -> Option<Self> {
        let count = match kind {
            TileKind::Entries => size,
            TileKind::Hashes(level) if level < LEVELS => size >> (8 * u32::from(level)),
            TileKind::Hashes(_) => return None,
        };
        let before = index.checked_mul(u64::from(TILE_WIDTH))?;
        let width = count.checked_sub(before)?.min(u64::from(TILE_WIDTH)) as u16;
        (width > 0).then_some(Self { kind, index, width })
    }

    /// The partial tiles of a tree of `size` leaves: the right edge, at most one of each kind.
    pub fn partials(size: u64) -> Vec<Self> {
        std::iter::once(TileKind::Entries)
            .chain((0..LEVELS).map(TileKind::Hashes))
            .filter_map(|kind| {
                let level = if let TileKind::Hashes(level) = kind { level } else { 0 };
                let count = size >> (8 * u32::from(level));
                Self::of(kind, count / u64::from(TILE_WIDTH), size)
            })
            .collect()
    }

    /// Whether it holds all 256.
    pub fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }

    /// The path below the log's folder, such as `tile/0/x001/067` or `tile/entries/000.p/5`.
    pub fn path(&self) -> String {
        self.to_string()
    }

    /// The folder of the partial forms of this tile, `tile/0/000.p`.
    pub(crate) fn partial_folder(&self) -> String {
        format!("{}.p", Self { width: TILE_WIDTH, ..*self })
    }

    /// Reads a path as [`Tile::path`] writes it; `None` for any other spelling.
    pub fn parse(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix("tile/")?.split('/').peekable();
        let kind = match parts.next()? {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes(level.parse().ok().filter(|level| *level < LEVELS)?),
        };
        let mut index = 0u64;
        let mut width = TILE_WIDTH;
        loop {
            let part = parts.next()?;
            let more = part.starts_with('x');
            let digits = if more { &part[1..] } else { part.strip_suffix(".p").unwrap_or(part) };
            if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
            if more {
                continue;
            }
            if part.len() > 3 {
                width = parts.next()?.parse().ok().filter(|width| (1..TILE_WIDTH).contains(width))?;
            }
            break;
        }
        let tile = Self { kind, index, width };
        // Some tree has to be large enough for it.
        let possible = Self::of(kind, index, u64::MAX).is_some_and(|most| width <= most.width);
        // The spelling must be the only one: no superfluous groups, signs or zeroes.
        (possible && parts.next().is_none() && tile.to_string() == path).then_some(tile)
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Entries => formatter.write_str("tile/entries/")?,
            TileKind::Hashes(level) => write!(formatter, "tile/{level}/")?,
        }
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        for group in groups[1..].iter().rev() {
            write!(formatter, "x{group:03}/")?;
        }
        write!(formatter, "{:03}", groups[0])?;
        if !self.is_full() {
            write!(formatter, ".p/{}", self.width)?;
        }
        Ok(())
    }
}

/// Where a complete subtree's hash comes from: the level and number of the tile, and the range of hashes in it to fold.
pub(crate) fn locate(height: u8, index: u64) -> (u8, u64, std::ops::Range<usize>) {
    let level = height / 8;
    let rest = height % 8;
    let first = index << rest;
    let offset = (first % u64::from(TILE_WIDTH)) as usize;
    (level, first / u64::from(TILE_WIDTH), offset..offset + (1 << rest))
}

/// Folds a power of two of hashes (32 bytes each, side by side) into their root; `None` when there is another number of them.
pub(crate) fn fold(hashes: &[u8]) -> Option<Hash> {
    let mut level: Vec<Hash> = hashes.chunks(32).map(Hash::from_slice).collect::<Option<_>>()?;
    if !level.len().is_power_of_two() {
        return None;
    }
    while level.len() > 1 {
        level = level.chunks(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
    }
    level.pop()
}

/// Cuts an entry bundle into its entries; `None` when a length does not fit. Never more than 256 entries.
pub fn split_bundle(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        if entries.len() == usize::from(TILE_WIDTH) {
            return None;
        }
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry);
        bytes = rest;
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_follow_the_specification() {
        let tile = |kind, index, width| Tile { kind, index, width }.path();
        assert_eq!(tile(TileKind::Hashes(0), 0, 256), "tile/0/000");
        assert_eq!(tile(TileKind::Hashes(0), 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(tile(TileKind::Hashes(1), 999, 2), "tile/1/999.p/2");
        assert_eq!(tile(TileKind::Entries, 1000, 255), "tile/entries/x001/000.p/255");
    }

    #[test]
    fn refuses_other_spellings() {
        for path in [
            "",
            "tile",
            "tile/0",
            "tile/0/0",
            "tile/0/x000/001",
            "tile/8/000",
            "tile/00/000",
            "tile/+0/000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000/1",
            "tile/0/x001",
            "tile/entries/000.p",
            "/tile/0/000",
            "tile/0/../000",
            "tile/7/004",
        ] {
            assert_eq!(Tile::parse(path), None, "{path}");
        }
    }

    #[test]
    fn the_right_edge_follows_the_size() {
        assert!(Tile::partials(0).is_empty());
        assert!(Tile::partials(256).iter().map(Tile::path).eq(["tile/1/000.p/1"]));
        let names: Vec<_> = Tile::partials(600).iter().map(Tile::path).collect();
        assert_eq!(names, ["tile/entries/002.p/88", "tile/0/002.p/88", "tile/1/000.p/2"]);
        assert_eq!(Tile::of(TileKind::Hashes(0), 3, 600), None);
        assert_eq!(Tile::of(TileKind::Hashes(0), u64::MAX, u64::MAX), None);
    }

    #[test]
    fn cuts_bundles_exactly() {
        assert_eq!(split_bundle(b"\0\x01a\0\0\0\x02bc"), Some(vec![b"a".as_slice(), b"", b"bc"]));
        assert_eq!(split_bundle(b"\0"), None);
        assert_eq!(split_bundle(b"\0\x02a"), None);
        assert_eq!(split_bundle(&[0; 514]), None);
    }

    proptest! {
        #[test]
        fn names_round_trip(level in 0u8..8, entries in any::<bool>(), bits in 0u32..57, index in 0..u64::MAX >> 8, width in 1u16..=256) {
            let kind = if entries { TileKind::Entries } else { TileKind::Hashes(level) };
            let tile = Tile { kind, index: index >> bits, width };
            let index = tile.index;
            let possible = Tile::of(kind, index, u64::MAX).is_some_and(|most| width <= most.width);
            prop_assert_eq!(Tile::parse(&tile.path()), possible.then_some(tile));
        }

        #[test]
        fn the_reference_gives_the_same_names(level in 0u8..7, index in 0..u64::from(u32::MAX), width in 1u16..=256) {
            let tile = Tile { kind: TileKind::Hashes(level), index, width };
            let theirs = tlog_tiles::tile::Tile::new(8, level, index, u32::from(width), false);
            // The reference writes the tile height, which C2SP fixes at 8 and leaves out of the name.
            let their_path = theirs.path().replacen("tile/8/", "tile/", 1);
            prop_assert_eq!(tile.path(), their_path);
        }
    }
}
