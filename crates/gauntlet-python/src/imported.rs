//! Which scopes run when a module is imported.

use std::collections::{HashMap, HashSet};

use ruff_python_ast::Expr;

use crate::scope::{Bound, Kind, ScopeId};

/// Methods of a class that run when a class inherits from it, or has it as its metaclass.
const INHERITED: [&str; 4] = ["__init_subclass__", "__set_name__", "__prepare__", "__mro_entries__"];

/// Scopes that run on import: everything outside of functions, then functions that running code calls by their name,
/// until there are no more. Of methods only those are followed that Python calls by itself: `__init__`, `__enter__`,
/// `__getitem__` and their kin, once their class is called or decorates something.
pub(crate) fn scopes(bound: &Bound<'_>) -> HashSet<ScopeId> {
    let by_name = by_name(bound);
    let mut inner: HashMap<ScopeId, Vec<ScopeId>> = HashMap::new();
    for (id, scope) in bound.scopes.iter().enumerate().filter(|(_, scope)| scope.kind != Kind::Function) {
        if let Some(parent) = scope.parent {
            inner.entry(parent).or_default().push(id);
        }
    }
    let mut calls: HashMap<ScopeId, Vec<(Way, &str)>> = HashMap::new();
    for (site, scope) in &bound.calls {
        if let Expr::Name(name) = site.callee() {
            calls.entry(*scope).or_default().push((Way::Called, name.id.as_str()));
        }
    }
    for (name, scope) in &bound.inherited {
        calls.entry(*scope).or_default().push((Way::Inherited, name));
    }
    let (mut running, mut called) = (HashSet::new(), HashSet::new());
    let mut next: Vec<ScopeId> = vec![0];
    while let Some(scope) = next.pop() {
        if !running.insert(scope) {
            continue;
        }
        next.extend(inner.get(&scope).into_iter().flatten());
        for call in calls.get(&scope).into_iter().flatten() {
            if called.insert(*call) {
                next.extend(by_name.get(call).into_iter().flatten());
            }
        }
    }
    running
}

/// How a name of the module is used by code that runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Way {
    Called,
    Inherited,
}

/// The scopes that using a name runs: functions called so, special methods of classes called or inherited so.
fn by_name<'a>(bound: &Bound<'a>) -> HashMap<(Way, &'a str), Vec<ScopeId>> {
    let mut out: HashMap<(Way, &str), Vec<ScopeId>> = HashMap::new();
    for (id, scope) in bound.scopes.iter().enumerate().filter(|(_, scope)| scope.kind == Kind::Function) {
        let parent = scope.parent.and_then(|parent| bound.scopes.get(parent));
        let class = parent.filter(|parent| matches!(parent.kind, Kind::Class(_)));
        let Some(own) = scope.name else { continue };
        match class {
            Some(class) => {
                let special = own.len() > 4 && own.starts_with("__") && own.ends_with("__");
                let Some(name) = class.name.filter(|_| special) else { continue };
                let way = if INHERITED.contains(&own) { Way::Inherited } else { Way::Called };
                out.entry((way, name)).or_default().push(id);
            }
            None => out.entry((Way::Called, own)).or_default().push(id),
        }
    }
    out
}
