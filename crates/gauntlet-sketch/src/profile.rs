//! A finished profile: what is stored, compared and signed.

use xxhash_rust::xxh3::xxh3_64;

use crate::codec::{DecodeError, Reader, Writer};
use crate::column::ColumnSketch;
use crate::content::{ContentHash, schema_hash};
use crate::table::read_columns;

const MAGIC: &[u8] = b"gauntlet-profile\n";
const VERSION: u8 = 1;

/// Summaries of all columns of a table, and the identity of its content.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Identity of the content.
    pub content: ContentHash,
    /// Columns in the order of the table.
    pub columns: Vec<Column>,
}

/// One column of a profile.
#[derive(Clone, Debug)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Name of the type as stored, for people.
    pub data_type: String,
    /// Summary.
    pub sketch: ColumnSketch,
}

impl Profile {
    /// Rows of the table.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.content.rows
    }

    /// The column called `name`.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The stored form: a magic line, a version byte, everything, and a checksum.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer(MAGIC.to_vec());
        out.u8(VERSION);
        out.count(self.content.rows);
        out.u128(self.content.sum);
        out.count(self.columns.len() as u64);
        for column in &self.columns {
            out.bytes(column.name.as_bytes());
            out.bytes(column.data_type.as_bytes());
            column.sketch.write(&mut out);
        }
        let checksum = xxh3_64(&out.0);
        out.u64(checksum);
        out.0
    }

    /// Reads [`Profile::to_bytes`]. Anybody may have written it: every length is checked, and what contradicts itself is
    /// refused.
    ///
    /// # Errors
    /// When the bytes are no profile, damaged, or of a newer version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(DecodeError::Magic)?;
        let version = *rest.first().ok_or(DecodeError::Truncated)?;
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        let (content, checksum) = bytes.split_last_chunk::<8>().ok_or(DecodeError::Truncated)?;
        if xxh3_64(content) != u64::from_le_bytes(*checksum) {
            return Err(DecodeError::Checksum);
        }
        let body = content.get(MAGIC.len() + 1..).ok_or(DecodeError::Truncated)?;
        let mut input = Reader(body);
        let (rows, sum, columns) = read_columns(&mut input)?;
        input.finish()?;
        let mut names: Vec<&str> = columns.iter().map(|(spec, _)| spec.name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(DecodeError::Malformed("two columns have one name"));
        }
        let schema = schema_hash(columns.iter().map(|(spec, sketch)| (spec.name.as_str(), sketch.kind)));
        let columns = columns.into_iter().map(|(spec, mut sketch)| {
            sketch.fold();
            Column { name: spec.name, data_type: spec.data_type, sketch }
        });
        Ok(Self { content: ContentHash { sum, rows, schema }, columns: columns.collect() })
    }

    /// Bytes with the checksum that they should have, for tests of what stands behind it.
    #[doc(hidden)]
    #[must_use]
    pub fn seal(content: &[u8]) -> Vec<u8> {
        let mut out = content.to_vec();
        out.extend_from_slice(&xxh3_64(content).to_le_bytes());
        out
    }

    /// Whether bytes begin as a stored profile does.
    #[must_use]
    pub fn is_profile(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC)
    }
}
