//! Comparing the files of a ledger with what its entries lead to, and finding those that do not belong there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::log::cosigned::{COSIGNED, WITNESSES};
use crate::log::state::{CHECKPOINT, JOURNAL, SCRATCH};
use crate::log::view::{Tiles, tile_limit};
use crate::tile::{Tile, TileKind, split_bundle};
use crate::verify::{Problem, Verifier};

/// Deepest folder below `tile/` that a log can have, and some more to report what lies too deep.
const MAX_DEPTH: usize = 16;

/// How it is found out which files there are.
pub(super) enum Listing {
    /// By reading folders.
    Folder,
    /// All objects below the prefix, sorted.
    Objects(Vec<String>),
    /// Not at all.
    Unknown,
}

impl Verifier {
    /// Compares a tile and its stale partial forms, each of which is a beginning of it.
    pub(super) fn compare(&mut self, tile: Tile, content: &[u8], must: bool, listing: &Listing) {
        let path = self.tiles.path(tile);
        match self.read(&tile.path(), tile_limit(tile.kind)) {
            Some(Some(found)) if found == content => drop(self.compared.insert(tile)),
            Some(Some(_)) => {
                self.compared.insert(tile);
                self.report(path, Problem::Content);
            }
            Some(None) if must => self.report(path, Problem::Missing),
            Some(None) | None => {}
        }
        for width in self.stale_widths(&tile.partial_folder(), listing) {
            let partial = Tile { width, ..tile };
            let Some(expected) = (width < tile.width).then(|| beginning(partial, content)).flatten() else { continue };
            let Some(Some(found)) = self.read(&partial.path(), tile_limit(tile.kind)) else { continue };
            self.compared.insert(partial);
            if found != expected {
                self.report(self.tiles.path(partial), Problem::Content);
            }
        }
    }

    /// Widths of the partial tiles in a folder.
    fn stale_widths(&self, folder: &str, listing: &Listing) -> Vec<u16> {
        match (listing, &self.tiles) {
            (Listing::Folder, Tiles::Folder(log)) => {
                let Ok(entries) = fs::read_dir(log.join(folder)) else { return Vec::new() };
                entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
            }
            (Listing::Objects(names), _) => {
                let prefix = format!("{folder}/");
                let first = names.partition_point(|name| name.as_str() < prefix.as_str());
                let below = names.iter().skip(first).map_while(|name| name.strip_prefix(&prefix));
                below.filter_map(|width| width.parse().ok()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Compares the partial tiles, and asks for those that the published checkpoint and the journal stand on.
    pub(super) fn compare_right_edge(&mut self, listing: &Listing) {
        let edge: Vec<(Tile, Vec<u8>)> =
            self.frontier.partials().map(|(tile, content)| (tile, content.to_vec())).collect();
        for (tile, content) in edge {
            self.compare(tile, &content, false, listing);
        }
        let mut needed: BTreeSet<Tile> = Tile::partials(self.published.unwrap_or(self.base)).into_iter().collect();
        if matches!(listing, Listing::Folder) {
            needed.extend(Tile::partials(self.base));
        }
        for tile in needed {
            if !self.compared.contains(&tile) && matches!(self.read(&tile.path(), tile_limit(tile.kind)), Some(None)) {
                self.report(self.tiles.path(tile), Problem::Missing);
            }
        }
    }

    /// Looks for files that are neither tiles of this log nor among its few others.
    pub(super) fn find_unexpected(&mut self, listing: &Listing) {
        match (listing, self.tiles.clone()) {
            (Listing::Folder, Tiles::Folder(folder)) => self.walk(&folder),
            (Listing::Objects(names), Tiles::Objects(objects)) => {
                for name in names {
                    let known = match name.as_str() {
                        "format" | "origin" | "lease" | CHECKPOINT | COSIGNED | WITNESSES => true,
                        // Counted where commits are followed, and looked at where envelopes are.
                        name if name.starts_with("journal/") || is_envelope(name) => true,
                        name => Tile::parse(name).is_some_and(|tile| self.compared.contains(&tile)),
                    };
                    if !known {
                        self.report(objects.path(name), Problem::Unexpected);
                    }
                }
            }
            _ => {}
        }
    }

    fn walk(&mut self, log: &Path) {
        let mut folders = vec![(log.to_owned(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) => {
                    self.report(folder, Problem::Unreadable(error.to_string()));
                    continue;
                }
            };
            for entry in entries {
                let Ok(entry) = entry else {
                    self.report(folder.clone(), Problem::Unreadable("the folder cannot be listed".to_owned()));
                    break;
                };
                let path = entry.path();
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                let name = path.strip_prefix(log).ok().and_then(Path::to_str).map(str::to_owned);
                let known = match name.as_deref() {
                    Some(SCRATCH) if is_folder => continue,
                    Some(name) if is_folder => name == "tile" || name.starts_with("tile/"),
                    Some("format" | "origin" | "lock" | "lock.next" | CHECKPOINT | JOURNAL | COSIGNED | WITNESSES) => {
                        true
                    }
                    Some(name) => Tile::parse(name).is_some_and(|tile| self.compared.contains(&tile)),
                    None => false,
                };
                match (known, is_folder) {
                    (true, true) if depth < MAX_DEPTH => folders.push((path, depth + 1)),
                    (true, false) => {}
                    _ => self.report(path, Problem::Unexpected),
                }
            }
        }
    }
}

fn is_envelope(name: &str) -> bool {
    let stem = name.strip_prefix("evidence/").and_then(|name| name.strip_suffix(".dsse.json"));
    stem.and_then(crate::tree::Hash::from_hex).is_some_and(|digest| stem == Some(digest.to_string().as_str()))
}

/// What a partial form of a tile holds of its content.
fn beginning(tile: Tile, content: &[u8]) -> Option<&[u8]> {
    let length = match tile.kind {
        TileKind::Hashes(_) => usize::from(tile.width) * 32,
        TileKind::Entries => {
            let entries = split_bundle(content)?;
            entries.get(..usize::from(tile.width))?.iter().map(|entry| entry.len() + 2).sum()
        }
    };
    content.get(..length)
}
