//! Where the chunks of a dataset are: every index of layout versions 1 to 5 (specification v3, sections III.A and VII).

use crate::btree1::{self, Tree};
use crate::btree2;
use crate::bytes::Bytes;
use crate::error::Stop;
use crate::facts::{CHUNKS, Range, Storage};
use crate::medium::Medium;

/// Collects chunks.
#[derive(Default)]
pub(crate) struct Chunks {
    count: u64,
    bytes: u64,
    first: Vec<Range>,
}

impl Chunks {
    fn add(&mut self, medium: &mut Medium<'_>, address: u64, len: u64) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(len);
        medium.own(address, len);
        if let Some(offset) = medium.absolute(address)
            && self.first.len() < CHUNKS
        {
            self.first.push(Range { offset, len });
        }
    }

    pub(crate) fn storage(self) -> Storage {
        Storage::Chunked { chunks: self.count, bytes: self.bytes, first: self.first }
    }
}

/// Layouts before version 4: a B-tree.
pub(crate) fn old(medium: &mut Medium<'_>, tree: u64, rank: usize, chunks: &mut Chunks) -> Result<(), Stop> {
    btree1::walk(medium, tree, Tree::Chunks { rank }, &mut |medium, key, address| {
        let len = u64::from(Bytes::new(key, "a chunk").u32()?);
        chunks.add(medium, address, len);
        Ok(())
    })
}

/// What a layout message of version 4 or 5 says about chunks.
pub(crate) struct Index {
    /// Bytes of a chunk before filters.
    pub chunk: u64,
    /// Chunks in all, were none missing.
    pub expected: Option<u64>,
    /// Axes.
    pub rank: usize,
}

/// Reads the rest of a layout message: the index's parameters and address, then the index.
pub(crate) fn new(
    medium: &mut Medium<'_>,
    bytes: &mut Bytes<'_>,
    flags: u8,
    index: &Index,
    chunks: &mut Chunks,
) -> Result<(), Stop> {
    let kind = bytes.u8()?;
    match kind {
        1 => {
            let filtered = flags & 2 != 0;
            let len = if filtered { medium.length(bytes)? } else { index.chunk };
            bytes.skip(if filtered { 4 } else { 0 })?;
            if let Some(address) = medium.address(bytes)? {
                chunks.add(medium, address, len);
            }
            Ok(())
        }
        2 => {
            if let Some(address) = medium.address(bytes)? {
                let len = index.expected.and_then(|count| count.checked_mul(index.chunk));
                let len = len.ok_or_else(|| Stop::malformed("the chunks of a dataset overflow"))?;
                chunks.add(medium, address, len);
            }
            Ok(())
        }
        3 => {
            bytes.skip(1)?;
            medium.address(bytes)?.map_or(Ok(()), |address| fixed(medium, address, index, chunks))
        }
        4 => {
            bytes.skip(5)?;
            medium.address(bytes)?.map_or(Ok(()), |address| extensible(medium, address, index, chunks))
        }
        5 => {
            bytes.skip(6)?;
            medium.address(bytes)?.map_or(Ok(()), |address| tree(medium, address, index, chunks))
        }
        kind => Err(Stop::unsupported(format!("a chunk index of type {kind}"))),
    }
}

/// One element of an array index: an address, and for filtered chunks a length and a mask.
fn element(
    medium: &mut Medium<'_>,
    bytes: &mut Bytes<'_>,
    size: usize,
    index: &Index,
    chunks: &mut Chunks,
) -> Result<(), Stop> {
    medium.budget.steps(1)?;
    let address = medium.address(bytes)?;
    let len = match size.checked_sub(medium.offset_size + 4) {
        Some(width) if width > 0 => {
            let len = bytes.uint(width)?;
            bytes.skip(4)?;
            len
        }
        _ => {
            bytes.skip(size.saturating_sub(medium.offset_size))?;
            index.chunk
        }
    };
    if let Some(address) = address {
        chunks.add(medium, address, len);
    }
    Ok(())
}

fn fixed(medium: &mut Medium<'_>, address: u64, index: &Index, chunks: &mut Chunks) -> Result<(), Stop> {
    const WHAT: &str = "a fixed array";
    let (o, l) = (medium.offset_size, medium.length_size);
    let block = medium.checked(address, (4 + 1 + 1 + 1 + 1 + l + o + 4) as u64, WHAT)?;
    let mut bytes = Bytes::new(&block, WHAT);
    bytes.signature(b"FAHD")?;
    bytes.version(0..=0)?;
    bytes.skip(1)?;
    let size = usize::from(bytes.u8()?);
    let page_bits = bytes.u8()?;
    let entries = medium.length(&mut bytes)?;
    let Some(data) = medium.address(&mut bytes)? else { return Ok(()) };
    if size < o || page_bits > 32 {
        return Err(Stop::malformed("the sizes of a fixed array are impossible"));
    }
    let prefix = (4 + 1 + 1 + o) as u64;
    let page = 1_u64 << page_bits;
    let huge = || Stop::malformed("a fixed array is too large");
    if entries <= page {
        let len = entries.checked_mul(size as u64).and_then(|len| len.checked_add(prefix + 4)).ok_or_else(huge)?;
        let block = medium.checked(data, len, WHAT)?;
        let mut bytes = Bytes::new(&block, WHAT);
        bytes.signature(b"FADB")?;
        bytes.skip(2 + o)?;
        for _ in 0..entries {
            element(medium, &mut bytes, size, index, chunks)?;
        }
        return Ok(());
    }
    let pages = entries.div_ceil(page);
    let bitmap_len = pages.div_ceil(8);
    let block = medium.checked(data, prefix + bitmap_len + 4, WHAT)?;
    let mut bytes = Bytes::new(&block, WHAT);
    bytes.signature(b"FADB")?;
    bytes.skip(2 + o)?;
    let bitmap = bytes.take(usize::try_from(bitmap_len).map_err(|_| huge())?)?;
    let mut at = data.checked_add(prefix + bitmap_len + 4).ok_or_else(huge)?;
    for number in 0..pages {
        let count = page.min(entries - number * page);
        let len = count.checked_mul(size as u64).and_then(|len| len.checked_add(4)).ok_or_else(huge)?;
        let used = usize::try_from(number / 8).ok().and_then(|byte| bitmap.get(byte));
        // The first page is the highest bit.
        if used.is_some_and(|byte| byte & (0x80 >> (number % 8)) != 0) {
            let block = medium.checked(at, len, WHAT)?;
            let mut bytes = Bytes::new(&block, WHAT);
            for _ in 0..count {
                element(medium, &mut bytes, size, index, chunks)?;
            }
        } else {
            medium.budget.steps(1)?;
            medium.own(at, len);
        }
        at = at.checked_add(len).ok_or_else(huge)?;
    }
    Ok(())
}

fn extensible(medium: &mut Medium<'_>, address: u64, index: &Index, chunks: &mut Chunks) -> Result<(), Stop> {
    const WHAT: &str = "an extensible array";
    let (o, l) = (medium.offset_size, medium.length_size);
    let block = medium.checked(address, (4 + 1 + 1 + 6 + 6 * l + o + 4) as u64, WHAT)?;
    let mut bytes = Bytes::new(&block, WHAT);
    bytes.signature(b"EAHD")?;
    bytes.version(0..=0)?;
    bytes.skip(1)?;
    let size = usize::from(bytes.u8()?);
    let max_bits = u32::from(bytes.u8()?);
    let in_index = usize::from(bytes.u8()?);
    let min_elements = u64::from(bytes.u8()?);
    let min_pointers = u64::from(bytes.u8()?);
    let page_bits = u32::from(bytes.u8()?);
    bytes.skip(6 * l)?;
    let Some(root) = medium.address(&mut bytes)? else { return Ok(()) };
    let possible = size >= o
        && max_bits <= 64
        && page_bits < 32
        && min_elements.is_power_of_two()
        && min_pointers.is_power_of_two()
        && max_bits >= min_elements.ilog2();
    if !possible {
        return Err(Stop::malformed("the sizes of an extensible array are impossible"));
    }
    let shape =
        Extensible { size, offset_width: (max_bits as usize).div_ceil(8), min_elements, page: 1_u64 << page_bits };
    let super_blocks = 1 + max_bits - min_elements.ilog2();
    let first_super = (2 * min_pointers.ilog2()).min(super_blocks);
    let direct = 2 * (min_pointers - 1);
    let outer = u64::from(super_blocks - first_super);
    let len = (6 + o + in_index * size + 4) as u64 + (direct + outer) * o as u64;
    let block = medium.checked(root, len, WHAT)?;
    let mut bytes = Bytes::new(&block, WHAT);
    bytes.signature(b"EAIB")?;
    bytes.skip(2 + o)?;
    for _ in 0..in_index {
        element(medium, &mut bytes, size, index, chunks)?;
    }
    // Data blocks of the first super blocks hang at the index block itself.
    for super_block in 0..first_super {
        for _ in 0..shape.blocks_of(super_block) {
            if let Some(block) = medium.address(&mut bytes)? {
                shape.data_block(medium, block, super_block, index, chunks)?;
            }
        }
    }
    for super_block in first_super..super_blocks {
        if let Some(block) = medium.address(&mut bytes)? {
            shape.super_block(medium, block, super_block, index, chunks)?;
        }
    }
    Ok(())
}

struct Extensible {
    size: usize,
    offset_width: usize,
    min_elements: u64,
    page: u64,
}

impl Extensible {
    fn blocks_of(&self, super_block: u32) -> u64 {
        1_u64.checked_shl(super_block / 2).unwrap_or(u64::MAX)
    }

    fn elements_of(&self, super_block: u32) -> u64 {
        self.min_elements.saturating_mul(1_u64.checked_shl(super_block.div_ceil(2)).unwrap_or(u64::MAX))
    }

    fn pages_of(&self, super_block: u32) -> u64 {
        let elements = self.elements_of(super_block);
        if elements > self.page { elements / self.page } else { 0 }
    }

    fn super_block(
        &self,
        medium: &mut Medium<'_>,
        address: u64,
        number: u32,
        index: &Index,
        chunks: &mut Chunks,
    ) -> Result<(), Stop> {
        const WHAT: &str = "a super block of an extensible array";
        let o = medium.offset_size as u64;
        let blocks = self.blocks_of(number);
        let masks = blocks.saturating_mul(self.pages_of(number).div_ceil(8));
        let prefix = (6 + self.offset_width) as u64 + o;
        let len = prefix.saturating_add(masks).saturating_add(blocks.saturating_mul(o)).saturating_add(4);
        let block = medium.checked(address, len, WHAT)?;
        let mut bytes = Bytes::new(&block, WHAT);
        bytes.signature(b"EASB")?;
        bytes.skip(usize::try_from(prefix - 4 + masks).map_err(|_| Stop::malformed("a super block is too large"))?)?;
        for _ in 0..blocks {
            medium.budget.steps(1)?;
            if let Some(block) = medium.address(&mut bytes)? {
                self.data_block(medium, block, number, index, chunks)?;
            }
        }
        Ok(())
    }

    fn data_block(
        &self,
        medium: &mut Medium<'_>,
        address: u64,
        super_block: u32,
        index: &Index,
        chunks: &mut Chunks,
    ) -> Result<(), Stop> {
        const WHAT: &str = "a data block of an extensible array";
        let prefix = (6 + self.offset_width + medium.offset_size) as u64;
        let (elements, pages) = (self.elements_of(super_block), self.pages_of(super_block));
        let per_page = if pages == 0 { elements } else { self.page };
        let run = per_page.saturating_mul(self.size as u64).saturating_add(4);
        if pages == 0 {
            let block = medium.checked(address, prefix.saturating_add(run), WHAT)?;
            let mut bytes = Bytes::new(&block, WHAT);
            bytes.signature(b"EADB")?;
            bytes.skip(usize::try_from(prefix - 4).unwrap_or(usize::MAX))?;
            for _ in 0..elements {
                element(medium, &mut bytes, self.size, index, chunks)?;
            }
            return Ok(());
        }
        medium.checked(address, prefix + 4, WHAT)?;
        let mut at = address.saturating_add(prefix + 4);
        for _ in 0..pages {
            let block = medium.block(at, run, WHAT)?;
            // A page that was never written is not initialised; its checksum is what tells.
            if crate::checksum::lookup3(block.get(..block.len().saturating_sub(4)).unwrap_or(&[])).to_le_bytes()
                == *block.get(block.len().saturating_sub(4)..).unwrap_or(&[])
            {
                let mut bytes = Bytes::new(&block, WHAT);
                for _ in 0..per_page {
                    element(medium, &mut bytes, self.size, index, chunks)?;
                }
            }
            at = at.saturating_add(run);
        }
        Ok(())
    }
}

fn tree(medium: &mut Medium<'_>, address: u64, index: &Index, chunks: &mut Chunks) -> Result<(), Stop> {
    let axes = 8 * index.rank;
    btree2::records(medium, address, &mut |medium, kind, record| {
        let mut bytes = Bytes::new(record, "a chunk");
        let address = medium.address(&mut bytes)?;
        let len = match kind {
            10 => index.chunk,
            11 => {
                let width = record.len().checked_sub(medium.offset_size + 4 + axes);
                bytes.uint(width.ok_or_else(|| Stop::malformed("a chunk record is too short"))?)?
            }
            kind => return Err(Stop::malformed(format!("chunks in a B-tree of type {kind}"))),
        };
        if let Some(address) = address {
            chunks.add(medium, address, len);
        }
        Ok(())
    })
}
