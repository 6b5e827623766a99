//! FlatBuffers without a schema compiler: tables, vectors and texts, every offset checked before it is followed.

use std::cell::RefCell;
use std::io;

use gauntlet_limits::{Budget, LimitHit, ReadAt};

/// Bytes of a text that are kept.
const TEXT: u64 = 1000;
const PAGE: u64 = 16 << 10;

/// Why a buffer cannot be read further.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FlatError {
    #[error("{what} at byte {offset} leaves the buffer of {size} bytes")]
    OutOfRange { what: &'static str, offset: u64, size: u64 },
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Limit(#[from] LimitHit),
}

/// A FlatBuffer; offsets in it are relative and at most 32 bits wide.
pub(crate) struct Flat<'a> {
    source: &'a dyn ReadAt,
    size: u64,
    budget: &'a Budget,
    /// The page that was read last, and where it begins.
    page: RefCell<(u64, Vec<u8>)>,
}

/// A table of a [`Flat`].
#[derive(Clone, Copy)]
pub(crate) struct Table {
    /// Where the table is.
    pub at: u64,
    /// Where its vtable is, and the vtable's length.
    vtable: (u64, u64),
}

/// A vector of a [`Flat`]: where its first element is, and how many there are.
#[derive(Clone, Copy)]
pub(crate) struct Vector {
    pub at: u64,
    pub len: u64,
}

impl<'a> Flat<'a> {
    pub(crate) fn new(source: &'a dyn ReadAt, budget: &'a Budget) -> Self {
        Self { source, size: source.size(), budget, page: RefCell::default() }
    }

    /// The outermost table.
    pub(crate) fn root(&self) -> Result<Table, FlatError> {
        self.table(self.follow(0, "the root")?)
    }

    /// The table at `at`.
    pub(crate) fn table(&self, at: u64) -> Result<Table, FlatError> {
        self.budget.steps(1)?;
        let back = i64::from(i32::from_le_bytes(self.bytes(at, "a table")?));
        let vtable = i64::try_from(at).ok().and_then(|at| at.checked_sub(back)).and_then(|at| u64::try_from(at).ok());
        let vtable = vtable.ok_or(FlatError::OutOfRange { what: "a vtable", offset: at, size: self.size })?;
        let len = u64::from(u16::from_le_bytes(self.bytes(vtable, "a vtable")?));
        self.inside(vtable, len.max(4), "a vtable")?;
        Ok(Table { at, vtable: (vtable, len) })
    }

    /// Where field number `index` of `table` is; `None` when it has its default.
    pub(crate) fn field(&self, table: Table, index: u64) -> Result<Option<u64>, FlatError> {
        let (vtable, len) = table.vtable;
        let slot = 4 + 2 * index;
        if slot + 2 > len {
            return Ok(None);
        }
        match u16::from_le_bytes(self.bytes(vtable + slot, "a vtable")?) {
            0 => Ok(None),
            offset => Ok(Some(table.at + u64::from(offset))),
        }
    }

    /// A 32-bit field.
    pub(crate) fn u32(&self, table: Table, index: u64) -> Result<Option<u32>, FlatError> {
        let Some(at) = self.field(table, index)? else { return Ok(None) };
        Ok(Some(u32::from_le_bytes(self.bytes(at, "a number")?)))
    }

    /// A 64-bit field.
    pub(crate) fn u64(&self, table: Table, index: u64) -> Result<Option<u64>, FlatError> {
        let Some(at) = self.field(table, index)? else { return Ok(None) };
        Ok(Some(u64::from_le_bytes(self.bytes(at, "a number")?)))
    }

    /// An 8-bit field.
    pub(crate) fn u8(&self, table: Table, index: u64) -> Result<Option<u8>, FlatError> {
        let Some(at) = self.field(table, index)? else { return Ok(None) };
        let [value] = self.bytes(at, "a number")?;
        Ok(Some(value))
    }

    /// A vector field with elements of `width` bytes.
    pub(crate) fn vector(&self, table: Table, index: u64, width: u64) -> Result<Option<Vector>, FlatError> {
        let Some(at) = self.field(table, index)? else { return Ok(None) };
        let at = self.follow(at, "a list")?;
        let len = u64::from(u32::from_le_bytes(self.bytes(at, "a list")?));
        self.inside(at + 4, len * width, "a list")?;
        Ok(Some(Vector { at: at + 4, len }))
    }

    /// The tables of a vector field, one after the other.
    pub(crate) fn tables(
        &self,
        table: Table,
        index: u64,
    ) -> Result<impl Iterator<Item = Result<Table, FlatError>> + use<'_, 'a>, FlatError> {
        let vector = self.vector(table, index, 4)?.unwrap_or(Vector { at: 0, len: 0 });
        Ok((0..vector.len).map(move |i| self.table(self.follow(vector.at + 4 * i, "a list of tables")?)))
    }

    /// A text field, cut after its first [`TEXT`] bytes.
    pub(crate) fn text(&self, table: Table, index: u64) -> Result<Option<String>, FlatError> {
        let Some(text) = self.vector(table, index, 1)? else { return Ok(None) };
        let mut raw = vec![0; usize::try_from(text.len.min(TEXT)).unwrap_or(0)];
        self.source.read_exact_at(text.at, &mut raw)?;
        Ok(Some(String::from_utf8_lossy(&raw).into_owned()))
    }

    /// Where the offset at `at` points to.
    fn follow(&self, at: u64, what: &'static str) -> Result<u64, FlatError> {
        Ok(at + u64::from(u32::from_le_bytes(self.bytes(at, what)?)))
    }

    fn inside(&self, offset: u64, len: u64, what: &'static str) -> Result<(), FlatError> {
        match offset.checked_add(len) {
            Some(end) if end <= self.size => Ok(()),
            _ => Err(FlatError::OutOfRange { what, offset, size: self.size }),
        }
    }

    fn bytes<const N: usize>(&self, offset: u64, what: &'static str) -> Result<[u8; N], FlatError> {
        self.inside(offset, N as u64, what)?;
        let mut page = self.page.borrow_mut();
        let wanted = |(start, bytes): &(u64, Vec<u8>)| {
            let at = usize::try_from(offset.checked_sub(*start)?).ok()?;
            bytes.get(at..)?.first_chunk::<N>().copied()
        };
        if let Some(found) = wanted(&page) {
            return Ok(found);
        }
        let start = offset & !63;
        let len = PAGE.min(self.size - start);
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        self.source.read_exact_at(start, &mut bytes)?;
        *page = (start, bytes);
        wanted(&page).ok_or(FlatError::OutOfRange { what, offset, size: self.size })
    }
}
