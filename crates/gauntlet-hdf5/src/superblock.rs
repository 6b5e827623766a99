//! Where a file begins and what its root is (specification v3, section II.A).

use gauntlet_limits::{Budget, ReadAt};

use crate::bytes::Bytes;
use crate::error::{Hdf5Error, ProblemKind, Stop};
use crate::facts::Superblock;
use crate::medium::Medium;

/// The first bytes of a superblock.
pub const SIGNATURE: [u8; 8] = *b"\x89HDF\r\n\x1a\n";

/// Offsets at which the library looks for a superblock within `size` bytes: 0, 512, 1024, 2048, ...
pub fn places(size: u64) -> impl Iterator<Item = u64> {
    let doubled = std::iter::successors(Some(512_u64), |at| at.checked_mul(2));
    std::iter::once(0).chain(doubled).take_while(move |at| at.saturating_add(8) <= size)
}

/// Whether a superblock begins within these first bytes of a file.
#[must_use]
pub fn looks_like(prefix: &[u8]) -> bool {
    places(prefix.len() as u64).any(|at| {
        usize::try_from(at).ok().and_then(|at| prefix.get(at..)).is_some_and(|rest| rest.starts_with(&SIGNATURE))
    })
}

/// Offset of the first superblock.
///
/// # Errors
/// When the medium fails.
pub fn find(source: &dyn ReadAt) -> std::io::Result<Option<u64>> {
    for at in places(source.size()) {
        let mut seen = [0; 8];
        source.read_exact_at(at, &mut seen)?;
        if seen == SIGNATURE {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// What the superblock says, and where the root group and the extension are.
pub(crate) struct Start {
    pub superblock: Superblock,
    pub root: Option<u64>,
    pub extension: Option<u64>,
}

/// Reads the first superblock. The library takes its place as the base of all addresses, whatever it states.
pub(crate) fn read<'a>(source: &'a dyn ReadAt, budget: &'a Budget) -> Result<(Medium<'a>, Option<Start>), Hdf5Error> {
    let Some(at) = find(source)? else { return Err(Hdf5Error::NotHdf5) };
    let mut medium = Medium::new(source, budget, at);
    let len = source.size().saturating_sub(at).min(128);
    let start = medium.peek(0, len, "the superblock").and_then(|bytes| parse(&mut medium, &bytes, at));
    match medium.note(Some(0), start) {
        Ok(start) => Ok((medium, start)),
        Err(Stop::Io(error)) => Err(error.into()),
        Err(Stop::Limit(hit)) => {
            medium.problem(ProblemKind::Limit, None, hit.to_string());
            Ok((medium, None))
        }
        Err(Stop::Bad(..)) => Ok((medium, None)),
    }
}

fn parse(medium: &mut Medium<'_>, block: &[u8], at: u64) -> Result<Start, Stop> {
    let mut bytes = Bytes::new(block, "the superblock");
    bytes.skip(8)?;
    let version = bytes.version(0..=3)?;
    if version < 2 {
        bytes.skip(4)?;
    }
    let sizes = (bytes.u8()?, bytes.u8()?);
    if ![sizes.0, sizes.1].iter().all(|size| matches!(size, 2 | 4 | 8 | 16)) {
        return Err(Stop::unsupported(format!("addresses of {} and lengths of {} bytes", sizes.0, sizes.1)));
    }
    (medium.offset_size, medium.length_size) = (usize::from(sizes.0), usize::from(sizes.1));
    let (root, extension, driver, stated, end);
    if version < 2 {
        bytes.skip(1 + 2 + 2 + 4 + if version == 1 { 4 } else { 0 })?;
        stated = bytes.uint(medium.offset_size)?;
        let free_space = medium.address(&mut bytes)?;
        end = bytes.uint(medium.offset_size)?;
        driver = medium.address(&mut bytes)?;
        bytes.skip(medium.offset_size)?;
        root = medium.address(&mut bytes)?;
        bytes.skip(4 + 4 + 16)?;
        extension = None;
        if free_space.is_some() {
            medium.mapped = false;
        }
    } else {
        bytes.skip(1)?;
        stated = bytes.uint(medium.offset_size)?;
        extension = medium.address(&mut bytes)?;
        end = bytes.uint(medium.offset_size)?;
        root = medium.address(&mut bytes)?;
        driver = None;
        bytes.skip(4)?;
        medium.verify(block.get(..bytes.position()).unwrap_or(&[]), 0, "the superblock");
    }
    medium.own(0, bytes.position() as u64);
    if driver.is_some() {
        return Err(Stop::unsupported("a file of several parts (driver information block)"));
    }
    // The stated end counts from the beginning of the file as it was when the superblock stood at its stated place.
    let end = end.saturating_sub(stated).saturating_add(at);
    if end > medium.source.size() {
        let size = medium.source.size();
        medium.problem(ProblemKind::Truncated, None, format!("the file should end at {end} and has {size} bytes"));
    }
    let (offset_size, length_size) = sizes;
    let superblock = Superblock { version, offset: at, offset_size, length_size, end };
    Ok(Start { superblock, root, extension })
}
