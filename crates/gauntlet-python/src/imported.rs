//! Which scopes run when a module is imported.

use std::collections::{HashMap, HashSet};

use ruff_python_ast::Expr;

use crate::scope::{Bound, Kind, ScopeId};

/// Methods that run when a class is called.
const CONSTRUCTORS: [&str; 4] = ["__init__", "__new__", "__post_init__", "__call__"];

/// Scopes that run on import: everything outside of functions, then functions that running code calls by their name,
/// until there are no more. Methods other than constructors are not followed.
pub(crate) fn scopes(bound: &Bound<'_>) -> HashSet<ScopeId> {
    let by_name = by_name(bound);
    let mut inner: HashMap<ScopeId, Vec<ScopeId>> = HashMap::new();
    for (id, scope) in bound.scopes.iter().enumerate().filter(|(_, scope)| scope.kind != Kind::Function) {
        if let Some(parent) = scope.parent {
            inner.entry(parent).or_default().push(id);
        }
    }
    let mut calls: HashMap<ScopeId, Vec<&str>> = HashMap::new();
    for (call, scope) in &bound.calls {
        if let Expr::Name(name) = &*call.func {
            calls.entry(*scope).or_default().push(name.id.as_str());
        }
    }
    let (mut running, mut called) = (HashSet::new(), HashSet::new());
    let mut next: Vec<ScopeId> = vec![0];
    while let Some(scope) = next.pop() {
        if !running.insert(scope) {
            continue;
        }
        next.extend(inner.get(&scope).into_iter().flatten());
        for name in calls.get(&scope).into_iter().flatten() {
            if called.insert(*name) {
                next.extend(by_name.get(name).into_iter().flatten());
            }
        }
    }
    running
}

/// The scopes that calling a name runs: functions called so, constructors of classes called so.
fn by_name<'a>(bound: &Bound<'a>) -> HashMap<&'a str, Vec<ScopeId>> {
    let mut out: HashMap<&str, Vec<ScopeId>> = HashMap::new();
    for (id, scope) in bound.scopes.iter().enumerate().filter(|(_, scope)| scope.kind == Kind::Function) {
        let parent = scope.parent.and_then(|parent| bound.scopes.get(parent));
        let class = parent.filter(|parent| matches!(parent.kind, Kind::Class(_)));
        let name = match class {
            Some(class) => class.name.filter(|_| scope.name.is_some_and(|name| CONSTRUCTORS.contains(&name))),
            None => scope.name,
        };
        if let Some(name) = name {
            out.entry(name).or_default().push(id);
        }
    }
    out
}
