//! GGUF: header facts, and the templates in its metadata.

use gauntlet_core::SkipCode;
use gauntlet_limits::Window;

use super::{Head, Reader};
use crate::checks::GGUF;
use crate::extract::{Content, Place, Walk};
use crate::facts::GgufFact;
use crate::formats::gguf::{self, GgufError, GgufFacts, Problem, Tensor};
use crate::formats::tensor::TensorRow;

/// Reads GGUF.
pub(crate) struct Gguf;

impl Reader for Gguf {
    fn format(&self) -> &'static str {
        "GGUF"
    }

    fn endings(&self) -> &'static [&'static str] {
        &["gguf"]
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        head.prefix.starts_with(gguf::MAGIC)
    }

    fn read(&self, walk: &mut Walk<'_>, content: &Content<'_>, place: &Place) {
        walk.with_random(content, place, GGUF, |walk, source| {
            let (facts, texts) = match gguf::read(source, walk.budget) {
                Ok(read) => read,
                Err(GgufError::Io(error)) => return walk.io_failed(GGUF, place, &error),
                Err(GgufError::Limit(hit)) => return walk.limit(GGUF, place, hit),
            };
            match facts.problems.iter().find_map(gap) {
                Some((code, detail)) => walk.skip(GGUF, place, code, detail),
                None => walk.looked_at(GGUF),
            }
            let tail = facts.tail;
            walk.weights(source, &rows(&facts), place);
            walk.facts.push(GGUF, place.location.clone(), &GgufFact(facts));
            for text in texts {
                // The name says what the text is to those who recognise by name.
                walk.part(&Content::Plain(&text.bytes), place, &format!("{}.jinja", text.key));
            }
            if let Some(offset) = tail {
                let rest = Window::new(source, offset, u64::MAX);
                walk.examine(&Content::Plain(&rest), &place.part(offset));
            }
        });
    }
}

/// The tensors whose size is known, in the common table's terms.
fn rows(facts: &GgufFacts) -> Vec<TensorRow> {
    let row = |tensor: &Tensor| {
        let plain =
            [(0, "F32"), (1, "F16"), (24, "I8"), (25, "I16"), (26, "I32"), (27, "I64"), (28, "F64"), (30, "BF16")];
        let dtype = plain.iter().find(|(code, _)| *code == tensor.kind).filter(|_| !facts.big_endian);
        let dtype = dtype.map_or_else(|| format!("ggml:{}", tensor.kind), |(_, name)| (*name).to_owned());
        let offset = facts.data.checked_add(tensor.offset)?;
        Some(TensorRow { name: tensor.name.clone(), dtype, shape: tensor.shape.clone(), offset, bytes: tensor.bytes? })
    };
    facts.tensors.iter().filter_map(row).collect()
}

/// A problem behind which nothing was read.
fn gap(problem: &Problem) -> Option<(SkipCode, String)> {
    match problem {
        Problem::Version { version } => Some((SkipCode::Unsupported, format!("GGUF version {version}"))),
        Problem::Truncated { offset, what } => {
            Some((SkipCode::Truncated, format!("{what} ends at byte {offset}, before it should")))
        }
        Problem::ValueType { .. } | Problem::NestedArray { .. } => {
            Some((SkipCode::Malformed, "a value of the metadata cannot be skipped".to_owned()))
        }
        Problem::EntryCount { .. }
        | Problem::TensorCount { .. }
        | Problem::StringLength { .. }
        | Problem::KeyLength { .. }
        | Problem::ArrayLength { .. }
        | Problem::Dimensions { .. } => {
            Some((SkipCode::Malformed, "a count or length in the header is impossible".to_owned()))
        }
        _ => None,
    }
}
