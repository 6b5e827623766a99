//! A small writer of ONNX files, for models that only tests have.

/// Bytes of a message.
#[derive(Clone, Default)]
pub(crate) struct Message(pub(crate) Vec<u8>);

impl Message {
    fn varint(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.0.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }

    pub(crate) fn int(mut self, field: u64, n: i64) -> Self {
        self.varint(field << 3);
        self.varint(n.cast_unsigned());
        self
    }

    pub(crate) fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    pub(crate) fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }
}

pub(crate) enum Attribute {
    Int(&'static str, i64),
    Ints(&'static str, Vec<i64>),
    Text(&'static str, &'static str),
}

/// A model with the input `x` and the output `y`.
#[derive(Clone)]
pub(crate) struct Sketch {
    pub(crate) graph: Message,
    pub(crate) opset: i64,
}

impl Sketch {
    /// Sizes of `x`; 0 is the batch, named `N`.
    pub(crate) fn new(x: &[i64]) -> Self {
        let graph = Message::default().bytes(11, &info("x", 1, x).0).bytes(12, &info("y", 1, &[]).0);
        Self { graph, opset: 18 }
    }

    pub(crate) fn input(mut self, name: &str, kind: i64, dims: &[i64]) -> Self {
        self.graph = self.graph.bytes(11, &info(name, kind, dims).0);
        self
    }

    pub(crate) fn node(mut self, op: &str, inputs: &str, outputs: &str, attributes: &[Attribute]) -> Self {
        let mut node = Message::default();
        for input in inputs.split(' ').filter(|name| !name.is_empty()) {
            node = node.text(1, if input == "-" { "" } else { input });
        }
        for output in outputs.split(' ') {
            node = node.text(2, output);
        }
        node = node.text(4, op);
        for attribute in attributes {
            let message = match attribute {
                Attribute::Int(name, n) => Message::default().text(1, name).int(3, *n).int(20, 2),
                Attribute::Text(name, text) => Message::default().text(1, name).text(4, text).int(20, 3),
                Attribute::Ints(name, list) => {
                    list.iter().fold(Message::default().text(1, name), |m, n| m.int(8, *n)).int(20, 7)
                }
            };
            node = node.bytes(5, &message.0);
        }
        self.graph = self.graph.bytes(1, &node.0);
        self
    }

    pub(crate) fn floats(self, name: &str, dims: &[usize], numbers: &[f64]) -> Self {
        let raw: Vec<u8> = numbers.iter().flat_map(|n| (*n as f32).to_le_bytes()).collect();
        self.raw(name, 1, dims, &raw)
    }

    pub(crate) fn ints(self, name: &str, numbers: &[i64]) -> Self {
        let raw: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        self.raw(name, 7, &[numbers.len()], &raw)
    }

    pub(crate) fn raw(mut self, name: &str, kind: i64, dims: &[usize], raw: &[u8]) -> Self {
        let tensor = dims.iter().fold(Message::default(), |m, n| m.int(1, *n as i64));
        self.graph = self.graph.bytes(5, &tensor.int(2, kind).text(8, name).bytes(9, raw).0);
        self
    }

    /// A tensor message as it is.
    pub(crate) fn tensor(mut self, tensor: &Message) -> Self {
        self.graph = self.graph.bytes(5, &tensor.0);
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let opset = Message::default().int(2, self.opset);
        Message::default().int(1, 8).bytes(7, &self.graph.0).bytes(8, &opset.0).0
    }
}

fn info(name: &str, kind: i64, dims: &[i64]) -> Message {
    let mut shape = Message::default();
    for dim in dims {
        let size = if *dim == 0 { Message::default().text(2, "N") } else { Message::default().int(1, *dim) };
        shape = shape.bytes(1, &size.0);
    }
    let tensor = Message::default().int(1, kind);
    let tensor = if dims.is_empty() { tensor } else { tensor.bytes(2, &shape.0) };
    Message::default().text(1, name).bytes(2, &Message::default().bytes(1, &tensor.0).0)
}
