//! Scopes, bindings and classes of one module.

use std::collections::{HashMap, HashSet};

use ruff_python_ast::{Expr, ExprCall};
use ruff_text_size::{Ranged, TextRange, TextSize};

/// Index into [`Bound::scopes`].
pub(crate) type ScopeId = usize;
/// Index into [`Bound::classes`].
pub(crate) type ClassId = usize;

/// An expression and the scope whose names it sees.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) expr: &'a Expr,
    pub(crate) scope: ScopeId,
}

/// What a name stands for.
#[derive(Clone)]
pub(crate) enum Binding<'a> {
    /// A module or a member of one, by qualified name.
    Import(String),
    /// The value of an expression.
    Value(Seen<'a>),
    /// One of the elements of an iterable.
    Element(Seen<'a>),
    /// A class of this module.
    Class(ClassId),
    /// A parameter, with its default. The first one of a method is the instance.
    Parameter { default: Option<Seen<'a>>, instance: Option<ClassId> },
    /// A function of this module, or anything that is not followed.
    Opaque,
}

/// Everything that one name is bound to in one scope, in the order of the text and regardless of control flow.
#[derive(Clone, Default)]
pub(crate) struct Slot<'a> {
    pub(crate) bindings: Vec<Binding<'a>>,
    /// There are more bindings than are kept.
    pub(crate) more: bool,
    /// `name["key"] = value` and `name.update(key=value)`.
    pub(crate) items: Vec<(Seen<'a>, Item<'a>)>,
    /// The object is changed in a way that is not followed.
    pub(crate) mutated: bool,
}

/// What is put into a dictionary.
#[derive(Clone, Copy)]
pub(crate) enum Item<'a> {
    /// The value of the key that stands beside it.
    Of(Seen<'a>),
    /// A whole call of `update`: its keywords and its dictionary.
    Update(&'a ExprCall),
}

/// Bindings and items kept for one name; more make it unknown.
const KEPT: usize = 8;

impl<'a> Slot<'a> {
    pub(crate) fn bind(&mut self, binding: Binding<'a>) {
        if self.bindings.len() < KEPT {
            self.bindings.push(binding);
        } else {
            self.more = true;
        }
    }

    pub(crate) fn put(&mut self, key: Seen<'a>, item: Item<'a>) {
        if self.items.len() < 4 * KEPT {
            self.items.push((key, item));
        } else {
            self.mutated = true;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Module,
    Function,
    Class(ClassId),
    /// Comprehensions and lambdas: names of a walrus go further out.
    Expression,
}

pub(crate) struct Scope<'a> {
    pub(crate) kind: Kind,
    /// The name of a function or class.
    pub(crate) name: Option<&'a str>,
    pub(crate) parent: Option<ScopeId>,
    pub(crate) names: HashMap<&'a str, Slot<'a>>,
    /// Names declared `global`.
    pub(crate) globals: HashSet<&'a str>,
    /// Names declared `nonlocal`.
    pub(crate) outer: HashSet<&'a str>,
    /// Modules of `from m import *`.
    pub(crate) stars: Vec<String>,
}

/// A class of this module.
pub(crate) struct Class<'a> {
    pub(crate) bases: Vec<Seen<'a>>,
    /// The scope of the class body: methods and class attributes.
    pub(crate) body: ScopeId,
    /// `self.name = value` anywhere in its methods.
    pub(crate) attributes: HashMap<&'a str, Slot<'a>>,
    /// It overrides `find_class` with a method that can raise: an allow list for pickles.
    pub(crate) restricts: bool,
}

/// Where something is called.
#[derive(Clone, Copy)]
pub(crate) enum Site<'a> {
    /// A call as people write it.
    Call(&'a ExprCall),
    /// What Python calls without one: a decorator, a metaclass, what a special method is set to.
    Implicit(&'a Expr),
}

impl<'a> Site<'a> {
    /// What is called.
    pub(crate) fn callee(self) -> &'a Expr {
        match self {
            Self::Call(call) => &call.func,
            Self::Implicit(callee) => callee,
        }
    }

    /// All of it.
    pub(crate) fn range(self) -> TextRange {
        match self {
            Self::Call(call) => call.range(),
            Self::Implicit(callee) => callee.range(),
        }
    }
}

/// A module whose names are bound, with what is to be described.
pub(crate) struct Bound<'a> {
    pub(crate) scopes: Vec<Scope<'a>>,
    pub(crate) classes: Vec<Class<'a>>,
    pub(crate) calls: Vec<(Site<'a>, ScopeId)>,
    /// Names of classes that a class statement has as its bases, and where it stands.
    pub(crate) inherited: Vec<(&'a str, ScopeId)>,
    pub(crate) imports: Vec<(String, TextSize)>,
}

impl<'a> Bound<'a> {
    /// The slot that `name` means in `scope`: this scope, then the enclosing ones, class bodies skipped.
    pub(crate) fn lookup(&self, name: &str, scope: ScopeId) -> Option<&Slot<'a>> {
        let mut at = Some(scope);
        while let Some(id) = at {
            let here = &self.scopes[id];
            if here.globals.contains(name) {
                return self.scopes[0].names.get(name);
            }
            let visible = id == scope || !matches!(here.kind, Kind::Class(_));
            if visible && let Some(slot) = here.names.get(name) {
                return Some(slot);
            }
            at = here.parent;
        }
        None
    }

    /// Modules whose star imports may define a name that nothing else does.
    pub(crate) fn stars(&self, scope: ScopeId) -> Vec<&str> {
        let mut out = Vec::new();
        let mut at = Some(scope);
        while let Some(id) = at {
            out.extend(self.scopes[id].stars.iter().map(String::as_str).take(KEPT));
            at = self.scopes[id].parent;
        }
        out
    }
}
