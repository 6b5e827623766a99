//! Records of whole numbers, split by the first of them, in memory while they are few and on disk when they are many. What
//! belongs together lands in one part, and one part at a time is sorted.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use datafusion::error::{DataFusionError, Result};

/// Parts; each holds the records whose first number begins with the same bits.
pub(super) const PARTS: usize = 64;
const PART_BITS: u32 = PARTS.trailing_zeros();
/// Bytes of records that stay in memory.
const MEMORY: usize = 64 << 20;
/// Bytes of records on disk.
const DISK: u64 = 100 << 30;

/// Records of `W` numbers.
#[derive(Debug)]
pub(super) struct Spill<const W: usize> {
    parts: Vec<Part<W>>,
    /// Records of a part that stay in memory: a power of two, so that its vector grows no further than to what it holds.
    room: usize,
    written: u64,
}

#[derive(Debug)]
struct Part<const W: usize> {
    held: Vec<[u64; W]>,
    file: Option<File>,
    written: u64,
}

impl<const W: usize> Spill<W> {
    pub(super) fn new() -> Self {
        Self::with_memory(MEMORY)
    }

    /// With so many bytes in memory.
    pub(super) fn with_memory(memory: usize) -> Self {
        let parts = (0..PARTS).map(|_| Part { held: Vec::new(), file: None, written: 0 }).collect();
        let room = (memory / PARTS / (W * 8)).max(1);
        Self { parts, room: 1 << room.ilog2(), written: 0 }
    }

    /// Adds records. Their first number has to be spread evenly, as a hash is.
    ///
    /// # Errors
    /// When the disk is full, or more than the limit would be written.
    pub(super) fn extend(&mut self, records: impl IntoIterator<Item = [u64; W]>) -> Result<()> {
        for record in records {
            let Some(part) = self.parts.get_mut(part_of(record[0])) else { continue };
            part.held.push(record);
            if part.held.len() >= self.room {
                self.written += part.flush().map_err(DataFusionError::IoError)?;
                if self.written > DISK {
                    let what = format!("more than {DISK} bytes of keys would have to be written to disk");
                    return Err(DataFusionError::ResourcesExhausted(what));
                }
            }
        }
        Ok(())
    }

    /// All records of one part, in no order; the part is empty afterwards.
    ///
    /// # Errors
    /// When the disk does not give back what was written.
    pub(super) fn take(&mut self, part: usize) -> Result<Vec<[u64; W]>> {
        let Some(part) = self.parts.get_mut(part) else { return Ok(Vec::new()) };
        let mut records = std::mem::take(&mut part.held);
        if let Some(mut file) = part.file.take() {
            records.reserve_exact(usize::try_from(part.written).unwrap_or(0));
            file.seek(SeekFrom::Start(0)).map_err(DataFusionError::IoError)?;
            let mut bytes = vec![0u8; W * 8 * 4_096];
            let mut left = part.written;
            while left > 0 {
                let count = usize::try_from(left).unwrap_or(usize::MAX).min(4_096);
                let Some(block) = bytes.get_mut(..count * W * 8) else { break };
                file.read_exact(block).map_err(DataFusionError::IoError)?;
                for record in block.chunks_exact(W * 8) {
                    let mut numbers = [0u64; W];
                    for (number, bytes) in numbers.iter_mut().zip(record.chunks_exact(8)) {
                        *number = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
                    }
                    records.push(numbers);
                }
                left -= count as u64;
            }
        }
        Ok(records)
    }
}

impl<const W: usize> Part<W> {
    /// Writes what is held to an unnamed temporary file; the number of bytes.
    fn flush(&mut self) -> std::io::Result<u64> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => tempfile::tempfile()?,
        };
        let mut bytes = Vec::with_capacity(self.held.len() * W * 8);
        for record in &self.held {
            for number in record {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
        }
        file.write_all(&bytes)?;
        self.written += self.held.len() as u64;
        self.held.clear();
        self.file = Some(file);
        Ok(bytes.len() as u64)
    }
}

fn part_of(first: u64) -> usize {
    usize::try_from(first >> (64 - PART_BITS)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_in_comes_out_whether_or_not_it_was_written() {
        let record = |i: u64| [i.wrapping_mul(0x9E37_79B9_7F4A_7C15), i];
        for memory in [MEMORY, 1_000] {
            let mut spill = Spill::<2>::with_memory(memory);
            for chunk in 0..50 {
                spill.extend((chunk * 100..chunk * 100 + 100).map(record)).unwrap();
            }
            let mut all = Vec::new();
            for part in 0..PARTS {
                let records = spill.take(part).unwrap();
                assert!(records.iter().all(|r| part_of(r[0]) == part));
                all.extend(records.into_iter().map(|r| r[1]));
                assert!(spill.take(part).unwrap().is_empty());
            }
            all.sort_unstable();
            assert_eq!(all, (0..5_000).collect::<Vec<_>>(), "{memory}");
        }
    }
}
