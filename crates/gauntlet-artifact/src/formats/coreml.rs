//! Core ML's `Model` message: classes that it wants from the app, files beside it, models inside of it.
//!
//! Field numbers are those of coremltools 9's `.proto` files.

use std::collections::BTreeSet;

use gauntlet_limits::{Budget, ReadAt};
use gauntlet_protobuf::{Meter, Source, Span, Value, WireError};
use serde::{Deserialize, Serialize};

use super::protobuf::Fields;

/// Texts are cut here.
const TEXT: u64 = 512;
/// Entries of each list.
const ENTRIES: usize = 10_000;

/// Everything seen in a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct CoremlFacts {
    /// `specificationVersion`.
    pub version: u64,
    /// Numbers of the fields that say what kind of model it is, inner models included.
    pub kinds: BTreeSet<u32>,
    /// Classes of custom layers, with the layer's name.
    pub layers: Vec<(String, String)>,
    /// Classes of custom models.
    pub classes: Vec<String>,
    /// Types of operations of ML programs.
    pub operators: BTreeSet<String>,
    /// Files that ML programs keep their weights in.
    pub files: BTreeSet<String>,
    /// Files and search paths of linked models.
    pub links: Vec<String>,
    /// Entries of lists that were cut.
    pub more: u64,
    /// Why the file could not be read to its end.
    pub broken: Option<String>,
}

/// Whether the first bytes are those of a model: a version, and a field that says what kind of model it is.
pub(crate) fn looks_like(prefix: &[u8]) -> bool {
    let Some(fields) = Fields::of(prefix) else { return false };
    let known = |n: u32| matches!(n, 1 | 2 | 10) || is_kind(n);
    let numbers: Vec<_> = fields.numbers().collect();
    numbers.contains(&1)
        && numbers.iter().all(|n| matches!(n, 1 | 10 | 11))
        && fields.bytes().all(known)
        && fields.bytes().any(is_kind)
}

/// The members of `oneof Type`.
fn is_kind(number: u32) -> bool {
    matches!(number, 200..=202 | 300..=304 | 400..=404 | 500..=502 | 555 | 556 | 560 | 600..=610 | 900 | 2000..=2010 | 3000)
}

/// Reads a model. An error ends the reading; what was read before it comes back, too.
pub(crate) fn read(bytes: &dyn ReadAt, budget: &Budget) -> (CoremlFacts, Option<WireError>) {
    let source = Source::new(bytes, budget);
    let mut reader =
        Reader { source: &source, meter: Meter::new(budget), facts: CoremlFacts::default(), queue: Vec::new() };
    reader.queue.push((Part::Model, source.whole()));
    let error = reader.run().err();
    reader.facts.broken = error.as_ref().map(ToString::to_string);
    (reader.facts, error)
}

/// A message that waits to be read.
#[derive(Clone, Copy)]
enum Part {
    Model,
    Pipeline,
    Network,
    Layer,
    Linked,
    Program,
    Function,
    Block,
    Operation,
    Argument,
    /// A name or a value.
    Binding,
    /// An entry of a map whose value is the part.
    Entry(Inner),
    Value,
}

#[derive(Clone, Copy)]
enum Inner {
    Function,
    Block,
    Argument,
    Value,
}

struct Reader<'s, 'a> {
    source: &'s Source<'a>,
    meter: Meter<'a>,
    facts: CoremlFacts,
    queue: Vec<(Part, Span)>,
}

impl Reader<'_, '_> {
    fn run(&mut self) -> Result<(), WireError> {
        while let Some((part, span)) = self.queue.pop() {
            let source = self.source;
            let mut fields = source.fields(span);
            let mut layer = String::new();
            while let Some((number, value)) = fields.next_field()? {
                match value {
                    Value::Bytes(inner) => self.field(part, number, inner, &mut layer)?,
                    Value::Varint(version) if matches!((part, number), (Part::Model, 1)) => {
                        self.facts.version = self.facts.version.max(version);
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn field(&mut self, part: Part, number: u32, span: Span, layer: &mut String) -> Result<(), WireError> {
        let next = match (part, number) {
            (Part::Model, number) if is_kind(number) => {
                self.facts.kinds.insert(number);
                match number {
                    200..=202 => Part::Pipeline,
                    303 | 403 | 500 => Part::Network,
                    502 => Part::Program,
                    555 => return self.class(span),
                    556 => Part::Linked,
                    560 => Part::Model,
                    _ => return Ok(()),
                }
            }
            // Models of a pipeline; its classifying and regressing forms hold the pipeline in the same field.
            (Part::Pipeline, 1) => {
                self.queue.push((Part::Pipeline, span));
                Part::Model
            }
            (Part::Network, 1) => Part::Layer,
            (Part::Layer, 1) => {
                *layer = self.text(span)?;
                return Ok(());
            }
            (Part::Layer, 500) => return self.custom_layer(span, layer),
            // Branches and loops hold networks.
            (Part::Layer, 600..=620) => {
                for network in self.messages(span)? {
                    self.queue.push((Part::Network, network));
                }
                return Ok(());
            }
            (Part::Linked, _) => return self.linked(span),
            (Part::Program, 2) => Part::Entry(Inner::Function),
            (Part::Function, 3) => Part::Entry(Inner::Block),
            (Part::Block, 3) => Part::Operation,
            (Part::Operation, 1) => {
                let name = self.text(span)?;
                if self.facts.operators.len() < ENTRIES {
                    self.facts.operators.insert(name);
                } else {
                    self.facts.more += 1;
                }
                return Ok(());
            }
            (Part::Operation, 2) => Part::Entry(Inner::Argument),
            (Part::Operation, 4) => Part::Block,
            (Part::Operation, 5) => Part::Entry(Inner::Value),
            (Part::Argument, 1) => Part::Binding,
            (Part::Binding, 2) => Part::Value,
            (Part::Entry(inner), 2) => match inner {
                Inner::Function => Part::Function,
                Inner::Block => Part::Block,
                Inner::Argument => Part::Argument,
                Inner::Value => Part::Value,
            },
            (Part::Value, 5) => return self.file(span),
            _ => return Ok(()),
        };
        self.meter.item::<(Part, Span)>()?;
        self.queue.push((next, span));
        Ok(())
    }

    /// Sub-messages of a message.
    fn messages(&mut self, span: Span) -> Result<Vec<Span>, WireError> {
        let mut found = Vec::new();
        let mut fields = self.source.fields(span);
        while let Some((_, value)) = fields.next_field()? {
            if let Some(inner) = value.span() {
                self.meter.item::<Span>()?;
                found.push(inner);
            }
        }
        Ok(found)
    }

    /// The first text in field `wanted` of a message.
    fn text_in(&mut self, span: Span, wanted: u32) -> Result<String, WireError> {
        let source = self.source;
        let mut fields = source.fields(span);
        let mut text = String::new();
        while let Some((number, value)) = fields.next_field()? {
            if let (true, Some(inner)) = (number == wanted, value.span()) {
                text = self.text(inner)?;
            }
        }
        Ok(text)
    }

    fn custom_layer(&mut self, span: Span, layer: &str) -> Result<(), WireError> {
        let class = self.text_in(span, 10)?;
        if self.facts.layers.len() < ENTRIES {
            self.facts.layers.push((layer.to_owned(), class));
        } else {
            self.facts.more += 1;
        }
        Ok(())
    }

    fn class(&mut self, span: Span) -> Result<(), WireError> {
        let class = self.text_in(span, 1)?;
        self.facts.classes.push(class);
        Ok(())
    }

    /// `StringParameter` of the file's name, and of the paths that it is looked for in.
    fn linked(&mut self, span: Span) -> Result<(), WireError> {
        for parameter in self.messages(span)? {
            let text = self.text_in(parameter, 1)?;
            if !text.is_empty() && self.facts.links.len() < ENTRIES {
                self.facts.links.push(text);
            }
        }
        Ok(())
    }

    fn file(&mut self, span: Span) -> Result<(), WireError> {
        let file = self.text_in(span, 1)?;
        if self.facts.files.len() < ENTRIES {
            self.facts.files.insert(file);
        } else {
            self.facts.more += 1;
        }
        Ok(())
    }

    fn text(&mut self, span: Span) -> Result<String, WireError> {
        let span = Span { len: span.len.min(TEXT), ..span };
        self.meter.bytes(span.len.saturating_add(size_of::<String>() as u64))?;
        Ok(String::from_utf8_lossy(&self.source.load(span)?).into_owned())
    }
}
