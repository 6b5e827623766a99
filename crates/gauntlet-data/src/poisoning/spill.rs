//! Groups records by key without holding them all: past a bound they go, sorted, to unlinked temporary files, one for each part
//! of the key space, and the sorted runs of a part are merged as they are read. No group has to fit in memory.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// Parts of the key space. Each spilled part holds a file open.
const PARTS: usize = 128;
/// Records in memory before all are written out.
const HELD: usize = 1 << 20;
/// Disk that one grouping may take.
const DISK: u64 = 100 << 30;
const BYTES: usize = 32;
/// Records of one run that are read at once.
const BLOCK: u64 = 128;

/// A row, and what it is grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) key: u128,
    /// Place of the row.
    pub(super) place: u64,
    /// What else the grouping needs to know of it.
    pub(super) tag: u64,
}

/// The order of the records of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// By place.
    Place,
    /// By tag, then by place.
    Tag,
}

impl Order {
    fn rank(self, record: &Record) -> Rank {
        match self {
            Self::Place => (record.key, record.place, record.tag),
            Self::Tag => (record.key, record.tag, record.place),
        }
    }
}

type Rank = (u128, u64, u64);

/// Records on their way to being grouped.
#[derive(Debug)]
pub(super) struct Spill {
    parts: Vec<Part>,
    order: Order,
    room: usize,
    held: usize,
    written: u64,
}

#[derive(Debug, Default)]
struct Part {
    memory: Vec<Record>,
    file: Option<File>,
    /// First record and number of records of each sorted run of the file.
    runs: Vec<(u64, u64)>,
}

impl Spill {
    pub(super) fn new(order: Order) -> Self {
        Self::with_room(order, HELD)
    }

    fn with_room(order: Order, room: usize) -> Self {
        Self { parts: (0..PARTS).map(|_| Part::default()).collect(), order, room, held: 0, written: 0 }
    }

    pub(super) fn push(&mut self, record: Record) -> io::Result<()> {
        let part = usize::from((record.key >> 120) as u8) % PARTS;
        self.parts[part].memory.push(record);
        self.held += 1;
        if self.held >= self.room { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.written += (self.held * BYTES) as u64;
        if self.written > DISK {
            return Err(io::Error::other(format!("grouping rows takes more than {DISK} bytes of disk")));
        }
        for part in self.parts.iter_mut().filter(|part| !part.memory.is_empty()) {
            let file = match &mut part.file {
                Some(file) => file,
                none => none.insert(tempfile::tempfile()?),
            };
            part.memory.sort_unstable_by_key(|record| self.order.rank(record));
            let bytes: Vec<u8> = part.memory.iter().flat_map(Record::bytes).collect();
            file.write_all(&bytes)?;
            let start = part.runs.last().map_or(0, |(start, count)| start + count);
            part.runs.push((start, part.memory.len() as u64));
            part.memory = Vec::new();
        }
        self.held = 0;
        Ok(())
    }

    /// Goes through each group of records of one key that has more than one, in the order that was chosen: `gather` sees all
    /// records of a group first, `group` what was gathered, and `emit` then each record again.
    pub(super) fn groups<S: Default>(
        self,
        gather: &mut dyn FnMut(&mut S, &Record),
        group: &mut dyn FnMut(&S),
        emit: &mut dyn FnMut(&S, &Record),
    ) -> io::Result<()> {
        for part in self.parts {
            let sorted = part.sorted(self.order);
            let (mut ahead, mut behind) = (sorted.merged()?, sorted.merged()?);
            let mut next = ahead.next()?;
            while let Some(first) = next {
                let (mut state, mut count) = (S::default(), 0u64);
                while let Some(record) = next.filter(|record| record.key == first.key) {
                    gather(&mut state, &record);
                    count += 1;
                    next = ahead.next()?;
                }
                if count > 1 {
                    group(&state);
                }
                for _ in 0..count {
                    if let Some(record) = behind.next()?.filter(|_| count > 1) {
                        emit(&state, &record);
                    }
                }
            }
        }
        Ok(())
    }

    /// Goes through all records by key, in the order that was chosen.
    pub(super) fn each(self, look: &mut dyn FnMut(&Record)) -> io::Result<()> {
        for part in self.parts {
            let sorted = part.sorted(self.order);
            let mut merged = sorted.merged()?;
            while let Some(record) = merged.next()? {
                look(&record);
            }
        }
        Ok(())
    }
}

impl Part {
    fn sorted(mut self, order: Order) -> Sorted {
        self.memory.sort_unstable_by_key(|record| order.rank(record));
        Sorted { memory: self.memory, file: self.file.map(RefCell::new), runs: self.runs, order }
    }
}

/// A part whose runs are all sorted.
struct Sorted {
    memory: Vec<Record>,
    file: Option<RefCell<File>>,
    runs: Vec<(u64, u64)>,
    order: Order,
}

impl Sorted {
    fn merged(&self) -> io::Result<Merged<'_>> {
        let runs = self.runs.iter().map(|&(start, count)| Run { block: Vec::new(), at: 0, start, left: count });
        let mut merged = Merged { sorted: self, runs: runs.collect(), memory: 0, heads: BinaryHeap::new() };
        for run in 0..=merged.runs.len() {
            merged.advance(run)?;
        }
        Ok(merged)
    }
}

/// The rest of a run: a block in memory, the others on disk.
struct Run {
    block: Vec<Record>,
    at: usize,
    start: u64,
    left: u64,
}

/// All runs of a part in one order. The last run is the one in memory.
struct Merged<'a> {
    sorted: &'a Sorted,
    runs: Vec<Run>,
    memory: usize,
    heads: BinaryHeap<Reverse<(Rank, usize)>>,
}

impl Merged<'_> {
    fn next(&mut self) -> io::Result<Option<Record>> {
        let Some(Reverse(((key, a, b), run))) = self.heads.pop() else { return Ok(None) };
        self.advance(run)?;
        let (place, tag) = if self.sorted.order == Order::Place { (a, b) } else { (b, a) };
        Ok(Some(Record { key, place, tag }))
    }

    /// Puts the next record of a run among the heads.
    fn advance(&mut self, index: usize) -> io::Result<()> {
        let record = match (self.runs.get_mut(index), &self.sorted.file) {
            (Some(run), Some(file)) => run.next(file)?,
            _ => {
                self.memory += 1;
                self.sorted.memory.get(self.memory - 1).copied()
            }
        };
        if let Some(record) = record {
            self.heads.push(Reverse((self.sorted.order.rank(&record), index)));
        }
        Ok(())
    }
}

impl Run {
    fn next(&mut self, file: &RefCell<File>) -> io::Result<Option<Record>> {
        if self.at >= self.block.len() {
            let count = self.left.min(BLOCK);
            let mut bytes = vec![0; usize::try_from(count).unwrap_or(0) * BYTES];
            let mut file = file.borrow_mut();
            file.seek(SeekFrom::Start(self.start * BYTES as u64))?;
            file.read_exact(&mut bytes)?;
            self.block = bytes.as_chunks::<BYTES>().0.iter().map(Record::read).collect();
            self.at = 0;
            self.start += count;
            self.left -= count;
        }
        self.at += 1;
        Ok(self.block.get(self.at - 1).copied())
    }
}

impl Record {
    fn bytes(&self) -> [u8; BYTES] {
        let mut out = [0; BYTES];
        out[..16].copy_from_slice(&self.key.to_le_bytes());
        out[16..24].copy_from_slice(&self.place.to_le_bytes());
        out[24..].copy_from_slice(&self.tag.to_le_bytes());
        out
    }

    fn read(bytes: &[u8; BYTES]) -> Self {
        let number = |from: usize| {
            let mut part = [0; 8];
            part.copy_from_slice(&bytes[from..from + 8]);
            u64::from_le_bytes(part)
        };
        let key = u128::from(number(8)) << 64 | u128::from(number(0));
        Self { key, place: number(16), tag: number(24) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Places of the groups that `emit` saw, after what `gather` counted was checked.
    fn groups(records: u64, room: usize, order: Order) -> Vec<Vec<u64>> {
        let mut spill = Spill::with_room(order, room);
        for i in 0..records {
            // Every key twice, except those of the last hundred; one key for every third record.
            let n = if i % 3 == 0 { 1 << 40 } else { i % (records - 100) };
            let key = u128::from(gauntlet_poisoning::hash64(&n.to_le_bytes(), 1)) << 64;
            spill.push(Record { key, place: i, tag: i % 2 }).unwrap();
        }
        let (mut out, mut counts): (Vec<Vec<u64>>, Vec<usize>) = (Vec::new(), Vec::new());
        let mut key = None;
        spill
            .groups(&mut |count: &mut usize, _| *count += 1, &mut |count| counts.push(*count), &mut |count, record| {
                assert!(*count > 1);
                if key.replace(record.key) != Some(record.key) {
                    out.push(Vec::new());
                }
                out.last_mut().unwrap().push(record.place);
            })
            .unwrap();
        assert_eq!(counts, out.iter().map(Vec::len).collect::<Vec<_>>());
        out.sort();
        out
    }

    #[test]
    fn groups_are_the_same_in_memory_and_on_disk() {
        for order in [Order::Place, Order::Tag] {
            let memory = groups(9_000, HELD, order);
            let large = memory.iter().find(|group| group.len() == 3_000).unwrap();
            let by = |place: &u64| if order == Order::Tag { (place % 2, *place) } else { (0, *place) };
            assert!(large.is_sorted_by_key(by));
            assert_eq!(memory.len(), 1 + (0..100).filter(|i| i % 3 != 0 && (i + 8_900) % 3 != 0).count());
            for room in [1, 7, 1_000, 8_999] {
                assert_eq!(groups(9_000, room, order), memory, "{room}");
            }
        }
    }
}
