//! TensorFlow: graphs as facts; Keras documents, files inside constants and graphs inside strings as parts.

use gauntlet_core::SkipCode;
use gauntlet_limits::{ReadAt, Window};
use gauntlet_protobuf::WireError;

use super::{Head, Reader, keras};
use crate::checks::{KERAS, TENSORFLOW};
use crate::extract::{Content, Place, Walk};
use crate::facts::TensorflowFact;
use crate::formats::pbtxt::{self, TextError};
use crate::formats::tensorflow::{Kind, Model, SCHEMA, TensorflowFacts, is_message, root, sniff, sniff_text};
use crate::rules::tensorflow::tensorflow;

/// Bytes by which a message is recognised.
const PREFIX: u64 = 64 << 10;
/// Graphs inside of strings that are looked for in the first bytes only.
const INNER: u64 = 4 << 10;

/// Reads `SavedModel`, `MetaGraphDef`, `GraphDef`, and what Keras puts beside them.
pub(crate) struct Tensorflow;

impl Reader for Tensorflow {
    fn format(&self) -> &'static str {
        "TensorFlow"
    }

    fn endings(&self) -> &'static [&'static str] {
        // `.pb` and `.meta` are endings of every protobuf and of many other files.
        &[]
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        kind_of(head.prefix).is_some() || (named(head) && !gauntlet_onnx::looks_like_model(head.prefix))
    }

    fn read(&self, walk: &mut Walk<'_>, content: &Content<'_>, place: &Place) {
        walk.with_random(content, place, TENSORFLOW, |walk, source| {
            let mut prefix = vec![0; usize::try_from(source.size().min(PREFIX)).unwrap_or(0)];
            if let Err(error) = source.read_exact_at(0, &mut prefix) {
                return walk.io_failed(TENSORFLOW, place, &error);
            }
            match kind_of(&prefix) {
                Some((kind, true)) => text(walk, source, kind, place),
                Some((kind, false)) => wire(walk, source, kind, place, None),
                None => trial(walk, source, place),
            }
        });
    }
}

/// What the content is, and whether it is text.
fn kind_of(prefix: &[u8]) -> Option<(Kind, bool)> {
    if prefix.iter().take(64).any(|byte| *byte < 9) || std::str::from_utf8(prefix.get(..16).unwrap_or(prefix)).is_err()
    {
        return sniff(prefix, &is_operation).map(|kind| (kind, false));
    }
    sniff_text(prefix).map(|kind| (kind, true)).or_else(|| sniff(prefix, &is_operation).map(|kind| (kind, false)))
}

fn is_operation(name: &str) -> bool {
    tensorflow().as_ref().is_ok_and(|rules| rules.tier(name).is_some())
}

/// Called like a file that TensorFlow opens, and a message by its first bytes.
fn named(head: &Head<'_>) -> bool {
    let base = head.base();
    let name =
        matches!(base, "saved_model.pb" | "keras_metadata.pb") || matches!(head.ending().as_str(), "pb" | "meta");
    name && is_message(head.prefix)
}

/// A message whose first bytes do not say what it is: read as each kind until one has nodes that TensorFlow knows.
fn trial(walk: &mut Walk<'_>, source: &dyn ReadAt, place: &Place) {
    for kind in [Kind::SavedModel, Kind::MetaGraph, Kind::Graph] {
        let (model, error) = Model::read(source, kind, walk.budget);
        if let Some(WireError::Limit(hit)) = error {
            return walk.limit(TENSORFLOW, place, hit);
        }
        if model.nodes().any(|node| is_operation(&node.op)) {
            return wire(walk, source, kind, place, None);
        }
    }
    let what = match super::base(&place.name) {
        "saved_model.pb" | "keras_metadata.pb" => "named like TensorFlow's, and no message of it",
        name if name.ends_with(".meta") => return,
        _ => "a protobuf message of no known kind",
    };
    walk.skip(TENSORFLOW, place, SkipCode::Unsupported, what);
}

fn text(walk: &mut Walk<'_>, source: &dyn ReadAt, kind: Kind, place: &Place) {
    let bytes = match source.read_block(0, source.size(), walk.budget.limits()) {
        Ok(bytes) => bytes,
        Err(error) => return walk.io_failed(TENSORFLOW, place, &error),
    };
    if let Err(hit) = walk.budget.steps(bytes.len() as u64 / 8) {
        return walk.limit(TENSORFLOW, place, hit);
    }
    let (encoded, error) = pbtxt::encode(&bytes, SCHEMA, root(kind), walk.budget.limits());
    drop(bytes);
    wire(walk, &encoded, kind, place, Some(error));
}

/// Reads the wire format; `text` when it was made from text, with the error that ended that.
fn wire(walk: &mut Walk<'_>, source: &dyn ReadAt, kind: Kind, place: &Place, text: Option<Option<TextError>>) {
    let (model, error) = Model::read(source, kind, walk.budget);
    let mut facts = TensorflowFacts::of(&model);
    facts.text = text.is_some();
    let mut complete = true;
    if let Some(error) = text.flatten() {
        complete = false;
        match error {
            TextError::Limit(hit) => walk.limit(TENSORFLOW, place, hit),
            TextError::Malformed { .. } => walk.skip(TENSORFLOW, place, SkipCode::Malformed, error.to_string()),
        }
        facts.broken = Some(error.to_string());
    }
    if let Some(error) = error {
        complete = false;
        facts.broken = Some(error.to_string());
        match error {
            WireError::Limit(hit) => walk.limit(TENSORFLOW, place, hit),
            WireError::Io(error) => walk.io_failed(TENSORFLOW, place, &error),
            WireError::Truncated { .. } => walk.skip(TENSORFLOW, place, SkipCode::Truncated, error.to_string()),
            WireError::Malformed { .. } => walk.skip(TENSORFLOW, place, SkipCode::Malformed, error.to_string()),
        }
    }
    if facts.more > 0 {
        complete = false;
        walk.skip(TENSORFLOW, place, SkipCode::Limit, "more operations or constants than are kept");
    }
    if complete {
        walk.looked_at(TENSORFLOW);
    }
    walk.facts.push(TENSORFLOW, place.location.clone(), &TensorflowFact(facts));
    for (name, span) in &model.documents {
        let place = place.member(name);
        match source.read_block(span.offset, span.len, walk.budget.limits()) {
            Ok(bytes) => keras::text(walk, &bytes, &place),
            Err(error) => walk.io_failed(KERAS, &place, &error),
        }
    }
    for blob in &model.blobs {
        let name = format!("<{}>", blob.name);
        if !walk.embedded(source, blob.span.offset, blob.span.len, place, &name) {
            inner(walk, source, blob.span.offset, blob.span.len, place, &name);
        }
    }
}

/// A graph inside of a string of a graph.
fn inner(walk: &mut Walk<'_>, source: &dyn ReadAt, offset: u64, len: u64, place: &Place, name: &str) {
    let window = Window::new(source, offset, len);
    let mut prefix = vec![0; usize::try_from(window.size().min(INNER)).unwrap_or(0)];
    if window.read_exact_at(0, &mut prefix).is_ok() && kind_of(&prefix).is_some() {
        walk.part(&Content::Plain(&window), place, name);
    }
}
