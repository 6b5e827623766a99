//! Writes down what the machine does, each different thing once, in bounded lists.

use std::collections::{HashMap, HashSet};

use crate::facts::{
    Anomaly, AnomalyKind, Arg, Build, Call, Extension, Import, ImportOp, List, Mutation, Origin, Resolved, Role,
    Storage, StreamEnd, StreamFacts, Target, Use,
};
use crate::machine::{Earlier, NestedJob};
use crate::names;
use crate::special::Special;
use crate::value::{Heap, Kind, Node, Value};

/// Entries of one list of facts.
const ENTRIES: usize = 20_000;
/// Different calls of one callee that are told apart by literal arguments.
const DETAILED: u32 = 256;
const STORAGES: usize = 65_536;
const SAMPLES: usize = 16;
/// Text characters shown of a literal.
const TEXT: usize = 240;
const DEPTH: u32 = 4;
/// Values shown of one call.
const SHOWN: u32 = 64;
/// Items shown of one container.
const SHOWN_ITEMS: usize = 16;
const KEYS: usize = 512;
/// Values looked at for the uses of globals.
const SEARCHED: usize = 1024;

pub(crate) struct Recorder {
    pub(crate) facts: StreamFacts,
    pub(crate) nested: Vec<NestedJob>,
    /// Python source that calls run, by the offset of the call.
    pub(crate) sources: Vec<(u64, Option<String>)>,
    /// Blobs that were already offered as nested pickles.
    pub(crate) offered: HashSet<u32>,
    specials: Vec<Special>,
    uses: Vec<u8>,
    details: Vec<u32>,
    other_details: u32,
    import_index: HashMap<(String, String, ImportOp, Resolved, bool), u32>,
    index: HashMap<Box<[u8]>, u32>,
    storage_keys: HashSet<String>,
    truncated: HashSet<List>,
    scratch: Vec<u8>,
    todo: Vec<Value>,
    /// Steps that looking through values has cost and that no one was told of.
    pub(crate) cost: u64,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            facts: StreamFacts {
                offset: 0,
                within: None,
                len: 0,
                origin: Origin::First,
                protocol: None,
                opcodes: 0,
                end: StreamEnd::Truncated,
                imports: Vec::new(),
                calls: Vec::new(),
                builds: Vec::new(),
                mutations: Vec::new(),
                persistent_ids: Default::default(),
                extensions: Vec::new(),
                buffers: 0,
                inline_arrays: Default::default(),
                anomalies: Vec::new(),
                pickle_like_bytes: 0,
                values_not_kept: 0,
                result: None,
                truncated: Vec::new(),
            },
            nested: Vec::new(),
            sources: Vec::new(),
            offered: HashSet::new(),
            specials: Vec::new(),
            uses: Vec::new(),
            details: Vec::new(),
            other_details: 0,
            import_index: HashMap::new(),
            index: HashMap::new(),
            storage_keys: HashSet::new(),
            truncated: HashSet::new(),
            scratch: Vec::new(),
            todo: Vec::new(),
            cost: 0,
        }
    }
}

/// A call to write down.
pub(crate) struct Made<'a> {
    pub(crate) callee: Value,
    pub(crate) args: &'a [Value],
    pub(crate) args_known: bool,
    pub(crate) kwargs: Option<Value>,
    pub(crate) role: Role,
    pub(crate) value: Option<Value>,
}

impl Recorder {
    pub(crate) fn finish(mut self) -> StreamFacts {
        for (import, bits) in self.facts.imports.iter_mut().zip(&self.uses) {
            import.uses = USES.iter().filter(|u| bits & bit(**u) != 0).copied().collect();
        }
        let mut truncated: Vec<List> = self.truncated.into_iter().collect();
        truncated.sort_unstable();
        self.facts.truncated = truncated;
        self.facts
    }

    pub(crate) fn cut(&mut self, list: List) {
        self.truncated.insert(list);
    }

    pub(crate) fn anomaly(&mut self, kind: AnomalyKind, offset: u64) {
        match self.facts.anomalies.iter_mut().find(|a| a.kind == kind) {
            Some(known) => known.count += 1,
            None => self.facts.anomalies.push(Anomaly { kind, offset, count: 1 }),
        }
    }

    // === globals ===

    pub(crate) fn import(
        &mut self,
        module: String,
        name: String,
        op: ImportOp,
        resolved: Resolved,
        protocol: u8,
        offset: u64,
    ) -> Value {
        let key = (module, name, op, resolved, protocol >= 3);
        if let Some(id) = self.import_index.get(&key) {
            self.facts.imports[*id as usize].count += 1;
            return Value::Global(*id);
        }
        if self.facts.imports.len() >= ENTRIES {
            self.cut(List::Imports);
            return Value::Lost(Kind::Global);
        }
        let (module, name) = (key.0.clone(), key.1.clone());
        // Every opcode that looks a global up maps it; attributes of what was looked up are not mapped.
        let modern = if protocol < 3 && op != ImportOp::Attribute {
            names::modern(&module, &name)
                .map(|(m, n)| (m.to_owned(), n.to_owned()))
                .or_else(|| names::modern_module(&module).map(|m| (m.to_owned(), name.clone())))
        } else {
            None
        };
        let (m, n) = modern.as_ref().map_or((&module, &name), |(m, n)| (m, n));
        self.specials.push(if resolved == Resolved::Unresolved { Special::None } else { Special::of(m, n) });
        self.uses.push(0);
        self.details.push(0);
        let id = self.facts.imports.len() as u32;
        self.import_index.insert(key, id);
        self.facts.imports.push(Import {
            module,
            name,
            modern,
            offset,
            op,
            resolved,
            protocol,
            count: 1,
            uses: Vec::new(),
        });
        Value::Global(id)
    }

    /// Module and name under which Python 3 looks a global up.
    pub(crate) fn global(&self, id: u32) -> (&str, &str) {
        let import = &self.facts.imports[id as usize];
        import.modern.as_ref().map_or((&import.module, &import.name), |(m, n)| (m, n))
    }

    /// [`Recorder::global`] of every index.
    pub(crate) fn globals(&self) -> Vec<(String, String)> {
        let names = self.facts.imports.iter().map(|i| i.modern.clone().unwrap_or((i.module.clone(), i.name.clone())));
        names.collect()
    }

    pub(crate) fn resolved(&self, id: u32) -> Resolved {
        self.facts.imports[id as usize].resolved
    }

    pub(crate) fn special(&self, id: u32) -> Special {
        self.specials[id as usize]
    }

    /// What the next stream may know of a value.
    pub(crate) fn earlier(&self, heap: &Heap, value: Value) -> Earlier {
        match value {
            Value::Global(id) => {
                let import = &self.facts.imports[id as usize];
                Earlier::Global(import.module.clone(), import.name.clone())
            }
            Value::Str(id) if heap.bytes(id).len() <= TEXT => Earlier::Text(heap.bytes(id).to_vec()),
            Value::Lost(kind) => Earlier::Other(kind),
            _ => Earlier::Other(Kind::Result),
        }
    }

    fn used(&mut self, value: Value, purpose: Use) {
        if let Value::Global(id) = value {
            self.uses[id as usize] |= bit(purpose);
        }
    }

    /// Marks globals in `values`, also inside containers; returns how many values were looked at.
    fn used_in(&mut self, heap: &Heap, values: &[Value], purpose: Use) -> u64 {
        self.todo.clear();
        self.todo.extend(values.iter().take(SEARCHED));
        let mut seen = 0;
        while let Some(value) = self.todo.pop() {
            seen += 1;
            match value {
                Value::Global(id) => self.uses[id as usize] |= bit(purpose),
                Value::Node(id) => {
                    let room = SEARCHED.saturating_sub(seen + self.todo.len());
                    match heap.node(id) {
                        Node::Seq { items, .. } => self.todo.extend(items.iter().take(room)),
                        Node::Dict { pairs, .. } => {
                            self.todo.extend(pairs.iter().take(room / 2).flat_map(|(k, v)| [*k, *v]));
                        }
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        self.cost += seen as u64 / 8;
        seen as u64
    }

    pub(crate) fn is_call(&self, heap: &Heap, value: Value) -> bool {
        matches!(value, Value::Node(id) if matches!(heap.node(id), Node::Call { .. }))
    }

    // === calls ===

    /// Writes a call down; returns its index, unless the list is full, and what the work cost in steps.
    pub(crate) fn call(&mut self, heap: &Heap, made: &Made<'_>, offset: u64) -> (Option<u32>, u64) {
        let (called, role) = match made.role {
            Role::Reduce | Role::Indirect => (Use::Called, made.role),
            role => (Use::Constructed, role),
        };
        self.used(made.callee, called);
        let mut cost = 1 + self.used_in(heap, made.args, Use::Argument);
        if let Some(kwargs) = made.kwargs {
            cost += self.used_in(heap, &[kwargs], Use::Argument);
        }
        cost /= 8;
        let full = self.key(heap, made, role, true);
        cost += full.len() as u64 / 64;
        if let Some(index) = self.index.get(&full) {
            self.facts.calls[*index as usize].count += 1;
            return (Some(*index), cost);
        }
        let detail = match made.callee {
            Value::Global(id) => &mut self.details[id as usize],
            _ => &mut self.other_details,
        };
        *detail = detail.saturating_add(1);
        let literals = *detail <= DETAILED;
        let key = if literals { full } else { self.key(heap, made, role, false) };
        if let Some(index) = self.index.get(&key) {
            self.facts.calls[*index as usize].count += 1;
            return (Some(*index), cost);
        }
        if self.facts.calls.len() >= ENTRIES {
            self.cut(List::Calls);
            return (None, cost);
        }
        let index = self.facts.calls.len() as u32;
        let mut view = View { shown: 0, literals };
        let entry = Call {
            callee: self.target(heap, made.callee),
            role,
            args: made.args.iter().take(SHOWN_ITEMS).map(|v| self.show(heap, *v, DEPTH, &mut view)).collect(),
            arg_count: made.args_known.then_some(made.args.len() as u64),
            kwargs: made.kwargs.map(|v| self.show(heap, v, DEPTH, &mut view)),
            literals_left_out: !literals,
            value: made.value.map(|v| self.show(heap, v, DEPTH, &mut view)),
            offset,
            count: 1,
        };
        self.facts.calls.push(entry);
        self.index.insert(key, index);
        (Some(index), cost + 8)
    }

    fn key(&mut self, heap: &Heap, made: &Made<'_>, role: Role, literals: bool) -> Box<[u8]> {
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        out.extend_from_slice(&[b'c', role as u8, u8::from(literals), u8::from(made.args_known)]);
        let mut view = View { shown: 0, literals };
        encode(heap, made.callee, DEPTH, &mut View { shown: 0, literals: true }, &mut out);
        out.extend_from_slice(&(made.args.len() as u64).to_le_bytes());
        for arg in made.args.iter().take(SHOWN_ITEMS) {
            encode(heap, *arg, DEPTH, &mut view, &mut out);
        }
        if let Some(kwargs) = made.kwargs {
            out.push(b'k');
            encode(heap, kwargs, DEPTH, &mut view, &mut out);
        }
        let key = out.as_slice().into();
        self.scratch = out;
        key
    }

    // === state ===

    pub(crate) fn build(
        &mut self,
        heap: &Heap,
        target: Value,
        class: Option<String>,
        state: Value,
        again: bool,
        offset: u64,
    ) -> u64 {
        self.used(target, Use::Mutated);
        let mut cost = self.used_in(heap, &[state], Use::State) / 8;
        let (keys, active_keys, incomplete) = state_keys(heap, state);
        cost += keys.len() as u64;
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        out.extend_from_slice(&[b'b', u8::from(again), u8::from(incomplete)]);
        out.extend_from_slice(class.as_deref().unwrap_or("").as_bytes());
        // A known class says enough of the target: a thousand instances built in one way are one entry.
        let mut view = View { shown: 0, literals: class.is_none() };
        if class.is_none() {
            encode(heap, target, 1, &mut view, &mut out);
        }
        for key in keys.iter().chain(&active_keys) {
            out.push(0);
            out.extend_from_slice(key.as_bytes());
        }
        let mut view = View { shown: 0, literals: false };
        encode(heap, state, DEPTH, &mut view, &mut out);
        if let Some(index) = self.index.get(out.as_slice()) {
            self.facts.builds[*index as usize].count += 1;
        } else if self.facts.builds.len() >= ENTRIES {
            self.cut(List::Builds);
        } else {
            let index = self.facts.builds.len() as u32;
            let mut view = View { shown: 0, literals: false };
            let entry = Build {
                target: self.target(heap, target),
                class,
                state: self.show(heap, state, DEPTH, &mut view),
                keys,
                keys_incomplete: incomplete,
                active_keys,
                again,
                offset,
                count: 1,
            };
            self.facts.builds.push(entry);
            self.index.insert(out.as_slice().into(), index);
        }
        self.scratch = out;
        cost
    }

    pub(crate) fn mutation(
        &mut self,
        heap: &Heap,
        op: &'static str,
        target: Value,
        items: &[Value],
        pairs: bool,
        offset: u64,
    ) {
        self.used(target, Use::Mutated);
        self.used_in(heap, items, Use::Argument);
        let active = items.iter().any(|v| holds_active(heap, *v));
        let mut keys: Vec<String> = Vec::new();
        if pairs {
            for key in items.iter().step_by(2).take(32) {
                if let Value::Str(id) = key {
                    keys.push(cut_text(&heap.text(*id)));
                }
            }
        }
        let target = self.target(heap, target);
        // Few different targets exist in honest files (an OrderedDict or two), so a linear search is short.
        let known = self.facts.mutations.iter_mut().take(64).find(|m| {
            m.op == op && m.target == target && m.active == active && (!target_matters(&target) || m.keys == keys)
        });
        if let Some(known) = known {
            known.count += 1;
        } else if self.facts.mutations.len() >= 1024 {
            self.cut(List::Mutations);
        } else {
            self.facts.mutations.push(Mutation { op: op.to_owned(), target, active, keys, offset, count: 1 });
        }
    }

    // === the rest ===

    pub(crate) fn extension(&mut self, code: i64, global: Option<(String, String)>, offset: u64) {
        if let Some(known) = self.facts.extensions.iter_mut().find(|e| e.code == code && e.global == global) {
            known.count += 1;
        } else if self.facts.extensions.len() >= 256 {
            self.cut(List::Extensions);
        } else {
            self.facts.extensions.push(Extension { code, global, offset, count: 1 });
        }
    }

    pub(crate) fn persistent(&mut self, heap: &Heap, pid: Value) {
        self.facts.persistent_ids.count += 1;
        self.used_in(heap, &[pid], Use::PersistentId);
        if let Some(storage) = self.storage(heap, pid) {
            if self.storage_keys.contains(&storage.key) {
                return;
            }
            if self.facts.persistent_ids.storages.len() >= STORAGES {
                self.facts.persistent_ids.storages_incomplete = true;
                return;
            }
            self.storage_keys.insert(storage.key.clone());
            self.facts.persistent_ids.storages.push(storage);
        }
        if self.facts.persistent_ids.samples.len() < SAMPLES {
            let sample = self.render(heap, pid);
            if !self.facts.persistent_ids.samples.contains(&sample) {
                self.facts.persistent_ids.samples.push(sample);
            }
        }
    }

    /// PyTorch's `("storage", type, key, location, numel, ...)`.
    fn storage(&mut self, heap: &Heap, pid: Value) -> Option<Storage> {
        let items = heap.items(pid)?;
        let [Value::Str(tag), Value::Global(class), key, _, Value::Int(elements), ..] = items else { return None };
        if heap.bytes(*tag) != b"storage" {
            return None;
        }
        let key = match key {
            Value::Str(id) => cut_text(&heap.text(*id)),
            Value::Int(n) => n.to_string(),
            _ => {
                self.facts.persistent_ids.storages_incomplete = true;
                return None;
            }
        };
        Some(Storage { key, class: self.global(*class).1.to_owned(), elements: *elements })
    }

    // === rendering ===

    /// A value as it appears in facts.
    pub(crate) fn render(&self, heap: &Heap, value: Value) -> Arg {
        self.show(heap, value, DEPTH, &mut View { shown: 0, literals: true })
    }

    pub(crate) fn target(&self, heap: &Heap, value: Value) -> Target {
        match value {
            Value::Global(id) => {
                let (module, name) = self.global(id);
                Target::Global { module: module.to_owned(), name: name.to_owned() }
            }
            Value::Ext(code) => Target::Extension { code },
            Value::Lost(Kind::Global) => Target::Unknown,
            Value::Lost(Kind::Result) => Target::Result { call: None, root: None },
            Value::Lost(Kind::PersistentId) => Target::PersistentId,
            Value::Node(id) => match heap.node(id) {
                Node::Call { fact, .. } => Target::Result { call: *fact, root: self.root(heap, value) },
                Node::Pers { .. } => Target::PersistentId,
                Node::Method { of, name } => {
                    Target::Method { of: heap.kind(*of).to_owned(), name: cut_text(&heap.text(*name)) }
                }
                _ => Target::Value { of: heap.kind(value).to_owned() },
            },
            _ => Target::Value { of: heap.kind(value).to_owned() },
        }
    }

    /// The global at the bottom of a chain of calls, as `module.name`.
    fn root(&self, heap: &Heap, mut value: Value) -> Option<String> {
        for _ in 0..16 {
            match value {
                Value::Global(id) => {
                    let (module, name) = self.global(id);
                    return Some(format!("{module}.{name}"));
                }
                Value::Node(id) => match heap.node(id) {
                    Node::Call { callee, .. } => value = *callee,
                    Node::Method { of, .. } => value = *of,
                    _ => return None,
                },
                _ => return None,
            }
        }
        None
    }

    /// The recursion ends after [`DEPTH`] levels.
    fn show(&self, heap: &Heap, value: Value, depth: u32, view: &mut View) -> Arg {
        view.shown += 1;
        let text = |id: u32| {
            let bytes = heap.bytes(id);
            String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT)]).into_owned()
        };
        match value {
            Value::None => Arg::None,
            Value::Bool(value) => Arg::Bool { value },
            Value::Int(value) => Arg::Int { value: view.literals.then_some(value) },
            Value::Big(_) | Value::Lost(Kind::Int) => Arg::Int { value: None },
            Value::Float => Arg::Float,
            Value::Str(id) => Arg::Str { text: view.literals.then(|| text(id)), len: heap.blob(id).len },
            Value::Bytes(id) => Arg::Bytes {
                text: view.literals.then(|| {
                    let bytes = heap.bytes(id);
                    bytes[..bytes.len().min(TEXT / 4)].escape_ascii().to_string()
                }),
                len: heap.blob(id).len,
            },
            Value::Global(id) => {
                let (module, name) = self.global(id);
                Arg::Global { module: module.to_owned(), name: name.to_owned() }
            }
            Value::Ext(code) => Arg::Extension { code },
            Value::Buffer => Arg::Buffer,
            Value::Array => Arg::Array,
            Value::Lost(kind) => Arg::NotKept { of: kind.name().to_owned() },
            Value::Node(id) => match heap.node(id) {
                Node::Seq { len, items, .. } => {
                    let of = heap.kind(value).to_owned();
                    let mut shown = Vec::new();
                    for item in items.iter().take(SHOWN_ITEMS) {
                        if depth == 0 || view.shown >= SHOWN {
                            break;
                        }
                        shown.push(self.show(heap, *item, depth - 1, view));
                    }
                    let more = (shown.len() as u64) < *len;
                    Arg::Container { of, len: *len, items: shown, more }
                }
                Node::Dict { len, pairs } => {
                    let mut shown = Vec::new();
                    for (key, item) in pairs.iter().take(SHOWN_ITEMS) {
                        if depth == 0 || view.shown >= SHOWN {
                            break;
                        }
                        // Keys name attributes, so they stay when literals are left out.
                        let mut keys = View { shown: view.shown, literals: true };
                        shown.push(self.show(heap, *key, 0, &mut keys));
                        shown.push(self.show(heap, *item, depth - 1, view));
                    }
                    let more = (shown.len() as u64 / 2) < *len;
                    Arg::Container { of: "dict".to_owned(), len: *len, items: shown, more }
                }
                Node::Call { fact, callee, .. } => Arg::Result { call: *fact, callee: self.target(heap, *callee) },
                Node::Pers { pid } => Arg::PersistentId {
                    tag: heap.items(*pid).and_then(|items| match items.first() {
                        Some(Value::Str(id)) => Some(cut_text(&heap.text(*id))),
                        _ => None,
                    }),
                },
                Node::Module { name } => Arg::Module { name: cut_text(&heap.text(*name)) },
                Node::Method { of, name } => {
                    Arg::Method { of: heap.kind(*of).to_owned(), name: cut_text(&heap.text(*name)) }
                }
            },
        }
    }
}

struct View {
    shown: u32,
    literals: bool,
}

const USES: [Use; 6] = [Use::Called, Use::Constructed, Use::Argument, Use::State, Use::Mutated, Use::PersistentId];

fn bit(purpose: Use) -> u8 {
    1 << purpose as u8
}

/// For everything but globals the keys are data of the application.
fn target_matters(target: &Target) -> bool {
    !matches!(target, Target::Result { .. } | Target::PersistentId)
}

/// A value in a form whose equality means that its rendering is equal. Mirrors [`Recorder::show`].
fn encode(heap: &Heap, value: Value, depth: u32, view: &mut View, out: &mut Vec<u8>) {
    view.shown += 1;
    match value {
        Value::None => out.push(b'N'),
        Value::Bool(value) => out.extend_from_slice(&[b'?', u8::from(value)]),
        Value::Int(value) => {
            out.push(b'I');
            if view.literals {
                out.extend_from_slice(&value.to_le_bytes());
            }
        }
        Value::Big(_) => out.push(b'L'),
        Value::Float => out.push(b'F'),
        Value::Str(id) | Value::Bytes(id) => {
            out.push(if matches!(value, Value::Str(_)) { b'S' } else { b'B' });
            if view.literals {
                let bytes = heap.bytes(id);
                out.extend_from_slice(&heap.blob(id).len.to_le_bytes());
                out.push(bytes.len().min(TEXT) as u8);
                out.extend_from_slice(&bytes[..bytes.len().min(TEXT)]);
            }
        }
        Value::Global(id) => {
            out.push(b'G');
            out.extend_from_slice(&id.to_le_bytes());
        }
        Value::Ext(code) => {
            out.push(b'E');
            out.extend_from_slice(&code.to_le_bytes());
        }
        Value::Buffer => out.push(b'O'),
        Value::Array => out.push(b'A'),
        Value::Lost(kind) => out.extend_from_slice(&[b'!', kind as u8]),
        Value::Node(id) => match heap.node(id) {
            Node::Seq { kind, len, items } => {
                out.extend_from_slice(&[b'[', *kind as u8]);
                let len = if view.literals { *len } else { (*len).min(SHOWN_ITEMS as u64 + 1) };
                out.extend_from_slice(&len.to_le_bytes());
                for item in items.iter().take(SHOWN_ITEMS) {
                    if depth == 0 || view.shown >= SHOWN {
                        break;
                    }
                    encode(heap, *item, depth - 1, view, out);
                }
                out.push(b']');
            }
            Node::Dict { len, pairs } => {
                out.push(b'{');
                let len = if view.literals { *len } else { (*len).min(SHOWN_ITEMS as u64 + 1) };
                out.extend_from_slice(&len.to_le_bytes());
                for (key, item) in pairs.iter().take(SHOWN_ITEMS) {
                    if depth == 0 || view.shown >= SHOWN {
                        break;
                    }
                    encode(heap, *key, 0, &mut View { shown: 0, literals: true }, out);
                    encode(heap, *item, depth - 1, view, out);
                }
                out.push(b'}');
            }
            Node::Call { fact, .. } => {
                out.push(b'R');
                out.extend_from_slice(&fact.unwrap_or(u32::MAX).to_le_bytes());
            }
            Node::Pers { .. } => out.push(b'P'),
            Node::Module { name } => {
                out.push(b'm');
                out.extend_from_slice(&heap.bytes(*name)[..heap.bytes(*name).len().min(TEXT)]);
                out.push(0);
            }
            Node::Method { of, name } => {
                out.push(b'.');
                out.extend_from_slice(heap.kind(*of).as_bytes());
                out.extend_from_slice(&heap.bytes(*name)[..heap.bytes(*name).len().min(TEXT)]);
                out.push(0);
            }
        },
    }
}

/// Attribute names of a state, those with active values, and whether some are missing.
fn state_keys(heap: &Heap, state: Value) -> (Vec<String>, Vec<String>, bool) {
    let mut dicts = vec![state];
    if let Some([first, second]) = heap.items(state) {
        dicts = vec![*first, *second];
    }
    let (mut keys, mut active, mut incomplete) = (Vec::new(), Vec::new(), false);
    for dict in dicts {
        let Value::Node(id) = dict else {
            incomplete |= matches!(dict, Value::Lost(_));
            continue;
        };
        let Node::Dict { len, pairs } = heap.node(id) else { continue };
        incomplete |= *len != pairs.len() as u64;
        for (key, value) in pairs {
            if keys.len() >= KEYS {
                incomplete = true;
                break;
            }
            let Value::Str(id) = key else {
                incomplete |= !matches!(key, Value::Int(_) | Value::None | Value::Bool(_) | Value::Float);
                continue;
            };
            let name = cut_text(&heap.text(*id));
            if holds_active(heap, *value) {
                active.push(name.clone());
            }
            keys.push(name);
        }
    }
    keys.sort_unstable();
    keys.dedup();
    active.sort_unstable();
    active.dedup();
    (keys, active, incomplete)
}

/// A global, a call's result or something unknown, also two containers deep.
fn holds_active(heap: &Heap, value: Value) -> bool {
    let direct = |v: Value| match v {
        Value::Global(_) | Value::Ext(_) | Value::Lost(_) => true,
        Value::Node(id) => !matches!(heap.node(id), Node::Seq { .. } | Node::Dict { .. }),
        _ => false,
    };
    let inside = |v: Value| -> Vec<Value> {
        match v {
            Value::Node(id) => match heap.node(id) {
                Node::Seq { items, .. } => items.iter().take(16).copied().collect(),
                Node::Dict { pairs, .. } => pairs.iter().take(16).flat_map(|(k, v)| [*k, *v]).collect(),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    };
    direct(value) || inside(value).into_iter().any(|v| direct(v) || inside(v).into_iter().any(direct))
}

fn cut_text(text: &str) -> String {
    match text.char_indices().nth(TEXT) {
        Some((end, _)) => text[..end].to_owned(),
        None => text.to_owned(),
    }
}
