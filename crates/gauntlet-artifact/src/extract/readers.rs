//! Formats that are no containers: pickle, safetensors, ONNX, NumPy arrays.

use gauntlet_archive::ArchiveError;
use gauntlet_core::{Limit, MaskKey, Masked, SkipCode};
use gauntlet_limits::{ReadAt, Sequential, Window};
use gauntlet_onnx::{Model, OnnxError, OnnxFacts};
use gauntlet_pickle::{Options, Origin, PickleFacts, StreamEnd};

use super::content::{Content, Opened, Spool};
use super::mask::mask;
use super::{Place, Walk};
use crate::checks::{ONNX, PICKLE, SAFETENSORS};
use crate::facts::{GraphCode, NpyBroken, NpyFact, OnnxFact, PickleFact, SafetensorsFact};
use crate::formats::npy::{self, NpyError, NpyFacts};
use crate::formats::safetensors::{self, HeaderError};
use crate::formats::tensor::TensorRow;
use crate::formats::text::reads_as_code;

/// Long pickles inside the calls of one pickle that are read.
const LITERALS: usize = 64;

impl Walk<'_> {
    pub(super) fn pickle(&mut self, content: &Content<'_>, place: &Place, announced: bool, in_npy: bool) {
        let mut stream = match content.open() {
            Ok(stream) => stream,
            Err(error) => return self.failed(PICKLE, place, &error),
        };
        let mut facts = gauntlet_pickle::interpret(&mut *stream, self.budget, &Options::default());
        self.storages = facts.streams.iter().flat_map(|stream| stream.persistent_ids.storages.clone()).collect();
        let foreign = std::mem::take(&mut facts.foreign);
        let whole = self.whole_literals(&mut facts, content, place);
        for (at, bytes) in foreign.iter().enumerate() {
            // A literal that was cut is read where it stands.
            if bytes.literal_at.is_none_or(|at| !whole.contains(&at)) {
                self.part(&Content::Plain(&bytes.bytes), place, &format!("<loaded bytes {at}>"));
            }
        }
        let graphs = std::mem::take(&mut facts.sources).into_iter().map(|source| {
            let code = source.text.and_then(|text| gauntlet_python::straight(&text, self.budget.limits()).ok());
            GraphCode { stream: source.stream, offset: source.offset, code }
        });
        let graphs = graphs.collect();
        self.pickle_coverage(&facts, place, announced);
        mask(&mut facts, crate::rules::pickle().as_ref().ok(), self.mask);
        self.facts.push(PICKLE, place.location.clone(), &PickleFact { pickle: facts, in_npy, announced, graphs });
    }

    /// Reads pickles inside calls, of which the machine saw the beginning only, where they lie. Which ones.
    fn whole_literals(&mut self, facts: &mut PickleFacts, content: &Content<'_>, place: &Place) -> Vec<u64> {
        let mut read = Vec::new();
        for stream in &mut facts.streams {
            let Origin::Nested { depth: 1, complete, literal_at: Some(at), len, .. } = &mut stream.origin else {
                continue;
            };
            if *complete || read.len() >= LITERALS {
                continue;
            }
            let (at, len) = (*at, *len);
            let here = place.part(at);
            match content {
                Content::Plain(source) => self.literal(&Content::Plain(&Window::new(*source, at, len)), &here),
                Content::Packed(_) => {
                    let open = || -> Result<Opened<'_>, ArchiveError> {
                        let mut stream = content.open()?;
                        stream.skip(at)?;
                        Ok(Box::new(Sequential::new(std::io::Read::take(stream, len))))
                    };
                    self.literal(&Content::Packed(&open), &here);
                }
            }
            *complete = true;
            read.push(at);
        }
        read
    }

    /// Reads bytes that a call loads: as a pickle, since it does, and as whatever else they are.
    fn literal(&mut self, content: &Content<'_>, here: &Place) {
        self.examine(content, here);
        let prefix = content.prefix(super::format::PREFIX);
        let sniffed = prefix.is_ok_and(|p| gauntlet_pickle::looks_like_pickle(&p.bytes, p.complete).is_some());
        // One that begins with a long literal is recognised by no prefix.
        if !sniffed && self.budget.limits().check(Limit::Depth, here.depth).is_ok() {
            self.pickle(content, here, false, false);
        }
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
            match facts.expected {
                Some(expected) if expected < facts.available => {
                    self.array(source, &facts, expected, place);
                    self.rest(source, facts.data + expected, place);
                }
                Some(expected) if expected == facts.available => self.array(source, &facts, expected, place),
                Some(expected) if expected > facts.available => {
                    let detail = format!("the shape needs {expected} bytes, {} are there", facts.available);
                    self.skip(PICKLE, place, SkipCode::Truncated, detail);
                }
                _ => {}
            }
        }
        self.facts.push(PICKLE, place.location.clone(), &NpyFact(facts));
    }

    /// Looks at the numbers of an array.
    fn array(&mut self, source: &dyn ReadAt, facts: &NpyFacts, bytes: u64, place: &Place) {
        let row = TensorRow {
            name: "array".to_owned(),
            dtype: npy::dtype(&facts.descr).to_owned(),
            shape: facts.shape.clone(),
            offset: facts.data,
            bytes,
        };
        self.weights(source, &[row], place);
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
