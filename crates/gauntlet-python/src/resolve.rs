//! What an expression may stand for: imported things, results of calls, classes, literals.

use ruff_python_ast::{Expr, ExprCall};

use crate::bind::elements;
use crate::scope::{Binding, Bound, ClassId, ScopeId, Seen, Slot};
use crate::value::Value;

/// Candidates kept for one expression; more make the answer uncertain.
const CANDIDATES: usize = 4;
/// Expressions looked at to describe one call. Deterministic, and small enough that a module costs linear time.
pub(crate) const FUEL: u32 = 2_000;
/// Bindings followed one after the other.
const HOPS: u32 = 24;

/// One thing that an expression may stand for.
#[derive(Clone)]
pub(crate) enum Thing<'a> {
    /// A qualified name; the call whose result it is an attribute of, if any.
    Path(String, Option<(&'a ExprCall, ScopeId)>),
    /// The result of a call.
    Result(&'a ExprCall, ScopeId),
    Class(ClassId),
    Instance(ClassId),
    /// A literal or another expression that names nothing.
    Plain(Seen<'a>),
    Unknown,
}

/// Everything that an expression may stand for.
#[derive(Clone, Default)]
pub(crate) struct Things<'a> {
    pub(crate) all: Vec<Thing<'a>>,
    /// Not all possibilities are in `all`.
    pub(crate) open: bool,
}

impl<'a> Things<'a> {
    fn one(thing: Thing<'a>) -> Self {
        Self { all: vec![thing], open: false }
    }

    fn add(&mut self, other: Self) {
        self.open |= other.open;
        for thing in other.all {
            if self.all.len() < CANDIDATES {
                self.all.push(thing);
            } else {
                self.open = true;
            }
        }
    }

    /// The only possibility.
    pub(crate) fn single(&self) -> Option<&Thing<'a>> {
        match self.all.as_slice() {
            [one] if !self.open => Some(one),
            _ => None,
        }
    }
}

/// Resolves expressions of one bound module, within a budget.
pub(crate) struct Resolver<'b, 'a> {
    pub(crate) bound: &'b Bound<'a>,
    pub(crate) fuel: u32,
    hops: u32,
}

impl<'b, 'a> Resolver<'b, 'a> {
    pub(crate) fn new(bound: &'b Bound<'a>) -> Self {
        Self { bound, fuel: FUEL, hops: 0 }
    }

    /// What `seen` may stand for.
    pub(crate) fn things(&mut self, seen: Seen<'a>) -> Things<'a> {
        if self.fuel == 0 || self.hops >= HOPS {
            return Things { all: vec![Thing::Unknown], open: true };
        }
        self.fuel -= 1;
        self.hops += 1;
        let things = self.things_of(seen);
        self.hops -= 1;
        things
    }

    fn things_of(&mut self, seen: Seen<'a>) -> Things<'a> {
        let at = |expr: &'a Expr| Seen { expr, ..seen };
        match seen.expr {
            Expr::Name(name) => self.name(name.id.as_str(), seen.scope),
            Expr::Attribute(attribute) => {
                let owners = self.things(at(&attribute.value));
                self.attributes(owners, attribute.attr.as_str())
            }
            Expr::Call(call) => self.result(call, seen.scope),
            Expr::Subscript(subscript) => self.subscript(at(&subscript.value), at(&subscript.slice)),
            Expr::Named(named) => self.things(at(&named.value)),
            Expr::Await(inner) => self.things(at(&inner.value)),
            Expr::If(choice) => self.either([at(&choice.body), at(&choice.orelse)]),
            Expr::BoolOp(op) => self.either(op.values.iter().take(CANDIDATES + 1).map(at)),
            Expr::Lambda(_) => Things::one(Thing::Unknown),
            _ => Things::one(Thing::Plain(seen)),
        }
    }

    fn either(&mut self, all: impl IntoIterator<Item = Seen<'a>>) -> Things<'a> {
        let mut things = Things::default();
        for seen in all {
            let more = self.things(seen);
            things.add(more);
        }
        things
    }

    fn name(&mut self, name: &str, scope: ScopeId) -> Things<'a> {
        if let Some(slot) = self.bound.lookup(name, scope) {
            return self.slot(slot);
        }
        if BUILTINS.contains(&name) {
            return Things::one(Thing::Path(format!("builtins.{name}"), None));
        }
        let stars = self.bound.stars(scope);
        if stars.is_empty() {
            return Things::one(Thing::Unknown);
        }
        let mut things = Things { all: Vec::new(), open: true };
        stars.iter().for_each(|star| things.add(Things::one(Thing::Path(format!("{star}.{name}"), None))));
        things
    }

    fn slot(&mut self, slot: &Slot<'a>) -> Things<'a> {
        let mut things = Things { all: Vec::new(), open: slot.more };
        for binding in &slot.bindings {
            let more = match binding {
                Binding::Import(name) => Things::one(Thing::Path(name.clone(), None)),
                Binding::Value(seen) => self.things(*seen),
                Binding::Element(seen) => self.members(*seen),
                Binding::Class(class) => Things::one(Thing::Class(*class)),
                Binding::Parameter { instance: Some(class), .. } => Things::one(Thing::Instance(*class)),
                Binding::Parameter { default: Some(seen), .. } => {
                    let mut default = self.things(*seen);
                    default.open = true;
                    default
                }
                Binding::Parameter { .. } | Binding::Opaque => Things::one(Thing::Unknown),
            };
            things.add(more);
        }
        things
    }

    /// What the elements of a literal may stand for.
    fn members(&mut self, seen: Seen<'a>) -> Things<'a> {
        let source = self.things(seen);
        let Some(Thing::Plain(plain)) = source.single().cloned() else { return Things::one(Thing::Unknown) };
        let mut things = Things { all: Vec::new(), open: true };
        let parts: Vec<&'a Expr> = match plain.expr {
            Expr::Dict(dict) => dict.items.iter().map(|i| &i.value).take(CANDIDATES + 1).collect(),
            other => elements(other).unwrap_or_default().iter().take(CANDIDATES + 1).collect(),
        };
        for expr in parts {
            let more = self.things(Seen { expr, scope: plain.scope });
            things.add(more);
        }
        things
    }

    /// The attribute `attr` of each owner.
    fn attributes(&mut self, owners: Things<'a>, attr: &str) -> Things<'a> {
        let mut things = Things { all: Vec::new(), open: owners.open };
        for owner in owners.all {
            let more = self.attribute(owner, attr);
            things.add(more);
        }
        things
    }

    fn attribute(&mut self, owner: Thing<'a>, attr: &str) -> Things<'a> {
        if self.fuel == 0 {
            return Things { all: vec![Thing::Unknown], open: true };
        }
        self.fuel -= 1;
        match owner {
            Thing::Path(path, receiver) => Things::one(Thing::Path(format!("{path}.{attr}"), receiver)),
            Thing::Result(call, scope) => {
                let callees = self.callees(call, scope);
                let mut things = Things { all: Vec::new(), open: callees.open };
                for callee in callees.all {
                    let more = match callee {
                        Thing::Path(path, _) => {
                            Things::one(Thing::Path(format!("{path}().{attr}"), Some((call, scope))))
                        }
                        Thing::Class(class) => self.member(class, attr, true),
                        _ => Things::one(Thing::Path(format!("?.{attr}"), None)),
                    };
                    things.add(more);
                }
                things
            }
            Thing::Class(class) => self.member(class, attr, false),
            Thing::Instance(class) => self.member(class, attr, true),
            Thing::Plain(_) | Thing::Unknown => Things::one(Thing::Path(format!("?.{attr}"), None)),
        }
    }

    /// A member of a class of this module: its own, or that of an imported base.
    fn member(&mut self, class: ClassId, attr: &str, of_instance: bool) -> Things<'a> {
        if self.fuel == 0 || self.hops >= HOPS {
            return Things { all: vec![Thing::Unknown], open: true };
        }
        self.fuel -= 1;
        let bound = self.bound;
        let class = &bound.classes[class];
        self.hops += 1;
        let own = [class.attributes.get(attr).filter(|_| of_instance), bound.scopes[class.body].names.get(attr)];
        let mut things = Things::default();
        for slot in own.into_iter().flatten() {
            let more = self.slot(slot);
            things.add(more);
        }
        if things.all.is_empty() {
            for base in &class.bases {
                let bases = self.things(*base);
                for base in bases.all {
                    let more = match base {
                        // An allow list in `find_class` makes it another unpickler.
                        Thing::Path(path, _) if !class.restricts => {
                            let call = if of_instance { "()" } else { "" };
                            Things::one(Thing::Path(format!("{path}{call}.{attr}"), None))
                        }
                        Thing::Class(base) if !class.restricts => self.member(base, attr, of_instance),
                        _ => Things::one(Thing::Unknown),
                    };
                    things.add(more);
                }
            }
        }
        self.hops -= 1;
        if things.all.is_empty() { Things::one(Thing::Unknown) } else { things }
    }

    /// What the callee of `call` may stand for.
    pub(crate) fn callees(&mut self, call: &'a ExprCall, scope: ScopeId) -> Things<'a> {
        self.things(Seen { expr: &call.func, scope })
    }

    /// The result of a call, seeing through the ways to write a name as a call.
    fn result(&mut self, call: &'a ExprCall, scope: ScopeId) -> Things<'a> {
        let callees = self.callees(call, scope);
        let argument = |n: usize| call.arguments.args.get(n).map(|expr| Seen { expr, scope });
        let Some(Thing::Path(path, None)) = callees.single() else { return Things::one(Thing::Result(call, scope)) };
        match path.as_str() {
            "builtins.getattr" => {
                if let (Some(owner), Some(name)) = (argument(0), argument(1))
                    && let Value::Str(name) = self.value(name)
                {
                    let owners = self.things(owner);
                    return self.attributes(owners, &name);
                }
            }
            "importlib.import_module" | "importlib.__import__" | "builtins.__import__" => {
                if let Some(name) = argument(0)
                    && let Value::Str(name) = self.value(name)
                    && !name.starts_with('.')
                {
                    // `__import__("a.b")` gives `a`.
                    let whole = path.ends_with("import_module") || call.arguments.find_keyword("fromlist").is_some();
                    let module = if whole { name.as_str() } else { name.split('.').next().unwrap_or(&name) };
                    return Things::one(Thing::Path(module.to_owned(), None));
                }
            }
            "typing.cast" => {
                if let Some(inner) = argument(1) {
                    return self.things(inner);
                }
            }
            _ => {}
        }
        Things::one(Thing::Result(call, scope))
    }

    /// `sys.modules["m"]`, `m.__dict__["f"]`, `vars(m)["f"]`, `globals()["f"]`, and tables of functions.
    fn subscript(&mut self, owner: Seen<'a>, key: Seen<'a>) -> Things<'a> {
        let key = self.value(key);
        let owners = self.things(owner);
        match (owners.single().cloned(), &key) {
            (Some(Thing::Path(path, None)), Value::Str(name)) if path == "sys.modules" => {
                Things::one(Thing::Path(name.clone(), None))
            }
            (Some(Thing::Path(path, None)), Value::Str(name)) if path.ends_with(".__dict__") => {
                Things::one(Thing::Path(format!("{}.{name}", path.trim_end_matches(".__dict__")), None))
            }
            (Some(Thing::Result(call, scope)), Value::Str(name)) => {
                let callees = self.callees(call, scope);
                match callees.single() {
                    Some(Thing::Path(path, None)) if path == "builtins.globals" => self.name(name, 0),
                    Some(Thing::Path(path, None)) if path == "builtins.vars" => match call.arguments.args.first() {
                        Some(expr) => {
                            let owners = self.things(Seen { expr, scope });
                            self.attributes(owners, name)
                        }
                        None => Things::one(Thing::Unknown),
                    },
                    _ => Things::one(Thing::Unknown),
                }
            }
            (Some(Thing::Plain(plain)), key) => self.pick(plain, key),
            _ => Things::one(Thing::Unknown),
        }
    }

    /// The element of a literal under a known key, or all of them under an unknown one.
    fn pick(&mut self, table: Seen<'a>, key: &Value) -> Things<'a> {
        if let (Expr::Dict(dict), Value::Str(_) | Value::Int(_)) = (table.expr, key) {
            for item in dict.items.iter().rev() {
                let Some(expr) = &item.key else { break };
                if self.value(Seen { expr, ..table }) == *key {
                    return self.things(Seen { expr: &item.value, ..table });
                }
                if self.fuel == 0 {
                    break;
                }
            }
        }
        if let (Some(all), Value::Int(n)) = (elements(table.expr), key)
            && let Some(expr) = usize::try_from(*n).ok().and_then(|n| all.get(n))
        {
            return self.things(Seen { expr, ..table });
        }
        self.members(table)
    }
}

/// Builtins that rules ask for or that resolution sees through.
const BUILTINS: &[&str] = &[
    "eval",
    "exec",
    "compile",
    "open",
    "getattr",
    "setattr",
    "__import__",
    "globals",
    "locals",
    "vars",
    "dict",
    "list",
    "tuple",
    "set",
    "bool",
    "str",
    "bytes",
    "int",
    "float",
    "map",
    "filter",
    "input",
    "print",
    "super",
    "type",
    "object",
    "bytearray",
    "memoryview",
    "breakpoint",
    "len",
    "iter",
    "next",
    "isinstance",
    "format",
    "repr",
    "sorted",
    "zip",
    "enumerate",
    "range",
];
