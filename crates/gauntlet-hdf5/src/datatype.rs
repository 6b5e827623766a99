//! Datatypes and dataspaces (specification v3, sections IV.A.2.b and d).

use serde::{Deserialize, Serialize};

use crate::bytes::{Bytes, name, width_of};
use crate::error::Stop;
use crate::medium::Medium;

/// Types inside types; libraries recurse over them, no writer needs more.
const DEPTH: u32 = 24;
/// Members of compounds and names of enumerations that are kept.
const MEMBERS: usize = 10_000;

/// What the elements of a dataset or attribute are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "class")]
pub enum Datatype {
    /// An integer.
    Integer {
        /// Bytes.
        size: u32,
        /// Has a sign.
        signed: bool,
    },
    /// A floating-point number.
    Float {
        /// Bytes.
        size: u32,
    },
    /// A point in time.
    Time {
        /// Bytes.
        size: u32,
    },
    /// A text of fixed length.
    Text {
        /// Bytes.
        size: u32,
    },
    /// A set of bits.
    Bits {
        /// Bytes.
        size: u32,
    },
    /// Bytes of no stated meaning.
    Opaque {
        /// Bytes.
        size: u32,
        /// What the writer calls them.
        tag: String,
    },
    /// A record.
    Compound {
        /// Bytes.
        size: u32,
        /// Its fields.
        members: Vec<Member>,
    },
    /// A reference to an object or region of this file.
    Reference {
        /// Bytes.
        size: u32,
    },
    /// Named values of another type.
    Enumeration {
        /// Type of the values.
        base: Box<Datatype>,
        /// The names.
        names: Vec<String>,
    },
    /// A text of any length, kept in the global heap.
    VariableText {
        /// Bytes of the reference to it.
        size: u32,
    },
    /// A list of any length, kept in the global heap.
    VariableList {
        /// Bytes of the reference to it.
        size: u32,
        /// Type of its elements.
        base: Box<Datatype>,
    },
    /// A list of fixed length.
    Array {
        /// Bytes.
        size: u32,
        /// Elements along each axis.
        dims: Vec<u32>,
        /// Type of its elements.
        base: Box<Datatype>,
    },
}

/// A field of a compound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Where it begins in the record, in bytes.
    pub offset: u32,
    /// What it is.
    pub datatype: Datatype,
}

impl Datatype {
    /// Bytes of one element as stored.
    #[must_use]
    pub fn size(&self) -> u32 {
        match self {
            Self::Integer { size, .. }
            | Self::Float { size }
            | Self::Time { size }
            | Self::Text { size }
            | Self::Bits { size }
            | Self::Opaque { size, .. }
            | Self::Compound { size, .. }
            | Self::Reference { size }
            | Self::VariableText { size }
            | Self::VariableList { size, .. }
            | Self::Array { size, .. } => *size,
            Self::Enumeration { base, .. } => base.size(),
        }
    }

    /// Elements are bytes, texts or opaque: what may hold another file.
    #[must_use]
    pub fn is_byte_like(&self) -> bool {
        match self {
            Self::Integer { size, .. } => *size == 1,
            Self::Text { .. } | Self::Opaque { .. } => true,
            Self::Array { base, .. } => base.is_byte_like(),
            _ => false,
        }
    }

    /// Elements refer to the global heap.
    #[must_use]
    pub fn is_variable(&self) -> bool {
        match self {
            Self::VariableText { .. } | Self::VariableList { .. } => true,
            Self::Array { base, .. } => base.is_variable(),
            Self::Compound { members, .. } => members.iter().any(|member| member.datatype.is_variable()),
            _ => false,
        }
    }
}

/// Reads a datatype message.
pub(crate) fn read(medium: &Medium<'_>, data: &[u8]) -> Result<Datatype, Stop> {
    parse(medium, &mut Bytes::new(data, "a datatype"), 0)
}

/// Recursion is bounded by [`DEPTH`].
fn parse(medium: &Medium<'_>, bytes: &mut Bytes<'_>, depth: u32) -> Result<Datatype, Stop> {
    medium.budget.steps(1)?;
    if depth > DEPTH {
        return Err(Stop::unsupported(format!("a datatype nested more than {DEPTH} levels deep")));
    }
    let first = bytes.u8()?;
    let (class, version) = (first & 15, first >> 4);
    let bits = bytes.uint(3)? as u32;
    let size = bytes.u32()?;
    if !(1..=5).contains(&version) {
        return Err(Stop::unsupported(format!("a datatype of version {version}")));
    }
    match class {
        0 => bytes.skip(4).map(|()| Datatype::Integer { size, signed: bits & 8 != 0 }),
        1 => bytes.skip(12).map(|()| Datatype::Float { size }),
        2 => bytes.skip(2).map(|()| Datatype::Time { size }),
        3 => Ok(Datatype::Text { size }),
        4 => bytes.skip(4).map(|()| Datatype::Bits { size }),
        5 => {
            let tag = name(bytes.take((bits & 0xff) as usize)?);
            Ok(Datatype::Opaque { size, tag })
        }
        6 => compound(medium, bytes, version, bits, size, depth),
        7 => Ok(Datatype::Reference { size }),
        8 => {
            let base = parse(medium, bytes, depth + 1)?;
            let mut names = Vec::new();
            for _ in 0..bits & 0xffff {
                medium.budget.steps(1)?;
                let start = bytes.position();
                let text = name(bytes.until_nul()?);
                if version < 3 {
                    bytes.align(start, 8)?;
                }
                if names.len() < MEMBERS {
                    names.push(text);
                }
            }
            bytes.skip(usize::try_from(u64::from(base.size()) * u64::from(bits & 0xffff)).unwrap_or(usize::MAX))?;
            Ok(Datatype::Enumeration { base: Box::new(base), names })
        }
        9 => {
            let base = parse(medium, bytes, depth + 1)?;
            match bits & 15 {
                1 => Ok(Datatype::VariableText { size }),
                _ => Ok(Datatype::VariableList { size, base: Box::new(base) }),
            }
        }
        10 => {
            let rank = bytes.u8()?;
            bytes.skip(if version < 3 { 3 } else { 0 })?;
            let dims = (0..rank).map(|_| bytes.u32()).collect::<Result<Vec<_>, _>>()?;
            bytes.skip(if version < 3 { 4 * usize::from(rank) } else { 0 })?;
            Ok(Datatype::Array { size, dims, base: Box::new(parse(medium, bytes, depth + 1)?) })
        }
        class => Err(Stop::unsupported(format!("datatype class {class}"))),
    }
}

fn compound(
    medium: &Medium<'_>,
    bytes: &mut Bytes<'_>,
    version: u8,
    bits: u32,
    size: u32,
    depth: u32,
) -> Result<Datatype, Stop> {
    let mut members = Vec::new();
    for _ in 0..bits & 0xffff {
        let start = bytes.position();
        let called = name(bytes.until_nul()?);
        if version < 3 {
            bytes.align(start, 8)?;
        }
        let offset = bytes.uint(if version < 3 { 4 } else { width_of(u64::from(size)) })? as u32;
        let mut dims = Vec::new();
        if version == 1 {
            let rank = bytes.u8()?.min(4);
            bytes.skip(3 + 4 + 4)?;
            dims = (0..4).map(|_| bytes.u32()).collect::<Result<Vec<_>, _>>()?;
            dims.truncate(usize::from(rank));
        }
        let mut datatype = parse(medium, bytes, depth + 1)?;
        if !dims.is_empty() {
            let whole = dims.iter().fold(datatype.size(), |whole, dim| whole.saturating_mul(*dim));
            datatype = Datatype::Array { size: whole, dims, base: Box::new(datatype) };
        }
        if members.len() < MEMBERS {
            members.push(Member { name: called, offset, datatype });
        }
    }
    Ok(Datatype::Compound { size, members })
}

/// Elements along each axis; `None` for a null dataspace.
pub(crate) fn dataspace(medium: &Medium<'_>, data: &[u8]) -> Result<Option<Vec<u64>>, Stop> {
    let mut bytes = Bytes::new(data, "a dataspace");
    let version = bytes.version(1..=2)?;
    let rank = bytes.u8()?;
    bytes.skip(1)?;
    let null = bytes.u8()? == 2 && version == 2;
    bytes.skip(if version == 1 { 4 } else { 0 })?;
    let dims = (0..rank).map(|_| medium.length(&mut bytes)).collect::<Result<Vec<_>, _>>()?;
    Ok((!null).then_some(dims))
}

/// Elements in all; `None` on overflow.
pub(crate) fn elements(shape: Option<&[u64]>) -> Option<u64> {
    shape.map_or(Some(0), |dims| dims.iter().try_fold(1_u64, |all, dim| all.checked_mul(*dim)))
}
