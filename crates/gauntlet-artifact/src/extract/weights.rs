//! Tensors of a file, whatever its format: their table, their numbers, and files among them.

use gauntlet_core::LimitHit;
use gauntlet_limits::ReadAt;

use super::{Place, Walk};
use crate::checks::WEIGHTS;
use crate::facts::{TensorFact, TensorsFact};
use crate::formats::tensor::{self, TensorRow};

/// Tensors of one file that are kept.
const KEPT: usize = 20_000;
/// Bytes of one file that samples read.
const SAMPLED: u64 = 64 << 20;

/// How closely weights are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Not at all: the header says where they are.
    None,
    /// The beginning of each tensor.
    Sample,
    /// All of them.
    Whole,
}

impl Depth {
    /// From the gate's configuration: `weights: none | sample | whole`.
    pub(crate) fn of(config: &serde_json::Value) -> Self {
        match config.get("weights").and_then(serde_json::Value::as_str) {
            Some("none") => Self::None,
            Some("whole") => Self::Whole,
            _ => Self::Sample,
        }
    }
}

impl Walk<'_> {
    /// Notes the tensors of a file and looks at their bytes. Rows that leave the file are noted only.
    pub(crate) fn weights(&mut self, source: &dyn ReadAt, rows: &[TensorRow], place: &Place) {
        let size = source.size();
        let (mut tensors, mut sampled) = (Vec::new(), 0_u64);
        for row in rows.iter().take(KEPT) {
            let inside = row.offset.checked_add(row.bytes).is_some_and(|end| end <= size);
            let (mut stats, mut file) = (None, false);
            if inside
                && row.bytes > 0
                && self.weights != Depth::None
                && (self.weights == Depth::Whole || sampled < SAMPLED)
            {
                sampled += row.bytes.min(tensor::SAMPLE);
                file = self.embedded(source, row.offset, row.bytes, place, &format!("<tensor {}>", row.name));
                match tensor::stats(source, row, self.weights == Depth::Whole, self.budget) {
                    Ok(found) => stats = found,
                    Err(error) => match LimitHit::in_io(&error) {
                        Some(hit) => return self.limit(WEIGHTS, place, hit),
                        None => return self.io_failed(WEIGHTS, place, &error),
                    },
                }
            }
            tensors.push(TensorFact { row: row.clone(), stats, file });
        }
        self.looked_at(WEIGHTS);
        let more = rows.len().saturating_sub(KEPT) as u64;
        self.facts.push(WEIGHTS, place.location.clone(), &TensorsFact { tensors, more });
    }
}
