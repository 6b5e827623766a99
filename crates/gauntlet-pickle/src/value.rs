//! Abstract values. Scalars are inline; what is shared lives in an arena and is named by an index, so that a
//! value referred to a million times exists once. Above the limits values keep their kind and lose their content.

use std::collections::HashMap;

use gauntlet_limits::Limits;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float,
    /// An integer above 64 bits: two's complement, little endian.
    Big(u32),
    Str(u32),
    Bytes(u32),
    Global(u32),
    Node(u32),
    Ext(i64),
    Buffer,
    Array,
    Lost(Kind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Int,
    Str,
    Bytes,
    List,
    Tuple,
    Set,
    FrozenSet,
    Dict,
    Result,
    Module,
    Method,
    PersistentId,
    Global,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Str => "str",
            Self::Bytes => "bytes",
            Self::List => "list",
            Self::Tuple => "tuple",
            Self::Set => "set",
            Self::FrozenSet => "frozenset",
            Self::Dict => "dict",
            Self::Result => "result",
            Self::Module => "module",
            Self::Method => "method",
            Self::PersistentId => "persistent_id",
            Self::Global => "global",
        }
    }
}

#[derive(Debug)]
pub(crate) enum Node {
    Seq {
        kind: Kind,
        len: u64,
        items: Vec<Value>,
    },
    Dict {
        len: u64,
        pairs: Vec<(Value, Value)>,
    },
    Call {
        callee: Value,
        args: Vec<Value>,
        args_known: bool,
        fact: Option<u32>,
        state: Option<Value>,
    },
    Pers {
        pid: Value,
    },
    Module {
        name: u32,
    },
    /// An attribute of a value that is no global and no module.
    Method {
        of: Value,
        name: u32,
    },
}

/// A string, bytes or big integer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blob {
    start: u32,
    kept: u32,
    pub(crate) len: u64,
    /// Where the bytes lie in the stream, when they are a literal.
    pub(crate) offset: u64,
}

impl Blob {
    pub(crate) fn complete(&self) -> bool {
        u64::from(self.kept) == self.len
    }
}

pub(crate) const COMPUTED: u64 = u64::MAX;
/// Bytes kept of one string.
pub(crate) const KEEP: usize = 1 << 20;
const SHORT: usize = 4096;
const SHORT_POOL: usize = 48 << 20;
const LONG_POOL: usize = 32 << 20;
/// Numbers kept of one list; names and objects are kept further.
const SCALARS: usize = 4096;
const ITEMS: usize = 65_536;

/// How deep a container is nested, and how many values it has when shared ones are counted each time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) depth: u32,
    pub(crate) size: u64,
}

#[derive(Debug)]
pub(crate) struct Heap {
    nodes: Vec<Node>,
    extents: Vec<Extent>,
    /// The largest of all containers. One that holds itself counts as it was when it was put in.
    pub(crate) largest: Extent,
    blobs: Vec<Blob>,
    pool: Vec<u8>,
    short_left: usize,
    long_left: usize,
    max_nodes: usize,
    max_blobs: usize,
    items_left: usize,
    pub(crate) lost: u64,
    /// What a tree wants to know beyond the facts; not kept otherwise.
    pub(crate) extra: Option<Extra>,
}

/// What happened to objects, kept for [`crate::Tree`] only.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    pub(crate) calls: HashMap<u32, CallExtra>,
    /// Something was called, changed or lost in a way that the values do not show.
    pub(crate) untold: bool,
}

/// What a call's result was given after or beside its arguments.
#[derive(Debug, Default)]
pub(crate) struct CallExtra {
    pub(crate) kwargs: Option<Value>,
    pub(crate) appended: Vec<Value>,
    pub(crate) pairs: Vec<(Value, Value)>,
    pub(crate) states: Vec<Value>,
}

impl Heap {
    pub(crate) fn new(limits: &Limits) -> Self {
        let nodes = usize::try_from(limits.nodes).unwrap_or(usize::MAX).min(1 << 28);
        Self {
            nodes: Vec::new(),
            extents: Vec::new(),
            largest: Extent::default(),
            blobs: Vec::new(),
            pool: Vec::new(),
            short_left: SHORT_POOL,
            long_left: LONG_POOL,
            max_nodes: nodes,
            max_blobs: nodes.saturating_mul(4),
            items_left: nodes.saturating_mul(4),
            lost: 0,
            extra: None,
        }
    }

    /// Notes something that the values do not show.
    pub(crate) fn untold(&mut self) {
        if let Some(extra) = &mut self.extra {
            extra.untold = true;
        }
    }

    /// Keeps keyword arguments of a call whose result is `value`.
    pub(crate) fn note_kwargs(&mut self, value: Value, kwargs: Option<Value>) {
        if kwargs.is_some()
            && let Some(call) = self.call_extra(value)
        {
            call.kwargs = kwargs;
        }
    }

    /// Keeps the state that BUILD gives to a call's result.
    pub(crate) fn note_state(&mut self, value: Value, state: Value) {
        if self.items_left == 0 {
            return self.untold();
        }
        if let Some(call) = self.call_extra(value) {
            call.states.push(state);
            self.items_left -= 1;
        }
    }

    /// Keeps items given to a call's result: keys and values in turn, or elements.
    pub(crate) fn note_items(&mut self, value: Value, items: &[Value], pairs: bool) {
        if self.items_left < items.len() {
            return self.untold();
        }
        let Some(call) = self.call_extra(value) else { return };
        if pairs {
            call.pairs.extend(items.as_chunks::<2>().0.iter().map(|[key, item]| (*key, *item)));
        } else {
            call.appended.extend_from_slice(items);
        }
        self.items_left -= items.len();
    }

    /// The place for what is known of a call's result; anything else that is changed cannot be told.
    fn call_extra(&mut self, value: Value) -> Option<&mut CallExtra> {
        let extra = self.extra.as_mut()?;
        match value {
            Value::Node(id) if matches!(self.nodes.get(id as usize), Some(Node::Call { .. })) => {
                Some(extra.calls.entry(id).or_default())
            }
            _ => {
                extra.untold = true;
                None
            }
        }
    }

    pub(crate) fn node(&self, id: u32) -> &Node {
        &self.nodes[id as usize]
    }

    pub(crate) fn node_mut(&mut self, id: u32) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    pub(crate) fn blob(&self, id: u32) -> Blob {
        self.blobs[id as usize]
    }

    /// The bytes kept of a blob.
    pub(crate) fn bytes(&self, id: u32) -> &[u8] {
        let blob = self.blobs[id as usize];
        &self.pool[blob.start as usize..blob.start as usize + blob.kept as usize]
    }

    /// The bytes of a blob when all of them were kept.
    pub(crate) fn whole(&self, id: u32) -> Option<&[u8]> {
        self.blobs[id as usize].complete().then(|| self.bytes(id))
    }

    /// Text as UTF-8, with replacements.
    pub(crate) fn text(&self, id: u32) -> String {
        String::from_utf8_lossy(self.bytes(id)).into_owned()
    }

    /// How many bytes of a string of this length would be kept, and whether a place is left at all.
    pub(crate) fn keeps(&self, len: u64) -> Option<usize> {
        if self.blobs.len() >= self.max_blobs {
            return None;
        }
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        Some(if len <= SHORT {
            if len <= self.short_left { len } else { 0 }
        } else {
            let n = len.min(KEEP);
            if n <= self.long_left { n } else { SHORT.min(self.short_left) }
        })
    }

    /// Opens the pool for a string's kept bytes; [`Heap::seal`] closes it.
    pub(crate) fn pool(&mut self) -> &mut Vec<u8> {
        &mut self.pool
    }

    /// Forgets bytes written to the pool after `start`.
    pub(crate) fn unwrite(&mut self, start: usize) {
        self.pool.truncate(start);
    }

    /// Makes a blob of what was written to the pool since `start`.
    pub(crate) fn seal(&mut self, start: usize, len: u64, offset: u64) -> u32 {
        let kept = self.pool.len() - start;
        if kept <= SHORT {
            self.short_left = self.short_left.saturating_sub(kept);
        } else {
            self.long_left = self.long_left.saturating_sub(kept);
        }
        // The pools together stay below 128 MiB, so both fit 32 bits.
        self.blobs.push(Blob { start: start as u32, kept: kept as u32, len, offset });
        (self.blobs.len() - 1) as u32
    }

    /// Keeps `bytes` whole, or only their kind.
    pub(crate) fn add_bytes(&mut self, bytes: &[u8], offset: u64) -> Option<u32> {
        let Some(keep) = self.keeps(bytes.len() as u64) else {
            self.lost += 1;
            return None;
        };
        let start = self.pool.len();
        self.pool.extend_from_slice(&bytes[..keep]);
        if keep < bytes.len() {
            self.lost += 1;
        }
        Some(self.seal(start, bytes.len() as u64, offset))
    }

    pub(crate) fn add_str(&mut self, bytes: &[u8], offset: u64) -> Value {
        self.add_bytes(bytes, offset).map_or(Value::Lost(Kind::Str), Value::Str)
    }

    pub(crate) fn add_raw(&mut self, bytes: &[u8], offset: u64) -> Value {
        self.add_bytes(bytes, offset).map_or(Value::Lost(Kind::Bytes), Value::Bytes)
    }

    pub(crate) fn add(&mut self, node: Node) -> Value {
        if self.nodes.len() >= self.max_nodes {
            self.lost += 1;
            return Value::Lost(match node {
                Node::Seq { kind, .. } => kind,
                Node::Dict { .. } => Kind::Dict,
                Node::Call { .. } => Kind::Result,
                Node::Pers { .. } => Kind::PersistentId,
                Node::Module { .. } => Kind::Module,
                Node::Method { .. } => Kind::Method,
            });
        }
        self.nodes.push(node);
        self.extents.push(Extent { depth: 1, size: 1 });
        Value::Node((self.nodes.len() - 1) as u32)
    }

    /// Counts values that were put into a container.
    fn widen(&mut self, target: u32, values: &[Value]) {
        let mut extent = self.extents[target as usize];
        for value in values {
            let inner = match value {
                Value::Node(id) => self.extents[*id as usize],
                _ => Extent { depth: 0, size: 1 },
            };
            extent.depth = extent.depth.max(inner.depth.saturating_add(1));
            extent.size = extent.size.saturating_add(inner.size);
        }
        self.extents[target as usize] = extent;
        self.largest.depth = self.largest.depth.max(extent.depth);
        self.largest.size = self.largest.size.max(extent.size);
    }

    pub(crate) fn seq(&mut self, kind: Kind, values: &[Value]) -> Value {
        if self.nodes.len() >= self.max_nodes {
            self.lost += 1;
            return Value::Lost(kind);
        }
        let mut items = Vec::new();
        for value in values {
            keep_item(&mut items, *value, &mut self.items_left);
        }
        let made = self.add(Node::Seq { kind, len: values.len() as u64, items });
        if let Value::Node(id) = made {
            self.widen(id, values);
        }
        made
    }

    /// Adds items to a list or set; false when `target` is neither.
    pub(crate) fn extend(&mut self, target: Value, values: &[Value]) -> bool {
        match target {
            Value::Lost(Kind::List | Kind::Set) => true,
            Value::Node(id) => match &mut self.nodes[id as usize] {
                Node::Seq { kind: Kind::List | Kind::Set, len, items } => {
                    *len += values.len() as u64;
                    for value in values {
                        keep_item(items, *value, &mut self.items_left);
                    }
                    self.widen(id, values);
                    true
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// Sets items of a dict, keys and values in turn; false when `target` is none.
    pub(crate) fn set_items(&mut self, target: Value, values: &[Value]) -> bool {
        match target {
            Value::Lost(Kind::Dict) => true,
            Value::Node(id) => match &mut self.nodes[id as usize] {
                Node::Dict { len, pairs } => {
                    *len += (values.len() / 2) as u64;
                    for pair in values.as_chunks::<2>().0 {
                        if pairs.len() < ITEMS && self.items_left >= 2 {
                            self.items_left -= 2;
                            pairs.push((pair[0], pair[1]));
                        }
                    }
                    self.widen(id, values);
                    true
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// The last value set for a text key of a dict.
    pub(crate) fn get(&self, dict: Value, key: &[u8]) -> Option<Value> {
        let Value::Node(id) = dict else { return None };
        let Node::Dict { pairs, .. } = self.node(id) else { return None };
        pairs.iter().rev().find(|(k, _)| matches!(k, Value::Str(s) if self.whole(*s) == Some(key))).map(|(_, v)| *v)
    }

    /// The items of a list, tuple or set of which nothing was left out.
    pub(crate) fn items(&self, value: Value) -> Option<&[Value]> {
        let Value::Node(id) = value else { return None };
        match self.node(id) {
            Node::Seq { len, items, .. } if *len == items.len() as u64 => Some(items),
            _ => None,
        }
    }

    /// The keys of a dict of which nothing was left out.
    pub(crate) fn keys(&self, value: Value) -> Option<Vec<Value>> {
        let Value::Node(id) = value else { return None };
        match self.node(id) {
            Node::Dict { len, pairs } if *len == pairs.len() as u64 => {
                Some(pairs.iter().map(|(key, _)| *key).collect())
            }
            _ => None,
        }
    }

    /// The kind of a value in words, for facts.
    pub(crate) fn kind(&self, value: Value) -> &'static str {
        match value {
            Value::None => "none",
            Value::Bool(_) => "bool",
            Value::Int(_) | Value::Big(_) => "int",
            Value::Float => "float",
            Value::Str(_) => "str",
            Value::Bytes(_) => "bytes",
            Value::Global(_) => "global",
            Value::Ext(_) => "extension",
            Value::Buffer => "buffer",
            Value::Array => "array",
            Value::Lost(kind) => kind.name(),
            Value::Node(id) => match self.node(id) {
                Node::Seq { kind, .. } => kind.name(),
                Node::Dict { .. } => "dict",
                Node::Call { .. } => "result",
                Node::Pers { .. } => "persistent_id",
                Node::Module { .. } => "module",
                Node::Method { .. } => "method",
            },
        }
    }
}

/// Whether a value by itself could be called or does something; containers may hold such.
pub(crate) fn active(value: Value) -> bool {
    matches!(value, Value::Global(_) | Value::Node(_) | Value::Ext(_) | Value::Lost(_))
}

fn keep_item(items: &mut Vec<Value>, value: Value, left: &mut usize) {
    let room = if active(value) || matches!(value, Value::Str(_)) { ITEMS } else { SCALARS };
    if items.len() < room && *left > 0 {
        *left -= 1;
        items.push(value);
    }
}
