//! Groups records by key without holding them all: past a bound they go to unlinked temporary files, one for each part of the
//! key space, and each part is sorted on its own.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};

/// Parts of the key space. Each spilled part holds a file open.
const PARTS: usize = 128;
/// Records in memory before all are written out.
const HELD: usize = 1 << 20;
/// Disk that one grouping may take.
const DISK: u64 = 100 << 30;
const BYTES: usize = 32;

/// A row, and what it is grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Record {
    pub(super) key: u128,
    /// Place of the row.
    pub(super) place: u64,
    /// What else the grouping needs to know of it.
    pub(super) tag: u64,
}

/// Records on their way to being grouped.
#[derive(Debug)]
pub(super) struct Spill {
    parts: Vec<Part>,
    held: usize,
    written: u64,
}

#[derive(Debug, Default)]
struct Part {
    memory: Vec<Record>,
    file: Option<File>,
}

impl Spill {
    pub(super) fn new() -> Self {
        Self { parts: (0..PARTS).map(|_| Part::default()).collect(), held: 0, written: 0 }
    }

    pub(super) fn push(&mut self, record: Record) -> io::Result<()> {
        let part = usize::from((record.key >> 120) as u8) % PARTS;
        self.parts[part].memory.push(record);
        self.held += 1;
        if self.held >= HELD { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.written += (self.held * BYTES) as u64;
        if self.written > DISK {
            return Err(io::Error::other(format!("grouping rows takes more than {DISK} bytes of disk")));
        }
        for part in &mut self.parts {
            let file = match &mut part.file {
                Some(file) => file,
                none => none.insert(tempfile::tempfile()?),
            };
            let mut out = BufWriter::new(file);
            for record in part.memory.drain(..) {
                out.write_all(&record.bytes())?;
            }
            out.flush()?;
            part.memory = Vec::new();
        }
        self.held = 0;
        Ok(())
    }

    /// Calls `look` with each group of records of one key that has more than one, in order of place.
    pub(super) fn groups(self, look: &mut dyn FnMut(&[Record])) -> io::Result<()> {
        for part in self.parts {
            let mut records = part.memory;
            if let Some(mut file) = part.file {
                file.rewind()?;
                let mut reader = BufReader::with_capacity(1 << 16, file);
                let mut bytes = [0; BYTES];
                loop {
                    match reader.read_exact(&mut bytes) {
                        Ok(()) => records.push(Record::read(&bytes)),
                        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                        Err(error) => return Err(error),
                    }
                }
            }
            records.sort_unstable();
            records.chunk_by(|a, b| a.key == b.key).filter(|group| group.len() > 1).for_each(&mut *look);
        }
        Ok(())
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

    fn groups(records: u64) -> Vec<Vec<u64>> {
        let mut spill = Spill::new();
        for i in 0..records {
            // Every key twice, except those of the last hundred.
            let key = u128::from(gauntlet_poisoning::hash64(&(i % (records - 100)).to_le_bytes(), 1)) << 64;
            spill.push(Record { key, place: i, tag: i ^ 7 }).unwrap();
        }
        let mut out = Vec::new();
        spill
            .groups(&mut |group| {
                assert!(group.iter().all(|r| r.tag == r.place ^ 7));
                out.push(group.iter().map(|r| r.place).collect::<Vec<_>>());
            })
            .unwrap();
        out.sort();
        out
    }

    #[test]
    fn groups_are_the_same_in_memory_and_on_disk() {
        for records in [1_000, HELD as u64 + 500] {
            let found = groups(records);
            let expected: Vec<Vec<u64>> = (0..100).map(|i| vec![i, i + records - 100]).collect();
            assert_eq!(found, expected);
        }
    }
}
