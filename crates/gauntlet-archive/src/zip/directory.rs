//! Where the central directory may be: end records are sought from the tail, and may contradict themselves.

use std::io;

use gauntlet_limits::ReadAt;
use memchr::memmem;

use super::header::{self, CENTRAL, END, END_LEN, End};
use super::{ConflictKind, Zip};

/// The record and the longest comment.
const TAIL: u64 = END_LEN + 65_535;
/// More end records than this are not followed; the walk over local headers still sees their members.
const END_RECORDS: usize = 8;

/// A directory's first header, and what to add to the offsets in it.
pub(super) struct Place {
    pub start: u64,
    pub shift: i128,
}

/// End records in the tail, last first.
pub(super) fn end_records(source: &dyn ReadAt) -> io::Result<Vec<End>> {
    let start = source.size().saturating_sub(TAIL);
    let mut tail = vec![0; usize::try_from(source.size() - start).unwrap_or(0)];
    source.read_exact_at(start, &mut tail)?;
    let mut records = Vec::new();
    for at in memmem::rfind_iter(&tail, END).take(END_RECORDS) {
        records.append(&mut header::end(source, start + at as u64)?);
    }
    Ok(records)
}

/// Where `end` may mean its directory to start: right before itself, and at the offset it states.
pub(super) fn places(zip: &mut Zip, source: &dyn ReadAt, end: &End) -> io::Result<Vec<Place>> {
    let stated = end.directory_offset;
    let counted = end.start.checked_sub(end.directory_size);
    if end.directory_size == 0 && end.entries == 0 {
        // An empty archive; a directory may still stand where the record says there is none.
        let starts = if starts_directory(source, stated)? && stated < end.start { vec![stated] } else { vec![] };
        return Ok(starts.into_iter().map(|start| Place { start, shift: 0 }).collect());
    }
    if counted == Some(stated) && starts_directory(source, stated)? {
        return Ok(vec![Place { start: stated, shift: 0 }]);
    }
    let mut places = Vec::new();
    if let Some(counted) = counted
        && starts_directory(source, counted)?
    {
        places.push(Place { start: counted, shift: i128::from(counted) - i128::from(stated) });
    }
    if counted != Some(stated) && stated < end.start && starts_directory(source, stated)? {
        places.push(Place { start: stated, shift: 0 });
    }
    if let (Some(counted), true) = (counted, counted != Some(stated)) {
        zip.conflict(None, ConflictKind::DirectoryOffset { stated, counted });
    }
    if places.is_empty() {
        zip.conflict(None, ConflictKind::NoDirectory);
    }
    Ok(places)
}

fn starts_directory(source: &dyn ReadAt, at: u64) -> io::Result<bool> {
    let mut signature = [0; 4];
    if at >= source.size() {
        return Ok(false);
    }
    match source.read_exact_at(at, &mut signature) {
        Ok(()) => Ok(signature == *CENTRAL),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}
