//! Fills scopes from the tree: who binds which name where, and which calls there are.

use std::collections::{HashMap, HashSet};

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{
    Arguments, Comprehension, Decorator, ExceptHandler, Expr, ExprCall, Parameters, Pattern, Stmt, StmtClassDef,
    StmtFunctionDef, StmtImport, StmtImportFrom,
};
use ruff_text_size::Ranged;

use crate::scope::{Binding, Bound, Class, ClassId, Item, Kind, Scope, ScopeId, Seen, Site, Slot};

/// Bases of a class that are followed.
const BASES: usize = 16;

/// Binds the names of a module.
pub(crate) fn bind(body: &[Stmt]) -> Bound<'_> {
    let mut binder = Binder {
        bound: Bound {
            scopes: Vec::new(),
            classes: Vec::new(),
            calls: Vec::new(),
            inherited: Vec::new(),
            imports: Vec::new(),
        },
        at: 0,
    };
    binder.enter(Kind::Module, None);
    visitor::walk_body(&mut binder, body);
    binder.bound
}

struct Binder<'a> {
    bound: Bound<'a>,
    /// The scope that is being filled.
    at: ScopeId,
}

impl<'a> Binder<'a> {
    fn enter(&mut self, kind: Kind, parent: Option<ScopeId>) -> ScopeId {
        let scope = Scope {
            kind,
            name: None,
            parent,
            names: HashMap::new(),
            globals: HashSet::new(),
            outer: HashSet::new(),
            stars: Vec::new(),
        };
        self.bound.scopes.push(scope);
        self.at = self.bound.scopes.len() - 1;
        self.at
    }

    /// Runs `work` in a new scope inside the present one.
    fn inside(&mut self, kind: Kind, work: impl FnOnce(&mut Self)) {
        let before = self.at;
        self.enter(kind, Some(before));
        work(self);
        self.at = before;
    }

    fn seen(&self, expr: &'a Expr) -> Seen<'a> {
        Seen { expr, scope: self.at }
    }

    /// The slot that an assignment to `name` in this scope fills.
    fn slot(&mut self, name: &'a str) -> &mut Slot<'a> {
        let here = &self.bound.scopes[self.at];
        let target = if here.globals.contains(name) {
            0
        } else if here.outer.contains(name) {
            self.enclosing(name)
        } else {
            self.at
        };
        self.bound.scopes[target].names.entry(name).or_default()
    }

    /// The nearest enclosing function that binds `name`.
    fn enclosing(&self, name: &str) -> ScopeId {
        let mut at = self.bound.scopes[self.at].parent;
        while let Some(id) = at {
            let scope = &self.bound.scopes[id];
            if scope.kind == Kind::Function && scope.names.contains_key(name) {
                return id;
            }
            at = scope.parent;
        }
        self.at
    }

    /// The slot of a name that is changed, not assigned: wherever it was bound so far.
    fn changed(&mut self, name: &'a str) -> Option<&mut Slot<'a>> {
        let mut at = Some(self.at);
        while let Some(id) = at {
            if self.bound.scopes[id].names.contains_key(name) {
                return self.bound.scopes[id].names.get_mut(name);
            }
            at = self.bound.scopes[id].parent;
        }
        None
    }

    fn bind(&mut self, name: &'a str, binding: Binding<'a>) {
        self.slot(name).bind(binding);
    }

    /// Notes what Python calls without a call in the text.
    fn implicit(&mut self, callee: &'a Expr) {
        self.bound.calls.push((Site::Implicit(callee), self.at));
    }

    /// Binds the names of `target` to `value`, pairing the elements of literal tuples.
    fn assign(&mut self, target: &'a Expr, value: Seen<'a>) {
        let names = matches!(value.expr, Expr::Name(_) | Expr::Attribute(_));
        match target {
            Expr::Name(name) => {
                if names && is_special(&name.id) && matches!(self.bound.scopes[self.at].kind, Kind::Class(_)) {
                    self.implicit(value.expr);
                }
                self.bind(name.id.as_str(), Binding::Value(value));
            }
            Expr::Tuple(_) | Expr::List(_) => match (elements(target), elements(value.expr)) {
                (Some(targets), Some(values))
                    if targets.len() == values.len() && !targets.iter().chain(values).any(Expr::is_starred_expr) =>
                {
                    for (target, expr) in targets.iter().zip(values) {
                        self.assign(target, Seen { expr, ..value });
                    }
                }
                _ => self.forget(target),
            },
            Expr::Attribute(attribute) => {
                // A function of another module in the place of one that Python or others call.
                let module = |owner: &Expr| match owner {
                    Expr::Name(name) => self
                        .bound
                        .lookup(name.id.as_str(), self.at)
                        .is_some_and(|slot| matches!(slot.bindings.as_slice(), [Binding::Import(_)])),
                    _ => false,
                };
                if names && (is_special(&attribute.attr) || module(&attribute.value)) {
                    self.implicit(value.expr);
                }
                if let Some(class) = self.instance(&attribute.value) {
                    self.bound.classes[class]
                        .attributes
                        .entry(attribute.attr.as_str())
                        .or_default()
                        .bind(Binding::Value(value));
                }
            }
            Expr::Subscript(subscript) => {
                if let Expr::Name(name) = &*subscript.value {
                    let key = self.seen(&subscript.slice);
                    if let Some(slot) = self.changed(name.id.as_str()) {
                        slot.put(key, Item::Of(value));
                    }
                }
            }
            _ => self.forget(target),
        }
    }

    /// Binds the names of `target` to something that is not followed.
    fn forget(&mut self, target: &'a Expr) {
        match target {
            Expr::Name(name) => self.bind(name.id.as_str(), Binding::Opaque),
            Expr::Starred(starred) => self.forget(&starred.value),
            Expr::Attribute(attribute) => {
                if let Some(class) = self.instance(&attribute.value) {
                    self.bound.classes[class]
                        .attributes
                        .entry(attribute.attr.as_str())
                        .or_default()
                        .bind(Binding::Opaque);
                }
            }
            _ => elements(target).unwrap_or_default().iter().for_each(|e| self.forget(e)),
        }
    }

    /// The class whose instance `expr` is, when it is the first parameter of the method around.
    fn instance(&self, expr: &Expr) -> Option<ClassId> {
        let Expr::Name(name) = expr else { return None };
        match self.bound.lookup(name.id.as_str(), self.at)?.bindings.first()? {
            Binding::Parameter { instance, .. } => *instance,
            _ => None,
        }
    }

    fn parameters(&mut self, parameters: &'a Parameters, outside: ScopeId, method_of: Option<ClassId>) {
        let mut instance = method_of;
        for p in parameters.iter_non_variadic_params() {
            let default = p.default.as_deref().map(|expr| Seen { expr, scope: outside });
            self.bind(p.parameter.name.as_str(), Binding::Parameter { default, instance: instance.take() });
        }
        for p in [&parameters.vararg, &parameters.kwarg].into_iter().flatten() {
            self.bind(p.name.as_str(), Binding::Opaque);
        }
    }

    /// A decorator is called with what it decorates.
    fn decorators(&mut self, decorators: &'a [Decorator]) {
        for decorator in decorators {
            self.implicit(&decorator.expression);
            self.visit_decorator(decorator);
        }
    }

    fn function(&mut self, function: &'a StmtFunctionDef) {
        self.bind(function.name.as_str(), Binding::Opaque);
        self.decorators(&function.decorator_list);
        // Defaults and annotations belong to the scope outside.
        self.visit_parameters(&function.parameters);
        if let Some(returns) = &function.returns {
            self.visit_annotation(returns);
        }
        let outside = self.at;
        let is_static =
            function.decorator_list.iter().any(|d| matches!(&d.expression, Expr::Name(n) if n.id == "staticmethod"));
        let method_of = match self.bound.scopes[outside].kind {
            Kind::Class(class) if !is_static => Some(class),
            _ => None,
        };
        if let Kind::Class(class) = self.bound.scopes[outside].kind
            && function.name.as_str() == "find_class"
        {
            let mut raises = Raises(false);
            visitor::walk_body(&mut raises, &function.body);
            self.bound.classes[class].restricts |= raises.0;
        }
        self.inside(Kind::Function, |binder| {
            let at = binder.at;
            binder.bound.scopes[at].name = Some(function.name.as_str());
            binder.parameters(&function.parameters, outside, method_of);
            visitor::walk_body(binder, &function.body);
        });
    }

    fn class(&mut self, class: &'a StmtClassDef) {
        let id = self.bound.classes.len();
        let bases = class.bases().iter().take(BASES).filter(|b| !b.is_starred_expr()).map(|b| self.seen(b)).collect();
        self.bound.classes.push(Class { bases, body: 0, attributes: HashMap::new(), restricts: false });
        self.bind(class.name.as_str(), Binding::Class(id));
        self.decorators(&class.decorator_list);
        for base in class.bases() {
            if let Expr::Name(name) = base {
                self.bound.inherited.push((name.id.as_str(), self.at));
            }
        }
        if let Some(metaclass) = class.arguments.as_ref().and_then(|arguments| arguments.find_keyword("metaclass")) {
            self.implicit(&metaclass.value);
        }
        if let Some(arguments) = &class.arguments {
            self.visit_arguments(arguments);
        }
        self.inside(Kind::Class(id), |binder| {
            binder.bound.classes[id].body = binder.at;
            let at = binder.at;
            binder.bound.scopes[at].name = Some(class.name.as_str());
            visitor::walk_body(binder, &class.body);
        });
    }

    fn import(&mut self, import: &'a StmtImport) {
        for alias in &import.names {
            let full = alias.name.as_str();
            self.bound.imports.push((full.to_owned(), alias.range().start()));
            match &alias.asname {
                Some(name) => self.bind(name.as_str(), Binding::Import(full.to_owned())),
                // `import a.b` binds `a`.
                None => {
                    let root = full.split('.').next().unwrap_or(full);
                    self.bind(root, Binding::Import(root.to_owned()));
                }
            }
        }
    }

    fn import_from(&mut self, import: &'a StmtImportFrom) {
        let dots = ".".repeat(import.level.min(64) as usize);
        let base = format!("{dots}{}", import.module.as_ref().map_or("", |m| m.as_str()));
        for alias in &import.names {
            let member = alias.name.as_str();
            let joint = if base.ends_with('.') || base.is_empty() { "" } else { "." };
            let full = format!("{base}{joint}{member}");
            self.bound.imports.push((full.clone(), alias.range().start()));
            if member == "*" {
                let at = self.at;
                self.bound.scopes[at].stars.push(base.clone());
            } else {
                self.bind(alias.asname.as_ref().map_or(member, |n| n.as_str()), Binding::Import(full));
            }
        }
    }

    /// Notes what `name.update(...)` and the like do to a dictionary.
    fn method_on_name(&mut self, call: &'a ExprCall) {
        let Expr::Attribute(attribute) = &*call.func else { return };
        let Expr::Name(name) = &*attribute.value else { return };
        let whole = Seen { expr: &call.func, scope: self.at };
        match attribute.attr.as_str() {
            "update" => {
                if let Some(slot) = self.changed(name.id.as_str()) {
                    slot.put(whole, Item::Update(call));
                }
            }
            "pop" | "popitem" | "clear" | "setdefault" | "append" | "extend" | "insert" | "remove" => {
                if let Some(slot) = self.changed(name.id.as_str()) {
                    slot.mutated = true;
                }
            }
            _ => {}
        }
    }

    fn comprehension(&mut self, generators: &'a [Comprehension], parts: &[&'a Expr]) {
        self.inside(Kind::Expression, |binder| {
            for generator in generators {
                binder.visit_expr(&generator.iter);
                let iter = binder.seen(&generator.iter);
                binder.element(&generator.target, iter);
                generator.ifs.iter().for_each(|e| binder.visit_expr(e));
            }
            parts.iter().for_each(|e| binder.visit_expr(e));
        });
    }

    fn element(&mut self, target: &'a Expr, iter: Seen<'a>) {
        if let Expr::Name(name) = target {
            self.bind(name.id.as_str(), Binding::Element(iter));
        } else {
            self.forget(target);
        }
    }
}

impl<'a> Visitor<'a> for Binder<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::FunctionDef(function) => return self.function(function),
            Stmt::ClassDef(class) => return self.class(class),
            Stmt::Import(import) => self.import(import),
            Stmt::ImportFrom(import) => self.import_from(import),
            Stmt::Assign(assign) => {
                let value = self.seen(&assign.value);
                assign.targets.iter().for_each(|t| self.assign(t, value));
            }
            Stmt::AnnAssign(assign) => match &assign.value {
                Some(value) => {
                    let value = self.seen(value);
                    self.assign(&assign.target, value);
                }
                None => self.forget(&assign.target),
            },
            Stmt::AugAssign(assign) => self.forget(&assign.target),
            Stmt::For(each) => {
                let iter = self.seen(&each.iter);
                self.element(&each.target, iter);
            }
            Stmt::With(with) => {
                for item in &with.items {
                    if let Some(target) = &item.optional_vars {
                        // Most context managers enter as themselves.
                        let value = self.seen(&item.context_expr);
                        self.assign(target, value);
                    }
                }
            }
            Stmt::Global(global) => {
                let at = self.at;
                self.bound.scopes[at].globals.extend(global.names.iter().map(|n| n.as_str()));
            }
            Stmt::Nonlocal(nonlocal) => {
                let at = self.at;
                self.bound.scopes[at].outer.extend(nonlocal.names.iter().map(|n| n.as_str()));
            }
            _ => {}
        }
        visitor::walk_stmt(self, stmt);
    }

    fn visit_except_handler(&mut self, handler: &'a ExceptHandler) {
        let ExceptHandler::ExceptHandler(inner) = handler;
        if let Some(name) = &inner.name {
            self.bind(name.as_str(), Binding::Opaque);
        }
        visitor::walk_except_handler(self, handler);
    }

    fn visit_pattern(&mut self, pattern: &'a Pattern) {
        let name = match pattern {
            Pattern::MatchAs(p) => p.name.as_ref(),
            Pattern::MatchStar(p) => p.name.as_ref(),
            Pattern::MatchMapping(p) => p.rest.as_ref(),
            _ => None,
        };
        if let Some(name) = name {
            self.bind(name.as_str(), Binding::Opaque);
        }
        visitor::walk_pattern(self, pattern);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Call(call) => {
                self.bound.calls.push((Site::Call(call), self.at));
                self.method_on_name(call);
            }
            Expr::Named(named) => {
                let value = self.seen(&named.value);
                let before = self.at;
                while self.bound.scopes[self.at].kind == Kind::Expression
                    && let Some(parent) = self.bound.scopes[self.at].parent
                {
                    self.at = parent;
                }
                self.assign(&named.target, value);
                self.at = before;
            }
            Expr::Lambda(lambda) => {
                if let Some(parameters) = &lambda.parameters {
                    self.visit_parameters(parameters);
                }
                let outside = self.at;
                return self.inside(Kind::Expression, |binder| {
                    if let Some(parameters) = &lambda.parameters {
                        binder.parameters(parameters, outside, None);
                    }
                    binder.visit_expr(&lambda.body);
                });
            }
            Expr::ListComp(c) => return self.comprehension(&c.generators, &[&c.elt]),
            Expr::SetComp(c) => return self.comprehension(&c.generators, &[&c.elt]),
            Expr::Generator(c) => return self.comprehension(&c.generators, &[&c.elt]),
            Expr::DictComp(c) => {
                let parts: Vec<&Expr> = c.key.as_deref().into_iter().chain([&*c.value]).collect();
                return self.comprehension(&c.generators, &parts);
            }
            _ => {}
        }
        visitor::walk_expr(self, expr);
    }

    fn visit_arguments(&mut self, arguments: &'a Arguments) {
        visitor::walk_arguments(self, arguments);
    }
}

/// Looks for a `raise` in a function body.
struct Raises(bool);

impl<'a> Visitor<'a> for Raises {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        self.0 |= stmt.is_raise_stmt();
        visitor::walk_stmt(self, stmt);
    }
}

/// A name that Python itself looks up and calls.
fn is_special(name: &str) -> bool {
    name.len() > 4 && name.starts_with("__") && name.ends_with("__")
}

/// The elements of a literal tuple or list.
pub(crate) fn elements(expr: &Expr) -> Option<&[Expr]> {
    match expr {
        Expr::Tuple(t) => Some(&t.elts),
        Expr::List(l) => Some(&l.elts),
        Expr::Set(s) => Some(&s.elts),
        _ => None,
    }
}
