//! The bytes of a strided view in row-major order, in bounded memory.

use std::io;

use gauntlet_limits::ReadAt;

/// Bytes handed on at once.
const CHUNK: usize = 1 << 20;
/// Views that lie within this many bytes are gathered in memory.
const IN_MEMORY: u64 = 32 << 20;
/// Above that, through this many cached pages.
const PAGES: usize = 8192;
const PAGE: u64 = 4096;
/// PyTorch's own limit.
const DIMENSIONS: usize = 64;

/// Where the elements of a tensor lie in its storage; every index it can reach is inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// First byte.
    start: u64,
    /// Bytes of one element.
    item: u64,
    shape: Vec<u64>,
    /// In elements.
    strides: Vec<u64>,
    bytes: u64,
    /// Bytes from the first to behind the last one reached.
    span: u64,
}

impl View {
    /// Checks a view against the bytes of its storage; offset and strides count elements.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) fn new(
        offset: u64,
        shape: Vec<u64>,
        strides: Vec<u64>,
        item: u64,
        storage: u64,
    ) -> Result<Self, &'static str> {
        if shape.len() != strides.len() {
            return Err("size and strides have different lengths");
        }
        if shape.len() > DIMENSIONS {
            return Err("more than 64 dimensions");
        }
        let overflow = "the size does not fit 64 bits";
        let bytes = shape.iter().try_fold(item, |product, dim| product.checked_mul(*dim));
        // A zero anywhere makes the tensor empty, however large the others are.
        if shape.contains(&0) {
            return Ok(Self { start: 0, item, shape, strides, bytes: 0, span: 0 });
        }
        let bytes = bytes.ok_or(overflow)?;
        let last = shape
            .iter()
            .zip(&strides)
            .try_fold(0u64, |sum, (dim, stride)| sum.checked_add(dim.saturating_sub(1).checked_mul(*stride)?));
        let span = last.and_then(|last| last.checked_add(1)?.checked_mul(item)).ok_or(overflow)?;
        let start = offset.checked_mul(item).ok_or(overflow)?;
        if start.checked_add(span).is_none_or(|end| end > storage) {
            return Err("it reaches behind the end of its storage");
        }
        Ok(Self { start, item, shape, strides, bytes, span })
    }

    pub(super) fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Bytes of all elements.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// First byte in the storage, for telling views apart.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Bytes of the storage that are reached, holes included.
    pub(super) fn span(&self) -> u64 {
        self.span
    }

    /// Hands all elements to `sink` in row-major order, each `swap` bytes reversed unless `swap` is 1.
    ///
    /// # Errors
    /// Those of the storage and of `sink`.
    pub(super) fn read(
        &self,
        storage: &dyn ReadAt,
        swap: usize,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.bytes == 0 {
            return Ok(());
        }
        let mut out = Chunks { buffer: Vec::with_capacity(CHUNK.min(usize_of(self.bytes))), swap, sink };
        let mut runs = self.runs();
        let run = runs.run;
        let mut source = Gather::new(storage, self.start, self.span, run)?;
        loop {
            let mut at = self.start.saturating_add(runs.at.saturating_mul(self.item));
            let mut left = run;
            while left > 0 {
                let n = out.room(self.item).min(usize_of(left));
                source.append(at, n, &mut out.buffer)?;
                at += n as u64;
                left -= n as u64;
                out.flush_full(self.item)?;
            }
            if !runs.advance() {
                break;
            }
        }
        out.flush()
    }

    /// Dimensions of one are dropped and those that follow each other without a gap are joined, so that what is left
    /// is as few and as long runs as there can be.
    fn runs(&self) -> Runs {
        let mut dims: Vec<(u64, u64)> = Vec::new();
        for (dim, stride) in self.shape.iter().copied().zip(self.strides.iter().copied()).filter(|(dim, _)| *dim != 1) {
            match dims.last_mut() {
                Some((outer, step)) if dim.checked_mul(stride) == Some(*step) => {
                    (*outer, *step) = (*outer * dim, stride);
                }
                _ => dims.push((dim, stride)),
            }
        }
        let mut run = self.item;
        if let Some((dim, 1)) = dims.last().copied() {
            run = self.item * dim;
            dims.pop();
        }
        Runs { index: vec![0; dims.len()], dims, at: 0, run }
    }
}

/// Counts through the outer dimensions.
struct Runs {
    dims: Vec<(u64, u64)>,
    index: Vec<u64>,
    /// Element at which the present run starts, from the view's start.
    at: u64,
    /// Bytes of each run.
    run: u64,
}

impl Runs {
    fn advance(&mut self) -> bool {
        for ((dim, stride), index) in self.dims.iter().zip(&mut self.index).rev() {
            *index += 1;
            // Every sum is within the span, which was checked to fit.
            self.at += stride;
            if *index < *dim {
                return true;
            }
            self.at -= *dim * stride;
            *index = 0;
        }
        false
    }
}

struct Chunks<'s> {
    buffer: Vec<u8>,
    swap: usize,
    sink: &'s mut dyn FnMut(&[u8]) -> io::Result<()>,
}

impl Chunks<'_> {
    /// Room for whole elements.
    fn room(&self, item: u64) -> usize {
        (CHUNK - self.buffer.len()) / usize_of(item) * usize_of(item)
    }

    fn flush_full(&mut self, item: u64) -> io::Result<()> {
        if self.room(item) == 0 { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.swap > 1 {
            self.buffer.chunks_exact_mut(self.swap).for_each(<[u8]>::reverse);
        }
        (self.sink)(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

/// Reads pieces of a storage: long ones directly, short ones from memory.
enum Gather<'s> {
    Direct(&'s dyn ReadAt),
    Memory { start: u64, bytes: Vec<u8> },
    Pages { source: &'s dyn ReadAt, end: u64, pages: Vec<(u64, Vec<u8>)> },
}

impl<'s> Gather<'s> {
    fn new(source: &'s dyn ReadAt, start: u64, span: u64, run: u64) -> io::Result<Self> {
        if run >= 64 << 10 {
            Ok(Self::Direct(source))
        } else if span <= IN_MEMORY {
            let mut bytes = vec![0; usize_of(span)];
            source.read_exact_at(start, &mut bytes)?;
            Ok(Self::Memory { start, bytes })
        } else {
            Ok(Self::Pages { source, end: start + span, pages: vec![(u64::MAX, Vec::new()); PAGES] })
        }
    }

    #[inline]
    fn append(&mut self, at: u64, len: usize, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Direct(source) => {
                let from = out.len();
                out.resize(from + len, 0);
                source.read_exact_at(at, out.get_mut(from..).unwrap_or_default())
            }
            Self::Memory { start, bytes } => {
                let from = usize_of(at - *start);
                let piece = bytes.get(from..from + len).ok_or(io::ErrorKind::UnexpectedEof)?;
                out.extend_from_slice(piece);
                Ok(())
            }
            Self::Pages { source, end, pages } => {
                let (mut at, mut len) = (at, len);
                while len > 0 {
                    let number = at / PAGE;
                    // Rows of a matrix are often a power of two apart, which must not make them share one slot.
                    let slot = usize_of(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % PAGES;
                    let (held, page) = pages.get_mut(slot).ok_or(io::ErrorKind::UnexpectedEof)?;
                    if *held != number {
                        *held = u64::MAX;
                        page.resize(usize_of(PAGE.min(end.saturating_sub(number * PAGE))), 0);
                        source.read_exact_at(number * PAGE, page)?;
                        *held = number;
                    }
                    let from = usize_of(at % PAGE);
                    let n = len.min(usize_of(PAGE) - from);
                    out.extend_from_slice(page.get(from..from + n).ok_or(io::ErrorKind::UnexpectedEof)?);
                    at += n as u64;
                    len -= n;
                }
                Ok(())
            }
        }
    }
}

fn usize_of(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(view: &View, storage: &[u8], swap: usize) -> Vec<u8> {
        let mut out = Vec::new();
        view.read(&storage.to_vec(), swap, &mut |bytes| {
            out.extend_from_slice(bytes);
            Ok(())
        })
        .unwrap();
        out
    }

    /// Index by index, as the definition says.
    fn plain(offset: u64, shape: &[u64], strides: &[u64], item: u64, storage: &[u8]) -> Vec<u8> {
        let count: u64 = shape.iter().product();
        let mut out = Vec::new();
        for mut n in 0..count {
            let mut at = offset;
            for (dim, stride) in shape.iter().zip(strides).rev() {
                at += n % dim * stride;
                n /= dim;
            }
            out.extend_from_slice(&storage[(at * item) as usize..((at + 1) * item) as usize]);
        }
        out
    }

    proptest! {
        #[test]
        fn every_view_inside_its_storage_is_read_element_by_element(
            offset in 0u64..9, dims in proptest::collection::vec((0u64..5, 0u64..7), 0..5), item in 1u64..5, room in 0u64..200
        ) {
            let (shape, strides): (Vec<_>, Vec<_>) = dims.into_iter().unzip();
            let storage: Vec<u8> = (0..room * item).map(|n| (n * 31) as u8).collect();
            let last: u64 = shape.iter().zip(&strides).map(|(d, s)| d.saturating_sub(1) * s).sum();
            let fits = shape.contains(&0) || offset + last < room;
            match View::new(offset, shape.clone(), strides.clone(), item, storage.len() as u64) {
                Ok(view) => {
                    prop_assert!(fits);
                    let expected = if shape.contains(&0) { Vec::new() } else { plain(offset, &shape, &strides, item, &storage) };
                    prop_assert_eq!(view.bytes(), expected.len() as u64);
                    prop_assert_eq!(read(&view, &storage, 1), expected);
                }
                Err(_) => prop_assert!(!fits),
            }
        }

        #[test]
        fn sizes_that_overflow_are_refused(
            offset in any::<u64>(), shape in proptest::collection::vec(any::<u64>(), 1..4), stride in any::<u64>(), item in 1u64..9
        ) {
            let strides = vec![stride; shape.len()];
            if let Ok(view) = View::new(offset, shape, strides, item, 100) {
                prop_assert!(view.start() + view.span() <= 100);
            }
        }
    }

    #[test]
    fn large_transposes_go_through_pages_and_equal_small_ones() {
        let (rows, columns) = (3000u64, 3001u64);
        let storage: Vec<u8> = (0..rows * columns * 4).map(|n| (n ^ (n >> 9)) as u8).collect();
        let view = View::new(0, vec![columns, rows], vec![1, columns], 4, storage.len() as u64).unwrap();
        assert!(view.span() > IN_MEMORY);
        assert!(read(&view, &storage, 1) == plain(0, &[columns, rows], &[1, columns], 4, &storage));
    }

    #[test]
    fn bytes_change_order_when_asked() {
        let view = View::new(0, vec![2], vec![1], 4, 8).unwrap();
        assert_eq!(read(&view, &[1, 2, 3, 4, 5, 6, 7, 8], 4), [4, 3, 2, 1, 8, 7, 6, 5]);
    }

    #[test]
    fn an_expanded_view_repeats_its_element_without_memory() {
        let view = View::new(1, vec![3_000_000], vec![0], 2, 4).unwrap();
        let mut total = 0;
        view.read(&vec![0u8, 0, 7, 9], 1, &mut |bytes| {
            total += bytes.len();
            assert!(bytes.len() <= CHUNK && bytes.chunks(2).all(|pair| pair == [7, 9]));
            Ok(())
        })
        .unwrap();
        assert_eq!(total, 6_000_000);
    }
}
