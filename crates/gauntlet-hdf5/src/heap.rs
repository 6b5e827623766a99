//! Local and global heaps (specification v3, sections III.D and III.E).

use crate::bytes::Bytes;
use crate::error::Stop;
use crate::medium::{Collection, Medium};

/// The data segment of a local heap: link names of old groups, names of external files.
pub(crate) fn local(medium: &mut Medium<'_>, address: u64) -> Result<Vec<u8>, Stop> {
    const WHAT: &str = "a local heap";
    let len = 8 + 2 * medium.length_size + medium.offset_size;
    let block = medium.block(address, len as u64, WHAT)?;
    let mut bytes = Bytes::new(&block, WHAT);
    bytes.signature(b"HEAP")?;
    bytes.version(0..=0)?;
    bytes.skip(3)?;
    let size = medium.length(&mut bytes)?;
    medium.length(&mut bytes)?;
    let segment = medium.defined(&mut bytes, WHAT)?;
    medium.block(segment, size, "the names of a local heap")
}

/// The NUL-terminated text at `offset` of a data segment.
pub(crate) fn text(segment: &[u8], offset: u64) -> Result<&[u8], Stop> {
    let rest = usize::try_from(offset).ok().and_then(|at| segment.get(at..));
    rest.and_then(|rest| rest.split(|byte| *byte == 0).next())
        .ok_or_else(|| Stop::malformed("a name is outside of its heap"))
}

/// One object of the global heap: bytes and address.
pub(crate) fn global(medium: &mut Medium<'_>, address: u64, index: u32) -> Result<(Vec<u8>, u64), Stop> {
    if !medium.collections.contains_key(&address) {
        let collection = collection(medium, address)?;
        medium.collect(collection.len() as u64 + 1);
        medium.collections.insert(address, collection);
    }
    let found = medium.collections.get(&address).and_then(|objects| objects.iter().find(|object| object.0 == index));
    let Some((_, at, len)) = found.copied() else {
        return Err(Stop::malformed(format!("the global heap has no object {index}")));
    };
    medium.peek(at, len, "an object of the global heap").map(|bytes| (bytes, at))
}

fn collection(medium: &mut Medium<'_>, address: u64) -> Result<Collection, Stop> {
    const WHAT: &str = "a global heap";
    let prefix = 8 + medium.length_size;
    let block = medium.peek(address, prefix as u64, WHAT)?;
    let mut bytes = Bytes::new(&block, WHAT);
    bytes.signature(b"GCOL")?;
    bytes.version(1..=1)?;
    bytes.skip(3)?;
    let size = medium.length(&mut bytes)?;
    let block = medium.block(address, size, WHAT)?;
    let mut bytes = Bytes::new(&block, WHAT);
    bytes.skip(prefix)?;
    let mut objects = Vec::new();
    while bytes.left() >= 8 + medium.length_size {
        medium.budget.steps(1)?;
        let index = bytes.u16()?;
        bytes.skip(6)?;
        let len = medium.length(&mut bytes)?;
        if index == 0 {
            break;
        }
        let at = address.saturating_add(bytes.position() as u64);
        let len_in_memory = usize::try_from(len).unwrap_or(usize::MAX);
        bytes.skip(len_in_memory)?;
        bytes.skip((8 - len_in_memory % 8) % 8)?;
        objects.push((u32::from(index), at, len));
    }
    Ok(objects)
}
