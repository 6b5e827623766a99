//! From the wire format to a [`Model`]. Graphs inside graphs wait in a queue, so nesting costs no stack.

use std::collections::VecDeque;

use gauntlet_limits::{Budget, ReadAt};
use gauntlet_protobuf::{Meter, Source, Span, Value};

use crate::OnnxError;
use crate::model::{
    Attribute, AttributeValue, Dimension, Function, Graph, GraphId, GraphOwner, Model, Node, OpsetImport, SparseTensor,
    Tensor, ValueInfo,
};

type Result<T> = std::result::Result<T, OnnxError>;

impl Model {
    /// Reads a `ModelProto`. Tensor contents are passed over; field numbers are those of onnx.proto3, IR version 12.
    ///
    /// # Errors
    /// [`OnnxError::NotModel`] without a graph; broken wire format anywhere; a budget that ran out (steps: one a field;
    /// nodes: one a kept structure; `header_bytes`: what is kept in memory).
    pub fn read(bytes: &dyn ReadAt, budget: &Budget) -> Result<Self> {
        let source = Source::new(bytes, budget);
        let mut reader =
            Reader { source: &source, meter: Meter::new(budget), model: Self::default(), queue: VecDeque::new() };
        reader.model(source.whole())?;
        while let Some((graph, span)) = reader.queue.pop_front() {
            reader.graph(graph, span)?;
        }
        Ok(reader.model)
    }
}

struct Reader<'s, 'a> {
    source: &'s Source<'a>,
    meter: Meter<'a>,
    model: Model,
    queue: VecDeque<(GraphId, Span)>,
}

impl Reader<'_, '_> {
    fn model(&mut self, span: Span) -> Result<()> {
        self.new_graph(GraphOwner::Model)?;
        let source = self.source;
        let mut fields = source.fields(span);
        while let Some((number, value)) = fields.next_field()? {
            match (number, value) {
                (1, Value::Varint(n)) => self.model.ir_version = Some(n.cast_signed()),
                (2, Value::Bytes(s)) => self.model.producer = self.text(s)?,
                (3, Value::Bytes(s)) => self.model.producer_version = self.text(s)?,
                (4, Value::Bytes(s)) => self.model.domain = self.text(s)?,
                (5, Value::Varint(n)) => self.model.model_version = n.cast_signed(),
                (7, Value::Bytes(s)) => {
                    self.model.graph_fields += 1;
                    self.queue.push_back((GraphId(0), s));
                }
                (8, Value::Bytes(s)) => {
                    let opset = self.opset(s)?;
                    self.model.opsets.push(opset);
                }
                (14, Value::Bytes(s)) => {
                    let entry = self.entry(s)?;
                    self.model.metadata.push(entry);
                }
                (20, Value::Bytes(s)) => self.training(s)?,
                (25, Value::Bytes(s)) => self.function(s)?,
                (6 | 26, Value::Bytes(_)) => {}
                _ => self.model.unknown_fields += 1,
            }
        }
        if self.model.graph_fields == 0 { Err(OnnxError::NotModel) } else { Ok(()) }
    }

    fn new_graph(&mut self, owner: GraphOwner) -> Result<GraphId> {
        self.meter.item::<Graph>()?;
        self.model.graphs.push(Graph { owner, ..Graph::default() });
        Ok(GraphId(self.model.graphs.len() - 1))
    }

    fn queue_graph(&mut self, owner: GraphOwner, span: Span) -> Result<GraphId> {
        let id = self.new_graph(owner)?;
        self.queue.push_back((id, span));
        Ok(id)
    }

    fn graph(&mut self, id: GraphId, span: Span) -> Result<()> {
        let source = self.source;
        let mut fields = source.fields(span);
        while let Some((number, value)) = fields.next_field()? {
            match (number, value) {
                (1, Value::Bytes(s)) => self.node(id, s)?,
                (2, Value::Bytes(s)) => self.model.graphs[id.0].name = self.text(s)?,
                (5, Value::Bytes(s)) => {
                    let tensor = self.tensor(s)?;
                    self.model.graphs[id.0].initializers.push(tensor);
                }
                (11, Value::Bytes(s)) => {
                    let input = self.value_info(s)?;
                    self.model.graphs[id.0].inputs.push(input);
                }
                (12, Value::Bytes(s)) => {
                    let output = self.value_info(s)?;
                    self.model.graphs[id.0].outputs.push(output);
                }
                (15, Value::Bytes(s)) => {
                    let sparse = self.sparse(s)?;
                    self.model.graphs[id.0].sparse_initializers.push(sparse);
                }
                (10 | 13 | 14 | 16, Value::Bytes(_)) => {}
                _ => self.model.unknown_fields += 1,
            }
        }
        Ok(())
    }

    fn function(&mut self, span: Span) -> Result<()> {
        self.meter.item::<Function>()?;
        let index = self.model.functions.len();
        let body = self.new_graph(GraphOwner::Function(index))?;
        let mut function = Function { body: Some(body), ..Function::default() };
        let source = self.source;
        let mut fields = source.fields(span);
        let mut defaults = Vec::new();
        while let Some((number, value)) = fields.next_field()? {
            match (number, value) {
                (1, Value::Bytes(s)) => function.name = self.text(s)?,
                (4, Value::Bytes(s)) => function.inputs.push(self.text(s)?),
                (5, Value::Bytes(s)) => function.outputs.push(self.text(s)?),
                (6, Value::Bytes(s)) => function.attributes.push(self.text(s)?),
                (7, Value::Bytes(s)) => self.node(body, s)?,
                (9, Value::Bytes(s)) => function.opsets.push(self.opset(s)?),
                (10, Value::Bytes(s)) => function.domain = self.text(s)?,
                (11, Value::Bytes(s)) => defaults.push(s),
                (13, Value::Bytes(s)) => function.overload = self.text(s)?,
                (8 | 12 | 14, Value::Bytes(_)) => {}
                _ => self.model.unknown_fields += 1,
            }
        }
        self.defaults(body, &defaults)?;
        self.model.functions.push(function);
        Ok(())
    }

    /// Default values of a function's attributes may hold graphs and tensors; they are kept as a node that is no operator.
    fn defaults(&mut self, body: GraphId, spans: &[Span]) -> Result<()> {
        if spans.is_empty() {
            return Ok(());
        }
        let owner = GraphOwner::Node { graph: body, node: self.model.graphs[body.0].nodes.len() };
        let mut node = Node { offset: spans[0].offset, ..Node::default() };
        for span in spans {
            node.attributes.push(self.attribute(owner, *span)?);
        }
        self.meter.item::<Node>()?;
        self.model.graphs[body.0].nodes.push(node);
        Ok(())
    }

    fn training(&mut self, span: Span) -> Result<()> {
        let source = self.source;
        let mut fields = source.fields(span);
        while let Some((number, value)) = fields.next_field()? {
            match (number, value) {
                (1 | 2, Value::Bytes(s)) => {
                    self.queue_graph(GraphOwner::Training, s)?;
                }
                (3 | 4, Value::Bytes(_)) => {}
                _ => self.model.unknown_fields += 1,
            }
        }
        Ok(())
    }

    fn node(&mut self, graph: GraphId, span: Span) -> Result<()> {
        self.meter.item::<Node>()?;
        let owner = GraphOwner::Node { graph, node: self.model.graphs[graph.0].nodes.len() };
        let mut node = Node { offset: span.offset, ..Node::default() };
        let source = self.source;
        let mut fields = source.fields(span);
        while let Some((number, value)) = fields.next_field()? {
            match (number, value) {
                (1, Value::Bytes(s)) => node.inputs.push(self.text(s)?),
                (2, Value::Bytes(s)) => node.outputs.push(self.text(s)?),
                (3, Value::Bytes(s)) => node.name = self.text(s)?,
                (4, Value::Bytes(s)) => node.op_type = self.text(s)?,
                (5, Value::Bytes(s)) => node.attributes.push(self.attribute(owner, s)?),
                (7, Value::Bytes(s)) => node.domain = self.text(s)?,
                (6 | 8 | 9 | 10, Value::Bytes(_)) => {}
                _ => self.model.unknown_fields += 1,
            }
        }
        self.model.graphs[graph.0].nodes.push(node);
        Ok(())
    }

    fn attribute(&mut self, owner: GraphOwner, span: Span) -> Result<Attribute> {
        self.meter.item::<Attribute>()?;
        let mut attribute = Attribute::default();
        let (mut floats, mut ints, mut strings) = (Vec::new(), Vec::new(), Vec::new());
        let source = self.source;
        let mut fields = source.fields(span);
        while let Some((number, value)) = fields.next_field()? {
            let single = match (number, value) {
                (1, Value::Bytes(s)) => {
                    attribute.name = self.text(s)?;
                    continue;
                }
                (21, Value::Bytes(s)) => {
                    attribute.reference = self.text(s)?;
                    continue;
                }
                (2, Value::Fixed32(bits)) => AttributeValue::Float(f32::from_bits(bits)),
                (3, Value::Varint(n)) => AttributeValue::Int(n.cast_signed()),
                (4, Value::Bytes(s)) => AttributeValue::Bytes(self.bytes(s)?),
                (5 | 10, Value::Bytes(s)) => AttributeValue::Tensor(self.tensor(s)?),
                (6 | 11, Value::Bytes(s)) => AttributeValue::Graph(self.queue_graph(owner, s)?),
                (22 | 23, Value::Bytes(s)) => AttributeValue::Sparse(self.sparse(s)?),
                (7, value) => {
                    self.floats(value, &mut floats)?;
                    continue;
                }
                (8, value) => {
                    self.ints(value, &mut ints)?;
                    continue;
                }
                (9, Value::Bytes(s)) => {
                    strings.push(self.bytes(s)?);
                    continue;
                }
                (13..=15, Value::Bytes(_)) | (20, Value::Varint(_)) => continue,
                _ => {
                    self.model.unknown_fields += 1;
                    continue;
                }
            };
            self.meter.item::<AttributeValue>()?;
            attribute.values.push(single);
        }
        if !floats.is_empty() {
            attribute.values.push(AttributeValue::Floats(floats));
        }
        if !ints.is_empty() {
            attribute.values.push(AttributeValue::Ints(ints));
        }
        if !strings.is_empty() {
            attribute.values.push(AttributeValue::Strings(strings));
        }
        Ok(attribute)
    }

    fn tensor(&mut self, span: Span) -> Result<Tensor> {
        self.meter.item::<Tensor>()?;
        let mut tensor = Tensor { span, ..Tensor::default() };
        let source = self.source;
        let mut fields = source.fields(span);
        while let Some((number, value)) = fields.next_field()? {
            match (number, value) {
                (1, value) => self.ints(value, &mut tensor.dims)?,
                // Numbers outside of i32 are cut by protobuf, too.
                (2, Value::Varint(n)) => tensor.data_type = n as i32,
                (4, value) => tensor.typed_elements += elements(source, value, 4)?,
                (10, value) => tensor.typed_elements += elements(source, value, 8)?,
                (5 | 7 | 11, value) => tensor.typed_elements += elements(source, value, 0)?,
                (6, Value::Bytes(s)) => {
                    tensor.typed_elements += 1;
                    tensor.string_bytes += s.len;
                }
                (8, Value::Bytes(s)) => tensor.name = self.text(s)?,
                (9, Value::Bytes(s)) => {
                    tensor.raw = Some(s);
                    tensor.raw_fields += 1;
                }
                (13, Value::Bytes(s)) => tensor.external.push(self.entry(s)?),
                (14, Value::Varint(n)) => tensor.is_external = n == 1,
                (3 | 12 | 16, Value::Bytes(_)) => {}
                _ => self.model.unknown_fields += 1,
            }
        }
        Ok(tensor)
    }

    fn sparse(&mut self, span: Span) -> Result<SparseTensor> {
        let mut sparse = SparseTensor::default();
        let source = self.source;
        let mut fields = source.fields(span);
        while let Some((number, value)) = fields.next_field()? {
            match (number, value) {
                (1, Value::Bytes(s)) => sparse.values = self.tensor(s)?,
                (2, Value::Bytes(s)) => sparse.indices = self.tensor(s)?,
                (3, value) => self.ints(value, &mut sparse.dims)?,
                _ => self.model.unknown_fields += 1,
            }
        }
        Ok(sparse)
    }

    fn value_info(&mut self, span: Span) -> Result<ValueInfo> {
        self.meter.item::<ValueInfo>()?;
        let mut info = ValueInfo::default();
        let source = self.source;
        let mut fields = source.fields(span);
        while let Some((number, value)) = fields.next_field()? {
            match (number, value) {
                (1, Value::Bytes(s)) => info.name = self.text(s)?,
                (2, Value::Bytes(s)) => {
                    let mut kinds = source.fields(s);
                    while let Some((kind, value)) = kinds.next_field()? {
                        // 1: dense tensor, 8: sparse tensor; both have the same shape fields.
                        if let (1 | 8, Value::Bytes(s)) = (kind, value) {
                            self.tensor_type(s, &mut info)?;
                        }
                    }
                }
                (3 | 4, Value::Bytes(_)) => {}
                _ => self.model.unknown_fields += 1,
            }
        }
        Ok(info)
    }

    fn tensor_type(&mut self, span: Span, info: &mut ValueInfo) -> Result<()> {
        let source = self.source;
        let mut fields = source.fields(span);
        while let Some((number, value)) = fields.next_field()? {
            match (number, value) {
                (1, Value::Varint(n)) => info.element_type = n as i32,
                (2, Value::Bytes(shape)) => {
                    let mut dims = source.fields(shape);
                    let shape = info.dims.get_or_insert_default();
                    while let Some((number, value)) = dims.next_field()? {
                        if let (1, Value::Bytes(s)) = (number, value) {
                            self.meter.item::<Dimension>()?;
                            shape.push(dimension(self, s)?);
                        }
                    }
                }
                _ => self.model.unknown_fields += 1,
            }
        }
        Ok(())
    }

    fn opset(&mut self, span: Span) -> Result<OpsetImport> {
        self.meter.item::<OpsetImport>()?;
        let mut opset = OpsetImport::default();
        let source = self.source;
        let mut fields = source.fields(span);
        while let Some((number, value)) = fields.next_field()? {
            match (number, value) {
                (1, Value::Bytes(s)) => opset.domain = self.text(s)?,
                (2, Value::Varint(n)) => opset.version = n.cast_signed(),
                _ => self.model.unknown_fields += 1,
            }
        }
        Ok(opset)
    }

    /// `StringStringEntryProto`.
    fn entry(&mut self, span: Span) -> Result<(String, String)> {
        let (mut key, mut content) = (String::new(), String::new());
        let source = self.source;
        let mut fields = source.fields(span);
        while let Some((number, value)) = fields.next_field()? {
            match (number, value) {
                (1, Value::Bytes(s)) => key = self.text(s)?,
                (2, Value::Bytes(s)) => content = self.text(s)?,
                _ => self.model.unknown_fields += 1,
            }
        }
        Ok((key, content))
    }

    fn floats(&mut self, value: Value, floats: &mut Vec<f32>) -> Result<()> {
        match value {
            Value::Fixed32(bits) => {
                self.meter.bytes(4)?;
                floats.push(f32::from_bits(bits));
            }
            Value::Bytes(span) => {
                let raw = self.bytes(span)?;
                let (numbers, rest) = raw.as_chunks::<4>();
                if !rest.is_empty() {
                    return Err(OnnxError::Malformed { what: "packed floats", offset: span.offset });
                }
                floats.extend(numbers.iter().map(|raw| f32::from_le_bytes(*raw)));
            }
            _ => self.model.unknown_fields += 1,
        }
        Ok(())
    }

    fn ints(&mut self, value: Value, ints: &mut Vec<i64>) -> Result<()> {
        match value {
            Value::Varint(n) => {
                self.meter.bytes(8)?;
                ints.push(n.cast_signed());
            }
            Value::Bytes(span) => {
                let mut packed = self.source.packed(span);
                while let Some(n) = packed.next_varint()? {
                    self.meter.bytes(8)?;
                    ints.push(n.cast_signed());
                }
            }
            _ => self.model.unknown_fields += 1,
        }
        Ok(())
    }

    /// Text; what is not UTF-8 becomes U+FFFD, which no operator or path of an honest model contains.
    fn text(&mut self, span: Span) -> Result<String> {
        let bytes = self.bytes(span)?;
        Ok(String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
    }

    fn bytes(&mut self, span: Span) -> Result<Vec<u8>> {
        // A string and its allocation cost more than its bytes.
        self.meter.bytes(span.len.saturating_add(40))?;
        Ok(self.source.load(span)?)
    }
}

fn dimension(reader: &mut Reader<'_, '_>, span: Span) -> Result<Dimension> {
    let mut dimension = Dimension::Unknown;
    let source = reader.source;
    let mut fields = source.fields(span);
    while let Some((number, value)) = fields.next_field()? {
        match (number, value) {
            (1, Value::Varint(n)) => dimension = Dimension::Value(n.cast_signed()),
            (2, Value::Bytes(s)) => dimension = Dimension::Name(reader.text(s)?),
            _ => {}
        }
    }
    Ok(dimension)
}

/// Elements in one field of typed data; `width` 0 means varints.
fn elements(source: &Source<'_>, value: Value, width: u64) -> Result<u64> {
    match value {
        Value::Bytes(span) if width > 0 => Ok(span.len / width),
        Value::Bytes(span) => {
            let mut packed = source.packed(span);
            let mut count = 0;
            while packed.next_varint()?.is_some() {
                count += 1;
            }
            Ok(count)
        }
        _ => Ok(1),
    }
}

#[cfg(test)]
mod tests;
