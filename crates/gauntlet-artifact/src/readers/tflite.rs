//! TensorFlow Lite: operators as facts, buffers that hold a file as parts.

use gauntlet_core::SkipCode;

use super::{Head, Reader};
use crate::checks::TFLITE;
use crate::extract::{Content, Place, Walk};
use crate::facts::TfliteFact;
use crate::formats::flatbuffer::FlatError;
use crate::formats::tflite;

/// Reads TFLite.
pub(crate) struct Tflite;

impl Reader for Tflite {
    fn format(&self) -> &'static str {
        "TFLite"
    }

    fn endings(&self) -> &'static [&'static str] {
        &["tflite"]
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        head.prefix.get(4..8) == Some(tflite::MAGIC)
    }

    fn read(&self, walk: &mut Walk<'_>, content: &Content<'_>, place: &Place) {
        walk.with_random(content, place, TFLITE, |walk, source| {
            let (facts, buffers) = match tflite::read(source, walk.budget) {
                Ok(read) => read,
                Err(FlatError::Limit(hit)) => return walk.limit(TFLITE, place, hit),
                Err(FlatError::Io(error)) => return walk.io_failed(TFLITE, place, &error),
                Err(error @ FlatError::OutOfRange { .. }) => {
                    return walk.skip(TFLITE, place, SkipCode::Malformed, error.to_string());
                }
            };
            match &facts.broken {
                Some(why) => walk.skip(TFLITE, place, SkipCode::Malformed, why.clone()),
                None => walk.looked_at(TFLITE),
            }
            walk.facts.push(TFLITE, place.location.clone(), &TfliteFact(facts));
            for bytes in buffers {
                walk.embedded(source, bytes.offset, bytes.len, place, &format!("<buffer {}>", bytes.buffer));
            }
        });
    }
}
