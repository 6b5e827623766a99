//! One LZ4 frame (frame format 1.6, and the legacy form), read block by block.
//!
//! Blocks are unpacked by `lz4_flex`; its frame reader is not used, because it reports a frame that is cut between two
//! blocks, and a block without content, as a clean end. Checksums are passed over: what a lenient reader would deliver
//! is delivered.

use std::io::{self, Read};

use crate::input::Input;

pub(crate) const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
pub(crate) const LEGACY_MAGIC: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];
/// How far back a block may copy from.
const HISTORY: usize = 64 << 10;
const LEGACY_BLOCK: usize = 8 << 20;

/// Decompresses one frame; at its end the input stands right behind it.
pub(crate) struct Lz4Frame<R> {
    input: Input<R>,
    form: Form,
    /// The last bytes of the blocks before, for linked blocks.
    history: Vec<u8>,
    block: Vec<u8>,
    /// First byte of `block` that was not handed out.
    unread: usize,
    finished: bool,
}

#[derive(Clone, Copy)]
struct Form {
    block_max: usize,
    legacy: bool,
    independent: bool,
    block_checksums: bool,
    content_checksum: bool,
}

/// A magic number that may follow a frame: another frame, or one to skip.
pub(crate) fn starts_frame(magic: &[u8]) -> bool {
    magic.starts_with(&MAGIC) || magic.starts_with(&LEGACY_MAGIC) || is_skippable(magic)
}

/// The skippable frames that LZ4 and Zstandard share.
pub(crate) fn is_skippable(magic: &[u8]) -> bool {
    matches!(magic, [first, 0x2a, 0x4d, 0x18, ..] if first & 0xf0 == 0x50)
}

impl<R: Read> Lz4Frame<R> {
    pub(crate) fn new(mut input: Input<R>) -> io::Result<Self> {
        let form = header(&mut input)?;
        Ok(Self { input, form, history: Vec::new(), block: Vec::new(), unread: 0, finished: false })
    }

    pub(crate) fn into_inner(self) -> Input<R> {
        self.input
    }

    /// Loads the next block; false at the end of the frame.
    fn next_block(&mut self) -> io::Result<bool> {
        if self.finished {
            return Ok(false);
        }
        let form = self.form;
        if form.legacy {
            // Legacy frames have no end mark: they end with the input or where another frame begins.
            let next = self.input.peek(4)?;
            if next.is_empty() || starts_frame(next) {
                self.finished = true;
                return Ok(false);
            }
        }
        let size = u32::from_le_bytes(array(&mut self.input)?);
        if size == 0 && !form.legacy {
            self.skip_checksum(form.content_checksum)?;
            self.finished = true;
            return Ok(false);
        }
        let plain = size >> 31 == 1 && !form.legacy;
        let len = if plain { size & 0x7fff_ffff } else { size } as usize;
        // A block that does not shrink is stored; legacy ones may grow a little instead.
        let longest = if form.legacy { form.block_max + form.block_max / 255 + 16 } else { form.block_max };
        if len > longest {
            return Err(malformed("lz4 block above the frame's maximum"));
        }
        let mut packed = vec![0; len];
        self.input.read_exact(&mut packed)?;
        self.skip_checksum(form.block_checksums)?;
        if !form.independent {
            let keep = HISTORY.saturating_sub(self.block.len()).min(self.history.len());
            self.history.drain(..self.history.len() - keep);
            self.history.extend_from_slice(&self.block[self.block.len().saturating_sub(HISTORY)..]);
        }
        self.unread = 0;
        if plain {
            self.block = packed;
        } else {
            self.block.resize(form.block_max, 0);
            let unpacked = lz4_flex::block::decompress_into_with_dict(&packed, &mut self.block, &self.history);
            let n = unpacked.map_err(|error| {
                self.block.clear();
                io::Error::new(io::ErrorKind::InvalidData, error)
            })?;
            self.block.truncate(n);
        }
        Ok(true)
    }

    fn skip_checksum(&mut self, present: bool) -> io::Result<()> {
        if present {
            array::<4, R>(&mut self.input)?;
        }
        Ok(())
    }
}

impl<R: Read> Read for Lz4Frame<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        // A block may be empty.
        while self.unread == self.block.len() {
            if !self.next_block()? {
                return Ok(0);
            }
        }
        let n = out.len().min(self.block.len() - self.unread);
        out[..n].copy_from_slice(&self.block[self.unread..self.unread + n]);
        self.unread += n;
        Ok(n)
    }
}

fn header<R: Read>(input: &mut Input<R>) -> io::Result<Form> {
    let magic = array::<4, R>(input)?;
    if magic == LEGACY_MAGIC {
        return Ok(Form {
            block_max: LEGACY_BLOCK,
            legacy: true,
            independent: true,
            block_checksums: false,
            content_checksum: false,
        });
    }
    if magic != MAGIC {
        return Err(malformed("no lz4 frame"));
    }
    let [flags, block] = array::<2, R>(input)?;
    if flags >> 6 != 1 {
        return Err(malformed("unknown lz4 frame version"));
    }
    let block_max = match (block >> 4) & 7 {
        4 => 64 << 10,
        5 => 256 << 10,
        6 => 1 << 20,
        7 => 4 << 20,
        _ => return Err(malformed("unknown lz4 block size")),
    };
    if flags & 8 != 0 {
        array::<8, R>(input)?;
    }
    if flags & 1 != 0 {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "lz4 frame needs a dictionary"));
    }
    array::<1, R>(input)?;
    Ok(Form {
        block_max,
        legacy: false,
        independent: flags & 0x20 != 0,
        block_checksums: flags & 0x10 != 0,
        content_checksum: flags & 4 != 0,
    })
}

fn array<const N: usize, R: Read>(input: &mut Input<R>) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use gauntlet_limits::Budget;

    use super::*;
    use crate::{Container, decoder};

    fn frame(flags: u8, blocks: &[(bool, &[u8])]) -> Vec<u8> {
        let mut out = [&MAGIC[..], &[flags, 0x40, 0]].concat();
        for (plain, block) in blocks {
            out.extend((block.len() as u32 | u32::from(*plain) << 31).to_le_bytes());
            out.extend_from_slice(block);
        }
        out.extend([0; 4]);
        out
    }

    fn read(bytes: &[u8]) -> Result<Vec<u8>, io::Error> {
        let (budget, mut out) = (Budget::default(), Vec::new());
        let mut decoder = decoder(Container::Lz4, bytes, &budget).map_err(io::Error::other)?;
        decoder.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn stored_packed_and_linked_blocks_are_read() {
        assert_eq!(read(&frame(0x60, &[(true, b"hello")])).unwrap(), b"hello");
        // 3 literals `abc`, then 6 bytes from 3 back, then 5 literals.
        let packed = b"\x32abc\x03\0\x50vwxyz";
        assert_eq!(read(&frame(0x60, &[(false, packed)])).unwrap(), b"abcabcabcvwxyz");
        // The second block copies from the first.
        let linked = b"\x00\x05\0\x10!";
        assert_eq!(read(&frame(0x40, &[(true, b"hello"), (false, linked)])).unwrap(), b"hellohell!");
        assert!(read(&frame(0x60, &[(true, b"hello"), (false, linked)])).is_err());
        let two = [frame(0x60, &[(true, b"a")]), frame(0x60, &[(true, b"b")])].concat();
        assert_eq!(read(&two).unwrap(), b"ab");
    }

    #[test]
    fn a_block_without_content_hides_nothing_behind_it() {
        assert_eq!(read(&frame(0x60, &[(true, b"a"), (true, b""), (true, b"b")])).unwrap(), b"ab");
        assert_eq!(read(&frame(0x60, &[(true, b"a"), (false, b"\0"), (true, b"b")])).unwrap(), b"ab");
    }

    #[test]
    fn legacy_and_skippable_frames_are_followed() {
        let block = b"\x32abc\x03\0\x50vwxyz";
        let legacy = [&LEGACY_MAGIC[..], &(block.len() as u32).to_le_bytes(), block].concat();
        let skippable = b"\x52\x2a\x4d\x18\x03\0\0\0xyz";
        let all = [legacy.clone(), skippable.to_vec(), frame(0x60, &[(true, b"!")])].concat();
        assert_eq!(read(&all).unwrap(), b"abcabcabcvwxyz!");
        assert!(read(&legacy[..legacy.len() - 1]).is_err());
    }

    #[test]
    fn broken_frames_are_errors() {
        let whole = frame(0x60, &[(false, b"\x32abc\x03\0\x50vwxyz")]);
        for len in 0..whole.len() {
            assert!(read(&whole[..len]).is_err(), "{len}");
        }
        assert!(read(&frame(0x60, &[(false, b"\x1f\0\x01\0")])).is_err());
        assert!(read(&frame(0x20, &[])).is_err());
        let bomb = [&b"\x1fa\x01\0"[..], &[255; 60_000], b"\0\x00"].concat();
        assert!(read(&frame(0x60, &[(false, &bomb)])).is_err());
    }
}
