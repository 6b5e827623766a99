//! What was found in a file.

use gauntlet_limits::LimitHit;
use serde::{Deserialize, Serialize};

use crate::datatype::Datatype;
use crate::error::Problem;

/// The structure of a file, as far as it can be read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hdf5Facts {
    /// The superblock; absent when it is broken.
    pub superblock: Option<Superblock>,
    /// Groups reached, the root included.
    pub groups: u64,
    /// Links that are not hard links to an object of this file.
    pub links: Vec<Link>,
    /// Attributes of all objects.
    pub attributes: Vec<Attribute>,
    /// Datasets.
    pub datasets: Vec<Dataset>,
    /// What could not be read as specified.
    pub problems: Vec<Problem>,
    /// Problems beyond those kept.
    pub more_problems: u64,
    /// A limit that ended reading.
    pub limit: Option<LimitHit>,
    /// Everything that owns bytes was found, so that [`Hdf5Facts::gaps`] are bytes of nobody.
    pub mapped: bool,
    /// Bytes within the stated end of the file that no structure owns, when they are not all zero.
    pub gaps: Vec<Range>,
    /// Bytes behind the stated end of the file.
    pub tail: Option<Range>,
}

/// The superblock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Superblock {
    /// 0 to 3.
    pub version: u8,
    /// Where it begins: the length of the user block.
    pub offset: u64,
    /// Bytes of an address.
    pub offset_size: u8,
    /// Bytes of a length.
    pub length_size: u8,
    /// Absolute offset behind the last byte that the file should have.
    pub end: u64,
}

/// Bytes of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Absolute offset.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

/// A link other than a hard link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Path in the file.
    pub path: String,
    /// Where it leads.
    pub target: LinkTarget,
}

/// Where a link leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum LinkTarget {
    /// To a path in this file.
    Soft {
        /// The path.
        path: String,
    },
    /// To an object of another file, which the library opens.
    External {
        /// Name of the file.
        file: String,
        /// Path in it.
        path: String,
    },
    /// To whatever the class, which a program registers, makes of it.
    UserDefined {
        /// The class.
        class: u8,
        /// Bytes that the class is given.
        len: u64,
    },
}

/// A named value of an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attribute {
    /// Path of the object.
    pub object: String,
    /// Its name.
    pub name: String,
    /// Type of its elements.
    pub datatype: Datatype,
    /// Elements along each axis; absent for a null dataspace.
    pub shape: Option<Vec<u64>>,
    /// Absolute offset of the value.
    pub offset: Option<u64>,
    /// The value; not part of stored facts.
    #[serde(skip)]
    pub value: Value,
}

/// A value in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Value {
    /// The elements as stored.
    pub raw: Vec<u8>,
    /// Each text (without its padding) or variable-length list, in order.
    pub pieces: Vec<Vec<u8>>,
    /// Something of the value was not read.
    pub partial: bool,
}

impl Value {
    /// The only text of a scalar.
    #[must_use]
    pub fn text(&self) -> Option<&[u8]> {
        match self.pieces.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }
}

/// A dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dataset {
    /// Path of the first link to it.
    pub path: String,
    /// Address of its object header.
    pub address: u64,
    /// Type of its elements; absent when it could not be read.
    pub datatype: Option<Datatype>,
    /// Elements along each axis; absent for a null dataspace.
    pub shape: Option<Vec<u64>>,
    /// Where the elements are.
    pub storage: Storage,
    /// Files outside that hold the elements.
    pub external: Vec<ExternalFile>,
    /// Filters that have to be undone, in the order of writing.
    pub filters: Vec<Filter>,
    /// Texts and variable-length lists of a small dataset; not part of stored facts.
    #[serde(skip)]
    pub value: Value,
}

/// Where the elements of a dataset are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "layout")]
pub enum Storage {
    /// Nothing is stored, or it could not be read.
    Nothing,
    /// In the object header.
    Compact {
        /// Where.
        range: Range,
    },
    /// In one run of bytes.
    Contiguous {
        /// Where.
        range: Range,
    },
    /// In pieces.
    Chunked {
        /// Pieces found.
        chunks: u64,
        /// Bytes of all pieces.
        bytes: u64,
        /// The first pieces, at most [`CHUNKS`].
        first: Vec<Range>,
    },
    /// Composed of datasets of other files.
    Virtual {
        /// Its parts.
        sources: Vec<VirtualSource>,
    },
}

/// Chunks of one dataset that are kept one by one.
pub const CHUNKS: usize = 64;

/// A file that holds the elements of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalFile {
    /// Its name.
    pub file: String,
    /// Where in it.
    pub offset: u64,
    /// Bytes; `u64::MAX` for all.
    pub len: u64,
}

/// A part of a virtual dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualSource {
    /// Name of the file; `.` is this one.
    pub file: String,
    /// Path of the dataset in it.
    pub dataset: String,
}

/// A filter of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Number under which it is registered.
    pub id: u16,
    /// What the writer calls it.
    pub name: String,
    /// Chunks may be read without it.
    pub optional: bool,
}
