//! From the wire format to a [`Model`]. What was read before an error stays; messages in messages wait in queues.

use gauntlet_limits::{Budget, ReadAt};
use gauntlet_protobuf::{Meter, Source, Span, Value, WireError};

use super::graph::{Asset, Blob, Kind, MetaGraph, Model, Node, Scope, Signature};

/// Texts of attributes and constants are cut here.
const TEXT: u64 = 512;
/// Strings of one constant that are kept.
const STRINGS: usize = 8;
/// Shorter bytes hold no file worth a look.
const BLOB: u64 = 32;
/// Blobs that are kept.
const BLOBS: usize = 20_000;

type Result<T> = std::result::Result<T, WireError>;

impl Model {
    /// Reads `bytes` as `kind`. An error ends the reading; what was read before it comes back, too.
    pub(crate) fn read(bytes: &dyn ReadAt, kind: Kind, budget: &Budget) -> (Self, Option<WireError>) {
        let source = Source::new(bytes, budget);
        let mut reader = Reader { source: &source, meter: Meter::new(budget), model: Self { kind, ..Self::default() } };
        let whole = source.whole();
        let done = match kind {
            Kind::SavedModel => reader.saved_model(whole),
            Kind::MetaGraph => reader.meta_graph(whole),
            Kind::Graph => reader.new_graph().and_then(|at| reader.graph(at, whole)),
            Kind::KerasMetadata => reader.keras_metadata(whole),
            Kind::Fingerprint => reader.pass(whole),
        };
        (reader.model, done.err())
    }

    /// Nodes of all graphs and functions.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.graphs.iter().flat_map(|graph| {
            graph.main.nodes.iter().chain(graph.functions.iter().flat_map(|function| &function.nodes))
        })
    }
}

struct Reader<'s, 'a> {
    source: &'s Source<'a>,
    meter: Meter<'a>,
    model: Model,
}

impl Reader<'_, '_> {
    /// Calls `visit` with each field of the message.
    fn each(&mut self, span: Span, mut visit: impl FnMut(&mut Self, u32, Value) -> Result<()>) -> Result<()> {
        let source = self.source;
        let mut fields = source.fields(span);
        while let Some((number, value)) = fields.next_field()? {
            visit(self, number, value)?;
        }
        Ok(())
    }

    /// Only sees to it that the message is one.
    fn pass(&mut self, span: Span) -> Result<()> {
        self.each(span, |_, _, _| Ok(()))
    }

    fn unknown(&mut self) {
        self.model.unknown_fields += 1;
    }

    fn saved_model(&mut self, span: Span) -> Result<()> {
        self.each(span, |r, number, value| {
            match (number, value) {
                (1, Value::Varint(_)) => {}
                (2, Value::Bytes(graph)) => r.meta_graph(graph)?,
                _ => r.unknown(),
            }
            Ok(())
        })
    }

    fn new_graph(&mut self) -> Result<usize> {
        self.meter.item::<MetaGraph>()?;
        self.model.graphs.push(MetaGraph::default());
        Ok(self.model.graphs.len() - 1)
    }

    fn meta_graph(&mut self, span: Span) -> Result<()> {
        let at = self.new_graph()?;
        self.each(span, |r, number, value| {
            match (number, value) {
                (1, Value::Bytes(s)) => r.meta_info(at, s)?,
                (2, Value::Bytes(s)) => r.graph(at, s)?,
                (3, Value::Bytes(s)) => r.saver(at, s)?,
                (4, Value::Bytes(s)) => r.collection(at, s)?,
                (5, Value::Bytes(s)) => r.signature(at, s)?,
                (6, Value::Bytes(s)) => r.asset(at, s)?,
                (7, Value::Bytes(s)) => r.objects(at, s)?,
                _ => r.unknown(),
            }
            Ok(())
        })
    }

    fn meta_info(&mut self, at: usize, span: Span) -> Result<()> {
        self.each(span, |r, number, value| {
            match (number, value) {
                (2, Value::Bytes(list)) => r.each(list, |r, number, value| {
                    if let (1, Value::Bytes(op)) = (number, value) {
                        let name = r.op_name(op)?;
                        r.model.graphs[at].declared.push(name);
                    }
                    Ok(())
                })?,
                (4, Value::Bytes(s)) => {
                    let tag = r.text(s)?;
                    r.model.graphs[at].tags.push(tag);
                }
                (5, Value::Bytes(s)) => r.model.graphs[at].version = r.text(s)?,
                _ => {}
            }
            Ok(())
        })
    }

    /// Also the name of a function: its signature is an `OpDef`.
    fn op_name(&mut self, span: Span) -> Result<String> {
        let mut name = String::new();
        self.each(span, |r, number, value| {
            if let (1, Value::Bytes(s)) = (number, value) {
                name = r.text(s)?;
            }
            Ok(())
        })?;
        Ok(name)
    }

    fn saver(&mut self, at: usize, span: Span) -> Result<()> {
        self.each(span, |r, number, value| {
            if let (2 | 3, Value::Bytes(s)) = (number, value) {
                let name = r.text(s)?;
                r.model.graphs[at].savers.push(name);
            }
            Ok(())
        })
    }

    fn collection(&mut self, at: usize, span: Span) -> Result<()> {
        let (mut key, mut content) = (String::new(), Vec::new());
        self.each(span, |r, number, value| {
            match (number, value) {
                (1, Value::Bytes(s)) => key = r.text(s)?,
                (2, Value::Bytes(s)) => content.push(s),
                _ => {}
            }
            Ok(())
        })?;
        for span in content {
            self.each(span, |r, number, value| match (number, value) {
                (1 | 2 | 5, Value::Bytes(list)) => r.each(list, |r, inner, value| match (inner, value) {
                    (1, Value::Bytes(entry)) => r.collected(at, &key, number, entry),
                    _ => Ok(()),
                }),
                _ => Ok(()),
            })?;
        }
        Ok(())
    }

    /// One entry of a collection; `list` is the field of its list: nodes (1), bytes (2), any (5).
    fn collected(&mut self, at: usize, key: &str, list: u32, span: Span) -> Result<()> {
        match (list, key) {
            (1, "saved_model_main_op" | "legacy_init_op" | "main_op" | "saved_model_legacy_init_op") => {
                let name = self.text(span)?;
                self.model.graphs[at].on_load.push(name);
            }
            (2, "savers") => self.saver(at, span)?,
            (5, _) => {
                let content = self.any(span)?;
                if key == "saved_model_assets" {
                    for content in content {
                        self.asset(at, content)?;
                    }
                }
            }
            (2, _) => self.blob(span, || format!("collection {key}"))?,
            _ => {}
        }
        Ok(())
    }

    /// Values of an `Any`.
    fn any(&mut self, span: Span) -> Result<Vec<Span>> {
        let mut content = Vec::new();
        self.each(span, |_, number, value| {
            content.extend(value.span().filter(|_| number == 2));
            Ok(())
        })?;
        Ok(content)
    }

    fn signature(&mut self, at: usize, span: Span) -> Result<()> {
        self.meter.item::<Signature>()?;
        let (mut signature, mut values) = (Signature::default(), Vec::new());
        self.each(span, |r, number, value| {
            match (number, value) {
                (1, Value::Bytes(s)) => signature.key = r.text(s)?,
                (2, Value::Bytes(s)) => values.push(s),
                _ => {}
            }
            Ok(())
        })?;
        for value in values {
            self.each(value, |r, number, value| {
                let (2, Value::Bytes(entry)) = (number, value) else { return Ok(()) };
                r.each(entry, |r, number, value| {
                    if let (2, Value::Bytes(info)) = (number, value) {
                        signature.outputs.push(r.op_name(info)?);
                    }
                    Ok(())
                })
            })?;
        }
        self.model.graphs[at].signatures.push(signature);
        Ok(())
    }

    fn asset(&mut self, at: usize, span: Span) -> Result<()> {
        self.meter.item::<Asset>()?;
        let mut asset = Asset::default();
        self.each(span, |r, number, value| {
            match (number, value) {
                (1, Value::Bytes(s)) => asset.tensor = r.op_name(s)?,
                (2, Value::Bytes(s)) => asset.file = r.text(s)?,
                _ => {}
            }
            Ok(())
        })?;
        self.model.graphs[at].assets.push(asset);
        Ok(())
    }

    fn objects(&mut self, at: usize, span: Span) -> Result<()> {
        let mut index = 0;
        self.each(span, |r, number, value| {
            let (1, Value::Bytes(object)) = (number, value) else { return Ok(()) };
            index += 1;
            r.object(at, index - 1, object)
        })
    }

    fn object(&mut self, at: usize, index: u64, span: Span) -> Result<()> {
        self.each(span, |r, number, value| match (number, value) {
            (4, Value::Bytes(user)) => r.each(user, |r, number, value| {
                match (number, value) {
                    (1, Value::Bytes(s)) => {
                        let name = r.text(s)?;
                        *r.model.graphs[at].objects.entry(name).or_default() += 1;
                    }
                    (3, Value::Bytes(s)) => r.document(s, || format!("<object {index}>.json"))?,
                    _ => {}
                }
                Ok(())
            }),
            (13 | 16, Value::Bytes(s)) if s.len > 0 => {
                let name = r.text(s)?;
                *r.model.graphs[at].registered.entry(name).or_default() += 1;
                Ok(())
            }
            _ => Ok(()),
        })
    }

    /// Metadata of Keras is a JSON object; anything else is of no concern.
    fn document(&mut self, span: Span, name: impl FnOnce() -> String) -> Result<()> {
        let first = self.source.load(Span { len: span.len.min(64), ..span })?;
        if first.trim_ascii_start().starts_with(b"{") {
            self.meter.item::<(String, Span)>()?;
            self.model.documents.push((name(), span));
        }
        Ok(())
    }

    fn keras_metadata(&mut self, span: Span) -> Result<()> {
        let mut index = 0;
        self.each(span, |r, number, value| {
            let (1, Value::Bytes(node)) = (number, value) else {
                r.unknown();
                return Ok(());
            };
            index += 1;
            r.each(node, |r, _, value| match value {
                // Whatever field it is in: writers differ, and a document is one by its content.
                Value::Bytes(s) => r.document(s, || format!("<node {}>.json", index - 1)),
                _ => Ok(()),
            })
        })
    }

    fn graph(&mut self, at: usize, span: Span) -> Result<()> {
        self.each(span, |r, number, value| {
            match (number, value) {
                (1, Value::Bytes(s)) => {
                    let node = r.node(s)?;
                    r.model.graphs[at].main.nodes.push(node);
                }
                (2, Value::Bytes(library)) => r.each(library, |r, number, value| match (number, value) {
                    (1, Value::Bytes(s)) => r.function(at, s),
                    _ => Ok(()),
                })?,
                (3, Value::Varint(_)) | (4 | 5, Value::Bytes(_)) => {}
                _ => r.unknown(),
            }
            Ok(())
        })
    }

    fn function(&mut self, at: usize, span: Span) -> Result<()> {
        self.meter.item::<Scope>()?;
        let index = self.model.graphs[at].functions.len();
        self.model.graphs[at].functions.push(Scope::default());
        self.each(span, |r, number, value| {
            match (number, value) {
                (1, Value::Bytes(signature)) => r.each(signature, |r, number, value| {
                    match (number, value) {
                        (1, Value::Bytes(s)) => r.model.graphs[at].functions[index].name = r.text(s)?,
                        (2, Value::Bytes(s)) => {
                            let name = r.op_name(s)?;
                            r.model.graphs[at].functions[index].arguments.push(name);
                        }
                        _ => {}
                    }
                    Ok(())
                })?,
                (3, Value::Bytes(s)) => {
                    let node = r.node(s)?;
                    r.model.graphs[at].functions[index].nodes.push(node);
                }
                _ => {}
            }
            Ok(())
        })
    }

    fn node(&mut self, span: Span) -> Result<Node> {
        self.meter.item::<Node>()?;
        let mut node = Node { offset: span.offset, ..Node::default() };
        let mut attributes = Vec::new();
        self.each(span, |r, number, value| {
            match (number, value) {
                (1, Value::Bytes(s)) => node.name = r.text(s)?,
                (2, Value::Bytes(s)) => node.op = r.text(s)?,
                (3, Value::Bytes(s)) => node.inputs.push(r.text(s)?),
                (5, Value::Bytes(s)) => attributes.push(s),
                (4 | 6 | 7, Value::Bytes(_)) => {}
                _ => r.unknown(),
            }
            Ok(())
        })?;
        // Functions that attributes name bring attributes of their own.
        while let Some(entry) = attributes.pop() {
            let (mut key, mut values) = (String::new(), Vec::new());
            self.each(entry, |r, number, value| {
                match (number, value) {
                    (1, Value::Bytes(s)) => key = r.text(s)?,
                    (2, Value::Bytes(s)) => values.push(s),
                    _ => {}
                }
                Ok(())
            })?;
            for value in values {
                self.attribute(&mut node, &key, value, &mut attributes)?;
            }
        }
        Ok(node)
    }

    fn attribute(&mut self, node: &mut Node, key: &str, span: Span, queue: &mut Vec<Span>) -> Result<()> {
        self.each(span, |r, number, value| match (number, value) {
            (1, Value::Bytes(list)) => r.each(list, |r, number, value| match (number, value) {
                (2, Value::Bytes(s)) => r.attribute_text(node, key, s),
                (8, Value::Bytes(s)) => r.tensor(node, s),
                (9, Value::Bytes(s)) => r.called(node, s, queue),
                _ => Ok(()),
            }),
            (2, Value::Bytes(s)) => r.attribute_text(node, key, s),
            (8, Value::Bytes(s)) => r.tensor(node, s),
            (10, Value::Bytes(s)) => r.called(node, s, queue),
            _ => Ok(()),
        })
    }

    fn attribute_text(&mut self, node: &mut Node, key: &str, span: Span) -> Result<()> {
        if span.len > 0 {
            let text = self.text(span)?;
            node.texts.push((key.to_owned(), text));
            self.blob(span, || format!("{}.{key}", node.name))?;
        }
        Ok(())
    }

    /// `NameAttrList`.
    fn called(&mut self, node: &mut Node, span: Span, queue: &mut Vec<Span>) -> Result<()> {
        self.each(span, |r, number, value| {
            match (number, value) {
                (1, Value::Bytes(s)) => node.functions.push(r.text(s)?),
                (2, Value::Bytes(s)) => queue.push(s),
                _ => {}
            }
            Ok(())
        })
    }

    /// `TensorProto`, and the tensors inside of variants.
    fn tensor(&mut self, node: &mut Node, span: Span) -> Result<()> {
        let mut queue = vec![span];
        while let Some(span) = queue.pop() {
            self.each(span, |r, number, value| {
                match (number, value) {
                    (4, Value::Bytes(s)) => r.blob(s, || node.name.clone())?,
                    (8, Value::Bytes(s)) => {
                        if node.strings.len() < STRINGS {
                            node.strings.push(r.text(s)?);
                        }
                        r.blob(s, || node.name.clone())?;
                    }
                    (15, Value::Bytes(s)) => r.each(s, |r, number, value| {
                        match (number, value) {
                            (2, Value::Bytes(s)) => r.blob(s, || node.name.clone())?,
                            (3, Value::Bytes(s)) => queue.push(s),
                            _ => {}
                        }
                        Ok(())
                    })?,
                    _ => {}
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn blob(&mut self, span: Span, name: impl FnOnce() -> String) -> Result<()> {
        if span.len < BLOB {
            return Ok(());
        }
        if self.model.blobs.len() < BLOBS {
            let name = name();
            self.meter.bytes(name.len() as u64 + size_of::<Blob>() as u64)?;
            self.model.blobs.push(Blob { name, span });
        } else {
            self.model.more_blobs += 1;
        }
        Ok(())
    }

    /// At most [`TEXT`] bytes of a text; other bytes are shown as replacement characters.
    fn text(&mut self, span: Span) -> Result<String> {
        let span = Span { len: span.len.min(TEXT), ..span };
        self.meter.bytes(span.len.saturating_add(size_of::<String>() as u64))?;
        let bytes = self.source.load(span)?;
        Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }
}
