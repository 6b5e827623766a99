//! HDF5: structure, and what stands in attributes, byte-like datasets, user blocks and gaps.

use gauntlet_archive::{Container, sniff};
use gauntlet_core::SkipCode;
use gauntlet_hdf5::{Dataset, Datatype, Hdf5Error, Hdf5Facts, Problem, ProblemKind, Range, Value};
use gauntlet_limits::{ReadAt, Window};

use super::{Head, Reader, keras};
use crate::checks::HDF5;
use crate::extract::{Content, Place, Walk};
use crate::facts::{HDF5_ENTRIES, Hdf5Fact};

/// Attributes in which Keras 1 to 3 keep configurations.
const CONFIGURATIONS: [&str; 2] = ["model_config", "training_config"];
/// Shortest value that is looked into.
const SHORTEST: usize = 4;

/// Reads HDF5.
pub(crate) struct Hdf5;

impl Reader for Hdf5 {
    fn format(&self) -> &'static str {
        "HDF5"
    }

    fn endings(&self) -> &'static [&'static str] {
        &["h5", "hdf5", "hdf", "he5"]
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        // A member that a zip or tar stores as it is may begin where a user block could end.
        let stored = matches!(sniff(head.prefix), Some(Container::Zip | Container::Tar));
        let promised = self.endings().contains(&head.ending().as_str());
        gauntlet_hdf5::looks_like(head.prefix) && (promised || !stored)
    }

    fn read(&self, walk: &mut Walk<'_>, content: &Content<'_>, place: &Place) {
        walk.with_random(content, place, HDF5, |walk, source| match gauntlet_hdf5::read(source, walk.budget) {
            Ok(facts) => file(walk, source, facts, place),
            Err(Hdf5Error::Io(error)) => walk.io_failed(HDF5, place, &error),
            Err(error @ Hdf5Error::NotHdf5) => walk.skip(HDF5, place, SkipCode::Malformed, error.to_string()),
        });
    }
}

fn file(walk: &mut Walk<'_>, source: &dyn ReadAt, mut facts: Hdf5Facts, place: &Place) {
    coverage(walk, &facts, place);
    for attribute in &facts.attributes {
        let name = format!("{}@{}", attribute.object.trim_end_matches('/'), attribute.name);
        if let (true, Some(text)) = (CONFIGURATIONS.contains(&attribute.name.as_str()), attribute.value.text()) {
            keras::text(walk, text, &place.member(&name));
            continue;
        }
        let raw = matches!(attribute.datatype, Datatype::Opaque { .. }) || attribute.datatype.is_byte_like();
        if raw && attribute.value.pieces.is_empty() {
            value(walk, &attribute.value.raw, place, &name);
        }
        pieces(walk, &attribute.value, place, &name);
    }
    for dataset in &facts.datasets {
        elements(walk, source, dataset, place);
    }
    let block = facts.superblock.map(|superblock| Range { offset: 0, len: superblock.offset });
    let nobody = block.into_iter().chain(facts.gaps.iter().copied()).chain(facts.tail);
    for range in nobody.filter(|range| range.len > 0) {
        let window = Window::new(source, range.offset, range.len);
        walk.examine(&Content::Plain(&window), &place.part(range.offset));
    }
    let tail = facts.tail.is_some_and(|tail| holds_something(source, tail));
    let block = block.is_some_and(|block| holds_something(source, block));
    let more = shorten(&mut facts);
    walk.facts.push(HDF5, place.location.clone(), &Hdf5Fact { hdf5: facts, tail, block, more });
}

fn coverage(walk: &mut Walk<'_>, facts: &Hdf5Facts, place: &Place) {
    if let Some(hit) = facts.limit {
        return walk.limit(HDF5, place, hit);
    }
    // One gap of each kind says enough; the problems themselves are facts.
    let mut kinds: Vec<ProblemKind> = Vec::new();
    for Problem { kind, object, what, .. } in &facts.problems {
        if !kinds.contains(kind) {
            kinds.push(*kind);
            let code = match kind {
                ProblemKind::Truncated => SkipCode::Truncated,
                ProblemKind::Malformed | ProblemKind::Checksum => SkipCode::Malformed,
                ProblemKind::Unsupported => SkipCode::Unsupported,
                ProblemKind::Limit => SkipCode::Limit,
            };
            walk.skip(HDF5, place, code, format!("{object}: {what}"));
        }
    }
    if kinds.is_empty() {
        walk.looked_at(HDF5);
    }
}

fn elements(walk: &mut Walk<'_>, source: &dyn ReadAt, dataset: &Dataset, place: &Place) {
    if let Some(window) = dataset.window(source) {
        walk.part(&Content::Plain(&window), place, &dataset.path);
    }
    pieces(walk, &dataset.value, place, &dataset.path);
}

/// Texts and lists, without those that are plain names.
fn pieces(walk: &mut Walk<'_>, all: &Value, place: &Place, name: &str) {
    for (index, piece) in all.pieces.iter().enumerate() {
        let name = if all.pieces.len() == 1 { name.to_owned() } else { format!("{name}[{index}]") };
        value(walk, piece, place, &name);
    }
}

#[expect(clippy::ptr_arg, reason = "a slice is no sized source")]
fn value(walk: &mut Walk<'_>, bytes: &Vec<u8>, place: &Place, name: &str) {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'_' | b'/' | b':' | b'.' | b'-');
    if bytes.len() >= SHORTEST && !bytes.iter().all(plain) {
        walk.part(&Content::Plain(bytes), place, name);
    }
}

/// Whether a byte of the range is not zero; the first MiB is looked at.
fn holds_something(source: &dyn ReadAt, range: Range) -> bool {
    let mut seen = vec![0; usize::try_from(range.len).unwrap_or(usize::MAX).min(1 << 20)];
    source.read_exact_at(range.offset, &mut seen).is_ok() && seen.iter().any(|byte| *byte != 0)
}

/// Keeps facts small: rows of a table, not a copy of the file. Returns how much was left out.
fn shorten(facts: &mut Hdf5Facts) -> u64 {
    fn cut<T>(list: &mut Vec<T>, more: &mut u64) {
        *more += list.len().saturating_sub(HDF5_ENTRIES) as u64;
        list.truncate(HDF5_ENTRIES);
    }
    let mut more = 0;
    // Links within the file lead nowhere else.
    facts.links.sort_by_key(|link| matches!(link.target, gauntlet_hdf5::LinkTarget::Soft { .. }));
    // Datasets that need something outside come first.
    facts.datasets.sort_by_key(|dataset| {
        let inside = dataset.external.is_empty() && dataset.filters.iter().all(|filter| filter.id <= 6);
        let large = dataset.shape.iter().flatten().try_fold(1_u64, |all, one| all.checked_mul(*one));
        large.is_some_and(|elements| elements < 1 << 24)
            && inside
            && !matches!(dataset.storage, gauntlet_hdf5::Storage::Virtual { .. })
    });
    cut(&mut facts.links, &mut more);
    cut(&mut facts.attributes, &mut more);
    cut(&mut facts.datasets, &mut more);
    cut(&mut facts.gaps, &mut more);
    more
}
