//! B-trees, version 1, of old groups and of chunks (specification v3, section III.A.1).

use std::collections::HashSet;

use crate::bytes::Bytes;
use crate::error::{ProblemKind, Stop};
use crate::heap;
use crate::medium::Medium;

/// What the children of the lowest nodes are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tree {
    /// Symbol table nodes of a group.
    Group,
    /// Chunks of a dataset with this many axes, that of the element's bytes included.
    Chunks { rank: usize },
}

/// What is done with each lowest child: its key and address.
pub(crate) type Leaf<'l> = dyn FnMut(&mut Medium<'_>, &[u8], u64) -> Result<(), Stop> + 'l;

/// Calls `leaf` with the key and address of each lowest child.
pub(crate) fn walk(medium: &mut Medium<'_>, root: u64, tree: Tree, leaf: &mut Leaf<'_>) -> Result<(), Stop> {
    let (mut open, mut seen) = (vec![(root, None)], HashSet::new());
    while let Some((address, level)) = open.pop() {
        if !seen.insert(address) {
            medium.problem(ProblemKind::Malformed, Some(address), "a node of a B-tree is used twice");
            continue;
        }
        medium.room(open.len().max(seen.len()))?;
        let done = node(medium, address, level, tree, &mut open, leaf);
        medium.note(Some(address), done)?;
    }
    Ok(())
}

fn node(
    medium: &mut Medium<'_>,
    address: u64,
    expected: Option<u8>,
    tree: Tree,
    open: &mut Vec<(u64, Option<u8>)>,
    leaf: &mut Leaf<'_>,
) -> Result<(), Stop> {
    const WHAT: &str = "a node of a B-tree";
    let o = medium.offset_size;
    let prefix = 8 + 2 * o;
    let head = medium.peek(address, prefix as u64, WHAT)?;
    let mut bytes = Bytes::new(&head, WHAT);
    bytes.signature(b"TREE")?;
    let kind = bytes.u8()?;
    let level = bytes.u8()?;
    let used = usize::from(bytes.u16()?);
    if kind != u8::from(tree != Tree::Group) {
        return Err(Stop::malformed("a node belongs to another kind of B-tree"));
    }
    if expected.is_some_and(|expected| expected != level) {
        return Err(Stop::malformed("the levels of a B-tree are not in order"));
    }
    let key = match tree {
        Tree::Group => medium.length_size,
        Tree::Chunks { rank } => 8 + 8 * rank,
    };
    let len = prefix + used * (key + o) + key;
    let block = medium.block(address, len as u64, WHAT)?;
    let mut bytes = Bytes::new(&block, WHAT);
    bytes.skip(prefix)?;
    for _ in 0..used {
        medium.budget.steps(1)?;
        let key = bytes.take(key)?;
        let child = medium.defined(&mut bytes, WHAT)?;
        match level.checked_sub(1) {
            Some(below) => open.push((child, Some(below))),
            None => {
                let done = leaf(medium, key, child);
                medium.note(Some(child), done)?;
            }
        }
    }
    Ok(())
}

/// What an entry of an old group is.
pub(crate) enum Entry {
    /// A hard link to the object at this address.
    Hard(u64),
    /// A soft link to this path.
    Soft(String),
}

/// The entries of an old group.
pub(crate) fn group(
    medium: &mut Medium<'_>,
    tree: u64,
    names: u64,
    entry: &mut dyn FnMut(&mut Medium<'_>, String, Entry) -> Result<(), Stop>,
) -> Result<(), Stop> {
    const WHAT: &str = "a symbol table node";
    let segment = heap::local(medium, names)?;
    walk(medium, tree, Tree::Group, &mut |medium, _, address| {
        let (o, prefix) = (medium.offset_size, 8_usize);
        let head = medium.peek(address, prefix as u64, WHAT)?;
        let mut bytes = Bytes::new(&head, WHAT);
        bytes.signature(b"SNOD")?;
        bytes.version(1..=1)?;
        bytes.skip(1)?;
        let count = usize::from(bytes.u16()?);
        let block = medium.block(address, (prefix + count * (2 * o + 24)) as u64, WHAT)?;
        let mut bytes = Bytes::new(&block, WHAT);
        bytes.skip(prefix)?;
        for _ in 0..count {
            medium.budget.steps(1)?;
            let at = bytes.uint(o)?;
            let object = medium.address(&mut bytes)?;
            let cached = bytes.u32()?;
            bytes.skip(4)?;
            let mut scratch = Bytes::new(bytes.take(16)?, WHAT);
            let name = crate::bytes::name(heap::text(&segment, at)?);
            let found = match (cached, object) {
                (2, _) => {
                    let target = heap::text(&segment, u64::from(scratch.u32()?))?;
                    Entry::Soft(crate::bytes::name(target))
                }
                (_, Some(object)) => Entry::Hard(object),
                (_, None) => return Err(Stop::malformed("an entry of a group has no address")),
            };
            entry(medium, name, found)?;
        }
        Ok(())
    })
}
