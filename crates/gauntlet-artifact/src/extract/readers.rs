//! Formats that are no containers: pickle, safetensors, ONNX, NumPy arrays.

use gauntlet_core::{MaskKey, Masked, SkipCode};
use gauntlet_limits::{ReadAt, Window};
use gauntlet_onnx::{Model, OnnxError, OnnxFacts};
use gauntlet_pickle::{Options, Origin, PickleFacts, StreamEnd};

use super::content::{Content, Spool};
use super::mask::mask;
use super::{Place, Walk};
use crate::checks::{ONNX, PICKLE, SAFETENSORS};
use crate::facts::{NpyBroken, NpyFact, OnnxFact, PickleFact, SafetensorsFact};
use crate::formats::npy::{self, NpyError};
use crate::formats::safetensors::{self, HeaderError};
use crate::formats::text::reads_as_code;

impl Walk<'_> {
    pub(super) fn pickle(&mut self, content: &Content<'_>, place: &Place, announced: bool, in_npy: bool) {
        let mut stream = match content.open() {
            Ok(stream) => stream,
            Err(error) => return self.failed(PICKLE, place, &error),
        };
        let mut facts = gauntlet_pickle::interpret(&mut *stream, self.budget, &Options::default());
        self.pickle_coverage(&facts, place, announced);
        mask(&mut facts, crate::rules::pickle().as_ref().ok(), self.mask);
        self.facts.push(PICKLE, place.location.clone(), &PickleFact { pickle: facts, in_npy, announced });
    }

    fn pickle_coverage(&mut self, facts: &PickleFacts, place: &Place, announced: bool) {
        let before = self.facts.coverage_mut(PICKLE).skipped.len();
        if let Some(hit) = facts.limit {
            self.limit(PICKLE, place, hit);
        }
        if let Some(message) = &facts.io_error {
            self.skip(PICKLE, place, SkipCode::Malformed, message.clone());
        }
        if facts.truncated || facts.streams.iter().any(|stream| !stream.truncated.is_empty()) {
            self.skip(PICKLE, place, SkipCode::Limit, "more imports, calls or streams than are kept");
        }
        if facts.gaps.iter().any(|gap| gap.searched < gap.len) {
            self.skip(PICKLE, place, SkipCode::Limit, "more bytes outside of pickles than are searched");
        }
        for stream in &facts.streams {
            let own = matches!(stream.origin, Origin::First | Origin::Stacked);
            let (code, detail) = match &stream.end {
                StreamEnd::Truncated if own && announced => {
                    (SkipCode::Truncated, format!("the pickle at {} has no end", stream.offset))
                }
                StreamEnd::Malformed { what, offset } if own && announced => {
                    (SkipCode::Malformed, format!("the pickle at {} breaks at {offset}: {what}", stream.offset))
                }
                StreamEnd::Limit { hit } => (SkipCode::Limit, hit.to_string()),
                _ => continue,
            };
            self.skip(PICKLE, place, code, detail);
        }
        if self.facts.coverage_mut(PICKLE).skipped.len() == before {
            self.looked_at(PICKLE);
        }
    }

    pub(super) fn safetensors(&mut self, source: &dyn ReadAt, place: &Place) {
        match safetensors::read(source, self.budget.limits()) {
            Ok(facts) => {
                self.looked_at(SAFETENSORS);
                let tail = facts.tail;
                for entry in &facts.metadata {
                    if let Some(text) = &entry.text {
                        self.metadata_template(&entry.key, text, place);
                    }
                }
                self.weights(source, &facts.rows, place);
                self.facts.push(SAFETENSORS, place.location.clone(), &SafetensorsFact(facts));
                if let Some(offset) = tail {
                    self.rest(source, offset, place);
                }
            }
            Err(HeaderError::Limit(hit)) => self.limit(SAFETENSORS, place, hit),
            Err(HeaderError::Io(error)) => self.io_failed(SAFETENSORS, place, &error),
        }
    }

    pub(super) fn onnx(&mut self, source: &dyn ReadAt, place: &Place) {
        match Model::read(source, self.budget) {
            Ok(model) => {
                let mut facts = OnnxFacts::of(&model);
                for (key, value) in &facts.metadata {
                    self.metadata_template(key, value, place);
                }
                let code_metadata = mask_metadata(&mut facts, self.mask);
                if facts.truncated.is_empty() {
                    self.looked_at(ONNX);
                } else {
                    self.skip(ONNX, place, SkipCode::Limit, "more entries than are kept");
                }
                self.facts.push(
                    ONNX,
                    place.location.clone(),
                    &OnnxFact::Model { facts: Box::new(facts), code_metadata },
                );
            }
            Err(OnnxError::Limit(hit)) => self.limit(ONNX, place, hit),
            Err(OnnxError::Io(error)) => self.io_failed(ONNX, place, &error),
            Err(error @ (OnnxError::Malformed { .. } | OnnxError::Truncated { .. } | OnnxError::NotModel)) => {
                let code = match error {
                    OnnxError::Truncated { .. } => SkipCode::Truncated,
                    _ => SkipCode::Malformed,
                };
                self.skip(ONNX, place, code, error.to_string());
                let fact = OnnxFact::Broken { message: error.to_string() };
                self.facts.push(ONNX, place.location.clone(), &fact);
            }
        }
    }

    /// Whether content that begins like a model is one. A budget that runs out leaves it to the reader to say so.
    pub(super) fn is_onnx(&self, content: &Content<'_>) -> bool {
        let read = |source: &dyn ReadAt| {
            !matches!(
                Model::read(source, self.budget),
                Err(OnnxError::Malformed { .. } | OnnxError::Truncated { .. } | OnnxError::NotModel)
            )
        };
        match content {
            Content::Plain(source) => read(*source),
            Content::Packed(_) => Spool::fill(content).is_ok_and(|(spool, error)| error.is_none() && read(&spool)),
        }
    }

    pub(super) fn npy(&mut self, source: &dyn ReadAt, place: &Place) {
        let facts = match npy::read(source) {
            Ok(facts) => facts,
            Err(NpyError::Io(error)) => return self.io_failed(PICKLE, place, &error),
            Err(error @ NpyError::Malformed(_)) => {
                let message = error.to_string();
                self.skip(PICKLE, place, SkipCode::Malformed, message.clone());
                return self.facts.push(PICKLE, place.location.clone(), &NpyBroken { message });
            }
        };
        let data = Window::new(source, facts.data, facts.available);
        if facts.has_objects {
            // Offsets count from the data, as in every other part of a file.
            self.pickle(&Content::Plain(&data), &place.part(facts.data), true, true);
        } else {
            self.looked_at(PICKLE);
            if let Some(expected) = facts.expected.filter(|expected| *expected < facts.available) {
                self.rest(source, facts.data + expected, place);
            }
        }
        self.facts.push(PICKLE, place.location.clone(), &NpyFact(facts));
    }

    /// A text of a model's metadata, which may be a template.
    fn metadata_template(&mut self, key: &str, text: &str, place: &Place) {
        if gauntlet_template::looks_like_template(text) {
            let location = place.location.clone().in_field(key.chars().take(100).collect::<String>());
            self.template(text, &Place { location, ..place.clone() }, key.contains("chat_template"));
        }
    }

    /// Bytes behind what a format accounts for may be another file.
    fn rest(&mut self, source: &dyn ReadAt, offset: u64, place: &Place) {
        let rest = Window::new(source, offset, u64::MAX);
        self.examine(&Content::Plain(&rest), &place.part(offset));
    }
}

/// Masks the values, which may name people; returns the keys whose values read as code.
fn mask_metadata(facts: &mut OnnxFacts, key: &MaskKey) -> Vec<String> {
    let mut code = Vec::new();
    for (name, value) in &mut facts.metadata {
        if reads_as_code(value) {
            code.push(name.clone());
        }
        *value = Masked::new(value, 8, key).as_str().to_owned();
    }
    code
}
