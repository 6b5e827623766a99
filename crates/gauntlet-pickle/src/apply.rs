//! Calls and state: written down, and evaluated where they are pure or hide a name.

use crate::facts::{AnomalyKind, ImportOp, List, Resolved, Role};
use crate::fold::constant;
use crate::machine::{Halt, Machine, NestedJob};
use crate::pure::{Out, Refused};
use crate::record::Made;
use crate::sniff;
use crate::special::{Fold, Pure, Special};
use crate::value::{COMPUTED, Heap, Kind, Node, Value};

/// Nested pickles of one stream.
const NESTED: usize = 1024;
/// Texts of code of one stream that are kept.
const SOURCES: usize = 64;
/// Items over which a pure function is folded.
const FOLDED: usize = 4096;

impl Machine<'_, '_> {
    /// A call whose arguments are one value, normally a tuple.
    pub(crate) fn apply(
        &mut self,
        callee: Value,
        args: Value,
        kwargs: Option<Value>,
        role: Role,
    ) -> Result<Value, Halt> {
        match self.heap.items(args) {
            Some(items) => {
                let items = items.to_vec();
                self.unpaid += items.len() as u64 / 8;
                self.call(callee, items, true, kwargs, role)
            }
            // The Python unpickler unpacks whatever is iterable: of a dict the keys.
            None if let Some(keys) = self.heap.keys(args) => {
                self.unpaid += keys.len() as u64 / 8;
                self.call(callee, keys, true, kwargs, role)
            }
            // A tuple of which items were left out, or something computed.
            None => self.call(callee, vec![args], false, kwargs, role),
        }
    }

    /// A call: written down, evaluated if possible; gives the value.
    pub(crate) fn call(
        &mut self,
        callee: Value,
        args: Vec<Value>,
        args_known: bool,
        kwargs: Option<Value>,
        role: Role,
    ) -> Result<Value, Halt> {
        let value = if args_known { self.evaluate(callee, &args)? } else { None };
        let made = Made { callee, args: &args, args_known, kwargs, role, value };
        let (fact, cost) = self.record.call(&self.heap, &made, self.at);
        self.unpaid += cost;
        self.offer_nested(callee, &args);
        if self.special(callee) == Special::GraphModule {
            self.offer_source(&args, args_known && kwargs.is_none());
        }
        Ok(match value {
            Some(value) => {
                self.heap.untold();
                value
            }
            None => {
                if !matches!(callee, Value::Global(_)) {
                    self.heap.untold();
                }
                let value = self.heap.add(Node::Call { callee, args, args_known, fact, state: None });
                self.heap.note_kwargs(value, kwargs);
                value
            }
        })
    }

    fn special(&self, callee: Value) -> Special {
        match callee {
            Value::Global(id) => self.record.special(id),
            Value::Node(id) => match self.heap.node(id) {
                Node::Method { of, name } => Special::method(matches!(of, Value::Str(_)), &self.heap.text(*name)),
                _ => Special::None,
            },
            _ => Special::None,
        }
    }

    fn evaluate(&mut self, callee: Value, args: &[Value]) -> Result<Option<Value>, Halt> {
        if let Value::Node(id) = callee {
            match self.heap.node(id) {
                // A method bound to a constant: the constant is the first argument.
                Node::Method { of, .. } => {
                    let of = *of;
                    return match self.special(callee) {
                        Special::Pure(function) => {
                            let args: Vec<Value> = std::iter::once(of).chain(args.iter().copied()).collect();
                            self.pure(function, &args)
                        }
                        _ => Ok(None),
                    };
                }
                Node::Call { callee: Value::Global(maker), args: made_with, args_known: true, .. } => {
                    let (special, made_with) = (self.record.special(*maker), made_with.clone());
                    self.unpaid += made_with.len() as u64 / 8;
                    return self.call_of_result(special, &made_with, args);
                }
                _ => return Ok(None),
            }
        }
        match (self.special(callee), args) {
            (Special::Pure(function), _) => self.pure(function, args),
            (Special::Fold(fold), _) => self.folded(fold, args),
            (Special::GetAttr, [of, Value::Str(name), ..]) => Ok(self.attribute(*of, *name)),
            (Special::DillImport, [Value::Str(name), ..]) => Ok(self.dill_import(*name)),
            (Special::DillType, [Value::Str(name)]) => Ok(self.dill_type(*name)),
            (Special::ImportModule, [Value::Str(name), ..]) => Ok(self.module(*name, false)),
            (Special::Import, [Value::Str(name), rest @ ..]) => {
                let from_list = matches!(rest.get(2), Some(v) if !matches!(v, Value::None) && self.heap.items(*v).is_none_or(|i| !i.is_empty()));
                Ok(self.module(*name, !from_list))
            }
            (Special::AddExtension, [module, name, Value::Int(code)]) => {
                if let (Value::Str(module), Value::Str(name)) = (module, name) {
                    let names = (self.heap.text(*module), self.heap.text(*name));
                    if self.registry.extensions.len() < 65_536 {
                        self.registry.extensions.insert(*code, names);
                    }
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// A call of what `attrgetter`, `methodcaller` or `partial` returned.
    fn call_of_result(&mut self, special: Special, made_with: &[Value], args: &[Value]) -> Result<Option<Value>, Halt> {
        match (special, made_with, args) {
            (Special::AttrGetter, [Value::Str(name)], [of, ..]) => Ok(self.attribute(*of, *name)),
            (Special::ItemGetter, [key], [of]) => self.pure(Pure::GetItem, &[*of, *key]),
            (Special::MethodCaller, [Value::Str(name), rest @ ..], [of, ..]) => {
                let Some(method) = self.attribute(*of, *name) else { return Ok(None) };
                self.indirect(method, rest.to_vec())
            }
            (Special::Partial, [function, rest @ ..], _) => {
                let args = rest.iter().chain(args).copied().collect();
                self.indirect(*function, args)
            }
            _ => Ok(None),
        }
    }

    /// Writes down the call behind a call. A partial of a partial is seen through once for each call, so this ends.
    fn indirect(&mut self, callee: Value, args: Vec<Value>) -> Result<Option<Value>, Halt> {
        self.unpaid += args.len() as u64 / 8;
        let value = match self.special(callee) {
            Special::None => None,
            // A method of a constant; a call of a call is not followed, so that this ends.
            Special::Pure(_) => self.evaluate(callee, &args)?,
            _ if matches!(callee, Value::Node(_)) => None,
            _ => self.evaluate(callee, &args)?,
        };
        let made = Made { callee, args: &args, args_known: true, kwargs: None, role: Role::Indirect, value };
        let (_, cost) = self.record.call(&self.heap, &made, self.at);
        self.unpaid += cost;
        self.offer_nested(callee, &args);
        if self.special(callee) == Special::GraphModule {
            self.offer_source(&args, true);
        }
        Ok(value)
    }

    /// `getattr(of, name)`: a dotted global, or a method of a constant.
    fn attribute(&mut self, of: Value, name: u32) -> Option<Value> {
        let text = String::from_utf8(self.heap.whole(name)?.to_vec()).ok()?;
        match of {
            Value::Global(id) => {
                let (module, base) = self.record.global(id);
                let (module, dotted) = (module.to_owned(), format!("{base}.{text}"));
                // Names grow by at most what is bounded here, however often attributes are taken of attributes.
                if dotted.len() > 4096 {
                    return None;
                }
                // Picklers below protocol 4 write methods in this way, with a name that is a literal.
                let resolved = self.record.resolved(id).max(self.written(name));
                Some(self.import(module, dotted, ImportOp::Attribute, resolved))
            }
            Value::Node(id) => match self.heap.node(id) {
                Node::Module { name: module } => {
                    let resolved = self.written(*module).max(self.written(name));
                    let module = self.heap.text(*module);
                    Some(self.import(module, text, ImportOp::Attribute, resolved))
                }
                Node::Method { .. } => None,
                _ => Some(self.heap.add(Node::Method { of, name })),
            },
            Value::Str(_) | Value::Bytes(_) => Some(self.heap.add(Node::Method { of, name })),
            _ => None,
        }
    }

    /// Whether a text is a literal of the stream or was put together.
    fn written(&self, text: u32) -> Resolved {
        if self.heap.blob(text).offset == COMPUTED { Resolved::Computed } else { Resolved::Literal }
    }

    fn dill_import(&mut self, name: u32) -> Option<Value> {
        let text = String::from_utf8(self.heap.whole(name)?.to_vec()).ok()?;
        match text.rsplit_once('.') {
            // A dotted name ends in an attribute, which may be a module: both are judged by their name.
            Some((module, attribute)) if attribute.starts_with(|c: char| c.is_uppercase()) => {
                let resolved = self.written(name);
                Some(self.import(module.to_owned(), attribute.to_owned(), ImportOp::Attribute, resolved))
            }
            _ => Some(self.heap.add(Node::Module { name })),
        }
    }

    fn dill_type(&mut self, name: u32) -> Option<Value> {
        let text = String::from_utf8(self.heap.whole(name)?.to_vec()).ok()?;
        let resolved = self.written(name);
        let (module, class) = match text.as_str() {
            "PartialType" => ("functools", "partial"),
            "ItemGetterType" => ("operator", "itemgetter"),
            "AttrGetterType" => ("operator", "attrgetter"),
            "FileType" | "TextWrapperType" | "BufferedReaderType" | "BufferedWriterType" => ("io", "open"),
            "LockType" | "RLockType" => ("threading", "Lock"),
            other if other.ends_with("Type") => ("types", other),
            other => ("builtins", other),
        };
        let class = class.to_owned();
        Some(self.import(module.to_owned(), class, ImportOp::Attribute, resolved))
    }

    fn module(&mut self, name: u32, top: bool) -> Option<Value> {
        let text = String::from_utf8(self.heap.whole(name)?.to_vec()).ok()?;
        let text = if top { text.split('.').next().unwrap_or_default() } else { &text };
        match self.heap.add_str(text.as_bytes(), COMPUTED) {
            Value::Str(name) => Some(self.heap.add(Node::Module { name })),
            _ => None,
        }
    }

    // === pure functions ===

    fn pure(&mut self, function: Pure, args: &[Value]) -> Result<Option<Value>, Halt> {
        let out = constant(&self.heap, function, args);
        let out = match out {
            Ok(out) => out,
            Err(Refused::Unknown) => return Ok(None),
            Err(Refused::TooLarge) => {
                self.anomaly(AnomalyKind::DecodedTooLarge);
                return Ok(None);
            }
        };
        let len = match &out {
            Out::Text(bytes) | Out::Bytes(bytes) => bytes.len(),
            Out::Texts(parts) => parts.iter().map(|part| part.len() + 32).sum(),
            Out::Int(_) | Out::Value(_) | Out::Table(_) => 0,
        };
        self.unpaid += 1 + len as u64 / 64;
        if function.expands() {
            self.budget.expand(len as u64)?;
        }
        Ok(Some(match out {
            Out::Text(bytes) => self.heap.add_str(&bytes, COMPUTED),
            Out::Bytes(bytes) => self.heap.add_raw(&bytes, COMPUTED),
            Out::Int(value) => Value::Int(value),
            Out::Value(value) => value,
            Out::Texts(parts) => {
                let items: Vec<Value> = parts.iter().map(|part| self.heap.add_str(part, COMPUTED)).collect();
                self.heap.seq(Kind::List, &items)
            }
            Out::Table(pairs) => {
                let len = pairs.len() as u64;
                let pairs = pairs.into_iter().map(|(from, to)| (Value::Int(from), Value::Int(to))).collect();
                self.heap.add(Node::Dict { len, pairs })
            }
        }))
    }

    /// `map(f, items)` and `reduce(f, items)` of a pure function and constants.
    fn folded(&mut self, fold: Fold, args: &[Value]) -> Result<Option<Value>, Halt> {
        let [Value::Global(function), over, rest @ ..] = args else { return Ok(None) };
        let Special::Pure(function) = self.record.special(*function) else { return Ok(None) };
        let Some(items) = self.elements(*over) else { return Ok(None) };
        if items.len() > FOLDED {
            return Ok(None);
        }
        self.unpaid += items.len() as u64;
        match fold {
            Fold::Map if rest.is_empty() => {
                let mut out = Vec::new();
                for item in items {
                    let Some(value) = self.pure(function, &[item])? else { return Ok(None) };
                    out.push(value);
                }
                Ok(Some(self.heap.seq(Kind::List, &out)))
            }
            Fold::Map => Ok(None),
            Fold::Reduce => {
                let mut items = rest.first().copied().into_iter().chain(items);
                let Some(mut value) = items.next() else { return Ok(None) };
                for item in items {
                    match self.pure(function, &[value, item])? {
                        Some(next) => value = next,
                        None => return Ok(None),
                    }
                }
                Ok(Some(value))
            }
        }
    }

    /// What iterating over a constant gives.
    fn elements(&mut self, value: Value) -> Option<Vec<Value>> {
        match value {
            Value::Str(id) => {
                let text = std::str::from_utf8(self.heap.whole(id)?).ok()?;
                let parts: Vec<String> = text.chars().take(FOLDED + 1).map(String::from).collect();
                Some(parts.iter().map(|part| self.heap.add_str(part.as_bytes(), COMPUTED)).collect())
            }
            Value::Bytes(id) => {
                let bytes = self.heap.whole(id)?;
                Some(bytes.iter().take(FOLDED + 1).map(|byte| Value::Int(i64::from(*byte))).collect())
            }
            _ => self.heap.items(value).map(<[Value]>::to_vec),
        }
    }

    // === nested pickles ===

    fn offer_nested(&mut self, callee: Value, args: &[Value]) {
        let loads = self.special(callee) == Special::Loads;
        for arg in args.iter().take(8) {
            let Some(id) = bytes_of(&self.heap, |id| self.record.special(id), *arg) else { continue };
            if self.record.offered.contains(&id) {
                continue;
            }
            let blob = self.heap.blob(id);
            let bytes = self.heap.bytes(id);
            self.unpaid += bytes.len().min(64 << 10) as u64 / 16;
            if bytes.is_empty() || (!loads && sniff::looks_like_pickle(bytes, blob.complete()).is_none()) {
                continue;
            }
            if self.record.nested.len() >= NESTED {
                self.record.cut(List::Nested);
                return;
            }
            let via = match self.record.target(&self.heap, callee) {
                crate::facts::Target::Global { module, name } => format!("{module}.{name}"),
                crate::facts::Target::Result { root: Some(root), .. } => format!("{root}()"),
                crate::facts::Target::Method { of, name } => format!("{of}.{name}"),
                _ => "?".to_owned(),
            };
            self.record.nested.push(NestedJob {
                bytes: bytes.to_vec(),
                via,
                offset: self.at,
                complete: blob.complete(),
                literal_at: (blob.offset != COMPUTED).then_some(blob.offset),
                len: blob.len,
            });
            self.record.offered.insert(id);
        }
    }

    // === source text ===

    /// The code that a graph module is made of, as PyTorch joins it.
    fn offer_source(&mut self, args: &[Value], known: bool) {
        let text = match args {
            [body, imports] if known => self.graph_source(*body, *imports),
            _ => None,
        };
        self.unpaid += text.as_ref().map_or(0, |text| text.len() as u64 / 64);
        if self.record.sources.len() < SOURCES {
            self.record.sources.push((self.at, text));
        }
    }

    fn graph_source(&self, body: Value, imports: Value) -> Option<String> {
        // A body of which something was left out may have another text.
        self.heap.keys(body)?;
        let text = |value| match value {
            Value::Str(id) => std::str::from_utf8(self.heap.whole(id)?).ok(),
            _ => None,
        };
        // Where `_code` is false, `code` counts.
        let code = match self.heap.get(body, b"_code") {
            Some(value) => text(value).filter(|code| !code.is_empty())?,
            None => text(self.heap.get(body, b"code")?)?,
        };
        Some(format!("{}{code}", text(imports)?))
    }

    // === state ===

    pub(crate) fn build(&mut self) -> Result<(), Halt> {
        let state = self.pop()?;
        let target = self.top()?;
        let class = self.class(target);
        let again = match target {
            Value::Node(id) => match self.heap.node_mut(id) {
                Node::Call { state: slot, .. } => slot.replace(state).is_some(),
                _ => false,
            },
            _ => false,
        };
        let name = class.map(|id| self.record.global(id));
        let text = name.map(|(module, name)| format!("{module}.{name}"));
        let wrapper = name.is_some_and(|(module, name)| crate::joblib::is_wrapper(module, name));
        let cost = self.record.build(&self.heap, target, text, state, again, self.at);
        self.unpaid += cost;
        self.heap.note_state(target, state);
        if let (None, Value::Bytes(_)) = (class, state) {
            self.offer_nested(target, &[state]);
        }
        if wrapper {
            self.inline_array(state)?;
        }
        Ok(())
    }

    /// The class of an object that a call of the stream made.
    fn class(&self, value: Value) -> Option<u32> {
        let Value::Node(id) = value else { return None };
        let Node::Call { callee: Value::Global(callee), args, args_known, .. } = self.heap.node(id) else {
            return None;
        };
        match (self.record.special(*callee), args.first()) {
            (Special::Reconstructor, Some(Value::Global(class))) if *args_known => Some(*class),
            (Special::Reconstructor, _) => None,
            _ => Some(*callee),
        }
    }

    /// Whether the bytes ahead, read as opcodes by a plain `pickle.load`, would import something.
    pub(crate) fn ahead_is_code(&mut self, array: u64, padded: bool) -> Result<bool, Halt> {
        let ahead = self.input.peek(crate::input::WINDOW)?;
        let padding = ahead.first().filter(|_| padded).map_or(0, |n| 1 + u64::from(*n));
        let (imports, opcodes) = sniff::imports_midway(ahead, array.saturating_add(padding));
        self.unpaid += opcodes / 2;
        Ok(imports)
    }
}

/// Bytes given directly, or inside `io.BytesIO`.
fn bytes_of(heap: &Heap, special: impl Fn(u32) -> Special, value: Value) -> Option<u32> {
    match value {
        Value::Bytes(id) => Some(id),
        // Protocol 0 and Python 2 write bytes as text.
        Value::Str(id) if heap.bytes(id).first() == Some(&0x80) => Some(id),
        Value::Node(id) => match heap.node(id) {
            Node::Call { callee: Value::Global(maker), args, .. } if special(*maker) == Special::BytesIo => {
                match args.first() {
                    Some(Value::Bytes(id)) => Some(*id),
                    _ => None,
                }
            }
            _ => None,
        },
        _ => None,
    }
}
