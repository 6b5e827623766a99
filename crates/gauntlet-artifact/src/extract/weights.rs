//! Tensors of a file, whatever its format: their table, their numbers, and files among them.

use gauntlet_core::LimitHit;
use gauntlet_limits::{ReadAt, Window};

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
            let looked = inside && row.bytes > 0 && self.weights != Depth::None;
            if looked {
                file = self.embedded(source, row.offset, row.bytes, place, &format!("<tensor {}>", row.name));
            }
            if looked && (self.weights == Depth::Whole || sampled < SAMPLED) {
                sampled += row.bytes.min(tensor::SAMPLE);
                file = file || self.hidden_in(source, row, place);
                match tensor::stats(source, row, self.weights == Depth::Whole, self.budget) {
                    Ok(found) => {
                        if let Some(texts) = found.as_ref().map(|stats| &stats.texts).filter(|texts| !texts.is_empty())
                        {
                            self.derive_text(texts, row, place);
                        }
                        stats = found;
                    }
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

    /// Whether a file begins somewhere among the numbers; of a sample at both ends.
    fn hidden_in(&mut self, source: &dyn ReadAt, row: &TensorRow, place: &Place) -> bool {
        let window = Window::new(source, row.offset, row.bytes);
        let here = Place { name: row.name.clone(), ..place.member(&format!("<tensor {}>", row.name)) };
        let sample = if self.weights == Depth::Whole { row.bytes } else { tensor::SAMPLE.min(row.bytes) };
        let tail = sample.max(row.bytes - sample);
        let first = self.search_range(&window, &here, false, (1, sample));
        first.or_else(|| self.search_range(&window, &here, false, (tail, row.bytes))).is_some()
    }
}
