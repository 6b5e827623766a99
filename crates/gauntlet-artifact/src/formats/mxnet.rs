//! MXNet's saved arrays: names and extents, numbers passed over. Layout as in `NDArray::Save`, version 2 and 3.

use gauntlet_limits::{Budget, ReadAt};
use serde::{Deserialize, Serialize};

/// The list's number, little endian.
pub(crate) const MAGIC: &[u8] = &[0x12, 1, 0, 0, 0, 0, 0, 0];
/// Dimensions of one array.
const DIMENSIONS: u32 = 64;

/// Everything seen in a symbol or a list of arrays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct MxnetFacts {
    /// Nodes that call what the program registers or what an address points to.
    pub custom: Vec<CustomNode>,
    /// Operators.
    pub nodes: u64,
    /// Arrays.
    pub arrays: u64,
    /// Entries that were not kept.
    pub more: u64,
}

/// A node that calls code from elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct CustomNode {
    pub op: String,
    pub name: String,
    pub attributes: Vec<(String, String)>,
}

/// Walks a list of arrays: how many there are; `None` when they do not fit into the file or are of another kind.
///
/// # Errors
/// I/O errors; budgets within them.
pub(crate) fn arrays(bytes: &dyn ReadAt, budget: &Budget) -> std::io::Result<Option<u64>> {
    let mut at = 16u64;
    let mut take = |len: u64| -> std::io::Result<Option<Vec<u8>>> {
        let end = at.checked_add(len).filter(|end| *end <= bytes.size());
        let Some(end) = end else { return Ok(None) };
        let block = if len <= 4096 { bytes.read_block(at, len, budget.limits())? } else { Vec::new() };
        at = end;
        Ok(Some(block))
    };
    macro_rules! number {
        ($type:ty) => {
            match take(size_of::<$type>() as u64)?
                .and_then(|raw| raw.first_chunk().map(|raw| <$type>::from_le_bytes(*raw)))
            {
                Some(number) => number,
                None => return Ok(None),
            }
        };
    }
    let count = number!(u64);
    for _ in 0..count {
        budget.steps(1).map_err(std::io::Error::other)?;
        // Version 2, and 3 with the semantics of NumPy; dense arrays only.
        if !matches!(number!(u32), 0xf993_fac9 | 0xf993_faca) || number!(i32) != 0 {
            return Ok(None);
        }
        let dimensions = number!(u32);
        if dimensions > DIMENSIONS {
            return Ok(None);
        }
        let mut elements = Some(1u64);
        for _ in 0..dimensions {
            let n = number!(i64);
            elements = elements.and_then(|product| product.checked_mul(u64::try_from(n).ok()?));
        }
        let (_device, _number) = (number!(i32), number!(i32));
        let width = match number!(i32) {
            0 | 4 => 4,
            1 | 6 => 8,
            2 | 8 | 12 => 2,
            3 | 5 | 7 => 1,
            _ => return Ok(None),
        };
        let Some(len) = elements.and_then(|elements| elements.checked_mul(width)) else { return Ok(None) };
        if take(len)?.is_none() {
            return Ok(None);
        }
    }
    let names = number!(u64);
    for _ in 0..names {
        budget.steps(1).map_err(std::io::Error::other)?;
        let len = number!(u64);
        if take(len)?.is_none() {
            return Ok(None);
        }
    }
    Ok((at == bytes.size()).then_some(count))
}
