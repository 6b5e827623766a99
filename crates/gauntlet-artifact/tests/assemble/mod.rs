//! A tiny assembler of pickle streams for tests.

/// A value to write.
#[derive(Clone)]
pub(crate) enum V {
    None,
    Bool(bool),
    Int(i64),
    Str(String),
    Bytes(Vec<u8>),
    List(Vec<V>),
    Tuple(Vec<V>),
    Dict(Vec<(V, V)>),
    Global(String, String),
    /// REDUCE
    Call(Box<V>, Vec<V>),
    /// BINPERSID of a PyTorch storage.
    Persistent,
}

pub(crate) fn s(text: &str) -> V {
    V::Str(text.to_owned())
}

pub(crate) fn b(bytes: &[u8]) -> V {
    V::Bytes(bytes.to_vec())
}

pub(crate) fn i(value: i64) -> V {
    V::Int(value)
}

pub(crate) fn g(module: &str, name: &str) -> V {
    V::Global(module.to_owned(), name.to_owned())
}

pub(crate) fn list(items: Vec<V>) -> V {
    V::List(items)
}

pub(crate) fn tuple(items: Vec<V>) -> V {
    V::Tuple(items)
}

pub(crate) fn call(callee: V, args: Vec<V>) -> V {
    V::Call(Box::new(callee), args)
}

/// A value used once more, for readable nesting.
pub(crate) fn new(value: V) -> V {
    value
}

/// A stream under construction.
pub(crate) struct Asm {
    out: Vec<u8>,
    protocol: u8,
}

impl Asm {
    pub(crate) fn new(protocol: u8) -> Self {
        Self { out: if protocol >= 2 { vec![0x80, protocol] } else { Vec::new() }, protocol }
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.out.extend_from_slice(bytes);
        self
    }

    pub(crate) fn value(mut self, value: &V) -> Self {
        self.write(value);
        self
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.out
    }

    pub(crate) fn stop(mut self) -> Vec<u8> {
        self.out.push(b'.');
        self.out
    }

    fn write(&mut self, value: &V) {
        match value {
            V::None => self.out.push(b'N'),
            V::Bool(value) => self.out.push(if *value { 0x88 } else { 0x89 }),
            V::Int(value) => {
                let bytes = value.to_le_bytes();
                self.out.extend_from_slice(&[0x8a, 8]);
                self.out.extend_from_slice(&bytes);
            }
            V::Str(text) => {
                self.out.push(b'X');
                self.counted(text.as_bytes());
            }
            V::Bytes(bytes) => {
                self.out.push(b'B');
                self.counted(bytes);
            }
            V::List(items) => {
                self.out.extend_from_slice(b"](");
                items.iter().for_each(|item| self.write(item));
                self.out.push(b'e');
            }
            V::Tuple(items) => {
                self.out.push(b'(');
                items.iter().for_each(|item| self.write(item));
                self.out.push(b't');
            }
            V::Dict(pairs) => {
                self.out.extend_from_slice(b"}(");
                for (key, item) in pairs {
                    self.write(key);
                    self.write(item);
                }
                self.out.push(b'u');
            }
            V::Global(module, name) if self.protocol >= 4 => {
                self.write(&s(module));
                self.write(&s(name));
                self.out.push(0x93);
            }
            V::Global(module, name) => {
                self.out.push(b'c');
                self.out.extend_from_slice(format!("{module}\n{name}\n").as_bytes());
            }
            V::Call(callee, args) => {
                self.write(callee);
                self.write(&V::Tuple(args.clone()));
                self.out.push(b'R');
            }
            V::Persistent => {
                let class = g("torch", "FloatStorage");
                self.write(&tuple(vec![s("storage"), class, s("0"), s("cpu"), i(4)]));
                self.out.push(b'Q');
            }
        }
    }

    fn counted(&mut self, bytes: &[u8]) {
        let len = u32::try_from(bytes.len()).unwrap();
        self.out.extend_from_slice(&len.to_le_bytes());
        self.out.extend_from_slice(bytes);
    }
}
