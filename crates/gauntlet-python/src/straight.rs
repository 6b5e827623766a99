//! Code that only computes: imports, one function, assignments and calls of named things. What graph tracers write.

use std::collections::{BTreeSet, HashMap, HashSet};

use gauntlet_limits::{Limit, Limits};
use ruff_python_ast::{Expr, Parameters, Stmt, StmtFunctionDef};
use ruff_text_size::{Ranged, TextSize};
use serde::{Deserialize, Serialize};

use crate::module::{Lines, PythonError, SyntaxError};
use crate::parse;

/// Names kept of one text; more make it code of another kind.
const NAMES: usize = 20_000;

/// What straight-line code names, and the first place that is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Straight {
    /// Imported modules and members, by qualified name, sorted.
    pub imports: BTreeSet<String>,
    /// Names of other modules that are used, qualified: `torch.relu`, `builtins.open`. Sorted.
    pub names: BTreeSet<String>,
    /// Attributes that are called on values whose kind is not known. Sorted.
    pub methods: BTreeSet<String>,
    /// The first thing that is neither an assignment nor a call of something named.
    pub other: Option<SyntaxError>,
}

/// Reads code as straight-line code: imports, `Name = type(None)`, and functions whose bodies assign, call, return and
/// nothing else. Loops, conditions, classes, lambdas, decorators, special attributes and looked-up names are no such thing.
///
/// # Errors
/// [`PythonError`] when the text is too long or too deep, or the parser fails.
pub fn straight(source: &str, limits: &Limits) -> Result<Straight, PythonError> {
    limits.check(Limit::TextBytes, source.len() as u64)?;
    parse::module(source, |parsed| {
        let lines = Lines::new(source);
        let mut reader = Reader::default();
        let read = match parsed.errors().first() {
            Some(error) => Err((error.location.start(), "no Python")),
            None => reader.module(parsed.body()),
        };
        let mut out = reader.out;
        if let Err((at, what)) = read {
            out.other = Some(SyntaxError { line: lines.line(at), message: what.to_owned() });
        }
        out
    })
}

#[derive(Default)]
struct Reader<'a> {
    out: Straight,
    imported: HashMap<&'a str, String>,
    local: HashSet<&'a str>,
}

/// Where something else stands, and what it is.
type Other = (TextSize, &'static str);

/// What an expression is called.
enum Path {
    /// A qualified name.
    Named(String),
    /// A value.
    Value,
}

impl<'a> Reader<'a> {
    fn module(&mut self, body: &'a [Stmt]) -> Result<(), Other> {
        for stmt in body {
            match stmt {
                Stmt::Import(import) => {
                    for alias in &import.names {
                        let full = alias.name.as_str();
                        self.out.imports.insert(full.to_owned());
                        match &alias.asname {
                            Some(name) => self.imported.insert(name.as_str(), full.to_owned()),
                            None => {
                                let root = full.split('.').next().unwrap_or(full);
                                self.imported.insert(root, root.to_owned())
                            }
                        };
                    }
                }
                Stmt::ImportFrom(import) => {
                    let Some(module) = import.module.as_ref().filter(|_| import.level == 0) else {
                        return Err((import.range().start(), "a relative import"));
                    };
                    for alias in &import.names {
                        let full = format!("{}.{}", module.as_str(), alias.name.as_str());
                        self.out.imports.insert(full.clone());
                        if alias.name.as_str() == "*" {
                            return Err((alias.range().start(), "an import of everything"));
                        }
                        self.imported.insert(alias.asname.as_ref().unwrap_or(&alias.name).as_str(), full);
                    }
                }
                Stmt::Assign(assign) if is_type_of_none(&assign.value) => {
                    let [Expr::Name(name)] = assign.targets.as_slice() else {
                        return Err((stmt.range().start(), "an assignment"));
                    };
                    self.local.insert(name.id.as_str());
                }
                Stmt::FunctionDef(function) => self.function(function)?,
                other => return Err((other.range().start(), "a statement outside of functions")),
            }
            self.bounded(stmt.range().start())?;
        }
        Ok(())
    }

    fn bounded(&self, at: TextSize) -> Result<(), Other> {
        let names = self.out.imports.len() + self.out.names.len() + self.out.methods.len();
        if names > NAMES { Err((at, "more names than are kept")) } else { Ok(()) }
    }

    fn function(&mut self, function: &'a StmtFunctionDef) -> Result<(), Other> {
        if let Some(decorator) = function.decorator_list.first() {
            return Err((decorator.range().start(), "a decorator"));
        }
        if function.is_async {
            return Err((function.range().start(), "an asynchronous function"));
        }
        // What is a local name here is none in the next function.
        let outside = self.local.clone();
        let read = self.body(function);
        self.local = outside;
        read
    }

    fn body(&mut self, function: &'a StmtFunctionDef) -> Result<(), Other> {
        self.parameters(&function.parameters)?;
        if let Some(returns) = &function.returns {
            self.value(returns)?;
        }
        for stmt in &function.body {
            match stmt {
                Stmt::Assign(assign) => {
                    self.value(&assign.value)?;
                    assign.targets.iter().try_for_each(|target| self.bind(target))?;
                }
                Stmt::AnnAssign(assign) => {
                    self.value(&assign.annotation)?;
                    assign.value.iter().try_for_each(|value| self.value(value))?;
                    self.bind(&assign.target)?;
                }
                Stmt::Return(stmt) => stmt.value.iter().try_for_each(|value| self.value(value))?,
                Stmt::Expr(stmt) => self.value(&stmt.value)?,
                Stmt::Pass(_) => {}
                other => return Err((other.range().start(), "a statement that is no assignment")),
            }
            self.bounded(stmt.range().start())?;
        }
        Ok(())
    }

    fn parameters(&mut self, parameters: &'a Parameters) -> Result<(), Other> {
        for parameter in parameters.iter_non_variadic_params() {
            parameter.default.iter().try_for_each(|default| self.value(default))?;
            parameter.parameter.annotation.iter().try_for_each(|annotation| self.value(annotation))?;
            self.local.insert(parameter.parameter.name.as_str());
        }
        for parameter in [&parameters.vararg, &parameters.kwarg].into_iter().flatten() {
            parameter.annotation.iter().try_for_each(|annotation| self.value(annotation))?;
            self.local.insert(parameter.name.as_str());
        }
        Ok(())
    }

    /// A name, or a list of them, that is assigned to. A name of an import stays what it was imported as.
    fn bind(&mut self, target: &'a Expr) -> Result<(), Other> {
        match target {
            Expr::Name(name) if !self.imported.contains_key(name.id.as_str()) => {
                self.local.insert(name.id.as_str());
                Ok(())
            }
            Expr::Starred(starred) => self.bind(&starred.value),
            Expr::Tuple(_) | Expr::List(_) => {
                crate::bind::elements(target).unwrap_or_default().iter().try_for_each(|element| self.bind(element))
            }
            other => Err((other.range().start(), "an assignment to something else than a name")),
        }
    }

    /// An expression that is not called. A name of a module counts as used.
    fn value(&mut self, expr: &'a Expr) -> Result<(), Other> {
        if let Path::Named(name) = self.path(expr)? {
            self.out.names.insert(name);
        }
        Ok(())
    }

    fn path(&mut self, expr: &'a Expr) -> Result<Path, Other> {
        match expr {
            Expr::Name(name) => {
                let name = name.id.as_str();
                return Ok(match self.imported.get(name) {
                    Some(full) => Path::Named(full.clone()),
                    None if self.local.contains(name) => Path::Value,
                    None => Path::Named(format!("builtins.{name}")),
                });
            }
            Expr::Attribute(attribute) => {
                let name = attribute.attr.as_str();
                if name.starts_with("__") {
                    return Err((attribute.range().start(), "a special attribute"));
                }
                return Ok(match self.path(&attribute.value)? {
                    Path::Named(owner) => Path::Named(format!("{owner}.{name}")),
                    Path::Value => Path::Value,
                });
            }
            Expr::Call(call) => {
                let keywords = call.arguments.keywords.iter().map(|keyword| &keyword.value);
                call.arguments.args.iter().chain(keywords).try_for_each(|argument| self.value(argument))?;
                match &*call.func {
                    // Modules with a name that is none: `getattr(self, "0")`.
                    Expr::Name(name) if name.id == "getattr" && !self.local.contains("getattr") => {
                        let Some(Expr::StringLiteral(text)) = call.arguments.args.get(1) else {
                            return Err((call.range().start(), "an attribute with a name that is looked up"));
                        };
                        let plain = call.arguments.args.len() == 2 && call.arguments.keywords.is_empty();
                        if !plain || text.value.to_str().starts_with("__") {
                            return Err((call.range().start(), "a special attribute"));
                        }
                        if let Path::Named(owner) = self.path(&call.arguments.args[0])? {
                            self.out.names.insert(format!("{owner}.{}", text.value.to_str()));
                        }
                        self.out.methods.insert(text.value.to_str().to_owned());
                    }
                    callee => match self.path(callee)? {
                        Path::Named(name) => {
                            self.out.names.insert(name);
                        }
                        Path::Value => {
                            if let Expr::Attribute(attribute) = callee {
                                self.out.methods.insert(attribute.attr.to_string());
                            }
                        }
                    },
                }
            }
            Expr::NumberLiteral(_)
            | Expr::StringLiteral(_)
            | Expr::BytesLiteral(_)
            | Expr::BooleanLiteral(_)
            | Expr::NoneLiteral(_)
            | Expr::EllipsisLiteral(_) => {}
            Expr::Tuple(_) | Expr::List(_) | Expr::Set(_) => {
                crate::bind::elements(expr).unwrap_or_default().iter().try_for_each(|element| self.value(element))?;
            }
            Expr::Dict(dict) => {
                let parts = dict.items.iter().flat_map(|item| item.key.iter().chain([&item.value]));
                parts.into_iter().try_for_each(|part| self.value(part))?;
            }
            Expr::Starred(starred) => self.value(&starred.value)?,
            Expr::Subscript(subscript) => {
                self.value(&subscript.value)?;
                self.value(&subscript.slice)?;
            }
            Expr::Slice(slice) => {
                let parts = [&slice.lower, &slice.upper, &slice.step];
                parts.into_iter().flatten().try_for_each(|part| self.value(part))?;
            }
            Expr::UnaryOp(op) => self.value(&op.operand)?,
            Expr::BinOp(op) => {
                self.value(&op.left)?;
                self.value(&op.right)?;
            }
            Expr::BoolOp(op) => op.values.iter().try_for_each(|value| self.value(value))?,
            Expr::Compare(compare) => {
                self.value(&compare.left)?;
                compare.comparators.iter().try_for_each(|value| self.value(value))?;
            }
            other => return Err((other.range().start(), "an expression that does not only compute")),
        }
        Ok(Path::Value)
    }
}

/// `type(None)`
fn is_type_of_none(expr: &Expr) -> bool {
    let Expr::Call(call) = expr else { return false };
    matches!(&*call.func, Expr::Name(name) if name.id == "type")
        && call.arguments.keywords.is_empty()
        && matches!(&*call.arguments.args, [Expr::NoneLiteral(_)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &str) -> Straight {
        straight(source, &Limits::default()).unwrap()
    }

    #[test]
    fn what_a_tracer_writes_only_computes() {
        let code = "NoneType = type(None)\nfrom math import inf\nimport torch\nimport torch.fx._pytree as fx_pytree\n\n\n\
                    def forward(self, x, y : torch.Tensor = None):\n    a_b = getattr(self, \"a/b\")(x);  x = None\n    \
                    size = a_b.size(0)\n    w = self.layer.weight\n    c = torch.nn.functional.relu(a_b + w, inplace = False)\n    \
                    d = c[(slice(None, None, None), 0)]\n    return (d, -inf, size)\n";
        let out = read(code);
        assert_eq!(out.other, None);
        let names: Vec<_> = out.names.iter().map(String::as_str).collect();
        assert_eq!(names, ["builtins.slice", "math.inf", "torch.Tensor", "torch.nn.functional.relu"]);
        assert!(out.methods.contains("size") && out.methods.contains("a/b"));
    }

    #[test]
    fn whatever_else_is_named_as_such() {
        for code in [
            "import os\nos.system('id')",
            "x = open('f')",
            "def f(self):\n    return self.__class__",
            "def f(self, n):\n    return getattr(self, n)()",
            "def f(self):\n    return getattr(self, '__class__')",
            "def f(self):\n    return [x for x in self.y]",
            "def f(self):\n    return (lambda: 1)()",
            "@os.system\ndef f(self): pass",
            "class A: pass",
            "def f(self):\n    import os",
            "def f(self):\n    for x in self: pass",
            "def f(self):\n    self.x = 1",
            "from torch import *",
            "def f(self:\n",
            "def f(self):\n    return f'{self}'",
            "def f(self):\n    if self: pass",
        ] {
            assert!(read(code).other.is_some(), "{code}");
        }
    }

    #[test]
    fn names_of_modules_are_told_wherever_they_are_used() {
        let names = |code: &str| read(code).names.into_iter().collect::<Vec<_>>();
        assert_eq!(names("import os\ndef f(self):\n    return os.system('id')"), ["os.system"]);
        assert_eq!(names("import os\ndef f(self, g=os.system): pass"), ["os.system"]);
        assert_eq!(names("def f(self):\n    return exec('1')"), ["builtins.exec"]);
        assert_eq!(names("import torch as t\ndef f(self):\n    return self.map(t.os.system)"), ["torch.os.system"]);
        assert_eq!(names("import os\ndef f(self):\n    return getattr(os, 'system')('id')"), ["os", "os.system"]);
        assert_eq!(names("import os\ndef f(self, x: os.system('id')): pass"), ["os.system"]);
        assert_eq!(names("def f(self):\n    exec = 1\n\ndef g(self):\n    return exec('1')"), ["builtins.exec"]);
        assert_eq!(names("import os\ndef f(self, os):\n    return os.system('id')"), ["os.system"]);
    }
}
