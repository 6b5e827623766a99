//! A column while it has few distinct values: each value once, with its count. Everything else follows from that.

use std::collections::BTreeMap;

use crate::codec::{DecodeError, Reader, Writer};
use crate::content::{Cell, ColumnKey};
use crate::text::Shape;
use crate::value::{Hash, Kind, Value};

/// Distinct values that are counted one by one.
pub const EXACT_VALUES: usize = 1_024;
const SLOTS: usize = 4_096;

/// One distinct value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) hash: Hash,
    pub(crate) value: Value,
    pub(crate) shape: Shape,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Exact {
    entries: Vec<Entry>,
    counts: Vec<u64>,
    cells: Vec<Cell>,
    /// First half of the hash to place.
    index: BTreeMap<u64, u32>,
    lookup: Option<Lookup>,
}

/// Where an entry stands by a 64-bit key that is cheaper than its hash. Open addressing, at most a quarter full.
#[derive(Clone, Debug)]
struct Lookup {
    slots: Box<[(u64, u32); SLOTS]>,
    keys: usize,
}

impl Lookup {
    fn new() -> Self {
        Self { slots: Box::new([(0, 0); SLOTS]), keys: 0 }
    }

    #[inline(always)]
    fn start(key: u64) -> usize {
        (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52) as usize
    }

    /// Place of an entry, from 1; 0 when the key is new.
    #[inline(always)]
    fn find(&self, key: u64) -> u32 {
        let mut at = Self::start(key);
        loop {
            let (held, place) = self.slots[at & (SLOTS - 1)];
            if place == 0 || held == key {
                return place;
            }
            at += 1;
        }
    }

    fn insert(&mut self, key: u64, place: u32) {
        // There are no more keys than entries unless hashes collide; then the slow way is taken.
        if self.keys >= 2 * EXACT_VALUES {
            return;
        }
        self.keys += 1;
        let mut at = Self::start(key);
        while self.slots[at & (SLOTS - 1)].1 != 0 {
            at += 1;
        }
        self.slots[at & (SLOTS - 1)] = (key, place);
    }
}

impl Exact {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Entries with their counts.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Entry, u64)> {
        self.entries.iter().zip(self.counts.iter().copied())
    }

    /// Entries by hash: an order that does not depend on the order of the data.
    pub(crate) fn by_hash(&self) -> impl Iterator<Item = (&Entry, u64)> {
        self.index.values().filter_map(|&at| {
            let at = at as usize;
            Some((self.entries.get(at)?, *self.counts.get(at)?))
        })
    }

    /// Counts a value by its key and gives its cell; `None` when the key is new.
    #[inline(always)]
    pub(crate) fn hit(&mut self, key: u64) -> Option<Cell> {
        let place = self.lookup.as_ref()?.find(key);
        let at = (place as usize).wrapping_sub(1);
        *self.counts.get_mut(at)? += 1;
        self.cells.get(at).copied()
    }

    /// Counts a value and remembers its key; `None` when there is no room for it.
    pub(crate) fn learn(&mut self, key: Option<u64>, entry: Entry, count: u64, owner: ColumnKey) -> Option<Cell> {
        let at = match self.index.get(&entry.hash.0) {
            Some(&at) => at,
            None if self.entries.len() >= EXACT_VALUES => return None,
            None => {
                let at = self.entries.len() as u32;
                self.index.insert(entry.hash.0, at);
                self.cells.push(owner.cell(entry.hash));
                self.entries.push(entry);
                self.counts.push(0);
                at
            }
        };
        if let Some(key) = key {
            let lookup = self.lookup.get_or_insert_with(Lookup::new);
            if lookup.find(key) == 0 {
                lookup.insert(key, at + 1);
            }
        }
        *self.counts.get_mut(at as usize)? += count;
        self.cells.get(at as usize).copied()
    }

    /// Forgets the keys: nothing more is added.
    pub(crate) fn close(&mut self) {
        self.lookup = None;
    }

    pub(crate) fn size(&self) -> usize {
        self.entries.len() * 320 + self.lookup.as_ref().map_or(0, |_| SLOTS * 16)
    }

    pub(crate) fn write(&self, kind: Kind, out: &mut Writer) {
        out.count(self.entries.len() as u64);
        for (entry, count) in self.by_hash() {
            out.u64(entry.hash.0);
            out.u64(entry.hash.1);
            out.count(count);
            entry.value.write(out);
            if matches!(kind, Kind::Text | Kind::Binary) {
                out.count(entry.shape.chars);
                out.count(entry.shape.digits);
                out.u8(u8::from(entry.shape.ascii));
            }
        }
    }

    pub(crate) fn read(input: &mut Reader<'_>, kind: Kind, owner: ColumnKey) -> Result<Self, DecodeError> {
        let mut out = Self::default();
        let mut before = None;
        for _ in 0..input.length("distinct values", EXACT_VALUES)? {
            let hash = Hash(input.u64()?, input.u64()?);
            let count = input.count()?;
            let value = Value::read(input)?;
            let mut shape = Shape::default();
            if matches!(kind, Kind::Text | Kind::Binary) {
                shape = Shape { chars: input.count()?, digits: input.count()?, ascii: input.flag()? };
            }
            if before.is_some_and(|before| before >= hash.0) || count == 0 || !value.fits(kind) {
                return Err(DecodeError::Malformed("distinct values are out of order or of another type"));
            }
            before = Some(hash.0);
            out.learn(None, Entry { hash, value, shape }, count, owner);
        }
        Ok(out)
    }
}
