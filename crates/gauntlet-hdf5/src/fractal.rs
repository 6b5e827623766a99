//! Fractal heaps, which hold the links and attributes of objects that have many (specification v3, section III.G).

use std::collections::HashSet;

use crate::btree2;
use crate::bytes::{Bytes, width_of};
use crate::error::{ProblemKind, Stop};
use crate::medium::Medium;

/// Filters on blocks; no writer of models uses them.
const FILTERED: &str = "a fractal heap with filters";

/// The header of a fractal heap.
pub(crate) struct FractalHeap {
    id_len: usize,
    offset_width: usize,
    len_width: usize,
    table_width: u64,
    start_size: u64,
    max_direct: u64,
    root: Option<u64>,
    root_rows: u32,
    huge_index: Option<u64>,
    checksums: bool,
    /// Direct blocks by their offset in the heap: (heap offset, address, length).
    blocks: Vec<(u64, u64, u64)>,
    /// Huge objects by id, once they were needed.
    huge: Option<Vec<(u64, u64, u64)>>,
}

impl FractalHeap {
    pub(crate) fn read(medium: &mut Medium<'_>, address: u64) -> Result<Self, Stop> {
        const WHAT: &str = "a fractal heap";
        let (o, l) = (medium.offset_size as u64, medium.length_size as u64);
        let len = 4 + 1 + 2 + 2 + 1 + 4 + 12 * l + 3 * o + 2 + 2 + 2 + 2 + 4;
        let block = medium.peek(address, len, WHAT)?;
        let mut bytes = Bytes::new(&block, WHAT);
        bytes.signature(b"FRHP")?;
        bytes.version(0..=0)?;
        let id_len = usize::from(bytes.u16()?);
        let filters = bytes.u16()?;
        let flags = bytes.u8()?;
        let max_managed = u64::from(bytes.u32()?);
        medium.length(&mut bytes)?;
        let huge_index = medium.address(&mut bytes)?;
        medium.length(&mut bytes)?;
        let free_space = medium.address(&mut bytes)?;
        for _ in 0..8 {
            medium.length(&mut bytes)?;
        }
        let table_width = u64::from(bytes.u16()?);
        let start_size = medium.length(&mut bytes)?;
        let max_direct = medium.length(&mut bytes)?;
        let bits = bytes.u16()?;
        bytes.skip(2)?;
        let root = medium.address(&mut bytes)?;
        let root_rows = u32::from(bytes.u16()?);
        if filters != 0 {
            return Err(Stop::unsupported(FILTERED));
        }
        medium.checked(address, len, WHAT)?;
        if !start_size.is_power_of_two()
            || !max_direct.is_power_of_two()
            || start_size > max_direct
            || table_width == 0
            || bits > 64
            || root_rows > 64
        {
            return Err(Stop::malformed("the sizes of a fractal heap are impossible"));
        }
        let len_width = ((max_direct.ilog2() as usize).div_ceil(8)).min(width_of(max_managed));
        let mut heap = Self {
            id_len,
            offset_width: usize::from(bits).div_ceil(8),
            len_width,
            table_width,
            start_size,
            max_direct,
            root,
            root_rows,
            huge_index,
            checksums: flags & 2 != 0,
            blocks: Vec::new(),
            huge: None,
        };
        if let Some(manager) = free_space {
            let done = own_free_space(medium, manager);
            medium.note(Some(manager), done)?;
        }
        heap.find_blocks(medium)?;
        Ok(heap)
    }

    pub(crate) fn id_len(&self) -> usize {
        self.id_len
    }

    /// Size of the blocks of a row.
    fn row_size(&self, row: u32) -> Option<u64> {
        if row == 0 { Some(self.start_size) } else { self.start_size.checked_mul(1_u64.checked_shl(row - 1)?) }
    }

    /// Finds every direct block: an explicit stack over indirect blocks, whose sizes halve on the way down.
    fn find_blocks(&mut self, medium: &mut Medium<'_>) -> Result<(), Stop> {
        const WHAT: &str = "a block of a fractal heap";
        let Some(root) = self.root else { return Ok(()) };
        if self.root_rows == 0 {
            return self.direct(medium, root, 0, self.start_size);
        }
        let o = medium.offset_size as u64;
        let direct_rows = self.max_direct.ilog2() - self.start_size.ilog2() + 2;
        let mut open = vec![(root, 0_u64, self.root_rows)];
        let mut seen = HashSet::new();
        while let Some((address, start, rows)) = open.pop() {
            if !seen.insert(address) {
                return Err(Stop::malformed("a block of a fractal heap is used twice"));
            }
            medium.room(open.len())?;
            let entries = u64::from(rows).saturating_mul(self.table_width);
            let prefix = 5 + o + self.offset_width as u64;
            let block =
                medium.checked(address, prefix.saturating_add(entries.saturating_mul(o)).saturating_add(4), WHAT)?;
            let mut bytes = Bytes::new(&block, WHAT);
            bytes.signature(b"FHIB")?;
            bytes.version(0..=0)?;
            bytes.skip(usize::try_from(o).unwrap_or(8) + self.offset_width)?;
            let mut at = start;
            for row in 0..rows {
                let Some(size) = self.row_size(row) else {
                    return Err(Stop::malformed("a fractal heap is too large"));
                };
                for _ in 0..self.table_width {
                    medium.budget.steps(1)?;
                    if let Some(child) = medium.address(&mut bytes)? {
                        if row < direct_rows {
                            self.direct(medium, child, at, size)?;
                        } else {
                            let first = self.start_size.ilog2() + self.table_width.ilog2();
                            let below = (size.ilog2() + 1).saturating_sub(first);
                            if below == 0 || below > row {
                                return Err(Stop::malformed("the rows of a fractal heap are impossible"));
                            }
                            open.push((child, at, below));
                        }
                    }
                    at = at.saturating_add(size);
                }
            }
        }
        self.blocks.sort_unstable();
        Ok(())
    }

    fn direct(&mut self, medium: &mut Medium<'_>, address: u64, at: u64, size: u64) -> Result<(), Stop> {
        const WHAT: &str = "a block of a fractal heap";
        // The checksum is computed with its own field zeroed; the content is read object by object.
        let prefix = (5 + medium.offset_size + self.offset_width + if self.checksums { 4 } else { 0 }) as u64;
        let block = medium.peek(address, prefix, WHAT)?;
        Bytes::new(&block, WHAT).signature(b"FHDB")?;
        if self.blocks.len() as u64 >= medium.budget.limits().nodes {
            return Err(Stop::bad(ProblemKind::Limit, "a fractal heap has more blocks than limit `nodes`"));
        }
        medium.own(address, size);
        self.blocks.push((at, address, size));
        Ok(())
    }

    /// The object of a heap ID: bytes and address.
    pub(crate) fn object(&mut self, medium: &mut Medium<'_>, id: &[u8]) -> Result<(Vec<u8>, u64), Stop> {
        const WHAT: &str = "an object of a fractal heap";
        let mut bytes = Bytes::new(id, "a heap id");
        let first = bytes.u8()?;
        if first >> 6 != 0 {
            return Err(Stop::unsupported(format!("a heap id of version {}", first >> 6)));
        }
        match (first >> 4) & 3 {
            0 => {
                let offset = bytes.uint(self.offset_width)?;
                let len = bytes.uint(self.len_width)?;
                let after = self.blocks.partition_point(|(start, ..)| *start <= offset);
                let block = after.checked_sub(1).and_then(|index| self.blocks.get(index)).copied();
                let Some((start, address, size)) = block else {
                    return Err(Stop::malformed("a heap id points to no block"));
                };
                let inside = offset - start;
                if inside.saturating_add(len) > size {
                    return Err(Stop::malformed("a heap id points behind its block"));
                }
                let at = address.saturating_add(inside);
                medium.peek(at, len, WHAT).map(|bytes| (bytes, at))
            }
            1 => {
                let (o, l) = (medium.offset_size, medium.length_size);
                let (address, len) = if self.id_len > o + l {
                    (bytes.uint(o)?, bytes.uint(l)?)
                } else {
                    let key = bytes.uint((self.id_len.saturating_sub(1)).min(8))?;
                    self.huge(medium, key)?
                };
                medium.block(address, len, WHAT).map(|bytes| (bytes, address))
            }
            2 => {
                let extended = self.id_len > 17;
                let len = if extended {
                    (usize::from(first & 15) << 8 | usize::from(bytes.u8()?)) + 1
                } else {
                    usize::from(first & 15) + 1
                };
                Ok((bytes.take(len)?.to_vec(), 0))
            }
            kind => Err(Stop::unsupported(format!("a heap id of type {kind}"))),
        }
    }

    /// Address and length of a huge object.
    fn huge(&mut self, medium: &mut Medium<'_>, key: u64) -> Result<(u64, u64), Stop> {
        if self.huge.is_none() {
            let index =
                self.huge_index.ok_or_else(|| Stop::malformed("a fractal heap has no index of huge objects"))?;
            let mut found = Vec::new();
            btree2::records(medium, index, &mut |medium, kind, record| {
                if kind != 1 {
                    return Err(Stop::unsupported(FILTERED));
                }
                let mut bytes = Bytes::new(record, "an index record");
                let address = medium.defined(&mut bytes, "a huge object")?;
                let len = medium.length(&mut bytes)?;
                found.push((medium.length(&mut bytes)?, address, len));
                Ok(())
            })?;
            found.sort_unstable();
            self.huge = Some(found);
        }
        let all = self.huge.as_deref().unwrap_or_default();
        let found = all.binary_search_by_key(&key, |(id, ..)| *id).ok().and_then(|index| all.get(index));
        found
            .map(|(_, address, len)| (*address, *len))
            .ok_or_else(|| Stop::malformed("a huge object is not in its index"))
    }
}

/// Owns a free-space manager and its list of sections (specification v3, section III.H).
pub(crate) fn own_free_space(medium: &mut Medium<'_>, address: u64) -> Result<(), Stop> {
    const WHAT: &str = "a free-space manager";
    let (o, l) = (medium.offset_size, medium.length_size);
    let block = medium.checked(address, (4 + 1 + 1 + 4 * l + 8 + l + o + 2 * l + 4) as u64, WHAT)?;
    let mut bytes = Bytes::new(&block, WHAT);
    bytes.signature(b"FSHD")?;
    bytes.version(0..=0)?;
    bytes.skip(1 + 4 * l + 8 + l)?;
    let sections = medium.address(&mut bytes)?;
    medium.length(&mut bytes)?;
    let allocated = medium.length(&mut bytes)?;
    if let Some(sections) = sections {
        medium.own(sections, allocated);
    }
    Ok(())
}
