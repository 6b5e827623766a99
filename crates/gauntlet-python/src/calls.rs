//! Describes calls and values: constants folded, dictionaries unpacked, partial applications merged.

use ruff_python_ast::{Expr, ExprCall, FStringPart, InterpolatedStringElement, Number, Operator, UnaryOp};

use crate::imported;
use crate::module::Lines;
use crate::resolve::{Resolver, Thing, Things};
use crate::scope::{Binding, Bound, Item, ScopeId, Seen, Site};
use crate::value::{Call, Invocation, Value};

/// Elements of a literal that are described; an unknown one stands for the rest.
const ELEMENTS: usize = 32;
/// Calls inside arguments of calls that are described.
const NESTED: u32 = 2;
/// Lists, dictionaries and calls inside each other that are described. Each costs up to three levels of JSON, of which
/// readers of stored facts take 128.
const LEVELS: u32 = 16;
/// Bytes of text that folding builds.
const TEXT: usize = 4096;

/// Every call of a module, in the order of the text.
pub(crate) fn describe(bound: &Bound<'_>, lines: &Lines<'_>) -> Vec<Call> {
    let running = imported::scopes(bound);
    let mut calls: Vec<Call> = bound
        .calls
        .iter()
        .map(|&(site, scope)| {
            let mut resolver = Resolver::new(bound);
            let mut invocation = match site {
                Site::Call(call) => resolver.invocation(call, scope, NESTED),
                Site::Implicit(callee) => resolver.implicit(Seen { expr: callee, scope }),
            };
            invocation.cut(LEVELS);
            let (at_import, looked_up) = (running.contains(&scope), is_looked_up(site.callee()));
            Call { invocation, place: lines.place(site.range()), at_import, looked_up }
        })
        .collect();
    calls.sort_by_key(|c| (c.place.start, c.place.end));
    calls
}

/// Whether a callee is found by a name that is data.
fn is_looked_up(callee: &Expr) -> bool {
    let called = |expr: &Expr, names: &[&str]| match expr {
        Expr::Call(call) => matches!(&*call.func, Expr::Name(name) if names.contains(&name.id.as_str())),
        _ => false,
    };
    match callee {
        Expr::Subscript(subscript) => {
            let table = match &*subscript.value {
                // One level further in: `globals()["__builtins__"]["eval"]`.
                Expr::Subscript(outer) => &*outer.value,
                table => table,
            };
            called(table, &["globals", "locals", "vars"])
                || matches!(table, Expr::Attribute(attribute) if matches!(attribute.attr.as_str(), "__dict__" | "__builtins__"))
                || matches!(table, Expr::Name(name) if name.id == "__builtins__")
        }
        Expr::Call(call) if called(callee, &["getattr"]) => {
            !matches!(call.arguments.args.get(1), Some(Expr::StringLiteral(_) | Expr::Name(_)))
        }
        _ => false,
    }
}

impl<'a> Resolver<'_, 'a> {
    /// Who is called with what. `depth` bounds how far arguments are described as calls themselves.
    fn invocation(&mut self, call: &'a ExprCall, scope: ScopeId, depth: u32) -> Invocation {
        let callees = self.callees(call, scope);
        let mut out = match self.partial(&callees, depth) {
            Some(partial) => partial,
            None => self.named(&callees, depth),
        };
        for expr in &call.arguments.args {
            match expr {
                Expr::Starred(starred) => match self.value_at(Seen { expr: &starred.value, scope }, depth) {
                    Value::List(values) if values.last() != Some(&Value::Unknown) => out.arguments.extend(values),
                    _ => out.open_arguments = true,
                },
                // Behind an unknown `*` positions mean nothing.
                _ if out.open_arguments => break,
                _ if out.arguments.len() >= ELEMENTS => out.open_arguments = true,
                _ => out.arguments.push(self.value_at(Seen { expr, scope }, depth)),
            }
        }
        for keyword in &call.arguments.keywords {
            if out.keywords.len() >= 2 * ELEMENTS {
                out.open_keywords = true;
                break;
            }
            let value = self.value_at(Seen { expr: &keyword.value, scope }, depth);
            match (&keyword.arg, value) {
                (Some(name), value) => out.keywords.push((name.to_string(), value)),
                (None, Value::Dict(items)) => {
                    for (name, value) in items {
                        // An open dictionary ends in a nameless unknown.
                        if name.is_empty() { out.open_keywords = true } else { out.keywords.push((name, value)) }
                    }
                }
                (None, _) => out.open_keywords = true,
            }
        }
        out
    }

    /// What Python calls without a call in the text, with arguments of its own.
    fn implicit(&mut self, callee: Seen<'a>) -> Invocation {
        let callees = self.things(callee);
        let out = match self.partial(&callees, NESTED) {
            Some(partial) => partial,
            None => self.named(&callees, NESTED),
        };
        Invocation { open_arguments: true, ..out }
    }

    /// The invocation that `functools.partial` prepared, when that is what is called.
    fn partial(&mut self, callees: &Things<'a>, depth: u32) -> Option<Invocation> {
        let Some(&Thing::Result(call, scope)) = callees.single() else { return None };
        let makers = self.callees(call, scope);
        let is_partial = matches!(makers.single(), Some(Thing::Path(path, None)) if path == "functools.partial");
        if !is_partial || depth == 0 {
            return None;
        }
        let mut inner = self.invocation(call, scope, depth - 1);
        if inner.arguments.is_empty() {
            return None;
        }
        inner.arguments.remove(0);
        let expr = call.arguments.args.first()?;
        let named = self.things(Seen { expr, scope });
        let named = self.named(&named, depth - 1);
        Some(Invocation { names: named.names, certain: named.certain, receiver: named.receiver, ..inner })
    }

    /// The names that a callee may stand for, without arguments.
    fn named(&mut self, callees: &Things<'a>, depth: u32) -> Invocation {
        let mut out = Invocation { certain: !callees.open && callees.all.len() == 1, ..Invocation::default() };
        for thing in &callees.all {
            let name = match thing {
                Thing::Path(path, receiver) => {
                    if let (Some((call, scope)), None, 1..) = (receiver, &out.receiver, depth) {
                        out.receiver = Some(Box::new(self.invocation(call, *scope, depth - 1)));
                    }
                    path.clone()
                }
                _ => "?".to_owned(),
            };
            if !out.names.contains(&name) {
                out.names.push(name);
            }
        }
        if out.names.is_empty() {
            out.names.push("?".to_owned());
        }
        out
    }

    /// What is known of the value of an expression.
    pub(crate) fn value(&mut self, seen: Seen<'a>) -> Value {
        self.value_at(seen, 0)
    }

    fn value_at(&mut self, seen: Seen<'a>, depth: u32) -> Value {
        if self.fuel == 0 {
            return Value::Unknown;
        }
        self.fuel -= 1;
        let at = |expr: &'a Expr| Seen { expr, ..seen };
        match seen.expr {
            Expr::NoneLiteral(_) => Value::None,
            Expr::BooleanLiteral(b) => Value::Bool(b.value),
            Expr::NumberLiteral(n) => match &n.value {
                Number::Int(i) => i.as_i64().map_or(Value::Unknown, Value::Int),
                _ => Value::Unknown,
            },
            Expr::StringLiteral(s) => text(s.value.to_str()),
            Expr::FString(f) => self.formatted(f.value.iter(), seen.scope),
            Expr::UnaryOp(op) => match (op.op, self.value(at(&op.operand))) {
                (UnaryOp::Not, Value::Bool(b)) => Value::Bool(!b),
                (UnaryOp::Not, Value::None) => Value::Bool(true),
                (UnaryOp::Not, Value::Int(i)) => Value::Bool(i == 0),
                (UnaryOp::USub, Value::Int(i)) => i.checked_neg().map_or(Value::Unknown, Value::Int),
                _ => Value::Unknown,
            },
            Expr::BinOp(op) => {
                let (left, right) = (self.value_at(at(&op.left), depth), self.value_at(at(&op.right), depth));
                combine(left, op.op, right)
            }
            Expr::Tuple(t) => self.list(&t.elts, seen.scope, depth),
            Expr::List(l) => self.list(&l.elts, seen.scope, depth),
            Expr::Set(s) => self.list(&s.elts, seen.scope, depth),
            Expr::Dict(dict) => {
                let mut items = Vec::new();
                for item in &dict.items {
                    if items.len() > ELEMENTS {
                        break;
                    }
                    let key = item.key.as_ref().map(|k| self.value(at(k)));
                    let value = self.value_at(at(&item.value), depth);
                    match (key, value) {
                        (Some(Value::Str(key)), value) if items.len() < ELEMENTS && !key.is_empty() => {
                            items.push((key, value));
                        }
                        (None, Value::Dict(inner)) if items.len() < ELEMENTS => items.extend(inner),
                        // Another key, or an unknown dictionary: anything may be inside.
                        (Some(Value::Int(_) | Value::Bool(_) | Value::None), _) => {}
                        _ => items.push((String::new(), Value::Unknown)),
                    }
                }
                Value::Dict(items)
            }
            Expr::Name(name) => self.variable(name.id.as_str(), seen, depth),
            Expr::Attribute(_)
            | Expr::Call(_)
            | Expr::Subscript(_)
            | Expr::Named(_)
            | Expr::Await(_)
            | Expr::If(_)
            | Expr::BoolOp(_) => {
                let things = self.things(seen);
                self.known(&things, depth)
            }
            _ => Value::Unknown,
        }
    }

    /// The value of a name, with what was put into it later when it is a dictionary.
    fn variable(&mut self, name: &str, seen: Seen<'a>, depth: u32) -> Value {
        let bound = self.bound;
        let slot = bound.lookup(name, seen.scope);
        let Some(slot) = slot.filter(|s| !s.items.is_empty() || s.mutated) else {
            let things = self.things(seen);
            return self.known(&things, depth);
        };
        let base = match slot.bindings.as_slice() {
            [Binding::Value(value)] if !slot.more && !slot.mutated => self.value_at(*value, depth),
            _ => return Value::Unknown,
        };
        let Value::Dict(mut items) = base else { return Value::Unknown };
        for (key, item) in &slot.items {
            match item {
                Item::Of(value) => match self.value(*key) {
                    Value::Str(key) if !key.is_empty() => items.push((key, self.value_at(*value, depth))),
                    _ => items.push((String::new(), Value::Unknown)),
                },
                Item::Update(call) => {
                    let update = self.dictionary(call, key.scope, depth);
                    items.extend(update);
                }
            }
        }
        settle(items)
    }

    /// The items that `dict(...)` or `.update(...)` gives.
    fn dictionary(&mut self, call: &'a ExprCall, scope: ScopeId, depth: u32) -> Vec<(String, Value)> {
        let open = (String::new(), Value::Unknown);
        let mut items = Vec::new();
        if call.arguments.args.len() + call.arguments.keywords.len() > ELEMENTS {
            return vec![open];
        }
        for expr in &call.arguments.args {
            match self.value_at(Seen { expr, scope }, depth) {
                Value::Dict(inner) => items.extend(inner),
                _ => items.push(open.clone()),
            }
        }
        for keyword in &call.arguments.keywords {
            let value = self.value_at(Seen { expr: &keyword.value, scope }, depth);
            match (&keyword.arg, value) {
                (Some(name), value) => items.push((name.to_string(), value)),
                (None, Value::Dict(inner)) => items.extend(inner),
                (None, _) => items.push(open.clone()),
            }
        }
        items
    }

    /// The value that all possibilities share.
    fn known(&mut self, things: &Things<'a>, depth: u32) -> Value {
        if things.open {
            return Value::Unknown;
        }
        let mut shared = None;
        for thing in &things.all {
            let value = match thing {
                Thing::Path(path, _) if path.starts_with('?') => Value::Unknown,
                Thing::Path(path, _) => Value::Name(path.clone()),
                Thing::Class(class) => self.bases(*class),
                // A name that stands for a name was followed already, so this is another kind of expression.
                Thing::Plain(seen) => self.value_at(*seen, depth),
                Thing::Result(call, scope) => self.returned(call, *scope, depth),
                Thing::Instance(_) | Thing::Unknown => Value::Unknown,
            };
            match &shared {
                None => shared = Some(value),
                Some(before) if *before == value => {}
                Some(_) => return Value::Unknown,
            }
        }
        shared.unwrap_or(Value::Unknown)
    }

    fn bases(&mut self, class: crate::scope::ClassId) -> Value {
        let bound = self.bound;
        let mut names = Vec::new();
        for base in bound.classes[class].bases.iter().take(ELEMENTS) {
            let things = self.things(*base);
            names.extend(things.all.iter().map(|t| match t {
                Thing::Path(path, _) => path.clone(),
                _ => "?".to_owned(),
            }));
        }
        Value::Class(names)
    }

    /// The result of a call: folded where the callee is a harmless builtin.
    fn returned(&mut self, call: &'a ExprCall, scope: ScopeId, depth: u32) -> Value {
        let callees = self.callees(call, scope);
        if let Some(Thing::Path(path, None)) = callees.single() {
            let first = call.arguments.args.first().map(|expr| Seen { expr, scope });
            match (path.as_str(), first) {
                ("builtins.dict", _) => return settle(self.dictionary(call, scope, depth)),
                ("builtins.bool", Some(first)) => {
                    return match self.value(first) {
                        Value::Bool(b) => Value::Bool(b),
                        Value::Int(i) => Value::Bool(i != 0),
                        Value::Str(s) => Value::Bool(!s.is_empty()),
                        Value::None => Value::Bool(false),
                        _ => Value::Unknown,
                    };
                }
                ("builtins.str", Some(first)) => {
                    if let Value::Str(s) = self.value(first) {
                        return Value::Str(s);
                    }
                }
                ("builtins.list" | "builtins.tuple" | "builtins.set", Some(first)) => {
                    if let Value::List(all) = self.value_at(first, depth) {
                        return Value::List(all);
                    }
                }
                _ => {}
            }
        }
        if depth == 0 { Value::Unknown } else { Value::Call(Box::new(self.invocation(call, scope, depth - 1))) }
    }

    fn list(&mut self, elements: &'a [Expr], scope: ScopeId, depth: u32) -> Value {
        let mut values = Vec::new();
        for expr in elements.iter().take(ELEMENTS) {
            match expr {
                Expr::Starred(starred) => match self.value_at(Seen { expr: &starred.value, scope }, depth) {
                    Value::List(inner) if values.len() + inner.len() <= ELEMENTS => values.extend(inner),
                    _ => values.push(Value::Unknown),
                },
                _ => values.push(self.value_at(Seen { expr, scope }, depth)),
            }
        }
        if elements.len() > ELEMENTS {
            values.push(Value::Unknown);
        }
        Value::List(values)
    }

    fn formatted<'f>(&mut self, parts: impl Iterator<Item = &'f FStringPart>, scope: ScopeId) -> Value
    where
        'a: 'f,
        'f: 'a,
    {
        let mut out = String::new();
        for part in parts {
            match part {
                FStringPart::Literal(literal) => out.push_str(&literal.value),
                FStringPart::FString(f) => {
                    for element in &f.elements {
                        match element {
                            InterpolatedStringElement::Literal(literal) => out.push_str(&literal.value),
                            InterpolatedStringElement::Interpolation(field) => {
                                let plain = field.format_spec.is_none()
                                    && field.debug_text.is_none()
                                    && field.conversion.to_byte().is_none();
                                match self.value(Seen { expr: &field.expression, scope }) {
                                    Value::Str(s) if plain => out.push_str(&s),
                                    Value::Int(i) if plain => out.push_str(&i.to_string()),
                                    _ => return Value::Unknown,
                                }
                            }
                        }
                    }
                }
            }
            if out.len() > TEXT {
                return Value::Unknown;
            }
        }
        Value::Str(out)
    }
}

fn text(text: &str) -> Value {
    if text.len() <= TEXT { Value::Str(text.to_owned()) } else { Value::Unknown }
}

fn combine(left: Value, op: Operator, right: Value) -> Value {
    match (left, op, right) {
        (Value::Str(a), Operator::Add, Value::Str(b)) => text(&(a + &b)),
        (Value::List(mut a), Operator::Add, Value::List(b)) if a.len() + b.len() <= ELEMENTS => {
            a.extend(b);
            Value::List(a)
        }
        (Value::Dict(mut a), Operator::BitOr, Value::Dict(b)) if a.len() + b.len() <= 2 * ELEMENTS => {
            a.extend(b);
            Value::Dict(a)
        }
        (Value::Int(a), Operator::Add, Value::Int(b)) => a.checked_add(b).map_or(Value::Unknown, Value::Int),
        _ => Value::Unknown,
    }
}

/// A dictionary without regard to the order in which it was filled: a key with two values is unknown.
fn settle(items: Vec<(String, Value)>) -> Value {
    let mut out: Vec<(String, Value)> = Vec::new();
    for (key, value) in items {
        match out.iter_mut().find(|(k, _)| *k == key) {
            Some((_, before)) if *before == value => {}
            Some((_, before)) => *before = Value::Unknown,
            None => out.push((key, value)),
        }
    }
    Value::Dict(out)
}
