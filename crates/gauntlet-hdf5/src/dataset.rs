//! Datasets: layout, filters, external files, virtual sources (specification v3, sections IV.A.2.h, i and l).

use crate::bytes::{Bytes, name};
use crate::chunks::{self, Chunks, Index};
use crate::datatype::{self, elements};
use crate::error::Stop;
use crate::facts::{Dataset, ExternalFile, Filter, Range, Storage, VirtualSource};
use crate::header::{self, Message, kind};
use crate::heap;
use crate::medium::Medium;
use crate::value;

/// Parts of virtual datasets and external files that are kept.
const PARTS: usize = 10_000;

/// Reads the dataset with these messages.
pub(crate) fn read(medium: &mut Medium<'_>, path: &str, address: u64, messages: &[Message]) -> Result<Dataset, Stop> {
    let mut dataset = Dataset {
        path: path.to_owned(),
        address,
        datatype: None,
        shape: None,
        storage: Storage::Nothing,
        external: Vec::new(),
        filters: Vec::new(),
        value: value::Value::default(),
    };
    let mut layout = None;
    for message in messages {
        let done = one(medium, message, &mut dataset, &mut layout);
        medium.note(Some(message.address), done)?;
    }
    if let Some(message) = layout {
        let done = storage(medium, &message, &dataset);
        dataset.storage = medium.note(Some(message.address), done)?.unwrap_or(Storage::Nothing);
    }
    if dataset.datatype.as_ref().is_some_and(datatype::Datatype::is_variable) {
        let done = value::of_dataset(medium, &dataset);
        match medium.note(Some(address), done)? {
            Some(value) => dataset.value = value,
            None => dataset.value.partial = true,
        }
    }
    Ok(dataset)
}

fn one(
    medium: &mut Medium<'_>,
    message: &Message,
    dataset: &mut Dataset,
    layout: &mut Option<Message>,
) -> Result<(), Stop> {
    match message.kind {
        kind::DATATYPE => {
            let message = header::resolve(medium, message)?;
            dataset.datatype = Some(datatype::read(medium, &message.data)?);
        }
        kind::DATASPACE => {
            let message = header::resolve(medium, message)?;
            dataset.shape = datatype::dataspace(medium, &message.data)?;
        }
        kind::FILTERS => {
            let message = header::resolve(medium, message)?;
            dataset.filters = filters(&message.data)?;
        }
        kind::EXTERNAL => dataset.external = external(medium, &message.data)?,
        kind::LAYOUT => *layout = Some(message.clone()),
        _ => {}
    }
    Ok(())
}

fn filters(data: &[u8]) -> Result<Vec<Filter>, Stop> {
    let mut bytes = Bytes::new(data, "a filter pipeline");
    let version = bytes.version(1..=2)?;
    let count = bytes.u8()?;
    bytes.skip(if version == 1 { 6 } else { 0 })?;
    let mut filters = Vec::new();
    for _ in 0..count {
        let id = bytes.u16()?;
        let len = if version == 1 || id >= 256 { usize::from(bytes.u16()?) } else { 0 };
        let flags = bytes.u16()?;
        let values = usize::from(bytes.u16()?);
        let start = bytes.position();
        let called = name(bytes.take(len)?);
        if version == 1 {
            bytes.align(start, 8)?;
        }
        bytes.skip(4 * values)?;
        bytes.skip(if version == 1 && values % 2 == 1 { 4 } else { 0 })?;
        filters.push(Filter { id, name: called, optional: flags & 1 != 0 });
    }
    Ok(filters)
}

fn external(medium: &mut Medium<'_>, data: &[u8]) -> Result<Vec<ExternalFile>, Stop> {
    let mut bytes = Bytes::new(data, "a list of external files");
    bytes.version(1..=1)?;
    bytes.skip(3 + 2)?;
    let used = bytes.u16()?;
    let names = medium.defined(&mut bytes, "the names of external files")?;
    let segment = heap::local(medium, names)?;
    let mut files = Vec::new();
    for _ in 0..used {
        medium.budget.steps(1)?;
        let at = medium.length(&mut bytes)?;
        let file = name(heap::text(&segment, at)?);
        let (offset, len) = (medium.length(&mut bytes)?, medium.length(&mut bytes)?);
        if files.len() < PARTS {
            files.push(ExternalFile { file, offset, len });
        }
    }
    Ok(files)
}

fn storage(medium: &mut Medium<'_>, message: &Message, dataset: &Dataset) -> Result<Storage, Stop> {
    let mut bytes = Bytes::new(&message.data, "a data layout");
    match bytes.version(1..=5)? {
        1 | 2 => old(medium, message, bytes, dataset),
        version => new(medium, message, bytes, version, dataset),
    }
}

/// Bytes of all elements.
fn stored_bytes(dataset: &Dataset) -> Option<u64> {
    let size = dataset.datatype.as_ref().map_or(0, |datatype| u64::from(datatype.size()));
    elements(dataset.shape.as_deref()).and_then(|count| count.checked_mul(size))
}

fn contiguous(medium: &mut Medium<'_>, address: Option<u64>, len: u64) -> Storage {
    let Some(address) = address else { return Storage::Nothing };
    medium.own(address, len);
    match medium.absolute(address) {
        Some(offset) => Storage::Contiguous { range: Range { offset, len } },
        None => Storage::Nothing,
    }
}

fn compact(medium: &Medium<'_>, message: &Message, bytes: &mut Bytes<'_>, len: usize) -> Result<Storage, Stop> {
    let at = message.address.saturating_add(bytes.position() as u64);
    bytes.skip(len)?;
    let offset = medium.absolute(at).unwrap_or(u64::MAX);
    Ok(Storage::Compact { range: Range { offset, len: len as u64 } })
}

fn old(medium: &mut Medium<'_>, message: &Message, mut bytes: Bytes<'_>, dataset: &Dataset) -> Result<Storage, Stop> {
    let rank = usize::from(bytes.u8()?);
    let class = bytes.u8()?;
    bytes.skip(5)?;
    let address = if class == 0 { None } else { medium.address(&mut bytes)? };
    bytes.skip(4 * rank)?;
    match class {
        0 => {
            let len = bytes.len(4)?;
            compact(medium, message, &mut bytes, len)
        }
        1 => {
            let len = stored_bytes(dataset).ok_or_else(|| Stop::malformed("the size of a dataset overflows"))?;
            Ok(contiguous(medium, address, len))
        }
        2 => {
            let mut chunks = Chunks::default();
            if let Some(address) = address {
                let done = chunks::old(medium, address, rank, &mut chunks);
                medium.note(Some(address), done)?;
            }
            Ok(chunks.storage())
        }
        class => Err(Stop::unsupported(format!("storage of class {class}"))),
    }
}

fn new(
    medium: &mut Medium<'_>,
    message: &Message,
    mut bytes: Bytes<'_>,
    version: u8,
    dataset: &Dataset,
) -> Result<Storage, Stop> {
    match (bytes.u8()?, version) {
        (0, _) => {
            let len = bytes.len(2)?;
            compact(medium, message, &mut bytes, len)
        }
        (1, _) => {
            let address = medium.address(&mut bytes)?;
            let len = medium.length(&mut bytes)?;
            Ok(contiguous(medium, address, len))
        }
        (2, 3) => {
            let rank = usize::from(bytes.u8()?);
            let mut chunks = Chunks::default();
            if let Some(address) = medium.address(&mut bytes)? {
                let done = chunks::old(medium, address, rank, &mut chunks);
                medium.note(Some(address), done)?;
            }
            Ok(chunks.storage())
        }
        (2, _) => {
            let flags = bytes.u8()?;
            let rank = usize::from(bytes.u8()?);
            let width = usize::from(bytes.u8()?);
            let dims = (0..rank).map(|_| bytes.uint(width)).collect::<Result<Vec<_>, _>>()?;
            let chunk = dims.iter().try_fold(1_u64, |all, dim| all.checked_mul(*dim));
            let chunk = chunk.ok_or_else(|| Stop::malformed("the size of a chunk overflows"))?;
            let shape = dataset.shape.as_deref().unwrap_or_default();
            let along =
                shape.iter().zip(&dims).map(|(all, one)| all.checked_div(*one).map(|n| n + u64::from(all % one != 0)));
            let expected = along.into_iter().try_fold(1_u64, |all, one| all.checked_mul(one?));
            let index = Index { chunk, expected, rank: rank.saturating_sub(1) };
            let mut chunks = Chunks::default();
            let done = chunks::new(medium, &mut bytes, flags, &index, &mut chunks);
            medium.note(Some(message.address), done)?;
            Ok(chunks.storage())
        }
        (3, 4..) => {
            let Some(address) = medium.address(&mut bytes)? else {
                return Ok(Storage::Virtual { sources: Vec::new() });
            };
            let index = bytes.u32()?;
            let (list, _) = heap::global(medium, address, index)?;
            let mut sources = Vec::new();
            let done = virtual_sources(medium, &list, &mut sources);
            medium.note(Some(message.address), done)?;
            Ok(Storage::Virtual { sources })
        }
        (class, _) => Err(Stop::unsupported(format!("storage of class {class}"))),
    }
}

fn virtual_sources(medium: &mut Medium<'_>, list: &[u8], sources: &mut Vec<VirtualSource>) -> Result<(), Stop> {
    let mut bytes = Bytes::new(list, "a virtual dataset");
    let version = bytes.version(0..=1)?;
    let count = medium.length(&mut bytes)?;
    for _ in 0..count {
        medium.budget.steps(1)?;
        // Version 1 shares names between entries: 1 and 4 mean this file, 2 and 8 a name of an earlier entry.
        let flags = if version == 1 { bytes.u8()? } else { 0 };
        let earlier = |bytes: &mut Bytes<'_>, sources: &[VirtualSource]| {
            let at = bytes.len(medium.length_size)?;
            sources.get(at).cloned().ok_or_else(|| Stop::malformed("a virtual dataset names no earlier entry"))
        };
        let file = if flags & 4 != 0 {
            ".".to_owned()
        } else if flags & 1 != 0 {
            earlier(&mut bytes, sources)?.file
        } else {
            name(bytes.until_nul()?)
        };
        let dataset = if flags & 2 != 0 { earlier(&mut bytes, sources)?.dataset } else { name(bytes.until_nul()?) };
        if sources.len() < PARTS {
            sources.push(VirtualSource { file, dataset });
        }
        selection(&mut bytes)?;
        selection(&mut bytes)?;
    }
    Ok(())
}

/// Skips a dataspace selection (section VIII).
fn selection(bytes: &mut Bytes<'_>) -> Result<(), Stop> {
    let kind = bytes.u32()?;
    let version = bytes.u32()?;
    match (kind, version) {
        (0 | 3, 1) => bytes.skip(8),
        (1 | 2, 1) => {
            bytes.skip(4)?;
            let len = bytes.len(4)?;
            bytes.skip(len)
        }
        (2, 2) => {
            bytes.skip(1)?;
            let len = bytes.len(4)?;
            bytes.skip(len)
        }
        (2, 3) => {
            let regular = bytes.u8()? & 1 != 0;
            let width = usize::from(bytes.u8()?);
            let rank = bytes.len(4)?;
            let numbers = if regular { Some(4) } else { bytes.len(width)?.checked_mul(2) };
            let len = numbers.and_then(|n| n.checked_mul(rank)).and_then(|n| n.checked_mul(width));
            bytes.skip(len.unwrap_or(usize::MAX))
        }
        (1, 2) => {
            let width = usize::from(bytes.u8()?);
            let rank = bytes.len(4)?;
            let points = bytes.len(width)?;
            let len = points.checked_mul(rank).and_then(|n| n.checked_mul(width));
            bytes.skip(len.unwrap_or(usize::MAX))
        }
        _ => Err(Stop::unsupported(format!("a selection of type {kind}, version {version}"))),
    }
}
