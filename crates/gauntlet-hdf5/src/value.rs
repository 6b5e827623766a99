//! Values: texts and lists out of their elements and the global heap.

use gauntlet_limits::Window;

use crate::bytes::Bytes;
use crate::datatype::{Datatype, elements};
use crate::error::Stop;
pub(crate) use crate::facts::Value;
use crate::facts::{Dataset, Range, Storage};
use crate::heap;
use crate::medium::Medium;

/// Bytes of references of one dataset that are followed.
const REFERENCES: u64 = 4 << 20;

/// The value whose elements are `raw`.
pub(crate) fn of(medium: &mut Medium<'_>, datatype: &Datatype, shape: Option<&[u64]>, raw: Vec<u8>) -> Value {
    let mut value = Value { raw, ..Value::default() };
    let count = elements(shape).unwrap_or(u64::MAX);
    let size = datatype.size() as usize;
    if size == 0 {
        return value;
    }
    let stored = (value.raw.len() / size) as u64;
    value.partial = stored < count;
    // Messages are padded.
    value.raw.truncate(usize::try_from(count.saturating_mul(size as u64)).unwrap_or(usize::MAX));
    let raw = std::mem::take(&mut value.raw);
    for element in raw.chunks_exact(size).take(usize::try_from(count).unwrap_or(usize::MAX)) {
        let done = pieces(medium, datatype, element, &mut value.pieces, 0);
        if let Err(stop) = done {
            value.partial = true;
            if let Stop::Bad(kind, what) = stop {
                medium.problem(kind, None, what);
                continue;
            }
            break;
        }
    }
    value.raw = raw;
    value
}

/// Texts and lists within one element. Recursion is bounded by that of the datatype, and by one level a list.
fn pieces(
    medium: &mut Medium<'_>,
    datatype: &Datatype,
    element: &[u8],
    found: &mut Vec<Vec<u8>>,
    depth: u32,
) -> Result<(), Stop> {
    medium.budget.steps(1)?;
    match datatype {
        Datatype::Text { .. } => {
            let end = element.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            keep(medium, element.get(..end).unwrap_or(&[]).to_vec(), found)
        }
        Datatype::VariableText { .. } | Datatype::VariableList { .. } => {
            let mut bytes = Bytes::new(element, "a variable-length value");
            let count = bytes.len(4)?;
            let address = medium.address(&mut bytes)?;
            let index = bytes.u32()?;
            let Some(address) = address.filter(|address| *address != 0 && count > 0) else { return Ok(()) };
            let (data, _) = heap::global(medium, address, index)?;
            let Datatype::VariableList { base, .. } = datatype else {
                return keep(medium, data.get(..count).unwrap_or(&data).to_vec(), found);
            };
            if base.is_variable() {
                for element in data.chunks_exact((base.size() as usize).max(1)).take(count) {
                    if depth < 24 {
                        pieces(medium, base, element, found, depth + 1)?;
                    }
                }
                return Ok(());
            }
            keep(medium, data, found)
        }
        Datatype::Array { base, .. } if base.is_variable() || matches!(**base, Datatype::Text { .. }) => {
            for element in element.chunks_exact((base.size() as usize).max(1)) {
                pieces(medium, base, element, found, depth + 1)?;
            }
            Ok(())
        }
        Datatype::Compound { members, .. } => {
            for member in members {
                let start = member.offset as usize;
                let end = start.saturating_add(member.datatype.size() as usize);
                if let Some(part) = element.get(start..end) {
                    pieces(medium, &member.datatype, part, found, depth + 1)?;
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn keep(medium: &mut Medium<'_>, piece: Vec<u8>, found: &mut Vec<Vec<u8>>) -> Result<(), Stop> {
    medium.hold(piece.len() as u64 + 24)?;
    found.push(piece);
    Ok(())
}

/// The texts and lists of a dataset whose elements refer to the global heap. Filtered ones are not followed.
pub(crate) fn of_dataset(medium: &mut Medium<'_>, dataset: &Dataset) -> Result<Value, Stop> {
    let ranges: Vec<Range> = match &dataset.storage {
        Storage::Compact { range } | Storage::Contiguous { range } => vec![*range],
        Storage::Chunked { first, chunks, .. } if dataset.filters.is_empty() && first.len() as u64 == *chunks => {
            first.clone()
        }
        Storage::Nothing => return Ok(Value::default()),
        _ => return Ok(Value { partial: true, ..Value::default() }),
    };
    let Some(datatype) = &dataset.datatype else { return Ok(Value::default()) };
    let mut value = Value::default();
    for range in ranges {
        let len = range.len.min(REFERENCES);
        value.partial |= len < range.len;
        medium.hold(len)?;
        let Some(address) = range.offset.checked_sub(medium.base) else { continue };
        let raw = medium.peek(address, len, "a dataset")?;
        // Chunks at the border hold elements beyond the shape, which are empty references.
        let part = of(medium, datatype, Some(&[len / u64::from(datatype.size()).max(1)]), raw);
        value.pieces.extend(part.pieces);
        value.partial |= part.partial;
    }
    Ok(value)
}

/// The bytes of a dataset that lie in one run, when it is made of bytes, texts or opaque elements.
#[must_use]
pub(crate) fn window<'a>(source: &'a dyn gauntlet_limits::ReadAt, dataset: &Dataset) -> Option<Window<'a>> {
    if !dataset.filters.is_empty() || !dataset.datatype.as_ref().is_some_and(Datatype::is_byte_like) {
        return None;
    }
    let range = match &dataset.storage {
        Storage::Compact { range } | Storage::Contiguous { range } => *range,
        Storage::Chunked { first, chunks: 1, .. } => *first.first()?,
        _ => return None,
    };
    (range.len > 0 && range.offset < source.size()).then(|| Window::new(source, range.offset, range.len))
}
