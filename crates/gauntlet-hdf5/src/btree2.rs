//! B-trees, version 2 (specification v3, section III.A.2).

use std::collections::HashSet;

use crate::bytes::{Bytes, width_of};
use crate::error::{ProblemKind, Stop};
use crate::medium::Medium;

/// Levels; the library's own trees stay far below.
const DEPTH: usize = 32;

/// What is done with each record: the tree's type and the record.
pub(crate) type Visit<'v> = dyn FnMut(&mut Medium<'_>, u8, &[u8]) -> Result<(), Stop> + 'v;

/// Calls `visit` with each record of the tree at `address`, in no certain order.
pub(crate) fn records(medium: &mut Medium<'_>, address: u64, visit: &mut Visit<'_>) -> Result<(), Stop> {
    const WHAT: &str = "a B-tree";
    let (o, l) = (medium.offset_size, medium.length_size);
    let block = medium.checked(address, (4 + 1 + 1 + 4 + 2 + 2 + 2 + o + 2 + l + 4) as u64, WHAT)?;
    let mut bytes = Bytes::new(&block, WHAT);
    bytes.signature(b"BTHD")?;
    bytes.version(0..=0)?;
    let kind = bytes.u8()?;
    let node_size = u64::from(bytes.u32()?);
    let record = usize::from(bytes.u16()?);
    let depth = usize::from(bytes.u16()?);
    bytes.skip(2)?;
    let root = medium.address(&mut bytes)?;
    let count = u64::from(bytes.u16()?);
    let total = medium.length(&mut bytes)?;
    let Some(root) = root else { return Ok(()) };
    if record == 0 || depth > DEPTH || node_size < 10 + record as u64 {
        return Err(Stop::malformed("the sizes of a B-tree are impossible"));
    }
    let widths = Widths::of(node_size, record as u64, o as u64, depth);
    let (mut open, mut seen, mut visited) = (vec![(root, count, depth)], HashSet::new(), 0_u64);
    while let Some((address, count, level)) = open.pop() {
        if !seen.insert(address) {
            medium.problem(ProblemKind::Malformed, Some(address), "a node of a B-tree is used twice");
            continue;
        }
        medium.room(open.len().max(seen.len()))?;
        let done = node(medium, address, node_size, (kind, record), (count, level), &widths, &mut open, visit);
        visited = visited.saturating_add(count);
        medium.note(Some(address), done)?;
    }
    if visited != total {
        medium.problem(ProblemKind::Malformed, Some(address), format!("a B-tree of {total} records has {visited}"));
    }
    Ok(())
}

/// Bytes of the counts in internal nodes.
struct Widths {
    count: usize,
    /// Width of the number of all records below, by level of the child.
    total: Vec<usize>,
}

impl Widths {
    fn of(node_size: u64, record: u64, offset: u64, depth: usize) -> Self {
        let leaf = (node_size - 10) / record;
        let count = width_of(leaf);
        let (mut total, mut below) = (vec![0], leaf);
        for _ in 1..=depth {
            let pointer = offset + count as u64 + total.last().copied().unwrap_or(0) as u64;
            let here = node_size.saturating_sub(10 + pointer) / (record + pointer);
            below = here.saturating_add(1).saturating_mul(below).saturating_add(here);
            total.push(width_of(below));
        }
        Self { count, total }
    }
}

#[expect(clippy::too_many_arguments, reason = "one step of a loop")]
fn node(
    medium: &mut Medium<'_>,
    address: u64,
    node_size: u64,
    (kind, record): (u8, usize),
    (count, level): (u64, usize),
    widths: &Widths,
    open: &mut Vec<(u64, u64, usize)>,
    visit: &mut Visit<'_>,
) -> Result<(), Stop> {
    const WHAT: &str = "a node of a B-tree";
    let block = medium.block(address, node_size, WHAT)?;
    let mut bytes = Bytes::new(&block, WHAT);
    bytes.signature(if level == 0 { b"BTLF" } else { b"BTIN" })?;
    bytes.version(0..=0)?;
    if bytes.u8()? != kind {
        return Err(Stop::malformed("a node belongs to another kind of B-tree"));
    }
    for _ in 0..count {
        medium.budget.steps(1)?;
        let record = bytes.take(record)?;
        let done = visit(medium, kind, record);
        medium.note(Some(address), done)?;
    }
    if let Some(below) = level.checked_sub(1) {
        for _ in 0..=count {
            let child = medium.defined(&mut bytes, WHAT)?;
            let count = bytes.uint(widths.count)?;
            bytes.skip(widths.total.get(below).copied().unwrap_or(0))?;
            open.push((child, count, below));
        }
    }
    // The checksum stands behind what is used, not at the end of the node.
    let used = bytes.position();
    bytes.skip(4)?;
    medium.verify(block.get(..used + 4).unwrap_or(&[]), address, WHAT);
    Ok(())
}
