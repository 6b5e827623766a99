//! LZ4 frames (the frame format's version 1.6), read block by block. Checksums are passed over: what a lenient reader
//! would deliver is delivered.

use std::io::{self, BufRead, Read};

const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
/// How far back a block may copy from.
const HISTORY: usize = 64 << 10;

/// Decompresses one frame after another.
pub(crate) struct Lz4Reader<R> {
    input: R,
    frame: Option<Frame>,
    /// History of at most [`HISTORY`] bytes, then the current block.
    window: Vec<u8>,
    /// First byte of `window` that was not handed out.
    unread: usize,
    started: bool,
}

#[derive(Clone, Copy)]
struct Frame {
    block_max: usize,
    independent: bool,
    block_checksums: bool,
    content_checksum: bool,
}

impl<R: BufRead> Lz4Reader<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, frame: None, window: Vec::new(), unread: 0, started: false }
    }

    pub(crate) fn get_mut(&mut self) -> &mut R {
        &mut self.input
    }

    /// Loads the next block; false at the end of the input.
    fn next_block(&mut self) -> io::Result<bool> {
        loop {
            let frame = match self.frame {
                Some(frame) => frame,
                None => {
                    if self.started && self.input.fill_buf()?.is_empty() {
                        return Ok(false);
                    }
                    let frame = self.header()?;
                    self.started = true;
                    self.frame = Some(frame);
                    self.window.clear();
                    self.unread = 0;
                    frame
                }
            };
            let size = u32::from_le_bytes(self.array()?);
            if size == 0 {
                self.skip_checksum(frame.content_checksum)?;
                self.frame = None;
                continue;
            }
            let plain = size >> 31 == 1;
            let len = (size & 0x7fff_ffff) as usize;
            // A block that does not shrink is stored, so none is longer than its content may be.
            if len > frame.block_max {
                return Err(malformed("lz4 block above the frame's maximum"));
            }
            let mut block = vec![0; len];
            self.input.read_exact(&mut block)?;
            self.skip_checksum(frame.block_checksums)?;
            let keep = if frame.independent { 0 } else { self.window.len().min(HISTORY) };
            let from = self.window.len() - keep;
            self.window.drain(..from);
            self.unread = keep;
            if plain {
                self.window.extend_from_slice(&block);
            } else {
                decode_block(&block, &mut self.window, keep + frame.block_max)?;
            }
            return Ok(true);
        }
    }

    fn header(&mut self) -> io::Result<Frame> {
        if self.array::<4>()? != MAGIC {
            return Err(malformed("no lz4 frame"));
        }
        let [flags, block] = self.array::<2>()?;
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
            self.array::<8>()?;
        }
        if flags & 1 != 0 {
            return Err(malformed("lz4 frame needs a dictionary"));
        }
        self.array::<1>()?;
        Ok(Frame {
            block_max,
            independent: flags & 0x20 != 0,
            block_checksums: flags & 0x10 != 0,
            content_checksum: flags & 4 != 0,
        })
    }

    fn skip_checksum(&mut self, present: bool) -> io::Result<()> {
        if present {
            self.array::<4>()?;
        }
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

impl<R: BufRead> Read for Lz4Reader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        while self.unread == self.window.len() {
            if !self.next_block()? {
                return Ok(0);
            }
        }
        let n = out.len().min(self.window.len() - self.unread);
        out[..n].copy_from_slice(&self.window[self.unread..self.unread + n]);
        self.unread += n;
        Ok(n)
    }
}

/// Appends the content of a block to `out`, which may grow to `max` bytes.
fn decode_block(mut block: &[u8], out: &mut Vec<u8>, max: usize) -> io::Result<()> {
    loop {
        let token = usize::from(take(&mut block, 1)?[0]);
        let literals = length(&mut block, token >> 4)?;
        let bytes = take(&mut block, literals)?;
        if out.len() + literals > max {
            return Err(malformed("lz4 block expands above its maximum"));
        }
        out.extend_from_slice(bytes);
        // The last sequence has literals only.
        if block.is_empty() {
            return Ok(());
        }
        let distance = take(&mut block, 2)?;
        let distance = usize::from(u16::from_le_bytes([distance[0], distance[1]]));
        let len = length(&mut block, token & 15)? + 4;
        if distance == 0 || distance > out.len() {
            return Err(malformed("lz4 copy from before the beginning"));
        }
        if out.len() + len > max {
            return Err(malformed("lz4 block expands above its maximum"));
        }
        // Source and target may overlap, so bytes are copied one by one.
        let start = out.len() - distance;
        for at in start..start + len {
            out.push(out[at]);
        }
    }
}

/// 15 means that bytes follow which are added until one is not 255.
fn length(block: &mut &[u8], start: usize) -> io::Result<usize> {
    let mut sum = start;
    if start == 15 {
        loop {
            let byte = take(block, 1)?[0];
            sum += usize::from(byte);
            if byte != 255 {
                break;
            }
        }
    }
    Ok(sum)
}

fn take<'a>(block: &mut &'a [u8], n: usize) -> io::Result<&'a [u8]> {
    let (taken, rest) = block.split_at_checked(n).ok_or_else(|| malformed("lz4 block is cut"))?;
    *block = rest;
    Ok(taken)
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(flags: u8, blocks: &[(bool, &[u8])]) -> Vec<u8> {
        let mut out = [&MAGIC[..], &[flags, 0x40, 0]].concat();
        for (plain, block) in blocks {
            out.extend((block.len() as u32 | u32::from(*plain) << 31).to_le_bytes());
            out.extend_from_slice(block);
        }
        out.extend([0; 4]);
        out
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Lz4Reader::new(bytes).read_to_end(&mut out)?;
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
