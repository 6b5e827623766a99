//! Files hidden anywhere in bytes that no reader takes apart: programs, archives and pickles that import.

use gauntlet_core::Limit;
use gauntlet_limits::{ReadAt, Window};
use gauntlet_pickle::Sniff;
use memchr::memmem::Finder;

use super::format::is_pe;
use super::{Content, Place, Walk};
use crate::checks::ARCHIVE;

/// Bytes that are held at a time.
const BLOCK: usize = 1 << 20;
/// Bytes behind a place that tell whether a file begins there.
const AHEAD: usize = 4096;
/// Bytes of one file that are searched.
const SEARCHED: u64 = 1 << 30;
/// Files inside one file that are looked into.
const FOUND: usize = 16;
/// `EM_CUDA` and `EM_AMDGPU`: kernels for a graphics card, which engines are made of.
const KERNELS: [u16; 2] = [190, 224];

/// Whether what follows a signature is what it announces.
type Holds = fn(&[u8]) -> bool;

impl Walk<'_> {
    /// Searches the content of an opaque file behind its first bytes, and examines what begins there. What lies beyond the
    /// bounds stays an open question: such a file is one already.
    ///
    /// `archive` says that the file was read as a zip by its end, whose members are no hidden ones.
    pub(super) fn search(&mut self, source: &dyn ReadAt, place: &Place, archive: bool) {
        if self.budget.limits().check(Limit::Depth, place.depth + 1).is_err() {
            return;
        }
        let end = source.size().min(SEARCHED);
        let mut block = vec![0; usize::try_from(end.min((BLOCK + AHEAD) as u64)).unwrap_or(0)];
        let (mut at, mut found) = (0_u64, 0);
        while at < end && found < FOUND {
            let len = usize::try_from((end - at).min(block.len() as u64)).unwrap_or(0);
            let Some(bytes) = block.get_mut(..len) else { return };
            if let Err(error) = source.read_exact_at(at, bytes) {
                return self.io_failed(ARCHIVE, place, &error);
            }
            // The first byte of the file is what was recognised; what begins near the end of a block is the next one's.
            let new = len.min(BLOCK);
            let mut places = begins(bytes, new);
            let member = |offset: usize| bytes.get(offset..).is_some_and(|rest| rest.starts_with(b"PK"));
            places.retain(|offset| at + *offset as u64 > 0 && !(archive && member(*offset)));
            for offset in places {
                let offset = at + offset as u64;
                let window = Window::new(source, offset, u64::MAX);
                self.examine(&Content::Plain(&window), &place.part(offset));
                found += 1;
                if found >= FOUND {
                    break;
                }
            }
            at += new as u64;
        }
    }
}

/// Offsets below `new` where a file begins for sure, in order.
fn begins(bytes: &[u8], new: usize) -> Vec<usize> {
    let signatures: [(&[u8], Holds); 3] = [(b"\x7fELF", is_elf), (b"MZ", is_pe), (b"PK\x03\x04", is_zip_member)];
    let mut found: Vec<usize> = Vec::new();
    for (magic, holds) in signatures {
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
        for hidden in [&pickle[..], &zip, &elf] {
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
