//! What hides in bytes that should be numbers: only signatures that weights do not have by accident count.

use gauntlet_limits::{ReadAt, Window};
use gauntlet_pickle::Sniff;

use super::format::{Format, JAVA_CLASS, by_magic};
use super::{Content, Place, Walk, search};

/// Bytes looked at for a signature.
const PREFIX: u64 = 4096;

impl Walk<'_> {
    /// Reads `len` bytes at `offset` of `source` as a part called `name`, when they begin like a pickle, an archive or a
    /// program. Whether they did.
    pub(crate) fn embedded(&mut self, source: &dyn ReadAt, offset: u64, len: u64, place: &Place, name: &str) -> bool {
        let window = Window::new(source, offset, len);
        let mut prefix = vec![0; usize::try_from(window.size().min(PREFIX)).unwrap_or(0)];
        if let Err(error) = window.read_exact_at(0, &mut prefix) {
            self.io_failed(crate::checks::ARCHIVE, place, &error);
            return false;
        }
        let found = begins_like_a_file(&prefix, window.size() <= PREFIX);
        if found {
            self.part(&Content::Plain(&window), place, name);
        }
        found
    }
}

/// Four bytes may be numbers: an ELF file goes on with its class, byte order and version, a script with a line of text.
fn is_program(prefix: &[u8]) -> bool {
    let line =
        || prefix.iter().take_while(|byte| **byte != b'\n').all(|byte| (b' '..0x7f).contains(byte) || *byte == b'\r');
    match by_magic(prefix) {
        Some(Format::Executable(kind)) if kind == "script" => line(),
        Some(Format::Executable(kind)) if kind == "ELF" => matches!(prefix, [_, _, _, _, 1 | 2, 1 | 2, 1, ..]),
        Some(Format::Executable(kind)) => kind != JAVA_CLASS,
        _ => false,
    }
}

fn begins_like_a_file(prefix: &[u8], complete: bool) -> bool {
    let container = search::is_archive(prefix) || prefix.starts_with(b"Rar!\x1a\x07");
    let pickle =
        || matches!(gauntlet_pickle::looks_like_pickle(prefix, complete), Some(Sniff::Announced | Sniff::Active));
    container || is_program(prefix) || pickle()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_no_files() {
        let mut state = 88_172_645_463_325_252_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let taken = (0..50_000).filter(|_| {
            let bytes: Vec<u8> =
                (0..64).flat_map(|_| (random() as f32 / u64::MAX as f32 - 0.5).to_le_bytes()).collect();
            begins_like_a_file(&bytes, false)
        });
        assert_eq!(taken.count(), 0);
        assert!(!begins_like_a_file(&[0; 64], true));
    }

    #[test]
    fn pickles_archives_and_programs_are_files() {
        assert!(begins_like_a_file(b"\x80\x04cos\nsystem\n(Vid\ntR.", true));
        let member = [b"PK\x03\x04\x14\0\0\0\0\0".as_slice(), &[0; 16], b"\x05\0\0\0a.pkl"].concat();
        assert!(begins_like_a_file(&member, true));
        assert!(begins_like_a_file(b"\x7fELF\x02\x01\x01", true));
    }
}
