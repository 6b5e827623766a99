//! Counts for the bins of a reference: exact, in the same pass.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::codec::{DecodeError, Reader, Writer};
use crate::full::MAX_WATCHED;
use crate::value::Value;

/// What to count exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Watch {
    /// Inner edges of bins, finite and rising: `n` edges make `n + 1` bins, and a value's bin is the number of edges at or
    /// below it. NaN is in no bin, an infinity in the first or last.
    Edges(Vec<f64>),
    /// Values by the first half of their hash ([`Counted::hash`](crate::Counted::hash)), rising: bin `i` is value `i`, everything else is in
    /// the bin after the last.
    Values(Vec<u64>),
}

impl Watch {
    /// Edges in order, without doubles and without what is not finite; at most 65,535 of them.
    #[must_use]
    pub fn edges(mut edges: Vec<f64>) -> Self {
        edges.retain(|edge| edge.is_finite());
        edges.sort_by(f64::total_cmp);
        edges.dedup();
        edges.truncate(MAX_WATCHED - 1);
        Self::Edges(edges)
    }

    /// Hashes in order, without doubles; at most 65,535 of them.
    #[must_use]
    pub fn values(mut hashes: Vec<u64>) -> Self {
        hashes.sort_unstable();
        hashes.dedup();
        hashes.truncate(MAX_WATCHED - 1);
        Self::Values(hashes)
    }

    /// Number of bins.
    #[must_use]
    pub fn bins(&self) -> usize {
        1 + match self {
            Self::Edges(edges) => edges.len(),
            Self::Values(hashes) => hashes.len(),
        }
    }

    pub(crate) fn is_edges(&self) -> bool {
        matches!(self, Self::Edges(_))
    }

    /// Bin of a number.
    #[inline]
    pub(crate) fn bin_of(&self, value: f64) -> Option<usize> {
        match self {
            Self::Edges(edges) if !value.is_nan() => Some(edges.partition_point(|&edge| edge <= value)),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn bin_of_hash(&self, hash: u64) -> Option<usize> {
        match self {
            Self::Values(hashes) => Some(hashes.binary_search(&hash).unwrap_or(hashes.len())),
            Self::Edges(_) => None,
        }
    }

    pub(crate) fn bin(&self, value: &Value, hash: u64) -> Option<usize> {
        match self {
            Self::Edges(_) => self.bin_of(value.number()?),
            Self::Values(_) => self.bin_of_hash(hash),
        }
    }

    /// In the form that everything here relies on.
    pub(crate) fn is_sound(&self) -> bool {
        self.bins() <= MAX_WATCHED
            && match self {
                Self::Edges(edges) => {
                    edges.iter().all(|e| e.is_finite()) && edges.windows(2).all(|pair| pair[0] < pair[1])
                }
                Self::Values(hashes) => hashes.windows(2).all(|pair| pair[0] < pair[1]),
            }
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        match self {
            Self::Edges(edges) => {
                out.u8(1);
                out.count(edges.len() as u64);
                edges.iter().for_each(|&edge| out.f64(edge));
            }
            Self::Values(hashes) => {
                out.u8(2);
                out.count(hashes.len() as u64);
                hashes.iter().for_each(|&hash| out.u64(hash));
            }
        }
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        let tag = input.u8()?;
        if tag == 0 {
            return Ok(None);
        }
        let n = input.length("watched bins", MAX_WATCHED - 1)?;
        let watch = match tag {
            1 => Self::Edges((0..n).map(|_| input.f64()).collect::<Result<_, _>>()?),
            2 => Self::Values((0..n).map(|_| input.u64()).collect::<Result<_, _>>()?),
            _ => return Err(DecodeError::Malformed("an unknown kind of bins")),
        };
        if watch.is_sound() { Ok(Some(watch)) } else { Err(DecodeError::Malformed("edges or values are out of order")) }
    }
}

/// Bins to count, by column name.
pub type Watches = BTreeMap<String, Watch>;
