//! Calls and state: written down, and evaluated where they are pure or hide a name.

use crate::facts::{AnomalyKind, ImportOp, List, Resolved, Role};
use crate::machine::{Halt, Machine, NestedJob};
use crate::pure::{self, Out, Refused};
use crate::record::Made;
use crate::sniff;
use crate::special::{Pure, Special};
use crate::value::{COMPUTED, Heap, KEEP, Node, Value};

/// Nested pickles of one stream.
const NESTED: usize = 64;

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
        Ok(match value {
            Some(value) => value,
            None => self.heap.add(Node::Call { callee, args, args_known, fact, state: None }),
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
            _ if matches!(callee, Value::Node(_)) => None,
            _ => self.evaluate(callee, &args)?,
        };
        let made = Made { callee, args: &args, args_known: true, kwargs: None, role: Role::Indirect, value };
        let (_, cost) = self.record.call(&self.heap, &made, self.at);
        self.unpaid += cost;
        self.offer_nested(callee, &args);
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
        let module = if text.ends_with("Type") { "types" } else { "builtins" };
        let resolved = self.written(name);
        Some(self.import(module.to_owned(), text, ImportOp::Attribute, resolved))
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
        let bytes = match &out {
            Out::Text(bytes) | Out::Bytes(bytes) => bytes,
        };
        self.unpaid += 1 + bytes.len() as u64 / 64;
        if matches!(function, Pure::Zlib | Pure::Gzip | Pure::Decode) {
            self.budget.expand(bytes.len() as u64)?;
        }
        Ok(Some(match out {
            Out::Text(bytes) => self.heap.add_str(&bytes, COMPUTED),
            Out::Bytes(bytes) => self.heap.add_raw(&bytes, COMPUTED),
        }))
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
    pub(crate) fn ahead_is_code(&mut self) -> Result<bool, Halt> {
        let ahead = self.input.peek(crate::input::WINDOW)?;
        let (imports, opcodes) = sniff::imports_midway(ahead);
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

fn constant(heap: &Heap, function: Pure, args: &[Value]) -> Result<Out, Refused> {
    let bytes = |at: usize| match args.get(at) {
        Some(Value::Str(id)) => heap.whole(*id).map(|b| (b, true)).ok_or(Refused::Unknown),
        Some(Value::Bytes(id)) => heap.whole(*id).map(|b| (b, false)).ok_or(Refused::Unknown),
        _ => Err(Refused::Unknown),
    };
    let some = |bytes: Option<Vec<u8>>| bytes.map(Out::Bytes).ok_or(Refused::Unknown);
    let like = |text: bool, bytes: Vec<u8>| {
        if bytes.len() > KEEP {
            Err(Refused::TooLarge)
        } else if text {
            Ok(Out::Text(bytes))
        } else {
            Ok(Out::Bytes(bytes))
        }
    };
    let codec = |decode: bool| {
        let (input, text) = bytes(0)?;
        let name = match args.get(1) {
            Some(Value::Str(id)) => heap.text(*id),
            None => "utf-8".to_owned(),
            _ => return Err(Refused::Unknown),
        };
        pure::codec(input, text, &name, decode, KEEP)
    };
    match function {
        Pure::Base64 => some(pure::base64(bytes(0)?.0, false)),
        Pure::Base64Url => some(pure::base64(bytes(0)?.0, true)),
        Pure::Base32 => some(pure::base32(bytes(0)?.0)),
        Pure::Base16 | Pure::Unhex | Pure::FromHex => {
            // `bytes.fromhex` taken as an attribute of a constant has that constant first.
            let at = usize::from(function == Pure::FromHex && args.len() > 1);
            some(pure::unhex(bytes(at)?.0))
        }
        Pure::Base85 => some(pure::base85(bytes(0)?.0)),
        Pure::Hexlify => Ok(Out::Bytes(hex::encode(bytes(0)?.0).into_bytes())),
        Pure::Zlib => pure::inflate(bytes(0)?.0, false, KEEP).map(Out::Bytes),
        Pure::Gzip => pure::inflate(bytes(0)?.0, true, KEEP).map(Out::Bytes),
        Pure::Decode => codec(true),
        Pure::Encode => codec(false),
        Pure::Add => {
            let ((left, text), (right, other)) = (bytes(0)?, bytes(1)?);
            if text != other || args.len() != 2 { Err(Refused::Unknown) } else { like(text, [left, right].concat()) }
        }
        Pure::StrJoin => {
            let (separator, text) = bytes(0)?;
            let mut out = Vec::new();
            if let Some(Value::Str(id)) = args.get(1) {
                let joined = heap.whole(*id).and_then(|b| std::str::from_utf8(b).ok()).ok_or(Refused::Unknown)?;
                for (i, c) in joined.chars().enumerate() {
                    if i > 0 {
                        out.extend_from_slice(separator);
                    }
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    if out.len() > KEEP {
                        return Err(Refused::TooLarge);
                    }
                }
                return like(text, out);
            }
            let items = args.get(1).and_then(|v| heap.items(*v)).ok_or(Refused::Unknown)?;
            for (i, item) in items.iter().enumerate() {
                let part = match (item, text) {
                    (Value::Str(id), true) | (Value::Bytes(id), false) => heap.whole(*id).ok_or(Refused::Unknown)?,
                    _ => return Err(Refused::Unknown),
                };
                if i > 0 {
                    out.extend_from_slice(separator);
                }
                out.extend_from_slice(part);
                if out.len() > KEEP {
                    return Err(Refused::TooLarge);
                }
            }
            like(text, out)
        }
        Pure::Chr => match args {
            [Value::Int(code)] => u32::try_from(*code)
                .ok()
                .and_then(char::from_u32)
                .map(|c| Out::Text(c.to_string().into_bytes()))
                .ok_or(Refused::Unknown),
            _ => Err(Refused::Unknown),
        },
        Pure::Bytes => match args {
            [] => Ok(Out::Bytes(Vec::new())),
            [Value::Bytes(id)] => some(heap.whole(*id).map(<[u8]>::to_vec)),
            [Value::Str(_), _, ..] => codec(false),
            [list] => {
                let items = heap.items(*list).ok_or(Refused::Unknown)?;
                let bytes = items.iter().map(|v| match v {
                    Value::Int(n) => u8::try_from(*n).ok(),
                    _ => None,
                });
                some(bytes.collect())
            }
            _ => Err(Refused::Unknown),
        },
        Pure::Str => match args {
            [Value::Str(id)] => like(true, heap.whole(*id).ok_or(Refused::Unknown)?.to_vec()),
            [Value::Bytes(_), _, ..] => codec(true),
            _ => Err(Refused::Unknown),
        },
        Pure::GetItem => {
            let (whole, text) = bytes(0)?;
            if !whole.is_ascii() && text {
                return Err(Refused::Unknown);
            }
            match args.get(1) {
                Some(Value::Int(at)) if text => {
                    let at = if *at < 0 { *at + whole.len() as i64 } else { *at };
                    let byte = usize::try_from(at).ok().and_then(|i| whole.get(i)).ok_or(Refused::Unknown)?;
                    Ok(Out::Text(vec![*byte]))
                }
                Some(Value::Node(id)) => like(text, slice(heap, *id, whole).ok_or(Refused::Unknown)?),
                _ => Err(Refused::Unknown),
            }
        }
        Pure::Replace => {
            let ((whole, text), (from, _), (to, _)) = (bytes(0)?, bytes(1)?, bytes(2)?);
            if from.is_empty() || args.len() != 3 {
                return Err(Refused::Unknown);
            }
            let mut out = Vec::new();
            let mut rest = whole;
            while let Some(at) = memchr::memmem::find(rest, from) {
                out.extend_from_slice(&rest[..at]);
                out.extend_from_slice(to);
                rest = &rest[at + from.len()..];
                if out.len() > KEEP {
                    return Err(Refused::TooLarge);
                }
            }
            out.extend_from_slice(rest);
            like(text, out)
        }
        Pure::Lower => bytes(0).and_then(|(b, text)| like(text, b.to_ascii_lowercase())),
        Pure::Upper => bytes(0).and_then(|(b, text)| like(text, b.to_ascii_uppercase())),
        Pure::Strip if args.len() == 1 => bytes(0).and_then(|(b, text)| like(text, b.trim_ascii().to_vec())),
        // An iterator in truth; it is only ever joined.
        Pure::Reversed => {
            let (whole, text) = bytes(0)?;
            if text && whole.is_ascii() {
                like(true, whole.iter().rev().copied().collect())
            } else {
                Err(Refused::Unknown)
            }
        }
        Pure::Strip => Err(Refused::Unknown),
    }
}

/// `whole[slice(...)]` where the slice is a call of `builtins.slice` on numbers.
fn slice(heap: &Heap, id: u32, whole: &[u8]) -> Option<Vec<u8>> {
    let Node::Call { args, args_known: true, .. } = heap.node(id) else { return None };
    let number = |v: Option<&Value>| match v {
        None | Some(Value::None) => Some(None),
        Some(Value::Int(n)) => Some(Some(*n)),
        _ => None,
    };
    let (start, stop, step) = match args.as_slice() {
        [stop] => (None, number(Some(stop))?, None),
        [start, stop, rest @ ..] => (number(Some(start))?, number(Some(stop))?, number(rest.first())?),
        [] => return None,
    };
    let len = i64::try_from(whole.len()).ok()?;
    let step = step.unwrap_or(1);
    if step == 0 {
        return None;
    }
    let (low, high) = if step > 0 { (0, len) } else { (-1, len - 1) };
    let place = |n: Option<i64>, missing: i64| match n {
        None => missing,
        Some(n) if n < 0 => n.saturating_add(len).clamp(low, high),
        Some(n) => n.clamp(low, high),
    };
    let (mut at, stop) =
        if step > 0 { (place(start, 0), place(stop, len)) } else { (place(start, len - 1), place(stop, -1)) };
    let mut out = Vec::new();
    while (step > 0 && at < stop) || (step < 0 && at > stop) {
        out.push(*whole.get(usize::try_from(at).ok()?)?);
        at = at.saturating_add(step);
    }
    Some(out)
}
