//! Files hidden anywhere in bytes that no reader takes apart: programs, archives and pickles that import.

use gauntlet_core::{Limit, SkipCode};
use gauntlet_limits::{ReadAt, Window};
use gauntlet_pickle::Sniff;
use memchr::memmem::Finder;

use super::format::{Format, is_pe};
use super::{Claim, Content, Place, Walk};
use crate::checks::ARCHIVE;

/// Bytes that are held at a time.
const BLOCK: usize = 1 << 20;
/// Bytes behind a place that tell whether a file begins there.
const AHEAD: usize = 4096;
/// Bytes of one file that are searched.
const SEARCHED: u64 = 1 << 30;
/// Bytes searched at the beginning of a file that a reader knows but for its end, and at its end.
const HEAD: u64 = 4 << 20;
const TAIL: u64 = 16 << 20;
/// Files inside one file that are looked into.
const FOUND: usize = 16;
/// `EM_CUDA` and `EM_AMDGPU`: kernels for a graphics card, which engines are made of.
const KERNELS: [u16; 2] = [190, 224];

/// Whether what follows a signature is what it announces.
type Holds = fn(&[u8]) -> bool;

const ARCHIVES: [(&[u8], Holds); 6] = [
    (b"PK\x03\x04", is_zip_member),
    (b"\x1f\x8b\x08", is_gzip),
    (b"\xfd7zXZ\0\0", |_| true),
    (b"7z\xbc\xaf\x27\x1c\0", |_| true),
    (b"BZh", is_bzip2),
    (b"\x28\xb5\x2f\xfd", is_zstd),
];

/// Whether bytes begin an archive or a compressed stream, and not only with its magic number.
pub(super) fn is_archive(bytes: &[u8]) -> bool {
    ARCHIVES.iter().any(|(magic, holds)| bytes.starts_with(magic) && holds(bytes))
}

/// Whether content of these formats may have something behind it that no reader looks into.
pub(super) fn is_open_ended(formats: &[Format], claim: Claim, sniffed: bool) -> bool {
    let open = |format: &Format| match format {
        Format::Other(_) => true,
        // Taken for a pickle by its name alone.
        Format::Pickle => !sniffed && claim == Claim::Pickle,
        _ => false,
    };
    formats.iter().all(open)
}

/// Whether this is Parquet up to its last byte: the streams inside are its own pages, and nothing stands behind them.
pub(super) fn is_whole_parquet(formats: &[Format], content: &Content<'_>) -> bool {
    let Content::Plain(source) = content else { return false };
    let mut end = [0; 4];
    matches!(formats, [Format::Other(name)] if name == "Parquet")
        && source.size().checked_sub(4).is_some_and(|at| source.read_exact_at(at, &mut end).is_ok())
        && end == *b"PAR1"
}

impl Walk<'_> {
    /// Searches the content of an opaque file behind its first bytes, and examines what begins there. What lies beyond the
    /// bounds stays an open question: such a file is one already.
    ///
    /// `archive` says that the file was read as a zip by its end, whose members are no hidden ones.
    pub(super) fn search(&mut self, source: &dyn ReadAt, place: &Place, archive: bool) {
        self.search_range(source, place, archive, (1, source.size().min(SEARCHED)));
    }

    /// Searches the beginning and the end of a file that ends where its reader does not look. Where something begins.
    pub(super) fn search_ends(&mut self, source: &dyn ReadAt, place: &Place, archive: bool) -> Option<u64> {
        let size = source.size();
        let head = size.min(HEAD);
        let first = self.search_range(source, place, archive, (1, head));
        first.or_else(|| self.search_range(source, place, archive, (head.max(size.saturating_sub(TAIL)), size)))
    }

    /// Searches what lies in a range of `source`. Where the first thing begins.
    pub(super) fn search_range(
        &mut self,
        source: &dyn ReadAt,
        place: &Place,
        archive: bool,
        (from, end): (u64, u64),
    ) -> Option<u64> {
        if self.budget.limits().check(Limit::Depth, place.depth + 1).is_err() {
            return None;
        }
        let size = source.size();
        let held = size.saturating_sub(from).min((BLOCK + AHEAD) as u64);
        let mut block = vec![0; usize::try_from(held).unwrap_or(0)];
        let (mut at, mut found, mut first) = (from, 0, None);
        while at < end && found < FOUND {
            // Behind the range may stand what tells what begins in it.
            let len = usize::try_from((size - at).min(block.len() as u64)).unwrap_or(0);
            let Some(bytes) = block.get_mut(..len) else { return first };
            if let Err(error) = source.read_exact_at(at, bytes) {
                self.io_failed(ARCHIVE, place, &error);
                return first;
            }
            let new = len.min(BLOCK).min(usize::try_from(end - at).unwrap_or(BLOCK));
            let mut places = begins(bytes, new);
            let member = |offset: usize| bytes.get(offset..).is_some_and(|rest| rest.starts_with(b"PK"));
            places.retain(|offset| !(archive && member(*offset)));
            for offset in places {
                let offset = at + offset as u64;
                let window = Window::new(source, offset, u64::MAX);
                self.examine(&Content::Plain(&window), &place.part(offset));
                first = first.or(Some(offset));
                found += 1;
                if found >= FOUND {
                    // Decoys must not hide what comes behind them.
                    let detail = format!("{FOUND} files begin in here: what else may hide was not searched for");
                    self.skip(ARCHIVE, place, SkipCode::Limit, detail);
                    break;
                }
            }
            at += new as u64;
            if new == 0 {
                break;
            }
        }
        first
    }
}

/// Offsets below `new` where a file begins for sure, in order.
fn begins(bytes: &[u8], new: usize) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::new();
    let programs: [(&[u8], Holds); 2] = [(b"\x7fELF", is_elf), (b"MZ", is_pe)];
    for (magic, holds) in programs.into_iter().chain(ARCHIVES) {
        let finder = Finder::new(magic);
        let hits = finder.find_iter(bytes).filter(|at| *at < new && bytes.get(*at..).is_some_and(holds));
        // Only the first member of an archive: the others belong to it.
        found.extend(hits.take(if magic.starts_with(b"PK") { 1 } else { FOUND }));
    }
    let protos = memchr::memchr_iter(0x80, bytes).take_while(|at| *at < new);
    found.extend(protos.filter(|at| bytes.get(*at..).is_some_and(is_importing_pickle)).take(FOUND));
    found.sort_unstable();
    found
}

/// Flags, level and operating system are those that exist (RFC 1952 section 2.3.1).
fn is_gzip(bytes: &[u8]) -> bool {
    matches!(bytes, [_, _, _, flags, _, _, _, _, level, system, ..]
        if flags & 0xe0 == 0 && matches!(level, 0 | 2 | 4) && matches!(system, 0..=13 | 255))
}

/// A level, and the magic number of a block.
fn is_bzip2(bytes: &[u8]) -> bool {
    matches!(bytes, [_, _, _, b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..])
}

/// The reserved bit of the frame's descriptor is clear, and its first block is of a kind that exists (RFC 8878).
fn is_zstd(bytes: &[u8]) -> bool {
    let Some(descriptor) = bytes.get(4) else { return false };
    let window = usize::from(descriptor & 0x20 == 0);
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = match (descriptor >> 6, descriptor & 0x20) {
        (0, 0) => 0,
        (0, _) => 1,
        (1, _) => 2,
        (2, _) => 4,
        _ => 8,
    };
    let block = bytes.get(5 + window + dictionary + size);
    descriptor & 0x08 == 0 && block.is_some_and(|block| block >> 1 & 3 != 3)
}

/// Class, byte order and version are those that exist, and the machine is no graphics card.
fn is_elf(bytes: &[u8]) -> bool {
    let Some([1 | 2, order @ (1 | 2), 1]) = bytes.get(4..7) else { return false };
    let machine = bytes.get(18..20).and_then(|raw| raw.first_chunk::<2>()).map_or(0, |raw| match order {
        1 => u16::from_le_bytes(*raw),
        _ => u16::from_be_bytes(*raw),
    });
    !KERNELS.contains(&machine)
}

/// A version and a method that exist, and a name of printable characters.
fn is_zip_member(bytes: &[u8]) -> bool {
    let field =
        |at: usize| bytes.get(at..at + 2).and_then(|raw| raw.first_chunk::<2>()).map(|raw| u16::from_le_bytes(*raw));
    let (Some(version), Some(method), Some(name)) = (field(4), field(8), field(26)) else { return false };
    let name = bytes.get(30..30 + usize::from(name));
    version & 0xff <= 63
        && matches!(method, 0 | 8 | 9 | 12 | 14 | 93 | 95 | 98 | 99)
        && name.is_some_and(|name| !name.is_empty() && name.iter().all(|byte| (0x20..0x7f).contains(byte)))
}

/// PROTO, then valid opcodes that import a global and use it: numbers do not do so by accident.
fn is_importing_pickle(bytes: &[u8]) -> bool {
    let ahead = bytes.get(..bytes.len().min(AHEAD)).unwrap_or(bytes);
    match ahead {
        [0x80, 2..=5, rest @ ..] => gauntlet_pickle::looks_like_pickle(rest, false) == Some(Sniff::Active),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(len: usize) -> Vec<u8> {
        let mut state = 88_172_645_463_325_252_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        (0..len / 8).flat_map(|_| random()).collect()
    }

    #[test]
    fn numbers_hold_no_files() {
        let bytes = noise(1 << 20);
        assert_eq!(begins(&bytes, bytes.len()), [0; 0]);
    }

    #[test]
    fn programs_archives_and_pickles_are_found_in_numbers() {
        let pickle = b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.";
        let mut zip = b"PK\x03\x04\x14\0\0\0\0\0".to_vec();
        zip.extend([0; 16]);
        zip.extend(b"\x05\0\0\0a.pkl");
        let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
        elf.extend([0; 57]);
        let gzip = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff";
        let bzip2 = b"BZh91AY&SY";
        let zstd = b"\x28\xb5\x2f\xfd\x24\x0a\x51\0\0";
        for hidden in [&pickle[..], &zip, &elf, gzip, bzip2, zstd, b"\xfd7zXZ\0\0", b"7z\xbc\xaf\x27\x1c\0"] {
            let mut bytes = noise(4096);
            let at = bytes.len();
            bytes.extend(hidden);
            bytes.extend(noise(8192));
            assert_eq!(begins(&bytes, bytes.len()), [at]);
        }
    }

    #[test]
    fn kernels_for_graphics_cards_are_parts_of_engines() {
        let mut cubin = b"\x7fELF\x02\x01\x01".to_vec();
        cubin.extend([0; 57]);
        cubin[18] = 190;
        assert!(!is_elf(&cubin));
    }
}
