//! The second reading: bytes that no directory accounts for are searched for local headers.

use gauntlet_limits::{Budget, ReadAt};
use memchr::memmem;

use super::header::{self, END, End, LOCAL, Local};
use super::member::Method;
use super::{ConflictKind, Zip};
use crate::ArchiveError;

const CHUNK: usize = 256 << 10;

/// Bytes that a record accounts for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Region {
    start: u64,
    end: u64,
    member: Option<usize>,
}

impl Region {
    pub(super) fn new(start: u64, end: u64) -> Self {
        Self { start, end, member: None }
    }
}

pub(super) struct Found {
    pub any_local: bool,
}

/// Searches what `regions` and the members leave over, adding members known by local headers only.
pub(super) fn walk(
    zip: &mut Zip,
    source: &dyn ReadAt,
    budget: &Budget,
    mut regions: Vec<Region>,
    end: Option<&End>,
) -> Result<Found, ArchiveError> {
    for (index, member) in zip.members.iter().enumerate() {
        let span = member.span();
        regions.push(Region { start: span.start, end: span.end.min(source.size()), member: Some(index) });
    }
    regions.sort_by_key(|region| (region.start, region.end));

    let mut any_local = zip.members.iter().any(|m| m.local.is_some());
    let mut covered = 0;
    let mut overlaps = Vec::new();
    let mut gaps = Vec::new();
    for region in &regions {
        if region.start > covered {
            gaps.push((covered, region.start));
        } else if region.start < covered && region.end > region.start {
            overlaps.extend(region.member);
        }
        covered = covered.max(region.end);
    }
    gaps.push((covered, source.size()));
    for member in overlaps {
        zip.conflict(Some(member), ConflictKind::Overlap);
    }

    // The comment is the archive's own business, but headers in it are read like anywhere else.
    let comment = end.map(|end| (end.offset + header::END_LEN, end.end));
    for (start, stop) in gaps {
        for (from, to) in leftovers(zip, source, budget, start, stop, &mut any_local)? {
            report_leftover(zip, source, (from, to), comment, end.is_some())?;
        }
    }
    Ok(Found { any_local })
}

/// Adds the local headers in `start..stop`; returns the ranges between them.
fn leftovers(
    zip: &mut Zip,
    source: &dyn ReadAt,
    budget: &Budget,
    start: u64,
    stop: u64,
    any_local: &mut bool,
) -> Result<Vec<(u64, u64)>, ArchiveError> {
    let mut left = Vec::new();
    let (mut at, mut from) = (start, start);
    while let Some(offset) = find(source, LOCAL, at, stop)? {
        let Some(local) = header::local(source, offset)? else {
            at = offset + 1;
            continue;
        };
        budget.members(1)?;
        *any_local = true;
        let (compressed, end) = extent(source, budget, &local, stop)?;
        zip.add_local(budget, offset, &local, compressed)?;
        if offset > from {
            left.push((from, offset));
        }
        from = end;
        at = end;
    }
    if stop > from {
        left.push((from, stop));
    }
    Ok(left)
}

/// How long the content of a header is that no directory vouches for, and where to go on.
///
/// A length is believed when a zip signature or the end of the gap follows it; otherwise the search goes on right
/// behind the header, so that a lying length hides nothing.
fn extent(source: &dyn ReadAt, budget: &Budget, local: &Local, stop: u64) -> Result<(u64, u64), ArchiveError> {
    let room = source.size().saturating_sub(local.data);
    if local.is_deferred() {
        let compressed = match Method::from(local.header.method) {
            Method::Deflate => super::member::deflated_len(source, local.data, budget)?,
            _ => None,
        };
        if let Some(compressed) = compressed {
            // At most 24 bytes of descriptor follow; the search passes over them.
            return Ok((compressed, local.data + compressed));
        }
        // Stored without a length: it may reach to whatever comes next.
        let next = find(source, b"PK", local.data, stop)?.unwrap_or(stop);
        return Ok((next.saturating_sub(local.data), local.data));
    }
    let compressed = local.header.compressed.min(room);
    let end = local.data + compressed;
    let mut signature = [0; 2];
    let followed =
        end == stop || (end < stop && source.read_exact_at(end, &mut signature).is_ok() && signature == *b"PK");
    Ok((compressed, if followed { end } else { local.data }))
}

fn report_leftover(
    zip: &mut Zip,
    source: &dyn ReadAt,
    (from, to): (u64, u64),
    comment: Option<(u64, u64)>,
    has_end: bool,
) -> Result<(), ArchiveError> {
    // The comment itself is no surplus.
    if let Some((start, end)) = comment
        && from >= start
        && from < end
    {
        zip.stray((from, to.min(end)));
        if to > end {
            zip.stray((end, to));
            zip.conflict(None, ConflictKind::Appended { bytes: to - end });
        }
        return Ok(());
    }
    zip.stray((from, to));
    if !has_end {
        // Without a directory everything between members is its remains.
        return Ok(());
    }
    let behind = comment.is_some_and(|(_, end)| from >= end);
    let bytes = to - from;
    // End records in the tail were followed before and are regions of their own.
    if let Some(offset) = find(source, END, from, to)? {
        zip.conflict(None, ConflictKind::SecondEndRecord { offset });
    }
    zip.conflict(
        None,
        if from == 0 {
            ConflictKind::Prepended { bytes }
        } else if behind {
            ConflictKind::Appended { bytes }
        } else {
            ConflictKind::Unaccounted { offset: from, bytes, zeros: begins_with_zeros(source, from, to)? }
        },
    );
    Ok(())
}

fn begins_with_zeros(source: &dyn ReadAt, from: u64, to: u64) -> Result<bool, ArchiveError> {
    let len = usize::try_from(to - from).unwrap_or(usize::MAX).min(64 << 10);
    let mut bytes = vec![0; len];
    source.read_exact_at(from, &mut bytes)?;
    Ok(bytes.iter().all(|byte| *byte == 0))
}

/// First place of `needle` that lies whole in `from..to`.
fn find(source: &dyn ReadAt, needle: &[u8], from: u64, to: u64) -> Result<Option<u64>, ArchiveError> {
    let finder = memmem::Finder::new(needle);
    let mut chunk = Vec::new();
    let mut at = from;
    let to = to.min(source.size());
    while at + needle.len() as u64 <= to {
        let len = usize::try_from(to - at).unwrap_or(usize::MAX).min(CHUNK);
        chunk.resize(len, 0);
        source.read_exact_at(at, &mut chunk)?;
        if let Some(place) = finder.find(&chunk) {
            return Ok(Some(at + place as u64));
        }
        // The needle may lie across two chunks.
        at += (len - (needle.len() - 1)) as u64;
    }
    Ok(None)
}
