//! Which entries name which envelope or subject; built from the log when first asked and kept up with it.

use std::collections::{HashMap, HashSet};

use crate::erasure::{ERASURE_KIND, erased_by};
use crate::error::Error;
use crate::log::view::View;
use crate::record::Record;
use crate::tile::{TILE_WIDTH, Tile, TileKind};
use crate::tree::Hash;

#[derive(Debug, Default)]
pub(crate) struct Index {
    size: u64,
    envelopes: HashMap<Hash, Vec<u64>>,
    subjects: HashMap<(String, String), Vec<u64>>,
    /// Erased envelopes, and the envelopes of their tombstones.
    erased: HashMap<Hash, Hash>,
    tombstones: HashSet<Hash>,
}

impl Index {
    /// Reads the entries behind those that are known.
    pub(crate) fn catch_up(&mut self, view: &View) -> Result<(), Error> {
        while self.size < view.size() {
            let bundle = self.size / u64::from(TILE_WIDTH);
            let entries = view.entries(bundle)?;
            for entry in entries.iter().skip((self.size % u64::from(TILE_WIDTH)) as usize) {
                let record = Record::parse(entry).map_err(|error| not_a_record(view, self.size, &error))?;
                self.envelopes.entry(record.envelope.0).or_default().push(self.size);
                if record.kind == ERASURE_KIND {
                    self.tombstones.insert(record.envelope.0);
                    self.erased.extend(erased_by(&record).map(|erased| (erased, record.envelope.0)));
                }
                for subject in record.subject {
                    self.subjects.entry(subject).or_default().push(self.size);
                }
                self.size += 1;
            }
        }
        Ok(())
    }

    pub(crate) fn by_envelope(&self, envelope: &Hash) -> &[u64] {
        self.envelopes.get(envelope).map_or(&[], Vec::as_slice)
    }

    /// The envelope of a tombstone for this envelope.
    pub(crate) fn tombstone_of(&self, envelope: &Hash) -> Option<Hash> {
        self.erased.get(envelope).copied()
    }

    /// Whether this envelope is itself a tombstone.
    pub(crate) fn is_tombstone(&self, envelope: &Hash) -> bool {
        self.tombstones.contains(envelope)
    }

    pub(crate) fn by_subject(&self, algorithm: &str, digest: &str) -> &[u64] {
        let key = (algorithm.to_owned(), digest.to_ascii_lowercase());
        self.subjects.get(&key).map_or(&[], Vec::as_slice)
    }
}

pub(crate) fn not_a_record(view: &View, index: u64, error: &crate::record::RecordError) -> Error {
    let tile = Tile::of(TileKind::Entries, index / u64::from(TILE_WIDTH), view.size());
    let path = tile.map_or_else(|| view.tiles.place(), |tile| view.tiles.path(tile));
    Error::damaged(path, format!("entry {index}: {error}"))
}
