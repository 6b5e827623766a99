//! The content hash: one number for the rows of a table, whatever their order, files, row groups or format.
//!
//! A cell is 128 bits: the hash of its value (type family's tag and canonical bytes) mixed with the hash of its column's
//! name. A row is XXH3-128 over the sum of its cells, so neither the order of columns nor that of rows matters, while a
//! value that moves to another column or row changes the result. The table is the sum of its rows modulo 2^128: a sum,
//! because with XOR a pair of equal rows would vanish. It identifies content; it is no proof against an attacker, who has
//! to be held to `file_sha256`.

use std::fmt;
use std::str::FromStr;

use xxhash_rust::xxh3::xxh3_128;

use crate::value::{Hash, Kind};

/// What a null cell hashes to before its column's name comes in: the tag alone.
const NULL: [u8; 1] = [Kind::Null as u8];

/// The hash of a column's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ColumnKey(u64, u64);

/// One cell of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cell(pub(crate) u64, pub(crate) u64);

impl ColumnKey {
    pub(crate) fn of(name: &str) -> Self {
        let hash = xxh3_128(name.as_bytes());
        Self(hash as u64, (hash >> 64) as u64)
    }

    #[inline(always)]
    pub(crate) fn cell(self, value: Hash) -> Cell {
        Cell(mix(value.0 ^ self.0), mix(value.1 ^ self.1))
    }

    pub(crate) fn null(self) -> Cell {
        self.cell(Hash::of(&NULL))
    }

    /// Seed of the column's coins.
    pub(crate) fn seed(self) -> u64 {
        self.0
    }
}

/// The finalizer of MurmurHash3: every bit of the input moves every bit of the output.
#[inline(always)]
fn mix(mut x: u64) -> u64 {
    x ^= x >> 33;
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^= x >> 33;
    x = x.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ x >> 33
}

/// The cells of the rows of one batch, column after column.
#[derive(Debug, Default)]
pub(crate) struct RowSums {
    pub(crate) first: Vec<u64>,
    pub(crate) second: Vec<u64>,
}

impl RowSums {
    pub(crate) fn reset(&mut self, rows: usize) {
        for half in [&mut self.first, &mut self.second] {
            half.clear();
            half.resize(rows, 0);
        }
    }

    #[inline(always)]
    pub(crate) fn add(&mut self, row: usize, cell: Cell) {
        if let (Some(first), Some(second)) = (self.first.get_mut(row), self.second.get_mut(row)) {
            *first = first.wrapping_add(cell.0);
            *second = second.wrapping_add(cell.1);
        }
    }

    /// The sum of the rows' hashes.
    pub(crate) fn sum(&self) -> u128 {
        self.rows().fold(0, u128::wrapping_add)
    }

    /// The hash of each row.
    pub(crate) fn rows(&self) -> impl Iterator<Item = u128> + '_ {
        let row = |(&first, &second): (&u64, &u64)| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&first.to_le_bytes());
            bytes[8..].copy_from_slice(&second.to_le_bytes());
            xxh3_128(&bytes)
        };
        self.first.iter().zip(&self.second).map(row)
    }
}

/// The sum over columns of the hash of name and type family: independent of their order and of integer widths.
pub(crate) fn schema_hash<'a>(columns: impl Iterator<Item = (&'a str, Kind)>) -> u128 {
    let one = |(name, kind): (&str, Kind)| {
        let mut bytes = vec![kind as u8];
        bytes.extend_from_slice(name.as_bytes());
        xxh3_128(&bytes)
    };
    columns.map(one).fold(0, u128::wrapping_add)
}

/// Identity of a table's content.
///
/// Written as `gch1:<hash of the rows>:<rows>:<hash of the schema>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash {
    /// Sum of the rows' hashes modulo 2^128.
    pub sum: u128,
    /// Rows.
    pub rows: u64,
    /// Hash of names and type families.
    pub schema: u128,
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gch1:{:032x}:{}:{:032x}", self.sum, self.rows, self.schema)
    }
}

/// Not a content hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is no content hash: `gch1:`, 32 hexadecimal digits, the number of rows and 32 more digits, with colons between"
)]
pub struct ContentHashError;

impl FromStr for ContentHash {
    type Err = ContentHashError;

    fn from_str(text: &str) -> Result<Self, ContentHashError> {
        let parts: Vec<&str> = text.split(':').collect();
        let ["gch1", sum, rows, schema] = parts.as_slice() else { return Err(ContentHashError) };
        let hash = |digits: &str| {
            let sound = digits.len() == 32 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            sound.then(|| u128::from_str_radix(digits, 16).ok()).flatten().ok_or(ContentHashError)
        };
        let count = rows.parse::<u64>().ok().filter(|n| n.to_string() == **rows).ok_or(ContentHashError)?;
        Ok(Self { sum: hash(sum)?, rows: count, schema: hash(schema)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_written_form_is_read_strictly() {
        let hash = ContentHash { sum: 7, rows: 12, schema: u128::MAX };
        assert_eq!(hash.to_string().parse(), Ok(hash));
        for wrong in ["", "gch1:7:12:8", "gch2:0:0:0"] {
            assert!(wrong.parse::<ContentHash>().is_err());
        }
        assert!(hash.to_string().replace(":12:", ":012:").parse::<ContentHash>().is_err());
    }
}
