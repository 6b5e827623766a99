//! From the root group to every object: links, attributes, datasets. Each object once, no recursion.

use std::collections::{HashSet, VecDeque};

use gauntlet_limits::{Budget, ReadAt};

use crate::btree1::{self, Entry};
use crate::btree2;
use crate::bytes::{Bytes, name};
use crate::dataset;
use crate::datatype;
use crate::error::{Hdf5Error, ProblemKind, Stop};
use crate::facts::{Attribute, Hdf5Facts, Link, LinkTarget, Range};
use crate::fractal::{FractalHeap, own_free_space};
use crate::header::{self, Message, kind};
use crate::medium::Medium;
use crate::superblock;
use crate::value;

/// Characters of a path that are kept.
const PATH: usize = 4096;
/// Gaps that are kept.
const GAPS: usize = 1000;

/// Reads the structure of the file. What is broken or unknown is among [`Hdf5Facts::problems`]; what else there is, is
/// given all the same. Every byte of metadata costs a share of [`gauntlet_limits::Limits::steps`].
///
/// # Errors
/// [`Hdf5Error::NotHdf5`] without a superblock, [`Hdf5Error::Io`] when the medium fails.
pub fn read(source: &dyn ReadAt, budget: &Budget) -> Result<Hdf5Facts, Hdf5Error> {
    let (mut medium, start) = superblock::read(source, budget)?;
    let mut walk = Walk { facts: Hdf5Facts::default(), open: VecDeque::new(), seen: HashSet::new() };
    let mut limit = None;
    if let Some(start) = start {
        walk.facts.superblock = Some(start.superblock);
        match walk.run(&mut medium, start.root, start.extension) {
            Ok(()) | Err(Stop::Bad(..)) => {}
            Err(Stop::Limit(hit)) => limit = Some(hit),
            Err(Stop::Io(error)) => return Err(error.into()),
        }
    }
    let mut facts = walk.facts;
    facts.limit = limit;
    facts.mapped = medium.mapped && limit.is_none();
    unowned(&mut medium, &mut facts)?;
    facts.problems = std::mem::take(&mut medium.problems);
    facts.more_problems = medium.more_problems;
    Ok(facts)
}

struct Walk {
    facts: Hdf5Facts,
    /// Objects still to be read: address and path.
    open: VecDeque<(u64, String)>,
    seen: HashSet<u64>,
}

impl Walk {
    fn run(&mut self, medium: &mut Medium<'_>, root: Option<u64>, extension: Option<u64>) -> Result<(), Stop> {
        if let Some(address) = extension {
            "the superblock extension".clone_into(&mut medium.object);
            let done = self.extension(medium, address);
            medium.note(Some(address), done)?;
        }
        match root {
            Some(root) => self.reach(medium, root, "/".to_owned())?,
            None => medium.problem(ProblemKind::Malformed, None, "the file has no root group"),
        }
        while let Some((address, path)) = self.open.pop_front() {
            medium.object.clone_from(&path);
            let done = self.object(medium, address, &path);
            medium.note(Some(address), done)?;
        }
        Ok(())
    }

    fn reach(&mut self, medium: &Medium<'_>, address: u64, path: String) -> Result<(), Stop> {
        medium.budget.steps(1)?;
        medium.room(self.seen.len())?;
        if self.seen.insert(address) {
            self.open.push_back((address, path));
        }
        Ok(())
    }

    fn extension(&mut self, medium: &mut Medium<'_>, address: u64) -> Result<(), Stop> {
        for message in header::read(medium, address)? {
            match message.kind {
                kind::SHARED_TABLE => medium.problem(
                    ProblemKind::Unsupported,
                    Some(message.address),
                    "messages are kept in a heap of shared messages",
                ),
                kind::DRIVER => {
                    medium.problem(ProblemKind::Unsupported, Some(message.address), "the file has several parts");
                }
                kind::FILE_SPACE => {
                    let done = file_space(medium, &message.data);
                    medium.note(Some(message.address), done)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn object(&mut self, medium: &mut Medium<'_>, address: u64, path: &str) -> Result<(), Stop> {
        let messages = header::read(medium, address)?;
        let is_dataset = messages.iter().any(|message| message.kind == kind::LAYOUT);
        let is_group = messages.iter().any(|m| matches!(m.kind, kind::LINK_INFO | kind::SYMBOL_TABLE | kind::LINK));
        for message in &messages {
            let done = self.message(medium, path, message);
            medium.note(Some(message.address), done)?;
        }
        if is_dataset {
            medium.room(self.facts.datasets.len())?;
            let dataset = dataset::read(medium, path, address, &messages)?;
            self.facts.datasets.push(dataset);
        }
        self.facts.groups += u64::from(is_group);
        Ok(())
    }

    fn message(&mut self, medium: &mut Medium<'_>, path: &str, message: &Message) -> Result<(), Stop> {
        match message.kind {
            kind::ATTRIBUTE if message.shared => {
                let resolved = header::resolve(medium, message)?;
                self.attribute(medium, path, &resolved.data, resolved.address)
            }
            kind::ATTRIBUTE => self.attribute(medium, path, &message.data, message.address),
            kind::ATTRIBUTE_INFO => self.dense_attributes(medium, path, &message.data),
            kind::LINK => self.link(medium, path, &message.data),
            kind::LINK_INFO => self.dense_links(medium, path, &message.data),
            kind::SYMBOL_TABLE => {
                let mut bytes = Bytes::new(&message.data, "a symbol table message");
                let tree = medium.defined(&mut bytes, "a group")?;
                let names = medium.defined(&mut bytes, "a group")?;
                btree1::group(medium, tree, names, &mut |medium, name, entry| match entry {
                    Entry::Hard(address) => self.reach(medium, address, join(path, &name)),
                    Entry::Soft(target) => {
                        self.other_link(medium, join(path, &name), LinkTarget::Soft { path: target })
                    }
                })
            }
            kind::DATASPACE | kind::DATATYPE | kind::EXTERNAL | kind::LAYOUT | kind::FILTERS => Ok(()),
            silent if kind::SILENT.contains(&silent) => Ok(()),
            unknown => Err(Stop::unsupported(format!("a header message of type {unknown}"))),
        }
    }

    fn other_link(&mut self, medium: &Medium<'_>, path: String, target: LinkTarget) -> Result<(), Stop> {
        medium.room(self.facts.links.len())?;
        self.facts.links.push(Link { path, target });
        Ok(())
    }

    fn link(&mut self, medium: &mut Medium<'_>, path: &str, data: &[u8]) -> Result<(), Stop> {
        let mut bytes = Bytes::new(data, "a link");
        bytes.version(1..=1)?;
        let flags = bytes.u8()?;
        let class = if flags & 8 != 0 { bytes.u8()? } else { 0 };
        bytes.skip(if flags & 4 != 0 { 8 } else { 0 })?;
        bytes.skip(if flags & 16 != 0 { 1 } else { 0 })?;
        let len = bytes.len(1 << (flags & 3))?;
        let path = join(path, &name(bytes.take(len)?));
        match class {
            0 => match medium.address(&mut bytes)? {
                Some(address) => self.reach(medium, address, path),
                None => Err(Stop::malformed("a hard link has no address")),
            },
            1 => {
                let len = bytes.len(2)?;
                let target = LinkTarget::Soft { path: name(bytes.take(len)?) };
                self.other_link(medium, path, target)
            }
            64 => {
                let len = bytes.len(2)?;
                let mut bytes = Bytes::new(bytes.take(len)?, "an external link");
                let version = bytes.u8()? >> 4;
                if version != 0 {
                    return Err(Stop::unsupported(format!("an external link of version {version}")));
                }
                let file = name(bytes.until_nul()?);
                let target = LinkTarget::External { file, path: name(bytes.rest()) };
                self.other_link(medium, path, target)
            }
            class => {
                let len = bytes.uint(2)?;
                self.other_link(medium, path, LinkTarget::UserDefined { class, len })
            }
        }
    }

    fn dense_links(&mut self, medium: &mut Medium<'_>, path: &str, data: &[u8]) -> Result<(), Stop> {
        let mut bytes = Bytes::new(data, "a link info message");
        bytes.version(0..=0)?;
        let flags = bytes.u8()?;
        bytes.skip(if flags & 1 != 0 { 8 } else { 0 })?;
        let heap = medium.address(&mut bytes)?;
        let names = medium.address(&mut bytes)?;
        let order = if flags & 2 != 0 { medium.address(&mut bytes)? } else { None };
        let (Some(heap), Some(names)) = (heap, names) else { return Ok(()) };
        let mut heap = FractalHeap::read(medium, heap)?;
        btree2::records(medium, names, &mut |medium, kind, record| {
            if kind != 5 {
                return Err(Stop::malformed(format!("links in a B-tree of type {kind}")));
            }
            let id = record.get(4..4 + heap.id_len()).or_else(|| record.get(4..)).unwrap_or(&[]);
            let (data, _) = heap.object(medium, id)?;
            self.link(medium, path, &data)
        })?;
        own_order(medium, order)
    }

    fn dense_attributes(&mut self, medium: &mut Medium<'_>, path: &str, data: &[u8]) -> Result<(), Stop> {
        let mut bytes = Bytes::new(data, "an attribute info message");
        bytes.version(0..=0)?;
        let flags = bytes.u8()?;
        bytes.skip(if flags & 1 != 0 { 2 } else { 0 })?;
        let heap = medium.address(&mut bytes)?;
        let names = medium.address(&mut bytes)?;
        let order = if flags & 2 != 0 { medium.address(&mut bytes)? } else { None };
        let (Some(heap), Some(names)) = (heap, names) else { return Ok(()) };
        let mut heap = FractalHeap::read(medium, heap)?;
        btree2::records(medium, names, &mut |medium, kind, record| {
            if kind != 8 {
                return Err(Stop::malformed(format!("attributes in a B-tree of type {kind}")));
            }
            if record.get(8).is_some_and(|flags| flags & 2 != 0) {
                return Err(Stop::unsupported("an attribute in the heap of shared messages"));
            }
            let (data, address) = heap.object(medium, record.get(..8).unwrap_or(&[]))?;
            self.attribute(medium, path, &data, address)
        })?;
        own_order(medium, order)
    }

    fn attribute(&mut self, medium: &mut Medium<'_>, path: &str, data: &[u8], address: u64) -> Result<(), Stop> {
        let mut bytes = Bytes::new(data, "an attribute");
        let version = bytes.version(1..=3)?;
        let flags = bytes.u8()?;
        let lens = [bytes.u16()?, bytes.u16()?, bytes.u16()?].map(usize::from);
        bytes.skip(if version == 3 { 1 } else { 0 })?;
        let mut part = |len: usize| {
            let start = bytes.position();
            let part = bytes.take(len)?;
            if version == 1 {
                bytes.align(start, 8)?;
            }
            Ok::<_, Stop>(part)
        };
        let called = name(part(lens[0])?);
        let (datatype, dataspace) = (part(lens[1])?, part(lens[2])?);
        let flags = if version == 1 { 0 } else { flags };
        let datatype = if flags & 1 != 0 {
            let message = header::shared(medium, datatype, kind::DATATYPE)?;
            datatype::read(medium, &message.data)?
        } else {
            datatype::read(medium, datatype)?
        };
        let shape = if flags & 2 != 0 {
            let message = header::shared(medium, dataspace, kind::DATASPACE)?;
            datatype::dataspace(medium, &message.data)?
        } else {
            datatype::dataspace(medium, dataspace)?
        };
        let offset = medium.absolute(address.saturating_add(bytes.position() as u64));
        let raw = bytes.rest().to_vec();
        medium.room(self.facts.attributes.len())?;
        medium.hold(raw.len() as u64 + 200)?;
        let value = value::of(medium, &datatype, shape.as_deref(), raw);
        if value.partial {
            let what = format!("the value of attribute `{called}` cannot be read whole");
            medium.problem(ProblemKind::Truncated, None, what);
        }
        self.facts.attributes.push(Attribute { object: path.to_owned(), name: called, datatype, shape, offset, value });
        Ok(())
    }
}

/// The index by creation order holds the same entries; only its bytes matter.
fn own_order(medium: &mut Medium<'_>, order: Option<u64>) -> Result<(), Stop> {
    order.map_or(Ok(()), |order| btree2::records(medium, order, &mut |_, _, _| Ok(())))
}

fn file_space(medium: &mut Medium<'_>, data: &[u8]) -> Result<(), Stop> {
    let mut bytes = Bytes::new(data, "a file space message");
    let version = bytes.version(0..=1)?;
    let mut managers = Vec::new();
    if version == 0 {
        bytes.skip(1 + medium.length_size)?;
    } else {
        bytes.skip(1 + 1 + medium.length_size + medium.length_size + 2 + medium.offset_size)?;
    }
    while bytes.left() >= medium.offset_size && managers.len() < 12 {
        managers.extend(medium.address(&mut bytes)?);
    }
    for manager in managers {
        let done = own_free_space(medium, manager);
        medium.note(Some(manager), done)?;
    }
    Ok(())
}

fn join(path: &str, name: &str) -> String {
    let mut joined = path.trim_end_matches('/').to_owned();
    joined.push('/');
    joined.push_str(name);
    if joined.len() > PATH {
        joined = joined.chars().take(PATH / 4).collect();
        joined.push('…');
    }
    joined
}

/// Bytes of nobody: between structures when all of them are known, and behind the stated end.
fn unowned(medium: &mut Medium<'_>, facts: &mut Hdf5Facts) -> Result<(), Hdf5Error> {
    let Some(superblock) = facts.superblock else { return Ok(()) };
    let size = medium.source.size();
    if superblock.end < size {
        facts.tail = Some(Range { offset: superblock.end, len: size - superblock.end });
    }
    if !facts.mapped {
        return Ok(());
    }
    medium.merge_owned();
    let mut at = superblock.offset;
    let end = superblock.end.min(size);
    let owned = std::mem::take(&mut medium.owned);
    for (start, len) in owned.into_iter().chain([(end, 0)]) {
        let start = start.min(end);
        if start > at && facts.gaps.len() < GAPS {
            let gap = Range { offset: at, len: start - at };
            if let Some(gap) = without_zeros(medium.source, gap)? {
                facts.gaps.push(gap);
            }
        }
        at = at.max(start.saturating_add(len));
    }
    Ok(())
}

/// The gap from its first byte that is not zero; `None` when there is none within the first MiB.
fn without_zeros(source: &dyn ReadAt, gap: Range) -> Result<Option<Range>, Hdf5Error> {
    let mut buffer = vec![0; 64 << 10];
    let mut at = gap.offset;
    let end = gap.offset.saturating_add(gap.len);
    while at < end {
        let want = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
        let Some(part) = buffer.get_mut(..want) else { break };
        source.read_exact_at(at, part)?;
        if let Some(first) = part.iter().position(|byte| *byte != 0) {
            let offset = at.saturating_add(first as u64);
            return Ok(Some(Range { offset, len: end - offset }));
        }
        at += want as u64;
    }
    Ok(None)
}
